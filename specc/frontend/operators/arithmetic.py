"""Operators: known numbers are computed while compiling, tensors become ops.

    binary(frame, "+", 2, 3, span)               # 5
    binary(frame, "*", 0.5, x, span)             # a tensor: Mul of a broadcast constant and x

Numbers follow Python: `/` gives a float, `//` the floor, `%` the remainder, `^` the power. A scalar
combines with anything; booleans count as 0 and 1 in arithmetic. All functions raise `OperandError`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import replace
from functools import reduce

from specc.frontend.scope.errors import OperandError, undecided
from specc.frontend.scope.frame import BodyFrame, flowing
from specc.frontend.scope.values import (
    AllWeights,
    Tensor,
    Value,
    beyond_float,
    describe,
    is_static,
)
from specc.ir import sizes
from specc.ir.graph import apply
from specc.ir.op import Op
from specc.ir.sizes import Polynomial, Undecided
from specc.ops import elementwise as ops
from specc.ops.broadcast import Broadcast
from specc.ops.functions import Pow
from specc.ops.leaf import Const, leaf
from specc.source import Span

LARGEST_BITS = 256
"""The most bits of an integer; a size never needs more."""


LONGEST_SIZE = 500
"""The most parts of a formula of symbolic sizes: `(n + 1) * (m + 2)` has 9."""


def power(a, b):
    if (
        isinstance(a, int)
        and isinstance(b, int)
        and b > 0
        and a.bit_length() * b > 2 * LARGEST_BITS
    ):
        raise OverflowError
    result = a**b
    if isinstance(result, complex):
        raise ValueError(f"{a} ^ {b} is not a real number")
    return result


STATIC: dict[str, Callable] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
    "//": operator.floordiv, "%": operator.mod, "^": power,
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
ARITHMETIC: dict[str, Op] = {
    "+": ops.Add(),
    "-": ops.Sub(),
    "*": ops.Mul(),
    "/": ops.Div(),
    "//": ops.FloorDiv(),
    "%": ops.Mod(),
    "^": Pow(),
}
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")


def binary(frame: BodyFrame, sign: str, left: Value, right: Value, span: Span) -> Value:
    """Return the value of `left sign right`, for every sign but `@`, `and` and `or`."""
    if is_static(left) and is_static(right):
        folded = fold(sign, left, right)
        if folded is not None:
            return folded
    elif isinstance(left, str) and isinstance(right, str) and sign in ("==", "!="):
        return (left == right) == (sign == "==")
    for position, each in enumerate((left, right)):
        if not isinstance(each, Tensor) and not is_static(each):
            help_ = "`l2(weights)` sums over all of them" if isinstance(each, AllWeights) else None
            raise OperandError(
                "wrong-kind", f"`{sign}` cannot work on {describe(each)}", help_, position
            )
    if sign in COMPARISONS:
        return compare(frame, sign, left, right, span)
    return arithmetic(frame, ARITHMETIC[sign], sign, (left, right), span)


def fold(sign: str, left, right):
    """Return the number `left sign right`; None if it is not known (half of a symbolic size)."""
    if isinstance(left, Polynomial) or isinstance(right, Polynomial):
        return fold_sizes(sign, left, right)
    if sign in ("==", "!="):
        return (left == right) == (sign == "==")
    try:
        return checked(STATIC[sign](left, right))
    except ZeroDivisionError:
        raise OperandError("bad-number", f"`{sign}` divides by zero") from None
    except OverflowError:
        raise OperandError("bad-number", f"the result of `{sign}` is too large") from None
    except ValueError as error:
        raise OperandError("bad-number", str(error)) from None


def checked(number):
    if isinstance(number, float) and not math.isfinite(number):
        raise OverflowError
    if isinstance(number, int) and number.bit_length() > LARGEST_BITS:
        raise OverflowError
    return number


def fold_sizes(sign: str, left, right):
    """Compute with symbolic sizes; return None if the result is not a size."""
    if any(isinstance(each, (float, bool)) for each in (left, right)):
        return None
    try:
        if sign in ("==", "!="):
            equal = sizes.same(left, right)
            if equal is None:
                raise undecided(left - right)
            return equal == (sign == "==")
        if sign == "/":
            return None
        if sign == "^":
            if isinstance(right, int) and 0 <= right <= 16:
                return reduce(lambda power, each: _brief(sign, power * each), [left] * right, 1)
            return None
        if sign in ("//", "%") and isinstance(right, int) and right == 0:
            raise OperandError("bad-number", f"`{sign}` divides by zero")
        return _brief(sign, STATIC[sign](left, right))
    except Undecided as error:
        raise undecided(error.size) from None


def _brief(sign: str, size):
    """Return `size`. Raises OperandError if its formula is too long to compute with."""
    if isinstance(size, Polynomial) and sizes.extent(size) > LONGEST_SIZE:
        names = sizes.open_names(size)
        raise OperandError(
            "bad-number",
            f"the result of `{sign}` is a formula of symbolic sizes with more"
            f" than {LONGEST_SIZE} parts",
            open_sizes=names,
        )
    return size


def compare(frame: BodyFrame, sign: str, left: Value, right: Value, span: Span) -> Tensor:
    """Return an elementwise comparison: of classes with classes or integers, or of numbers."""
    left, right = _as_class(left, right), _as_class(right, left)
    kinds = {each.type.kind for each in (left, right) if isinstance(each, Tensor)}
    if kinds == {"int"}:
        _check_classes(sign, left, right)
        kind = "int"
    elif "int" in kinds:
        at = 0 if isinstance(left, Tensor) and left.type.kind == "int" else 1
        other = right if at == 0 else left
        raise OperandError(
            "wrong-kind",
            f"`{sign}` cannot compare {describe((left, right)[at])} with {describe(other)}",
            argument=at,
        )
    elif kinds == {"bool"} and sign in ("==", "!="):
        kind = (
            "bool" if all(isinstance(each, (Tensor, bool)) for each in (left, right)) else "float"
        )
    else:
        kind = "float"
    if sign in (">", ">="):
        left, right = right, left
    op = {"<": ops.Less(), ">": ops.Less(), "<=": ops.LessEqual(), ">=": ops.LessEqual()}.get(
        sign, ops.Equal()
    )
    result = elementwise(
        frame, op, [as_kind(frame, each, kind, span) for each in (left, right)], span
    )
    return frame.apply(ops.Not(), result, span=span) if sign == "!=" else result


def _as_class(value: Value, other: Value) -> Value:
    """Return an index that is compared with a class as an integer; other values unchanged."""
    is_class = isinstance(other, Tensor) and other.type.kind == "int"
    if not is_class or not isinstance(value, Tensor) or value.counter is None:
        return value
    count = value.counter.size + value.counter.start
    return replace(value, node=apply(ops.ToInt(count), value.node), counter=None)


def _check_classes(sign: str, left: Value, right: Value) -> None:
    for position, each in enumerate((left, right)):
        if isinstance(each, (float, bool)):
            raise OperandError(
                "wrong-kind",
                f"`{sign}` cannot compare a class with {describe(each)}",
                argument=position,
            )
    if not (isinstance(left, Tensor) and isinstance(right, Tensor)):
        return
    one, other = left.type.classes, right.type.classes
    if left.indices or right.indices:
        return  # an index may run over a part of the classes
    if one is not None and other is not None and not sizes.same(one, other):
        raise OperandError(
            "shape-mismatch",
            f"`{sign}` compares classes of one kind, but has class({one}) on the left and"
            f" class({other}) on the right",
        )


def arithmetic(
    frame: BodyFrame, op: Op, sign: str, operands: tuple[Value, ...], span: Span
) -> Tensor:
    """Return an op on numbers: booleans count as 0 and 1; class indices are refused."""
    values = []
    for position, each in enumerate(operands):
        if isinstance(each, Tensor) and each.type.kind == "int":
            raise OperandError(
                "wrong-kind",
                f"`{sign}` works on numbers, and {describe(each)} is a class index, not a number",
                help=(
                    "use a class in a comparison or as an index: `scores[label]`, or take its"
                    " `number(label)`"
                ),
                argument=position,
            )
        try:
            values.append(as_kind(frame, each, "float", span))
        except OperandError as error:
            error.argument = position
            raise
    return elementwise(frame, op, values, span)


def logical(frame: BodyFrame, sign: str, left: Value, right: Value, span: Span) -> Value:
    """Return `left and right` or `left or right`."""
    for position, each in enumerate((left, right)):
        _check_boolean(sign, each, position)
    if isinstance(left, bool) and isinstance(right, bool):
        return left and right if sign == "and" else left or right
    for known, other in ((left, right), (right, left)):
        if isinstance(known, bool):  # `true and b` is b, `true or b` is true
            return other if known == (sign == "and") else known
    op = ops.And() if sign == "and" else ops.Or()
    return elementwise(
        frame, op, [as_kind(frame, each, "bool", span) for each in (left, right)], span
    )


def negate(frame: BodyFrame, sign: str, operand: Value, span: Span) -> Value:
    """Return `-x` or `not x`."""
    if sign == "not":
        _check_boolean(sign, operand, 0)
        if isinstance(operand, bool):
            return not operand
        assert isinstance(operand, Tensor), "a boolean is a tensor; please report this"
        return frame.apply(ops.Not(), operand, span=span)
    if is_static(operand):
        return -operand
    if not isinstance(operand, Tensor):
        raise OperandError("wrong-kind", f"`-` cannot work on {describe(operand)}", argument=0)
    return arithmetic(frame, ops.Neg(), "-", (operand,), span)


def _check_boolean(sign: str, value: Value, position: int) -> None:
    if isinstance(value, bool) or (isinstance(value, Tensor) and value.type.kind == "bool"):
        return
    raise OperandError(
        "wrong-kind",
        f"`{sign}` works on booleans, not on {describe(value)}",
        help="a comparison is a boolean: `x > 0`",
        argument=position,
    )


def select(
    frame: BodyFrame, condition: Tensor, value: Value, otherwise: Value, span: Span
) -> Tensor:
    """Return `if c then a else b` for a condition that is a tensor, elementwise."""
    if condition.type.kind != "bool":
        raise OperandError(
            "wrong-kind",
            f"`if` needs a boolean, not {describe(condition)}",
            help="a comparison is a boolean: `x > 0`",
            argument=0,
        )
    branches = (value, otherwise)
    for position, each in enumerate(branches, 1):
        if not isinstance(each, Tensor) and not is_static(each):
            raise OperandError(
                "wrong-kind", f"`if` cannot return {describe(each)}", argument=position
            )
    kinds = {each.type.kind for each in branches if isinstance(each, Tensor)}
    if "int" in kinds and kinds != {"int"}:
        raise OperandError(
            "wrong-kind",
            f"`if` needs two values of one kind, not {describe(value)} and {describe(otherwise)}",
            argument=2,
        )
    kind = kinds.pop() if len(kinds) == 1 else "float"
    if kind == "bool" and not all(isinstance(each, (Tensor, bool)) for each in branches):
        kind = "float"
    operands = [condition, *(as_kind(frame, each, kind, span) for each in branches)]
    return elementwise(frame, ops.Select(), operands, span)


def as_kind(frame: BodyFrame, value: Value, kind: str, span: Span) -> Tensor:
    """Return a number or tensor as a tensor of a kind; only booleans are converted."""
    if isinstance(value, Tensor):
        if kind == "float" and value.type.kind == "bool":
            return frame.apply(ops.ToFloat(), value, span=span)
        if value.type.kind != kind:
            raise OperandError("wrong-kind", f"a {kind} is needed here, not {describe(value)}")
        return value
    assert is_static(value), "only numbers and tensors have a kind; please report this"
    if kind == "float" and isinstance(value, float) and math.isinf(value):
        pass  # `inf`: no other number is infinite
    elif kind == "float" and not isinstance(value, Polynomial):
        if (wrong := beyond_float(value)) is not None:
            raise OperandError("bad-number", wrong)
        value = float(value)
    elif kind == "int" and isinstance(value, (float, bool)):
        raise OperandError("wrong-kind", f"an integer is needed here, not {describe(value)}")
    return Tensor(leaf(Const(value, kind), frame.origin(span)))


def elementwise(frame: BodyFrame, op: Op, operands: list[Tensor], span: Span) -> Tensor:
    """Return the node of an elementwise op; scalars are broadcast to the largest operand."""
    largest = max(operands, key=lambda each: each.type.rank)
    shape = largest.shape
    for each in operands:
        if each.shape not in ((), shape):
            _check_decided(getattr(op, "symbol", "") or op.name.lower(), operands)
    spread = []
    for each in operands:
        if each.shape == () and shape != ():
            wide = frame.apply(Broadcast(shape), each, span=span)
            each = replace(wide, provenance=None)
        spread.append(each)
    result = frame.apply(op, *spread, span=span)
    return replace(result, provenance=flowing(operands))


def _check_decided(name: str, operands: list[Tensor]) -> None:
    """Refuse operands whose shapes are equal only for some values of symbolic sizes."""
    first, *rest = [each.shape for each in operands if each.shape]
    for other in rest:
        for axis, (left, right) in enumerate(zip(first, other, strict=False)):
            if len(first) == len(other) and sizes.same(left, right) is None:
                raise OperandError(
                    "undecided-size",
                    f"`{name}` needs equal shapes, but cannot prove that axis {axis} is the same:"
                    f" {left} on the left and {right} on the right",
                    open_sizes=sizes.open_names(left - right),
                )


def unary(frame: BodyFrame, op: ops.Elementwise, name: str, x: Value, span: Span) -> Value:
    """Return a function of one number: computed if the number is known, else an op."""
    if is_static(x) and not isinstance(x, Polynomial):
        try:
            return op.of_numbers(x)
        except OverflowError:
            raise OperandError("bad-number", f"{name}({x}) is too large", argument=0) from None
        except (ValueError, ZeroDivisionError):
            raise OperandError("bad-number", f"{name}({x}) is not a number", argument=0) from None
    if not isinstance(x, Tensor) and not is_static(x):
        raise OperandError(
            "wrong-kind", f"`{name}` works on numbers, not on {describe(x)}", argument=0
        )
    return arithmetic(frame, op, name, (x,), span)


def pairwise(
    frame: BodyFrame, op: Op, function: Callable, name: str, a: Value, b: Value, span: Span
) -> Value:
    """Return the larger or the smaller of two numbers."""
    if is_static(a) and is_static(b):
        if isinstance(a, (float, bool)) and isinstance(b, Polynomial):
            a = int(a) if a == math.floor(a) else a
        try:
            return function(a, b)
        except Undecided as error:
            raise undecided(error.size) from None
        except TypeError:
            pass
    for position, each in enumerate((a, b)):
        if not isinstance(each, Tensor) and not is_static(each):
            raise OperandError(
                "wrong-kind",
                f"`{name}` works on numbers, not on {describe(each)}",
                argument=position,
            )
    return arithmetic(frame, op, name, (a, b), span)


def spread(frame: BodyFrame, value: Tensor, shape: sizes.Shape, span: Span) -> Tensor:
    """Broadcast a scalar to `shape`; return a tensor of that shape unchanged.

    Raises OperandError for any other shape.
    """
    if value.shape == shape:
        return value
    if value.shape == ():
        return replace(frame.apply(Broadcast(shape), value, span=span), provenance=value.provenance)
    if value.type.rank == len(shape) and all(map(sizes.same, value.shape, shape)):
        return value
    raise OperandError(
        "shape-mismatch", f"{sizes.show(shape)} is needed, not {sizes.show(value.shape)}"
    )
