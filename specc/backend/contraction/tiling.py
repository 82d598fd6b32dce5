"""Tables of offsets for kernels: operands as linear functions of indices, taps and positions.

    Linear(op.left, Operand((784, 1), False), "left").step(index)     # elements per step of index

A position is an element of the result, without its row and its lane. A tap is one product of the
sum that gives it, such as one element of a convolution's filter; its offsets in the weights and in
the batched operand are relative to the first tap. A tap group is a list of taps, and all positions
whose sums have these taps: the inner positions of a padded convolution are one group, its edges
others. Kernels run over tables of these offsets, which a `ContractionPlan` holds.
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
    """One of `parts` parts of a result.

    With `even`, it is an equal share of the result's first axis, which is the axis of the weights'
    rows. Otherwise the form decides how to divide the result.
    """

    number: int = 0
    parts: int = 1
    even: bool = False


WHOLE = Part()


@dataclass(frozen=True)
class Operand:
    """The memory layout of an operand: the stride of each axis, in elements."""

    strides: tuple[int, ...]
    batched: bool


# Kernel parameters for prefetching: three addresses that the next kernel needs, and the bytes at
# each.
PREFETCHED = ("prefetched", "prefetched_2", "prefetched_3", "prefetched_size")


# How the kernels whose sums have a known order add up their terms, by the start of their names.
_SUMS = {"contract": "taps", "packed": "taps", "across": "across", "dot": "dot", "outer": "outer"}


@dataclass(frozen=True)
class Within:
    """The address `offset` bytes after the start of the scratch memory, or of "out"."""

    offset: int
    space: str = "scratch"


@dataclass(frozen=True, eq=False)
class ContractionPlan:
    """A kernel and its arguments.

    `parameters` has, in the kernel's order, "left", "right", "out", "scratch", "packed", one of
    `PREFETCHED`, the name of a table, an address `Within` the scratch memory, or an integer.
    `scratch` and `packed` are the sizes of these memories in bytes. `packing`, if there is any, is
    called first, once for all calls with the same weights, and fills "packed". `before` are called
    directly before the kernel, each time.
    """

    kernel: Kernel
    parameters: tuple[str | int | Within, ...]
    tables: dict[str, np.ndarray]
    scratch: int = 0
    packing: ContractionPlan | None = None
    packed: int = 0
    prefetches: bool = False  # the kernel prefetches data written by other threads
    updating: Kernel | None = None  # replaces `kernel` if the next kernel writes prefetched data
    before: tuple[ContractionPlan, ...] = ()
    copied: int = 0  # size of the copy of an operand that the kernel makes at `out`, in bytes

    def in_order(self) -> Iterator[ContractionPlan]:
        """Yield the plans of all kernels, in the order in which they are called."""
        if self.packing is not None:
            yield from self.packing.in_order()
        yield from self.before
        yield self

    @property
    def order(self) -> tuple[object, ...] | None:
        """Return what the order of each sum's terms follows from, besides the contraction.

        Plans of one contraction whose order is the same give the same bits: tiles of different
        shapes add up the same terms in the same order, with one multiply-add for each. It is None
        if nothing is known of the kernel's sums.
        """
        method = _SUMS.get(self.kernel.name.partition("_")[0])
        if method is None or self.before:
            return None
        values = dict(zip(self.kernel.parameters, self.parameters, strict=True))
        # packed operands come from the operand that `packing` reads
        roles = tuple(
            self.packing.parameters[0] if each == "packed" and self.packing else each
            for each in self.parameters[:2]
        )
        pieces = [values[name] for name in ("group", "piece") if name in values]
        if "most" in values:
            of = "segments" if "segments" in self.tables else "groups"
            table = self.tables[of]
            whole = len(table) if of == "segments" else int(table[:, 1].max(initial=0))
            most = values["most"]
            assert isinstance(most, int), "the length of a slice is a number"
            pieces.append(most if most < whole else 0)
        return method, roles, *pieces

    def args(
        self, left: int, right: int, out: int, scratch: int = 0, packed: int = 0
    ) -> np.ndarray:
        """Return the args block of one call, from addresses; the plan must outlive it."""
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
    """Return the contraction without terms of indices whose only value is 0."""
    extents = op.bound_extents

    def without(map_: Map) -> Map:
        return tuple(
            replace(each, terms=tuple(term for term in each.terms if extents[term[0]] > 1))
            for each in map_
        )

    return replace(op, out=without(op.out), left=without(op.left), right=without(op.right))


def split(op: Contract, out: Operand) -> tuple[Contract, Operand]:
    """Split axes of the result that several indices form (g * 8 + k) into one axis per index.

    Returns the contraction and the layout of the result with the new axes.
    """
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
    """Indices that are one loop: its number of iterations, and its step in each operand."""

    size: int
    steps: tuple[int, ...]
    indices: tuple[int, ...] = ()


def merged(op: Contract, indices: Iterable[int], operands: Sequence[Linear]) -> list[LoopAxis]:
    """Return the indices as loop axes; an index that continues where another ends is joined."""
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
    """Return the offsets of all points of a box of axes, [points, operands], the last fastest."""
    total = np.zeros((1, operands), np.int64)
    for axis in axes:
        own = np.arange(axis.size)[:, None] * np.array(axis.steps, np.int64)
        total = (total[:, None, :] + own[None]).reshape(-1, operands)
    return total


def exact(op: Contract, index: int) -> bool:
    """Return whether an index is one whole axis of the result."""
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
    """Return the tap groups of a contraction, without the indices in `without`.

    A group is a pair of its taps [n, 2], offsets in the weights and the batched operand from the
    first tap, and its positions [m, 3], offsets of the first tap in both, and of the result.
    """
    weights, batched, _ = operands
    # start with one group of one tap, and combine it with the groups of each component
    groups = [(np.zeros((1, 2), np.int64), np.zeros((1, 3), np.int64))]
    for axes, indices in components(op, without):
        own = groups_of(op, axes, indices, operands)
        groups = [combined(one, two) for one, two in product(groups, own)]
    base = np.array([weights.constant, batched.constant, 0], np.int64)
    return joined_groups([(taps, positions + base) for taps, positions in groups])


def by_weights(groups: list) -> list:
    """Split each tap group by the weight offset of its first tap."""
    return [
        (taps, positions[positions[:, 0] == w])
        for taps, positions in groups
        for w in distinct(positions[:, 0])
    ]


def runs_from(offsets: np.ndarray, width: int) -> np.ndarray:
    """Return for each offset whether `width` consecutive numbers start there, int64."""
    breaks = np.concatenate([[0], np.cumsum(np.diff(offsets) != 1), np.full(width, -1)])
    return (breaks[: len(offsets)] == breaks[width - 1 : width - 1 + len(offsets)]).astype(np.int64)


def components(op: Contract, without: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Group the result's axes and the indices into independent components."""
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
    """Return the distinct integers of an array in order; `np.unique` takes 10 ms to import."""
    return sorted(set(numbers.tolist()))


