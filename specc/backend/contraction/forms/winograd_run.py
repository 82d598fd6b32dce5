"""One example: a 3x3 convolution by Winograd's method.

The lanes of a vector are tiles of the image. A piece is some neighboring tiles of a row; the last
piece of a row may overlap the one before.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from specc.backend.contraction.cost import Cost
from specc.backend.contraction.forms.winograd import ENTER, LEAVE, WEIGHT
from specc.backend.contraction.loops.winograd import winograd_run_kernel
from specc.backend.contraction.problem import Candidate, ContractionKind, KernelForm, Problem
from specc.backend.contraction.target import Target
from specc.backend.contraction.tiling import ContractionPlan
from specc.backend.contraction.winograd import fills, product_plan, window_of
from specc.ir.sharing import share

# The tiles of the products by the number of registers. They have one or two vectors, because there
# are few columns.
SHAPES = {32: ((8, 2), (16, 1), (8, 1)), 16: ((6, 2), (12, 1), (6, 1))}


def shapes(target: Target) -> list[tuple[int, int]]:
    """Return the rows and vectors of the tiles that multiply."""
    return list(SHAPES[target.machine.registers])


def _candidates(problem: Problem) -> Iterator[Candidate]:
    op, target, part = problem.op, problem.target, problem.part
    _, batched, out = problem.operands
    b_map, w_map = (op.left, op.right) if batched.name == "left" else (op.right, op.left)
    window = window_of(op, b_map, w_map, op.out)
    if window is None or not fills(op) or (part.parts > 1 and not part.even):
        return
    piece = target.width // 2  # elements of the result in a row of a piece: whole tiles
    if (
        piece % 2
        or window.x.size < piece
        or window.y.size < 2
        or out.step(window.x.at) != 1
        or batched.step(window.x.at) != 1
    ):
        return
    channel_count = op.bound_extents[window.channels]
    first, row_count = share(op.bound_extents[window.filters], part.number, part.parts)
    fitting = [each for each in shapes(target) if each[0] <= row_count]
    if not fitting:
        return
    y, x = (_starts(axis.size, size) for axis, size in ((window.y, 2), (window.x, piece)))
    pieces = np.stack(
        [each.constant + y[:, None] * each.step(window.y.at) + x for each in (batched, out)], -1
    ).reshape(-1, 2)
    pieces = np.concatenate([pieces, np.repeat(pieces[-1:], -len(pieces) % 4, 0)])
    columns = pieces.reshape(-1, 4, 2).swapaxes(1, 2).reshape(-1, 8)
    columns += np.repeat([0, first * out.step(window.filters)], 4)

    cost = Cost(target)
    enter, weight = cost.transformed(*ENTER), cost.transformed(*WEIGHT)
    leave = cost.transformed(*LEAVE, problem.out_bytes)

    def cycles(shape: tuple[int, int]) -> float:
        r, v = shape
        groups, blocks = -(-len(columns) // v), -(-row_count // r)
        tile = channel_count * (cost.iteration(r * v, r + v + 2) + 1)
        tile += cost.ends(r * v, channel_count)
        transforms = len(columns) * (enter * channel_count + leave * blocks * r)
        return (
            transforms
            + groups * blocks * 16 * tile
            + (0 if problem.kept else (weight / r + cost.gathered(9)) * row_count * channel_count)
        )

    def build(shape: tuple[int, int]) -> ContractionPlan:
        prefetches = part.parts > 1
        kernel = winograd_run_kernel(target, shape, prefetches)
        rows = first, row_count
        return product_plan(problem, window, kernel, shape, columns, rows, prefetches=prefetches)

    for shape in fitting:
        yield Candidate(shape, cycles(shape), partial(build, shape))


def _starts(size: int, piece: int) -> np.ndarray:
    """Return the starts of pieces that cover `size`; the last one ends where `size` does."""
    return np.minimum(np.arange(0, size, piece), size - piece)


FORM = KernelForm("winograd run", ContractionKind.SINGLE, _candidates)
