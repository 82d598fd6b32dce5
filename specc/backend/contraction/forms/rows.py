"""One example with several positions, such as the time steps of a sequence: `contract` tiles.

The values that a position sums over are contiguous. The weights are transposed, so that their rows
take the place of the lanes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from specc.backend.contraction.loops.contract import transpose_kernel
from specc.backend.contraction.problem import Candidate, ContractionKind, KernelForm, Problem
from specc.backend.contraction.tiled import Tiles, contract_plan
from specc.backend.contraction.tiling import ContractionPlan, LoopAxis, merged, offsets, rows_of
from specc.ir.sharing import share


def _candidates(problem: Problem) -> Iterable[Candidate]:
    op, target, part = problem.op, problem.target, problem.part
    operands = weights, batched, out = problem.operands
    kept_indices = set(out.steps)
    if part.even or not problem.is_plain:
        return ()
    rows = rows_of(op, operands)
    summed = merged(op, [i for i in problem.indices if i not in kept_indices], operands)
    run = next((axis for axis in summed if axis.steps[0] == 1), None)
    own = merged(op, [i for i in kept_indices if i not in weights], operands)
    main = max(own, key=lambda axis: axis.size, default=LoopAxis(1, (0, 0, 0)))
    shared = [i for i in kept_indices if i in weights and i not in rows.indices]
    if run is None or run.size % target.width or main.size < 2 or rows.steps[2] != 1 or shared:
        return ()
    number, parts = part.number, part.parts
    start, count, first, high = 0, rows.size, 0, main.size
    if rows.size >= 2 * parts * target.width:
        vectors = -(-rows.size // target.width)
        start, end = (vectors * n // parts * target.width for n in (number, number + 1))
        count = min(end, rows.size) - start  # at least two vectors, the last one may be partial
    else:
        first, high = share(main.size, number, parts)
    if count < target.width or not high:
        return ()
    ends = offsets([axis for axis in summed if axis is not run], 3)
    taps = (ends[:, None] + np.arange(run.size)[:, None] * np.array(run.steps)).reshape(-1, 3)
    positions = offsets([axis for axis in own if axis is not main], 3)
    positions += np.array([0, batched.constant, start]) + first * np.array(main.steps)
    # an odd number of vectors, because rows a power of two apart map to the same cache sets
    transposed_row = target.width * (-(-count // target.width) | 1)
    # the transposed weights take the place of the batched operand
    size = len(taps) * count * target.bytes
    line = transposed_row * target.bytes
    cost = Tiles(target, high, len(taps), main.steps[1], size, size, line, problem.out_bytes)

    def build(shape: tuple[int, int]) -> ContractionPlan:
        transposing = ContractionPlan(
            transpose_kernel(target),
            (
                weights.name,
                "packed",
                "ends",
                len(ends),
                run.size,
                count,
                rows.steps[0],
                transposed_row,
            ),
            {"ends": ends[:, 0] + weights.constant + start * rows.steps[0]},
        )
        values = np.arange(len(taps), dtype=np.int64) * transposed_row
        nothing = np.zeros(len(positions), np.int64)
        plan = contract_plan(
            target,
            shape,
            [
                (
                    np.stack([taps[:, 1], values], 1),
                    np.stack([positions[:, 1], nothing, positions[:, 2]], 1),
                )
            ],
            LoopAxis(high, (main.steps[1], 0, main.steps[2])),
            count,
            {"x": "packed", "w": batched.name},
        )
        return replace(plan, packing=transposing, packed=len(taps) * transposed_row * target.bytes)

    transposing = 0 if problem.kept else cost.cost.transposed(len(taps) * count, target.width)
    return cost.candidates(count, lambda cycles: cycles * len(positions) + transposing, build)


FORM = KernelForm("rows", ContractionKind.SINGLE, _candidates)
