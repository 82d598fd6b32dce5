"""Numbers and arrays of kernels as LLVM's values, and arithmetic on numbers by their types.

    numbers = Numbers(builder)
    numbers.arithmetic("+", Value(types.int64, i), Value(types.uint8, x))    # an int64

Types follow NumPy's rules: integers compute in 64 bits, an integer with a float32 gives a float64.
"""

from __future__ import annotations

import struct
from typing import Any

from llvmlite import ir

from specc.backend.llvm.intrinsics import I64, Number, types
from specc.system.records import dataclass

BOOL, INT, FLOAT = types.boolean, types.int64, types.float64
_MOST_FACTORS = 64  # the largest constant power that is written as products
_ARITHMETIC = {
    "+": ("add", "fadd"), "-": ("sub", "fsub"), "*": ("mul", "fmul"), "/": (None, "fdiv"),
    "&": ("and_", None), "|": ("or_", None), "^": ("xor", None), "<<": ("shl", None),
}  # fmt: skip


class LoweringError(Exception):
    """A tree that has no machine code: a fault of the kernel."""


@dataclass(frozen=True)
class KernelValue:
    """A number of a kernel."""

    type: Number
    ir: Any

    @property
    def is_constant(self) -> bool:
        """Whether the value is a constant of the kernel."""
        return isinstance(self.ir, ir.Constant)


@dataclass(frozen=True)
class Memory:
    """An array in C order: its address and its extents."""

    element: Number
    data: Any
    extents: tuple[Any, ...]


class Numbers:
    """Writes arithmetic on numbers of any type."""

    def __init__(self, b: ir.IRBuilder):
        self._b = b

    def arithmetic(self, operator: str, left: KernelValue, right: KernelValue) -> KernelValue:
        b, kind = self._b, common(left.type, right.type)
        if operator == "/" and not kind.is_float:
            kind = FLOAT
        x, y = self.cast(left, kind), self.cast(right, kind)
        if operator in _ARITHMETIC:
            act = _ARITHMETIC[operator][kind.is_float]
            if act is not None:
                return KernelValue(kind, getattr(b, act)(x, y))
        elif operator == ">>" and not kind.is_float:
            return KernelValue(kind, b.ashr(x, y) if kind.is_signed else b.lshr(x, y))
        elif operator in ("//", "%") and kind == INT:
            return KernelValue(INT, self._rounded_down(operator, x, y))
        elif operator == "**" and kind.is_float:
            return KernelValue(
                kind, b.call(b.module.declare_intrinsic("llvm.pow", [kind.ir]), [x, y])
            )
        raise LoweringError(f"{left.type} {operator} {right.type} is not a number")

    def _rounded_down(self, operator: str, x: Any, y: Any) -> Any:
        """Return the quotient or the remainder by Python's rules; 0 if the divisor is 0."""
        b = self._b
        if isinstance(y, ir.Constant) and y.constant:
            divisor, is_zero = y, None
        else:
            is_zero = b.icmp_signed("==", y, I64(0))
            divisor = b.select(is_zero, I64(1), y)
        rest = b.srem(x, divisor)
        differs = b.and_(
            b.icmp_signed("!=", rest, I64(0)),
            b.icmp_signed("<", b.xor(rest, divisor), I64(0)),
        )
        if operator == "//":
            found = b.sub(b.sdiv(x, divisor), b.zext(differs, I64))
        else:
            found = b.select(differs, b.add(rest, divisor), rest)
        return found if is_zero is None else b.select(is_zero, I64(0), found)

    def power(self, base: KernelValue, exponent: int) -> KernelValue:
        """Return a power as products of squares."""
        kind = base.type if base.type.is_float else INT
        if abs(exponent) > _MOST_FACTORS or (exponent < 0 and not kind.is_float):
            raise LoweringError(f"a power with the exponent {exponent}")
        multiply = self._b.fmul if kind.is_float else self._b.mul
        found = ir.Constant(kind.ir, 1.0 if kind.is_float else 1)
        square, rest = self.cast(base, kind), abs(exponent)
        while rest:
            if rest & 1:
                found = multiply(found, square)
            rest >>= 1
            if rest:
                square = multiply(square, square)
        if exponent < 0:
            found = self._b.fdiv(ir.Constant(kind.ir, 1.0), found)
        return KernelValue(kind, found)

    def compare(self, operator: str, left: KernelValue, right: KernelValue) -> KernelValue:
        kind = common(left.type, right.type)
        x, y = self.cast(left, kind), self.cast(right, kind)
        if kind.is_float:
            act = self._b.fcmp_unordered if operator == "!=" else self._b.fcmp_ordered
        else:
            act = self._b.icmp_signed if kind.is_signed else self._b.icmp_unsigned
        return KernelValue(BOOL, act(operator, x, y))

    def negative(self, value: KernelValue) -> KernelValue:
        if value.type.is_float:
            return KernelValue(value.type, self._b.fneg(value.ir))
        if value.is_constant:
            return KernelValue(INT, I64(-value.ir.constant))
        return KernelValue(INT, self._b.neg(self.cast(value, INT)))

    def absolute(self, value: KernelValue) -> KernelValue:
        b = self._b
        if value.type.is_float:
            function = b.module.declare_intrinsic("llvm.fabs", [value.type.ir])
            return KernelValue(value.type, b.call(function, [value.ir]))
        x = self.cast(value, INT)
        return KernelValue(INT, b.select(b.icmp_signed("<", x, I64(0)), b.neg(x), x))

    def cast(self, value: KernelValue, to: Number) -> Any:
        """Return the number, converted to another type."""
        b, x, kind = self._b, value.ir, value.type
        if kind == to:
            return x
        if value.is_constant and not isinstance(x.constant, str):
            return ir.Constant(to.ir, rounded(x.constant, to))
        if to is BOOL:
            zero = ir.Constant(kind.ir, 0)
            return (
                b.fcmp_unordered("!=", x, zero) if kind.is_float else b.icmp_signed("!=", x, zero)
            )
        if kind.is_float and to.is_float:
            return (b.fpext if to.bits > kind.bits else b.fptrunc)(x, to.ir)
        if kind.is_float:
            return (b.fptosi if to.is_signed else b.fptoui)(x, to.ir)
        if to.is_float:
            return (b.sitofp if kind.is_signed else b.uitofp)(x, to.ir)
        if to.bits <= kind.bits:
            return x if to.bits == kind.bits else b.trunc(x, to.ir)
        return (b.sext if kind.is_signed else b.zext)(x, to.ir)


