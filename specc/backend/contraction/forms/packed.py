"""Several lanes: `packed` tiles, for weights that are used often enough to be packed first."""

from __future__ import annotations

from collections.abc import Iterable

from specc.backend.contraction.problem import Candidate, ContractionKind, KernelForm, Problem
from specc.backend.contraction.tiled import Tiles, packed_plan, step_of
from specc.backend.contraction.tiling import by_weights


def tiles_of(problem: Problem, copied: bool = False) -> Iterable[Candidate]:
    """Return `packed` tiles, whose columns may be `copied` first."""
    target, (rows, groups) = problem.target, problem.taps
    if not rows.size:
        return ()
    lists = by_weights(groups)
    # the vectors of each group: those of the lanes at each of its positions
    columns = [len(positions) * (problem.lanes // target.width) for _, positions in lists]
    loaded = sum(len(taps) * len(positions) for taps, positions in lists) * problem.lanes
    loaded = max(loaded * target.bytes, 1)
    # fmt: off
    cost = Tiles(
        target, rows.size, 1, rows.steps[0], problem.x_bytes, loaded, step_of(lists, target),
        problem.out_bytes, copied=copied,
    )
    # fmt: on
    return cost.candidates_packed(
        lists,
        columns,
        0 if problem.kept else 1 / problem.calls,
        lambda shape: packed_plan(
            target, shape, lists, rows, problem.lanes, problem.names, copied=copied
        ),
    )


FORM = KernelForm("packed", ContractionKind.LANES, tiles_of)
