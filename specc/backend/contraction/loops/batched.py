"""The loops around the tiles for products of two values of each example.

batched_kernel(target, (4, 4))          # 4 rows, 4 columns
"""

from __future__ import annotations

from typing import no_type_check

from specc.backend.contraction.target import Target
from specc.backend.llvm.kernel import Kernel
from specc.target.language import word


@no_type_check
def batched(
    left: "int",
    right: "int",
    out: "int",
    left_at: "int",
    right_at: "int",
    taps: "int",
    positions: "int",
    position_count: "int",
    rows: "int",
    left_row: "int",
    out_row: "int",
    columns: "int",
    right_column: "int",
    out_column: "int",
    lanes: "int",
    most: "int",
    *,
    tile: "tiles.batched_tile(tile_rows, tile_columns, dtype, width)",
    tile_rows: "constant",
    tile_columns: "constant",
    dtype: "constant",
    width: "constant",
    item: "constant",
):
    slices = (taps + most - 1) // most
    for v in range(0, lanes, width):
        for q in range(position_count):
            left_q = left + item * (word(positions, 3 * q) + v)
            right_q = right + item * (word(positions, 3 * q + 1) + v)
            out_q = out + item * (word(positions, 3 * q + 2) + v)
            for i in range((rows + tile_rows - 1) // tile_rows):
                k = item * min(i * tile_rows, rows - tile_rows)
                for j in range((columns + tile_columns - 1) // tile_columns):
                    c = item * min(j * tile_columns, columns - tile_columns)
                    for s in range(slices):
                        tile(
                            left_q + k * left_row,
                            right_q + c * right_column,
                            left_at + 8 * s * most,
                            right_at + 8 * s * most,
                            min(most, taps - s * most),
                            left_row,
                            right_column,
                            s,
                            out_q + k * out_row + c * out_column,
                            out_row,
                            out_column,
                        )


def batched_kernel(target: Target, shape: tuple[int, int]) -> Kernel:
    """Return the kernel of `batched` tiles for all rows and columns at all positions.

    left_at, right_at   offsets of the taps in both operands
    positions   [n, 3]  offsets in the operands and the result
    most                taps of a slice; the sums of slices are added up in the result
    """
    rows, columns = shape
    name = f"batched_{rows}x{columns}"
    return target.kernel(batched, name, tile_rows=rows, tile_columns=columns)
