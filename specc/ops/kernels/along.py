"""Kernels of the running sum and the sorting order along an axis: see `specc.ops.along`."""

from __future__ import annotations

from typing import no_type_check


@no_type_check
def running_sum(
    x: "float[outer, n, rest]",
    out: "float[outer, n, rest]",
    outer: "int",
    n: "int",
    rest: "int",
):
    for o in range(outer):
        for r in range(rest):
            out[o, 0, r] = x[o, 0, r]
        for i in range(1, n):
            for r in range(rest):
                out[o, i, r] = out[o, i - 1, r] + x[o, i, r]


@no_type_check
def order(
    x: "float[outer, n, lanes]",
    out: "int32[outer, n, lanes]",
    outer: "int",
    n: "int",
    lanes: "int",
):
    # Batcher's sorting network (Knuth, volume 3, 5.2.2M); equal elements are compared by their
    # positions, which makes the sort stable
    for o in range(outer):
        for i in range(n):
            for lane in range(lanes):
                out[o, i, lane] = i
        p = 1
        while p < n:
            k = p
            while k > 0:
                j = k % p
                while j < n - k:
                    for i in range(j, j + min(k, n - j - k)):
                        if i // (2 * p) == (i + k) // (2 * p):
                            for lane in range(lanes):
                                a = out[o, i, lane]
                                b = out[o, i + k, lane]
                                low = x[o, a, lane]
                                high = x[o, b, lane]
                                tie = low == high or (low != low and high != high)
                                swap = (
                                    (low > high) or (low != low and high == high) or (tie and a > b)
                                )
                                out[o, i, lane] = b if swap else a
                                out[o, i + k, lane] = a if swap else b
                    j = j + 2 * k
                k = k // 2
            p = 2 * p
