"""Several lanes: `contract` tiles at every position of the result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from specc.backend.contraction.problem import Candidate, ContractionKind, KernelForm, Problem
from specc.backend.contraction.tiled import Tiles, contract_plan, step_of


def tiles_of(problem: Problem, copied: bool = False) -> Iterable[Candidate]:
    """Return `contract` tiles at every position, whose columns may be `copied` first."""
    target, (rows, groups) = problem.target, problem.taps
    if not rows.size:
        return ()
    full = [(len(taps), len(positions)) for taps, positions in groups if len(taps)]
    positions = sum(count for _, count in full)
    empty = sum(len(positions) for taps, positions in groups if not len(taps))
    taps = sum(taps * count for taps, count in full) // max(positions, 1)
    loaded = taps * positions * problem.lanes * target.bytes
    # fmt: off
    cost = Tiles(
        target, rows.size, taps, rows.steps[0], problem.x_bytes, max(loaded, 1),
        step_of(groups, target), problem.out_bytes, step_of(groups, target, 0), copied,
    )
    # fmt: on
    zeros = empty * replace(cost, taps=0).cycles((1, 1), -(-problem.lanes // target.width))
    return cost.candidates(
        problem.lanes,
        lambda cycles: cycles * positions + zeros,
        lambda shape: contract_plan(
            target, shape, groups, rows, problem.lanes, problem.names, copied
        ),
    )


FORM = KernelForm("contract", ContractionKind.LANES, tiles_of)
