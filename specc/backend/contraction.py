"""A contraction with known sizes to a call of a kernel that runs it in register tiles.

    plan = plan_contraction(op, left, right, out, lanes=64)     # None: no fast form
    block = plan.args(left=address, right=address, out=address, scratch=address)

A batched operand lies in memory as [axes..., lanes], the lanes contiguous; any other as its strides
say. Four forms, all driven by tables of offsets:

    spread   batched = weights x batched: a `contract` tile at every position of the result
    packed   the same where weights are used often: they are copied first, in the tiles' own order
    outer    weights' gradient: `outer` tiles over segments of contiguous lanes
    turned   weights' gradient of few lanes: one operand is transposed, then a `contract` tile
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from specc.backend.load import Kernel
from specc.backend.machine import Machine, this_machine
from specc.backend.tile_kernels import (
    Target,
    contract_kernel,
    outer_kernel,
    pack_kernel,
    packed_kernel,
    turned_kernel,
)
from specc.ops.contract import Affine, Contract, Map

# Bytes of the batched operand that a tile runs over before the next rows have their turn. Weights
# that lie in rows are read best in long runs; in columns, they should stay in the nearest cache.
_LONG_SLICE, _SHORT_SLICE = 96 << 10, 16 << 10
# The same of packed weights, and cycles that it takes to pack one.
_PACKED_SLICE, _PACKING = 32 << 10, 1.5
# Bytes of a transposed operand that all tiles run over in turn; the most that is transposed at all; and
# those of the taps that a near cache holds.
_TURNED_SLICE, _MOST_TURNED, _NEAR = 24 << 10, 8 << 20, 64 << 10
# Bytes of the rows of an `outer` tile that all taps run over before the next ones have their turn,
# and the vectors of a segment, which these are made of.
_OUTER_SLICE, _LONGEST = 32 << 10, 64


@dataclass(frozen=True)
class Operand:
    """How an operand lies in memory: elements from one entry of each axis to the next."""

    strides: tuple[int, ...]
    batched: bool


@dataclass(frozen=True, eq=False)
class ContractionPlan:
    """A kernel and what to call it with.

    `parameters` has, in the kernel's order, "left", "right", "out", "scratch", "packed", the name of
    a table, or an integer. `scratch` is in bytes, 0 where none is wanted. Where `packing` is not
    None, it is to be called first, once for all calls with the same weights: it fills "packed", of
    so many bytes.
    """

    kernel: Kernel
    parameters: tuple[str | int, ...]
    tables: dict[str, np.ndarray]
    scratch: int = 0
    packing: ContractionPlan | None = None
    packed: int = 0

    def args(self, left: int, right: int, out: int, scratch: int = 0, packed: int = 0) -> np.ndarray:
        """The args block of one call, from addresses; the plan must outlive it."""
        places = {name: table.ctypes.data for name, table in self.tables.items()}
        places |= {"left": left, "right": right, "out": out, "scratch": scratch, "packed": packed}
        return np.array([places.get(each, each) for each in self.parameters], np.int64)


def plan_contraction(
    op: Contract,
    left: Operand,
    right: Operand,
    out: Operand,
    lanes: int,
    dtype: str = "float32",
    machine: Machine | None = None,
    turns: int = 1,
    examples: int = 0,
) -> ContractionPlan | None:
    """The fastest known form of `op` for these operands, `lanes` of the batch in each shard.

    It is called `turns` times with the same weights. Lanes from `examples` on hold nothing that
    counts (0: all do).
    """
    target = Target(dtype, machine or this_machine())
    assert lanes % target.width == 0, (lanes, target)
    operands = [_Linear(op.left, left, "left"), _Linear(op.right, right, "right")]
    op, out = _split(op, out)
    result = _Linear(op.out, out, "out")
    if left.batched != right.batched and out.batched:
        weights, batched = sorted(operands, key=lambda each: each.batched)
        return _spread(op, weights, batched, result, lanes, target, turns)
    if left.batched and right.batched and not out.batched:
        return _weights_gradient(op, operands, result, lanes, examples or lanes, target)
    return None


def _split(op: Contract, out: Operand) -> tuple[Contract, Operand]:
    """The same with an axis of the result that several indices run through (g * 8 + k) cut up."""
    maps, shape, strides = [], [], []
    for expression, size, stride in zip(op.out, op.shape, out.strides, strict=True):
        terms = sorted(expression.terms, key=lambda term: -term[1])
        expected = size
        for i, coefficient in terms:
            expected = expected // op.extents[i] if expected == coefficient * op.extents[i] else 0
        if len(terms) < 2 or expression.constant or expected != 1:
            terms = []
            maps.append(expression)
            shape.append(size)
            strides.append(stride)
        for i, coefficient in terms:
            maps.append(Affine(((i, 1),)))
            shape.append(op.extents[i])
            strides.append(coefficient * stride)
    return replace(op, out=tuple(maps), shape=tuple(shape)), Operand(tuple(strides), out.batched)


class _Linear:
    """An operand's address as a linear function of the indices, in elements."""

    def __init__(self, map_: Map, operand: Operand, name: str):
        self.name, self.strides, self.batched = name, operand.strides, operand.batched
        self.constant = 0
        self.steps: dict[int, int] = {}  # index -> elements
        for expression, stride in zip(map_, operand.strides, strict=True):
            self.constant += expression.constant * stride
            for index, coefficient in expression.terms:
                self.steps[index] = self.steps.get(index, 0) + coefficient * stride

    def step(self, index: int) -> int:
        return self.steps.get(index, 0)

    def __contains__(self, index: int) -> bool:
        return index in self.steps


