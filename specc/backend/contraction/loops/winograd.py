"""The loops around the transforms of Winograd's convolution.

    winograd_kernel(Target("float32", machine), (8, 3))      # products of 8 rows, 3 vectors

A column is a vector of lanes, each a 4x4 tile of the image, and the 2x2 tile of the result that
follows from it. Each of the 16 numbers of a transformed tile (f = 0..15) has a matrix product of
its own. A few columns are processed at a time, so that their transforms stay in the L2 cache. Sizes
and tables are arguments.
"""

from __future__ import annotations

from typing import no_type_check

from specc.backend.contraction.target import Target
from specc.backend.llvm.kernel import Kernel
from specc.target.language import real, view, word


@no_type_check
def winograd(
    x: "int",
    w: "int",
    out: "int",
    scratch: "int",
    columns: "int",
    column_count: "int",
    channels: "int",
    rows: "int",
    x_row: "int",
    x_y: "int",
    x_x: "int",
    out_row: "int",
    out_y: "int",
    out_x: "int",
    image_step: "int",
    *,
    enter: "winograd.enter_tile(dtype, width, prefetches)",
    tile: "winograd.product_tile(tile_rows, vectors, dtype, width, pin)",
    leave: "winograd.leave_tile(dtype, width)",
    enter_tile: "constant",
    leave_tile: "constant",
    tile_rows: "constant",
    vectors: "constant",
    dtype: "constant",
    width: "constant",
    prefetches: "constant",
    pin: "constant",
    step: "constant",
    tile_bytes: "constant",
    line: "constant",
    item: "constant",
):
    # scratch: zeros | sums[f, row, column] | two buffers images[f, channel, column]
    zeros = view(scratch, (width,), real)
    for i in range(width):
        zeros[i] = 0.0
    sums = scratch + item * width
    images = sums + 16 * tile_bytes
    buffer = 16 * item * image_step
    row_blocks = (rows + tile_rows - 1) // tile_rows
    tiles = 16 * row_blocks
    for g in range(-1, (column_count + vectors - 1) // vectors):
        now = images + buffer * (g & 1)
        after = images + buffer * (1 - (g & 1))
        column = columns + line * vectors * g
        entering = vectors if vectors * (g + 1) < column_count else 0
        done, due, c, n = 0, 0, 0, 0
        for b in range(row_blocks):
            for f in range(16):
                if g >= 0:
                    tile(
                        now + item * f * image_step,
                        w + item * (b * 16 + f) * channels * tile_rows,
                        channels,
                        sums + f * tile_bytes,
                    )
                # transform a part of the next columns here: some of the time of their stores is
                # hidden behind the products (8% faster)
                due += channels * entering
                while done < due:
                    done += tiles
                    at = columns + line * min(vectors * (g + 1) + n, column_count - 1)
                    later = columns + line * min(vectors * (g + 2) + n, column_count - 1)
                    enter(
                        x + item * c * x_row,
                        at,
                        later,
                        x_y,
                        x_x,
                        scratch,
                        after + item * width * (c * vectors + n),
                        image_step,
                    )
                    n += 1
                    if n == entering:
                        n = 0
                        c += 1
            if g >= 0:
                k = min(b * tile_rows, rows - tile_rows)
                for i in range(tile_rows):
                    for m in range(min(vectors, column_count - vectors * g)):
                        leave(
                            sums + item * width * (i * vectors + m),
                            step,
                            out + item * (k + i) * out_row,
                            column + line * m + line // 2,
                            out_y,
                            out_x,
                        )


@no_type_check
def winograd_weights(
    w: "int",
    out: "int",
    rows: "int",
    channels: "int",
    first: "int",
    w_row: "int",
    w_channel: "int",
    w_y: "int",
    w_x: "int",
    *,
    tile: "winograd.weights_tile(tile_rows, dtype)",
    tile_rows: "constant",
    dtype: "constant",
    item: "constant",
):
    for b in range((rows + tile_rows - 1) // tile_rows):
        for c in range(channels):
            k = min(b * tile_rows, rows - tile_rows)
            tile(
                w + item * (first + k * w_row + c * w_channel),
                w_row,
                w_y,
                w_x,
                out + item * (b * 16 * channels + c) * tile_rows,
                channels * tile_rows,
            )


@no_type_check
def winograd_gradient(
    x: "int",
    dy: "int",
    dw: "int",
    scratch: "int",
    columns: "int",
    column_count: "int",
    channels: "int",
    filters: "int",
    x_row: "int",
    x_y: "int",
    x_x: "int",
    dy_row: "int",
    dy_y: "int",
    dy_x: "int",
    dw_channel: "int",
    dw_filter: "int",
    dw_y: "int",
    dw_x: "int",
    *,
    enter: "winograd.image_tile(dtype, width)",
    transpose: "moves.pack_tile(dtype, width)",
    spread: "winograd.result_gradient_tile(dtype, width)",
    tile: "winograd.sum_tile(tile_rows, vectors, row_step, dtype, width)",
    leave: "winograd.weights_gradient_tile(dtype, width)",
    tile_rows: "constant",
    vectors: "constant",
    dtype: "constant",
    width: "constant",
    step: "constant",
    block: "constant",
    row_step: "constant",
    most: "constant",
    item: "constant",
):
    # scratch: zeros, later a 3x3 | corner[4, lane, filter] | images[f, channel, lane of column]
    #          | gradients[f, lane of column, filter] | sums[f, channel, filter], and the totals of
    #          these if there are more than `most` blocks of columns
    channel_blocks = (channels + tile_rows - 1) // tile_rows
    filter_blocks = (filters + step - 1) // step
    line = filter_blocks * step
    image_step = channel_blocks * tile_rows * row_step + width
    gradient_step = row_step * line + width
    sum_step = channel_blocks * tile_rows * line
    corner = scratch + item * 9 * width
    images = corner + item * 4 * width * width
    gradients = images + item * 16 * image_step
    sums = gradients + item * 16 * gradient_step
    zeros = view(scratch, (width,), real)
    for i in range(width):
        zeros[i] = 0.0
    for f in range(16):  # zeros for the rows beyond the last channel
        rest = view(
            images + item * (f * image_step + channels * row_step),
            ((channel_blocks * tile_rows - channels) * row_step,),
            real,
        )
        for i in range((channel_blocks * tile_rows - channels) * row_step):
            rest[i] = 0.0
    blocks = (column_count + block - 1) // block
    sliced = 1 if blocks > most else 0
    total = sums + 16 * item * sum_step * sliced
    for n in range(sliced + 1):
        cleared = view(sums + 16 * item * sum_step * n, (16 * sum_step,), real)
        for i in range(16 * sum_step):
            cleared[i] = 0.0
    for g in range(blocks):
        column = columns + 32 * block * g
        count = min(block, column_count - block * g)
        for c in range(channels):
            for n in range(count):
                at = column + 32 * n
                enter(
                    x + item * c * x_row,
                    at,
                    at,
                    x_y,
                    x_x,
                    scratch,
                    images + item * (c * row_step + n * width),
                    image_step,
                )
        for n in range(count):
            at = column + 32 * n
            for k in range(0, filters, width):
                high = min(width, filters - k)
                for i in range(4):
                    dy_at = k * dy_row + word(at, 2) + (i >> 1) * dy_y + (i & 1) * dy_x
                    to = corner + item * i * width * width
                    if (word(at, 3) >> i) & 1:
                        transpose(dy + item * dy_at, dy_row, to, high, width)
                    else:
                        edge = view(to, (width * width,), real)
                        for lane in range(width * width):
                            edge[lane] = 0.0
                for lane in range(width):
                    spread(
                        corner + item * width * lane,
                        width * width,
                        gradients + item * ((n * width + lane) * line + k),
                        gradient_step,
                    )
        for f in range(16):
            for b in range(channel_blocks):
                for k in range(0, line, step):
                    tile(
                        gradients + item * (f * gradient_step + k),
                        images + item * (f * image_step + b * tile_rows * row_step),
                        count * width,
                        line,
                        sums + item * (f * sum_step + b * tile_rows * line + k),
                        line,
                    )
        if sliced > 0 and (g % most == most - 1 or g == blocks - 1):
            totals = view(total, (16 * sum_step,), real)
            slice = view(sums, (16 * sum_step,), real)
            for i in range(16 * sum_step):
                totals[i] += slice[i]
                slice[i] = 0.0
    for c in range(channels):
        for k in range(0, filters, width):
            leave(total + item * (c * line + k), sum_step, scratch)
            taps = view(scratch, (9, width), real)
            for i in range(min(width, filters - k)):
                to = dw + item * (c * dw_channel + (k + i) * dw_filter)
                for t in range(9):
                    at = to + item * (t // 3 * dw_y + t % 3 * dw_x)
                    view(at, (1,), real)[0] = taps[t, i]


def winograd_kernel(target: Target, shape: tuple[int, int]) -> Kernel:
    """Return the kernel of a convolution by Winograd's F(2x2, 3x3), with products of a shape.

    columns     [n, 4]  offset in x of a 4x4 tile, bits for its elements within the image, offset in
                        out of the 2x2 tile, and bits for its elements that are read
    image_step          distance between the 16 numbers of the transformed tiles
    w                   weights packed by `winograd_weights_kernel`
    """
    tiles = {"enter_tile": "image_tile", "leave_tile": "result_tile"}
    return _products("winograd", target, shape, line=32, prefetches=False, **tiles)


def winograd_run_kernel(target: Target, shape: tuple[int, int], prefetches: bool) -> Kernel:
    """Return the kernel for one example: a column's lanes are tiles of its image.

    With `prefetches`, it prefetches data written by other threads, for the columns after the next
    ones.

    columns     [n, 8]  offsets in x of the four pieces of a column, and in out (`run_image_tile`)
    """
    tiles = {"enter_tile": "run_image_tile", "leave_tile": "run_result_tile"}
    return _products("winograd_run", target, shape, line=64, prefetches=prefetches, **tiles)


def _products(
    name: str, target: Target, shape: tuple[int, int], *, prefetches: bool, **more: int | str
) -> Kernel:
    rows, vectors = shape
    step = rows * vectors * target.width
    return target.kernel(
        winograd,
        f"{name}_{rows}x{vectors}" + "_prefetching" * prefetches,
        tile_rows=rows,
        vectors=vectors,
        step=step,
        tile_bytes=step * target.bytes,
        prefetches=prefetches,
        **more,
    )


def winograd_weights_kernel(target: Target, rows: int) -> Kernel:
    """Return the kernel that transforms weights to [block of rows, f, channel, row]."""
    return target.kernel(winograd_weights, f"winograd_weights_{rows}", tile_rows=rows)


def winograd_gradient_kernel(
    target: Target, shape: tuple[int, int], block: int, most: int
) -> Kernel:
    """Return the kernel of the weights' gradient by Winograd's method, `block` columns at a time.

    dy is transposed, so that vectors are across the filters, and sums are over the lanes. The sums
    of `most` blocks are added up before they are added to those of all, as long sums lose digits.

    columns     [n, 4]  as in `winograd_kernel`, with dy in place of the result
    """
    rows, vectors = shape
    return target.kernel(
        winograd_gradient,
        f"winograd_gradient_{rows}x{vectors}",
        tile_rows=rows,
        vectors=vectors,
        step=vectors * target.width,
        block=block,
        row_step=block * target.width,
        most=most,
    )
