"""The weights' gradient over many terms: transpose one operand, pack the other one.

A sum over the steps of a sequence reads a few numbers of each row, from places that are far apart
and often map to the same sets of the caches. Packed in the order of the tiles, they are contiguous.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from specc.backend.contraction.cost import Cost
from specc.backend.contraction.forms.transposed import Transposed, transposed_of
from specc.backend.contraction.gradient import sums_of
from specc.backend.contraction.problem import Candidate, ContractionKind, KernelForm, Problem
from specc.backend.contraction.target import Target
from specc.backend.contraction.tiled import USUAL_PACKED, packed_plan, packed_slice
from specc.backend.contraction.tiling import ContractionPlan, Within

_MOST = 16 << 20  # the most bytes of the operand that is packed


def _candidates(problem: Problem) -> Iterator[Candidate]:
    """Yield the candidates for both roles of the operands: rows from one, taps from the other."""
    for sums in sums_of(problem):
        found = transposed_of(problem.target, sums)
        if found is not None and len(sums.runs) > 1:  # the rows of a single run are contiguous
            yield from _of(problem.target, found)


def _of(target: Target, given: Transposed) -> Iterator[Candidate]:
    rows, taps, total = given.sums.rows.size, given.taps, given.total
    if rows * total * target.bytes > _MOST:
        return
    cost = Cost(target)
    for shape in target.packed_shapes(rows, taps // target.width):
        r, v = shape
        slice_ = min(packed_slice(target, shape, rows, total), total)
        moving = cost.moving(v * cost.vector, slice_ * v * cost.vector, in_sequence=True)
        moving += cost.moving(r * target.bytes, rows * slice_ * target.bytes, in_sequence=True)
        tile = total * cost.iteration(r * v, r + v + 1.5, moving)
        slices = -(-total // slice_)
        tile += slices * cost.ends(r * v, total / slices)
        cycles = -(-rows // r) * -(-taps // (v * target.width)) * tile
        cycles += cost.transposed(taps * total, target.width)
        whole = rows * given.in_runs
        cycles += cost.transposed(whole, r) + cost.copied(rows * total - whole)
        cycles += given.waiting(cost, rows * total)
        usual = shape in USUAL_PACKED[target.machine.registers]
        yield Candidate(shape, cycles, partial(_plan, target, shape, given), usual)


def _plan(target: Target, shape: tuple[int, int], given: Transposed) -> ContractionPlan:
    """Return the plan: in "packed" memory the transposed operand comes first."""
    transposing, rows = given.transposing("packed"), given.sums.rows
    after = Within(transposing.copied, "packed")
    taps = np.stack([given.w_at, given.x_at], 1)
    lists = [(taps, np.zeros((1, 3), np.int64))]
    names = {"x": "packed", "w": given.sums.dy.name}
    plan = packed_plan(target, shape, lists, rows, given.taps, names)
    packing = plan.packing
    assert packing is not None, "weights are packed"
    # fmt: off
    packing = replace(
        packing, packing=transposing,
        parameters=tuple(after if each == "packed" else each for each in packing.parameters),
    )
    return replace(
        plan, packing=packing, packed=transposing.copied + plan.packed,
        parameters=("packed", after, *plan.parameters[2:]),
    )
    # fmt: on


FORM = KernelForm("transposed packed", ContractionKind.GRADIENT, _candidates)