@dataclass(frozen=True)
class _Axis:
    """Indices that run together as one: `size` entries, and the step in each of some operands."""

    size: int
    steps: tuple[int, ...]
    indices: tuple[int, ...] = ()


def _merged(op: Contract, indices: Iterable[int], operands: Sequence[_Linear]) -> list[_Axis]:
    """The indices as few axes: an index that goes on where another ends is joined to it."""
    axes: list[_Axis] = []
    for index in sorted(indices, key=lambda i: [each.step(i) for each in operands]):
        steps = tuple(each.step(index) for each in operands)
        for n, axis in enumerate(axes):
            if steps == tuple(axis.size * step for step in axis.steps):
                axes[n] = _Axis(axis.size * op.extents[index], axis.steps, (*axis.indices, index))
                break
        else:
            axes.append(_Axis(op.extents[index], steps, (index,)))
    return axes


def _offsets(axes: Iterable[_Axis], operands: int) -> np.ndarray:
    """Offsets of every point of the box of axes, [points, operands], the last axis fastest."""
    total = np.zeros((1, operands), np.int64)
    for axis in axes:
        own = np.arange(axis.size)[:, None] * np.array(axis.steps, np.int64)
        total = (total[:, None, :] + own[None]).reshape(-1, operands)
    return total


def _exact(op: Contract, index: int) -> bool:
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


# The form "spread".


