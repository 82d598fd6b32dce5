"""Convolutions with 3x3 weights by Winograd's F(2x2, 3x3): 16 products for 36.

    window = window_of(op, image, weights, result)      # None: not such a convolution

The method is that of Lavin and Gray, 2016 (see `winograd_tiles`). The three contractions of such a
layer, with y for the result, x for the image, w for the weights:

    forward               y[k, i, j] = sum w[k, c, u, v] x[c, i + u, j + v]
    image's gradient      x[c, i + u, j + v] += w[k, c, u, v] y[k, i, j]: a forward pass with the
                          weights mirrored and two rows and columns of zeros around y
    weights' gradient     w[k, c, u, v] = sum x[c, i + u, j + v] y[k, i, j]
"""

from __future__ import annotations

import numpy as np

from specc.backend.contraction.loops.winograd import winograd_weights_kernel
from specc.backend.contraction.problem import Problem
from specc.backend.contraction.tiling import ContractionPlan
from specc.backend.llvm.kernel import Kernel
from specc.ops.contract import Contract, Map
from specc.system.records import dataclass


@dataclass(frozen=True)
class Axis3:
    """An axis of an image with 3 taps: the index of its positions, of its taps, and its size."""

    at: int
    tap: int
    size: int


@dataclass(frozen=True)
class Window:
    """The indices of a convolution: `filters` is in w and y, `channels` in w and x."""

    filters: int
    channels: int
    y: Axis3
    x: Axis3


def window_of(op: Contract, image: Map, weights: Map, result: Map) -> Window | None:
    """Return the indices by their roles if the maps of x, w and y are a 3x3 convolution's."""
    extents = op.bound_extents

    def used(map_: Map) -> list[list[tuple[int, int]]]:
        return [[(i, c) for i, c in each.bound_terms if extents[i] > 1] for each in map_]

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
            axes.append(Axis3(at[0], taps[0], extents[at[0]]))
    channels -= {axis.tap for axis in axes}
    everything = {*filters, *channels, *(i for axis in axes for i in (axis.at, axis.tap))}
    if (
        len(axes) != 2
        or len(filters) != 1
        or len(channels) != 1
        or len(everything) != 6
        or everything != of["x"] | of["w"] | of["y"]
        or any(extents[axis.tap] != 3 for axis in axes)
        or any(e.constant for map_ in (image, weights, result) for e in map_)
    ):
        return None
    return Window(filters.pop(), channels.pop(), *axes)


def fills(op: Contract) -> bool:
    """Return whether the expression of each axis of the result reaches the axis' last element."""
    return all(
        size == 1 + sum(c * (op.extents[i] - 1) for i, c in each.terms)
        for each, size in zip(op.out, op.shape, strict=True)
    )


def columns_of(inner, spans, edge: int, steps, lanes: int, width: int) -> np.ndarray:
    """Return the table of columns, int64 [columns, 4] (see `winograd_kernel`).

    The columns of a tile's vectors are contiguous. `inner` holds the sizes of the image without its
    edge of zeros, `spans` the start and the end of the part of the result that is read.
    """
    (x_y, x_x), (out_y, out_x) = steps
    y, x = (np.arange(start, end, 2) for start, end in spans)

    def there(starts, count: int, size: int) -> np.ndarray:
        """Return whether `count` elements from each start are within the size, [tiles, count]."""
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


def product_plan(
    problem: Problem,
    window: Window,
    kernel: Kernel,
    shape: tuple[int, int],
    columns: np.ndarray,
    rows: tuple[int, int],
    mirrored: bool = False,
    prefetches: bool = False,
) -> ContractionPlan:
    """Return the plan of a `winograd` kernel, which transforms the weights when it packs them.

    `rows` is the first row of the weights and the number of rows. With `mirrored`, the result is
    the image's gradient, whose rows are the channels.
    """
    target = problem.target
    weights, batched, out = problem.operands
    row, channel = window.filters, window.channels
    (first, row_count), (r, v) = rows, shape
    tap_y, tap_x = (weights.step(axis.tap) for axis in (window.y, window.x))
    start = weights.constant
    if mirrored:  # start at the last tap
        row, channel = channel, row
        start, tap_y, tap_x = start + 2 * (tap_y + tap_x), -tap_y, -tap_x
    channels = problem.op.bound_extents[channel]
    # an odd number of vectors, because images a power of two apart map to the same cache sets
    image_step = target.width * (channels * v | 1)
    x_steps, out_steps = (
        (each.step(window.y.at), each.step(window.x.at)) for each in (batched, out)
    )
    # fmt: off
    packing = ContractionPlan(
        winograd_weights_kernel(target, r),
        (
            weights.name, "packed", row_count, channels, start + first * weights.step(row),
            weights.step(row), weights.step(channel), tap_y, tap_x,
        ),
        {},
    )
    parameters = (
        batched.name, "packed", "out", "scratch", "columns", len(columns), channels, row_count,
        batched.step(channel), *x_steps, out.step(row), *out_steps, image_step,
    )
    # fmt: on
    return ContractionPlan(
        kernel,
        parameters,
        {"columns": columns},
        (target.width * (1 + 16 * r * v) + 32 * image_step) * target.bytes,
        packing,
        16 * -(-row_count // r) * r * channels * target.bytes,
        prefetches,
    )
