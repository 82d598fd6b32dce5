"""exp, log, tanh and other functions, made for loops that LLVM vectorizes.

    y[i] = tanh(x[i])        # in a kernel: float32 or float64, by the type of x

Each is a few arithmetic instructions and integer operations on the bits of the number, without
branches or tables (`avx512` has some with tables). The errors are at most 1.5 units in the last
place, for erfc 4 (the bounds and the measurement are in tests/backend/test_ulp.py). NaN,
infinities, over- and underflow come out as in C.

The reductions follow Cody and Waite (1980); the logarithm's polynomials are fdlibm's (Sun, 1993);
those of erf and erfc are Chebyshev interpolations, those of tanh are minimax.
"""

from __future__ import annotations

from llvmlite import ir

from specc.backend.llvm.intrinsics import UntypedError, declared, intrinsic, types
from specc.backend.llvm.precision import DOUBLE, FLOAT, Precision

__all__ = [
    "bfloat16", "cos", "erf", "erfc", "exp", "expm1", "floor", "floordiv", "log", "log1p", "max",
    "min", "mod", "plus", "sigmoid", "sin", "sqrt", "tanh",
]  # fmt: skip

_FLAGS = ("contract",)
LN2 = 0.6931471805599453
LN2_LEFT = 2.3190468138462996e-17  # ln(2) without LN2


