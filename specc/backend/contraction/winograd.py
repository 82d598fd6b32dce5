"""Convolutions with 3x3 weights by Winograd's F(2x2, 3x3): 16 products for 36.

    cycles, build = winograd_option(op, weights, batched, out, lanes, target)    # None: no such one
    plan = build()

The method is that of Lavin and Gray, 2016 (see `winograd_tiles`). The three contractions of such a
layer, with y for the result, x for the image, w for the weights:

    forward               y[k, i, j] = sum w[k, c, u, v] x[c, i + u, j + v]
    image's gradient      x[c, i + u, j + v] += w[k, c, u, v] y[k, i, j]: the same, with the weights
                          turned round and an edge of zeros two wide around y
    weights' gradient     w[k, c, u, v] = sum x[c, i + u, j + v] y[k, i, j]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from specc.backend.contraction.loops.winograd import (
    winograd_gradient_kernel,
    winograd_kernel,
    winograd_run_kernel,
    winograd_weights_kernel,
)
from specc.backend.contraction.target import Target
from specc.backend.contraction.tiling import WHOLE, ContractionPlan, Linear, Option, Part
from specc.ir.plan import share
from specc.ops.contract import Affine, Contract, Map

# The tile of the products by the number of registers: one, as each is a kernel to compile.
_SHAPES = {32: (8, 3), 16: (6, 2)}
# The same for one example, where few columns want no more than one or two vectors.
_RUN_SHAPES = {32: ((8, 2), (16, 1), (8, 1)), 16: ((6, 2), (12, 1), (6, 1))}
# That of the weights' gradient, also by the vectors of filters (of 6 rows and 4 vectors: 3 % faster
# with 64 filters); the columns that it takes at a time; and the most scratch memory it may want.
_SUM_SHAPES = {32: {1: (16, 1), 2: (11, 2)}, 16: {1: (8, 1), 2: (6, 2)}}
_BLOCK, _MOST_SCRATCH = 4, 32 << 20
# Cycles to transform: a column of the image, of the result, and weights; and for the weights'
# gradient: a column of the image, of the result's gradient, and weights back. Most of them are for
# stores to the second cache.
_ENTER, _LEAVE, _WEIGHT = 70, 45, 25
_ENTER_RUN, _LEAVE_RUN = 70, 30  # of one example
_ENTER_GRADIENT, _TURN, _WEIGHT_BACK = 130, 100, 40
# The estimate for `outer` tiles is so much higher than what they take.
_AS_OUTER = 1.45


@dataclass(frozen=True)
class Axis3:
    """An axis that 3 taps run along: both indices, and how many positions the taps take."""

    at: int
    tap: int
    size: int


@dataclass(frozen=True)
class Window:
    """The indices of a convolution: `filters` stand in w and y, `channels` in w and x."""

    filters: int
    channels: int
    y: Axis3
    x: Axis3


def window_of(op: Contract, image: Map, weights: Map, result: Map) -> Window | None:
    """The indices by their roles, where the maps of x, w and y are those of such a convolution."""

    def used(map_: Map) -> list[list[tuple[int, int]]]:
        return [[(i, c) for i, c in each.terms if op.extents[i] > 1] for each in map_]

    of = {
        name: {i for axis in used(map_) for i, _ in axis}
        for name, map_ in (("x", image), ("w", weights), ("y", result))
    }
    filters, channels = of["w"] & of["y"] - of["x"], of["w"] & of["x"] - of["y"]
    axes = []
    for axis in used(image):
        if len(axis) == 2:
            taps = [i for i, _ in axis if i in of["w"]]
            at = [i for i, _ in axis if i in of["y"]]
            if len(taps) != 1 or len(at) != 1 or any(c != 1 for _, c in axis):
                return None
            axes.append(Axis3(at[0], taps[0], op.extents[at[0]]))
    channels -= {axis.tap for axis in axes}
    everything = {*filters, *channels, *(i for axis in axes for i in (axis.at, axis.tap))}
    if (
        len(axes) != 2
        or len(filters) != 1
        or len(channels) != 1
        or len(everything) != 6
        or everything != of["x"] | of["w"] | of["y"]
        or any(op.extents[axis.tap] != 3 for axis in axes)
        or any(e.constant for map_ in (image, weights, result) for e in map_)
    ):
        return None
    return Window(filters.pop(), channels.pop(), *axes)


def fills(op: Contract) -> bool:
    """Whether each axis of the result is as long as what its expression runs through."""
    return all(
        size == 1 + sum(c * (op.extents[i] - 1) for i, c in each.terms)
        for each, size in zip(op.out, op.shape, strict=True)
    )


def winograd_option(
    op: Contract,
    weights: Linear,
    batched: Linear,
    out: Linear,
    lanes: int,
    target: Target,
    read: Mapping[Affine, tuple[int, int]] = {},
    kept: bool = False,
) -> Option | None:
    """Cycles, and what makes the plan, of the forward product or the image's gradient.

    `read`: where something is known to be read, by the expression of an axis of the result. For `kept`
    see `plan_contraction`.
    """
    if not fills(op):
        return None
    b_map, w_map = (op.left, op.right) if batched.name == "left" else (op.right, op.left)
    forward = window_of(op, b_map, w_map, op.out)
    window = forward or window_of(op, op.out, w_map, b_map)
    if window is None:
        return None
    if forward:
        rows, channels, edge = window.filters, window.channels, 0
        inner = [axis.size + 2 for axis in (window.y, window.x)]
    else:
        rows, channels, edge = window.channels, window.filters, 2
        inner = [axis.size for axis in (window.y, window.x)]
    spans = [
        read.get(expression, (0, size))
        for axis in (window.y, window.x)
        for expression, size in zip(op.out, op.shape, strict=True)
        if axis.at in dict(expression.terms)
    ]
    row_count, channel_count = op.extents[rows], op.extents[channels]
    shape = _SHAPES[target.machine.registers]
    if row_count < shape[0]:
        return None
    steps = [(each.step(window.y.at), each.step(window.x.at)) for each in (batched, out)]
    tiles = [-(-(end - start) // 2) for start, end in spans]
    column_count = tiles[0] * tiles[1] * (lanes // target.width)
    r, v = shape
    blocks = -(-row_count // r)
    tile = channel_count * (r * v / 2 * 1.12 + 1) + r * v + 25
    transforms = _ENTER * channel_count + _LEAVE * row_count
    cycles = column_count * (transforms + 16 * blocks * tile / v)
    cycles += 0 if kept else _WEIGHT * row_count * channel_count

    def build() -> ContractionPlan:
        # an odd number of vectors apart: a power of two would fall onto the same cache lines
        image_step = target.width * (channel_count * v | 1)
        w_y, w_x = (weights.step(axis.tap) for axis in (window.y, window.x))
        first = weights.constant
        if not forward:  # the last tap first
            first, w_y, w_x = first + 2 * (w_y + w_x), -w_y, -w_x
        columns = _columns(inner, spans, edge, steps, lanes, target.width)
        columns += np.array([batched.constant, 0, out.constant, 0])
        packing = ContractionPlan(
            winograd_weights_kernel(target, r),
            (
                weights.name,
                "packed",
                row_count,
                channel_count,
                first,
                weights.step(rows),
                weights.step(channels),
                w_y,
                w_x,
            ),
            {},
        )
        # fmt: off
        parameters = (
            batched.name, "packed", "out", "scratch", "columns", len(columns),
            channel_count, row_count, batched.step(channels), *steps[0],
            out.step(rows), *steps[1], image_step,
        )
        # fmt: on
        scratch = (target.width * (1 + 16 * r * v) + 32 * image_step) * target.bytes
        packed = 16 * blocks * r * channel_count * target.bytes
        return ContractionPlan(
            winograd_kernel(target, shape),
            parameters,
            {"columns": columns},
            scratch,
            packing,
            packed,
        )

    return cycles, build


def winograd_run_option(
    op: Contract,
    weights: Linear,
    batched: Linear,
    out: Linear,
    target: Target,
    part: Part = WHOLE,
    kept: bool = False,
) -> Option | None:
    """Cycles, and what makes the plan, of the forward product of one example.

    Vectors lie across tiles: pieces of neighbours in the rows of the image, which overlap where its
    size is no multiple of theirs. `part` (of the filters) and `kept` are as in `plan_contraction`.
    """
    b_map, w_map = (op.left, op.right) if batched.name == "left" else (op.right, op.left)
    window = window_of(op, b_map, w_map, op.out)
    if window is None or not fills(op) or (part[1] > 1 and not part[2]):
        return None
    piece = target.width // 2  # elements of the result: whole tiles
    if (
        piece % 2
        or window.x.size < piece
        or window.y.size < 2
        or out.step(window.x.at) != 1
        or batched.step(window.x.at) != 1
    ):
        return None
    channel_count = op.extents[window.channels]
    first, row_count = share(op.extents[window.filters], *part[:2])
    shapes = [each for each in _RUN_SHAPES[target.machine.registers] if each[0] <= row_count]
    if not shapes:
        return None
    y, x = (_starts(axis.size, size) for axis, size in ((window.y, 2), (window.x, piece)))
    pieces = np.stack(
        [each.constant + y[:, None] * each.step(window.y.at) + x for each in (batched, out)], -1
    ).reshape(-1, 2)
    pieces = np.concatenate([pieces, np.repeat(pieces[-1:], -len(pieces) % 4, 0)])
    columns = pieces.reshape(-1, 4, 2).swapaxes(1, 2).reshape(-1, 8)
    columns += np.repeat([0, first * out.step(window.filters)], 4)

    def cycles(shape: tuple[int, int]) -> float:
        r, v = shape
        groups, blocks = -(-len(columns) // v), -(-row_count // r)
        tile = channel_count * (max(r * v / 2, 4.6) * 1.12 + 1) + r * v + 25
        transforms = len(columns) * (_ENTER_RUN * channel_count + _LEAVE_RUN * blocks * r)
        return (
            transforms
            + groups * blocks * 16 * tile
            + (0 if kept else _WEIGHT * row_count * channel_count)
        )

    shape = min(shapes, key=cycles)

    def build() -> ContractionPlan:
        r, v = shape
        # an odd number of vectors apart: a power of two would fall onto the same cache lines
        image_step = target.width * (channel_count * v | 1)
        indices = (window.filters, window.channels, window.y.tap, window.x.tap)
        steps = [weights.step(i) for i in indices]
        packing = ContractionPlan(
            winograd_weights_kernel(target, r),
            (
                weights.name,
                "packed",
                row_count,
                channel_count,
                weights.constant + first * steps[0],
                *steps,
            ),
            {},
        )
        packed = 16 * -(-row_count // r) * r * channel_count * target.bytes
        # fmt: off
        parameters = (
            batched.name, "packed", "out", "scratch", "columns", len(columns), channel_count,
            row_count, batched.step(window.channels), batched.step(window.y.at), 1,
            out.step(window.filters), out.step(window.y.at), 1, image_step,
        )
        # fmt: on
        scratch = (target.width * (1 + 16 * r * v) + 32 * image_step) * target.bytes
        asks = part[1] > 1
        return ContractionPlan(
            winograd_run_kernel(target, shape, asks),
            parameters,
            {"columns": columns},
            scratch,
            packing,
            packed,
            asks,
        )

    return cycles(shape), build


def _starts(size: int, piece: int) -> np.ndarray:
    """Where pieces begin that cover the size, the last within it."""
    return np.minimum(np.arange(0, size, piece), size - piece)


def winograd_gradient_option(
    op: Contract, dy: Linear, x: Linear, out: Linear, lanes: int, examples: int, target: Target
) -> Option | None:
    """Cycles, and what makes the plan, of the weights' gradient, where `x` is the image."""
    dy_map, x_map = (op.left, op.right) if dy.name == "left" else (op.right, op.left)
    window = window_of(op, x_map, op.out, dy_map)
    if window is None or not fills(op):
        return None
    sizes = [axis.size for axis in (window.y, window.x)]
    inner = [size + 2 for size in sizes]
    steps = [(each.step(window.y.at), each.step(window.x.at)) for each in (x, dy)]
    tiles = [-(-size // 2) for size in sizes]
    filters, channels = op.extents[window.filters], op.extents[window.channels]
    used = -(-examples // target.width) * target.width
    column_count = tiles[0] * tiles[1] * (used // target.width)
    vectors = -(-filters // target.width)
    shape = _SUM_SHAPES[target.machine.registers][min(vectors, 2)]
    r, v = shape
    channel_blocks, filter_blocks = -(-channels // r), -(-vectors // v)
    tile = _BLOCK * target.width * (max(r * v / 2, 4) * 1.15 + 0.5) + 3 * r * v + 25
    cycles = 16 * channel_blocks * filter_blocks * tile * column_count / _BLOCK
    cycles += column_count * (_ENTER_GRADIENT * channels + _TURN * vectors * target.width)
    cycles = _AS_OUTER * (cycles + _WEIGHT_BACK * filters * channels)
    row, line = _BLOCK * target.width, filter_blocks * v * target.width
    high = channel_blocks * r
    scratch = (
        9 * target.width
        + 4 * target.width**2
        + 16 * (high * row + row * line + 2 * target.width + high * line)
    ) * target.bytes
    if scratch > _MOST_SCRATCH:
        return None

    def build() -> ContractionPlan:
        columns = _columns(inner, [(0, size) for size in sizes], 0, steps, used, target.width)
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
            winograd_gradient_kernel(target, shape, _BLOCK),
            parameters,
            {"columns": columns},
            scratch,
        )

    return cycles, build


def _columns(inner, spans, edge: int, steps, lanes: int, width: int) -> np.ndarray:
    """int64 [columns, 4], see `winograd_kernel`; the vectors of a tile side by side.

    `inner` are the sizes of the image within an edge of zeros, `spans` where the result is wanted.
    """
    (x_y, x_x), (out_y, out_x) = steps
    y, x = (np.arange(start, end, 2) for start, end in spans)

    def there(starts, count: int, size: int) -> np.ndarray:
        """[tiles, count]: whether the elements from each start on are within the size."""
        at = starts[:, None] + np.arange(count)
        return (at >= 0) & (at < size)

    def bits(rows, columns) -> np.ndarray:
        both = rows[:, None, :, None] & columns[None, :, None, :]
        both = both.reshape(len(rows) * len(columns), -1)
        return both @ (1 << np.arange(both.shape[1]))

    table = np.stack(
        [
            ((y - edge)[:, None] * x_y + (x - edge) * x_x).ravel(),
            bits(there(y - edge, 4, inner[0]), there(x - edge, 4, inner[1])),
            (y[:, None] * out_y + x * out_x).ravel(),
            bits(there(y, 2, spans[0][1]), there(x, 2, spans[1][1])),
        ],
        1,
    )
    lane = np.arange(0, lanes, width)[:, None] * np.array([1, 0, 1, 0])
    return (table[:, None, :] + lane).reshape(-1, 4)
