"""One example: `packed` tiles along the rows of images.

Contiguous elements of the result need contiguous elements of the batched operand, so a row of an
image takes the place of the lanes.
"""

from __future__ import annotations

from collections.abc import Iterable

from specc.backend.contraction.problem import Candidate, ContractionKind, KernelForm, Problem
from specc.backend.contraction.tiled import Tiles, packed_plan, step_of
from specc.backend.contraction.tiling import (
    by_weights,
    part_of,
    rows_of,
    run_of,
)


def _candidates(problem: Problem) -> Iterable[Candidate]:
    op, target, part = problem.op, problem.target, problem.part
    operands = weights, batched, _ = problem.operands
    rows = rows_of(op, operands)
    runs, run, step = run_of(op, operands)
    if step != 1 or run < target.width:
        return ()
    lists = by_weights(problem.groups_read((*rows.indices, *runs)))
    rows, lists = part_of(rows, lists, part)
    lists = [(taps, positions) for taps, positions in lists if len(positions)]
    if not lists or not rows.size:
        return ()
    columns = [len(positions) * -(-run // target.width) for _, positions in lists]
    loaded = sum(len(taps) * len(positions) for taps, positions in lists) * run * target.bytes
    # fmt: off
    cost = Tiles(
        target, rows.size, 1, rows.steps[0], problem.x_bytes, loaded, step_of(lists, target),
        problem.out_bytes,
    )
    # fmt: on
    prefetches = part.parts > 1
    names = {"x": batched.name, "w": weights.name}
    return cost.candidates_packed(
        lists,
        columns,
        0 if problem.kept else 1,
        lambda shape: packed_plan(target, shape, lists, rows, run, names, prefetches),
        prefetches,
    )


FORM = KernelForm("run", ContractionKind.SINGLE, _candidates)
