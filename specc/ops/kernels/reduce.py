"""The kernel that finds the largest element: see `ArgMax` in `specc.ops.reduce`."""

from __future__ import annotations

from typing import no_type_check


@no_type_check
def argmax(
    x: "float[outer, n, lanes]",
    out: "int32[outer, lanes]",
    outer: "int",
    n: "int",
    lanes: "int",
):
    for o in range(outer):
        for lane in range(lanes):
            out[o, lane] = 0
            best = x[o, 0, lane]
            for i in range(1, n):
                here = x[o, i, lane]
                if here > best or (here != here and best == best):
                    best = here
                    out[o, lane] = i
