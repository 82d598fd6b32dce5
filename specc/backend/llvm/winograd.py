"""The transforms of Winograd's F(2x2, 3x3), written as LLVM vector instructions.

    Y = A^T [(G g G^T) * (B^T d B)] A        g 3x3 weights, d 4x4 of the image, Y 2x2 of the result

             1  0 -1  0          1    0    0            1  1  1  0
      B^T =  0  1  1  0     G = 1/2  1/2  1/2     A^T = 0  1 -1 -1
             0 -1  1  0         1/2 -1/2  1/2
             0  1  0 -1          0    0    1

`*` multiplies element by element, 16 products for the 36 of the sum itself: Lavin and Gray, Fast
Algorithms for Convolutional Neural Networks, 2016. As it is linear in g and in d, the gradient of
the weights is G^T [(A dY A^T) * (B^T d B)] G. Each element stands for a vector: of lanes, rows or
filters. Addresses are in bytes, steps in elements; element (i, j) of 4x4 is number 4*i + j.
"""

from __future__ import annotations

from functools import lru_cache

from llvmlite import ir

from specc.backend.llvm.intrinsics import intrinsic, types
from specc.backend.llvm.vectors import I64, CountedLoop, Vectors, in_pairs, one_by_one

# How far ahead, in bytes, the operands of products are prefetched: 8 % faster than without.
_AHEAD = 1024

WHOLE_INPUT, WHOLE_OUTPUT = 0xFFFF, 0xF


def _enter(code: Vectors, d, out, out_step):
    """out[f*out_step] = (B^T d B)[f], from 16 vectors d."""
    b = code.b

    def transformed(d):  # B^T d
        return [b.fsub(d[0], d[2]), b.fadd(d[1], d[2]), b.fsub(d[2], d[1]), b.fsub(d[1], d[3])]

    columns = [transformed(d[j::4]) for j in range(4)]
    for i in range(4):
        for j, each in enumerate(transformed([column[i] for column in columns])):
            code.store(each, code.at(out, b.mul(out_step, I64(4 * i + j))))


def _results(code: Vectors, m, m_step):
    """Return the four vectors A^T m A, m[f] = m[f*m_step]."""
    b = code.b
    m = [code.load(code.at(m, b.mul(m_step, I64(n)))) for n in range(16)]

    def transformed(m):  # A^T m
        return [b.fadd(m[0], b.fadd(m[1], m[2])), b.fsub(b.fsub(m[1], m[2]), m[3])]

    columns = [transformed(m[j::4]) for j in range(4)]
    return [each for i in range(2) for each in transformed([column[i] for column in columns])]


