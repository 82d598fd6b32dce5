"""Kernels that exchange values between the examples of a batch: see `specc.ops.peers`."""

from __future__ import annotations

from typing import no_type_check


@no_type_check
def peers(
    x: "element[count, lanes]",
    out: "element[size, count]",
    size: "int",
    count: "int",
    lanes: "int",
    first_example: "int",
    examples: "int",
    *,
    element: "constant",
):
    for lane in range(min(examples, size - first_example)):
        for i in range(count):
            out[first_example + lane, i] = x[i, lane]


@no_type_check
def own(
    table: "float[size, count]",
    out: "float[count, lanes]",
    size: "int",
    count: "int",
    lanes: "int",
    first_example: "int",
    examples: "int",
    *,
    repeated: "constant",
):
    last = min(first_example + examples, size) - 1
    for lane in range(lanes):
        k = min(first_example + lane, last)
        share = 1.0 if first_example + lane <= last else repeated
        for i in range(count):
            out[i, lane] = table[k, i] * share
