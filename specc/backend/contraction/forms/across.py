"""One example: vectors across the rows of the weights, which are packed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from specc.backend.contraction.across import Across, shapes
from specc.backend.contraction.problem import Candidate, ContractionKind, KernelForm, Problem
from specc.backend.contraction.tiling import (
    by_weights,
    part_of,
    rows_of,
    run_of,
)

# The most vectors of a tile, unless the weights are reloaded many times from beyond the L2 cache.
_VECTORS = 4


def _candidates(problem: Problem) -> Iterator[Candidate]:
    op, target, part = problem.op, problem.target, problem.part
    operands = problem.operands
    rows = rows_of(op, operands)
    runs, run, step = run_of(op, operands)
    groups = by_weights(problem.groups_read((*rows.indices, *runs)))
    if not part.even and sum(len(positions) for _, positions in groups) < part.parts:
        return  # the rows of a dense layer are divided by `dot` and `rows`
    rows, groups = part_of(rows, groups, part)
    if not rows.size or not any(len(positions) for _, positions in groups):
        return
    across = Across(target, rows, groups, problem.names, run, step, problem.calls, problem.kept)
    most = -(-rows.size // target.width)
    if problem.calls <= 1 or across.bytes <= target.profile.l2 // 2:
        most = min(most, _VECTORS)
    runs_each = max(len(positions) for _, positions in groups)
    prefetches = part.parts > 1 and runs_each > 1
    for shape in shapes(target):
        if shape[0] <= run and shape[1] <= most:
            yield Candidate(shape, across.cycles(shape), partial(across.plan, shape, prefetches))


FORM = KernelForm("across", ContractionKind.SINGLE, _candidates)
