"""The weights' gradient for few lanes: transpose one operand, then use `contract` tiles."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from specc.backend.contraction.cost import Cost
from specc.backend.contraction.gradient import Sums, sums_of
from specc.backend.contraction.loops.contract import contract_kernel, transpose_kernel
from specc.backend.contraction.problem import Candidate, ContractionKind, KernelForm, Problem
from specc.backend.contraction.target import Target
from specc.backend.contraction.tiled import USUAL
from specc.backend.contraction.tiling import PREFETCHED, ContractionPlan

_MOST = 8 << 20  # the largest operand, in bytes, that is transposed


def _candidates(problem: Problem) -> Iterator[Candidate]:
    """Yield the candidates for both roles of the operands: rows from one, taps from the other."""
    for sums in sums_of(problem):
        yield from _of(problem.target, sums)


def _of(target: Target, sums: Sums) -> Iterator[Candidate]:
    taps, total = len(sums.taps), len(sums.runs) * sums.used
    if (
        len(sums.tap_axes) != 1
        or sums.tap_axes[0].steps[2] != 1
        or taps < target.width
        or len(sums.positions) != 1
        or taps * total * target.bytes > _MOST
    ):
        return
    cost = Cost(target)
    for shape in target.shapes(sums.rows.size, taps // target.width):
        r, v = shape
        blocks = -(-sums.rows.size // r) * -(-taps // (v * target.width))
        slice_ = _slice(target, v)
        moving = cost.moving(v * cost.vector, slice_ * v * cost.vector)
        tile = total * cost.iteration(r * v, r + v + 3, moving)
        tile += -(-total // slice_) * cost.ends(r * v)
        cycles = blocks * tile + cost.transposed(taps * total, target.width)
        usual = shape in USUAL[target.machine.registers]
        yield Candidate(shape, cycles, partial(_plan, target, shape, sums), usual)


def _slice(target: Target, vectors: int) -> int:
    """Return the terms of a slice, during which the transposed operand stays in the L1 cache."""
    size = vectors * target.width * target.bytes
    return max(target.width, 2 * target.profile.l1 // 3 // size // target.width * target.width)


def _plan(target: Target, shape: tuple[int, int], sums: Sums) -> ContractionPlan:
    dy, x, rows, taps = sums.dy, sums.x, sums.rows, sums.tap_axes[0]
    ends, length = sums.runs, sums.used
    r, v = shape
    # an odd number of vectors, because rows a power of two apart map to the same cache sets
    transposed_row = target.width * (-(-taps.size // target.width) | 1)
    total, step = len(ends) * length, v * target.width
    most = _slice(target, v)
    lanes = np.arange(length, dtype=np.int64)
    # whole vectors are transposed, so the copy has some lanes beyond the last one
    size = (total + target.width) * transposed_row * target.bytes
    # fmt: off
    transposing = ContractionPlan(
        transpose_kernel(target),
        (x.name, "packed", "ends", len(ends), length, taps.size, taps.steps[1], transposed_row),
        {"ends": np.ascontiguousarray(ends[:, 1] + x.constant)},
        copied=size,
    )
    parameters = (
        "packed", dy.name, "out", "scratch", "groups", 1, "x_at", "w_at", "positions",
        rows.size, rows.steps[0], rows.steps[2], taps.size, most, *PREFETCHED, "x_at", 0,
    )
    # fmt: on
    return ContractionPlan(
        contract_kernel(target, shape),
        parameters,
        {
            "groups": np.array([[0, total, 0, 1]], np.int64),
            "positions": np.zeros((1, 3), np.int64),
            "x_at": np.arange(total, dtype=np.int64) * transposed_row,
            "w_at": (ends[:, :1] + dy.constant + lanes).reshape(-1),
        },
        -(-rows.size // r) * r * step * target.bytes if total > most else 0,
        transposing,
        size,
        updating=contract_kernel(target, shape, True),
    )


FORM = KernelForm("transposed", ContractionKind.GRADIENT, _candidates)
