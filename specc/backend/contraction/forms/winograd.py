"""Several lanes: a 3x3 convolution, or its image's gradient, by Winograd's method."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from specc.backend.contraction.cost import Cost
from specc.backend.contraction.loops.winograd import winograd_kernel
from specc.backend.contraction.problem import Candidate, ContractionKind, KernelForm, Problem
from specc.backend.contraction.target import Target
from specc.backend.contraction.tiling import ContractionPlan
from specc.backend.contraction.winograd import columns_of, fills, product_plan, window_of
from specc.ir import sizes

# The tile of the products by the number of registers. There is only one, because each shape is one
# more kernel to compile.
_SHAPES = {32: (8, 3), 16: (6, 2)}
# The loads, additions and stores to transform a column of the image, a column of the result, and
# the weights of several rows, which are loaded element by element.
ENTER, LEAVE, WEIGHT = (16, 32, 16), (16, 24, 4), (0, 28, 16)


def shapes(target: Target) -> list[tuple[int, int]]:
    """Return the rows and vectors of the tiles that multiply."""
    return [_SHAPES[target.machine.registers]]


def _candidates(problem: Problem) -> Iterator[Candidate]:
    op, target, part = problem.op, problem.target, problem.part
    _, batched, out = problem.operands
    if part.parts > 1 or not fills(op):
        return
    b_map, w_map = (op.left, op.right) if batched.name == "left" else (op.right, op.left)
    forward = window_of(op, b_map, w_map, op.out)
    window = forward or window_of(op, op.out, w_map, b_map)
    if window is None:
        return
    if forward:
        rows, channels, edge = window.filters, window.channels, 0
        inner = [axis.size + 2 for axis in (window.y, window.x)]
    else:
        rows, channels, edge = window.channels, window.filters, 2
        inner = [axis.size for axis in (window.y, window.x)]
    spans = [
        problem.read.get(expression, (0, sizes.bound(size)))
        for axis in (window.y, window.x)
        for expression, size in zip(op.out, op.shape, strict=True)
        if axis.at in dict(expression.terms)
    ]
    row_count, channel_count = op.bound_extents[rows], op.bound_extents[channels]
    (shape,) = shapes(target)
    if row_count < shape[0]:
        return
    steps = [(each.step(window.y.at), each.step(window.x.at)) for each in (batched, out)]
    tiles = [-(-(end - start) // 2) for start, end in spans]
    column_count = tiles[0] * tiles[1] * (problem.lanes // target.width)
    r, v = shape
    blocks = -(-row_count // r)
    cost = Cost(target)
    tile = channel_count * (cost.iteration(r * v, r + v + 2) + 1) + cost.ends(r * v, channel_count)
    leave = cost.transformed(*LEAVE, problem.out_bytes)
    transforms = cost.transformed(*ENTER) * channel_count + leave * row_count
    cycles = column_count * (transforms + 16 * blocks * tile / v)
    weight = cost.gathered(9) + cost.transformed(*WEIGHT) / r
    cycles += 0 if problem.kept else weight * row_count * channel_count

    def build() -> ContractionPlan:
        columns = columns_of(inner, spans, edge, steps, problem.lanes, target.width)
        columns += np.array([batched.constant, 0, out.constant, 0])
        kernel = winograd_kernel(target, shape)
        return product_plan(
            problem, window, kernel, shape, columns, (0, row_count), mirrored=not forward
        )

    yield Candidate(shape, cycles, build)


FORM = KernelForm("winograd", ContractionKind.LANES, _candidates)
