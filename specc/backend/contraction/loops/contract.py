"""The loops around `contract` and `packed` tiles, and the kernels that pack their operands.

contract_kernel(target, (6, 4))      # 6 rows, 4 vectors
"""

from __future__ import annotations

from typing import no_type_check

from specc.backend.contraction.target import Target
from specc.backend.llvm.kernel import Kernel
from specc.target.language import real, view, word

_TOGETHER = 16  # taps of which all rows are packed before the next taps
_COLUMNS_AHEAD = 2  # prefetch distance for data written by other threads, in the columns of tiles


@no_type_check
def contract(
    x: "int",
    w: "int",
    out: "int",
    scratch: "int",
    groups: "int",
    group_count: "int",
    x_at: "int",
    w_at: "int",
    positions: "int",
    rows: "int",
    w_row: "int",
    out_row: "int",
    lanes: "int",
    most: "int",
    prefetched: "int",
    prefetched_2: "int",
    prefetched_3: "int",
    prefetched_size: "int",
    line_at: "int",
    kept_bytes: "int",
    *,
    tile: "tiles.contract_tile(tile_rows, vectors, dtype, width, by_steps, written)",
    copied: "constant",
    tile_rows: "constant",
    vectors: "constant",
    dtype: "constant",
    width: "constant",
    by_steps: "constant",
    written: "constant",
    step: "constant",
    tile_bytes: "constant",
    item: "constant",
):
    row_blocks = (rows + tile_rows - 1) // tile_rows
    lane_blocks = (lanes + step - 1) // step
    copy = scratch + kept_bytes
    for c in range(group_count):
        first, taps = word(groups, 4 * c), word(groups, 4 * c + 1)
        slices = (taps + most - 1) // most
        share = 3 * prefetched_size // (row_blocks * lane_blocks) + 1  # bytes per tile
        for q in range(word(groups, 4 * c + 2), word(groups, 4 * c + 3)):
            w_q = w + item * word(positions, 3 * q)
            x_q = x + item * word(positions, 3 * q + 1)
            out_q = out + item * word(positions, 3 * q + 2)
            if taps == 0:
                for k in range(rows):
                    row = view(out_q + item * k * out_row, (lanes,), real)
                    for v in range(lanes):
                        row[v] = 0.0
            for n in range(lane_blocks):
                v = item * min(n * step, lanes - step)
                for s in range(slices):
                    p = 8 * (first + s * most)
                    count = min(most, taps - s * most)
                    last = s == slices - 1
                    if copied > 0:
                        for t in range(count):
                            line = view(copy + item * t * step, (step,), real)
                            source = view(x_q + v + item * word(x_at + p, t), (step,), real)
                            for i in range(step):
                                line[i] = source[i]
                    for b in range(row_blocks):
                        k = item * min(b * tile_rows, rows - tile_rows)
                        kept = scratch + b * tile_bytes
                        w_k = w_q + k * w_row
                        if prefetched_size > 0:
                            t = n * row_blocks + b
                            fetch = (
                                prefetched
                                if t % 3 == 0
                                else prefetched_2
                                if t % 3 == 1
                                else prefetched_3
                            ) + t // 3 * share
                            fetch_step = share // count + 1
                        else:  # the next rows' weights, which may be contiguous
                            at = word(w_at + p, 0)
                            fetch = w_k + item * at + 64
                            fetch_step = item * (word(w_at + p, 1) - at) if count > 1 else 0
                        tile(
                            copy if copied > 0 else x_q + v,
                            w_k,
                            line_at if copied > 0 else x_at + p,
                            w_at + p,
                            count,
                            w_row,
                            kept if s > 0 else 0,
                            step,
                            out_q + k * out_row + v if last else kept,
                            out_row if last else step,
                            fetch,
                            fetch_step,
                        )


