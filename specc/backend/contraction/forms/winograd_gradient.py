"""The weights' gradient of a convolution with 3x3 weights by Winograd's method."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from specc.backend.contraction.cost import Cost
from specc.backend.contraction.loops.winograd import winograd_gradient_kernel
from specc.backend.contraction.problem import Candidate, ContractionKind, KernelForm, Problem
from specc.backend.contraction.target import Target
from specc.backend.contraction.tiling import ContractionPlan, Linear
from specc.backend.contraction.winograd import columns_of, fills, window_of

# The tile of the products, by the number of registers and the vectors of filters. (6, 4) would be
# 3% faster with 64 filters.
_SHAPES = {32: {1: (16, 1), 2: (11, 2)}, 16: {1: (8, 1), 2: (6, 2)}}
_BLOCK = 4  # columns that are processed at a time
_MOST = 32  # blocks whose sums are added up before they are added to those of all
_MOST_SCRATCH = 32 << 20  # bytes
# The loads, additions and stores to transform a column of the image, a column of the result's
# gradient, and the weights' gradient back.
_ENTER, _SPREAD, _BACK = (16, 32, 32), (4, 12, 16), (16, 30, 9)


def shapes(target: Target) -> list[tuple[int, int]]:
    """Return the rows and vectors of the tiles that multiply."""
    return list(_SHAPES[target.machine.registers].values())


def _candidates(problem: Problem) -> Iterator[Candidate]:
    """Yield the candidates that fit, with either operand as the image."""
    for pair in problem.pairs:
        found = _of(problem, *pair)
        if found is not None:
            yield found


def _of(problem: Problem, dy: Linear, x: Linear) -> Candidate | None:
    """Return the candidate with `x` as the image."""
    op, out, target = problem.op, problem.operands[2], problem.target
    dy_map, x_map = (op.left, op.right) if dy.name == "left" else (op.right, op.left)
    window = window_of(op, x_map, op.out, dy_map)
    if window is None or not fills(op):
        return None
    sizes = [axis.size for axis in (window.y, window.x)]
    inner = [size + 2 for size in sizes]
    steps = [(each.step(window.y.at), each.step(window.x.at)) for each in (x, dy)]
    tiles = [-(-size // 2) for size in sizes]
    filters, channels = op.bound_extents[window.filters], op.bound_extents[window.channels]
    used = -(-problem.examples // target.width) * target.width
    column_count = tiles[0] * tiles[1] * (used // target.width)
    vectors = -(-filters // target.width)
    shape = _SHAPES[target.machine.registers][min(vectors, 2)]
    r, v = shape
    channel_blocks, filter_blocks = -(-channels // r), -(-vectors // v)
    cost = Cost(target)
    taps = _BLOCK * target.width
    tile = taps * (cost.iteration(r * v, r + v) + 0.5) + 3 * cost.ends(r * v, taps)
    cycles = 16 * channel_blocks * filter_blocks * tile * column_count / _BLOCK
    spread = 4 * cost.transposed(target.width, target.width) + cost.transformed(*_SPREAD)
    enter = cost.transformed(*_ENTER)
    cycles += column_count * (enter * channels + spread * vectors * target.width)
    cycles += cost.transformed(*_BACK) * vectors * target.width * channels
    row, line = _BLOCK * target.width, filter_blocks * v * target.width
    high = channel_blocks * r
    scratch = (
        9 * target.width
        + 4 * target.width**2
        + 16 * (high * row + row * line + 2 * target.width)
        + 16 * high * line * (2 if column_count > _MOST * _BLOCK else 1)
    ) * target.bytes
    if scratch > _MOST_SCRATCH:
        return None

    def build() -> ContractionPlan:
        columns = columns_of(inner, [(0, size) for size in sizes], 0, steps, used, target.width)
        columns += np.array([x.constant, 0, dy.constant, 0])
        # fmt: off
        parameters = (
            x.name, dy.name, "out", "scratch", "columns", len(columns), channels, filters,
            x.step(window.channels), *steps[0], dy.step(window.filters), *steps[1],
            out.step(window.channels), out.step(window.filters),
            out.step(window.y.tap), out.step(window.x.tap),
        )
        # fmt: on
        return ContractionPlan(
            winograd_gradient_kernel(target, shape, _BLOCK, _MOST),
            parameters,
            {"columns": columns},
            scratch,
        )

    return Candidate(shape, cycles, build)


FORM = KernelForm("winograd gradient", ContractionKind.GRADIENT, _candidates)
