"""With lanes: a `contract` tile at every position of the result."""

from __future__ import annotations

from collections.abc import Iterable

from specc.backend.contraction.problem import Candidate, Form, Kind, Problem
from specc.backend.contraction.tiled import Tiles, contract_plan


def _candidates(problem: Problem) -> Iterable[Candidate]:
    target, (rows, classes) = problem.target, problem.taps
    if not rows.size:
        return ()
    positions_ = sum(len(positions) for _, positions in classes)
    points = sum(len(taps) * len(positions) for taps, positions in classes)
    cost = Tiles(target, rows.size, max(1, points // positions_))
    return cost.candidates(
        problem.lanes // target.width,
        lambda cycles: cycles * positions_,
        lambda shape: contract_plan(target, shape, classes, rows, problem.lanes, problem.names),
    )


FORM = Form("contract", Kind.LANES, _candidates)
