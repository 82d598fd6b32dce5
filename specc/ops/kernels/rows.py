"""Kernel of `specc.ops.rows`."""

from __future__ import annotations

from typing import no_type_check

from specc.target.language import real, view


@no_type_check
def set_row(
    x: "int",
    row_: "float[rest, row_lanes]",
    at: "int32[at_lanes]",
    out: "int",
    size: "int",
    rest: "int",
    x_lanes: "int",
    x_step: "int",
    row_lanes: "int",
    row_step: "int",
    at_lanes: "int",
    at_step: "int",
    lanes: "int",
):
    rows = view(out, (size, rest, lanes), real)
    if x != out:
        old = view(x, (size, rest, x_lanes), real)
        for k in range(size):
            for r in range(rest):
                for lane in range(lanes):
                    rows[k, r, lane] = old[k, r, lane * x_step]
    for r in range(rest):
        for lane in range(lanes):
            rows[at[lane * at_step], r, lane] = row_[r, lane * row_step]
