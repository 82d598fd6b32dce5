"""Squares of numbers, transposed in vector registers to bring data into the order of the tiles.

transpose  out[j, i] = x[i, j]
pack       transposes at most as many rows as a vector has elements: weights
gather     transposes rows from any places, scaled: examples
rows       transposes sums of rows from any places: vectors of words
put        adds transposed columns to rows at any places: gradients of vectors of words
"""

from __future__ import annotations

from functools import lru_cache

from llvmlite import ir

from specc.backend.llvm.intrinsics import intrinsic, types
from specc.backend.llvm.vectors import I64, CountedLoop, Vectors


@lru_cache
def transpose_tile(dtype: str, width: int):
    """tile(x, x_row, out, out_row): out[j*out_row + i] = x[i*x_row + j] for i, j < width."""

    @intrinsic
    def tile(typing, x, x_row, out, out_row):
        def codegen(context, b, signature, args):
            x, x_row, out, out_row = args
            code = Vectors(b, dtype, width)
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

    1 <= rows <= width. Behind its `rows` elements each line is written to the end of a vector, and
    that of j + 1 after that of j.
    """

    @intrinsic
    def tile(typing, w, w_row, out, rows, out_row):
        def codegen(context, b, signature, args):
            w, w_row, out, rows, out_row = args
            code = Vectors(b, dtype, width)
            w, out = code.pointer(w), code.pointer(out)
            last = b.sub(rows, I64(1))
            block = []
            for i in range(width):  # missing rows repeat the last one
                row = b.select(b.icmp_signed("<", I64(i), last), I64(i), last)
                block.append(code.load(code.at(w, b.mul(w_row, row))))
            for j, each in enumerate(code.transposed(block)):
                code.store(each, code.at(out, b.mul(out_row, I64(j))))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 5), codegen

    return tile


@lru_cache
def copy_tile(dtype: str, width: int):
    """tile(x, out, count): out[i] = x[i], i < count; 1 <= count <= width.

    A whole vector is written: what stands behind the first `count` elements is arbitrary."""

    @intrinsic
    def tile(typing, x, out, count):
        def codegen(context, b, signature, args):
            x, out, count = args
            code = Vectors(b, dtype, width)
            code.store(code.load_first(code.pointer(x), count), code.pointer(out))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 3), codegen

    return tile


@lru_cache
def gather_tile(column: str, dtype: str, width: int):
    """tile(data, order, k, last, size, out, out_row, affine, squares)

    out[j*out_row + i] = data[order[min(k + i, last)]*size + j] * scale + shift for i < width and j
    < `squares` * width, squares >= 1. `data` has elements of the NumPy type `column`; `affine` is
    float64 [2], scale and shift."""
    bits = int(column.lstrip("uintfloa"))

    @intrinsic
    def tile(typing, data, order, k, last, size, out, out_row, affine, squares):
        def codegen(context, b, signature, args):
            data, order, k, last, size, out, out_row, affine, squares = args
            code = Vectors(b, dtype, width)
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

            rows = []
            for i in range(width):
                at = b.add(k, I64(i))
                at = b.select(b.icmp_signed("<", at, last), at, last)
                rows.append(b.gep(data, [b.mul(b.load(b.gep(order, [at])), size)]))
            with CountedLoop(b, squares, []) as loop:
                first = b.mul(loop.i, I64(width))
                block = []
                for row in rows:
                    load = b.load(b.bitcast(b.gep(row, [first]), vectors.as_pointer()))
                    load.align = bits // 8
                    block.append(code.fma(converted(load), scale, shift))
                square = code.at(out, b.mul(out_row, first))
                for j, each in enumerate(code.transposed(block)):
                    code.store(each, code.at(square, b.mul(out_row, I64(j))))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 9), codegen

    return tile


@lru_cache
def rows_tile(dtype: str, width: int):
    """tile(table, index, index_row, count, row, out, out_row)

    out[j*out_row + i] = sum_k table[index[k*index_row + i]*row + j] for i, j < width and k <
    `count`, which is at least 1. `index` is int32."""

    @intrinsic
    def tile(typing, table, index, index_row, count, row, out, out_row):
        def codegen(context, b, signature, args):
            table, index, index_row, count, row, out, out_row = args
            code = Vectors(b, dtype, width)
            table, out = code.pointer(table), code.pointer(out)
            index = b.inttoptr(index, ir.IntType(32).as_pointer())
            # the only number that changes nothing when it is added to: not even a zero's sign
            start = ir.Constant(code.vector, [-0.0] * width)
            with CountedLoop(b, count, [start] * width) as loop:
                own = b.gep(index, [b.mul(loop.i, index_row)])
                for i in range(width):
                    at = b.sext(b.load(b.gep(own, [I64(i)])), I64)
                    found = code.load(code.at(table, b.mul(at, row)))
                    loop.now[i] = b.fadd(loop.now[i], found)
            for j, each in enumerate(code.transposed(loop.now)):
                code.store(each, code.at(out, b.mul(out_row, I64(j))))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 7), codegen

    return tile


@lru_cache
def put_tile(dtype: str, width: int):
    """tile(dy, dy_row, index, out, row)

    out[index[i]*row + j] += dy[j*dy_row + i] for j < width, and i < width in this order. `index` is
    int32."""

    @intrinsic
    def tile(typing, dy, dy_row, index, out, row):
        def codegen(context, b, signature, args):
            dy, dy_row, index, out, row = args
            code = Vectors(b, dtype, width)
            dy, out = code.pointer(dy), code.pointer(out)
            index = b.inttoptr(index, ir.IntType(32).as_pointer())
            block = [code.load(code.at(dy, b.mul(dy_row, I64(j)))) for j in range(width)]
            for i, each in enumerate(code.transposed(block)):
                at = b.sext(b.load(b.gep(index, [I64(i)])), I64)
                place = code.at(out, b.mul(at, row))
                code.store(b.fadd(code.load(place), each), place)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 5), codegen

    return tile