@lru_cache
def image_tile(dtype: str, width: int, prefetches: bool = False):
    """tile(x, at, later, y_step, x_step, zeros, out, out_step): out[f*out_step] = (B^T d B)[f].

    d[i, j] = x[at[0] + i*y_step + j*x_step] where bit 4*i + j of at[1] is set; elsewhere what
    stands at `zeros`. It prefetches for nothing."""

    @intrinsic
    def tile(typing, x, at, later, y_step, x_step, zeros, out, out_step):
        def codegen(context, b, signature, args):
            x, at, _, y_step, x_step, zeros, out, out_step = args
            code = Vectors(b, dtype, width)
            x, zeros, out = code.pointer(x), code.pointer(zeros), code.pointer(out)
            offset, there = _words(b, at, 2)
            x = code.at(x, offset)
            places = [
                code.at(x, b.mul(y_step, I64(n // 4)), b.mul(x_step, I64(n % 4))) for n in range(16)
            ]
            at_edge, inside, after = (b.append_basic_block() for _ in range(3))
            b.cbranch(b.icmp_signed("==", there, I64(WHOLE_INPUT)), inside, at_edge)
            b.position_at_end(inside)
            loaded = [code.load(each) for each in places]
            b.branch(after)
            b.position_at_end(at_edge)
            clipped = []
            for n, each in enumerate(places):
                bit = b.and_(there, I64(1 << n))
                clipped.append(code.load(b.select(b.icmp_signed("!=", bit, I64(0)), each, zeros)))
            b.branch(after)
            b.position_at_end(after)
            d = []
            for one, other in zip(loaded, clipped, strict=True):
                d.append(b.phi(code.vector))
                d[-1].add_incoming(one, inside)
                d[-1].add_incoming(other, at_edge)

            _enter(code, d, out, out_step)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 8), codegen

    return tile


@lru_cache
def product_tile(rows: int, columns: int, dtype: str, width: int, pin: str):
    """tile(x, w, count, out): out[k, v] = sum_p w[p*rows + k] * x[p, v].

    For `rows` rows k and `columns` vectors v of `width` elements, p < `count`, count >= 1; x and
    out hold one vector after the other. For `pin` see `packed_tile`.
    """

    @intrinsic
    def tile(typing, x, w, count, out):
        def codegen(context, b, signature, args):
            x, w, count, out = args
            code = Vectors(b, dtype, width, pin)
            x, w, out = code.pointer(x), code.pointer(w), code.pointer(out)

            def step(i, sums):
                x_now = code.at(x, b.mul(i, I64(columns * width)))
                w_now = code.at(w, b.mul(i, I64(rows)))
                xs = [code.load(code.at(x_now, v * width)) for v in range(columns)]
                for v in range(columns):
                    code.prefetch(code.at(x_now, v * width + _AHEAD // code.bytes), nearest=True)
                code.prefetch(code.at(w_now, _AHEAD // code.bytes), nearest=True)
                sums = list(sums)
                if pin:
                    code.add_products_in_order(sums, w_now, xs)
                else:
                    code.add_products(sums, (code.at(w_now, k) for k in range(rows)), xs)
                return sums

            zeros = [code.zero] * (rows * columns)
            in_turn = in_pairs if columns > 1 and not pin else one_by_one
            for n, each in enumerate(in_turn(b, count, zeros, step)):
                code.store(each, code.at(out, n * width))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 4), codegen

    return tile


@lru_cache
def sum_tile(rows: int, vectors: int, row_step: int, dtype: str, width: int):
    """tile(x, w, count, x_step, out, out_step): adds to out[k*out_step + v].

    out[k*out_step + v] += sum_p w[k*row_step + p] * x[p*x_step + v]
    for `rows` rows k and `vectors * width` elements v, p < `count`, count >= 1.
    """

    @intrinsic
    def tile(typing, x, w, count, x_step, out, out_step):
        def codegen(context, b, signature, args):
            x, w, count, x_step, out, out_step = args
            code = Vectors(b, dtype, width)
            x, w, out = code.pointer(x), code.pointer(w), code.pointer(out)
            out_rows = [code.at(out, b.mul(out_step, I64(k))) for k in range(rows)]
            places = [code.at(row, v * width) for row in out_rows for v in range(vectors)]
            # sums of sums lose less than one long sum
            with CountedLoop(b, count, [code.zero] * (rows * vectors)) as loop:
                x_now = code.at(x, b.mul(loop.i, x_step))
                w_now = code.at(w, loop.i)
                xs = [code.load(code.at(x_now, v * width)) for v in range(vectors)]
                code.add_products(loop.now, (code.at(w_now, k * row_step) for k in range(rows)), xs)
            for each, place in zip(loop.now, places, strict=True):
                code.store(b.fadd(code.load(place), each), place)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 6), codegen

    return tile


@lru_cache
def result_tile(dtype: str, width: int):
    """tile(m, m_step, out, at, y_step, x_step): out = A^T m A, m[f] = m[f*m_step].

    Element (i, j) goes to out[at[0] + i*y_step + j*x_step] where bit 2*i + j of at[1] is set.
    """

    @intrinsic
    def tile(typing, m, m_step, out, at, y_step, x_step):
        def codegen(context, b, signature, args):
            m, m_step, out, at, y_step, x_step = args
            code = Vectors(b, dtype, width)
            m, out = code.pointer(m), code.pointer(out)
            offset, there = _words(b, at, 2)
            out = code.at(out, offset)
            results = _results(code, m, m_step)
            places = [
                code.at(out, b.mul(y_step, I64(n // 2)), b.mul(x_step, I64(n % 2)))
                for n in range(4)
            ]
            with b.if_else(b.icmp_signed("==", there, I64(WHOLE_OUTPUT))) as (whole, clipped):
                with whole:
                    for each, place in zip(results, places, strict=True):
                        code.store(each, place)
                with clipped:
                    for n, (each, place) in enumerate(zip(results, places, strict=True)):
                        bit = b.and_(there, I64(1 << n))
                        with b.if_then(b.icmp_signed("!=", bit, I64(0))):
                            code.store(each, place)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 6), codegen

    return tile


@lru_cache
def run_image_tile(dtype: str, width: int, prefetches: bool = False):
    """tile(x, places, later, y_step, x_step, zeros, out, out_step): out[f*out_step] = (B^T d B)[f].

    The vectors lie across `width` tiles: four pieces of neighbours in a row of the image, each of
    which begins at x[places[n]]. d[i, j] of the tile t of a piece is x[places[n] + i*y_step + 2*t +
    j]: x_step is 1, and no element is missing. If it `prefetches`, it prefetches the last
    two rows that the tiles at the places `later` read."""

    @intrinsic
    def tile(typing, x, places, later, y_step, x_step, zeros, out, out_step):
        def codegen(context, b, signature, args):
            x, places, later, y_step, _, _, out, out_step = args
            code = Vectors(b, dtype, width)
            half = Vectors(b, dtype, width // 2)
            x, out = code.pointer(x), code.pointer(out)
            pieces = [code.at(x, each) for each in _words(b, places, 4)]
            for place in _words(b, later, 4) if prefetches else []:
                for row in (2, 3):
                    code.prefetch(code.at(x, place, b.mul(y_step, I64(row))), nearest=True)
            d = []
            for i in range(4):
                for start in (0, 2):
                    parts = [
                        half.load(code.at(each, b.mul(y_step, I64(i)), start)) for each in pieces
                    ]
                    low, high = (
                        half.shuffle(parts[n], parts[n + 1], list(range(width))) for n in (0, 2)
                    )
                    for odd in (0, 1):
                        d.append(code.shuffle(low, high, list(range(odd, 2 * width, 2))))
            _enter(code, d, out, out_step)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 8), codegen

    return tile


@lru_cache
def run_result_tile(dtype: str, width: int):
    """tile(m, m_step, out, places, y_step, x_step): out = A^T m A, m[f] = m[f*m_step].

    The vectors lie across tiles as those of `run_image_tile`: element (i, j) of the tile t of a
    piece goes to out[places[n] + i*y_step + 2*t + j]."""

    @intrinsic
    def tile(typing, m, m_step, out, places, y_step, x_step):
        def codegen(context, b, signature, args):
            m, m_step, out, places, y_step, _ = args
            code = Vectors(b, dtype, width)
            half = Vectors(b, dtype, width // 2)
            m, out = code.pointer(m), code.pointer(out)
            results = _results(code, m, m_step)
            turns = [n // 2 + width * (n % 2) for n in range(2 * width)]
            pieces = [code.at(out, each) for each in _words(b, places, 4)]
            for i in range(2):
                for n, piece in enumerate(pieces):
                    own = turns[n * width // 2 : (n + 1) * width // 2]
                    value = code.shuffle(results[2 * i], results[2 * i + 1], own)
                    half.store(value, code.at(piece, b.mul(y_step, I64(i))))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 6), codegen

    return tile


def _words(b, address, count: int):
    """Return the integers at an address."""
    place = b.inttoptr(address, I64.as_pointer())
    return [b.load(b.gep(place, [I64(n)])) for n in range(count)]


@lru_cache
def weights_tile(rows: int, dtype: str):
    """tile(w, w_row, y_step, x_step, out, out_step): out[f*out_step + k] = (G g G^T)[f] of row k.

    g[u, v] = w[k*w_row + u*y_step + v*x_step] for `rows` rows k.
    """

    @intrinsic
    def tile(typing, w, w_row, y_step, x_step, out, out_step):
        def codegen(context, b, signature, args):
            w, w_row, y_step, x_step, out, out_step = args
            code = Vectors(b, dtype, rows)
            w, out = code.pointer(w), code.pointer(out)
            half = ir.Constant(code.vector, [0.5] * rows)

            def gathered(u, v):
                place = code.at(w, b.mul(y_step, I64(u)), b.mul(x_step, I64(v)))
                value = ir.Constant(code.vector, ir.Undefined)
                for k in range(rows):
                    each = b.load(code.at(place, b.mul(w_row, I64(k))))
                    value = b.insert_element(value, each, ir.IntType(32)(k))
                return value

            def transformed(g):  # G g
                ends = b.fadd(g[0], g[2])
                return [
                    g[0],
                    b.fmul(half, b.fadd(ends, g[1])),
                    b.fmul(half, b.fsub(ends, g[1])),
                    g[2],
                ]

            columns = [transformed([gathered(u, v) for u in range(3)]) for v in range(3)]
            for i in range(4):
                for j, each in enumerate(transformed([column[i] for column in columns])):
                    code.store(each, code.at(out, b.mul(out_step, I64(4 * i + j))))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 6), codegen

    return tile


@lru_cache
def result_gradient_tile(dtype: str, width: int):
    """tile(dy, step, out, out_step): out[f*out_step] = (A dY A^T)[f], dY[n] = dy[n*step].

    Row 3 and column 3 have their signs changed; `weights_gradient_tile` knows.
    """

    @intrinsic
    def tile(typing, dy, step, out, out_step):
        def codegen(context, b, signature, args):
            dy, step, out, out_step = args
            code = Vectors(b, dtype, width)
            dy, out = code.pointer(dy), code.pointer(out)
            d = [code.load(code.at(dy, b.mul(step, I64(n)))) for n in range(4)]

            def transformed(d):  # A d
                return [d[0], b.fadd(d[0], d[1]), b.fsub(d[0], d[1]), d[1]]

            columns = [transformed(d[j::2]) for j in range(2)]
            for i in range(4):
                for j, each in enumerate(transformed([column[i] for column in columns])):
                    code.store(each, code.at(out, b.mul(out_step, I64(4 * i + j))))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 4), codegen

    return tile


@lru_cache
def weights_gradient_tile(dtype: str, width: int):
    """tile(m, m_step, out): out[(3*u + v)*width] = (G^T m G)[u, v], m[f] = m[f*m_step].

    m has the signs that `result_gradient_tile` gives it.
    """

    @intrinsic
    def tile(typing, m, m_step, out):
        def codegen(context, b, signature, args):
            m, m_step, out = args
            code = Vectors(b, dtype, width)
            m, out = code.pointer(m), code.pointer(out)
            m = [code.load(code.at(m, b.mul(m_step, I64(n)))) for n in range(16)]
            half = ir.Constant(code.vector, [0.5] * width)

            def transformed(m):  # G^T m
                ends = b.fmul(half, b.fadd(m[1], m[2]))
                return [b.fadd(m[0], ends), b.fmul(half, b.fsub(m[1], m[2])), b.fsub(ends, m[3])]

            columns = [transformed(m[j::4]) for j in range(4)]
            for u in range(3):
                for v, each in enumerate(transformed([column[u] for column in columns])):
                    code.store(each, code.at(out, (3 * u + v) * width))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 3), codegen

    return tile
