"""Operands as linear functions of the indices, taps and positions: what all forms need.

    Linear(op.left, Operand((784, 1), False), "left").step(index)     # elements for one more

A form's kernel runs over tables of offsets; a `ContractionPlan` holds them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from specc.backend.llvm.kernel import Kernel
from specc.ir import sizes
from specc.ir.sharing import share
from specc.ops.contract import Affine, Contract, Map
from specc.system.records import dataclass


@dataclass(frozen=True)
class Part:
    """A part of a result: its number, and of how many.

    It is an `even` share of the first axis (which is then that of the weights' rows), or whatever
    is best."""

    number: int = 0
    parts: int = 1
    even: bool = False


WHOLE = Part()


@dataclass(frozen=True)
class Operand:
    """How an operand lies in memory: elements from one entry of each axis to the next."""

    strides: tuple[int, ...]
    batched: bool


# Parameters: up to three addresses that the next kernel reads or writes, and the bytes at each.
PREFETCHED = ("prefetched", "prefetched_2", "prefetched_3", "prefetched_size")


@dataclass(frozen=True)
class Within:
    """The address of so many bytes after the start of the scratch memory, or of "out"."""

    offset: int
    space: str = "scratch"


@dataclass(frozen=True, eq=False)
class ContractionPlan:
    """A kernel and what to call it with.

    `parameters` has, in the kernel's order, "left", "right", "out", "scratch", "packed", one of
    `PREFETCHED`, the name of a table, a place `Within` the scratch memory, or an integer. `scratch`
    is in bytes, 0 if none is needed. `packing`, unless it is None, is called first, once for all
    calls with the same weights: it fills "packed", of so many bytes. `before` are called directly
    before the kernel, each time.
    """

    kernel: Kernel
    parameters: tuple[str | int | Within, ...]
    tables: dict[str, np.ndarray]
    scratch: int = 0
    packing: ContractionPlan | None = None
    packed: int = 0
    prefetches: bool = False  # the kernel prefetches what other threads have written
    updating: Kernel | None = (
        None  # in place of `kernel` if the next kernel writes what is prefetched
    )
    before: tuple[ContractionPlan, ...] = ()
    copied: int = 0  # bytes of the copy of an operand that the kernel makes at its `out`

    def in_order(self) -> Iterator[ContractionPlan]:
        """The plans of all kernels, in the order in which they are called."""
        if self.packing is not None:
            yield from self.packing.in_order()
        yield from self.before
        yield self

    def args(
        self, left: int, right: int, out: int, scratch: int = 0, packed: int = 0
    ) -> np.ndarray:
        """The args block of one call, from addresses; the plan must outlive it."""
        places = {name: table.ctypes.data for name, table in self.tables.items()}
        places |= {"left": left, "right": right, "out": out, "scratch": scratch, "packed": packed}
        places |= dict.fromkeys(PREFETCHED, 0)
        values = [
            places[each.space] + each.offset
            if isinstance(each, Within)
            else places[each]
            if isinstance(each, str)
            else each
            for each in self.parameters
        ]
        return np.array(values, np.int64)


def narrowed(op: Contract) -> Contract:
    """The same without the terms of indices that have one value, which is 0."""
    extents = op.bound_extents

    def without(map_: Map) -> Map:
        return tuple(
            replace(each, terms=tuple(term for term in each.terms if extents[term[0]] > 1))
            for each in map_
        )

    return replace(op, out=without(op.out), left=without(op.left), right=without(op.right))


def split(op: Contract, out: Operand) -> tuple[Contract, Operand]:
    """The same with an axis of the result that several indices run through (g * 8 + k) cut up."""
    op = narrowed(op)
    maps: list[Affine] = []
    shape: list[int] = []
    strides: list[int] = []
    extents = op.bound_extents
    for expression, whole, stride in zip(op.out, op.shape, out.strides, strict=True):
        size = sizes.bound(whole)
        terms = sorted(expression.bound_terms, key=lambda term: -term[1])
        expected = size
        for i, coefficient in terms:
            expected = expected // extents[i] if expected == coefficient * extents[i] else 0
        if len(terms) < 2 or expression.constant or expected != 1:
            terms = []
            maps.append(expression)
            shape.append(size)
            strides.append(stride)
        for i, coefficient in terms:
            maps.append(Affine(((i, 1),)))
            shape.append(extents[i])
            strides.append(coefficient * stride)
    return replace(op, out=tuple(maps), shape=tuple(shape)), Operand(tuple(strides), out.batched)


class Linear:
    """An operand's address as a linear function of the indices, in elements."""

    def __init__(self, map_: Map, operand: Operand, name: str):
        self.name, self.strides, self.batched = name, operand.strides, operand.batched
        self.constant = 0
        self.steps: dict[int, int] = {}  # index -> elements
        for expression, stride in zip(map_, operand.strides, strict=True):
            self.constant += expression.constant * stride
            for index, coefficient in expression.bound_terms:
                self.steps[index] = self.steps.get(index, 0) + coefficient * stride

    def step(self, index: int) -> int:
        return self.steps.get(index, 0)

    def __contains__(self, index: int) -> bool:
        return index in self.steps


@dataclass(frozen=True)
class LoopAxis:
    """Indices that run together as one: `size` entries, and the step in each of some operands."""

    size: int
    steps: tuple[int, ...]
    indices: tuple[int, ...] = ()


def merged(op: Contract, indices: Iterable[int], operands: Sequence[Linear]) -> list[LoopAxis]:
    """The indices as few axes: an index that goes on where another ends is joined to it."""
    axes: list[LoopAxis] = []
    extents = op.bound_extents
    for index in sorted(indices, key=lambda i: [each.step(i) for each in operands]):
        steps = tuple(each.step(index) for each in operands)
        for n, axis in enumerate(axes):
            if steps == tuple(axis.size * step for step in axis.steps):
                axes[n] = LoopAxis(axis.size * extents[index], axis.steps, (*axis.indices, index))
                break
        else:
            axes.append(LoopAxis(extents[index], steps, (index,)))
    return axes


def offsets(axes: Iterable[LoopAxis], operands: int) -> np.ndarray:
    """Offsets of every point of the box of axes, [points, operands], the last axis fastest."""
    total = np.zeros((1, operands), np.int64)
    for axis in axes:
        own = np.arange(axis.size)[:, None] * np.array(axis.steps, np.int64)
        total = (total[:, None, :] + own[None]).reshape(-1, operands)
    return total


def exact(op: Contract, index: int) -> bool:
    """Whether the index is one whole axis of the result."""
    axes = [
        (expression, size)
        for expression, size in zip(op.out, op.shape, strict=True)
        if index in dict(expression.terms)
    ]
    return (
        len(axes) == 1
        and axes[0][0].terms == ((index, 1),)
        and axes[0][0].constant == 0
        and axes[0][1] == op.extents[index]
    )


def rows_of(op: Contract, operands: Sequence[Linear]) -> LoopAxis:
    """Return the longest axis of the result that only the weights have."""
    weights, batched, out = operands
    candidates = [i for i in weights.steps if i not in batched and i in out and exact(op, i)]
    return max(
        merged(op, candidates, operands), key=lambda axis: axis.size, default=LoopAxis(1, (0, 0, 0))
    )


def taps_and_positions(op: Contract, without: Sequence[int], operands: Sequence[Linear]) -> list:
    """For each distinct list of taps, which positions of the result have it; without some indices.

    Taps [n, 2], offsets in the weights and the batched operand from the first one; positions [m,
    3], offsets of the first tap in both, and of the result."""
    weights, batched, _ = operands
    # the empty class first, then one for each distinct list of taps
    classes = [(np.zeros((1, 2), np.int64), np.zeros((1, 3), np.int64))]
    for axes, indices in components(op, without):
        own = classes_of(op, axes, indices, operands)
        classes = [combined(one, two) for one, two in product(classes, own)]
    base = np.array([weights.constant, batched.constant, 0], np.int64)
    return joined_classes([(taps, positions + base) for taps, positions in classes])


def by_weights(classes: list) -> list:
    """The same, apart by the weights that they begin with."""
    return [
        (taps, positions[positions[:, 0] == w])
        for taps, positions in classes
        for w in distinct(positions[:, 0])
    ]


def runs_from(offsets: np.ndarray, width: int) -> np.ndarray:
    """For each offset whether it and those that follow are `width` in a row, int64."""
    breaks = np.concatenate([[0], np.cumsum(np.diff(offsets) != 1), np.full(width, -1)])
    return (breaks[: len(offsets)] == breaks[width - 1 : width - 1 + len(offsets)]).astype(np.int64)


def components(op: Contract, without: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Axes of the result and indices, in groups that have nothing to do with each other."""
    groups: list[tuple[set[int], set[int]]] = []
    for axis, expression in enumerate(op.out):
        if not any(i in without for i, _ in expression.terms):
            groups.append(({axis}, {i for i, _ in expression.terms}))
    for index in range(len(op.extents)):
        if index not in without:
            groups.append((set(), {index}))
    joined: list[tuple[set[int], set[int]]] = []
    for axes, indices in groups:
        apart = []
        for other in joined:
            if other[1] & indices:
                axes, indices = axes | other[0], indices | other[1]
            else:
                apart.append(other)
        joined = [*apart, (axes, indices)]
    return [(sorted(axes), sorted(indices)) for axes, indices in joined]


def distinct(numbers: np.ndarray) -> list[int]:
    """Return the different integers of an array, in order: `np.unique` takes 10 ms to import."""
    return sorted(set(numbers.tolist()))


def classes_of(op: Contract, axes: list[int], indices: list[int], operands) -> list:
    """Positions of the result (of these axes) by their taps (of these indices).

    Pairs of taps [n, 2], offsets in the weights and the batched operand relative to the first tap,
    and positions [m, 3], offsets of the first tap and of the result.
    """
    weights, batched, out = operands
    extents = [op.bound_extents[i] for i in indices]
    grid = np.indices(extents).reshape(len(extents), math.prod(extents))
    steps = [[each.step(i) for each in (weights, batched)] for i in indices]
    taps = grid.T @ np.array(steps, np.int64).reshape(-1, 2)
    box = [sizes.bound(op.shape[axis]) for axis in axes]
    at = np.zeros(grid.shape[1], np.int64)
    for axis, size in zip(axes, box, strict=True):
        expression = op.out[axis]
        place = expression.constant + sum(
            c * grid[indices.index(i)] for i, c in expression.bound_terms
        )
        at = at * size + place
    position = np.indices(box).reshape(len(box), math.prod(box))
    out_at = position.T @ np.array([out.strides[axis] for axis in axes], np.int64)

    order = np.lexsort((taps[:, 0], taps[:, 1], at))
    taps, counts = taps[order], np.bincount(at, minlength=len(out_at))
    firsts = np.cumsum(counts) - counts
    classes = []
    for count in distinct(counts):
        where = np.flatnonzero(counts == count)
        if count == 0:
            positions = np.zeros((len(where), 3), np.int64)
            positions[:, 2] = out_at[where]
            classes.append((np.zeros((0, 2), np.int64), positions))
            continue
        lists = taps[firsts[where][:, None] + np.arange(count)]  # [positions, count, 2]
        positions = np.concatenate([lists[:, 0], out_at[where][:, None]], 1)
        relative = lists - lists[:, :1]
        members: dict[bytes, list[int]] = {}
        for n, each in enumerate(relative):
            members.setdefault(each.tobytes(), []).append(n)
        classes += [(relative[same[0]], positions[same]) for same in members.values()]
    return classes


def combined(one, two):
    """Two classes of independent axes as one: all pairs of taps, at all pairs of positions."""
    return tuple(
        (a[:, None] + b[None]).reshape(-1, a.shape[1]) for a, b in zip(one, two, strict=True)
    )


def joined_classes(classes: list) -> list:
    """The classes, taps in the order of the batched operand, and those without taps as one."""
    empty = [positions for taps, positions in classes if not len(taps)]
    classes = [
        (taps[np.argsort(taps[:, 1], kind="stable")], positions[np.argsort(positions[:, 2])])
        for taps, positions in classes
        if len(taps)
    ]
    if empty:
        classes.append((np.zeros((0, 2), np.int64), np.concatenate(empty)))
    return classes


def even_part(size: int, part: Part) -> tuple[int, int]:
    """Start and end of one part of so many entries."""
    return size * part.number // part.parts, size * (part.number + 1) // part.parts


def part_of(rows: LoopAxis, classes: list, part: Part) -> tuple[LoopAxis, list]:
    """The rows and the positions of one part of the result."""
    if not part.even:
        return rows, [
            (taps, positions[slice(*even_part(len(positions), part))])
            for taps, positions in classes
        ]
    start, count = share(rows.size, part.number, part.parts)
    shift = start * np.array(rows.steps)
    return replace(rows, size=count), [(taps, positions + shift) for taps, positions in classes]


def run_of(op: Contract, operands: Sequence[Linear]) -> tuple[tuple[int, ...], int, int]:
    """Return the index along contiguous elements of the result, its extent, and its step in x.

    If there is no such index, the extent and the step are 1.
    """
    weights, batched, out = operands
    runs = [
        i
        for i in out.steps
        if out.step(i) == 1 and i in batched and i not in weights and exact(op, i)
    ]
    return tuple(runs[:1]), *(
        (op.bound_extents[runs[0]], batched.step(runs[0])) if runs else (1, 1)
    )