@no_type_check
def packed(
    x: "int",
    w: "int",
    out: "int",
    scratch: "int",
    groups: "int",
    group_count: "int",
    x_at: "int",
    columns: "int",
    rows: "int",
    out_row: "int",
    most: "int",
    line_at: "int",
    own: "int",
    kept_bytes: "int",
    *,
    tile: "tiles.packed_tile(tile_rows, vectors, dtype, width, prefetches, pin)",
    copy_vector: "moves.copy_tile(dtype, width)",
    copied: "constant",
    tile_rows: "constant",
    vectors: "constant",
    dtype: "constant",
    width: "constant",
    prefetches: "constant",
    pin: "constant",
    ahead: "constant",
    tile_bytes: "constant",
    item: "constant",
):
    row_blocks = (rows + tile_rows - 1) // tile_rows
    copy = scratch + kept_bytes
    step = vectors * width
    for c in range(group_count):
        first, taps, w_at = word(groups, 5 * c), word(groups, 5 * c + 1), word(groups, 5 * c + 2)
        slices = (taps + most - 1) // most
        end = word(groups, 5 * c + 4)
        for n in range(word(groups, 5 * c + 3), end, vectors):
            ends = columns + 16 * n
            later = columns + 16 * min(n + ahead * vectors, end - vectors)
            if taps == 0:
                for k in range(rows):
                    for v in range(vectors):
                        at = out + item * (k * out_row + word(ends, 2 * v + 1))
                        row = view(at, (width,), real)
                        for i in range(width):
                            row[i] = 0.0
            for s in range(slices):
                count = min(most, taps - s * most)
                last = s == slices - 1
                w_s = w + item * (w_at + s * most * row_blocks * tile_rows)
                if copied > 0:
                    for t in range(count):
                        x_t = x + item * word(x_at, first + s * most + t)
                        line = copy + item * t * step
                        for v in range(vectors):
                            source = x_t + item * word(ends, 2 * v)
                            copy_vector(source, line + item * v * width, width)
                for b in range(row_blocks):
                    k = item * min(b * tile_rows, rows - tile_rows)
                    kept = scratch + b * tile_bytes
                    tile(
                        copy if copied > 0 else x,
                        w_s + item * b * count * tile_rows,
                        line_at if copied > 0 else x_at + 8 * (first + s * most),
                        count,
                        own + 16 * n if copied > 0 else ends,
                        kept if s > 0 else 0,
                        out + k * out_row if last else kept,
                        out_row,
                        1 if last else 0,
                        later,
                    )