class ScalarCode:
    """Writes arithmetic of one precision; plain numbers become constants."""

    def __init__(self, builder, precision: Precision):
        self.b, self.precision = builder, precision

    def number(self, value):
        return ir.Constant(self.precision.type, value) if isinstance(value, (int, float)) else value

    def integer(self, value):
        return ir.Constant(self.precision.bits, value) if isinstance(value, int) else value

    def add(self, x, y):
        return self.b.fadd(self.number(x), self.number(y), flags=_FLAGS)

    def sub(self, x, y):
        return self.b.fsub(self.number(x), self.number(y), flags=_FLAGS)

    def mul(self, x, y):
        return self.b.fmul(self.number(x), self.number(y), flags=_FLAGS)

    def div(self, x, y):
        return self.b.fdiv(self.number(x), self.number(y), flags=_FLAGS)

    def fma(self, x, y, z):
        """x * y + z, rounded once where the machine can."""
        return self.call("llvm.fmuladd", x, y, z)

    def call(self, name, *args):
        kind = self.precision.type
        function = declared(
            self.b.module,
            ir.FunctionType(kind, [kind] * len(args)),
            f"{name}.f{self.precision.bits.width}",
        )
        return self.b.call(function, [self.number(each) for each in args])

    def polynomial(self, x, coefficients):
        total = self.number(coefficients[-1])
        for each in coefficients[-2::-1]:
            total = self.fma(total, x, each)
        return total

    def in_halves(self, x, coefficients, square):
        """A polynomial as two of x^2, so that half as many products wait for another."""
        odd = self.polynomial(square, coefficients[1::2])
        return self.fma(odd, x, self.polynomial(square, coefficients[::2]))

    def choose(self, comparison, x, y, yes, no):
        """yes where the ordered comparison of x and y holds (it does not for NaN), else no."""
        test = self.b.fcmp_ordered(comparison, self.number(x), self.number(y), flags=_FLAGS)
        return self.b.select(test, self.number(yes), self.number(no))

    def clamp(self, x, low, high):
        """x within [low, high]; NaN stays."""
        x = self.choose("<", x, low, low, x)
        return self.choose(">", x, high, high, x)

    def signed(self, y, x):
        """y with the sign of x, for a y without one; LLVM would first clear that of y."""
        sign = self.b.and_(self.to_bits(x), self.integer(-(1 << (self.precision.bits.width - 1))))
        return self.from_bits(self.b.or_(self.to_bits(y), sign))

    def to_bits(self, x):
        return self.b.bitcast(x, self.precision.bits)

    def from_bits(self, x):
        return self.b.bitcast(x, self.precision.type)

    def power_of_two(self, n):
        """2^n for an integer n within the range of normal numbers."""
        exponent = self.b.add(n, self.integer(self.precision.bias))
        return self.from_bits(self.b.shl(exponent, self.integer(self.precision.mantissa)))

    def reduce(self, x):
        """The integer n next to x / ln(2), and expm1(x - n ln(2)).

        Adding 1.5 * 2^mantissa rounds to an integer, which then stands in the low bits (so that a
        NaN does no harm: a conversion to an integer would be undefined).
        """
        magic = 1.5 * 2.0**self.precision.mantissa
        shifted = self.fma(x, 1 / LN2, magic)
        n = self.b.sub(self.to_bits(shifted), self.to_bits(self.number(magic)))
        whole = self.sub(shifted, magic)
        high, low = self.precision.ln2
        r = self.fma(whole, -low, self.fma(whole, -high, x))
        square = self.mul(r, r)
        return n, self.fma(square, self.polynomial(r, self.precision.expm1), r)

    def exp(self, x):
        n, grown = self.reduce(self.clamp(x, self.precision.lowest, self.precision.highest))
        # in two steps: 2^n itself may overflow or be denormal where the result is not
        half = self.b.ashr(n, self.integer(1))
        scaled = self.mul(self.add(grown, 1.0), self.power_of_two(half))
        return self.mul(scaled, self.power_of_two(self.b.sub(n, half)))

    def scale(self, x, factor):
        """The power of two next to e^(factor x) as a number, and its exponent as one.

        The exponent of 2^n is n + bias: with the bias added to the constant that rounds, it is in
        the low bits of the sum, and one shift makes 2^n. 2^n is 0 or infinite for n = -bias or bias
        + 1."""
        p = self.precision
        magic = 1.5 * 2.0**p.mantissa + p.bias
        shifted = self.fma(x, factor / LN2, magic)
        power = self.from_bits(self.b.shl(self.to_bits(shifted), self.integer(p.mantissa)))
        return power, self.sub(shifted, magic)

    def expm1(self, x):
        p = self.precision
        high, low = p.ln2
        x = self.clamp(x, -0.75 * (p.mantissa + 2), p.highest)  # -1 rounded, below
        power, whole = self.scale(x, 1.0)
        # x = n ln(2) + r + c, where c is the rounding error of r
        near = self.fma(whole, -high, x)
        r = self.fma(whole, -low, near)
        c = self.fma(whole, -low, self.sub(near, r))
        rest = self.fma(self.mul(r, r), self.polynomial(r, p.expm1), c)
        # half of 2^n (r + rest) + (2^n - 1), as 2^n itself may be infinite; `lost` is the sum's
        # error
        half = self.from_bits(self.b.sub(self.to_bits(power), self.integer(1 << p.mantissa)))
        start = self.sub(half, 0.5)
        total = self.fma(half, r, start)
        lost = self.fma(half, r, self.sub(start, total))
        total = self.add(total, self.fma(half, rest, lost))
        return self.choose("==", x, 0.0, x, self.add(total, total))  # the sign of 0 stays

    def tanh(self, x):
        return self.tanh_in_parts(x) if self.precision is FLOAT else self.tanh_in_one(x)

    def tanh_in_parts(self, x):
        p = self.precision
        size = self.call("llvm.fabs", x)
        size = self.choose(">", size, p.tanh_limit, p.tanh_limit, size)
        # near 0: x + x^3 P(x^2)
        square = self.mul(size, size)
        near = self.fma(self.mul(size, square), self.polynomial(square, p.tanh), size)
        # else h / (h + 1), with h = expm1(2x) / 2 = 2^n expm1(2r) / 2 + (2^n - 1) / 2
        power, whole = self.scale(size, 2.0)
        r = self.fma(whole, -LN2 / 2, size)
        grown = self.fma(self.mul(r, r), self.polynomial(r, p.tanh_growth), r)
        h = self.fma(power, grown, self.fma(power, 0.5, -0.5))
        far = self.div(h, self.add(h, 1.0))
        return self.signed(self.choose("<", size, 0.3, near, far), x)

    def tanh_in_one(self, x):
        p = self.precision
        size = self.call("llvm.fabs", x)
        size = self.choose(">", size, p.tanh_limit, p.tanh_limit, size)
        power, whole = self.scale(size, 2.0)
        r = self.fma(whole, -LN2 / 2, size)  # exact
        error = self.mul(whole, -LN2_LEFT / 2)
        return self.signed(self.tanh_of(power, r, error, p.tanh_growth), x)

    def tanh_of(self, power, r, error, growth, of_two=True):
        """h / (h + 1) with h = expm1(2x) / 2 = power (g + error) + (power - 1) / 2.

        g = expm1(2r) / 2 = r + r^2 growth(r), and r has no error of its own. (power + 1) / 2 is
        exact where it matters if the power is one `of_two`; else (power - 1) / 2 is."""
        square = self.mul(r, r)
        rest = self.fma(square, self.in_halves(r, growth, square), error)
        middle = self.fma(power, 0.5, 0.5)
        divisor = self.fma(power, self.add(r, rest), middle)
        # h = whole + more; 1 - y is 1 / divisor
        whole = self.sub(divisor, 1.0)
        left = self.sub(middle, divisor) if of_two else self.sub(self.fma(power, 0.5, -0.5), whole)
        y, more = self.div(whole, divisor), self.fma(power, rest, self.fma(power, r, left))
        inverse = self.sub(1.0, y)
        return self.fma(self.mul(more, inverse), inverse, y)

    def sigmoid(self, x):
        # 1 / (2^n (1 + g) + 1) with e^-x = 2^n (1 + g)
        lowest = -LN2 * (self.precision.bias + 0.4)
        power, g = self.grown(self.clamp(x, lowest, -lowest))
        y = self.inverse(power, g, power, 1.0)
        return self.choose("<", x, lowest, 0.0, y)

    def inverse(self, power, g, larger, smaller):
        """1 / (power (1 + g) + 1); the last two are the power and 1."""
        divisor = self.fma(power, g, self.add(power, 1.0))
        # what rounding the divisor lost is put right afterwards
        lost = self.fma(power, g, self.add(self.sub(larger, divisor), smaller))
        y = self.div(1.0, divisor)
        return self.fma(self.mul(self.b.fneg(y), lost), y, y)

    def erf(self, x):
        p = self.precision
        size = self.call("llvm.fabs", x)
        size = self.choose(">", size, p.erf_limit, p.erf_limit, size)
        square = self.mul(size, size)
        # the coefficient of x is 1 + a fraction, so that x itself is not rounded
        fraction = self.polynomial(square, [p.erf[0] - 1, *p.erf[1:]])
        near = self.fma(size, fraction, size)
        t = self.div(self.sub(size, 2.0), self.add(size, 2.0))
        power, g = self.grown(square)
        rest = self.mul(self.fma(power, g, power), self.polynomial(t, p.erfcx))
        result = self.choose("<", size, 1.0, near, self.sub(1.0, rest))
        return self.signed(result, x)

    def erfc(self, x):
        p = self.precision
        size = self.call("llvm.fabs", x)
        square = self.mul(x, x)
        fraction = self.polynomial(square, [p.erf[0] - 1, *p.erf[1:]])
        near = self.sub(1.0, self.fma(x, fraction, x))
        # e^-x^2 / (1 + 2x) times a polynomial; the error of x^2 counts as a factor
        size = self.choose(">", size, p.erfc_limit, p.erfc_limit, size)
        square = self.mul(size, size)
        lost = self.fma(size, size, self.b.fneg(square))
        t = self.div(self.sub(size, 2.0), self.add(size, 2.0))
        size = self.fma(size, 2.0, 1.0)
        ratio = self.div(self.polynomial(t, p.erfc), size)
        ratio = self.fma(self.b.fneg(lost), ratio, ratio)
        far = self.mul(self.exp(self.b.fneg(square)), ratio)
        far = self.choose("<", x, 0.0, self.sub(2.0, far), far)
        return self.choose("<", self.call("llvm.fabs", x), 0.4, near, far)

    def grown(self, x):
        """2^n and g such that e^-x = 2^n (1 + g), for -x within the normal numbers' logarithms."""
        high, low = self.precision.ln2
        power, whole = self.scale(x, -1.0)
        r = self.fma(whole, low, self.fma(whole, high, x))  # minus the reduced argument
        terms = [-each if k % 2 else each for k, each in enumerate(self.precision.expm1)]
        return power, self.fma(self.mul(r, r), self.polynomial(r, terms), self.b.fneg(r))

    def log(self, x):
        p = self.precision
        # a denormal is scaled up first
        small = 2.0 ** (1 - p.bias)
        scaled = self.choose("<", x, small, self.mul(x, 2.0**p.mantissa), x)
        correction = self.choose("<", x, small, -float(p.mantissa), 0.0)
        # x = 2^n (1 + f) with 1 + f from sqrt(1/2) to sqrt(2)
        offset = self.b.sub(self.to_bits(scaled), self.integer(p.sqrt_half))
        n = self.b.ashr(offset, self.integer(p.mantissa))
        mantissa = self.b.and_(offset, self.integer((1 << p.mantissa) - 1))
        f = self.sub(self.from_bits(self.b.add(mantissa, self.integer(p.sqrt_half))), 1.0)
        whole = self.add(self.b.sitofp(n, p.type), correction)
        result = self.log_of(f, whole, -0.0)
        result = self.choose("<", x, float("inf"), result, x)  # infinity and NaN stay
        result = self.choose("==", x, 0.0, float("-inf"), result)
        return self.choose("<", x, 0.0, float("nan"), result)

    def log_of(self, f, whole, more):
        """log(2^whole (1 + f)) + more = whole ln(2) + f - (f^2/2 - s (f^2/2 + R(s^2))) + more with
        s = f / (2 + f), for 1 + f from sqrt(1/2) to sqrt(2)."""
        p = self.precision
        s = self.div(f, self.add(f, 2.0))
        z = self.mul(s, s)
        half_square = self.mul(self.mul(f, 0.5), f)
        rest = self.mul(z, self.polynomial(z, p.log))
        high, low = p.ln2
        lowest = self.fma(whole, low, more)
        tail = self.fma(s, self.add(half_square, rest), lowest)
        return self.fma(whole, high, self.sub(f, self.sub(half_square, tail)))

    def log1p(self, x):
        # y = 1 + x, rounded, and what that lost; y = 2^n (1 + f)
        p = self.precision
        y = self.add(x, 1.0)
        small, large = self.sub(x, self.sub(y, 1.0)), self.sub(1.0, self.sub(y, x))
        lost = self.choose("<", x, 1.0, small, large)
        offset = self.b.sub(self.to_bits(y), self.integer(p.sqrt_half))
        n = self.b.ashr(offset, self.integer(p.mantissa))
        mantissa = self.b.and_(offset, self.integer((1 << p.mantissa) - 1))
        f = self.sub(self.from_bits(self.b.add(mantissa, self.integer(p.sqrt_half))), 1.0)
        near = self.b.icmp_signed("==", n, self.integer(0))
        f = self.b.select(near, x, f)
        lost = self.b.select(near, self.number(0.0), self.div(lost, y))
        result = self.log_of(f, self.b.sitofp(n, p.type), lost)
        result = self.choose("==", x, 0.0, x, result)  # the sign of 0 stays
        result = self.choose("<", x, float("inf"), result, x)  # infinity and NaN stay
        result = self.choose("==", x, -1.0, float("-inf"), result)
        return self.choose("<", x, -1.0, float("nan"), result)

    def remainder(self, x, y):
        """Return the exact remainder of x / y towards zero, and whether y must be added."""
        rest = self.b.frem(x, y)
        signs = self.b.xor(
            self.b.fcmp_ordered("<", rest, self.number(0.0)),
            self.b.fcmp_ordered("<", y, self.number(0.0)),
        )
        return rest, self.b.and_(signs, self.b.fcmp_unordered("!=", rest, self.number(0.0)))

    def mod(self, x, y):
        rest, differs = self.remainder(x, y)
        moved = self.b.select(differs, self.b.fadd(rest, y), rest)
        zero = self.call("llvm.copysign", 0.0, y)
        return self.choose("==", rest, 0.0, zero, moved)

    def floordiv(self, x, y):
        rest, differs = self.remainder(x, y)
        ratio = self.b.fdiv(self.b.fsub(x, rest), y)
        ratio = self.b.fsub(ratio, self.b.select(differs, self.number(1.0), self.number(0.0)))
        # next to an integer, except for the rounding errors
        below = self.call("llvm.floor", ratio)
        below = self.choose(
            ">", self.b.fsub(ratio, below), 0.5, self.b.fadd(below, self.number(1.0)), below
        )
        rounded = self.b.fdiv(x, y)
        below = self.choose("==", below, 0.0, self.call("llvm.copysign", 0.0, rounded), below)
        return self.choose("==", y, 0.0, rounded, below)

    def bfloat16(self, x):
        """x rounded to 8 significant bits, to the nearest, ties to even; below 2^-126 it is 0."""
        p, b = self.precision, self.b
        left_out = p.mantissa - 7  # bits
        bits = self.to_bits(x)
        odd = b.and_(b.lshr(bits, self.integer(left_out)), self.integer(1))
        up = b.add(bits, b.add(odd, self.integer((1 << (left_out - 1)) - 1)))
        rounded = self.from_bits(b.and_(up, self.integer(-(1 << left_out))))
        size = self.from_bits(b.and_(bits, self.integer((1 << (p.bits.width - 1)) - 1)))
        sign = b.and_(bits, self.integer(-(1 << (p.bits.width - 1))))
        if p.bits.width == 64:  # float32 has no numbers beyond the largest of bfloat16
            least = 2.0**128 - 2.0**119  # that becomes infinite
            infinite = self.from_bits(b.or_(self.to_bits(self.number(float("inf"))), sign))
            rounded = self.choose(">=", size, least, infinite, rounded)
        rounded = self.choose("<", size, 2.0**-126, self.from_bits(sign), rounded)
        return self.choose("<", size, float("inf"), rounded, x)


