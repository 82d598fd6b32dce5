"""The kernels that read data and settings for a step, and write its records and outputs.

They read everything that changes between runs from the `frame`, a block of int64 numbers:

    frame[ORDER]      address of the row numbers, in the order in which the rows are used
    frame[TOTAL]      the number of rows; frame[BATCH] of them make a step
    frame[SETTINGS]   address of the optimizer's settings, float64[steps, settings]
    frame[RECORDS]    address of the records, float64[steps, records]
    frame[SEED]       the seed of random numbers (see ops/random.py, which also reads FIRST)
    frame[FIRST]      the number of the run's first step since training began
    frame[AMISS]      set to 1 if a class index is out of range, which is then read as 0
    frame[PORTS...]   three numbers per port or output: the addresses of its array [rows, size] and
                      of its scale and shift (float64[2]), and the number of elements of a row, of
                      which `size` are read

Step t uses the rows order[t * batch : (t + 1) * batch]; shard s has `examples` of them, in its
first lanes. Lanes without an example repeat the last one, with almost no weight (`REPEATED`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, no_type_check

import numpy as np

from specc.backend.llvm import printer
from specc.backend.llvm.kernel import Kernel
from specc.backend.machine import this_machine
from specc.ops.leaf import REPEATED
from specc.target import parse
from specc.target.language import float64, int64, prefetch, real, row, view

ORDER, TOTAL, BATCH, SETTINGS, RECORDS, SEED, FIRST, AMISS, PORTS = range(9)
# the element types that a data column may have
COLUMN_TYPES = ("uint8", "float32", "float64", "int32", "int64")


@no_type_check
def gather_float(
    frame: "int64[8]",
    control: "control",
    out: "int",
    port: "int",
    size: "int",
    skipped: "int",
    first_example: "int",
    lanes: "int",
    examples: "int",
    *,
    tile: "moves.gather_tile(column, dtype, width)",
    column: "constant",
    dtype: "constant",
    width: "constant",
    column_item: "constant",
    item: "constant",
):
    # reads `size` features of each row, after `skipped` others, for the examples of the batch from
    # `first_example` on
    start = control[0] * frame[2]
    count = min(frame[2], frame[1] - start)
    order = view(frame[0], (frame[1],), int64)
    data = view(frame[port], (1 << 40,), column)
    affine = view(frame[port + 1], (2,), float64)
    scale = affine[0]
    shift = affine[1]
    pitch = frame[port + 2]
    last = min(first_example + examples, count) - 1
    if lanes == 1:
        at = order[start + min(first_example, last)] * pitch
        source, alone = row(data, at + skipped, size), view(out, (size,), real)
        for f in range(size):
            alone[f] = source[f] * scale + shift
        return
    # tiles transpose squares, a vector's worth of features for a vector of lanes; the last features
    # are read one by one
    squares = size // width if lanes % width == 0 else 0
    for lane in range(0, lanes if squares else 0, width):
        tile(
            frame[port] + column_item * skipped,
            frame[0] + 8 * start,
            first_example + lane,
            last,
            pitch,
            out + item * lane,
            lanes,
            frame[port + 1],
            squares,
        )
    values = view(out, (size * lanes,), real)
    for lane in range(lanes):
        k = min(first_example + lane, last)
        source = row(data, order[start + k] * pitch + skipped, size)
        for f in range(squares * width, size):
            values[f * lanes + lane] = source[f] * scale + shift


@no_type_check
def gather_int(
    frame: "int64[8]",
    control: "control",
    out: "int32[size * lanes]",
    port: "int",
    size: "int",
    classes: "int",
    lanes: "int",
    examples: "int",
    *,
    column: "constant",
):
    start = control[0] * frame[2]
    count = min(frame[2], frame[1] - start)
    order = view(frame[0], (frame[1],), int64)
    data = view(frame[port], (1 << 40,), column)
    for lane in range(lanes):
        k = min(min(lane, examples - 1) + control[1] * examples, count - 1)
        source = row(data, order[start + k] * frame[port + 2], size)
        for f in range(size):
            value = source[f]
            if value < 0 or value >= classes:
                frame[7] = 1
                value = 0
            out[f * lanes + lane] = value


@no_type_check
def gather_bool(
    frame: "int64[8]",
    control: "control",
    out: "uint8[size * lanes]",
    port: "int",
    size: "int",
    lanes: "int",
    examples: "int",
    *,
    column: "constant",
):
    start = control[0] * frame[2]
    count = min(frame[2], frame[1] - start)
    order = view(frame[0], (frame[1],), int64)
    data = view(frame[port], (1 << 40,), column)
    for lane in range(lanes):
        k = min(min(lane, examples - 1) + control[1] * examples, count - 1)
        source = row(data, order[start + k] * frame[port + 2], size)
        for f in range(size):
            out[f * lanes + lane] = 1 if source[f] != 0 else 0


@no_type_check
def weigh_examples(
    frame: "int64[8]",
    control: "control",
    out: "float[lanes]",
    lanes: "int",
    examples: "int",
    *,
    repeated: "constant",
):
    count = min(frame[2], frame[1] - control[0] * frame[2])
    for lane in range(lanes):
        out[lane] = repeated / count
    for lane in range(examples):
        if control[1] * examples + lane < count:
            out[lane] = 1.0 / count


@no_type_check
def read_setting(
    frame: "int64[8]", control: "control", out: "float[1]", number: "int", settings: "int"
):
    table = view(frame[3], (1 << 40,), float64)
    out[0] = table[control[0] * settings + number]


@no_type_check
def write_record(frame: "int64[8]", control: "control", values: "float[records]", records: "int"):
    table = view(frame[4], (1 << 40,), float64)
    for i in range(records):
        table[control[0] * records + i] = values[i]


@no_type_check
def write_rows(
    frame: "int64[8]",
    control: "control",
    values: "element[size * lanes]",
    port: "int",
    size: "int",
    lanes: "int",
    examples: "int",
    *,
    column: "constant",
    element: "constant",
):
    start = control[0] * frame[2]
    count = min(frame[2], frame[1] - start)
    data = view(frame[port], (1 << 40,), column)
    for lane in range(examples):
        k = control[1] * examples + lane
        if k < count:
            target = row(data, (start + k) * size, size)
            for f in range(size):
                target[f] = values[f * lanes + lane]


@no_type_check
def write_transposed(
    frame: "int64[8]",
    control: "control",
    values: "int",
    port: "int",
    size: "int",
    lanes: "int",
    examples: "int",
    *,
    transpose: "moves.transpose_tile(dtype, width)",
    dtype: "constant",
    width: "constant",
    item: "constant",
):
    start = control[0] * frame[2] + control[1] * examples
    count = min(min(frame[2], frame[1] - control[0] * frame[2]) - control[1] * examples, examples)
    data = frame[port] + item * start * size
    # tiles transpose squares, a vector's worth of features for a vector of lanes; the last square
    # may overlap the one before
    whole = count - count % width
    for square in range((size + width - 1) // width):
        f = min(square * width, size - width)
        for lane in range(0, whole, width):
            transpose(
                values + item * (f * lanes + lane), lanes, data + item * (lane * size + f), size
            )
    source = view(values, (size * lanes,), real)
    for lane in range(max(whole, 0), count):
        target = view(data + item * lane * size, (size,), real)
        for f in range(size):
            target[f] = source[f * lanes + lane]


@no_type_check
def prefetch_parts(x: "int", start: "int", stop: "int", size: "int"):
    # prefetch all data that other threads wrote: if the product fetched the cache lines one by one,
    # each would cost as much as a hundred multiply-adds
    for at in range(0, start, 64):
        prefetch(x + at)
    for at in range(stop, size, 64):
        prefetch(x + at)
    # the lines that this thread wrote may meanwhile be in the caches of the other threads
    for at in range(start, stop, 64):
        prefetch(x + at)


def kernel(written: Callable[..., Any], dtype: str, column: str = "", element: str = "") -> Kernel:
    """Return the kernel of one of the functions above, for a data column's element type."""
    own = {
        "dtype": dtype,
        "column": column,
        "element": element,
        "width": this_machine().lanes(dtype),
        "item": np.dtype(dtype).itemsize,
        "column_item": np.dtype(column or dtype).itemsize,
        "repeated": REPEATED[dtype],
    }
    wanted = {name: own[name] for name in parse.constants(written)}
    return printer.written(written, written.__name__, dtype, **wanted)
