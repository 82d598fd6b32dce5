"""Kernels that copy the operands of rounded contractions in the order in which tiles read them.

interleave_kernel(target)       # pairs of numbers from two runs, along a strided axis
neighbours_kernel(target)       # pairs of numbers from one run, along a contiguous axis
round_kernel(target)            # rounded numbers as float32, for tiles without pairs
"""

from __future__ import annotations

from typing import no_type_check

from specc.backend.contraction.target import Target
from specc.backend.llvm.kernel import Kernel
from specc.target.language import bfloat16, real, view, word


@no_type_check
def interleave(
    x: "int",
    out: "int",
    table: "int",
    rows: "int",
    run: "int",
    *,
    tile: "pairs.interleave_tile(width)",
    width: "constant",
):
    for r in range(rows):
        tile(
            x + 4 * word(table, 3 * r),
            x + 4 * word(table, 3 * r + 1),
            word(table, 3 * r + 2),
            out + 4 * r * run,
            run,
        )


@no_type_check
def neighbours(
    x: "int",
    out: "int",
    table: "int",
    rows: "int",
    run: "int",
    out_row: "int",
    *,
    tile: "pairs.neighbours_tile(width)",
    width: "constant",
):
    used = (run + 1) // 2
    for r in range(rows):
        row = out + 4 * r * out_row
        tile(x + 4 * word(table, r), row, run)
        empty = view(row + 4 * used, (out_row - used,), real)
        for i in range(out_row - used):
            empty[i] = 0.0


@no_type_check
def round(x: "int", out: "int", table: "int", rows: "int", run: "int"):
    for r in range(rows):
        given = view(x + 4 * word(table, r), (run,), real)
        rounded = view(out + 4 * r * run, (run,), real)
        for i in range(run):
            rounded[i] = bfloat16(given[i])


def interleave_kernel(target: Target) -> Kernel:
    """Return the kernel that copies pairs (x[a + i], x[b + i]) for all i in a run.

    `table` [rows, 3] holds a and b for each run; its third column is 0 if pairs have no second
    number.
    """
    return target.kernel(interleave, "interleave")


def neighbours_kernel(target: Target) -> Kernel:
    """Return the kernel that copies pairs (x[a + 2i], x[a + 2i + 1]) of a run.

    `table` [rows] holds a for each run. Each run becomes `out_row` pairs, the last of which are 0
    if it has fewer.
    """
    return target.kernel(neighbours, "neighbours")


def round_kernel(target: Target) -> Kernel:
    """Return the kernel that copies runs as rounded numbers; `table` [rows] holds their starts."""
    return target.kernel(round, "round")