def _precision(kind) -> Precision | None:
    return {types.float32: FLOAT, types.float64: DOUBLE}.get(kind)


def of_one_float(typing, x, write, code=ScalarCode):
    """The typing and code of an intrinsic whose value is `write(code, x)`."""
    precision = _precision(x)
    if precision is None:
        raise UntypedError(f"a float32 or float64 is wanted, not {x}")

    def codegen(context, b, signature, args):
        return write(code(b, precision), args[0])

    return x(x), codegen


@intrinsic
def exp(typing, x):
    return of_one_float(typing, x, ScalarCode.exp)


@intrinsic
def expm1(typing, x):
    """exp(x) - 1, accurate near 0"""
    return of_one_float(typing, x, ScalarCode.expm1)


@intrinsic
def log(typing, x):
    return of_one_float(typing, x, ScalarCode.log)


@intrinsic
def log1p(typing, x):
    """log(1 + x), accurate near 0"""
    return of_one_float(typing, x, ScalarCode.log1p)


@intrinsic
def tanh(typing, x):
    return of_one_float(typing, x, ScalarCode.tanh)


@intrinsic
def sigmoid(typing, x):
    """1 / (1 + exp(-x))"""
    return of_one_float(typing, x, ScalarCode.sigmoid)


@intrinsic
def erf(typing, x):
    """2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x"""
    return of_one_float(typing, x, ScalarCode.erf)