def _spread(
    op: Contract, weights: _Linear, batched: _Linear, out: _Linear, lanes: int, target: Target,
    turns: int,
) -> ContractionPlan:
    operands = (weights, batched, out)
    candidates = [i for i in weights.steps if i not in batched and i in out and _exact(op, i)]
    rows = max(
        _merged(op, candidates, operands), key=lambda axis: axis.size, default=_Axis(1, (0, 0, 0))
    )
    # the empty class first, then one for each distinct list of taps
    classes = [(np.zeros((1, 2), np.int64), np.zeros((1, 3), np.int64))]
    for axes, indices in _components(op, rows.indices):
        own = _classes(op, axes, indices, operands)
        classes = [_combine(one, two) for one, two in product(classes, own)]
    base = np.array([weights.constant, batched.constant, 0], np.int64)
    classes = _joined([(taps, positions + base) for taps, positions in classes])

    points = sum(len(taps) * len(positions) for taps, positions in classes)
    average = max(1, points // sum(len(positions) for _, positions in classes))
    plain = _Tiles(target, rows.size, average)
    shape, cycles = plain.best(lanes // target.width)
    names = {"x": batched.name, "w": weights.name}
    cycles *= sum(len(positions) for _, positions in classes)

    # positions with the same weights, each of them with the vectors of its lanes
    lists = [
        (taps, positions[positions[:, 0] == w])
        for taps, positions in classes
        for w in np.unique(positions[:, 0])
    ]
    total = sum(len(taps) for taps, _ in lists)
    columns = [len(positions) * (lanes // target.width) for _, positions in lists]
    most_columns = max(columns, default=1)
    packed_shape, packed_cycles = min(
        ((each, sum(plain.packed(each, len(taps), count)
                    for (taps, _), count in zip(lists, columns, strict=True)))
         for each in target.packed_shapes(rows.size, most_columns)),
        key=lambda option: option[1],
    )
    if packed_cycles + _PACKING * total * rows.size / turns < cycles:
        return _packed_plan(target, packed_shape, lists, rows, lanes, names)
    return _contract_plan(target, shape, classes, rows, lanes, names)


def _components(op: Contract, without: Sequence[int]) -> list[tuple[list[int], list[int]]]:
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


def _classes(op: Contract, axes: list[int], indices: list[int], operands) -> list:
    """Positions of the result (of these axes) by their taps (of these indices).

    Pairs of taps [n, 2], offsets in the weights and the batched operand relative to the first tap,
    and positions [m, 3], offsets of the first tap and of the result.
    """
    weights, batched, out = operands
    sizes = [op.extents[i] for i in indices]
    grid = np.indices(sizes).reshape(len(sizes), np.prod(sizes, dtype=int))
    steps = [[each.step(i) for each in (weights, batched)] for i in indices]
    taps = grid.T @ np.array(steps, np.int64).reshape(-1, 2)
    box = [op.shape[axis] for axis in axes]
    at = np.zeros(grid.shape[1], np.int64)
    for axis, size in zip(axes, box, strict=True):
        expression = op.out[axis]
        place = expression.constant + sum(c * grid[indices.index(i)] for i, c in expression.terms)
        at = at * size + place
    position = np.indices(box).reshape(len(box), np.prod(box, dtype=int))
    out_at = position.T @ np.array([out.strides[axis] for axis in axes], np.int64)

    order = np.lexsort((taps[:, 0], taps[:, 1], at))
    taps, counts = taps[order], np.bincount(at, minlength=len(out_at))
    firsts = np.cumsum(counts) - counts
    classes = []
    for count in np.unique(counts):
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


def _combine(one, two):
    """Two classes of independent axes as one: all pairs of taps, at all pairs of positions."""
    return tuple(
        (a[:, None] + b[None]).reshape(-1, a.shape[1]) for a, b in zip(one, two, strict=True)
    )


def _joined(classes: list) -> list:
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


@dataclass(frozen=True)
class _Tiles:
    """Estimates of the cycles of tiles over so many rows; the constants are fitted to measured ones."""

    target: Target
    rows: int
    taps: int

    def best(self, vectors: int) -> tuple[tuple[int, int], float]:
        """The cheapest shape of `contract` tiles along so many vectors, and its cycles."""
        shapes = self.target.shapes(self.rows, vectors)
        return min(((each, self.cycles(each, vectors)) for each in shapes), key=lambda pair: pair[1])

    def cycles(self, shape: tuple[int, int], vectors: int) -> float:
        """Of `contract` tiles along so many vectors."""
        r, v = shape
        # Two products a cycle, each of which takes four; two loads a cycle. Few sums cannot quite
        # hide the latency, few rows load the columns often.
        tap = max(r * v / 2, 4.6, (r + v + 3) / 2) + max(24 - r * v, 0) / 24 + v / 20
        return self._blocks(shape, vectors) * (self.taps * 1.25 * tap + r * v + 20)

    def packed(self, shape: tuple[int, int], taps: int, vectors: int) -> float:
        """Of `packed` tiles over so many vectors and taps."""
        r, v = shape
        tap = max(r * v / 2, 4.6) * 1.12 + 0.08 * r + 0.15 * v
        return self._blocks(shape, vectors) * (taps * tap + r * v + 25)

    def _blocks(self, shape: tuple[int, int], vectors: int) -> int:
        return -(-self.rows // shape[0]) * -(-vectors // shape[1])


def _contract_shape(target: Target, rows: int, elements: int, taps: int) -> tuple[int, int]:
    """The cheapest tile: rows, and vectors of the `elements` that lie along them."""
    return _Tiles(target, rows, taps).best(elements // target.width)[0]


def _contract_plan(
    target: Target, shape, classes: list, rows: _Axis, lanes: int, names: dict
) -> ContractionPlan:
    """The plan of `contract` tiles."""
    r, v = shape
    step = v * target.width
    taps = np.concatenate([taps for taps, _ in classes])
    positions = np.concatenate([positions for _, positions in classes])
    counts = np.array([(len(taps), len(positions)) for taps, positions in classes], np.int64)
    ends = np.cumsum(counts, 0)
    table = np.stack(
        [ends[:, 0] - counts[:, 0], counts[:, 0], ends[:, 1] - counts[:, 1], ends[:, 1]], 1
    )

    row_blocks = -(-rows.size // r)
    longest = int(counts[:, 0].max())
    size = target.bytes
    most = (_SHORT_SLICE if rows.steps[0] * size < 64 else _LONG_SLICE) // (step * size)
    if row_blocks == 1 or longest <= 2 * most:
        most = max(longest, 1)
    scratch = row_blocks * r * step * size if longest > most else 0
    w_row, _, out_row = rows.steps
    # fmt: off
    parameters = (
        names["x"], names["w"], "out", "scratch", "classes", len(classes), "x_at", "w_at",
        "positions", rows.size, w_row, out_row, lanes, most,
    )
    # fmt: on
    return ContractionPlan(
        contract_kernel(target, shape),
        parameters,
        {
            "classes": table,
            "positions": positions,
            "x_at": np.ascontiguousarray(taps[:, 1]),
            "w_at": np.ascontiguousarray(taps[:, 0]),
        },
        scratch,
    )


def _packed_plan(
    target: Target, shape, lists: list, rows: _Axis, lanes: int, names: dict
) -> ContractionPlan:
    """The plan of `packed` tiles; `lists` has taps, and the positions that use the same weights."""
    r, v = shape
    blocks = -(-rows.size // r)
    longest = max(len(taps) for taps, _ in lists)
    most = max(_PACKED_SLICE // (v * target.width * target.bytes), 1)
    if blocks == 1 or longest <= 1.5 * most:
        most = max(longest, 1)
    steps = np.arange(0, lanes, target.width)[:, None]
    classes, columns, w_at, packed, at = [], [], [], 0, 0
    first = 0
    for taps, positions in lists:
        own = (positions[:, None, 1:] + steps).reshape(-1, 2)
        own = np.concatenate([own, np.tile(own[-1:], (-len(own) % v, 1))])  # whole tiles
        classes.append((first, len(taps), packed, at, at + len(own)))
        columns.append(own)
        w_at.append(taps[:, 0] + positions[0, 0])
        packed += blocks * r * len(taps)
        first, at = first + len(taps), at + len(own)
    tables = {
        "classes": np.array(classes, np.int64),
        "columns": np.concatenate(columns),
        "x_at": np.concatenate([taps[:, 1] for taps, _ in lists]),
        "w_at": np.concatenate(w_at),
    }
    w_row, _, out_row = rows.steps
    packing = ContractionPlan(
        pack_kernel(target, r),
        (names["w"], "packed", "classes", len(classes), "w_at", rows.size, w_row, most),
        tables,
    )
    # fmt: off
    parameters = (
        names["x"], "packed", "out", "scratch", "classes", len(classes), "x_at", "columns",
        rows.size, out_row, most,
    )
    # fmt: on
    scratch = blocks * r * v * target.width * target.bytes if longest > most else 0
    return ContractionPlan(
        packed_kernel(target, shape), parameters, tables, scratch, packing, packed * target.bytes
    )


# The forms "outer" and "turned".


def _weights_gradient(
    op: Contract, operands: list[_Linear], out: _Linear, lanes: int, examples: int, target: Target
) -> ContractionPlan | None:
    kept = set(out.steps)
    if not all(_exact(op, i) for i in kept) or len(kept) != len(op.out):
        return None
    if any(i not in operands[0] and i not in operands[1] for i in range(len(op.extents))):
        return None
    options = [
        _gradient_option(op, rows, taps, out, lanes, examples, target)
        for rows, taps in (operands, operands[::-1])
    ]
    _, build = min(options, key=lambda option: option[0])
    return build()


def _gradient_option(
    op: Contract, dy: _Linear, x: _Linear, out: _Linear, lanes: int, examples: int, target: Target
):
    """Cycles, and what makes the plan, with the rows of the tiles from dy and the taps from x."""
    kept = set(out.steps)
    own = _merged(op, [i for i in kept if i not in x], (dy, x, out))
    rows = max(own, key=lambda axis: axis.size, default=_Axis(1, (0, 0, 0)))
    tap_axes = _merged(op, [i for i in kept if i not in dy], (dy, x, out))
    shared = _merged(op, [i for i in kept if i in dy and i in x], (dy, x, out))
    others = [axis for axis in own if axis is not rows] + shared
    summed = _merged(op, [i for i in range(len(op.extents)) if i not in kept], (dy, x))
    positions = _offsets(others, 3) + np.array([dy.constant, x.constant, 0])
    taps = _offsets(tap_axes[::-1], 3)[:, 1:]

    # whole runs of lanes one by one, of which only the examples count
    runs, used = _offsets(summed[::-1], 2), examples
    # lanes are contiguous; an axis that goes on where they end lengthens the segments
    length = lanes
    for axis in sorted(summed, key=lambda axis: axis.steps):
        if axis.steps == (length, length):
            length *= axis.size
            summed = [each for each in summed if each is not axis]
    ends = _offsets(summed[::-1], 2)
    if examples == lanes:
        runs, used = ends, length
    segments = _cut(ends, length, target.width)
    steps = len(ends) * length // target.width

    def cycles(shape: tuple[int, int]) -> float:
        r, t = shape
        blocks = -(-rows.size // r) * -(-len(taps) // t)
        step = max(r * t / 2, 4, (r + t) / 2) + 1
        return len(positions) * blocks * (steps * step + 5 * r * t + 20)

    shape = min(target.shapes(rows.size, len(taps)), key=cycles)
    total = len(runs) * used
    turnable = (
        len(tap_axes) == 1
        and tap_axes[0].steps[2] == 1
        and len(taps) >= target.width
        and len(positions) == 1
        and len(taps) * total * target.bytes <= _MOST_TURNED
    )
    outer_cycles = cycles(shape)
    if len(taps) * total * target.bytes > _NEAR:
        outer_cycles *= 1.8  # measured: the taps come from a far cache for all rows anew
    if turnable:
        turned_shape = _contract_shape(target, rows.size, len(taps), total)
        r, v = turned_shape
        blocks = -(-rows.size // r) * -(-len(taps) // (v * target.width))
        turning = len(taps) * total * 0.4
        turned_cycles = blocks * (total * (max(r * v / 2, 4) + 1) + r * v + 20) + turning
        if turned_cycles < outer_cycles:
            return turned_cycles, lambda: _turned(
                target, turned_shape, dy, x, rows, tap_axes[0], runs, used
            )
    return outer_cycles, lambda: _outer(target, shape, dy, x, rows, taps, segments, positions)


def _turned(
    target: Target, shape, dy: _Linear, x: _Linear, rows: _Axis, taps: _Axis, ends: np.ndarray,
    length: int,
) -> ContractionPlan:
    """The plan of tiles over `length` lanes from each of the ends."""
    r, v = shape
    # an odd number of vectors: rows a power of two apart would fall onto the same cache lines
    turned_row = target.width * (-(-taps.size // target.width) | 1)
    total, step = len(ends) * length, v * target.width
    most = max(target.width, _TURNED_SLICE // (step * target.bytes) // target.width * target.width)
    tiles = -(-rows.size // r) * -(-taps.size // step)
    sums = tiles * r * step if total > most else 0
    lanes = np.arange(length, dtype=np.int64)
    # fmt: off
    parameters = (
        x.name, dy.name, "out", "scratch", "ends", len(ends), length, "x_at", "w_at",
        rows.size, rows.steps[0], rows.steps[2], taps.size, taps.steps[1], turned_row, most,
    )
    # fmt: on
    return ContractionPlan(
        turned_kernel(target, shape),
        parameters,
        {
            "ends": np.ascontiguousarray(ends[:, 1] + x.constant),
            "x_at": np.arange(most, dtype=np.int64) * turned_row,
            "w_at": (ends[:, :1] + dy.constant + lanes).reshape(-1),
        },
        # whole vectors are transposed, so some lanes beyond the last
        ((total + target.width) * turned_row + sums) * target.bytes,
    )


def _cut(ends: np.ndarray, length: int, width: int) -> np.ndarray:
    """Segments [n, 3] of at most `_LONGEST` vectors: offsets in both operands, and vectors."""
    starts = np.arange(0, length, _LONGEST * width)
    counts = np.minimum(_LONGEST, (length - starts) // width)
    cut = (ends[:, None, :] + starts[None, :, None]).reshape(-1, 2)
    return np.concatenate([cut, np.tile(counts, len(ends))[:, None]], 1)


def _outer(
    target: Target, shape, dy: _Linear, x: _Linear, rows: _Axis, taps, segments, positions
) -> ContractionPlan:
    r, t = shape
    vector = target.width * target.bytes
    total = int(segments[:, 2].sum())
    most = max(1, _OUTER_SLICE * len(segments) // (r * total * vector))
    scratch = -(-len(taps) // t) * r * t * vector if most < len(segments) else 0
    # fmt: off
    parameters = (
        x.name, dy.name, "out", "tap_at", "dw_at", len(taps), "segments", len(segments),
        "positions", len(positions), rows.size, rows.steps[0], rows.steps[2],
        most, "scratch",
    )
    # fmt: on
    return ContractionPlan(
        outer_kernel(target, shape),
        parameters,
        {
            "tap_at": np.ascontiguousarray(taps[:, 0]),
            "dw_at": np.ascontiguousarray(taps[:, 1]),
            "segments": np.ascontiguousarray(segments),
            "positions": np.ascontiguousarray(positions),
        },
        scratch,
    )
