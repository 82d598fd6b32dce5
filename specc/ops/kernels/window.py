"""Kernels of the maximum over windows in `specc.ops.window`, and of its gradients.

Lanes are processed one vector at a time, because LLVM vectorizes a loop of constant length as it
is. A loop of unknown length would be unrolled over several vectors, with a second loop for the
rest. `vector` is 1 for a single lane.
"""

from __future__ import annotations

from typing import no_type_check


@no_type_check
def window_max(
    x: "float[channels, height, width, lanes]",
    y: "float[channels, rows, columns, lanes]",
    channels: "int",
    height: "int",
    width: "int",
    rows: "int",
    columns: "int",
    size_y: "int",
    size_x: "int",
    stride_y: "int",
    stride_x: "int",
    lanes: "int",
    *,
    vector: "constant",
):
    for c in range(channels):
        for i in range(rows):
            for j in range(columns):
                top, left = i * stride_y, j * stride_x
                for start in range(0, lanes, vector):
                    if size_y == 2 and size_x == 2:
                        for lane in range(start, start + vector):
                            best = x[c, top, left, lane]
                            here = x[c, top, left + 1, lane]
                            best = here if here > best or here != here else best
                            here = x[c, top + 1, left, lane]
                            best = here if here > best or here != here else best
                            here = x[c, top + 1, left + 1, lane]
                            y[c, i, j, lane] = here if here > best or here != here else best
                        continue
                    for lane in range(start, start + vector):
                        y[c, i, j, lane] = x[c, top, left, lane]
                    for u in range(size_y):
                        for v in range(size_x):
                            for lane in range(start, start + vector):
                                here = x[c, top + u, left + v, lane]
                                best = y[c, i, j, lane]
                                y[c, i, j, lane] = here if here > best or here != here else best


@no_type_check
def window_max_of_one(
    x: "float[channels, height, width]",
    y: "float[channels, rows, columns]",
    channels: "int",
    height: "int",
    width: "int",
    rows: "int",
    columns: "int",
    size_y: "int",
    size_x: "int",
    stride_y: "int",
    stride_x: "int",
):
    # one example has no lanes, so its columns are contiguous and vectors run along them
    for c in range(channels):
        for i in range(rows):
            if size_y == 2 and size_x == 2 and stride_x == 2:
                for j in range(columns):
                    a, b = x[c, i * stride_y, 2 * j], x[c, i * stride_y, 2 * j + 1]
                    d, e = x[c, i * stride_y + 1, 2 * j], x[c, i * stride_y + 1, 2 * j + 1]
                    above = b if b > a or b != b else a
                    below = e if e > d or e != e else d
                    y[c, i, j] = below if below > above or below != below else above
                continue
            for j in range(columns):
                y[c, i, j] = x[c, i * stride_y, j * stride_x]
            for u in range(size_y):
                for v in range(size_x):
                    for j in range(columns):
                        here = x[c, i * stride_y + u, j * stride_x + v]
                        best = y[c, i, j]
                        y[c, i, j] = here if here > best or here != here else best


@no_type_check
def window_argmax(
    x: "float[channels, height, width, lanes]",
    y: "float[channels, rows, columns, lanes]",
    position: "uint8[channels, rows, columns, lanes]",
    channels: "int",
    height: "int",
    width: "int",
    rows: "int",
    columns: "int",
    size_y: "int",
    size_x: "int",
    stride_y: "int",
    stride_x: "int",
    lanes: "int",
    *,
    vector: "constant",
):
    for c in range(channels):
        for i in range(rows):
            for j in range(columns):
                top, left = i * stride_y, j * stride_x
                for start in range(0, lanes, vector):
                    # scan from last to first, so that the first maximum wins a tie
                    if size_y == 2 and size_x == 2:
                        for lane in range(start, start + vector):
                            best = y[c, i, j, lane]
                            here = x[c, top + 1, left + 1, lane]
                            place = 3 if here == best or here != here else 0
                            here = x[c, top + 1, left, lane]
                            place = 2 if here == best or here != here else place
                            here = x[c, top, left + 1, lane]
                            place = 1 if here == best or here != here else place
                            here = x[c, top, left, lane]
                            position[c, i, j, lane] = 0 if here == best or here != here else place
                        continue
                    for lane in range(start, start + vector):
                        position[c, i, j, lane] = 0
                    for u in range(size_y - 1, -1, -1):
                        for v in range(size_x - 1, -1, -1):
                            place = u * size_x + v
                            for lane in range(start, start + vector):
                                here = x[c, top + u, left + v, lane]
                                hit = here == y[c, i, j, lane] or here != here
                                before = position[c, i, j, lane]
                                position[c, i, j, lane] = place if hit else before


