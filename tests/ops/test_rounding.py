"""Rounding to bfloat16: to nearest, ties to even, the same for numbers, arrays and kernels."""

from __future__ import annotations

import numpy as np
import pytest
from sequences import interpreted, load
from test_ops import compiled_value, nodes

import specc
from specc import pipeline
from specc.ir.graph import Graph, apply
from specc.ir.types import Type
from specc.ops.rounding import Bfloat16

LARGEST = 2.0**128 - 2.0**120
LEAST = 2.0**-126
# a number, and the nearest one with 8 significant bits
KNOWN = [
    (1.0, 1.0), (1 + 2**-8, 1.0), (1 + 3 * 2**-8, 1 + 2**-6), (1 + 2**-8 + 2**-20, 1 + 2**-7),
    (-1 - 2**-8, -1.0), (2 - 2**-8, 2.0), (3.1415927, 3.140625), (0.1, 0.10009765625),
    (LARGEST, LARGEST), (2.0**128 - 2.0**119 - 2.0**104, LARGEST),
    (2.0**128 - 2.0**119, np.inf), (-3.4e38, -np.inf), (np.inf, np.inf), (-np.inf, -np.inf),
    (LEAST, LEAST), (-LEAST, -LEAST), (LEAST * (1 - 2**-20), 0.0), (1e-40, 0.0), (0.0, 0.0),
    (np.nan, np.nan),
]  # fmt: skip


def compiled(x: np.ndarray) -> np.ndarray:
    types = (Type("float", (), True),)
    graph = Graph({"output.y": apply(Bfloat16(), *nodes(types))})
    return compiled_value(graph, [x], types, len(x), x.dtype.name, 1)["output.y"]


def test_known_numbers_are_rounded_right_in_numbers_arrays_and_kernels():
    given, wanted = (np.array(each) for each in zip(*KNOWN, strict=True))
    found = np.array([Bfloat16().of_numbers(float(each)) for each in given])
    np.testing.assert_array_equal(found, wanted)
    for dtype in ("float32", "float64"):
        x = given.astype(dtype)
        assert Bfloat16().reference((), x).dtype == dtype
        np.testing.assert_array_equal(Bfloat16().reference((), x), wanted)
        np.testing.assert_array_equal(compiled(x), wanted)


def test_a_negative_number_that_is_too_small_becomes_a_negative_zero():
    assert np.signbit(Bfloat16().of_numbers(-1e-40))
    assert np.signbit(Bfloat16().reference((), np.array([-1e-40])))[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_number_with_8_significant_bits_is_nearer(dtype):
    rng = np.random.default_rng(0)
    x = (rng.standard_normal(20_000) * 10.0 ** rng.uniform(-30, 30, 20_000)).astype(dtype)
    found = compiled(x).astype(np.float64)
    np.testing.assert_array_equal(found, Bfloat16().reference((), x))
    bits = found.astype(np.float32).view(np.uint32)
    assert not (bits & 0xFFFF).any()
    for neighbour in (bits - 0x10000, bits + 0x10000):
        other = neighbour.view(np.float32).astype(np.float64)
        near, far = np.abs(x - found), np.abs(x - other)
        assert (near <= far).all()
        assert not (bits[near == far] >> 16 & 1).any()  # ties went to the even one


def test_rounding_twice_is_rounding_once():
    x = np.random.default_rng(1).standard_normal(1000)
    once = Bfloat16().reference((), x)
    np.testing.assert_array_equal(Bfloat16().reference((), once), once)


def test_an_output_that_no_example_goes_into_is_rounded_as_all_others():
    text = """
model m {
  input x: float[1]
  param a: float[2, 3] = normal
  param b: float[3, 7] = normal
  output product = a @ b
  output y = x
  loss   sum(x * x) + 0 * sum(a)
}
train { optimizer sgd(lr = 0.1) precision = bfloat16 }
"""
    program = load(text)
    net = specc.compile(program, batch=2, threads=1)
    graph = pipeline.forward(program, training=False)
    data = {"x": np.ones((2, 1), np.float32)}
    wanted = interpreted(program, net, data, graph)["output.product"]
    for rows in (1, 2):
        found = net.forward(x=data["x"][:rows])["product"]
        np.testing.assert_allclose(found, np.broadcast_to(wanted, (rows, 2, 7)), rtol=1e-6)
