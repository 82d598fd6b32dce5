"""The kernel that draws random numbers: see `specc.ops.random`."""

from __future__ import annotations

from typing import TYPE_CHECKING, no_type_check

if TYPE_CHECKING:
    import numpy as np

    from specc.ir.op import Kernel

    mix32: Kernel  # a function of the language


@no_type_check
def uniform(
    frame: "int64[8]",
    control: "control",
    out: "float[channels * size, lanes]",
    key: "int",
    channels: "int",
    skipped: "int",
    size: "int",
    first_example: "int",
    examples: "int",
    lanes: "int",
):
    # frame[5] is the seed, frame[6] the run's first step, control[0] the step within the run (see
    # feed.py). The first `skipped` channels belong to other threads. A lane without an example
    # draws the numbers of the last example.
    count = min(frame[2], frame[1] - control[0] * frame[2])
    last = min(first_example + examples, count) - 1
    start = min(first_example, last)
    used = min(last + 1 - start, lanes)
    golden = np.uint64(0x9E3779B97F4A7C15)
    state = np.uint64(frame[5]) + golden
    for part in range(3):
        if part == 1:
            state = state ^ np.uint64(key)
        if part == 2:
            state = state + np.uint64(frame[6] + control[0])
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    for k in range(channels * size):
        row = state + np.uint64(skipped * size + k + 1) * golden
        row = (row ^ (row >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        row = (row ^ (row >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        row = row ^ (row >> np.uint64(31))
        first = np.uint32(row + np.uint64(start))
        second = np.uint32(row >> np.uint64(32))
        for lane in range(used):
            bits = mix32(np.uint32(mix32(np.uint32(np.uint32(lane) + first)) ^ second))
            out[k, lane] = np.int32(bits >> np.uint32(8)) * 5.9604644775390625e-08
        for lane in range(used, lanes):
            out[k, lane] = out[k, used - 1]
