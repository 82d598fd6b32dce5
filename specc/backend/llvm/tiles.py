"""The register tiles that every contraction runs in, written as LLVM vector instructions.

    contract   out[k, v]  = start[k, v] + sum_p w[k, w_at[p]] * x[x_at[p] + v]
    packed     the same of weights that lie as [p, k], for vectors v anywhere
    across     out[k, q]  = sum_p w[p, k] * x[x_at[p] + step*q], the vectors across k
    dot        out[k, t]  = sum_s sum_i w[k, w_at[s] + i] * x[x_at[s] + tap_at[t] + i]
    batched    out[k, c, v] = sum_p w[k, w_at[p], v] * x[c, x_at[p], v]
    outer      dw[k, t]   = sum_s sum_i dy[k, dy_at[s] + i] * x[tap_at[t] + x_at[s] + i]

A tile keeps its sums in vector registers, which plain loops do not: LLVM spills a small array of
them to memory (28 GF/s where the tiles reach 120). Addresses are in bytes, offsets and strides in
elements; loads need no alignment.
"""

from __future__ import annotations

from functools import lru_cache

from llvmlite import ir

from specc.backend.llvm.intrinsics import intrinsic, types
from specc.backend.llvm.vectors import (
    I64,
    CountedLoop,
    Vectors,
    added,
    guarded,
    in_pairs,
    one_by_one,
    stored,
)

# A cache line, and how far ahead packed weights are prefetched: 256 to 4096 measured much the same,
# 10 % faster than without.
_LINE, _AHEAD = 64, 1024


@lru_cache
def contract_tile(
    rows: int, vectors: int, dtype: str, width: int, by_steps: bool = False, written: bool = False
):
    """tile(x, w, x_at, w_at, count, w_row, start, start_row, out, out_row, prefetched,
    prefetched_step)

    out[k*out_row + v] = start[k*start_row + v] + sum_p w[k*w_row + w_at[p]] * x[x_at[p] + v] for
    `rows` rows k and `vectors * width` elements v; p runs through the `count` >= 1 entries of x_at
    and w_at (int64). start = 0 starts from zero. For the next kernel the
    cache line at `prefetched + p * prefetched_step` (bytes) is prefetched, to be read or to be
    `written`. The rows are addressed `by_steps` where there are few integer registers."""

    @intrinsic
    def tile(
        typing,
        x,
        w,
        x_at,
        w_at,
        count,
        w_row,
        start,
        start_row,
        out,
        out_row,
        prefetched,
        prefetched_step,
    ):
        def codegen(context, b, signature, args):
            (
                x,
                w,
                x_at,
                w_at,
                count,
                w_row,
                start,
                start_row,
                out,
                out_row,
                prefetched,
                prefetched_step,
            ) = args
            code = Vectors(b, dtype, width)
            x, w, out = code.pointer(x), code.pointer(w), code.pointer(out)
            x_at, w_at = (b.inttoptr(each, I64.as_pointer()) for each in (x_at, w_at))
            w_rows = [code.at(w, b.mul(w_row, I64(k))) for k in range(rows)]
            places = [
                (b.mul(start_row, I64(k)), v * width) for k in range(rows) for v in range(vectors)
            ]
            with CountedLoop(b, count, [code.zero] * (rows * vectors)) as loop:
                x_now = code.at(x, b.load(b.gep(x_at, [loop.i])))
                w_now = b.load(b.gep(w_at, [loop.i]))
                place = b.add(prefetched, b.mul(loop.i, prefetched_step))
                code.prefetch(code.pointer(place), written=written)
                xs = [code.load(code.at(x_now, v * width)) for v in range(vectors)]
                if by_steps:
                    code.add_products_by_steps(loop.now, code.at(w, w_now), w_row, xs)
                else:
                    places_now = (code.at(w_rows[k], w_now) for k in range(rows))
                    code.add_products(loop.now, places_now, xs)
            sums = added(b, code, start, places, loop.now)
            for k in range(rows):
                row = code.at(out, b.mul(out_row, I64(k)))
                for v in range(vectors):
                    code.store(sums[k * vectors + v], code.at(row, v * width))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 12), codegen

    return tile


