"""Every elementwise op on NaN, infinities, 0 and the largest numbers: compiled as in NumPy."""

from __future__ import annotations

import inspect
import math
from itertools import product

import numpy as np
import pytest
from test_ops import compiled_value, nodes

import specc
import specc.ops
from specc import driver
from specc.ir.graph import Graph, apply
from specc.ir.op import REGISTRY
from specc.ir.types import Type
from specc.ops import elementwise as e
from specc.source import Source

OPERANDS = {
    "Select": ("bool", "float", "float"),
    "And": ("bool", "bool"),
    "Or": ("bool", "bool"),
    "Not": ("bool",),
}  # fmt: skip
WITHOUT = {"ToInt", "ToFloat"}  # an integer is given for numbers that are classes alone
OPS = [
    op for op in REGISTRY.values() if issubclass(op, e.Elementwise) and op.__name__ not in WITHOUT
]


def operands(op) -> tuple[str, ...]:
    count = len(inspect.signature(op.formula).parameters) - 1
    return OPERANDS.get(op.__name__) or ("float",) * count


def special(dtype: str) -> list[float]:
    info = np.finfo(dtype)
    tiny, largest = float(info.tiny), float(info.max)
    positive = [tiny, 1e-3, 0.5, 1.0, 2.0, 3.7, 17.0, 89.0, 1e4, largest, np.inf]
    return [np.nan, 0.0, *positive, *(-each for each in positive)]  # an input of -0 comes in as 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", OPS, ids=lambda op: op.__name__)
def test_special_values_are_those_of_numpy(op, dtype):
    kinds = operands(op)
    choices = [[False, True] if kind == "bool" else special(dtype) for kind in kinds]
    columns = [np.array(each) for each in zip(*product(*choices), strict=True)]
    types = tuple(Type(kind, (), True) for kind in kinds)
    examples = len(columns[0])
    arrays = [each.astype(dtype) if each.dtype.kind == "f" else each for each in columns]
    made = apply(op(), *nodes(types))
    found = compiled_value(Graph({"output.y": made}), arrays, types, examples, dtype, 1)["output.y"]
    with np.errstate(all="ignore"):
        wanted = np.asarray(op().reference(types, *arrays))
    if wanted.dtype.kind == "f":
        wanted = wanted.astype(dtype)
        tiny = np.finfo(dtype).tiny  # runs take smaller numbers as 0
        wanted = np.where(np.abs(wanted) < tiny, 0, wanted)
        found = np.where(np.abs(found) < tiny, 0, found)
    near = {"rtol": 1e-5 if dtype == "float32" else 1e-13, "atol": 2 * np.finfo(dtype).tiny}
    np.testing.assert_allclose(found.astype(float), wanted.astype(float), **near)


def gradient_of(formula: str, **given) -> dict[str, float]:
    """The compiled gradients of a formula for its parameters."""
    lines = " ".join(f"param {name}: float[] = zeros" for name in given)
    text = f"model m {{ input one: float[] {lines} loss one * ({formula}) }}"
    net = specc.compile(driver.load(Source("x.dl", text)), batch=1, dtype="float64", threads=1)
    for name, value in given.items():
        net.params[name][...] = value
    _, found = net.loss_and_gradients(one=np.ones(1))
    return {name: float(found[name]) for name in given}


