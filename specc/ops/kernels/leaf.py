"""The kernel that counts along an axis: see `Iota` in `specc.ops.leaf`."""

from __future__ import annotations

from typing import no_type_check


@no_type_check
def iota(out: "int32[size]", size: "int"):
    for i in range(size):
        out[i] = i
