"""The gradient of weights as calls of register tiles: a sum over the lanes.

plan = plan_gradient(op, operands, result, lanes=64, examples=50, target=target)

outer    `outer` tiles over segments of contiguous lanes
turned   of few lanes: one operand is transposed, then a `contract` tile
winograd see `winograd`
"""

from __future__ import annotations

import numpy as np

from specc.backend.contraction.loops.contract import contract_kernel, turn_kernel
from specc.backend.contraction.loops.gradient import outer_kernel
from specc.backend.contraction.target import Target
from specc.backend.contraction.tiled import Tiles, usual
from specc.backend.contraction.tiling import (
    SOON,
    Axis,
    ContractionPlan,
    Linear,
    exact,
    merged,
    offsets,
)
from specc.backend.contraction.winograd import winograd_gradient_option
from specc.ops.contract import Contract

_USUAL_OUTER = {32: ((4, 6), (6, 4)), 16: ((3, 3), (4, 2))}
# Bytes of a transposed operand that all tiles run over in turn; the most that is transposed at all; and
# those of the taps that a near cache holds.
_TURNED_SLICE, _MOST_TURNED, _NEAR = 32 << 10, 8 << 20, 64 << 10
# Bytes of the rows of an `outer` tile that all taps run over before the next ones have their turn,
# and the vectors of a segment, which these are made of.
_OUTER_SLICE, _LONGEST = 32 << 10, 64


def plan_gradient(
    op: Contract, operands: list[Linear], out: Linear, lanes: int, examples: int, target: Target
) -> ContractionPlan | None:
    """The plan of the fastest form, for `lanes` of which so many hold examples."""
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
        [(each, cycles(each)) for each in target.shapes(rows.size, len(taps))], target, _USUAL_OUTER
    )
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
        turned_shape, _ = Tiles(target, rows.size, total).best(len(taps) // target.width)
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
    target: Target,
    shape,
    dy: Linear,
    x: Linear,
    rows: Axis,
    taps: Axis,
    ends: np.ndarray,
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