def common(x: Number, y: Number) -> Number:
    """Return the type in which two numbers are combined."""
    if x.is_float or y.is_float:
        if x.is_float and y.is_float:
            return x if x.bits >= y.bits else y
        real, other = (x, y) if x.is_float else (y, x)
        return real if other.bits <= 8 else FLOAT
    if x.bits == y.bits == 1 or x.is_signed or y.is_signed:
        if types.uint64 in (x, y):
            raise LoweringError(f"{x} and {y} have no common type")
        return INT
    return types.uint64 if max(x.bits, y.bits) > 8 else INT


def joined(x: KernelValue, y: KernelValue) -> Number:
    """Return the type of a value that is one of two values."""
    if x.type == y.type:
        return x.type
    return common(x.type, y.type)


def stored(kind: Number) -> Number:
    """Return the type of a variable: small integers get 64 bits, because they may grow."""
    return INT if kind.is_integer and (kind.is_signed or kind.bits < 32) else kind


def keeps(value: KernelValue, kind: Number) -> bool:
    """Return whether a variable of a type can hold every value of another type."""
    own = value.type
    if value.is_constant and not own.is_float:
        return rounded(value.ir.constant, kind) == value.ir.constant
    if own == kind or (own.is_float and kind.is_float):
        return own.bits <= kind.bits
    return not own.is_float and kind == INT and own != types.uint64


def _float32(number: float) -> float:
    try:
        return struct.unpack("f", struct.pack("f", number))[0]
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


def rounded(number: float, kind: Number) -> float | int | bool:
    """Return a constant as a value of a type."""
    if kind.is_float:
        return float(number) if kind.bits == 64 else _float32(float(number))
    if kind is BOOL:
        return bool(number)
    whole = int(number) & ((1 << kind.bits) - 1)
    is_negative = kind.is_signed and whole >> (kind.bits - 1)
    return whole - (1 << kind.bits) if is_negative else whole
