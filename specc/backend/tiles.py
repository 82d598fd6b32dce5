"""The register tiles that every contraction runs in, written as LLVM vector instructions.

    contract   out[k, v]  = start[k, v] + sum_p w[k, w_at[p]] * x[x_at[p] + v]
    packed     the same of weights that lie as [p, k], for vectors v anywhere
    across     out[k, q]  = sum_p w[p, k] * x[x_at[p] + step*q], the vectors across k
    dot        out[k, t]  = sum_s sum_i w[k, w_at[s] + i] * x[x_at[s] + tap_at[t] + i]
    outer      dw[k, t]   = sum_s sum_i dy[k, dy_at[s] + i] * x[tap_at[t] + x_at[s] + i]
    transpose  out[j, i]  = x[i, j]

A tile keeps its sums in vector registers, which plain loops do not: LLVM spills a small array of
them to memory (28 GF/s where the tiles reach 120). Addresses are in bytes, offsets and strides in
elements; loads need no alignment.
"""

from __future__ import annotations

from functools import lru_cache

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

I1, I32, I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)
# A cache line, and how far ahead packed weights are asked for: 256 to 4096 measured much the same,
# 10 % faster than without.
_LINE, _AHEAD = 64, 1024


class _Vectors:
    """Writes loads, stores and arithmetic on vectors of `width` elements of one float type."""

    def __init__(self, builder, dtype: str, width: int):
        self.b, self.width = builder, width
        self.scalar = {"float32": ir.FloatType(), "float64": ir.DoubleType()}[dtype]
        self.bytes = {"float32": 4, "float64": 8}[dtype]
        self.vector = ir.VectorType(self.scalar, width)
        self.zero = ir.Constant(self.vector, [0.0] * width)
        self.suffix = f"v{width}f{8 * self.bytes}"

    def pointer(self, address):
        return self.b.inttoptr(address, self.scalar.as_pointer())

    def at(self, base, *terms):
        """The place `sum(terms)` elements after `base`."""
        for each in terms:
            base = self.b.gep(base, [I64(each) if isinstance(each, int) else each])
        return base

    def load(self, place):
        load = self.b.load(self.b.bitcast(place, self.vector.as_pointer()))
        load.align = self.bytes
        return load

    def store(self, value, place):
        self.b.store(value, self.b.bitcast(place, self.vector.as_pointer())).align = self.bytes

    def prefetch(self, place, nearest=False):
        """Asks for the cache line of `place`, into the second-level or the nearest cache."""
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer(), I32, I32, I32])
        ask = cgutils.get_or_insert_function(self.b.module, kind, "llvm.prefetch.p0")
        self.b.call(
            ask, [self.b.bitcast(place, ir.IntType(8).as_pointer()), I32(0), I32(3 if nearest else 2), I32(1)]
        )

    def spread(self, scalar):
        undefined = ir.Constant(self.vector, ir.Undefined)
        one = self.b.insert_element(undefined, scalar, I32(0))
        mask = ir.Constant(ir.VectorType(I32, self.width), [0] * self.width)
        return self.b.shuffle_vector(one, undefined, mask)

    def fma(self, x, y, total):
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        name = f"llvm.fmuladd.{self.suffix}"
        return self.b.call(cgutils.get_or_insert_function(self.b.module, kind, name), [x, y, total])

    def shuffle(self, x, y, mask):
        return self.b.shuffle_vector(x, y, ir.Constant(ir.VectorType(I32, len(mask)), mask))

    def load_first(self, place, count):
        """The first `count` elements, and zeros."""
        place = self.b.bitcast(place, self.vector.as_pointer())
        pick = self._first(count)
        kind = ir.FunctionType(self.vector, [place.type, I32, pick.type, self.vector])
        name = f"llvm.masked.load.{self.suffix}.p0"
        load = cgutils.get_or_insert_function(self.b.module, kind, name)
        return self.b.call(load, [place, I32(self.bytes), pick, self.zero])

    def store_first(self, value, place, count):
        """The first `count` elements of a value."""
        place = self.b.bitcast(place, self.vector.as_pointer())
        pick = self._first(count)
        kind = ir.FunctionType(ir.VoidType(), [self.vector, place.type, I32, pick.type])
        name = f"llvm.masked.store.{self.suffix}.p0"
        store = cgutils.get_or_insert_function(self.b.module, kind, name)
        self.b.call(store, [value, place, I32(self.bytes), pick])

    def _first(self, count):
        if isinstance(count, int):
            return ir.Constant(ir.VectorType(I1, self.width), [n < count for n in range(self.width)])
        numbers = ir.VectorType(I32, self.width)
        one = self.b.insert_element(
            ir.Constant(numbers, ir.Undefined), self.b.trunc(count, I32), I32(0))
        all_ = self.b.shuffle_vector(
            one, ir.Constant(numbers, ir.Undefined), ir.Constant(numbers, [0] * self.width))
        return self.b.icmp_signed("<", ir.Constant(numbers, list(range(self.width))), all_)

    def transposed(self, block):
        """`width` vectors, the lanes of one as one lane of all."""
        # exchange the off-diagonal quarters of ever smaller squares
        block, half = list(block), self.width // 2
        while half:
            lanes = range(self.width)
            low = [n if not n & half else self.width + n - half for n in lanes]
            high = [n + half if not n & half else self.width + n for n in lanes]
            for i in range(self.width):
                if not i & half:
                    upper, lower = block[i], block[i + half]
                    block[i] = self.shuffle(upper, lower, low)
                    block[i + half] = self.shuffle(upper, lower, high)
            half //= 2
        return block

    def sum(self, x):
        """The sum of the elements, in a tree."""
        width = self.width
        while width > 1:
            width //= 2
            kind = ir.Constant(x.type, ir.Undefined)
            low = self.shuffle(x, kind, list(range(width)))
            high = self.shuffle(x, kind, list(range(width, 2 * width)))
            x = self.b.fadd(low, high, flags=("contract",))
        return self.b.extract_element(x, I32(0))


