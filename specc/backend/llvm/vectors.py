"""Vector instructions of LLVM, as the tiles are written in them.

code = Vectors(builder, "float32", 16)
total = code.fma(code.load(place), code.spread(scalar), total)
"""

from __future__ import annotations

from llvmlite import ir

from specc.backend.llvm.intrinsics import declared
from specc.backend.words import PAIRS

I1, I32, I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)
_WITH_MASKS = 64  # bytes of the vectors of AVX-512, which masks store in part at no cost


class Bfloat(ir.Type):
    """LLVM's type of bfloat16 numbers, which llvmlite lacks."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bfloat)

    def __hash__(self) -> int:
        return hash(Bfloat)


class Vectors:
    """Writes loads, stores and arithmetic on vectors of `width` elements of one float type.

    The elements of the type `PAIRS` are pairs of bfloat16 numbers, moved about as float32: `fma`
    adds both products of two pairs to a sum in float32.
    `pin` is LLVM's letter for a vector register of the target, where `pinned` shall pin."""

    def __init__(self, builder, dtype: str, width: int, pin: str = ""):
        self.b, self.width, self.pin = builder, width, pin
        self.pairs = dtype == PAIRS
        self.scalar = ir.DoubleType() if dtype == "float64" else ir.FloatType()
        self.bytes = 8 if dtype == "float64" else 4
        self.vector = ir.VectorType(self.scalar, width)
        self.zero = ir.Constant(self.vector, [0.0] * width)
        self.suffix = f"v{width}f{8 * self.bytes}"

    def pointer(self, address):
        return self.b.inttoptr(address, self.scalar.as_pointer())

    def at(self, base, *terms):
        """Return the address `sum(terms)` elements after `base`."""
        for each in terms:
            base = self.b.gep(base, [I64(each) if isinstance(each, int) else each])
        return base

    def load(self, place):
        load = self.b.load(self.b.bitcast(place, self.vector.as_pointer()))
        load.align = self.bytes
        return load

    def store(self, value, place):
        self.b.store(value, self.b.bitcast(place, self.vector.as_pointer())).align = self.bytes

    def prefetch(self, place, nearest=False, written=False):
        """Prefetch the cache line of `place` into the L2 cache, or the L1 cache if `nearest`.

        A line to be `written` is taken from the other processors' caches at once.
        """
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer(), I32, I32, I32])
        ask = declared(self.b.module, kind, "llvm.prefetch.p0")
        self.b.call(
            ask,
            [
                self.b.bitcast(place, ir.IntType(8).as_pointer()),
                I32(int(written)),
                I32(3 if nearest else 2),
                I32(1),
            ],
        )

    def spread(self, scalar):
        undefined = ir.Constant(self.vector, ir.Undefined)
        one = self.b.insert_element(undefined, scalar, I32(0))
        mask = ir.Constant(ir.VectorType(I32, self.width), [0] * self.width)
        return self.b.shuffle_vector(one, undefined, mask)

    def fma(self, x, y, total):
        if self.pairs:
            return self._add_pairs(x, y, total)
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        name = f"llvm.fmuladd.{self.suffix}"
        return self.b.call(declared(self.b.module, kind, name), [x, y, total])

    def _add_pairs(self, x, y, total):
        pairs = ir.VectorType(Bfloat(), 2 * self.width)
        kind = ir.FunctionType(self.vector, [self.vector, pairs, pairs])
        name = f"llvm.x86.avx512bf16.dpbf16ps.{32 * self.width}"
        add = declared(self.b.module, kind, name)
        return self.b.call(add, [total, self.b.bitcast(x, pairs), self.b.bitcast(y, pairs)])

    def add_products(self, sums, places, xs):
        """Add to sums[k*len(xs) + v] the number at the k-th of the addresses, times xs[v]."""
        for k, place in enumerate(places):
            factor = self.spread(self.b.load(place))
            for v, x in enumerate(xs):
                n = k * len(xs) + v
                sums[n] = self.fma(factor, x, sums[n])

    def add_products_in_order(self, sums, place, xs, step=1):
        """Add products of numbers from `place` on, `step` elements apart, in the order of the rows.

        Each number is loaded after the previous row's products. LLVM for ARM would otherwise load
        all numbers first, into registers that the sums need.
        """
        for k in range(len(sums) // len(xs)):
            row = slice(k * len(xs), (k + 1) * len(xs))
            own = sums[row]
            self.add_products(own, [self.at(place, k * step)], xs)
            sums[row] = own
            place, *sums[row] = self.pinned(place, *own)

    def add_products_by_steps(self, sums, place, row_step, xs):
        """Add products of numbers that are `row_step` elements apart, with few address registers.

        It needs four or five registers, because x86 adds a register times 1, 2, 4 or 8 to an
        address. LLVM would otherwise use an address for each row, which are more than there are
        integer registers from seven rows on.
        """
        rows = len(sums) // len(xs)
        half = -(-rows // 2)
        bytes_apart = {n: self.b.mul(row_step, I64(n * self.bytes)) for n in range(1, half, 2)}
        to_second_half = self.b.mul(row_step, I64(half))
        for first in range(0, rows, half):
            (place,) = self.pinned(self.at(place, to_second_half) if first else place)
            places = [place]
            for k in range(1, min(half, rows - first)):
                times = k & -k
                unit = ir.IntType(8 * times).as_pointer()
                at = self.b.gep(self.b.bitcast(place, unit), [bytes_apart[k // times]])
                places.append(self.b.bitcast(at, place.type))
            row = slice(first * len(xs), (first + len(places)) * len(xs))
            own = sums[row]
            self.add_products(own, places, xs)
            sums[row] = own

    def pinned(self, place, *sums):
        """Return the address and the sums as values that are opaque to LLVM.

        Loads from the address then come after the sums, and LLVM does not compute addresses that
        start from it before the loop. It is not an instruction.
        """
        kinds = [place.type, *(each.type for each in sums)]
        outputs = ["=r", *[f"={self.pin}"] * len(sums)]
        constraints = ",".join([*outputs, *map(str, range(len(kinds)))])
        if not sums:
            kind = ir.FunctionType(place.type, kinds)
            return [self.b.asm(kind, "", constraints, [place], False)]
        kind = ir.FunctionType(ir.LiteralStructType(kinds), kinds)
        both = self.b.asm(kind, "", constraints, [place, *sums], False)
        return [self.b.extract_value(both, n) for n in range(len(kinds))]

    def shuffle(self, x, y, mask):
        return self.b.shuffle_vector(x, y, ir.Constant(ir.VectorType(I32, len(mask)), mask))

    def load_first(self, place, count):
        """Load the first `count` elements, and zeros for the others."""
        place = self.b.bitcast(place, self.vector.as_pointer())
        pick = self._first(count)
        kind = ir.FunctionType(self.vector, [place.type, I32, pick.type, self.vector])
        name = f"llvm.masked.load.{self.suffix}.p0"
        load = declared(self.b.module, kind, name)
        return self.b.call(load, [place, I32(self.bytes), pick, self.zero])

    def store_first(self, value, place, count):
        """Store the first `count` elements of a value.

        A known number of elements is stored as narrower vectors in turn, except with AVX-512, which
        has registers for masks. Without them a masked store takes up to 20 cycles.
        """
        if isinstance(count, int) and self.width * self.bytes < _WITH_MASKS:
            undefined, first = ir.Constant(self.vector, ir.Undefined), 0
            for size in pieces(count):
                lanes = list(range(first, first + size))
                part = self.shuffle(value, undefined, lanes) if size < self.width else value
                kind = ir.VectorType(self.scalar, size)
                at = self.b.bitcast(self.at(place, first), kind.as_pointer())
                self.b.store(part, at).align = self.bytes
                first += size
            return
        place = self.b.bitcast(place, self.vector.as_pointer())
        pick = self._first(count)
        kind = ir.FunctionType(ir.VoidType(), [self.vector, place.type, I32, pick.type])
        name = f"llvm.masked.store.{self.suffix}.p0"
        store = declared(self.b.module, kind, name)
        self.b.call(store, [value, place, I32(self.bytes), pick])

    def _first(self, count):
        if isinstance(count, int):
            return ir.Constant(
                ir.VectorType(I1, self.width), [n < count for n in range(self.width)]
            )
        numbers = ir.VectorType(I32, self.width)
        one = self.b.insert_element(
            ir.Constant(numbers, ir.Undefined), self.b.trunc(count, I32), I32(0)
        )
        all_ = self.b.shuffle_vector(
            one, ir.Constant(numbers, ir.Undefined), ir.Constant(numbers, [0] * self.width)
        )
        return self.b.icmp_signed("<", ir.Constant(numbers, list(range(self.width))), all_)

    def transposed(self, block):
        """Return the transpose of `width` vectors as vectors."""
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
        """Return the sum of the elements, added in a tree."""
        width = self.width
        while width > 1:
            width //= 2
            kind = ir.Constant(x.type, ir.Undefined)
            low = self.shuffle(x, kind, list(range(width)))
            high = self.shuffle(x, kind, list(range(width, 2 * width)))
            x = self.b.fadd(low, high, flags=("contract",))
        return self.b.extract_element(x, I32(0))


class CountedLoop:
    """for i in range(count), count >= 1, carrying a list of values.

    with CountedLoop(b, count, start) as loop:
        loop.now[:] = ...  from loop.i and loop.now
    loop.now            # after the last iteration
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


def pieces(count: int) -> list[int]:
    """Return the powers of two that add up to `count`, the largest first."""
    return [1 << n for n in reversed(range(count.bit_length())) if count >> n & 1]


def guarded(b, condition, values: list, body) -> list:
    """Return `body(values)` if the condition holds, else the values."""
    before = b.block
    inside, after = b.append_basic_block(), b.append_basic_block()
    b.cbranch(condition, inside, after)
    b.position_at_end(inside)
    changed = body(list(values))
    end = b.block
    b.branch(after)
    b.position_at_end(after)
    merged = []
    for old, new in zip(values, changed, strict=True):
        merged.append(b.phi(old.type))
        merged[-1].add_incoming(old, before)
        merged[-1].add_incoming(new, end)
    return merged


def in_pairs(b, count, values: list, body) -> list:
    """Return the values after `body(i, values)` for every i in range(count), two per iteration.

    Counting takes slots of the units that the sums run on.
    """
    pairs = b.lshr(count, I64(1))

    def two(values):
        with CountedLoop(b, pairs, values) as loop:
            i = b.shl(loop.i, I64(1))
            loop.now = body(b.add(i, I64(1)), body(i, loop.now))
        return loop.now

    values = guarded(b, b.icmp_unsigned(">", pairs, I64(0)), values, two)
    last = b.sub(count, I64(1))
    return guarded(b, b.trunc(count, I1), values, lambda values: body(last, values))


def one_by_one(b, count, values: list, body) -> list:
    """Return the values after `body(i, values)` for every i in range(count), count >= 1."""
    with CountedLoop(b, count, values) as loop:
        loop.now = body(loop.i, loop.now)
    return loop.now


def added(b, code: Vectors, start, places: list[tuple], sums: list) -> list:
    """Return the sums, each added to the number at its address after `start` unless that is 0.

    A sum of very many products comes in slices. Those of a slice are added up from zero, as the
    products of a last slice would lose their digits beside the sum of all others."""
    fresh = b.block
    loading, merged = b.append_basic_block(), b.append_basic_block()
    b.cbranch(b.icmp_signed("!=", start, I64(0)), loading, merged)
    b.position_at_end(loading)
    more = [
        b.fadd(code.load(code.at(code.pointer(start), *place)), each)
        for place, each in zip(places, sums, strict=True)
    ]
    b.branch(merged)
    b.position_at_end(merged)
    result = []
    for each, joined in zip(sums, more, strict=True):
        result.append(b.phi(code.vector))
        result[-1].add_incoming(each, fresh)
        result[-1].add_incoming(joined, loading)
    return result


def stored(b, code: Vectors, start, kept, sums: list, places) -> None:
    """Store the sum over the lanes of each vector at its address; `places()` returns these.

    A sum of very many terms comes in slices, whose sums are added up in float64. Unless `kept` is
    0, the vectors of float64 sums go there, to go on from as `start`. They are as long as those of
    the slice: of float32 sums, two each have been added up.
    """
    narrow = code.scalar != ir.DoubleType()
    wide = Vectors(b, "float64", code.width // 2 if narrow else code.width)
    ends = [(n * wide.width,) for n in range(len(sums))]

    def halved(each):
        low, high = range(wide.width), range(wide.width, code.width)
        halves = [b.fpext(code.shuffle(each, each, [*lanes]), wide.vector) for lanes in (low, high)]
        return b.fadd(*halves)

    only = b.icmp_signed("==", b.or_(start, kept), I64(0))
    with b.if_else(only) as (whole, slice_):
        with whole:
            for each, place in zip(sums, places(), strict=True):
                b.store(code.sum(each), place)
        with slice_:
            sums = added(b, wide, start, ends, [halved(each) for each in sums] if narrow else sums)
            with b.if_else(b.icmp_signed("!=", kept, I64(0))) as (go_on, finish):
                with go_on:
                    for each, end in zip(sums, ends, strict=True):
                        wide.store(each, wide.at(wide.pointer(kept), *end))
                with finish:
                    for each, place in zip(sums, places(), strict=True):
                        total = wide.sum(each)
                        b.store(b.fptrunc(total, code.scalar) if narrow else total, place)