@pytest.mark.parametrize(
    ("formula", "given", "wanted"),
    [
        ("a ^ b", {"a": -3.0, "b": 2.0}, {"a": -6.0, "b": 0.0}),
        ("a ^ b", {"a": 0.0, "b": 0.0}, {"a": 0.0, "b": 0.0}),
        ("a ^ 0", {"a": 0.0}, {"a": 0.0}),
        ("a ^ 0.5", {"a": 0.0}, {"a": np.inf}),
        ("a ^ 0.5", {"a": np.inf}, {"a": 0.0}),
        ("max(a, b)", {"a": 2.0, "b": 2.0}, {"a": 0.0, "b": 1.0}),
        ("min(a, b)", {"a": 2.0, "b": 2.0}, {"a": 0.0, "b": 1.0}),
        ("max(a, 2)", {"a": 2.0}, {"a": 0.0}),
        ("softplus(a)", {"a": 0.0}, {"a": 0.5}),
        ("elu(a)", {"a": 0.0}, {"a": 1.0}),
        ("a % b", {"a": 7.5, "b": 2.0}, {"a": 1.0, "b": -3.0}),
        ("a % b", {"a": -7.5, "b": 2.0}, {"a": 1.0, "b": 4.0}),
        ("a % b", {"a": 1e300, "b": 3.0}, {"a": 1.0, "b": -(1e300 // 3.0)}),
        ("a // b", {"a": 7.5, "b": 2.0}, {"a": 0.0, "b": 0.0}),
    ],
)
def test_gradients_at_edges(formula, given, wanted):
    assert gradient_of(formula, **given) == wanted


def test_equal_largest_elements_share_the_gradient():
    text = "model m { input one: float[] param a: float[4] = zeros loss one * max(a) }"
    net = specc.compile(driver.load(Source("x.dl", text)), batch=1, dtype="float64", threads=1)
    net.params["a"][...] = [3, 1, 3, 2]
    _, found = net.loss_and_gradients(one=np.ones(1))
    np.testing.assert_array_equal(found["a"], [0.5, 0, 0.5, 0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("formula", "x", "wanted"),
    [
        ("(x + 1) - x", [np.nan, np.inf, -np.inf, 2], [np.nan, np.nan, np.nan, 1]),
        ("x - x", [np.nan, np.inf, 3], [np.nan, np.nan, 0]),
        ("x * 0", [np.nan, np.inf, 3], [np.nan, np.nan, 0]),
        ("x / x", [np.nan, np.inf, 0, 3], [np.nan, np.nan, np.nan, 1]),
        ("1 / sqrt(x)", [0, np.inf, 4, -1, np.nan], [np.inf, 0, 0.5, np.nan, np.nan]),
        ("x ^ -0.5", [0, np.inf, 4, -1, np.nan], [np.inf, 0, 0.5, np.nan, np.nan]),
        ("min(x, 1)", [np.nan, np.inf, -np.inf], [np.nan, 1, -np.inf]),
        ("max(1, x)", [np.nan, np.inf, -np.inf], [np.nan, np.inf, 1]),
        ("sign(x)", [np.nan, np.inf, -np.inf, 0], [np.nan, 1, -1, 0]),
    ],
)
def test_formulas_of_special_values(formula, x, wanted, dtype):
    x = np.resize(x, 40).astype(dtype)
    text = f"model m {{ input x: float[] output y = {formula} }}"
    net = specc.compile(driver.load(Source("x.dl", text)), batch=40, dtype=dtype, threads=1)
    np.testing.assert_array_equal(net.forward(x=x)["y"], np.resize(wanted, 40).astype(dtype))


def quotients(dtype: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and divisors of all sizes and signs: many quotients are huge, some are whole."""
    rng = np.random.default_rng(0)
    info = np.finfo(dtype)
    exponents = rng.integers(
        info.minexp + info.nmant + 1, info.maxexp, (2, count)
    )  # no denormal remainders
    a, b = rng.uniform(1, 2, (2, count)) * 2.0**exponents
    a[::4], b[::4] = rng.uniform(0, 1000, (2, len(a[::4])))
    a[1::4] = rng.integers(0, 1000, len(a[1::4]))
    b[1::4] = rng.integers(1, 100, len(b[1::4]))
    b[2::8] = 0.1
    signs = rng.choice([-1, 1], (2, count))
    return (signs[0] * a).astype(dtype), (signs[1] * b).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_quotients_and_remainders_are_those_of_python(dtype):
    a, b = quotients(dtype, 5000)
    text = "model m { input a: float[] input b: float[] output r = a % b output q = a // b }"
    net = specc.compile(driver.load(Source("x.dl", text)), batch=len(a), dtype=dtype, threads=1)
    found = net.forward(a=a, b=b)
    exact = [math.fmod(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    with np.errstate(all="ignore"):
        wanted = [
            x + np.asarray(y if x and (x < 0) != (y < 0) else 0, dtype)
            for x, y in zip(np.array(exact, dtype), b, strict=True)
        ]
        quotient = np.floor_divide(a, b)
    np.testing.assert_array_equal(found["r"], wanted)
    np.testing.assert_array_equal(found["q"], quotient)
    assert (np.abs(found["r"]) <= np.abs(b)).all()
    assert (np.signbit(found["r"]) == np.signbit(b)).all()


def test_the_zero_of_a_remainder_has_the_sign_of_the_divisor():
    text = "model m { input a: float[] input b: float[] output y = 1 / (a % b) }"
    net = specc.compile(driver.load(Source("x.dl", text)), batch=40, dtype="float32", threads=1)
    a, b = np.resize([6, -6, 6, -6, 0], 40), np.resize([3, 3, -3, -3, -3], 40)
    np.testing.assert_array_equal(net.forward(a=a, b=b)["y"], np.where(b > 0, np.inf, -np.inf))
