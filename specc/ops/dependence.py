"""What is known of a value over a sequence: which steps it depends on, and where it is a number.

    of_elements(node, [of_condition, of_a, of_b])     # if u <= t then a else b

See `specc.ops.causal`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from typing import Any

from specc.ir import sizes
from specc.ir.graph import Node
from specc.ir.sizes import Shape
from specc.ops.elementwise import (
    Add,
    Div,
    Elementwise,
    Equal,
    Less,
    LessEqual,
    Mul,
    Neg,
    Select,
    Sub,
    ToFloat,
    ToInt,
)
from specc.system.records import dataclass

NUMBER = -1
"""The key of `Dependence.steps` for steps up to a number, in place of an axis."""

Region = tuple[int, int, int]
"""Axes p and q, and a distance d: the elements whose index q is at least index p + d."""


@dataclass(frozen=True)
class Dependence:
    """What is known of a value [.., i, .., j, ..] over a sequence.

    It depends on the steps v <= max over axes a of index a + `steps[a]`; `steps` is None if it may
    depend on all of them. `known` has the elements of regions that are one number. `index` says
    that the value is a sum of indices, and `index[NUMBER]` the number that is added.
    """

    steps: Mapping[int, int] | None = field(default_factory=dict)
    known: Mapping[Region, float] = field(default_factory=dict)
    index: Mapping[int, float] | None = None

    @property
    def constant(self) -> float | None:
        """The number that all elements are, if that is known."""
        index = self.index
        return index[NUMBER] if index is not None and len(index) == 1 else None

    def at(self, region: Region) -> float | None:
        """Return the number that all elements of a region are, if that is known."""
        return self.known.get(region, self.constant)

    def is_causal(self, axis: int) -> bool:
        """Return whether the value depends on no later step than its index along an axis."""
        return self.steps is not None and all(
            at in (axis, NUMBER) and by <= 0 for at, by in self.steps.items()
        )


NOTHING, EVERYTHING = Dependence(), Dependence(steps=None)


def number(value: Any) -> Dependence:
    return Dependence(index={NUMBER: value}) if isinstance(value, (int, float)) else NOTHING


def merged(dependences: Iterable[Dependence]) -> dict[int, int] | None:
    steps: dict[int, int] = {}
    for each in dependences:
        if each.steps is None:
            return None
        for axis, by in each.steps.items():
            steps[axis] = max(by, steps.get(axis, by))
    return steps


def refined(dependence: Dependence) -> Dependence:
    """Where a value is a number if index q >= p + d, it depends on q only up to p + d - 1."""
    steps = dependence.steps
    if not steps:
        return dependence
    for (p, q, by), _ in sorted(dependence.known.items(), key=lambda item: item[0][2]):
        if q in steps:
            steps = dict(steps)
            last = steps.pop(q) + by - 1
            steps[p] = max(last, steps.get(p, last))
    return replace(dependence, steps=steps)


def of_elements(node: Node, inputs: list[Dependence]) -> Dependence:
    op, shape = node.op, node.type.shape
    assert isinstance(op, Elementwise)
    steps = merged(inputs)
    known: dict[Region, float] = {}
    for region in _regions(inputs, shape):
        value = _in_region(op, inputs, region, shape)
        if value is not None:
            known[region] = value
    return Dependence(steps, known, _index(op, inputs))


def _regions(inputs: list[Dependence], shape: Shape) -> list[Region]:
    """Return the regions in which a formula may be a number."""
    found = dict.fromkeys(region for each in inputs for region in each.known)
    axes = {axis for each in inputs for axis in each.index or () if axis != NUMBER}
    for p, q in itertools.permutations(sorted(axes), 2):
        if isinstance(shape[p], int) and shape[p] == shape[q]:
            found |= {(p, q, 0): None, (p, q, 1): None}
    return list(found)


def _in_region(
    op: Elementwise, inputs: list[Dependence], region: Region, shape: Shape
) -> float | None:
    """Return the number that a formula is in all of a region, if that is known."""
    if isinstance(op, (Less, LessEqual, Equal)):
        return _compared(op, inputs, region, shape)
    values = [each.at(region) for each in inputs]
    if isinstance(op, Select):
        which, yes, no = values
        if which is None:
            return yes if yes == no else None
        return yes if which else no
    if None not in values:
        try:
            return op.of_numbers(*values)  # type: ignore[arg-type]
        except (ArithmeticError, ValueError):
            return None
    return _absorbed(op, values)


def _absorbed(op: Elementwise, values: list[float | None]) -> float | None:
    """Return the result that one operand decides, whatever the others are as long as finite."""
    first = values[0]
    if isinstance(op, (Add, Sub)):
        if -math.inf in values[:1] or (isinstance(op, Add) and -math.inf in values):
            return -math.inf
        return None
    if isinstance(op, Mul):
        return 0.0 if 0 in values else None
    name = op.symbol
    if name == "and":
        return False if False in values else None
    if name == "or":
        return True if True in values else None
    return 0.0 if isinstance(op, Div) and first == 0 else None


def _compared(
    op: Elementwise, inputs: list[Dependence], region: Region, shape: Shape
) -> float | None:
    left, right = (each.index for each in inputs)
    if left is None or right is None:
        return None
    low, high = _range(_sum(left, right, -1), region, shape)
    if isinstance(op, Less):
        return True if high < 0 else False if low >= 0 else None
    if isinstance(op, LessEqual):
        return True if high <= 0 else False if low > 0 else None
    return False if low > 0 or high < 0 else True if low == high == 0 else None


def _range(index: Mapping[int, float], region: Region, shape: Shape) -> tuple[float, float]:
    """Return the smallest and the largest value of a sum of indices in a region."""
    p, q, by = region
    low = high = index[NUMBER]
    if math.isnan(low):
        return -math.inf, math.inf
    for axis, factor in index.items():
        size = shape[axis] if axis != NUMBER else 1
        if not isinstance(size, int):
            return -math.inf, math.inf
        if axis not in (p, q, NUMBER):
            low, high = low + min(0, factor * (size - 1)), high + max(0, factor * (size - 1))
    size = sizes.bound(shape[q])
    corners = [
        index.get(p, 0) * i + index.get(q, 0) * j
        for i, j in ((0, by), (0, size - 1), (size - 1 - by, size - 1))
    ]
    return low + min(corners), high + max(corners)


def _index(op: Elementwise, inputs: list[Dependence]) -> Mapping[int, float] | None:
    """Return a formula of indices as a sum of them, if it is one."""
    indices = [each.index for each in inputs]
    if any(each is None for each in indices):
        return None
    if all(len(each) == 1 for each in indices if each is not None):
        try:
            return {NUMBER: op.of_numbers(*(each[NUMBER] for each in indices if each is not None))}
        except (ArithmeticError, ValueError):
            return None
    first, *others = [each for each in indices if each is not None]
    is_whole = isinstance(op, ToInt) and all(by % 1 == 0 for by in first.values())
    if isinstance(op, ToFloat) or is_whole:
        return first
    if isinstance(op, Neg):
        return _sum({NUMBER: 0}, first, -1)
    if isinstance(op, (Add, Sub)):
        return _sum(first, others[0], 1 if isinstance(op, Add) else -1)
    if isinstance(op, Mul):
        for one, other in ((first, others[0]), (others[0], first)):
            if len(one) == 1:
                return _sum({NUMBER: 0}, other, one[NUMBER])
    return None


def _sum(a: Mapping[int, float], b: Mapping[int, float], times: float) -> dict[int, float]:
    """Return a + times * b, without the axes that cancel out."""
    found = {axis: a.get(axis, 0) + times * b.get(axis, 0) for axis in {**a, **b}}
    return {axis: by for axis, by in found.items() if by or axis == NUMBER}
