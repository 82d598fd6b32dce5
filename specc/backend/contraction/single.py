"""A contraction of one example as a call of register tiles: there are no lanes beside each other.

    plan = plan_single(op, weights, batched, out, target, part=WHOLE, turns=1, kept=False)

Five forms of weights times the example's values:

    dot      sums over runs that are contiguous in both operands (dense layers): vectors along the run
    across   vectors across the rows of the weights, which are packed
    run      `packed` tiles along the rows of images
    rows     `contract` tiles where there are several positions (the steps of a sequence): vectors across
             the rows of the weights, which are transposed
    winograd see `winograd`
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from specc.backend.contraction.loops.contract import turn_kernel
from specc.backend.contraction.loops.single import (
    across_kernel,
    dot_kernel,
    pack_across_kernel,
)
from specc.backend.contraction.target import Target
from specc.backend.contraction.tiled import Tiles, contract_plan, packed_plan
from specc.backend.contraction.tiling import (
    WHOLE,
    Axis,
    ContractionPlan,
    Linear,
    Option,
    Part,
    by_weights,
    even_part,
    exact,
    merged,
    offsets,
    part_of,
    rows_of,
    runs_from,
    taps_and_positions,
)
from specc.backend.contraction.winograd import winograd_run_option
from specc.ir.plan import share
from specc.ops.contract import Contract

# Not every number: each is one more kernel to compile.
_ROWS, _TAPS = (1, 2, 4, 8), (1, 2, 4)
_POSITIONS = (1, 2, 4, 7, 8, 10, 12, 14)
# Cycles to add up the elements of a vector, to write one row of a tile, and to start one.
_SUM, _ROW, _START = 8, 2, 30

# Bytes of weights in rows that a loop finds in a near cache, and how much longer more of them take it
# (measured: 54 GB/s of 1 MB, where packed weights come at 118).
_NEAR, _FROM_AFAR = 512 << 10, 2.5


def plan_single(
    op: Contract,
    weights: Linear,
    batched: Linear,
    out: Linear,
    target: Target,
    part: Part,
    turns: int,
    kept: bool,
) -> ContractionPlan | None:
    """The plan of the fastest form for one part of the result. Weights that are packed serve `turns` calls, or
    are `kept` for good."""

    def options(part: Part) -> dict[str, Option]:
        own = (op, weights, batched, out, target, part)
        made = {
            "across": _across(*own, turns, kept),
            "dot": _dot(*own, turns),
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


def _dot(
    op: Contract,
    weights: Linear,
    batched: Linear,
    out: Linear,
    target: Target,
    part: Part = WHOLE,
    turns: int = 1,
) -> Option | None:
    """Cycles, and what makes the plan, of `dot` tiles; not for an even share of the rows."""
    operands = (weights, batched, out)
    kept = set(out.steps)
    if part[2] or not all(exact(op, i) for i in kept) or len(kept) != len(op.out):
        return None
    if any(i not in weights and i not in batched for i in range(len(op.extents))):
        return None
    rows = rows_of(op, operands)
    summed = merged(op, [i for i in range(len(op.extents)) if i not in kept], operands)
    runs = [axis for axis in summed if axis.steps[:2] == (1, 1)]
    if not runs:
        return None
    segments = offsets([axis for axis in summed if axis is not runs[0]], 3)[:, :2]
    own = merged(op, [i for i in kept if i not in weights], operands)
    taps = max(own, key=lambda axis: axis.size, default=None)
    others = merged(op, [i for i in kept if i in weights and i not in rows.indices], operands)
    others += [axis for axis in own if axis is not taps]
    positions = offsets(others, 3) + np.array([weights.constant, batched.constant, 0])
    tap_at = offsets([taps] if taps else [], 3)[:, 1:]
    length = runs[0].size

    def cycles(shape: tuple[int, int]) -> float:
        r, t = shape
        tiles = len(positions) * -(-rows.size // r) * -(-len(tap_at) // t)
        vectors = len(segments) * -(-length // target.width)
        cycles = tiles * (vectors * max(r * t / 2, 4, (r + t) / 2) * 1.2 + r * t * _SUM + _START)
        size = rows.size * len(segments) * length * target.bytes
        return cycles * (_FROM_AFAR if turns > 1 and size > _NEAR else 1) / part[1]

    shapes = [
        (r, t)
        for r in _ROWS
        for t in _TAPS
        if r <= rows.size and t <= len(tap_at) and r * t + t + 1 <= target.machine.registers
    ]
    shape = min(shapes, key=cycles)

    def build() -> ContractionPlan:
        # a part of the rows in whole tiles; the last tile of all may overlap the one before
        first, last = even_part(-(-rows.size // shape[0]), part)
        first, last = first * shape[0], min(last * shape[0], rows.size)
        if 0 < last - first < shape[0]:
            first = last - shape[0]
        positions[:, [0, 2]] += first * np.array([rows.steps[0], rows.steps[2]])
        # fmt: off
        parameters = (
            batched.name, weights.name, "out", "tap_at", "out_at", len(tap_at), "segments",
            len(segments), length, "positions", len(positions), last - first, rows.steps[0],
            rows.steps[2],
        )
        # fmt: on
        return ContractionPlan(
            dot_kernel(target, shape),
            parameters,
            {
                "tap_at": np.ascontiguousarray(tap_at[:, 0]),
                "out_at": np.ascontiguousarray(tap_at[:, 1]),
                "segments": np.ascontiguousarray(segments),
                "positions": np.ascontiguousarray(positions),
            },
        )

    return cycles(shape), build


def _run_of(
    op: Contract, batched: Linear, weights: Linear, out: Linear
) -> tuple[tuple[int, ...], int, int]:
    """The index that moves along contiguous elements of the result, or none, its extent, and how far it
    moves in the batched operand."""
    runs = [
        i
        for i in out.steps
        if out.step(i) == 1 and i in batched and i not in weights and exact(op, i)
    ]
    return tuple(runs[:1]), *((op.extents[runs[0]], batched.step(runs[0])) if runs else (1, 1))


def _across(
    op: Contract,
    weights: Linear,
    batched: Linear,
    out: Linear,
    target: Target,
    part: Part = WHOLE,
    turns: int = 1,
    kept: bool = False,
) -> Option | None:
    """Cycles, and what makes the plan, of `across` tiles. Weights that are packed serve `turns` calls, or
    are `kept` for good."""
    operands = (weights, batched, out)
    rows = rows_of(op, operands)
    runs, run, step = _run_of(op, batched, weights, out)
    classes = by_weights(taps_and_positions(op, (*rows.indices, *runs), operands))
    rows, classes = part_of(rows, classes, part)
    if not rows.size or not any(len(positions) for _, positions in classes):
        return None

    def cycles(shape: tuple[int, int]) -> float:
        q, v = shape
        blocks = -(-rows.size // (v * target.width))
        total = 0.0
        for taps, positions in classes:
            # two loads a cycle: the values, the weights, an offset, and what is asked for ahead
            tile = len(taps) * max(q * v / 2, 4, (q + 2 * v + 1) / 2) * 1.2
            tile += v * target.width * _ROW + _START
            total += len(positions) * -(-run // q) * blocks * tile
            if not kept:  # to pack the weights
                total += blocks * v * target.width * len(taps) / 2 / turns
        return total

    most = -(-rows.size // target.width)
    size = rows.size * sum(len(taps) for taps, _ in classes) * target.bytes
    longer = (
        9 if turns > 1 and size > _NEAR else 5
    )  # lines of weights that come from afar time and again
    shapes = [
        (q, v)
        for q in _POSITIONS
        for v in range(1, longer)
        if q <= run and v <= most and (q + 1) * v + 1 <= target.machine.registers
    ]
    shape = min(shapes, key=cycles)

    runs_each = max(len(positions) for _, positions in classes)
    asks = part[1] > 1 and runs_each > 1

    def build() -> ContractionPlan:
        line = shape[1] * target.width
        table, first, packed, at = [], 0, 0, 0
        for taps, positions in classes:
            table.append((first, len(taps), packed, at, at + len(positions)))
            first, at = first + len(taps), at + len(positions)
            packed += -(-rows.size // line) * line * len(taps)
        tables = {
            "classes": np.array(table, np.int64),
            "x_at": np.concatenate([taps[:, 1] for taps, _ in classes]),
            "w_at": np.concatenate([taps[:, 0] + positions[0, 0] for taps, positions in classes]),
            "positions": np.concatenate([positions[:, 1:] for _, positions in classes]),
        }
        tables["runs"] = runs_from(tables["w_at"], target.width)
        w_row, _, out_row = rows.steps
        packing = ContractionPlan(
            pack_across_kernel(target, shape[1]),
            (weights.name, "packed", "classes", len(classes), "w_at", "runs", rows.size, w_row),
            tables,
        )
        # fmt: off
        parameters = (
            batched.name, "packed", "out", "classes", len(classes), "x_at", "positions",
            rows.size, out_row, run,
        )
        # fmt: on
        return ContractionPlan(
            across_kernel(target, shape, step, asks),
            parameters,
            tables,
            0,
            packing,
            packed * target.bytes,
            asks,
        )

    return cycles(shape), build


def _along_run(
    op: Contract,
    weights: Linear,
    batched: Linear,
    out: Linear,
    target: Target,
    part: Part,
    kept: bool,
) -> Option | None:
    """`packed` tiles for one example, where contiguous elements of the result come from contiguous ones:
    a row of an image takes the place of the lanes."""
    operands = (weights, batched, out)
    rows = rows_of(op, operands)
    runs, run, step = _run_of(op, batched, weights, out)
    if step != 1 or run < target.width:
        return None
    lists = by_weights(taps_and_positions(op, (*rows.indices, *runs), operands))
    rows, lists = part_of(rows, lists, part)
    lists = [(taps, positions) for taps, positions in lists if len(positions)]
    if not lists or not rows.size:
        return None
    columns = [len(positions) * -(-run // target.width) for _, positions in lists]
    cost = Tiles(target, rows.size, 1)
    shape, cycles = cost.best_packed(lists, columns)
    cycles += 0 if kept else cost.packing(lists)
    names = {"x": batched.name, "w": weights.name}
    return cycles, lambda: packed_plan(target, shape, lists, rows, run, names, part[1] > 1)


def _along_rows(
    op: Contract,
    weights: Linear,
    batched: Linear,
    out: Linear,
    target: Target,
    part: Part,
    kept: bool,
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
    cost = Tiles(target, high, len(taps))
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
        plan = contract_plan(
            target,
            shape,
            [
                (
                    np.stack([taps[:, 1], values], 1),
                    np.stack([positions[:, 1], nothing, positions[:, 2]], 1),
                )
            ],
            Axis(high, (main.steps[1], 0, main.steps[2])),
            count,
            {"x": "packed", "w": batched.name},
        )
        return replace(plan, packing=turning, packed=len(taps) * turned_row * target.bytes)

    return cycles, build