@lru_cache
def packed_tile(
    rows: int, columns: int, dtype: str, width: int, prefetches: bool = False, pin: str = ""
):
    """tile(x, w, x_at, count, ends, start, out, out_row, last, later)

    Column v of the `columns` is a vector of `width` elements: at x + ends[2v] it is read, and at
    out + ends[2v + 1] row 0 of it is written. For `rows` rows k
        out[k*out_row + ends[2v+1]] = start[k, v] + sum_p w[p*rows + k] * x[x_at[p] + ends[2v]]
    p runs through the `count` >= 1 entries of x_at; start = 0 starts from zero. Unless `last`, the
    sums go to out[k, v], vector by vector, to go on from as `start`. If it
    `prefetches`, it prefetches the lines that the columns of `later` read, as `ends` are those of
    this tile. With `pin`, see `Vectors`, LLVM cannot load the weights early."""

    @intrinsic
    def tile(typing, x, w, x_at, count, ends, start, out, out_row, last, later):
        def codegen(context, b, signature, args):
            x, w, x_at, count, ends, start, out, out_row, last, later = args
            code = Vectors(b, dtype, width, pin)
            x, w, out = code.pointer(x), code.pointer(w), code.pointer(out)
            x_at, ends, later = (b.inttoptr(each, I64.as_pointer()) for each in (x_at, ends, later))
            at = [b.load(b.gep(ends, [I64(n)])) for n in range(2 * columns)]
            x_columns = [code.at(x, each) for each in at[::2]]
            x_later = (
                [code.at(x, b.load(b.gep(later, [I64(2 * n)]))) for n in range(columns)]
                if prefetches
                else []
            )

            def step(i, sums):
                x_now = b.load(b.gep(x_at, [i]))
                w_now = code.at(w, b.mul(i, I64(rows)))
                xs = [code.load(code.at(each, x_now)) for each in x_columns]
                for k in range(0, rows, _LINE // code.bytes):
                    code.prefetch(code.at(w_now, k + _AHEAD // code.bytes), nearest=True)
                for each in x_later:
                    code.prefetch(code.at(each, x_now), nearest=True)
                if pin:
                    code.add_products_in_order(sums, w_now, xs)
                else:
                    code.add_products(sums, (code.at(w_now, k) for k in range(rows)), xs)
                return sums

            # measured: pairs take 3 to 5 % less time; in one column 5 % more (x86 with AVX-512)
            zeros = [code.zero] * (rows * columns)
            in_turn = in_pairs if columns > 1 and not pin else one_by_one
            now = in_turn(b, count, zeros, step)
            now = added(b, code, start, [(n * width,) for n in range(rows * columns)], now)
            with b.if_else(b.icmp_signed("!=", last, I64(0))) as (finish, go_on):
                with finish:
                    for k in range(rows):
                        row = code.at(out, b.mul(out_row, I64(k)))
                        for v in range(columns):
                            code.store(now[k * columns + v], code.at(row, at[2 * v + 1]))
                with go_on:
                    for n, each in enumerate(now):
                        code.store(each, code.at(out, n * width))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 10), codegen

    return tile


@lru_cache
def batched_tile(rows: int, columns: int, dtype: str, width: int):
    """tile(left, right, left_at, right_at, count, left_row, right_column, goes_on, out, out_row,
    out_column)

    out[k*out_row + c*out_column + v] = sum_p left[k*left_row + left_at[p] + v] *
    right[c*right_column + right_at[p] + v] for `rows` rows k, `columns` columns c and `width`
    elements v; p runs through the `count` >= 1 entries of left_at and right_at (int64). If it
    `goes_on`, the sums are added to what is at `out`."""

    @intrinsic
    def tile(
        typing, left, right, left_at, right_at, count, left_row, right_column, goes_on, out,
        out_row, out_column,
    ):  # fmt: skip
        def codegen(context, b, signature, args):
            left, right, left_at, right_at, count, left_row, right_column, goes_on = args[:8]
            out, out_row, out_column = args[8:]
            start = b.select(b.icmp_signed("!=", goes_on, I64(0)), out, I64(0))
            code = Vectors(b, dtype, width)
            left, right, out = code.pointer(left), code.pointer(right), code.pointer(out)
            left_at, right_at = (b.inttoptr(each, I64.as_pointer()) for each in (left_at, right_at))
            left_rows = [code.at(left, b.mul(left_row, I64(k))) for k in range(rows)]
            right_columns = [code.at(right, b.mul(right_column, I64(c))) for c in range(columns)]
            with CountedLoop(b, count, [code.zero] * (rows * columns)) as loop:
                left_now = b.load(b.gep(left_at, [loop.i]))
                right_now = b.load(b.gep(right_at, [loop.i]))
                xs = [code.load(code.at(each, right_now)) for each in right_columns]
                for k in range(rows):
                    factor = code.load(code.at(left_rows[k], left_now))
                    for c, x in enumerate(xs):
                        n = k * columns + c
                        loop.now[n] = code.fma(factor, x, loop.now[n])
            at = [
                (b.mul(out_row, I64(k)), b.mul(out_column, I64(c)))
                for k in range(rows)
                for c in range(columns)
            ]
            for each, place in zip(added(b, code, start, at, loop.now), at, strict=True):
                code.store(each, code.at(out, *place))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 11), codegen

    return tile


@lru_cache
def outer_tile(rows: int, taps: int, dtype: str, width: int, stride: int = 1):
    """tile(x, dy, tap_at, segments, count, dy_row, start, kept, dw, dw_row, dw_at)

    dw[k*dw_row + dw_at[t]] = sum_s sum_i dy[k*dy_row + dy_at(s) + i] * x[tap_at[t] + x_at(s) + i]
    for `rows` rows k and `taps` taps t. `segments` is int64 [count, 3], count >= 1: dy_at, x_at,
    and how many vectors of `width` elements i runs through (>= 1). The vectors of x are `stride`
    vectors apart. For `start` and `kept` see `stored`.
    """

    @intrinsic
    def tile(typing, x, dy, tap_at, segments, count, dy_row, start, kept, dw, dw_row, dw_at):
        def codegen(context, b, signature, args):
            x, dy, tap_at, segments, count, dy_row, start, kept, dw, dw_row, dw_at = args
            code = Vectors(b, dtype, width)
            x, dy, dw = code.pointer(x), code.pointer(dy), code.pointer(dw)
            tap_at, segments, dw_at = (
                b.inttoptr(each, I64.as_pointer()) for each in (tap_at, segments, dw_at)
            )
            x_taps = [code.at(x, b.load(b.gep(tap_at, [I64(t)]))) for t in range(taps)]
            dy_rows = [code.at(dy, b.mul(dy_row, I64(k))) for k in range(rows)]
            with CountedLoop(b, count, [code.zero] * (rows * taps)) as outer:
                segment = b.gep(segments, [b.mul(outer.i, I64(3))])
                dy_now, x_now, length = (b.load(b.gep(segment, [I64(n)])) for n in range(3))
                with CountedLoop(b, length, outer.now) as loop:
                    lane = b.mul(loop.i, I64(width))
                    strided = b.mul(lane, I64(stride)) if stride > 1 else lane
                    x_lane, dy_lane = b.add(x_now, strided), b.add(dy_now, lane)
                    xs = [code.load(code.at(each, x_lane)) for each in x_taps]
                    for k in range(rows):
                        d = code.load(code.at(dy_rows[k], dy_lane))
                        for t in range(taps):
                            n = k * taps + t
                            loop.now[n] = code.fma(d, xs[t], loop.now[n])
                outer.now = loop.now

            def places():
                at = [b.load(b.gep(dw_at, [I64(t)])) for t in range(taps)]
                rows_at = [code.at(dw, b.mul(dw_row, I64(k))) for k in range(rows)]
                return [code.at(row, each) for row in rows_at for each in at]

            stored(b, code, start, kept, outer.now, places)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 11), codegen

    return tile


