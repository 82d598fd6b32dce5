"""Pairs of bfloat16 numbers, rounded from float32: the operands of products by pairs.

interleave      out[i] = (a[i], b[i])
neighbours      out[i] = (x[2i], x[2i + 1])

A pair is one element of 32 bits, its first number in the lower half. The instruction rounds to the
nearest, ties to even, and takes numbers below 2^-126 as 0.
"""

from __future__ import annotations

from functools import lru_cache

from llvmlite import ir

from specc.backend.llvm.intrinsics import declared, intrinsic, types
from specc.backend.llvm.vectors import I64, Bfloat, CountedLoop, Vectors, guarded

_I16 = ir.IntType(16)


class _Pairs(Vectors):
    """Vectors of float32, two of which become one of pairs."""

    def __init__(self, builder, width: int):
        super().__init__(builder, "float32", width)
        self.halves = ir.VectorType(_I16, 2 * width)

    def rounded(self, first, second):
        """Return the numbers of both as bfloat16, the first ones in the vector's lower half."""
        found = ir.VectorType(Bfloat(), 2 * self.width)
        kind = ir.FunctionType(found, [self.vector, self.vector])
        name = f"llvm.x86.avx512bf16.cvtne2ps2bf16.{32 * self.width}"
        convert = declared(self.b.module, kind, name)
        return self.b.bitcast(self.b.call(convert, [second, first]), self.halves)

    def interleaved(self, first, second):
        """Return a vector of pairs of a number of the first and one of the second vector."""
        both = self.rounded(first, second)
        order = [n // 2 + n % 2 * self.width for n in range(2 * self.width)]
        return self.b.bitcast(self.shuffle(both, both, order), self.vector)

    def side_by_side(self, first, second):
        """Return a vector of the pairs of neighbors of the first, then of the second vector."""
        return self.b.bitcast(self.rounded(first, second), self.vector)

    def over(self, count, step: int, whole, rest) -> None:
        """`whole(i)` for each i that `step` numbers follow, then `rest(i, left)` if some are left.

        `i` goes up by `step`."""
        b = self.b
        blocks = b.sdiv(count, I64(step))

        def all_blocks(values):
            with CountedLoop(b, blocks, []) as loop:
                whole(b.mul(loop.i, I64(step)))
            return values

        guarded(b, b.icmp_signed(">", blocks, I64(0)), [], all_blocks)
        done = b.mul(blocks, I64(step))
        left = b.sub(count, done)

        def last(values):
            rest(done, left)
            return values

        guarded(b, b.icmp_signed(">", left, I64(0)), [], last)


@lru_cache
def interleave_tile(width: int):
    """tile(a, b, has_b, out, count): out[i] = (a[i], b[i]), or (a[i], 0) unless `has_b`."""

    @intrinsic
    def tile(typing, first, second, has_second, out, count):
        def codegen(context, b, signature, args):
            first, second, has_second, out, count = args
            code = _Pairs(b, width)
            first, second, out = (code.pointer(each) for each in (first, second, out))
            has = b.icmp_signed("!=", has_second, I64(0))

            def whole(i):
                other = b.select(has, code.load(code.at(second, i)), code.zero)
                pairs = code.interleaved(code.load(code.at(first, i)), other)
                code.store(pairs, code.at(out, i))

            def rest(i, left):
                other = b.select(has, code.load_first(code.at(second, i), left), code.zero)
                pairs = code.interleaved(code.load_first(code.at(first, i), left), other)
                code.store_first(pairs, code.at(out, i), left)

            code.over(count, width, whole, rest)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 5), codegen

    return tile


@lru_cache
def neighbours_tile(width: int):
    """tile(x, out, count): out[i] = (x[2i], x[2i + 1]) for `count` numbers; x[count] is 0."""

    @intrinsic
    def tile(typing, x, out, count):
        def codegen(context, b, signature, args):
            x, out, count = args
            code = _Pairs(b, width)
            x, out = code.pointer(x), code.pointer(out)

            def whole(i):
                low, high = (code.load(code.at(x, i, width * n)) for n in range(2))
                pairs = code.side_by_side(low, high)
                code.store(pairs, code.at(out, b.ashr(i, I64(1))))

            def rest(i, left):
                low = code.load_first(code.at(x, i), left)
                high = code.load_first(code.at(x, i, width), b.sub(left, I64(width)))
                pairs = code.side_by_side(low, high)
                used = b.ashr(b.add(left, I64(1)), I64(1))
                code.store_first(pairs, code.at(out, b.ashr(i, I64(1))), used)

            code.over(count, 2 * width, whole, rest)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 3), codegen

    return tile
