"""The loops around the tiles of the weights' gradient.

outer_kernel(target, (4, 6))         # 4 rows, 6 taps
"""

from __future__ import annotations

from typing import no_type_check

from specc.backend.contraction.target import Target
from specc.backend.llvm.kernel import Kernel
from specc.target.language import word


@no_type_check
def outer(
    x: "int",
    dy: "int",
    dw: "int",
    tap_at: "int",
    dw_at: "int",
    taps: "int",
    segments: "int",
    segment_count: "int",
    positions: "int",
    position_count: "int",
    rows: "int",
    dy_row: "int",
    dw_row: "int",
    most: "int",
    scratch: "int",
    *,
    tile: "tiles.outer_tile(tile_rows, tile_taps, dtype, width, stride)",
    tile_rows: "constant",
    tile_taps: "constant",
    dtype: "constant",
    width: "constant",
    stride: "constant",
    tile_bytes: "constant",
    item: "constant",
):
    slices = (segment_count + most - 1) // most
    for q in range(position_count):
        dy_q = dy + item * word(positions, 3 * q)
        x_q = x + item * word(positions, 3 * q + 1)
        dw_q = dw + item * word(positions, 3 * q + 2)
        for i in range((rows + tile_rows - 1) // tile_rows):
            k = min(i * tile_rows, rows - tile_rows)
            for s in range(slices):
                segment = segments + 24 * s * most
                count = min(most, segment_count - s * most)
                for j in range((taps + tile_taps - 1) // tile_taps):
                    t = min(j * tile_taps, taps - tile_taps)
                    kept = scratch + j * tile_bytes
                    tile(
                        x_q,
                        dy_q + item * k * dy_row,
                        tap_at + 8 * t,
                        segment,
                        count,
                        dy_row,
                        kept if s > 0 else 0,
                        kept if s < slices - 1 else 0,
                        dw_q + item * k * dw_row,
                        dw_row,
                        dw_at + 8 * t,
                    )


def outer_kernel(target: Target, shape: tuple[int, int], stride: int = 1) -> Kernel:
    """Return the kernel of `outer` tiles for all rows and taps at all positions.

    tap_at, dw_at       offsets of the taps in x and in the result
    segments    [n, 3]  offsets in dy and x, and the number of vectors, `stride` vectors apart in x
    positions   [n, 3]  offsets in dy, x and the result
    most                segments of a slice, which all taps process before the next slice
    scratch             the sums of all taps between slices
    """
    rows, taps = shape
    sums = rows * taps * target.width * target.bytes
    name = f"outer_{rows}x{taps}" + f"_stride_{stride}" * (stride > 1)
    return target.kernel(
        outer, name, tile_rows=rows, tile_taps=taps, tile_bytes=sums, stride=stride
    )
