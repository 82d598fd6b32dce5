"""The weights' gradient: `outer` tiles over segments of contiguous lanes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from specc.backend.contraction.gradient import Sums, sums_of
from specc.backend.contraction.loops.gradient import outer_kernel
from specc.backend.contraction.problem import Candidate, ContractionKind, KernelForm, Problem
from specc.backend.contraction.target import Target
from specc.backend.contraction.tiling import ContractionPlan

USUAL = {32: ((4, 6), (6, 4)), 16: ((3, 3), (4, 2))}


def _candidates(problem: Problem) -> Iterator[Candidate]:
    for sums in sums_of(problem):
        for shape in problem.target.shapes(sums.rows.size, len(sums.taps)):
            usual = shape in USUAL[problem.target.machine.registers]
            plan = partial(_plan, problem.target, sums, shape)
            yield Candidate(shape, sums.cycles(problem.target, shape), plan, usual)


def _plan(target: Target, sums: Sums, shape: tuple[int, int]) -> ContractionPlan:
    x, dy, rows, taps = sums.x, sums.dy, sums.rows, sums.taps
    segments, positions = sums.segments, sums.positions
    r, t = shape
    vector = target.width * target.bytes
    most = sums.most(target, r)
    scratch = -(-len(taps) // t) * r * t * vector if most < len(segments) else 0
    # fmt: off
    parameters = (
        x.name, dy.name, "out", "tap_at", "dw_at", len(taps), "segments", len(segments),
        "positions", len(positions), rows.size, rows.steps[0], rows.steps[2],
        most, "scratch",
    )
    # fmt: on
    return ContractionPlan(
        outer_kernel(target, shape, sums.stride),
        parameters,
        {
            "tap_at": np.ascontiguousarray(taps[:, 0]),
            "dw_at": np.ascontiguousarray(taps[:, 1]),
            "segments": np.ascontiguousarray(segments),
            "positions": np.ascontiguousarray(positions),
        },
        scratch,
    )


FORM = KernelForm("outer", ContractionKind.GRADIENT, _candidates)
