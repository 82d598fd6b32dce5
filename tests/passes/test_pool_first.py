"""Maxima of windows come before a bias and a relu, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

import specc
from specc import driver
from specc.ops.elementwise import Add, Maximum
from specc.ops.window import WindowMax
from specc.pipeline import Job, Kind, run
from specc.source import Source

MODEL = """
model pooled {{
  input x: float[3, 10, 8]
  param b: float[3] = normal
  param s: float = 0.3
  let y = {formula}
  output y
  loss sum(y * y)
}}
train {{ optimizer sgd(lr = 0.1) }}
"""
POOLED = [
    ("relu(x + spread(b, x)) -> maxpool(2)", lambda x, b: _relu(x + b), 2, 2),
    ("max(s, x + spread(b, x)) -> maxpool(4, stride=2)", lambda x, b: np.maximum(x + b, _S), 4, 2),
    (
        "(spread(b, x) + (s + relu(x))) -> maxpool(2, stride=1)",
        lambda x, b: b + (_S + _relu(x)),
        2,
        1,
    ),
]
APART = [
    "relu(x) * spread(b, x) -> maxpool(2)",  # b may be negative
    "concat(relu(x + spread(b, x)) -> maxpool(2), relu(x + spread(b, x))[:, ::2, ::2])",
    "max(x, x * s) -> maxpool(2)",
]
_S = np.float32(0.3)


def _relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, np.float32(0))


def program(formula: str):
    return driver.load(Source("x.dl", MODEL.format(formula=formula)))


def sizes_of(formula: str, op: type) -> set[tuple[int, ...]]:
    """The shapes of what an op reads in the forward graph."""
    graph = run(Job(program(formula), Kind.PREDICT), through="simplify").graph
    return {each.inputs[0].type.shape for each in graph.nodes if isinstance(each.op, op)}


def windows(x: np.ndarray, size: int, stride: int) -> np.ndarray:
    view = np.lib.stride_tricks.sliding_window_view(x, (size, size), (-2, -1))
    return view[..., ::stride, ::stride, :, :]


@pytest.mark.parametrize("case", POOLED, ids=lambda each: each[0])
def test_fewer_numbers_are_added_and_compared(case):
    formula, _, _, _ = case
    assert sizes_of(formula, WindowMax) == {(3, 10, 8)}
    assert (3, 10, 8) not in sizes_of(formula, Add) | sizes_of(formula, Maximum)


@pytest.mark.parametrize("formula", APART)
def test_what_does_not_keep_the_order_or_is_read_elsewhere_stays_before(formula):
    assert (3, 10, 8) in sizes_of(formula, Maximum)


@pytest.mark.parametrize("batch", [1, 3, 40])
@pytest.mark.parametrize("case", POOLED, ids=lambda each: each[0])
def test_the_result_has_the_same_bits(case, batch):
    formula, wanted, size, stride = case
    net = specc.compile(program(formula), batch=batch, dtype="float32", threads=1, seed=3)
    x = np.random.default_rng(batch).normal(size=(batch, 3, 10, 8)).astype(np.float32)
    x[0, 1, 2, 3], x[-1, 0, 0, 0], x[-1, 0, 0, 1] = np.nan, -np.inf, np.inf
    b = net.params["b"].astype(np.float32)[:, None, None]
    expected = windows(wanted(x, b), size, stride).max((-2, -1))
    np.testing.assert_array_equal(net.forward(x=x)["y"], expected)


@pytest.mark.parametrize("case", POOLED, ids=lambda each: each[0])
def test_the_gradient_is_that_of_finite_differences(case):
    net = specc.compile(program(case[0]), batch=5, dtype="float64", threads=1, seed=3)
    x = np.random.default_rng(0).normal(size=(5, 3, 10, 8))
    _, gradients = net.loss_and_gradients(x=x)
    for name in ("b", "s") if "s," in case[0] or "(s" in case[0] else ("b",):
        for at in np.ndindex(net.params[name].shape):
            before, losses = net.params[name][at], []
            for step in (1e-6, -1e-6):
                net.params[name][at] = before + step
                losses.append(net.loss_and_gradients(x=x)[0])
            net.params[name][at] = before
            slope = (losses[0] - losses[1]) / 2e-6
            assert gradients[name][at] == pytest.approx(slope, rel=1e-6, abs=1e-7)
