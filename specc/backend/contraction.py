"""A contraction with known sizes to a call of a kernel that runs it in register tiles.

    plan = plan_contraction(op, left, right, out, lanes=64)     # None: no fast form
    block = plan.args(left=address, right=address, out=address, scratch=address)

A batched operand lies in memory as [axes..., lanes], the lanes contiguous; any other as its strides
say. Five forms, all driven by tables of offsets (and those of `single`, for one lane):

    spread   batched = weights x batched: a `contract` tile at every position of the result
    packed   the same where weights are used often: they are copied first, in the tiles' own order
             (for one lane, too: along the rows of images)
    outer    weights' gradient: `outer` tiles over segments of contiguous lanes
    turned   weights' gradient of few lanes: one operand is transposed, then a `contract` tile
    winograd any of the three for 3x3 weights and unit steps, where 16 products for 36 outweigh the
             transforms: see `winograd`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from specc.backend.machine import Machine, this_machine
from specc.backend.single import across_option, dot_option, part_of, run_of
from specc.backend.tile_kernels import (
    Target,
    contract_kernel,
    outer_kernel,
    pack_kernel,
    packed_kernel,
    turn_kernel,
)
from specc.backend.tiling import (
    SOON,
    WHOLE,
    Axis,
    ContractionPlan,
    Linear,
    Operand,
    Option,
    Part,
    by_weights,
    exact,
    merged,
    offsets,
    rows_of,
    runs_from,
    split,
    taps_and_positions,
)
from specc.backend.winograd import (
    winograd_gradient_option,
    winograd_option,
    winograd_run_option,
)
from specc.ir.plan import share
from specc.ops.contract import Affine, Contract

# Bytes of the batched operand that a tile runs over before the next rows have their turn. Weights
# that lie in rows are read best in long runs; in columns, they should stay in the nearest cache.
_LONG_SLICE, _SHORT_SLICE = 512 << 10, 16 << 10
# The same of packed weights, and cycles that it takes to pack one.
_PACKED_SLICE, _PACKING = 192 << 10, 1.5
# The shapes that are preferred where they cost at most so much more than the best.
_HARDLY, _NOTHING = 1.08, 2000  # a part of the cycles, and cycles: some 0.7 us
_USUAL = {32: ((6, 4), (7, 3), (8, 2), (12, 1)), 16: ((4, 2), (7, 1))}
_USUAL_PACKED = {32: ((8, 3), (6, 4), (12, 2), (16, 1)), 16: ((6, 2), (12, 1))}
_USUAL_OUTER = {32: ((4, 6), (6, 4)), 16: ((3, 3), (4, 2))}
# Bytes of a transposed operand that all tiles run over in turn; the most that is transposed at all; and
# those of the taps that a near cache holds.
_TURNED_SLICE, _MOST_TURNED, _NEAR = 32 << 10, 8 << 20, 64 << 10
# Bytes of the rows of an `outer` tile that all taps run over before the next ones have their turn,
# and the vectors of a segment, which these are made of.
_OUTER_SLICE, _LONGEST = 32 << 10, 64


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
    part: Part = WHOLE,
    wanted: tuple[tuple[int, int], ...] | None = None,
    kept: bool = False,
) -> ContractionPlan | None:
    """The fastest known form of `op` for these operands, `lanes` of the batch in each shard.

    It is called `turns` times with the same weights. Lanes from `examples` on hold nothing that
    counts (0: all do). Packed weights may be `kept` from run to run, so that it costs nothing to pack
    them. Only `part` of the result is computed; with lanes it must be an even share of the rows.
    Of the result only what lies from `wanted`[axis][0] up to `wanted`[axis][1] need be computed.
    """
    target = Target(dtype, machine or this_machine())
    operands = [Linear(op.left, left, "left"), Linear(op.right, right, "right")]
    read = dict(zip(op.out, wanted or (), strict=False))
    op, out = split(op, out)
    result = Linear(op.out, out, "out")
    if left.batched != right.batched and out.batched:
        weights, batched = sorted(operands, key=lambda each: each.batched)
        if lanes == 1:
            return _of_one(op, weights, batched, result, target, part, turns, kept)
        assert lanes % target.width == 0, (lanes, target)
        return _spread(op, weights, batched, result, lanes, target, turns, read, kept, part)
    if left.batched and right.batched and not out.batched and lanes > 1:
        return _weights_gradient(op, operands, result, lanes, examples or lanes, target)
    return None


# The form "spread".


def _spread(
    op: Contract, weights: Linear, batched: Linear, out: Linear, lanes: int, target: Target,
    turns: int, read: Mapping[Affine, tuple[int, int]], kept: bool, part: Part,
) -> ContractionPlan | None:
    operands = (weights, batched, out)
    rows = rows_of(op, operands)
    classes = taps_and_positions(op, rows.indices, operands)
    if part[1] > 1:
        rows, classes = part_of(rows, classes, part)
        if not rows.size:
            return None
    points = sum(len(taps) * len(positions) for taps, positions in classes)
    average = max(1, points // sum(len(positions) for _, positions in classes))
    plain = _Tiles(target, rows.size, average)
    shape, cycles = plain.best(lanes // target.width)
    names = {"x": batched.name, "w": weights.name}
    cycles *= sum(len(positions) for _, positions in classes)

    lists = by_weights(classes)
    total = sum(len(taps) for taps, _ in lists)
    # of each position, the vectors of its lanes
    columns = [len(positions) * (lanes // target.width) for _, positions in lists]
    most_columns = max(columns, default=1)
    packed_shape, packed_cycles = usual(
        [(each, sum(plain.packed(each, len(taps), count)
                    for (taps, _), count in zip(lists, columns, strict=True)))
         for each in target.packed_shapes(rows.size, most_columns)],
        target, _USUAL_PACKED,
    )
    packed_cycles += 0 if kept else _PACKING * total * rows.size / turns
    winograd = None
    if part[1] == 1:
        winograd = winograd_option(op, weights, batched, out, lanes, target, read, kept)
    if winograd is not None and winograd[0] < min(cycles, packed_cycles):
        return winograd[1]()
    if packed_cycles < cycles:
        return _packed_plan(target, packed_shape, lists, rows, lanes, names)
    return _contract_plan(target, shape, classes, rows, lanes, names)


# One example.


def _of_one(
    op: Contract, weights: Linear, batched: Linear, out: Linear, target: Target, part: Part,
    turns: int, kept: bool,
) -> ContractionPlan | None:
    def options(part: Part) -> dict[str, Option]:
        own = (op, weights, batched, out, target, part)
        made = {
            "across": across_option(*own, turns, kept),
            "dot": dot_option(*own, turns),
            "run": _along_run(*own, kept),
            "rows": _along_rows(*own, kept),
            "winograd": winograd_run_option(*own, kept),
        }
        return {name: option for name, option in made.items() if option is not None}

    # each form has its own way to divide the result, so that all parts must be of one
    leading = options(part if part[2] else (0, *part[1:]))
    if not leading:
        return None
    name = min(leading, key=lambda name: leading[name][0])
    option = options(part).get(name)
    return option[1]() if option is not None else None


def _along_run(
    op: Contract, weights: Linear, batched: Linear, out: Linear, target: Target, part: Part, kept: bool
) -> Option | None:
    """`packed` tiles for one example, where contiguous elements of the result come from contiguous ones:
    a row of an image takes the place of the lanes."""
    operands = (weights, batched, out)
    rows = rows_of(op, operands)
    runs, run, step = run_of(op, batched, weights, out)
    if step != 1 or run < target.width:
        return None
    lists = by_weights(taps_and_positions(op, (*rows.indices, *runs), operands))
    rows, lists = part_of(rows, lists, part)
    lists = [(taps, positions) for taps, positions in lists if len(positions)]
    if not lists or not rows.size:
        return None
    columns = [len(positions) * -(-run // target.width) for _, positions in lists]
    cost = _Tiles(target, rows.size, 1)
    shape, cycles = usual(
        [(each, sum(cost.packed(each, len(taps), count)
                    for (taps, _), count in zip(lists, columns, strict=True)))
         for each in target.packed_shapes(rows.size, max(columns))],
        target, _USUAL_PACKED,
    )
    cycles += 0 if kept else sum(len(taps) for taps, _ in lists) * rows.size * _PACKING
    names = {"x": batched.name, "w": weights.name}
    return cycles, lambda: _packed_plan(target, shape, lists, rows, run, names, part[1] > 1)


def _along_rows(
    op: Contract, weights: Linear, batched: Linear, out: Linear, target: Target, part: Part, kept: bool
) -> Option | None:
    """`contract` tiles for one example that has several positions (the steps of a sequence), whose values lie
    side by side: the rows of the weights, which are transposed, take the place of the lanes."""
    operands = (weights, batched, out)
    kept_indices = set(out.steps)
    if not all(exact(op, i) for i in kept_indices) or len(kept_indices) != len(op.out) or part[2]:
        return None
    if any(i not in weights and i not in batched for i in range(len(op.extents))):
        return None
    rows = rows_of(op, operands)
    summed = merged(op, [i for i in range(len(op.extents)) if i not in kept_indices], operands)
    run = next((axis for axis in summed if axis.steps[0] == 1), None)
    own = merged(op, [i for i in kept_indices if i not in weights], operands)
    main = max(own, key=lambda axis: axis.size, default=Axis(1, (0, 0, 0)))
    shared = [i for i in kept_indices if i in weights and i not in rows.indices]
    if run is None or run.size % target.width or main.size < 2 or rows.steps[2] != 1 or shared:
        return None
    number, parts, _ = part
    start, count, first, high = 0, rows.size, 0, main.size
    if rows.size >= 2 * parts * target.width:
        vectors = -(-rows.size // target.width)
        start, end = (vectors * n // parts * target.width for n in (number, number + 1))
        count = min(end, rows.size) - start
        if count < target.width:
            start, count = start + count - target.width, target.width
    else:
        first, high = share(main.size, number, parts)
    if count < target.width or not high:
        return None
    ends = offsets([axis for axis in summed if axis is not run], 3)
    taps = (ends[:, None] + np.arange(run.size)[:, None] * np.array(run.steps)).reshape(-1, 3)
    positions = offsets([axis for axis in own if axis is not main], 3)
    positions += np.array([0, batched.constant, start]) + first * np.array(main.steps)
    cost = _Tiles(target, high, len(taps))
    shape, cycles = cost.best(count // target.width)
    cycles = cycles * len(positions) + (0 if kept else 0.4 * len(taps) * count)
    # an odd number of vectors: rows a power of two apart would fall onto the same cache lines
    turned_row = target.width * (-(-count // target.width) | 1)

    def build() -> ContractionPlan:
        turning = ContractionPlan(
            turn_kernel(target),
            (weights.name, "packed", "ends", len(ends), run.size, count, rows.steps[0], turned_row),
            {"ends": ends[:, 0] + weights.constant + start * rows.steps[0]},
        )
        values = np.arange(len(taps), dtype=np.int64) * turned_row
        nothing = np.zeros(len(positions), np.int64)
        plan = _contract_plan(
            target, shape,
            [(np.stack([taps[:, 1], values], 1), np.stack([positions[:, 1], nothing, positions[:, 2]], 1))],
            Axis(high, (main.steps[1], 0, main.steps[2])), count,
            {"x": "packed", "w": batched.name},
        )
        return replace(plan, packing=turning, packed=len(taps) * turned_row * target.bytes)

    return cycles, build


Costed = tuple[tuple[int, int], float]  # the shape of a tile, and cycles


def usual(options: list[Costed], target: Target, wanted: dict[int, tuple]) -> Costed:
    """The cheapest shape, or one that many layers want (by the number of registers) and that costs
    hardly more: each shape is one more kernel to compile."""
    best = min(options, key=lambda option: option[1])
    for shape in wanted.get(target.machine.registers, ()):
        for option in options:
            if option[0] == shape and option[1] <= best[1] * _HARDLY + _NOTHING:
                return option
    return best


@dataclass(frozen=True)
class _Tiles:
    """Estimates of the cycles of tiles over so many rows; the constants are fitted to measured ones."""

    target: Target
    rows: int
    taps: int

    def best(self, vectors: int) -> tuple[tuple[int, int], float]:
        """The cheapest shape of `contract` tiles along so many vectors, and its cycles."""
        shapes = self.target.contract_shapes(self.rows, vectors)
        return usual(
            [(each, self.cycles(each, vectors)) for each in shapes], self.target, _USUAL)

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
    target: Target, shape, classes: list, rows: Axis, lanes: int, names: dict
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
        "positions", rows.size, w_row, out_row, lanes, most, *SOON,
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
        updating=contract_kernel(target, shape, True),
    )


def _packed_plan(
    target: Target, shape, lists: list, rows: Axis, lanes: int, names: dict, asks: bool = False
) -> ContractionPlan:
    """The plan of `packed` tiles; `lists` has taps, and the positions that use the same weights."""
    r, v = shape
    blocks = -(-rows.size // r)
    longest = max(len(taps) for taps, _ in lists)
    most = max(_PACKED_SLICE // (v * target.width * target.bytes), 1)
    if blocks == 1 or longest <= 1.5 * most:
        most = max(longest, 1)
    steps = np.minimum(np.arange(0, lanes, target.width), lanes - target.width)[:, None]
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
    tables["runs"] = runs_from(tables["w_at"], target.width)
    w_row, _, out_row = rows.steps
    packing = ContractionPlan(
        pack_kernel(target),
        (names["w"], "packed", "classes", len(classes), "w_at", "runs", rows.size, w_row, most, r),
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
        packed_kernel(target, shape, asks), parameters, tables, scratch, packing,
        packed * target.bytes, asks,
    )


# The forms "outer" and "turned".


def _weights_gradient(
    op: Contract, operands: list[Linear], out: Linear, lanes: int, examples: int, target: Target
) -> ContractionPlan | None:
    kept = set(out.steps)
    if not all(exact(op, i) for i in kept) or len(kept) != len(op.out):
        return None
    if any(i not in operands[0] and i not in operands[1] for i in range(len(op.extents))):
        return None
    options = [
        _gradient_option(op, rows, taps, out, lanes, examples, target)
        for rows, taps in (operands, operands[::-1])
    ]
    for dy, x in (operands, operands[::-1]):
        option = winograd_gradient_option(op, dy, x, out, lanes, examples, target)
        options += [option] if option is not None else []
    _, build = min(options, key=lambda option: option[0])
    return build()


def _gradient_option(
    op: Contract, dy: Linear, x: Linear, out: Linear, lanes: int, examples: int, target: Target
):
    """Cycles, and what makes the plan, with the rows of the tiles from dy and the taps from x."""
    kept = set(out.steps)
    own = merged(op, [i for i in kept if i not in x], (dy, x, out))
    rows = max(own, key=lambda axis: axis.size, default=Axis(1, (0, 0, 0)))
    tap_axes = merged(op, [i for i in kept if i not in dy], (dy, x, out))
    shared = merged(op, [i for i in kept if i in dy and i in x], (dy, x, out))
    others = [axis for axis in own if axis is not rows] + shared
    summed = merged(op, [i for i in range(len(op.extents)) if i not in kept], (dy, x))
    positions = offsets(others, 3) + np.array([dy.constant, x.constant, 0])
    taps = offsets(tap_axes[::-1], 3)[:, 1:]

    # whole runs of lanes one by one, of which only the examples count
    runs, used = offsets(summed[::-1], 2), examples
    # lanes are contiguous; an axis that goes on where they end lengthens the segments
    length = lanes
    for axis in sorted(summed, key=lambda axis: axis.steps):
        if axis.steps == (length, length):
            length *= axis.size
            summed = [each for each in summed if each is not axis]
    ends = offsets(summed[::-1], 2)
    if examples == lanes:
        runs, used = ends, length
    segments = _cut(ends, length, target.width)
    steps = len(ends) * length // target.width

    def cycles(shape: tuple[int, int]) -> float:
        r, t = shape
        blocks = -(-rows.size // r) * -(-len(taps) // t)
        step = max(r * t / 2, 4, (r + t) / 2) + 1
        return len(positions) * blocks * (steps * step + 5 * r * t + 20)

    shape, _ = usual(
        [(each, cycles(each)) for each in target.shapes(rows.size, len(taps))], target, _USUAL_OUTER)
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
    target: Target, shape, dy: Linear, x: Linear, rows: Axis, taps: Axis, ends: np.ndarray,
    length: int,
) -> ContractionPlan:
    """The plan of tiles over `length` lanes from each of the ends."""
    r, v = shape
    # an odd number of vectors: rows a power of two apart would fall onto the same cache lines
    turned_row = target.width * (-(-taps.size // target.width) | 1)
    total, step = len(ends) * length, v * target.width
    most = max(target.width, _TURNED_SLICE // (step * target.bytes) // target.width * target.width)
    lanes = np.arange(length, dtype=np.int64)
    # whole vectors are transposed, so some lanes beyond the last
    turned = (total + target.width) * turned_row * target.bytes
    # fmt: off
    turning = ContractionPlan(
        turn_kernel(target),
        (x.name, "packed", "ends", len(ends), length, taps.size, taps.steps[1], turned_row),
        {"ends": np.ascontiguousarray(ends[:, 1] + x.constant)},
    )
    parameters = (
        "packed", dy.name, "out", "scratch", "classes", 1, "x_at", "w_at", "positions",
        rows.size, rows.steps[0], rows.steps[2], taps.size, most, *SOON,
    )
    # fmt: on
    return ContractionPlan(
        contract_kernel(target, shape),
        parameters,
        {
            "classes": np.array([[0, total, 0, 1]], np.int64),
            "positions": np.zeros((1, 3), np.int64),
            "x_at": np.arange(total, dtype=np.int64) * turned_row,
            "w_at": (ends[:, :1] + dy.constant + lanes).reshape(-1),
        },
        -(-rows.size // r) * r * step * target.bytes if total > most else 0,
        turning,
        turned,
        updating=contract_kernel(target, shape, True),
    )


def _cut(ends: np.ndarray, length: int, width: int) -> np.ndarray:
    """Segments [n, 3] of at most `_LONGEST` vectors: offsets in both operands, and vectors."""
    starts = np.arange(0, length, _LONGEST * width)
    counts = np.minimum(_LONGEST, (length - starts) // width)
    cut = (ends[:, None, :] + starts[None, :, None]).reshape(-1, 2)
    return np.concatenate([cut, np.tile(counts, len(ends))[:, None]], 1)


def _outer(
    target: Target, shape, dy: Linear, x: Linear, rows: Axis, taps, segments, positions
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
