"""The loops around the transforms of Winograd's convolution, as kernels' text for one tile shape each.

    winograd_kernel(Target("float32", machine), (8, 3))      # products of 8 rows, 3 vectors

A column is a vector of lanes of a 4x4 tile of the image, and of the 2x2 tile of the result it gives.
Of each `block` of columns all elements are transformed, then each of the 16 numbers of a tile
(f = 0..15) is a product of matrices of its own, then the sums are transformed back.
"""

from __future__ import annotations

from specc.backend.load import Kernel
from specc.backend.tile_kernels import Target, from_template

_WINOGRAD = """
from specc.backend.memory import view, word
from specc.backend.tiles import packed_tile
from specc.backend.winograd_tiles import image_tile, result_tile
enter = image_tile("<dtype>", <width>)
tile = packed_tile(<rows>, <vectors>, "<dtype>", <width>)
leave = result_tile("<dtype>", <width>)

def <name>(x: "int", w: "int", out: "int", scratch: "int", columns: "int", column_count: "int",
           x_at: "int", ends: "int", channels: "int", rows: "int", block: "int",
           x_row: "int", x_y: "int", x_x: "int", out_row: "int", out_y: "int", out_x: "int",
           w_step: "int", image_step: "int", sum_step: "int"):
    # scratch: zeros | images[f, channel, column] | sums[f, row, column]
    zeros = view(scratch, (<width>,), real)
    for i in range(<width>):
        zeros[i] = 0.0
    images = scratch + <bytes> * <width>
    sums = images + <bytes> * 16 * image_step
    row_blocks = (rows + <rows> - 1) // <rows>
    for number in range((column_count + block - 1) // block):
        first = number * block
        count = min(block, column_count - first)
        for c in range(channels):
            for n in range(count):
                column = columns + 32 * (first + n)
                enter(x + <bytes> * (c * x_row + word(column, 0)), x_y, x_x, word(column, 1), scratch,
                      images + <bytes> * <width> * (c * block + n), image_step)
        for f in range(16):
            for n in range(0, count, <vectors>):
                for b in range(row_blocks):
                    k = min(b * <rows>, rows - <rows>)
                    tile(images + <bytes> * f * image_step,
                         w + <bytes> * (f * w_step + b * channels * <rows>), x_at, channels,
                         ends + 16 * n, 0,
                         sums + <bytes> * (f * sum_step + k * block * <width>), block * <width>, 1)
        for k in range(rows):
            for n in range(count):
                column = columns + 32 * (first + n)
                leave(sums + <bytes> * <width> * (k * block + n), sum_step,
                      out + <bytes> * (k * out_row + word(column, 2)), out_y, out_x, word(column, 3))
"""

_WEIGHTS = """
from specc.backend.winograd_tiles import weights_tile
tile = weights_tile(<rows>, "<dtype>")

def <name>(w: "int", out: "int", rows: "int", channels: "int",
           first: "int", w_row: "int", w_channel: "int", w_y: "int", w_x: "int", out_step: "int"):
    for b in range((rows + <rows> - 1) // <rows>):
        for c in range(channels):
            k = min(b * <rows>, rows - <rows>)
            tile(w + <bytes> * (first + k * w_row + c * w_channel), w_row, w_y, w_x,
                 out + <bytes> * (b * channels + c) * <rows>, out_step)
"""


def winograd_kernel(target: Target, shape: tuple[int, int]) -> Kernel:
    """A convolution by Winograd's F(2x2, 3x3), the products in `packed` tiles.

    columns     [n, 4]  offset in x of a 4x4 tile, which of its elements are there (bits), offset in out
                        of the 2x2 tile, and which of its elements are wanted
    x_at        [channels]  offsets of channels in `images`: block * width apart
    ends        [block, 2]  offsets of columns in `images` and `sums`: width apart
    w           as `winograd_weights_kernel` leaves them
    """
    rows, vectors = shape
    return from_template(f"winograd_{rows}x{vectors}", _WINOGRAD, target, rows=rows, vectors=vectors)


def winograd_weights_kernel(target: Target, rows: int) -> Kernel:
    """The weights transformed, as `packed` tiles read them: [f, block of rows, channel, row]."""
    return from_template(f"winograd_weights_{rows}", _WEIGHTS, target, rows=rows)
