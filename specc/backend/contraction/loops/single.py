"""The loops around the tiles for one example, whose values have no lanes.

dot_kernel(target, (4, 4))           # 4 rows, 4 taps
"""

from __future__ import annotations

from typing import no_type_check

from specc.backend.contraction.target import Target
from specc.backend.llvm.kernel import Kernel
from specc.target.language import real, view, word

_RUNS_AHEAD = 2  # prefetch distance for data written by other threads, in runs (image rows)


@no_type_check
def across(
    x: "int",
    w: "int",
    out: "int",
    groups: "int",
    group_count: "int",
    x_at: "int",
    positions: "int",
    rows: "int",
    out_row: "int",
    run: "int",
    most: "int",
    scratch: "int",
    *,
    tile: "tiles.across_tile(positions_, vectors, x_step, dtype, width, prefetches, padded, pin)",
    positions_: "constant",
    vectors: "constant",
    x_step: "constant",
    dtype: "constant",
    width: "constant",
    prefetches: "constant",
    padded: "constant",
    pin: "constant",
    ahead: "constant",
    step: "constant",
    item: "constant",
):
    for c in range(group_count):
        first, taps, w_at = word(groups, 5 * c), word(groups, 5 * c + 1), word(groups, 5 * c + 2)
        slices = (taps + most - 1) // most
        for b in range((rows + step - 1) // step):
            count = min(step, rows - b * step)
            w_b = w + item * (w_at + b * taps * step)
            end = word(groups, 5 * c + 4)
            for q in range(word(groups, 5 * c + 3), end):
                x_q = x + item * word(positions, 2 * q)
                later = x + item * word(positions, 2 * min(q + ahead, end - 1))
                out_q = out + item * (word(positions, 2 * q + 1) + b * step * out_row)
                if taps == 0:
                    for k in range(count):
                        row = view(out_q + item * k * out_row, (run,), real)
                        for i in range(run):
                            row[i] = 0.0
                else:
                    for n in range((run + positions_ - 1) // positions_):
                        i = min(n * positions_, run - positions_)
                        for s in range(slices):
                            tile(
                                x_q + item * i * x_step,
                                w_b + item * s * most * step,
                                x_at + 8 * (first + s * most),
                                min(most, taps - s * most),
                                scratch if s > 0 else 0,
                                scratch if s < slices - 1 else 0,
                                out_q + item * i,
                                out_row,
                                count,
                                later + item * i * x_step,
                            )


@no_type_check
def pack_across(
    w: "int",
    out: "int",
    groups: "int",
    group_count: "int",
    w_at: "int",
    runs: "int",
    packed_at: "int",
    rows: "int",
    w_row: "int",
    *,
    transpose: "moves.transpose_tile(dtype, width)",
    copy: "moves.copy_tile(dtype, width)",
    dtype: "constant",
    width: "constant",
    copies: "constant",
    step: "constant",
    item: "constant",
):
    for c in range(group_count):
        first, taps = word(groups, 5 * c), word(groups, 5 * c + 1)
        for b in range((rows + step - 1) // step):
            block = out + item * (word(groups, 5 * c + 2) + b * taps * step)
            for v in range(0, step, width):
                k = b * step + v
                p = 0
                while p < taps:
                    at = word(w_at, first + p)
                    whole = p + width <= taps and k + width <= rows
                    if copies and word(packed_at, 2 * (first + p)) >= 0:
                        p += 1
                    elif whole and word(runs, first + p):
                        transpose(
                            w + item * (k * w_row + at), w_row, block + item * (p * step + v), step
                        )
                        p += width
                    else:
                        to = view(block + item * (p * step + v), (width,), real)
                        for i in range(width):
                            to[i] = 0.0
                        for i in range(min(width, rows - k)):
                            to[i] = view(w + item * ((k + i) * w_row + at), (1,), real)[0]
                        p += 1
            if copies:
                for p in range(taps):
                    start = word(packed_at, 2 * (first + p))
                    if start >= 0:
                        packed = out + item * (start + b * word(packed_at, 2 * (first + p) + 1))
                        for v in range(0, step, width):
                            copy(packed + item * v, block + item * (p * step + v), width)


@no_type_check
def copy_across(
    w: "int",
    out: "int",
    groups: "int",
    group_count: "int",
    w_at: "int",
    rows: "int",
    *,
    copy: "moves.copy_tile(dtype, width)",
    dtype: "constant",
    width: "constant",
    step: "constant",
    item: "constant",
):
    for c in range(group_count):
        first, taps = word(groups, 5 * c), word(groups, 5 * c + 1)
        for b in range((rows + step - 1) // step):
            block = out + item * (word(groups, 5 * c + 2) + b * taps * step)
            count = min(step, rows - b * step)
            for p in range(taps):
                row = w + item * (b * step + word(w_at, first + p))
                for v in range(0, step, width):
                    if v + width <= count:
                        copy(row + item * v, block + item * (p * step + v), width)
                    else:
                        to = view(block + item * (p * step + v), (width,), real)
                        for i in range(width):
                            to[i] = 0.0
                        for i in range(count - v):
                            to[i] = view(row + item * (v + i), (1,), real)[0]


@no_type_check
def dot(
    x: "int",
    w: "int",
    out: "int",
    tap_at: "int",
    out_at: "int",
    taps: "int",
    segments: "int",
    segment_count: "int",
    length: "int",
    positions: "int",
    position_count: "int",
    rows: "int",
    w_row: "int",
    out_row: "int",
    group: "int",
    piece: "int",
    scratch: "int",
    *,
    tile: "tiles.dot_tile(tile_rows, tile_taps, dtype, width)",
    tile_rows: "constant",
    tile_taps: "constant",
    dtype: "constant",
    width: "constant",
    item: "constant",
):
    groups = (segment_count + group - 1) // group
    pieces = (length + piece - 1) // piece
    for q in range(position_count):
        w_q = w + item * word(positions, 3 * q)
        x_q = x + item * word(positions, 3 * q + 1)
        out_q = out + item * word(positions, 3 * q + 2)
        for i in range((rows + tile_rows - 1) // tile_rows):
            k = item * min(i * tile_rows, rows - tile_rows)
            for j in range((taps + tile_taps - 1) // tile_taps):
                t = 8 * min(j * tile_taps, taps - tile_taps)
                for n in range(groups * pieces):
                    s, p = n // pieces * group, n % pieces * piece
                    tile(
                        x_q + item * p,
                        w_q + item * p + k * w_row,
                        tap_at + t,
                        segments + 16 * s,
                        min(group, segment_count - s),
                        min(piece, length - p),
                        w_row,
                        scratch if n > 0 else 0,
                        scratch if n < groups * pieces - 1 else 0,
                        out_q + k * out_row,
                        out_row,
                        out_at + t,
                    )


def across_kernel(
    target: Target,
    shape: tuple[int, int],
    x_step: int,
    prefetches: bool = False,
    padded: bool = False,
) -> Kernel:
    """Return the kernel of `across` tiles along runs of the result, `x_step` elements of x apart.

    With `prefetches`, it prefetches data written by other threads, which tiles need a few runs
    later. With `padded`, a run is one tile, and its last result is repeated up to the end of a
    vector.

    groups      [n, 5]  first tap, number of taps, start of their weights, first position, end
    x_at                offsets of the taps, relative to the position's
    positions   [n, 2]  offsets in x and out at which a run starts
    run                 length of each run
    most                taps of a slice, whose sums are added to those in `scratch`
    """
    positions, vectors = shape
    name = f"across_{positions}x{vectors}" + "_prefetching" * prefetches + "_padded" * padded
    return target.kernel(
        across,
        name,
        positions_=positions,
        vectors=vectors,
        x_step=x_step,
        step=vectors * target.width,
        ahead=_RUNS_AHEAD * prefetches,
        prefetches=prefetches,
        padded=padded,
    )


def pack_across_kernel(target: Target, vectors: int, copies: bool) -> Kernel:
    """Return the kernel that packs weights for `across` tiles.

    The packed weights are [block of rows, tap, row], padded with zeros. The tables `w_at` and
    `runs` are those of `pack_kernel`, the others those of `across_kernel`.

    packed_at   [n, 2]  with `copies`: the offset at which an earlier tap has packed the same
                        weights, and the step to its next block of rows; -1 if there is none
    """
    name = f"pack_across_{vectors}" + "_copying" * copies
    return target.kernel(pack_across, name, step=vectors * target.width, copies=copies)


def copy_across_kernel(target: Target, vectors: int) -> Kernel:
    """Return the kernel that packs weights whose rows are contiguous for `across` tiles."""
    return target.kernel(copy_across, f"copy_across_{vectors}", step=vectors * target.width)


def dot_kernel(target: Target, shape: tuple[int, int]) -> Kernel:
    """Return the kernel of `dot` tiles for all rows and taps at all positions.

    tap_at, out_at      offsets of the taps in x and in the result
    segments    [n, 2]  offsets in w and x of runs of `length` elements
    positions   [n, 3]  offsets in w, x and the result
    group, piece        segments, and elements of each, after which the sums are added to those in
                        `scratch`
    """
    rows, taps = shape
    return target.kernel(dot, f"dot_{rows}x{taps}", tile_rows=rows, tile_taps=taps)