@intrinsic
def erfc(typing, x):
    """1 - erf(x), accurate for large x"""
    return of_one_float(typing, x, ScalarCode.erfc)


@intrinsic
def bfloat16(typing, x):
    """The nearest number of bfloat16, ties to even"""
    return of_one_float(typing, x, ScalarCode.bfloat16)


@intrinsic
def plus(typing, x, y):
    """x + y as part of a long sum, whose terms LLVM may add up in any order."""
    precision = _precision(x)
    if precision is None or x != y:
        raise UntypedError(f"two floats of one type are wanted, not {x} and {y}")

    def codegen(context, b, signature, args):
        return b.fadd(*args, flags=("reassoc", "contract", "nsz"))

    return x(x, x), codegen


@intrinsic
def sqrt(typing, x):
    return of_one_float(typing, x, lambda code, x: code.call("llvm.sqrt", x))


@intrinsic
def floor(typing, x):
    return of_one_float(typing, x, lambda code, x: code.call("llvm.floor", x))


@intrinsic
def sin(typing, x):
    return of_one_float(typing, x, lambda code, x: code.call("llvm.sin", x))


@intrinsic
def cos(typing, x):
    return of_one_float(typing, x, lambda code, x: code.call("llvm.cos", x))


def _of_two_floats(typing, x, y, write):
    precision = _precision(x)
    if precision is None or x != y:
        raise UntypedError(f"two floats of one type are wanted, not {x} and {y}")

    def codegen(context, b, signature, args):
        return write(ScalarCode(b, precision), *args)

    return x(x, y), codegen


@intrinsic
def mod(typing, x, y):
    """x % y as in Python"""
    return _of_two_floats(typing, x, y, ScalarCode.mod)


@intrinsic
def floordiv(typing, x, y):
    """x // y as in Python"""
    return _of_two_floats(typing, x, y, ScalarCode.floordiv)


def _of_two(x, y, integers, floats):
    precision = _precision(x)
    if precision is not None and x == y:
        result = x
    elif x.is_integer and y.is_integer:
        result = types.int64
    else:
        raise UntypedError(f"two floats of one type or two integers are wanted, not {x} and {y}")

    def codegen(context, b, signature, args):
        if precision is None:
            return b.select(b.icmp_signed(integers, *args), *args)
        return ScalarCode(b, precision).call(floats, *args)

    return result(result, result), codegen


@intrinsic
def max(typing, x, y):
    """The larger; NaN where one of them is."""
    return _of_two(x, y, ">", "llvm.maximum")


@intrinsic
def min(typing, x, y):
    """The smaller; NaN where one of them is."""
    return _of_two(x, y, "<", "llvm.minimum")