def groups_of(op: Contract, axes: list[int], indices: list[int], operands) -> list:
    """Return the tap groups of one component, which are some axes of the result and indices."""
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
    groups = []
    for count in distinct(counts):
        where = np.flatnonzero(counts == count)
        if count == 0:
            positions = np.zeros((len(where), 3), np.int64)
            positions[:, 2] = out_at[where]
            groups.append((np.zeros((0, 2), np.int64), positions))
            continue
        lists = taps[firsts[where][:, None] + np.arange(count)]  # [positions, count, 2]
        positions = np.concatenate([lists[:, 0], out_at[where][:, None]], 1)
        relative = lists - lists[:, :1]
        members: dict[bytes, list[int]] = {}
        for n, each in enumerate(relative):
            members.setdefault(each.tobytes(), []).append(n)
        groups += [(relative[same[0]], positions[same]) for same in members.values()]
    return groups


def combined(one, two):
    """Combine two tap groups of independent components: all pairs of taps and of positions."""
    return tuple(
        (a[:, None] + b[None]).reshape(-1, a.shape[1]) for a, b in zip(one, two, strict=True)
    )


def joined_groups(groups: list) -> list:
    """Sort taps and positions by their offsets, and join the tap groups that have no taps."""
    empty = [positions for taps, positions in groups if not len(taps)]
    groups = [
        (taps[np.argsort(taps[:, 1], kind="stable")], positions[np.argsort(positions[:, 2])])
        for taps, positions in groups
        if len(taps)
    ]
    if empty:
        groups.append((np.zeros((0, 2), np.int64), np.concatenate(empty)))
    return groups


def even_part(size: int, part: Part) -> tuple[int, int]:
    """Return the start and the end of one part of `size` entries."""
    return size * part.number // part.parts, size * (part.number + 1) // part.parts


def part_of(rows: LoopAxis, groups: list, part: Part) -> tuple[LoopAxis, list]:
    """Return the rows and the tap groups of one part of the result.

    It has its share of each group's positions, or of the rows if there are too few positions.
    """
    if not part.even and sum(len(positions) for _, positions in groups) >= part.parts:
        own, before = [], 0
        for taps, positions in groups:
            # count from the first group on, so that groups of one position go to parts in turn
            (first, last), done = even_part(before + len(positions), part), even_part(before, part)
            own.append((taps, positions[first - done[0] : last - done[1]]))
            before += len(positions)
        return rows, [(taps, positions) for taps, positions in own if len(positions)]
    start, count = share(rows.size, part.number, part.parts)
    shift = start * np.array(rows.steps)
    return replace(rows, size=count), [(taps, positions + shift) for taps, positions in groups]


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
