"""Sums of very many float32 numbers keep their digits."""

from __future__ import annotations

import numpy as np
import pytest

import specc
from specc import driver
from specc.source import Source


def loss_of(text: str, batch: int, examples: dict, weights: dict) -> float:
    net = specc.compile(driver.load(Source("x.dl", text)), batch=batch, dtype="float32", threads=1)
    for name, array in weights.items():
        net.params[name][...] = array
    loss, _ = net.loss_and_gradients(**examples)
    return loss


@pytest.mark.parametrize("value", [0.1, 0.3, 1 / 3])
@pytest.mark.parametrize(("shape", "axes"), [("1000003", ""), ("1001, 999", ""), ("3, 401, 700", "")])
def test_a_sum_over_a_million_equal_weights(shape, axes, value):
    value = float(np.float32(value))
    text = f"model m {{ param w: float[{shape}] = zeros input x: float[] loss x * sum(w) }}"
    count = np.prod([int(each) for each in shape.split(",")])
    found = loss_of(text, 1, {"x": np.ones(1)}, {"w": value})
    assert found == pytest.approx(count * value, rel=3e-7)


def test_a_penalty_over_a_million_weights():
    w = np.random.default_rng(0).uniform(0.5, 1, 1_000_000).astype(np.float32)
    text = "model m { param w: float[1000000] = zeros input x: float[] loss x * l2(w) }"
    found = loss_of(text, 1, {"x": np.ones(1)}, {"w": w})
    assert found == pytest.approx(np.sum(w.astype(float) ** 2), rel=3e-7)


def test_the_mean_over_very_many_examples():
    x = np.full(200_001, 0.1, np.float32)
    text = "model m { param w: float[] = ones input x: float[] loss w * x }"
    found = loss_of(text, len(x), {"x": x}, {})
    assert found == pytest.approx(float(x[0]), rel=6e-7)


def test_the_gradient_of_a_bias_over_many_places_and_examples():
    text = """
model m {
  input x: float[1, 128, 128]
  loss sum(x -> conv(2, kernel=1))
}
"""
    net = specc.compile(driver.load(Source("x.dl", text)), batch=48, dtype="float32", threads=1)
    x = np.full((48, 1, 128, 128), 0.1, np.float32)
    _, gradients = net.loss_and_gradients(x=x)
    np.testing.assert_allclose(gradients["conv1.bias"], 128 * 128, rtol=1e-6)