@no_type_check
def pack(
    w: "int",
    out: "int",
    groups: "int",
    group_count: "int",
    w_at: "int",
    runs: "int",
    rows: "int",
    w_row: "int",
    most: "int",
    high: "int",
    *,
    tile: "moves.pack_tile(dtype, width)",
    dtype: "constant",
    width: "constant",
    item: "constant",
):
    # The last vector of a line comes first: what it writes behind the line is the start of the next
    # one, which is written later.
    last = (high - 1) // width
    for c in range(group_count):
        first, taps = word(groups, 5 * c), word(groups, 5 * c + 1)
        to = out + item * word(groups, 5 * c + 2)
        for slice in range((taps + most - 1) // most):
            s = slice * most
            count = min(most, taps - s)
            for b in range((rows + high - 1) // high):
                k = min(b * high, rows - high)
                p = 0
                while p < count:
                    tap = word(w_at, first + s + p)
                    at = w + item * (k * w_row + tap)
                    step = 1
                    if p + width <= count and word(runs, first + s + p):
                        for n in range(last + 1):
                            i = (last - n) * width
                            tile(
                                at + item * i * w_row,
                                w_row,
                                to + item * i,
                                min(width, high - i),
                                high,
                            )
                        step = width
                    else:
                        few = view(to, (high,), real)
                        for i in range(high):
                            few[i] = view(at + item * i * w_row, (1,), real)[0]
                    p += step
                    to += item * step * high


@no_type_check
def pack_lines(
    w: "int",
    out: "int",
    groups: "int",
    group_count: "int",
    w_at: "int",
    rows: "int",
    most: "int",
    high: "int",
    *,
    line: "moves.copy_tile(dtype, width)",
    dtype: "constant",
    width: "constant",
    item: "constant",
    together: "constant",
):
    # A few taps of all blocks come before the next taps, so that their weights are read in
    # sequence. Whole vectors are written, also behind a line: the next lines of its block follow
    # later, but the next block may be there already, so the last lines are copied number by number.
    vectors = (high + width - 1) // width
    exact = (vectors * width - 1) // high
    for c in range(group_count):
        first, taps = word(groups, 5 * c), word(groups, 5 * c + 1)
        to = out + item * word(groups, 5 * c + 2)
        blocks = (rows + high - 1) // high
        for slice in range((taps + most - 1) // most):
            s = slice * most
            count = min(most, taps - s)
            whole = max(count - exact, 0)
            for start in range(0, count, together):
                stop = min(start + together, count)
                for b in range(blocks):
                    k = min(b * high, rows - high)
                    block = to + item * b * count * high
                    for p in range(start, min(stop, whole)):
                        at = w + item * (k + word(w_at, first + s + p))
                        place = block + item * p * high
                        if vectors == 1:
                            line(at, place, high)
                        else:
                            for n in range(vectors):
                                i = n * width
                                line(at + item * i, place + item * i, min(width, high - i))
                    for p in range(max(start, whole), stop):
                        few = view(block + item * p * high, (high,), real)
                        source = view(w + item * (k + word(w_at, first + s + p)), (high,), real)
                        for i in range(high):
                            few[i] = source[i]
            to += item * blocks * count * high


@no_type_check
def transpose(
    x: "int",
    out: "int",
    ends: "int",
    end_count: "int",
    length: "int",
    columns: "int",
    x_row: "int",
    out_row: "int",
    *,
    square: "moves.transpose_tile(dtype, width)",
    dtype: "constant",
    width: "constant",
    item: "constant",
):
    for e in range(end_count):
        x_e = x + item * word(ends, e)
        out_e = out + item * e * length * out_row
        for i in range((columns + width - 1) // width):
            p = min(i * width, columns - width)
            for n in range(0, length, width):
                square(
                    x_e + item * (p * x_row + n), x_row, out_e + item * (n * out_row + p), out_row
                )


def contract_kernel(
    target: Target, shape: tuple[int, int], written: bool = False, copied: bool = False
) -> Kernel:
    """Return the kernel of `contract` tiles at all positions of all tap groups.

    With `copied`, it first copies the columns of a slice, so that they are contiguous.

    groups      [n, 4]  first tap, number of taps, first position, end of the positions
    x_at, w_at          offsets of the taps, relative to the position's
    positions   [n, 3]  offsets in w, x and out
    most                taps of a slice, which all rows process before the next slice
    scratch             the sums of all rows between slices, `kept_bytes`; after them the copy
    line_at             offsets of the taps in the copy
    prefetched, ...     addresses of `prefetched_size` bytes that the next call reads or, if
                        `written`, writes
    """
    name = f"contract_{shape[0]}x{shape[1]}" + "_copied" * copied + "_ahead" * written
    # a tile needs an address for each row, and 9 for values, offsets, prefetching and counters
    by_steps = shape[0] + 9 > target.machine.addresses
    return target.kernel(
        contract,
        name,
        step=shape[1] * target.width,
        by_steps=by_steps,
        written=written,
        copied=int(copied),
        **_sizes(target, shape),
    )


def packed_kernel(
    target: Target, shape: tuple[int, int], prefetches: bool = False, copied: bool = False
) -> Kernel:
    """Return the kernel of `packed` tiles over all columns.

    With `prefetches`, it prefetches columns that other threads wrote. With `copied`, it first
    copies the columns of a slice, so that they are contiguous.

    groups      [n, 5]  first tap, number of taps, start of their weights, first column, end
    x_at                offsets of the taps, relative to the column's
    columns     [n, 2]  offsets in x and out; each group has a multiple of a tile's columns
    most                taps of a slice, which all rows process before the next slice
    scratch             the sums of all rows between slices, `kept_bytes`; after them the copy
    line_at, own        `x_at` and `columns` of the copy
    """
    name = f"packed_{shape[0]}x{shape[1]}" + "_prefetching" * prefetches + "_copied" * copied
    ahead = _COLUMNS_AHEAD * prefetches
    return target.kernel(
        packed,
        name,
        prefetches=prefetches,
        ahead=ahead,
        copied=int(copied),
        **_sizes(target, shape),
    )


def pack_kernel(target: Target) -> Kernel:
    """Return the kernel that packs weights for `packed` tiles with `high` rows.

    The packed weights are [slice, block of rows, tap, row]. The kernel writes one vector beyond
    them.

    groups, most        as in `packed_kernel`
    w_at                offsets of the taps in w
    runs                whether a vector's worth of taps is contiguous from this tap on
    """
    return target.kernel(pack, "pack")


def pack_lines_kernel(target: Target) -> Kernel:
    """Return the kernel that packs weights whose rows are contiguous, for `packed` tiles.

    It packs as that of `pack_kernel` does, and has its parameters but for `runs` and `w_row`.
    """
    return target.kernel(pack_lines, "pack_lines", together=_TOGETHER)


def transpose_kernel(target: Target) -> Kernel:
    """Return the kernel that copies x[column, tap] to out[tap, column], for contiguous taps.

    ends                offsets in x at which runs of `length` taps start
    """
    return target.kernel(transpose, "transpose")


def _sizes(target: Target, shape: tuple[int, int]) -> dict[str, int]:
    rows, vectors = shape
    sums = rows * vectors * target.width * target.bytes
    return {"tile_rows": rows, "vectors": vectors, "tile_bytes": sums}
