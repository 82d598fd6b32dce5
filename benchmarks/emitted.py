"""Print everything that the compiler emits for some models, as one line of JSON per model.

    PYTHONPATH=CHECKOUT python -P benchmarks/emitted.py CHECKOUT models/lenet.dl ...

`benchmarks.same` starts this file in two checkouts and compares the lines. It compiles no machine
code, and it finds functions by their name wherever their module is, so it works across moves. If a
function that it needs is renamed, add the new name to the call of `found`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import os
import pkgutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import Enum
from functools import cache
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import specc

ROWS = (1, 3, 64, 256)  # of the predictions
THREADS = (1, 2)
MOST_LISTED = 60  # steps of a plan with a listing, which takes time that grows with their square
OPEN = {
    "n": 4,
    "vocab": 20,
    "figures_": 11,
    "letters": 20,
    "length": 9,
}  # sizes that data would give


@cache
def modules() -> list[ModuleType]:
    """Every module of the package, but for those that run when they are imported.

    Modules for packages that are not installed are left out.
    """
    names = [each.name for each in pkgutil.walk_packages(specc.__path__, "specc.")]
    found = []
    for name in names:
        if not name.endswith("__main__"):
            with suppress(ModuleNotFoundError):
                found.append(importlib.import_module(name))
    return found


@cache
def found(*names: str) -> Any:
    """The function or class of one of these names, from the module that defines it."""
    values = [
        value
        for name in names
        for module in modules()
        if getattr(value := getattr(module, name, None), "__module__", "") == module.__name__
    ]
    if len(values) != 1:
        count = "several modules define" if values else "no module defines"
        raise SystemExit(
            f"{count} {' or '.join(names)}: {__file__} needs one function of this name"
        )
    return values[0]


def replaced(name: str, value: Any) -> None:
    """Put `value` in the place of a function wherever a module has it under its name."""
    old = found(name)
    for module in modules():
        if getattr(module, name, None) is old:
            setattr(module, name, value)


def start_no_workers(*_: object) -> None:
    """Takes the place of `start_ahead`: nothing is compiled here."""


# A compiled program as texts.


class Printer:
    """Calls as lines of text.

    A kernel or a loop that several calls have is a number after the first time.
    """

    def __init__(self) -> None:
        self.kernels: list[str] = []
        self._number: dict[Any, int] = {}
        self._seen: dict[Any, str] = {}
        self._show_node: Callable[[Any], str] = found("show_node")

    def calls(self, calls: list[Any]) -> str:
        return "".join(f"{self.text(call)}\n" for call in calls)

    def text(self, value: Any) -> str:
        """One value: fields that have their default are left out, arrays are their hash."""
        if all(hasattr(value, name) for name in ("source", "imports", "dtype")):
            if value not in self._number:
                self._number[value] = len(self.kernels)
                self.kernels.append(kernel_text(value))
            return f"kernel {self._number[value]}"
        if all(hasattr(value, name) for name in ("op", "inputs", "origin")):
            return self._show_node(value)
        if isinstance(value, Enum):
            return str(value.value)
        if isinstance(value, np.ndarray):
            digest = hashlib.sha256(np.ascontiguousarray(value)).hexdigest()[:16]
            return f"{value.dtype}{list(value.shape)} #{digest}"
        if isinstance(value, tuple | list):
            return f"({', '.join(map(self.text, value))})"
        return self._record(value) if dataclasses.is_dataclass(value) else str(value)

    def _record(self, value: Any) -> str:
        name = type(value).__name__
        has_identity = type(value).__eq__ is object.__eq__
        if has_identity and value in self._seen:
            return self._seen[value]
        shown = ", ".join(f"{name}={self.text(each)}" for name, each in fields(value))
        if has_identity:
            self._seen[value] = f"{name} {len(self._seen)}"
        return f"{name}({shown})"


def fields(value: Any) -> Iterator[tuple[str, Any]]:
    """The fields of a dataclass that differ from their default, with their values."""
    for field in dataclasses.fields(value):
        own = getattr(value, field.name)
        if isinstance(own, np.ndarray) or own != field.default:
            yield field.name, own


def kernel_text(kernel: Any) -> str:
    """A kernel: what it is compiled for, the functions that are made for it, and its source."""
    lines = []
    for name, value in fields(kernel):
        if name not in ("source", "imports"):
            lines.append(f"# {name}={value}")
    return "\n".join([*lines, without_imports(kernel.imports), kernel.source])


def without_imports(text: str) -> str:
    """The text without the lines that import from the package, or `real` from NumPy."""
    lines = text.splitlines()
    return "\n".join(line for line in lines if not line.startswith(("from specc", "from numpy")))


# A model as texts.


def emitted(path: Path) -> dict[str, str]:
    """All texts of one model by what they are."""
    program = specc.load(path)
    if program.open_sizes:
        program = specc.load(path, **{name: OPEN[name] for name in program.open_sizes})
    texts = {"program": found("show_program")(program)}
    for threads in THREADS:
        net = specc.compile(program, **divided(threads))
        wanted = []
        if program.updates:
            wanted.append(("train", net.batch))
        if program.losses:
            wanted.append(("evaluate", net.batch))
        if program.outputs:
            wanted += [("predict", examples) for examples in dict.fromkeys(map(at_once(net), ROWS))]
        for number, (kind, examples) in enumerate(wanted):
            title = f"{kind} of {examples}, {threads} threads"
            try:
                texts.update(variant(net, kind, examples, title, not number and threads == 1))
            except Exception as error:  # a model that does not compile is compared by its error
                texts[title] = f"{type(error).__name__}: {error}"
    return texts


def variant(net: Any, kind: str, examples: int, title: str, is_listed: bool) -> dict[str, str]:
    """The texts of one program, and of the one for a team of threads if there is one."""
    compiled = net.compiled(kind, examples)
    show_graph = found("show_graph")
    texts = {f"{title}: graph": show_graph(net.graph(kind))}
    if kind == "train":
        texts[f"{title}: settings"] = show_graph(net.settings_graph)
    texts.update(program_texts(compiled, title))
    if is_listed and len(compiled.plan.steps) <= MOST_LISTED:
        made = found("listing")(net.program, compiled, net.settings_graph)
        texts[f"{title}: listing"] = without_imports(made)
    if kind == "predict" and is_for_team(net, compiled.plan, examples):
        texts.update(program_texts(net.compiled(kind, examples, True), f"{title}, as a team"))
    return texts


def program_texts(compiled: Any, title: str) -> dict[str, str]:
    """The plan, the calls of each shard, and the kernels."""
    printer = Printer()
    texts = {f"{title}: plan": str(compiled.plan)}
    for shard in range(compiled.plan.shards):
        texts[f"{title}: calls of shard {shard}"] = printer.calls(compiled.calls(shard))
    for number, text in enumerate(printer.kernels):
        texts[f"{title}: kernel {number}"] = text
    return texts


def at_once(net: Any) -> Callable[[int], int]:
    """The function from rows of a prediction to examples of its program."""
    return net.prediction.at_once if hasattr(net, "prediction") else net._at_once


def divided(threads: int) -> dict[str, int]:
    """The settings of `compile` by which a batch has a shard for each thread."""
    has_shards = "shards" in signature(specc.compile).parameters
    return {"threads": threads, "shards": threads} if has_shards else {"threads": threads}


def is_for_team(net: Any, plan: Any, examples: int) -> bool:
    """Whether a prediction has a program for a team of threads as well, as it had once."""
    owner = getattr(net, "prediction", net)
    find = getattr(owner, "is_for_team", getattr(owner, "_is_for_team", None))
    return find is not None and find(plan, examples)


def main(checkout: str, *files: str) -> None:
    here = Path(specc.__file__).resolve().parents[1]
    assert here == Path(checkout).resolve(), f"specc comes from {here}"
    os.chdir(checkout)  # so that the texts name the same files
    warnings.simplefilter("ignore")
    replaced("start_ahead", start_no_workers)
    for file in files:
        texts = emitted(Path(file))
        keys = {
            title: hashlib.sha256(text.encode()).hexdigest()[:24] for title, text in texts.items()
        }
        bodies = {keys[title]: text for title, text in texts.items()}
        print(json.dumps({"file": file, "titles": keys, "bodies": bodies}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
