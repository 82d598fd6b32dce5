"""A small program for each word, which shows it at work; `specc explain` prints it and what it gives.

    sample("conv")
    # model example {
    #   input x: float[3, 8, 8]
    #   let y = x -> conv(4, kernel=3)
    #   output y
    # }

A sample follows from the word's signature and the library file that it stands in; `FORMULAS` holds what a
signature does not tell. The tests check every one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from specc.frontend.elaborate.patterns import is_like
from specc.frontend.primitives import PRIMITIVES
from specc.frontend.syntax import ast
from specc.frontend.words import library
from specc.frontend.words.signatures import InputDeclared, signature_of

# Lengths of axes, and values of settings, by their names; others are 8 and 2.
LENGTHS = {"channels": 3, "c": 3, "classes": 10, "vocab": 50, "time": 20, "seq": 20}
VALUES = {
    "kernel": "3", "units": "4", "filters": "4", "lr": "0.1", "over": "5", "at": "10", "axis": "0",
    "value": "0.5", "k": "2", "heads": "2", "rate": "0.1",
}  # fmt: skip

# Words whose inputs are no type's business: the inputs, and a formula.
FORMULAS: dict[str, tuple[str, str]] = {
    "reshape": ("x: float[64]", "x -> reshape(1, 8, 8)"),
    "transpose": ("x: float[3, 8]", "transpose(x)"),
    "flatten": ("x: float[3, 8, 8]", "x -> flatten"),
    "concat": ("a: float[8]; b: float[4]", "concat(a, b)"),
    "spread": ("b: float[3]; x: float[3, 8, 8]", "x + spread(b, x)"),
    "rows": ("b: float[8]; x: float[3, 8]", "x + rows(b, x)"),
    "sum": ("x: float[3, 8]", "sum(x; axis=1)"),
    "mean": ("x: float[3, 8, 8]", "mean(x; keep=1)"),
    "max": ("x: float[8]", "max(x, 0)"),
    "min": ("x: float[8]", "min(x, 1)"),
    "size": ("x: float[8]", "x / size(x; axis=0)"),
    "rank": ("x: float[3, 8]", "x / rank(x)"),
    "positions": ("x: float[3, 8]", "x + positions(x; axis=1)"),
    "one_hot": ("x: class(10)", "one_hot(x)"),
    "repeat": ("x: float[3, 8]", "repeat(x; 2, axis=1)"),
    "uniform": ("x: float[8]", "x + 0.1 * uniform(x)"),
    "normal": ("x: float[8]", "x + 0.1 * normal(x)"),
    "convolve": ("x: float[3, 8, 8]; w: float[4, 3, 3, 3]", "convolve(x, w)"),
    "convolve_transpose": ("x: float[3, 8, 8]; w: float[3, 4, 2, 2]", "convolve_transpose(x, w; 2)"),
    "window_max": ("x: float[3, 8, 8]", "window_max(x; 2, stride=2)"),
    "window_sum": ("x: float[3, 8, 8]", "window_sum(x; 2, stride=2)"),
    "batch_mean": ("x: float[8]", "x - batch_mean(x)"),
    "peers": ("x: float[8]", "x - peer_mean(peers(x))"),
    "peer_mean": ("x: float[8]", "x - peer_mean(peers(x))"),
    "last": ("x: float[time, 3]", "x -> last"),
    "first": ("x: float[time, 3]", "x -> first"),
    "reverse": ("x: float[time, 3]", "x -> reverse"),
    "previous": ("x: float[time, 3]", "x -> previous"),
    "along": ("x: float[3]", "x -> along(time)"),
    "gate_bias": ("x: float[8]", "x -> dense(4, bias_init=gate_bias(1, gate=1, gates=2))"),
    "constant": ("x: float[8]", "x -> dense(4, bias_init=constant(0.5))"),
    "upsample": ("x: float[3, 8, 8]", "x -> upsample(2)"),
    "batchnorm": ("x: float[3, 8, 8]", "x -> batchnorm"),
    "layernorm": ("x: float[8]", "x -> layernorm"),
    "global_avgpool": ("x: float[3, 8, 8]", "x -> global_avgpool"),
    "global_maxpool": ("x: float[3, 8, 8]", "x -> global_maxpool"),
}  # fmt: skip
LOSSES = ("losses", "regularizers")
INITIALIZERS = ("initializers",)
SCHEDULES = ("schedules",)


TWO_VALUES = """\
model example {
  input x: float[8]
  let a, b = split(x; 2)
  output a * b
}
"""


def sample(name: str) -> str:
    """The text of a program that uses a word. Raises KeyError if there is no such word."""
    definition = library.lookup(name) or PRIMITIVES[name]
    if name == "split":
        return TWO_VALUES
    if name in FORMULAS:
        inputs, formula = FORMULAS[name]
        return _model(inputs.split("; "), formula)
    kind = Path(library.source_of(name).name).stem if name in library.words() else ""
    signature = signature_of(definition)
    given = [VALUES.get(each.name, "2") for each in signature.settings if each.is_required]
    if isinstance(definition, ast.Optimizer):
        return _trained("loss mse(y, t)", f"optimizer {_call(name, [], given, signature, True)}")
    if kind in SCHEDULES:
        values = [str(0.1 / 10**place) for place in range(len(signature.inputs))]
        schedule = _call(name, values, given, signature, True)
        return _trained("loss mse(y, t)", f"optimizer sgd(lr = {schedule})")
    if kind in INITIALIZERS or name == "orthogonal":
        settings = ", ".join(
            f"{each.name}={VALUES.get(each.name, '2')}"
            for each in signature.settings
            if each.is_required and each.name not in ("fan_in", "fan_out")
        )
        start = f"{name}({settings})" if settings else name
        return _model(["x: float[8]"], "W @ x", [f"param W: float[4, 8] = {start}"])
    if kind == "regularizers":
        return _trained(
            f"loss mse(y, t)\n  loss penalty = 0.001 * {name}(weights)", "optimizer sgd(lr = 0.1)"
        )
    inputs = [_input(each) for each in signature.inputs]
    if isinstance(definition, ast.Cell):
        inputs = [inputs[0].replace("[", "[time, ", 1)]  # the states need not be given
    names = [each.name for each in signature.inputs][: len(inputs)]
    if kind in ("losses", "metrics"):
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


def _length(size: ast.Expression) -> str:
    text = size.span.text
    return text if text.isdigit() else str(LENGTHS.get(text, 8))


def _model(
    inputs: list[str], formula: str, before: Sequence[str] = (), after: Sequence[str] = ()
) -> str:
    lines = [*(f"input {each}" for each in inputs if each), *before]
    lines += [f"let y = {formula}", "output y", *after]
    if formula.isidentifier():
        lines = [line for line in lines if not line.startswith("let ")]
        lines = [f"output {formula}" if line == "output y" else line for line in lines]
    head = "seq time = 20\n\n" if any("time" in line for line in lines) else ""
    return head + "model example {\n" + "".join(f"  {line}\n" for line in lines) + "}\n"


def _trained(terms: str, optimizer: str) -> str:
    return (
        "model example {\n  input x: float[8]\n  target t: float[1]\n  let y = x -> dense(1)\n  output y\n"
        f"  {terms}\n}}\n\ntrain {{\n  {optimizer}\n}}\n"
    )
