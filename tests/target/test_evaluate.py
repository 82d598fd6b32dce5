"""The value of an expression: for numbers as Python computes it, for arrays as NumPy does."""

from __future__ import annotations

import math

import numpy as np
import pytest

from specc.target.evaluate import of_arrays, of_numbers
from specc.target.expressions import (
    Convert,
    Name,
    both,
    call,
    choose,
    differs,
    either,
    equal,
    negation,
)

x, y = map(Name, "xy")
TREES = [
    x + y * 2.0 - x / y, -(x**2.0), x // y, x % y, call("mod", x, y), call("floordiv", x, y),
    choose(x > y, x, y), choose(either(x < 0.0, differs(x, x)), 0.0, x),
    choose(both(x >= 0.0, negation(equal(x, y))), 1.0, -1.0), Convert("real", x <= y),
    Convert("int", call("floor", x)),
    *(call(name, x) for name in ("exp", "expm1", "tanh", "sigmoid", "erf", "erfc", "bfloat16")),
    *(call(name, x) for name in ("abs", "sin", "cos")),
    *(call(name, call("abs", x) + 0.5) for name in ("log", "log1p", "sqrt")),
]  # fmt: skip


@pytest.mark.parametrize("tree", TREES, ids=repr)
def test_numbers_and_arrays_have_one_value(tree):
    at = [(0.5, 2.0), (-1.5, 0.25), (3.0, 3.0), (-20.0, 0.7)]
    numbers = [of_numbers(tree, {"x": a, "y": b}) for a, b in at]
    columns = {name: np.array(each) for name, each in zip("xy", zip(*at, strict=True), strict=True)}
    np.testing.assert_allclose(of_arrays(tree, columns), numbers, rtol=1e-14)


def test_numbers_raise_where_arrays_have_no_number():
    with pytest.raises(ZeroDivisionError):
        of_numbers(x / y, {"x": 1.0, "y": 0.0})
    assert of_numbers(choose(equal(y, 0.0), 0.0, x / y), {"x": 1.0, "y": 0.0}) == 0.0
    assert math.isinf(of_arrays(x / y, {"x": np.array(1.0), "y": np.array(0.0)}))


def test_a_part_that_is_used_twice_is_computed_once():
    tree = x
    for _ in range(60):  # 2^60 parts, if each were computed by itself
        tree = tree + tree
    assert of_numbers(tree, {"x": 1.0}) == 2.0**60
