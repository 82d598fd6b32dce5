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
    Call,
    Choose,
    Compare,
    Convert,
    Expression,
    Integer,
    Logical,
    Name,
    Real,
    Truth,
    Unary,
)

_ARITHMETIC: dict[str, Callable] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
    "//": operator.floordiv, "%": operator.mod, "**": operator.pow,
}  # fmt: skip
_COMPARISONS: dict[str, Callable] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq,
    "!=": operator.ne,
}  # fmt: skip
_NAMED_ALIKE = (
    "exp", "expm1", "log", "log1p", "sqrt", "tanh", "floor", "sin", "cos",
)  # fmt: skip


@dataclass(frozen=True)
class _Kit:
    """What the operators and functions are for one kind of values."""

    functions: Mapping[str, Callable]
    conversions: Mapping[str, Callable]
    logical: Mapping[str, Callable]
    choose: Callable | None  # None: only the branch that is chosen is computed


def of_numbers(tree: Expression, names: Mapping[str, float]) -> Any:
    """Return the value of a tree for numbers.

    Raises `ArithmeticError` or `ValueError` if it has none.
    """
    return _value(tree, names, _NUMBERS, {})


def of_arrays(tree: Expression, names: Mapping[str, Any]) -> Any:
    """Return the value of a tree for NumPy arrays, with NaN and infinities where it has none."""
    import numpy as np

    with np.errstate(all="ignore"):
        return _value(tree, names, _arrays(), {})


def _value(tree: Expression, names: Mapping[str, Any], kit: _Kit, known: dict[int, Any]) -> Any:
    """The value of a tree; `known` has those of the parts that were computed, by their identity."""

    def of(part: Expression) -> Any:
        if id(part) not in known:
            known[id(part)] = _value(part, names, kit, known)
        return known[id(part)]

    match tree:
        case Name(name):
            return names[name]
        case Real(value) | Integer(value) | Truth(value):
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
        case Choose(condition, yes, no) if kit.choose is None:
            return of(yes) if of(condition) else of(no)
        case Choose(condition, yes, no):
            return kit.choose(of(condition), of(yes), of(no))
        case Convert(to, operand):
            return kit.conversions[to](of(operand))
        case Call(function, arguments):
            return kit.functions[function](*map(of, arguments))
    raise AssertionError(f"{tree!r} has no value outside of a kernel")


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


_NUMBERS = _Kit(
    functions={
        **{name: getattr(math, name) for name in _NAMED_ALIKE},
        "erf": math.erf, "erfc": math.erfc, "sigmoid": _sigmoid, "abs": abs,
        "floordiv": operator.floordiv, "mod": operator.mod,
    },
    conversions={"real": float, "int": int},
    logical={
        "and": lambda a, b: a and b,
        "or": lambda a, b: a or b,
        "not": operator.not_,
    },
    choose=None,
)  # fmt: skip


@cache
def _arrays() -> _Kit:
    import numpy as np

    def sigmoid(x):
        small = np.exp(-np.abs(x))
        return np.where(np.signbit(x), small, 1.0) / (1.0 + small)

    return _Kit(
        functions={
            **{name: getattr(np, name) for name in _NAMED_ALIKE},
            "erf": np.vectorize(math.erf, otypes=[float]),
            "erfc": np.vectorize(math.erfc, otypes=[float]),
            "sigmoid": sigmoid,
            "abs": np.abs,
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
