"""A small example program for each function and layer, as `specc explain` prints it.

    sample("conv")
    # model example {
    #   input x: float[3, 8, 8]
    #   let y = x -> conv(4, kernel=3)
    #   output y
    # }

A sample is made from the function's signature and the library file that defines it. Where these do
not suffice, the function's doc comment has an example: "Example: `x -> flatten` of `x: float[3, 8,
8]`." The tests check every sample.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from specc.frontend.elaborate.patterns import is_like
from specc.frontend.primitives import PRIMITIVES
from specc.frontend.syntax import ast
from specc.frontend.words import library
from specc.frontend.words.facts import facts_of
from specc.frontend.words.signatures import InputDeclared, signature_of

# Lengths of axes and values of settings, by name; the defaults are 8 and 2.
LENGTHS = {"channels": 3, "c": 3, "classes": 10, "vocab": 50, "time": 20, "seq": 20}
VALUES = {
    "kernel": "3",
    "units": "4",
    "filters": "4",
    "lr": "0.1",
    "over": "5",
    "at": "10",
    "axis": "0",
    "value": "0.5",
    "k": "2",
    "heads": "2",
    "rate": "0.1",
}

LOSSES = ("losses", "regularizers")
INITIALIZERS = ("initializers",)
SCHEDULES = ("schedules",)


def sample(name: str) -> str:
    """Return a program that uses a function or layer. Raises KeyError for an unknown name."""
    definition = library.lookup(name) or PRIMITIVES[name]
    if (example := facts_of(definition).example) is not None:
        if (defined := re.match(r"optimizer (\w+)", example.lines[0])) is not None:
            trained = _trained("loss mse(y, t)", f"optimizer {defined[1]}(lr = 0.1)")
            return f"{example.lines[0]}\n\n{trained}"
        if len(example.lines) > 1:
            return _program([*(f"input {each}" for each in example.inputs), *example.lines])
        return _model([f"input {each}" for each in example.inputs], example.lines[0])
    kind = Path(library.source_of(name).name).stem if name in library.words() else ""
    signature = signature_of(definition)
    given = [VALUES.get(each.name, "2") for each in signature.settings if each.is_required]
    if isinstance(definition, ast.Optimizer):
        return _trained("loss mse(y, t)", f"optimizer {_call(name, [], given, signature, True)}")
    if kind in SCHEDULES:
        values = [str(0.1 / 10**place) for place in range(len(signature.inputs))]
        schedule = _call(name, values, given, signature, True)
        return _trained("loss mse(y, t)", f"optimizer sgd(lr = {schedule})")
    if kind in INITIALIZERS:
        settings = ", ".join(
            f"{each.name}={VALUES.get(each.name, '2')}"
            for each in signature.settings
            if each.is_required and each.name not in ("fan_in", "fan_out")
        )
        start = f"{name}({settings})" if settings else name
        return _model(["input x: float[8]"], "W @ x", [f"param W: float[4, 8] = {start}"])
    if kind == "regularizers":
        return _trained(
            f"loss mse(y, t)\n  loss penalty = 0.001 * {name}(weights)", "optimizer sgd(lr = 0.1)"
        )
    inputs = [f"input {_input(each)}" for each in signature.inputs]
    if isinstance(definition, ast.Cell):
        inputs = [inputs[0].replace("[", "[time, ", 1)]  # the initial states are optional
    names = [each.name for each in signature.inputs][: len(inputs)]
    if kind in ("losses", "metrics"):
        inputs = [
            each.replace("input", "target", 1) if _is_target(declared) else each
            for each, declared in zip(inputs, signature.inputs, strict=True)
        ]
        call = _call(name, names, given, signature)
        if kind == "metrics":
            return _model(inputs, names[0], [], [f"metric {call}"])
        return _model(inputs, names[0], [], [f"loss {call}"])
    is_stage = isinstance(definition, (ast.Block, ast.Cell)) or kind in ("layers", "activations")
    if is_stage and len(names) == 1:
        return _model(inputs, f"{names[0]} -> {_call(name, [], given, signature)}")
    return _model(inputs, _call(name, names, given, signature))


def _call(name: str, inputs: list[str], given: list[str], signature, spaced: bool = False) -> str:
    required = [each.name for each in signature.settings if each.is_required]
    sign = " = " if spaced else "="
    settings = [
        value if number == 0 and not spaced else f"{each}{sign}{value}"
        for number, (each, value) in enumerate(zip(required, given, strict=True))
    ]
    if not inputs and not settings:
        return f"{name}()" if spaced else name
    return f"{name}({'; '.join(', '.join(part) for part in (inputs, settings) if part)})"


def _input(each: InputDeclared) -> str:
    tree = each.type
    if tree is None:
        return f"{each.name}: float[8]"
    if is_like(tree):
        return f"{each.name}: float[8]"
    text = tree.kind.text
    if tree.classes is not None:
        text += f"({_length(tree.classes)})"
    if tree.axes:
        text += f"[{', '.join(_length(axis.size) for axis in tree.axes)}]"
    elif tree.axes is None and text == "float":
        text += "[8]"
    return f"{each.name}: {text}"


def _is_target(each: InputDeclared) -> bool:
    """Return whether a loss or metric compares its other inputs with this one."""
    tree = each.type
    return tree is not None and (is_like(tree) or tree.kind.text in ("class", "bool"))


def _length(size: ast.Expression) -> str:
    text = size.span.text
    return text if text.isdigit() else str(LENGTHS.get(text, 8))


def _model(
    inputs: Sequence[str], formula: str, before: Sequence[str] = (), after: Sequence[str] = ()
) -> str:
    lines = [*inputs, *before]
    lines += [f"let y = {formula}", "output y", *after]
    if formula.isidentifier():
        lines = [line for line in lines if not line.startswith("let ")]
        lines = [f"output {formula}" if line == "output y" else line for line in lines]
    return _program(lines)


def _program(lines: Sequence[str]) -> str:
    """Return the text of a model with these statements."""
    head = "seq time = 20\n\n" if any("time" in line for line in lines) else ""
    return head + "model example {\n" + "".join(f"  {line}\n" for line in lines) + "}\n"


def _trained(terms: str, optimizer: str) -> str:
    return (
        "model example {\n  input x: float[8]\n  target t: float[1]\n  let y = x -> dense(1)\n "
        f" output y\n  {terms}\n}}\n\ntrain {{\n  {optimizer}\n}}\n"
    )
