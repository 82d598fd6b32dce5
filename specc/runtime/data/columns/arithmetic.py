"""The operators and functions of a column's formula, elementwise on numbers.

    binary("+", a, b)       # NaN, a missing value, stays missing

A value without axes combines with a vector; other shapes must be equal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from specc.runtime.data.columns.steps import StepError
from specc.runtime.data.columns.values import Value

_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "//": np.floor_divide,
    "%": np.mod, "^": np.power,
}  # fmt: skip
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater,
    ">=": np.greater_equal,
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "log": np.log, "exp": np.exp, "sqrt": np.sqrt, "abs": np.abs, "sin": np.sin, "cos": np.cos,
    "floor": np.floor, "round": np.round,
}  # fmt: skip
FUNCTIONS = tuple(_FUNCTIONS)


def function(word: str, x: Value) -> Value:
    """Return an elementwise function such as `log(x)`. Raises `StepError` if it is undefined."""
    values = x.numbers()
    with np.errstate(all="ignore"):
        return _finite(f"{word}(..)", _FUNCTIONS[word](values), x, values)


def binary(sign: str, a: Value, b: Value) -> Value:
    """Return the value of a binary operator."""
    if sign in ("and", "or"):
        return _logic(sign, a, b)
    if "words" in (a.kind, b.kind):
        return _equal_words(sign, a, b)
    left, right = _fitted(a.numbers(), b.numbers(), sign)
    origins = tuple(dict.fromkeys((*a.origins, *b.origins)))
    if sign in _COMPARISONS:
        gaps = np.isnan(left + right)
        gaps = gaps.reshape(len(gaps), -1).any(axis=1)
        found = _COMPARISONS[sign](left, right)
        return Value("truth", found, None, gaps if gaps.any() else None, origins=origins)
    with np.errstate(all="ignore"):
        result = _ARITHMETIC[sign](left, right)
    return _finite(f"`{sign}`", result, Value("numbers", left, origins=origins), left, right)


def negated(x: Value) -> Value:
    """Return -x."""
    return Value("numbers", -x.numbers(), origins=x.origins)


def inverted(x: Value) -> Value:
    """Return `not x`."""
    return Value("truth", ~_boolean(x), None, x.missing, origins=x.origins)


def choice(condition: Value, a: Value, b: Value) -> Value:
    """Return `if condition then a else b`."""
    test = _boolean(condition)
    left, right = _fitted(a.numbers(), b.numbers(), "if")
    test = test.reshape(-1, *[1] * (left.ndim - 1)) if test.ndim < left.ndim else test
    found = np.where(test, left, right)
    found[condition.gaps()] = np.nan
    origins = tuple(dict.fromkeys((*condition.origins, *a.origins, *b.origins)))
    return Value("numbers", found, origins=origins)


def _boolean(x: Value) -> np.ndarray:
    if x.kind != "truth":
        raise StepError(f"a condition is needed here, not {x.kind}", help="such as `age > 30`")
    return x.array


def _logic(sign: str, a: Value, b: Value) -> Value:
    left, right = _boolean(a), _boolean(b)
    found = left & right if sign == "and" else left | right
    gaps = a.gaps() | b.gaps()
    return Value("truth", found, None, gaps if gaps.any() else None,
                 origins=tuple(dict.fromkeys((*a.origins, *b.origins))))  # fmt: skip


def _equal_words(sign: str, a: Value, b: Value) -> Value:
    """Compare words with `==` or `!=`."""
    if sign not in ("==", "!="):
        raise StepError(
            f"`{sign}` takes numbers, but one side holds words",
            help="`class`, `onehot`, `hash`, `truth` or `days` turn words into numbers",
        )
    a, b = a.as_words(), b.as_words()
    assert a.words is not None and b.words is not None, "words have words; please report this"
    places = {word: place for place, word in enumerate(b.words.tolist())}
    same = np.array([places.get(word, -1) for word in a.words.tolist()], np.int64)[a.array]
    found = same == b.array
    gaps = a.gaps() | b.gaps()
    return Value("truth", found if sign == "==" else ~found, None, gaps if gaps.any() else None,
                 origins=tuple(dict.fromkeys((*a.origins, *b.origins))))  # fmt: skip


def _fitted(left: np.ndarray, right: np.ndarray, sign: str) -> tuple[np.ndarray, np.ndarray]:
    """Return both operands with broadcastable shapes. Raises `StepError` if they do not fit."""
    if left.shape[1:] != right.shape[1:]:
        if left.ndim == 1:
            left = left.reshape(-1, *[1] * (right.ndim - 1))
        elif right.ndim == 1:
            right = right.reshape(-1, *[1] * (left.ndim - 1))
        else:
            shapes = [list(each.shape[1:]) for each in (left, right)]
            raise StepError(f"`{sign}` needs equal shapes, not {shapes[0]} and {shapes[1]}")
    return left, right


def _finite(what: str, found: np.ndarray, x: Value, *inputs: np.ndarray) -> Value:
    """Return a result. Raises `StepError` if it is not finite although its inputs are."""
    is_known = np.ones(found.shape, bool)
    for each in inputs:
        is_known &= np.isfinite(each)
    wrong = ~np.isfinite(found) & is_known
    if wrong.any():
        row = int(np.argmax(wrong.reshape(len(wrong), -1).any(axis=1)))
        element = int(np.argmax(np.broadcast_to(wrong, found.shape)[row].reshape(-1)))
        given = [np.broadcast_to(each, found.shape)[row].reshape(-1)[element] for each in inputs]
        said = " and ".join(f"{each:g}" for each in given)
        value = found[row].reshape(-1)[element]
        shown = "undefined" if np.isnan(value) else "infinite"
        raise StepError(f"{what} of {said} is {shown}", row, value=x, element=element)
    return Value("numbers", found, origins=x.origins)