@lru_cache
def across_tile(
    positions: int,
    vectors: int,
    step: int,
    dtype: str,
    width: int,
    prefetches: bool = False,
    padded: bool = False,
    pin: str = "",
):
    """tile(x, w, x_at, count, start, kept, out, out_row, rows, later)

    out[k*out_row + q] = sum_p w[p*vectors*width + k] * x[x_at[p] + q*step] for `positions` q and
    the first `rows` of `vectors * width` rows k, which the vectors lie across; p runs through the
    `count` >= 1 entries of x_at. A long sum comes in slices: unless `kept` is 0, the vectors of
    sums go there, to go on from as `start`. If it is `padded`, the last q is written up to the end
    of a vector. If it `prefetches`, it prefetches the lines that a tile at `later`
    in the place of x reads. For `pin` see `packed_tile`."""

    @intrinsic
    def tile(typing, x, w, x_at, count, start, kept, out, out_row, rows, later):
        def codegen(context, b, signature, args):
            x, w, x_at, count, start, kept, out, out_row, rows, later = args
            code = Vectors(b, dtype, width, pin)
            x, w, out, later = (code.pointer(each) for each in (x, w, out, later))
            x_at = b.inttoptr(x_at, I64.as_pointer())
            line = vectors * width
            with CountedLoop(b, count, [code.zero] * (positions * vectors)) as loop:
                now = b.load(b.gep(x_at, [loop.i]))
                x_now = code.at(x, now)
                if prefetches:
                    code.prefetch(code.at(later, now), nearest=True)
                w_now = code.at(w, b.mul(loop.i, I64(line)))
                for k in range(0, line, _LINE // code.bytes):
                    code.prefetch(code.at(w_now, k + _AHEAD // code.bytes), nearest=True)
                ws = [code.load(code.at(w_now, v * width)) for v in range(vectors)]
                if pin:
                    code.add_products_in_order(loop.now, x_now, ws, step)
                else:
                    places = (code.at(x_now, q * step) for q in range(positions))
                    code.add_products(loop.now, places, ws)
            ends = [(n * width,) for n in range(positions * vectors)]
            sums = added(b, code, start, ends, loop.now)
            with b.if_else(b.icmp_signed("!=", kept, I64(0))) as (go_on, finish):
                with go_on:
                    for each, end in zip(sums, ends, strict=True):
                        code.store(each, code.at(code.pointer(kept), *end))
                with finish:
                    for v in range(vectors):
                        for first in range(0, positions, width):
                            block = [
                                sums[q * vectors + v]
                                for q in range(first, min(first + width, positions))
                            ]
                            used = len(block)
                            rest = block[-1] if padded else code.zero
                            block = code.transposed(block + [rest] * (width - used))
                            used = width if padded else used
                            for j in range(width):
                                k = v * width + j
                                with b.if_then(b.icmp_signed(">", rows, I64(k)), likely=True):
                                    place = code.at(out, b.mul(out_row, I64(k)), first)
                                    code.store_first(block[j], place, used)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 10), codegen

    return tile


@lru_cache
def dot_tile(rows: int, taps: int, dtype: str, width: int):
    """tile(x, w, tap_at, segments, count, length, w_row, start, kept, out, out_row, out_at)

    out[k*out_row + out_at[t]] = sum_s sum_i w[k*w_row + w_at(s) + i] * x[tap_at[t] + x_at(s) + i]
    for `rows` rows k, `taps` taps t and i < `length`. `segments` is int64 [count, 2], count >= 1:
    w_at and x_at. For `start` and `kept` see `stored`.
    """

    @intrinsic
    def tile(
        typing, x, w, tap_at, segments, count, length, w_row, start, kept, out, out_row, out_at
    ):  # fmt: skip
        def codegen(context, b, signature, args):
            x, w, tap_at, segments, count, length, w_row = args[:7]
            start, kept, out, out_row, out_at = args[7:]
            code = Vectors(b, dtype, width)
            x, w, out = code.pointer(x), code.pointer(w), code.pointer(out)
            tap_at, segments, out_at = (
                b.inttoptr(each, I64.as_pointer()) for each in (tap_at, segments, out_at)
            )
            x_taps = [code.at(x, b.load(b.gep(tap_at, [I64(t)]))) for t in range(taps)]
            w_rows = [code.at(w, b.mul(w_row, I64(k))) for k in range(rows)]
            whole = b.sdiv(length, I64(width))
            rest = b.srem(length, I64(width))

            def step(sums, x_lane, w_lane, load):
                xs = [load(code.at(each, x_lane)) for each in x_taps]
                for k in range(rows):
                    wk = load(code.at(w_rows[k], w_lane))
                    for t in range(taps):
                        sums[k * taps + t] = code.fma(wk, xs[t], sums[k * taps + t])
                return sums

            with CountedLoop(b, count, [code.zero] * (rows * taps)) as outer:
                segment = b.gep(segments, [b.mul(outer.i, I64(2))])
                w_now, x_now = (b.load(b.gep(segment, [I64(n)])) for n in range(2))

                def vectors(sums):
                    with CountedLoop(b, whole, sums) as loop:
                        lane = b.mul(loop.i, I64(width))
                        loop.now = step(loop.now, b.add(x_now, lane), b.add(w_now, lane), code.load)
                    return loop.now

                def tail(sums):
                    lane = b.mul(whole, I64(width))
                    return step(
                        sums,
                        b.add(x_now, lane),
                        b.add(w_now, lane),
                        lambda place: code.load_first(place, rest),
                    )

                now = guarded(b, b.icmp_signed(">", whole, I64(0)), outer.now, vectors)
                outer.now = guarded(b, b.icmp_signed(">", rest, I64(0)), now, tail)

            def places():
                at = [b.load(b.gep(out_at, [I64(t)])) for t in range(taps)]
                rows_at = [code.at(out, b.mul(out_row, I64(k))) for k in range(rows)]
                return [code.at(row, each) for row in rows_at for each in at]

            stored(b, code, start, kept, outer.now, places)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 12), codegen

    return tile


@lru_cache
def fma_chains(chains: int, dtype: str, width: int):
    """run(count, out): `count` multiply-adds in each of `chains` registers, nothing from memory.

    What it reaches is the machine's limit. The sum of all goes to `out`, so that none is left out.
    """

    @intrinsic
    def run(typing, count, out):
        def codegen(context, b, signature, args):
            count, out = args
            code = Vectors(b, dtype, width)
            out = code.pointer(out)
            factor = code.spread(b.load(out))
            # chains that begin alike would be joined into one
            starts = [ir.Constant(code.vector, [float(n)] * width) for n in range(chains)]
            with CountedLoop(b, count, starts) as loop:
                loop.now[:] = [code.fma(each, factor, factor) for each in loop.now]
            total = loop.now[0]
            for each in loop.now[1:]:
                total = b.fadd(total, each)
            b.store(code.sum(total), out)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), codegen

    return run
