"""Kernels of the look-ups in `specc.ops.gather`.

Values and indices that the whole batch shares have one lane, and are read with a lane step of 0.
"""

from __future__ import annotations

from typing import no_type_check

from specc.target.language import int32, real, view


@no_type_check
def take(
    x: "float[outer, size, rest, value_lanes]",
    index: "int32[outer, count, index_lanes]",
    out: "float[outer, count, rest, lanes]",
    outer: "int",
    size: "int",
    count: "int",
    rest: "int",
    value_lanes: "int",
    value_step: "int",
    index_lanes: "int",
    index_step: "int",
    lanes: "int",
):
    for o in range(outer):
        for k in range(count):
            for r in range(rest):
                for lane in range(lanes):
                    out[o, k, r, lane] = x[o, index[o, k, lane * index_step], r, lane * value_step]


@no_type_check
def take_of_one(
    x: "float[outer, size, rest]",
    index: "int32[outer, count]",
    out: "float[outer, count, rest]",
    outer: "int",
    size: "int",
    count: "int",
    rest: "int",
):
    for o in range(outer):
        for k in range(count):
            for r in range(rest):
                out[o, k, r] = x[o, index[o, k], r]


@no_type_check
def take_rows(
    x: "int",
    index: "int",
    out: "int",
    count: "int",
    rest: "int",
    lanes: "int",
    vector: "int",
    item: "int",
    *,
    tile: "moves.rows_tile(dtype, width)",
    dtype: "constant",
    width: "constant",
):
    # a tile reads a vector's worth of elements from one row per lane, and transposes that square
    for k in range(count):
        lane = 0
        while lane < lanes:
            n = 0
            while n < rest:
                r = min(n, rest - vector)
                tile(
                    x + item * r,
                    index + 4 * (k * lanes + lane),
                    lanes,
                    1,
                    rest,
                    out + item * ((k * rest + r) * lanes + lane),
                    lanes,
                )
                n += vector
            lane += vector


@no_type_check
def take_sum(
    x: "float[size, rest, value_lanes]",
    index: "int32[count, index_lanes]",
    out: "float[rest, lanes]",
    size: "int",
    count: "int",
    rest: "int",
    value_lanes: "int",
    value_step: "int",
    index_lanes: "int",
    index_step: "int",
    lanes: "int",
):
    for r in range(rest):
        for lane in range(lanes):
            out[r, lane] = 0.0
    for k in range(count):
        for lane in range(lanes):
            for r in range(rest):
                out[r, lane] += x[index[k, lane * index_step], r, lane * value_step]


@no_type_check
def take_sum_rows(
    x: "int",
    index: "int",
    out: "int",
    count: "int",
    rest: "int",
    lanes: "int",
    vector: "int",
    item: "int",
    *,
    tile: "moves.rows_tile(dtype, width)",
    dtype: "constant",
    width: "constant",
):
    lane = 0
    while lane < lanes:
        n = 0
        while n < rest:
            r = min(n, rest - vector)
            tile(
                x + item * r,
                index + 4 * lane,
                lanes,
                count,
                rest,
                out + item * (r * lanes + lane),
                lanes,
            )
            n += vector
        lane += vector


@no_type_check
def put(
    dy: "float[outer, count, rest, value_lanes]",
    index: "int32[outer, count, index_lanes]",
    out: "float[outer, size, rest, lanes]",
    outer: "int",
    size: "int",
    count: "int",
    rest: "int",
    value_lanes: "int",
    value_step: "int",
    index_lanes: "int",
    index_step: "int",
    lanes: "int",
):
    for o in range(outer):
        for k in range(size):
            for r in range(rest):
                for lane in range(lanes):
                    out[o, k, r, lane] = 0.0
        for k in range(count):
            for r in range(rest):
                for lane in range(lanes):
                    out[o, index[o, k, lane * index_step], r, lane] += dy[
                        o, k, r, lane * value_step
                    ]


@no_type_check
def put_sum(
    dy: "float[outer, count, rest, value_lanes]",
    index: "int32[outer, count, index_lanes]",
    out: "float[outer, size, rest]",
    outer: "int",
    size: "int",
    count: "int",
    each: "int",
    rest: "int",
    value_lanes: "int",
    value_step: "int",
    index_lanes: "int",
    index_step: "int",
    lanes: "int",
):
    for o in range(outer):
        for k in range(size):
            for r in range(rest):
                out[o, k, r] = 0.0
        for k in range(count):
            for lane in range(lanes):
                for r in range(rest):
                    out[o, index[o, k, lane * index_step], r] += dy[
                        o, k * each, r, lane * value_step
                    ]


@no_type_check
def put_sum_rows(
    dy: "int",
    index: "int",
    out: "int",
    size: "int",
    count: "int",
    each: "int",
    rest: "int",
    lanes: "int",
    vector: "int",
    item: "int",
    *,
    tile: "moves.put_tile(dtype, width)",
    dtype: "constant",
    width: "constant",
):
    # a tile transposes a square, a vector's worth of elements for a vector of lanes, and adds it to
    # one row per lane; the last elements of the rows are added one by one
    table = view(out, (size * rest,), real)
    for i in range(size * rest):
        table[i] = 0.0
    squares = rest // vector
    for k in range(count):
        at = view(index + 4 * k * lanes, (lanes,), int32)
        values = view(dy + item * k * each * rest * lanes, (rest * lanes,), real)
        for block in range(lanes // vector):
            lane = block * vector
            for n in range(squares):
                tile(
                    dy + item * ((k * each * rest + n * vector) * lanes + lane),
                    lanes,
                    index + 4 * (k * lanes + lane),
                    out + item * n * vector,
                    rest,
                )
        for lane in range(lanes):
            for r in range(squares * vector, rest):
                table[at[lane] * rest + r] += values[r * lanes + lane]


@no_type_check
def put_rows(
    dy: "int",
    index: "int",
    out: "int",
    scratch: "int",
    start: "int",
    rows: "int",
    fresh: "int",
    count: "int",
    each: "int",
    rest: "int",
    squares: "int",
    lanes: "int",
    item: "int",
    *,
    tile: "moves.transpose_tile(dtype, width)",
    dtype: "constant",
    width: "constant",
):
    """Add the values for `rows` rows from `start` on; if `fresh`, set these rows to 0 first.

    The values of each lane are made contiguous in `scratch`, `squares` squares at a time.
    """
    table = view(out, (rows * rest,), real)
    if fresh:
        for i in range(rows * rest):
            table[i] = 0.0
    for k in range(count):
        at = view(index + 4 * k * lanes, (lanes,), int32)
        if k * each > 0 or k == 0:
            given = dy + item * k * each * rest * lanes
            for n in range(squares):
                for block in range(lanes // width):
                    tile(
                        given + item * width * (n * lanes + block),
                        lanes,
                        scratch + item * width * (block * rest + n),
                        rest,
                    )
            left = view(given, (rest * lanes,), real)
            values = view(scratch, (lanes * rest,), real)
            for r in range(squares * width, rest):
                for lane in range(lanes):
                    values[lane * rest + r] = left[r * lanes + lane]
        for lane in range(lanes):
            row = at[lane] - start
            if row >= 0 and row < rows:
                to = view(out + item * row * rest, (rest,), real)
                added = view(scratch + item * lane * rest, (rest,), real)
                for r in range(rest):
                    to[r] += added[r]