class _Loop:
    """for i in range(count), count >= 1, carrying a list of values.

    with _Loop(b, count, start) as loop:
        loop.now[:] = ...  from loop.i and loop.now
    loop.now            # after the last round
    """

    def __init__(self, b, count, start):
        self._b, self._count, self._start = b, count, start

    def __enter__(self):
        b = self._b
        entry, self._body = b.block, b.append_basic_block()
        b.branch(self._body)
        b.position_at_end(self._body)
        self.i = b.phi(I64)
        self.i.add_incoming(I64(0), entry)
        self._phis = [b.phi(each.type) for each in self._start]
        for phi, each in zip(self._phis, self._start, strict=True):
            phi.add_incoming(each, entry)
        self.now = list(self._phis)
        return self

    def __exit__(self, *exception):
        b = self._b
        after = b.add(self.i, I64(1), flags=("nsw",))
        self.i.add_incoming(after, b.block)
        for phi, each in zip(self._phis, self.now, strict=True):
            phi.add_incoming(each, b.block)
        done = b.append_basic_block()
        b.cbranch(b.icmp_signed("<", after, self._count), self._body, done)
        b.position_at_end(done)


def _started(b, code: _Vectors, start, places: list[tuple]) -> list:
    """The sums to begin with: those at places after `start`, or zeros where it is 0."""
    fresh = b.block
    loading, merged = b.append_basic_block(), b.append_basic_block()
    b.cbranch(b.icmp_signed("!=", start, I64(0)), loading, merged)
    b.position_at_end(loading)
    loaded = [code.load(code.at(code.pointer(start), *place)) for place in places]
    b.branch(merged)
    b.position_at_end(merged)
    sums = []
    for each in loaded:
        sums.append(b.phi(code.vector))
        sums[-1].add_incoming(code.zero, fresh)
        sums[-1].add_incoming(each, loading)
    return sums


