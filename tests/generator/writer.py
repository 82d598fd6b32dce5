"""The values that a program has so far, and how a statement adds one.

writer = Writer(random.Random(1), frozenset())
x = writer.port("input", "float", (3,))
writer.let(f"tanh({x.name})", (3,), x)
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod

MOST_ELEMENTS = 160
"""Elements of one value of one example."""


@dataclass(frozen=True)
class Value:
    """A value of the program: of each step of the sequence if `steps`, with `shape` that of one
    step.

    A `crossing` value depends on the other examples of the batch.
    """

    name: str
    shape: tuple[int, ...]
    kind: str = "float"
    classes: int = 0
    batched: bool = True
    steps: bool = False
    crossing: bool = False

    @property
    def rank(self) -> int:
        return len(self.shape)


class Writer:
    """Writes statements; `off` names the features that are not to be used."""

    def __init__(self, rng: random.Random, off: frozenset[str] = frozenset()):
        self.rng, self.off = rng, off
        self.lines: list[str] = []
        self.before: list[str] = []
        self.values: list[Value] = []
        self.count = 0
        self.in_cell = False

    def name(self, letter: str = "v") -> str:
        self.count += 1
        return f"{letter}{self.count}"

    def let(self, expression: str, shape, *sources: Value, **changes) -> Value | None:
        """A new value made of `sources`; None if it would be too large."""
        shape = tuple(shape)
        if prod(shape) > MOST_ELEMENTS or len(shape) > 5:
            return None
        facts = {
            "batched": any(each.batched for each in sources),
            "steps": any(each.steps for each in sources),
            "crossing": any(each.crossing for each in sources),
        }
        made = Value(self.name(), shape, **{**facts, **changes})
        self.lines.append(f"let {made.name} = {expression}")
        self.values.append(made)
        return made

    def port(self, role: str, kind: str, shape, classes: int = 0, axis: str = "") -> Value:
        """An input or target; `axis` is the sequence, as it is written in the type."""
        name = self.name("t" if role == "target" else "x")
        sizes = ", ".join([axis] * bool(axis) + [str(size) for size in shape])
        written = {"float": f"float[{sizes}]", "class": f"class({classes})", "bool": "bool"}[kind]
        if kind != "float" and (axis or shape):
            written += f"[{sizes}]"
        self.lines.append(f"{role} {name}: {written}")
        made = Value(name, tuple(shape), kind, classes, steps=bool(axis))
        if role != "target":
            self.values.append(made)
        return made

    def param(self, shape, start: str | None = None) -> Value:
        """A parameter, a value without a batch."""
        shape = tuple(shape)
        made = Value(self.name("p"), shape, batched=False)
        sizes = ", ".join(map(str, shape))
        self.lines.append(f"param {made.name}: float[{sizes}] = {start or 'normal(std=0.5)'}")
        self.values.append(made)
        return made

    def some(self, wanted: Callable[[Value], bool] = lambda _: True) -> Value | None:
        """A float that is wanted, rather a new one than an old one."""
        found = [each for each in self.values if each.kind == "float" and wanted(each)]
        if not found:
            return None
        return self.rng.choice(found if self.rng.random() < 0.4 else found[-3:])

    def of(self, kind: str, steps: bool | None = None) -> Value | None:
        """A class or a boolean."""
        found = [each for each in self.values if each.kind == kind and steps in (None, each.steps)]
        return self.rng.choice(found) if found else None

    def like(self, value: Value, shape=None) -> Value | None:
        """A float that can be combined with a value element by element, maybe the value itself."""
        shape = value.shape if shape is None else tuple(shape)
        return self.some(lambda each: each.shape == shape and together(each, value))

    def size(self) -> int:
        return self.rng.choice((1, 2, 3, 3, 4, 5, 7))


def together(one: Value, other: Value) -> bool:
    """Whether two values may meet in one formula: what is not of each step has to be of no
    example."""
    return one.steps == other.steps or not (one if other.steps else other).batched


def renamed(value: Value, **changes) -> Value:
    return replace(value, **changes)
