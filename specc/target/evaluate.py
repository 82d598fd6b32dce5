"""The value of an expression: for plain numbers, or element by element for NumPy arrays.

    x = Name("x")
    of_numbers(choose(x > 0.0, x, 0.0), {"x": -2.0})        # 0.0
    of_arrays(call("exp", -x), {"x": np.arange(3.0)})       # exp(-x)

Both know the functions of one number or two that a kernel may call. Numbers follow Python, which
raises an error instead of giving NaN; arrays follow NumPy, in the precision of the arrays.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from specc.target.expressions import (
    Binary,
    Boolean,
    Call,
    Choose,
    Compare,
    Convert,
    Expression,
    Integer,
    Logical,
    Name,
    Real,
    Unary,
)
from specc.target.sharing import counted

_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
    "//": operator.floordiv, "%": operator.mod, "**": operator.pow,
}  # fmt: skip
_COMPARISONS: dict[str, Callable[..., Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq,
    "!=": operator.ne,
}  # fmt: skip
_NAMED_ALIKE = (
    "exp", "expm1", "log", "log1p", "sqrt", "tanh", "floor", "sin", "cos",
)  # fmt: skip


_NOT_YET = object()


@dataclass(frozen=True)
class _Kit:
    """The operators and functions for one kind of arrays."""

    functions: Mapping[str, Callable[..., Any]]
    conversions: Mapping[str, Callable[..., Any]]
    logical: Mapping[str, Callable[..., Any]]
    choose: Callable[..., Any]


def of_numbers(tree: Expression, names: Mapping[str, float]) -> Any:
    """Return the value of a tree for numbers.

    Raises `ArithmeticError` or `ValueError` if it has none.
    """
    return function(tree, tuple(names))(tuple(names.values()))


def function(tree: Expression, names: tuple[str, ...]) -> Callable[[tuple[float, ...]], Any]:
    """Return a tree as a function of the numbers that the names stand for, to be called often."""
    uses = counted(tree)
    built: dict[int, Callable[[list[Any]], Any]] = {}
    slots = len(names)

    def of(part: Expression) -> Callable[[list[Any]], Any]:
        nonlocal slots
        if id(part) not in built:
            act = _step(part, names, of)
            if uses[id(part)] > 1 and not isinstance(part, (Name, Real, Integer, Boolean)):
                act = _kept(act, slots)
                slots += 1
            built[id(part)] = act
        return built[id(part)]

    act = of(tree)
    blank = [_NOT_YET] * (slots - len(names))
    return lambda numbers: act([*numbers, *blank])


def _kept(act: Callable[[list[Any]], Any], slot: int) -> Callable[[list[Any]], Any]:
    """Return a step that computes its value once, and keeps it in a slot."""

    def once(values: list[Any]) -> Any:
        if values[slot] is _NOT_YET:
            values[slot] = act(values)
        return values[slot]

    return once


def _step(
    tree: Expression,
    names: tuple[str, ...],
    of: Callable[[Expression], Callable[[list[Any]], Any]],
) -> Callable[[list[Any]], Any]:
    """Return a step that computes a tree from the values of names and of kept parts."""
    match tree:
        case Name(name):
            return operator.itemgetter(names.index(name))
        case Real(value) | Integer(value) | Boolean(value):
            return lambda values: value
        case Unary(sign, operand):
            act, x = operator.neg if sign == "-" else operator.not_, of(operand)
            return lambda values: act(x(values))
        case Binary(sign, left, right):
            arithmetic, x, y = _ARITHMETIC[sign], of(left), of(right)
            return lambda values: arithmetic(x(values), y(values))
        case Compare(sign, left, right):
            compare, x, y = _COMPARISONS[sign], of(left), of(right)
            return lambda values: compare(x(values), y(values))
        case Logical("and", left, right):
            x, y = of(left), of(right)
            return lambda values: x(values) and y(values)
        case Logical(_, left, right):
            x, y = of(left), of(right)
            return lambda values: x(values) or y(values)
        case Choose(condition, yes, no):
            test, x, y = of(condition), of(yes), of(no)
            return lambda values: x(values) if test(values) else y(values)
        case Convert(to, operand):
            convert, x = _CONVERSIONS[to], of(operand)
            return lambda values: convert(x(values))
        case Call(name, arguments):
            call, parts = _FUNCTIONS[name], tuple(map(of, arguments))
            return lambda values: call(*(part(values) for part in parts))
    raise AssertionError(f"{tree!r} has no value outside of a kernel")


def of_arrays(tree: Expression, names: Mapping[str, Any]) -> Any:
    """Return the value of a tree for NumPy arrays, with NaN and infinities where it has none."""
    import numpy as np

    with np.errstate(all="ignore"):
        return _value(tree, names, _arrays(), {})


def _value(tree: Expression, names: Mapping[str, Any], kit: _Kit, known: dict[int, Any]) -> Any:
    """Return the value of a tree; `known` maps the identities of computed parts to their values."""

    def of(part: Expression) -> Any:
        if id(part) not in known:
            known[id(part)] = _value(part, names, kit, known)
        return known[id(part)]

    match tree:
        case Name(name):
            return names[name]
        case Real(value) | Integer(value) | Boolean(value):
            return value
        case Unary("-", operand):
            return -of(operand)
        case Unary(_, operand):
            return kit.logical["not"](of(operand))
        case Binary(sign, left, right):
            return _ARITHMETIC[sign](of(left), of(right))
        case Compare(sign, left, right):
            return _COMPARISONS[sign](of(left), of(right))
        case Logical(sign, left, right):
            return kit.logical[sign](of(left), of(right))
        case Choose(condition, yes, no):
            return kit.choose(of(condition), of(yes), of(no))
        case Convert(to, operand):
            return kit.conversions[to](of(operand))
        case Call(name, arguments):
            return kit.functions[name](*map(of, arguments))
    raise AssertionError(f"{tree!r} has no value outside of a kernel")


LEAST_BFLOAT16 = 2.0**-126  # the least normal number of bfloat16
_BFLOAT16_SHIFT = 45  # bits of a float64's mantissa that bfloat16 has not


def _bfloat16(x: float) -> float:
    """Return the number rounded to 8 significant bits; see `specc.ops.rounding`."""
    if not math.isfinite(x) or abs(x) < LEAST_BFLOAT16:
        return x if not math.isfinite(x) else math.copysign(0.0, x)
    mantissa, exponent = math.frexp(x)
    rounded = math.ldexp(round(math.ldexp(mantissa, 8)), exponent - 8)
    return rounded if abs(rounded) < 2.0**128 else math.copysign(math.inf, x)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(math, name) for name in _NAMED_ALIKE},
    "erf": math.erf, "erfc": math.erfc, "sigmoid": _sigmoid, "abs": abs,
    "bfloat16": _bfloat16, "floordiv": operator.floordiv, "mod": operator.mod,
}  # fmt: skip
_CONVERSIONS: dict[str, Callable[..., Any]] = {"real": float, "int": int}


@cache
def _arrays() -> _Kit:
    import numpy as np

    def sigmoid(x: np.ndarray) -> np.ndarray:
        small = np.exp(-np.abs(x))
        return np.where(np.signbit(x), small, 1.0) / (1.0 + small)

    def bfloat16(x: np.ndarray) -> np.ndarray:
        given = np.asarray(x)
        wide = given.astype(np.float64)
        bits = wide.view(np.int64)
        half = (1 << (_BFLOAT16_SHIFT - 1)) - 1
        kept = bits + half + ((bits >> _BFLOAT16_SHIFT) & 1)
        rounded = (kept & -(1 << _BFLOAT16_SHIFT)).view(np.float64)
        rounded = np.where(np.abs(rounded) < 2.0**128, rounded, np.copysign(np.inf, wide))
        rounded = np.where(np.abs(wide) < LEAST_BFLOAT16, np.copysign(0.0, wide), rounded)
        return np.where(np.isfinite(wide), rounded, wide).astype(given.dtype)

    return _Kit(
        functions={
            **{name: getattr(np, name) for name in _NAMED_ALIKE},
            "erf": np.vectorize(math.erf, otypes=[float]),
            "erfc": np.vectorize(math.erfc, otypes=[float]),
            "sigmoid": sigmoid,
            "abs": np.abs,
            "bfloat16": bfloat16,
            "floordiv": np.floor_divide,
            "mod": np.mod,
        },
        conversions={
            "real": lambda x: np.asarray(x).astype(float),
            "int": lambda x: np.asarray(x).astype(np.int64),
        },
        logical={"and": np.logical_and, "or": np.logical_or, "not": np.logical_not},
        choose=np.where,
    )