@lru_cache
def contract_tile(rows: int, vectors: int, dtype: str, width: int):
    """tile(x, w, x_at, w_at, count, w_row, start, start_row, out, out_row)

    out[k*out_row + v] = start[k*start_row + v] + sum_p w[k*w_row + w_at[p]] * x[x_at[p] + v]
    for `rows` rows k and `vectors * width` elements v; p runs through the `count` >= 1 entries of
    x_at and w_at (int64). start = 0 starts from zero.
    """

    @intrinsic
    def tile(typing, x, w, x_at, w_at, count, w_row, start, start_row, out, out_row):
        def codegen(context, b, signature, args):
            x, w, x_at, w_at, count, w_row, start, start_row, out, out_row = args
            code = _Vectors(b, dtype, width)
            x, w, out = code.pointer(x), code.pointer(w), code.pointer(out)
            x_at, w_at = (b.inttoptr(each, I64.as_pointer()) for each in (x_at, w_at))
            w_rows = [code.at(w, b.mul(w_row, I64(k))) for k in range(rows)]
            places = [(b.mul(start_row, I64(k)), v * width) for k in range(rows) for v in range(vectors)]
            sums = _started(b, code, start, places)
            with _Loop(b, count, sums) as loop:
                x_now = code.at(x, b.load(b.gep(x_at, [loop.i])))
                w_now = b.load(b.gep(w_at, [loop.i]))
                code.prefetch(code.at(w, w_now, 64 // code.bytes))
                xs = [code.load(code.at(x_now, v * width)) for v in range(vectors)]
                for k in range(rows):
                    wk = code.spread(b.load(code.at(w_rows[k], w_now)))
                    for v in range(vectors):
                        n = k * vectors + v
                        loop.now[n] = code.fma(wk, xs[v], loop.now[n])
            for k in range(rows):
                row = code.at(out, b.mul(out_row, I64(k)))
                for v in range(vectors):
                    code.store(loop.now[k * vectors + v], code.at(row, v * width))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 10), codegen

    return tile


@lru_cache
def packed_tile(rows: int, columns: int, dtype: str, width: int):
    """tile(x, w, x_at, count, ends, start, out, out_row, last)

    Column v of the `columns` is a vector of `width` elements: at x + ends[2v] it is read, and at
    out + ends[2v + 1] row 0 of it is written. For `rows` rows k
        out[k*out_row + ends[2v+1]] = start[k, v] + sum_p w[p*rows + k] * x[x_at[p] + ends[2v]]
    p runs through the `count` >= 1 entries of x_at; start = 0 starts from zero. Unless `last`, the
    sums go to out[k, v], vector by vector, to go on from as `start`.
    """

    @intrinsic
    def tile(typing, x, w, x_at, count, ends, start, out, out_row, last):
        def codegen(context, b, signature, args):
            x, w, x_at, count, ends, start, out, out_row, last = args
            code = _Vectors(b, dtype, width)
            x, w, out = code.pointer(x), code.pointer(w), code.pointer(out)
            x_at, ends = (b.inttoptr(each, I64.as_pointer()) for each in (x_at, ends))
            at = [b.load(b.gep(ends, [I64(n)])) for n in range(2 * columns)]
            x_columns = [code.at(x, each) for each in at[::2]]
            sums = _started(b, code, start, [(n * width,) for n in range(rows * columns)])
            with _Loop(b, count, sums) as loop:
                x_now = b.load(b.gep(x_at, [loop.i]))
                w_now = code.at(w, b.mul(loop.i, I64(rows)))
                xs = [code.load(code.at(each, x_now)) for each in x_columns]
                for k in range(0, rows, _LINE // code.bytes):
                    code.prefetch(code.at(w_now, k + _AHEAD // code.bytes), nearest=True)
                for k in range(rows):
                    wk = code.spread(b.load(code.at(w_now, k)))
                    for v in range(columns):
                        n = k * columns + v
                        loop.now[n] = code.fma(wk, xs[v], loop.now[n])
            with b.if_else(b.icmp_signed("!=", last, I64(0))) as (finish, go_on):
                with finish:
                    for k in range(rows):
                        row = code.at(out, b.mul(out_row, I64(k)))
                        for v in range(columns):
                            code.store(loop.now[k * columns + v], code.at(row, at[2 * v + 1]))
                with go_on:
                    for n, each in enumerate(loop.now):
                        code.store(each, code.at(out, n * width))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 9), codegen

    return tile


@lru_cache
def outer_tile(rows: int, taps: int, dtype: str, width: int):
    """tile(x, dy, tap_at, segments, count, dy_row, start, kept, dw, dw_row, dw_at)

    dw[k*dw_row + dw_at[t]] = sum_s sum_i dy[k*dy_row + dy_at(s) + i] * x[tap_at[t] + x_at(s) + i]
    for `rows` rows k and `taps` taps t. `segments` is int64 [count, 3], count >= 1: dy_at, x_at,
    and how many vectors of `width` elements i runs through (>= 1). A sum over many segments can be
    cut up: where `kept` is not 0, the vectors of sums go there instead, to go on from as `start`.
    """

    @intrinsic
    def tile(typing, x, dy, tap_at, segments, count, dy_row, start, kept, dw, dw_row, dw_at):
        def codegen(context, b, signature, args):
            x, dy, tap_at, segments, count, dy_row, start, kept, dw, dw_row, dw_at = args
            code = _Vectors(b, dtype, width)
            x, dy, dw = code.pointer(x), code.pointer(dy), code.pointer(dw)
            tap_at, segments, dw_at = (
                b.inttoptr(each, I64.as_pointer()) for each in (tap_at, segments, dw_at)
            )
            x_taps = [code.at(x, b.load(b.gep(tap_at, [I64(t)]))) for t in range(taps)]
            dy_rows = [code.at(dy, b.mul(dy_row, I64(k))) for k in range(rows)]
            sums = _started(b, code, start, [(n * width,) for n in range(rows * taps)])
            with _Loop(b, count, sums) as outer:
                segment = b.gep(segments, [b.mul(outer.i, I64(3))])
                dy_now, x_now, length = (b.load(b.gep(segment, [I64(n)])) for n in range(3))
                with _Loop(b, length, outer.now) as loop:
                    lane = b.mul(loop.i, I64(width))
                    x_lane, dy_lane = b.add(x_now, lane), b.add(dy_now, lane)
                    xs = [code.load(code.at(each, x_lane)) for each in x_taps]
                    for k in range(rows):
                        d = code.load(code.at(dy_rows[k], dy_lane))
                        for t in range(taps):
                            n = k * taps + t
                            loop.now[n] = code.fma(d, xs[t], loop.now[n])
                outer.now = loop.now
            with b.if_else(b.icmp_signed("!=", kept, I64(0))) as (go_on, finish):
                with go_on:
                    for n, each in enumerate(outer.now):
                        code.store(each, code.at(code.pointer(kept), n * width))
                with finish:
                    places = [b.load(b.gep(dw_at, [I64(t)])) for t in range(taps)]
                    for k in range(rows):
                        row = code.at(dw, b.mul(dw_row, I64(k)))
                        for t in range(taps):
                            b.store(code.sum(outer.now[k * taps + t]), code.at(row, places[t]))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 11), codegen

    return tile


@lru_cache
def across_tile(positions: int, vectors: int, step: int, dtype: str, width: int):
    """tile(x, w, x_at, count, out, out_row, rows)

    out[k*out_row + q] = sum_p w[p*vectors*width + k] * x[x_at[p] + q*step]
    for `positions` q and the first `rows` of `vectors * width` rows k, which the vectors lie across; p
    runs through the `count` >= 1 entries of x_at.
    """

    @intrinsic
    def tile(typing, x, w, x_at, count, out, out_row, rows):
        def codegen(context, b, signature, args):
            x, w, x_at, count, out, out_row, rows = args
            code = _Vectors(b, dtype, width)
            x, w, out = code.pointer(x), code.pointer(w), code.pointer(out)
            x_at = b.inttoptr(x_at, I64.as_pointer())
            line = vectors * width
            with _Loop(b, count, [code.zero] * (positions * vectors)) as loop:
                x_now = code.at(x, b.load(b.gep(x_at, [loop.i])))
                w_now = code.at(w, b.mul(loop.i, I64(line)))
                for k in range(0, line, _LINE // code.bytes):
                    code.prefetch(code.at(w_now, k + _AHEAD // code.bytes), nearest=True)
                ws = [code.load(code.at(w_now, v * width)) for v in range(vectors)]
                for q in range(positions):
                    xq = code.spread(b.load(code.at(x_now, q * step)))
                    for v in range(vectors):
                        n = q * vectors + v
                        loop.now[n] = code.fma(xq, ws[v], loop.now[n])
            for v in range(vectors):
                for first in range(0, positions, width):
                    block = [loop.now[q * vectors + v]
                             for q in range(first, min(first + width, positions))]
                    used = len(block)
                    block = code.transposed(block + [code.zero] * (width - used))
                    for j in range(width):
                        k = v * width + j
                        with b.if_then(b.icmp_signed(">", rows, I64(k)), likely=True):
                            place = code.at(out, b.mul(out_row, I64(k)), first)
                            code.store_first(block[j], place, used)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 7), codegen

    return tile


@lru_cache
def dot_tile(rows: int, taps: int, dtype: str, width: int):
    """tile(x, w, tap_at, segments, count, length, w_row, out, out_row, out_at)

    out[k*out_row + out_at[t]] = sum_s sum_i w[k*w_row + w_at(s) + i] * x[tap_at[t] + x_at(s) + i]
    for `rows` rows k, `taps` taps t and i < `length`. `segments` is int64 [count, 2], count >= 1:
    w_at and x_at.
    """

    @intrinsic
    def tile(typing, x, w, tap_at, segments, count, length, w_row, out, out_row, out_at):
        def codegen(context, b, signature, args):
            x, w, tap_at, segments, count, length, w_row, out, out_row, out_at = args
            code = _Vectors(b, dtype, width)
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

            def guarded(condition, sums, body):
                """The sums after `body`, where the condition holds."""
                before = b.block
                inside, after = b.append_basic_block(), b.append_basic_block()
                b.cbranch(condition, inside, after)
                b.position_at_end(inside)
                changed = body(list(sums))
                end = b.block
                b.branch(after)
                b.position_at_end(after)
                merged = []
                for old, new in zip(sums, changed, strict=True):
                    merged.append(b.phi(code.vector))
                    merged[-1].add_incoming(old, before)
                    merged[-1].add_incoming(new, end)
                return merged

            with _Loop(b, count, [code.zero] * (rows * taps)) as outer:
                segment = b.gep(segments, [b.mul(outer.i, I64(2))])
                w_now, x_now = (b.load(b.gep(segment, [I64(n)])) for n in range(2))

                def vectors(sums):
                    with _Loop(b, whole, sums) as loop:
                        lane = b.mul(loop.i, I64(width))
                        loop.now = step(loop.now, b.add(x_now, lane), b.add(w_now, lane), code.load)
                    return loop.now

                def tail(sums):
                    lane = b.mul(whole, I64(width))
                    return step(sums, b.add(x_now, lane), b.add(w_now, lane),
                                lambda place: code.load_first(place, rest))

                now = guarded(b.icmp_signed(">", whole, I64(0)), outer.now, vectors)
                outer.now = guarded(b.icmp_signed(">", rest, I64(0)), now, tail)
            places = [b.load(b.gep(out_at, [I64(t)])) for t in range(taps)]
            for k in range(rows):
                row = code.at(out, b.mul(out_row, I64(k)))
                for t in range(taps):
                    b.store(code.sum(outer.now[k * taps + t]), code.at(row, places[t]))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 10), codegen

    return tile


@lru_cache
def transpose_tile(dtype: str, width: int):
    """tile(x, x_row, out, out_row): out[j*out_row + i] = x[i*x_row + j] for i, j < width."""

    @intrinsic
    def tile(typing, x, x_row, out, out_row):
        def codegen(context, b, signature, args):
            x, x_row, out, out_row = args
            code = _Vectors(b, dtype, width)
            x, out = code.pointer(x), code.pointer(out)
            block = [code.load(code.at(x, b.mul(x_row, I64(i)))) for i in range(width)]
            block = code.transposed(block)
            for j in range(width):
                code.store(block[j], code.at(out, b.mul(out_row, I64(j))))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 4), codegen

    return tile


@lru_cache
def pack_tile(dtype: str, width: int):
    """tile(w, w_row, out, rows, out_row): out[j*out_row + i] = w[i*w_row + j], i < rows, j < width.

    1 <= rows <= width.
    """

    @intrinsic
    def tile(typing, w, w_row, out, rows, out_row):
        def codegen(context, b, signature, args):
            w, w_row, out, rows, out_row = args
            code = _Vectors(b, dtype, width)
            w, out = code.pointer(w), code.pointer(out)
            last = b.sub(rows, I64(1))
            block = []
            for i in range(width):  # rows that are not there are the last one again
                row = b.select(b.icmp_signed("<", I64(i), last), I64(i), last)
                block.append(code.load(code.at(w, b.mul(w_row, row))))
            for j, each in enumerate(code.transposed(block)):
                code.store_first(each, code.at(out, b.mul(out_row, I64(j))), rows)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 5), codegen

    return tile


@lru_cache
def gather_tile(column: str, dtype: str, width: int):
    """tile(data, order, k, last, size, out, out_row, affine)

    out[j*out_row + i] = data[order[min(k + i, last)]*size + j] * scale + shift for i, j < width.
    `data` has elements of the NumPy type `column`; `affine` is float64 [2], scale and shift.
    """
    bits = int(column.lstrip("uintfloa"))

    @intrinsic
    def tile(typing, data, order, k, last, size, out, out_row, affine):
        def codegen(context, b, signature, args):
            data, order, k, last, size, out, out_row, affine = args
            code = _Vectors(b, dtype, width)
            given = {"float32": ir.FloatType(), "float64": ir.DoubleType()}.get(column)
            given = given or ir.IntType(bits)
            vectors = ir.VectorType(given, width)
            data = b.inttoptr(data, given.as_pointer())
            order = b.inttoptr(order, I64.as_pointer())
            affine = b.inttoptr(affine, ir.DoubleType().as_pointer())
            out = code.pointer(out)
            scale, shift = (b.load(b.gep(affine, [I64(n)])) for n in range(2))
            if dtype == "float32":
                scale, shift = (b.fptrunc(each, code.scalar) for each in (scale, shift))
            scale, shift = code.spread(scale), code.spread(shift)

            def converted(values):
                if column.startswith("uint"):
                    return b.uitofp(values, code.vector)
                if column.startswith("int"):
                    return b.sitofp(values, code.vector)
                if column == dtype:
                    return values
                cast = b.fpext if dtype == "float64" else b.fptrunc
                return cast(values, code.vector)

            block = []
            for i in range(width):
                at = b.add(k, I64(i))
                at = b.select(b.icmp_signed("<", at, last), at, last)
                row = b.mul(b.load(b.gep(order, [at])), size)
                load = b.load(b.bitcast(b.gep(data, [row]), vectors.as_pointer()))
                load.align = bits // 8
                block.append(code.fma(converted(load), scale, shift))
            for j, each in enumerate(code.transposed(block)):
                code.store(each, code.at(out, b.mul(out_row, I64(j))))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 8), codegen

    return tile


@lru_cache
def fma_chains(chains: int, dtype: str, width: int):
    """run(count, out): `count` products and sums in each of `chains` registers, nothing from memory.

    What it reaches is the machine's limit. The sum of all goes to `out`, so that none is left out.
    """

    @intrinsic
    def run(typing, count, out):
        def codegen(context, b, signature, args):
            count, out = args
            code = _Vectors(b, dtype, width)
            out = code.pointer(out)
            factor = code.spread(b.load(out))
            # chains that begin alike would be joined into one
            starts = [ir.Constant(code.vector, [float(n)] * width) for n in range(chains)]
            with _Loop(b, count, starts) as loop:
                loop.now[:] = [code.fma(each, factor, factor) for each in loop.now]
            total = loop.now[0]
            for each in loop.now[1:]:
                total = b.fadd(total, each)
            b.store(code.sum(total), out)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), codegen

    return run
