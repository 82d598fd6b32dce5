"""tanh and sigmoid for AVX-512, which looks up numbers in registers (`lookup`).

    y[i] = tanh(x[i])        # in a kernel of 512-bit vectors; in others it is `vectormath`'s

tanh of float32 has no division: it is a polynomial around the center of one of 32 intervals, found
by the exponent and the first two bits of the mantissa. The polynomials have the least relative
error, and each center is a number whose tanh is almost a float32, as tanh(center) is added last
(Gal, 1986). In float64 the powers of two have
sixteenths, so that the polynomial of the exponential function is short.
"""

from __future__ import annotations

import struct
from decimal import Decimal, localcontext
from typing import Any

from specc.backend.llvm.intrinsics import intrinsic
from specc.backend.llvm.lookup import LookupTable, looked_up
from specc.backend.llvm.precision import DOUBLE, FLOAT
from specc.backend.llvm.vectormath import LN2, LN2_LEFT, ScalarCode, of_one_float

__all__ = ["sigmoid", "tanh"]

_CENTER = (
    2.2500927, 2.7500668, 3.250013, 3.7500856, 4.5000525, 5.5001903, 6.5, 7.5001903, 8.510381,
    9.02, 9.02, 9.02, 0.0, 0.085938476, 0.10156413, 0.11719041, 0.14062971, 0.1718758,
    0.20312832, 0.2343757, 0.28125712, 0.34375155, 0.40625194, 0.4687535, 0.56250656, 0.68751323,
    0.81251013, 0.93751985, 1.1250092, 1.375041, 1.6250247, 1.875007,
)  # fmt: skip
_VALUE = (
    0.97803015, 0.9918608, 0.9969977, 0.99889463, 0.99975324, 0.9999666, 0.99999547, 0.9999994,
    0.99999994, 1.0, 1.0, 1.0, 0.0, 0.085727535, 0.101216346, 0.11665686, 0.13970992, 0.17020309,
    0.20037991, 0.23017637, 0.27406818, 0.3308225, 0.38528562, 0.4371916, 0.5098348, 0.5963821,
    0.67097265, 0.7340807, 0.80930424, 0.87983596, 0.9253498, 0.9540459,
)  # fmt: skip
_FIRST = (
    0.04345703, 0.016212143, 0.00599556, 0.0022095153, 0.0004934796, 6.677907e-05, 9.041277e-06,
    1.2229558e-06, 1.6169433e-07, 0.0, 0.0, 0.0, 1.0, 0.9926508, 0.9897553, 0.9863912,
    0.98048115, 0.9710309, 0.95984787, 0.94701886, 0.92488664, 0.89055645, 0.851555, 0.8088635,
    0.74006844, 0.6443284, 0.5497957, 0.46112555, 0.34502664, 0.22588867, 0.1437278, 0.08979644,
)  # fmt: skip
_SECOND = (
    -0.042501047, -0.01607927, -0.005977144, -0.0022069118, -0.00049274357, -6.7044486e-05,
    -8.731072e-06, -1.7181657e-06, -8.229819e-07, 0.0, 0.0, 0.0, 0.0, -0.0850962, -0.100178584,
    -0.115068704, -0.13698302, -0.16527098, -0.19233513, -0.2179825, -0.25348222, -0.29461607,
    -0.32809234, -0.35362846, -0.3773124, -0.38426593, -0.3688981, -0.33850342, -0.27923352,
    -0.19874614, -0.1329989, -0.085669994,
)  # fmt: skip
_THIRD = (
    0.027083177, 0.0105447965, 0.0039608334, 0.0014680172, 0.00032831324, 4.4483797e-05,
    6.0240054e-06, 8.164051e-07, 1.1189469e-07, 0.0, 0.0, 0.0, -0.33333245, -0.3235734,
    -0.31977063, -0.31536853, -0.30768976, -0.29553872, -0.2814136, -0.2655035, -0.23882507,
    -0.19938664, -0.15744367, -0.11501812, -0.054323386, 0.014392762, 0.064254925, 0.09478029,
    0.110976234, 0.09956844, 0.0751617, 0.051801216,
)  # fmt: skip
_FOURTH = (
    -0.012383951, -0.0051467824, -0.0019778698, -0.0007391005, -0.00017192437, -2.193844e-05,
    -4.3564537e-06, 1.5585492e-06, 2.4845285e-06, 0.0, 0.0, 0.0, 0.0, 0.034777693, 0.052208558,
    0.06543512, 0.08897501, 0.099350974, 0.124126814, 0.13844408, 0.15010805, 0.16406238,
    0.1704269, 0.16823365, 0.15325771, 0.11946424, 0.079932265, 0.043334395, 0.0036695043,
    -0.021115292, -0.025129398, -0.020849736,
)  # fmt: skip
_FIFTH = (
    0.0039767832, 0.0019161627, 0.000771167, 0.00029291678, 6.8574205e-05, 9.242909e-06,
    1.2482225e-06, 1.6913805e-07, 2.2537046e-08, 0.0, 0.0, 0.0, 0.13287346, -0.12182653,
    -0.0105551, 0.036185995, 0.11437235, 0.06778376, 0.108462736, 0.09807321, 0.059956715,
    0.032048922, 0.007032886, -0.016874539, -0.043345198, -0.061541717, -0.062657095,
    -0.053084996, -0.03210886, -0.009549064, 0.001382158, 0.0045971195,
)  # fmt: skip

_SHIFT = 21  # the exponent and two bits of the mantissa are the bits from here
_LOWEST = 2.0**-4  # the first interval is from 0
_LIMIT = 9.02  # tanh is 1 above
_SIGMOID_LIMIT = 40.0  # so is sigmoid
_TANH = [
    LookupTable(f"tanh_{place}", numbers)
    for place, numbers in enumerate((_VALUE, _FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH))
]
_CENTERS = LookupTable("tanh_center", _CENTER)

