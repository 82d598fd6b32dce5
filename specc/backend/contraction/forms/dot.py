"""One example: sums over runs that are contiguous in both operands, as in dense layers.

The vectors of a `dot` tile are along the run. Parts of the result are whole tiles of rows, so the
form does not fit if the rows must be divided evenly.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from specc.backend.contraction.cost import Cost
from specc.backend.contraction.gradient import LONGEST
from specc.backend.contraction.loops.single import dot_kernel
from specc.backend.contraction.problem import Candidate, ContractionKind, KernelForm, Problem
from specc.backend.contraction.target import Target
from specc.backend.contraction.tiling import (
    ContractionPlan,
    even_part,
    merged,
    offsets,
    rows_of,
)

# The rows and taps of a tile. Some are left out, because each is one more kernel to compile.
_ROWS, _TAPS = (1, 2, 4, 8), (1, 2, 4)


def shapes(target: Target) -> list[tuple[int, int]]:
    """Return the rows and taps of the tiles whose accumulators, taps and a row fit in registers."""
    return [(r, t) for r in _ROWS for t in _TAPS if r * t + t + 1 <= target.machine.registers]


def _candidates(problem: Problem) -> Iterator[Candidate]:
    op, target, part = problem.op, problem.target, problem.part
    operands = weights, batched, out = problem.operands
    kept = set(out.steps)
    if part.even or not problem.is_plain:
        return
    rows = rows_of(op, operands)
    summed = merged(op, [i for i in problem.indices if i not in kept], operands)
    runs = [axis for axis in summed if axis.steps[:2] == (1, 1)]
    if not runs:
        return
    segments = offsets([axis for axis in summed if axis is not runs[0]], 3)[:, :2]
    own = merged(op, [i for i in kept if i not in weights], operands)
    taps = max(own, key=lambda axis: axis.size, default=None)
    others = merged(op, [i for i in kept if i in weights and i not in rows.indices], operands)
    others += [axis for axis in own if axis is not taps]
    positions = offsets(others, 3) + np.array([weights.constant, batched.constant, 0])
    tap_at = offsets([taps] if taps else [], 3)[:, 1:]
    length = runs[0].size

    cost = Cost(target)

    def cycles(shape: tuple[int, int]) -> float:
        r, t = shape
        tiles = len(positions) * -(-rows.size // r) * -(-len(tap_at) // t)
        vectors = len(segments) * -(-length // target.width)
        size = rows.size * len(segments) * length * target.bytes / part.parts
        # the first taps load each row as a sequence, the next ones find all in the L1 cache
        moving = cost.moving_runs(r * cost.vector, size, length * target.bytes)
        moving /= -(-len(tap_at) // t)
        tile = vectors * cost.iteration(r * t, r + t, moving, iterations=vectors)
        tile += len(segments) * cost.start()
        tile += 4 * cost.added_up(r * t) + r * t / cost.stores
        return tiles * tile / part.parts

    def build(shape: tuple[int, int]) -> ContractionPlan:
        # a part is whole tiles of rows; the last tile of the result may overlap the one before
        first, last = even_part(-(-rows.size // shape[0]), part)
        first, last = first * shape[0], min(last * shape[0], rows.size)
        if 0 < last - first < shape[0]:
            first = last - shape[0]
        moved = positions + first * np.array([rows.steps[0], 0, rows.steps[2]])
        piece = LONGEST * target.width
        group = max(1, piece // length)
        kept = shape[0] * shape[1] * target.width * target.bytes
        whole = group >= len(segments) and piece >= length
        # fmt: off
        parameters = (
            batched.name, weights.name, "out", "tap_at", "out_at", len(tap_at), "segments",
            len(segments), length, "positions", len(positions), last - first, rows.steps[0],
            rows.steps[2], group, piece, "scratch",
        )
        # fmt: on
        return ContractionPlan(
            dot_kernel(target, shape),
            parameters,
            {
                "tap_at": np.ascontiguousarray(tap_at[:, 0]),
                "out_at": np.ascontiguousarray(tap_at[:, 1]),
                "segments": np.ascontiguousarray(segments),
                "positions": moved,
            },
            0 if whole else kept,
        )

    for shape in shapes(target):
        if shape[0] <= rows.size and shape[1] <= len(tap_at):
            yield Candidate(shape, cycles(shape), partial(build, shape))


FORM = KernelForm("dot", ContractionKind.SINGLE, _candidates)