@no_type_check
def window_max_gradient(
    position: "uint8[channels, rows, columns, lanes]",
    dy: "float[channels, rows, columns, lanes]",
    dx: "float[channels, height, width, lanes]",
    channels: "int",
    height: "int",
    width: "int",
    rows: "int",
    columns: "int",
    size_y: "int",
    size_x: "int",
    stride_y: "int",
    stride_x: "int",
    lanes: "int",
    *,
    vector: "constant",
):
    # every element of x is in exactly one window, so it is written once and needs no sum
    tiled = (
        stride_y == 2
        and stride_x == 2
        and size_y == 2
        and size_x == 2
        and height == 2 * rows
        and width == 2 * columns
    )
    for c in range(channels):
        if tiled:
            for i in range(rows):
                for j in range(columns):
                    for start in range(0, lanes, vector):
                        # a loop for each element: LLVM cannot tell that the four are apart
                        for lane in range(start, start + vector):
                            here = position[c, i, j, lane] == 0
                            dx[c, 2 * i, 2 * j, lane] = dy[c, i, j, lane] if here else 0.0
                        for lane in range(start, start + vector):
                            here = position[c, i, j, lane] == 1
                            dx[c, 2 * i, 2 * j + 1, lane] = dy[c, i, j, lane] if here else 0.0
                        for lane in range(start, start + vector):
                            here = position[c, i, j, lane] == 2
                            dx[c, 2 * i + 1, 2 * j, lane] = dy[c, i, j, lane] if here else 0.0
                        for lane in range(start, start + vector):
                            here = position[c, i, j, lane] == 3
                            dx[c, 2 * i + 1, 2 * j + 1, lane] = dy[c, i, j, lane] if here else 0.0
            continue
        for i in range(height):
            for j in range(width):
                for lane in range(lanes):
                    dx[c, i, j, lane] = 0.0
        for i in range(rows):
            for j in range(columns):
                for u in range(size_y):
                    for v in range(size_x):
                        place = u * size_x + v
                        for start in range(0, lanes, vector):
                            for lane in range(start, start + vector):
                                handed = (
                                    dy[c, i, j, lane] if position[c, i, j, lane] == place else 0.0
                                )
                                dx[c, i * stride_y + u, j * stride_x + v, lane] += handed


@no_type_check
def window_take(
    position: "uint8[channels, rows, columns, lanes]",
    x: "float[channels, height, width, lanes]",
    y: "float[channels, rows, columns, lanes]",
    channels: "int",
    height: "int",
    width: "int",
    rows: "int",
    columns: "int",
    size_y: "int",
    size_x: "int",
    stride_y: "int",
    stride_x: "int",
    lanes: "int",
    *,
    vector: "constant",
):
    for c in range(channels):
        for i in range(rows):
            for j in range(columns):
                top, left = i * stride_y, j * stride_x
                for start in range(0, lanes, vector):
                    for lane in range(start, start + vector):
                        y[c, i, j, lane] = x[c, top, left, lane]
                for u in range(size_y):
                    for v in range(size_x):
                        place = u * size_x + v
                        for start in range(0, lanes, vector):
                            for lane in range(start, start + vector):
                                here, before = x[c, top + u, left + v, lane], y[c, i, j, lane]
                                hit = position[c, i, j, lane] == place
                                y[c, i, j, lane] = here if hit else before