_SIXTEENTHS = 16
_FRACTION = 4  # bits of a number's sixteenths
# of (expm1(2r) / 2 - r) / r^2 for |r| <= ln(2)/64, and of (expm1(r) - r) / r^2 for twice that
_GROWTH = (
    1.0000000000000002, 0.6666666666666667, 0.3333333333086654, 0.13333333332785158,
    0.04444500412779348, 0.012698537072357371,
)  # fmt: skip
_EXPM1 = (
    0.5000000000000001, 0.16666666666666669, 0.04166666666358317, 0.008333333332990724,
    0.0013889063789935463, 0.00019841464175558392,
)  # fmt: skip


def _powers() -> tuple[LookupTable, LookupTable, LookupTable]:
    """2^(i/16) for i from 0 to 15 without the bits that i itself adds, and the powers' errors."""
    with localcontext(prec=60):
        exact = [Decimal(2) ** (Decimal(i) / _SIXTEENTHS) for i in range(_SIXTEENTHS)]
        rounded = [float(each) for each in exact]
        errors = [float((a - Decimal(b)) / Decimal(b)) for a, b in zip(exact, rounded, strict=True)]
    step = DOUBLE.mantissa - _FRACTION
    bits = [struct.unpack("q", struct.pack("d", each))[0] for each in rounded]
    lowered = [struct.unpack("d", struct.pack("q", b - (i << step)))[0] for i, b in enumerate(bits)]
    # with what ln(2) / 32 as a float64 leaves of its product with i; as their factor e^2r is left
    # out, they are those of an r that leaves equal parts of expm1(2x) for the least and largest r
    halves = [each / 2 - i * LN2_LEFT / 32 for i, each in enumerate(errors)]
    halves = [each * (1 - LN2 / (64 * max(i, 1))) for i, each in enumerate(halves)]
    return (
        LookupTable("power", tuple(lowered)),
        LookupTable("power_error", tuple(errors)),
        LookupTable("power_error_half", tuple(halves)),
    )


_POWER, _ERROR, _HALF_ERROR = _powers()


class _Code(ScalarCode):
    """Writes the functions that look up."""

    def table(self, table: LookupTable, index: Any) -> Any:
        return looked_up(self.b, self.precision.type, table, index)

    def tanh(self, x: Any) -> Any:
        return self._tanh_by_intervals(x) if self.precision is FLOAT else self._tanh(x)

    def _tanh_by_intervals(self, x: Any) -> Any:
        size = self.call("llvm.fabs", x)
        size = self.choose(">", size, _LIMIT, _LIMIT, size)
        bits, lowest = self.to_bits(size), self.to_bits(self.number(_LOWEST))
        bits = self.b.select(self.b.icmp_signed(">", bits, lowest), bits, lowest)
        index = self.b.lshr(bits, self.integer(_SHIFT))
        t = self.sub(size, self.table(_CENTERS, index))
        y = self.table(_TANH[-1], index)
        for each in _TANH[-2::-1]:
            y = self.fma(y, t, self.table(each, index))
        return self.signed(y, x)

    def power(self, x: Any, factor: float) -> tuple[Any, Any, Any]:
        """2^(n/16) rounded for the n next to 16 factor x / ln(2), n, and the index of its error."""
        p = self.precision
        magic = 1.5 * 2.0**p.mantissa
        shifted = self.fma(x, factor * _SIXTEENTHS / LN2, magic)
        index = self.to_bits(shifted)
        whole = self.b.shl(index, self.integer(p.mantissa - _FRACTION))
        bits = self.b.add(self.to_bits(self.table(_POWER, index)), whole)
        return self.from_bits(bits), self.sub(shifted, magic), index

    def _tanh(self, x: Any) -> Any:
        p = self.precision
        size = self.call("llvm.fabs", x)
        size = self.choose(">", size, p.tanh_limit, p.tanh_limit, size)
        power, whole, index = self.power(size, 2.0)
        r = self.fma(whole, -LN2 / (2 * _SIXTEENTHS), size)  # exact
        y = self.tanh_of(power, r, self.table(_HALF_ERROR, index), _GROWTH, of_two=False)
        return self.signed(y, x)

    def sigmoid(self, x: Any) -> Any:
        p = self.precision
        if p is FLOAT:
            return super().sigmoid(x)
        # 1 / (power (1 + g) + 1) with e^-x = power (1 + g)
        lowest = -LN2 * (p.bias + 0.4)
        size = self.clamp(x, lowest, _SIGMOID_LIMIT)
        power, whole, index = self.power(size, -1.0)
        high, low = (each / _SIXTEENTHS for each in p.ln2)
        r = self.fma(whole, -low, self.fma(whole, -high, self.b.fneg(size)))
        g = self.add(r, self.table(_ERROR, index))
        square = self.mul(r, r)
        g = self.fma(square, self.in_halves(r, _EXPM1, square), g)
        larger = self.choose(">", power, 1.0, power, 1.0)
        smaller = self.choose("<", power, 1.0, power, 1.0)
        return self.choose("<", x, lowest, 0.0, self.inverse(power, g, larger, smaller))


@intrinsic
def tanh(typing: Any, x: Any) -> Any:
    return of_one_float(typing, x, _Code.tanh, _Code)


@intrinsic
def sigmoid(typing: Any, x: Any) -> Any:
    """1 / (1 + exp(-x))"""
    return of_one_float(typing, x, _Code.sigmoid, _Code)
