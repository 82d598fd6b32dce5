"""With lanes: `packed` tiles, for weights that are used often enough to be copied first."""

from __future__ import annotations

from collections.abc import Iterable

from specc.backend.contraction.problem import Candidate, Form, Kind, Problem
from specc.backend.contraction.tiled import Tiles, packed_plan
from specc.backend.contraction.tiling import by_weights


def _candidates(problem: Problem) -> Iterable[Candidate]:
    target, (rows, classes) = problem.target, problem.taps
    if not rows.size:
        return ()
    lists = by_weights(classes)
    # for each position, the vectors of its lanes
    columns = [len(positions) * (problem.lanes // target.width) for _, positions in lists]
    cost = Tiles(target, rows.size, 1)
    return cost.candidates_packed(
        lists,
        columns,
        0 if problem.kept else cost.packing(lists) / problem.calls,
        lambda shape: packed_plan(target, shape, lists, rows, problem.lanes, problem.names),
    )


FORM = Form("packed", Kind.LANES, _candidates)
