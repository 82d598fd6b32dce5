"""With lanes: a `contract` tile at every position of the result."""

from __future__ import annotations

from specc.backend.contraction.problem import Candidate, Form, Kind, Problem
from specc.backend.contraction.tiled import Tiles, contract_plan


def _candidate(problem: Problem) -> Candidate | None:
    target, (rows, classes) = problem.target, problem.taps
    if not rows.size:
        return None
    positions_ = sum(len(positions) for _, positions in classes)
    points = sum(len(taps) * len(positions) for taps, positions in classes)
    cost = Tiles(target, rows.size, max(1, points // positions_))
    shape, cycles = cost.best(problem.lanes // target.width)
    return Candidate(
        cycles * positions_,
        lambda: contract_plan(target, shape, classes, rows, problem.lanes, problem.names),
    )


FORM = Form("contract", Kind.LANES, _candidate)
