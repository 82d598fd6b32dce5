"""Tiles for windows that move over each channel separately, in LLVM vector instructions.

    row        out[p, v]   = sum_q sum_t w[w_at[q] + t] * x[x_at[q], n, v],   n = step*p + apart*t
    spread row out[p, v]   = sum_q sum_t w[w_at[q] + t] * x[x_at[q], n, v],   step*n + apart*t = p
    gradient   dw[u, t]    = sum of dy[p, v] * x[x_at[u], step*p + apart*t, v] over segments, p, v

A vector of x is loaded once for all taps t of a line, whereas a `packed` tile loads it for each
tap. Addresses are in bytes, offsets in elements.
"""

from __future__ import annotations

from functools import lru_cache

from specc.backend.llvm.intrinsics import intrinsic, types
from specc.backend.llvm.vectors import I64, CountedLoop, Vectors, guarded, stored

Piece = tuple[int, int, int, int]


def row_products(
    taps: int, step: int, apart: int, spread: bool, piece: Piece
) -> dict[int, list[tuple[int, int]]]:
    """Map each index n in x that a piece of a row reads to the positions p and taps t that use it.

    A piece is its number of positions and, for a spread row, three more numbers: the distance of
    its first position from that of n = 0, and the lowest and the highest n that it reads.
    """
    positions, phase, low, high = piece
    found: dict[int, list[tuple[int, int]]] = {}
    for p in range(positions):
        for t in range(taps):
            n, rest = divmod(p + phase - apart * t, step) if spread else (step * p + apart * t, 0)
            if not rest and (not spread or low <= n <= high):
                found.setdefault(n, []).append((p, t))
    return dict(sorted(found.items()))


def text_of(piece: Piece) -> str:
    """Return a piece as text, for a constant of a kernel."""
    return " ".join(map(str, piece))


def piece_of(text: str) -> Piece:
    """Return the piece that `text_of` made a text of."""
    positions, phase, low, high = map(int, text.split())
    return positions, phase, low, high


@lru_cache
def row_tile(
    taps: int,
    step: int,
    apart: int,
    spread: bool,
    piece: str,
    x_step: int,
    w_step: int,
    out_step: int,
    dtype: str,
    width: int,
):
    """tile(x, w, x_at, w_at, lines, out)

    Computes a `piece` of a row (see `row_products`), which is given as a text. Entry n of x is at
    x + n*x_step + x_at[q], tap t of the weights at w + t*w_step + w_at[q], for q < `lines` with
    lines >= 1. Position p of the result is at out + p*out_step.
    """
    numbers = piece_of(piece)
    products = row_products(taps, step, apart, spread, numbers)
    positions = numbers[0]

    @intrinsic
    def tile(typing, x, w, x_at, w_at, lines, out):
        def codegen(context, b, signature, args):
            x, w, x_at, w_at, lines, out = args
            code = Vectors(b, dtype, width)
            x, w, out = code.pointer(x), code.pointer(w), code.pointer(out)
            x_at, w_at = (b.inttoptr(each, I64.as_pointer()) for each in (x_at, w_at))
            with CountedLoop(b, lines, [code.zero] * positions) as loop:
                x_now = code.at(x, b.load(b.gep(x_at, [loop.i])))
                w_now = code.at(w, b.load(b.gep(w_at, [loop.i])))
                used = sorted({t for each in products.values() for _, t in each})
                factors = {t: code.spread(b.load(code.at(w_now, t * w_step))) for t in used}
                for n, each in products.items():
                    value = code.load(code.at(x_now, n * x_step))
                    for p, t in each:
                        loop.now[p] = code.fma(factors[t], value, loop.now[p])
            for p, each in enumerate(loop.now):
                code.store(each, code.at(out, p * out_step))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 6), codegen

    return tile


def chains_of(lines: int, taps: int, chains: int = 8) -> int:
    """Return the number of independent sums for a gradient's terms, which hide the latency."""
    return -(-chains // (lines * taps))


@lru_cache
def gradient_tile(
    lines: int,
    taps: int,
    positions: int,
    step: int,
    apart: int,
    x_step: int,
    dy_step: int,
    dtype: str,
    width: int,
):
    """tile(x, dy, x_at, segments, count, length, start, kept, out, out_at, out_step)

    out[out_at[u] + t*out_step] = sum_s sum_p dy[dy_at(s) + p*dy_step]
    * x[x_at(s) + x_at[u] + (step*p + apart*t)*x_step], and over the elements of the vectors, for
    `lines` lines u and `taps` taps t. `segments` is int64 [count, 2] with count >= 1: dy_at and
    x_at. p < `length`, and `positions` positions are processed at a time. For `start` and `kept`
    see `stored`.
    """
    chains = chains_of(lines, taps)

    @intrinsic
    def tile(typing, x, dy, x_at, segments, count, length, start, kept, out, out_at, out_step):
        def codegen(context, b, signature, args):
            x, dy, x_at, segments, count, length, start, kept, out, out_at, out_step = args
            code = Vectors(b, dtype, width)
            x, dy, out = code.pointer(x), code.pointer(dy), code.pointer(out)
            x_at, segments, out_at = (
                b.inttoptr(each, I64.as_pointer()) for each in (x_at, segments, out_at)
            )
            x_lines = [code.at(x, b.load(b.gep(x_at, [I64(u)]))) for u in range(lines)]

            def add(sums, first, dy_now, x_now, here: int):
                dy_p = code.at(dy_now, b.mul(first, I64(dy_step)))
                x_p = b.add(x_now, b.mul(first, I64(step * x_step)))
                factors = [code.load(code.at(dy_p, p * dy_step)) for p in range(here)]
                products = row_products(taps, step, apart, False, (here, 0, 0, 0))
                for u in range(lines):
                    line = code.at(x_lines[u], x_p)
                    for n, each in products.items():
                        value = code.load(code.at(line, n * x_step))
                        for p, t in each:
                            k = ((p % chains) * lines + u) * taps + t
                            sums[k] = code.fma(factors[p], value, sums[k])
                return sums

            whole = b.sdiv(length, I64(positions))
            done = b.mul(whole, I64(positions))
            rest = b.sub(length, done)
            with CountedLoop(b, count, [code.zero] * (chains * lines * taps)) as outer:
                segment = b.gep(segments, [b.shl(outer.i, I64(1))])
                dy_now = code.at(dy, b.load(segment))
                x_now = b.load(b.gep(segment, [I64(1)]))

                def many(sums):
                    with CountedLoop(b, whole, sums) as loop:
                        first = b.mul(loop.i, I64(positions))
                        loop.now = add(loop.now, first, dy_now, x_now, positions)
                    return loop.now

                def single(sums):
                    with CountedLoop(b, rest, sums) as loop:
                        loop.now = add(loop.now, b.add(done, loop.i), dy_now, x_now, 1)
                    return loop.now

                now = guarded(b, b.icmp_signed(">", whole, I64(0)), outer.now, many)
                outer.now = guarded(b, b.icmp_signed(">", rest, I64(0)), now, single)
            size = lines * taps
            totals = outer.now[:size]
            for n in range(size, chains * size):
                totals[n % size] = b.fadd(totals[n % size], outer.now[n])

            def places():
                lines_at = [code.at(out, b.load(b.gep(out_at, [I64(u)]))) for u in range(lines)]
                return [code.at(u, b.mul(out_step, I64(t))) for u in lines_at for t in range(taps)]

            stored(b, code, start, kept, totals, places)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 11), codegen

    return tile
