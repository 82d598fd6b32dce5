"""Losses over the pairs of a batch: the one place where examples see each other."""

from __future__ import annotations

import numpy as np
import pytest

import specc
from specc import driver
from specc.backend.reference import evaluate
from specc.ops.peers import bind_batch
from specc.passes import lower
from specc.source import Source

TEXT = """
model grouped {
  input x: float[4]
  target y: class(3)
  let z = x -> dense(5) -> tanh -> dense(2)
  output z
  loss group(z, y; margin = 1.5)
}
train { optimizer sgd(lr = 0.1) }
"""


def data(count):
    rng = np.random.default_rng(count)
    return rng.standard_normal((count, 4)), rng.integers(0, 3, count)


def group_loss(z, y, margin):
    """The definition, pair by pair."""
    total = 0.0
    for i in range(len(z)):
        for j in range(len(z)):
            distance = np.abs(z[i] - z[j]).sum()
            total += distance if y[i] == y[j] else max(0.0, margin - distance)
    return total / len(z) ** 2


@pytest.mark.parametrize(("count", "batch", "threads"), [(1, 1, 1), (7, 7, 1), (7, 20, 2), (19, 19, 3)])
def test_the_group_loss_is_its_definition_over_all_pairs(count, batch, threads):
    net = specc.compile(driver.load(Source("g.dl", TEXT)), batch=batch, threads=threads, dtype="float64")
    x, y = data(count)
    loss, _ = net.loss_and_gradients(x=x, y=y)
    assert loss == pytest.approx(group_loss(net.forward(x=x)["z"], y, 1.5), rel=1e-12)


@pytest.mark.parametrize(("count", "batch", "threads"), [(6, 6, 1), (6, 20, 2), (21, 21, 3)])
def test_gradients_over_pairs_agree_with_the_interpreter_and_finite_differences(count, batch, threads):
    program = driver.load(Source("g.dl", TEXT))
    net = specc.compile(program, batch=batch, threads=threads, dtype="float64")
    x, y = data(count)
    _, gradients = net.loss_and_gradients(x=x, y=y)
    leaves = {("param", path): array for path, array in net.params.items()}
    leaves |= {("input", "x"): x, ("target", "y"): y,
               ("weight_of_example", ""): np.full(count, 1 / count)}
    wanted = evaluate(bind_batch(lower.with_gradients(program), count), leaves)
    for path, gradient in gradients.items():
        np.testing.assert_allclose(gradient, wanted[f"gradient.{path}"], rtol=1e-10, atol=1e-12)
    weight, h = net.params["dense1.weight"], 1e-6
    for at in [(0, 0), (3, 2), (4, 1)]:
        kept = weight[at]
        weight[at] = kept + h
        above, _ = net.loss_and_gradients(x=x, y=y)
        weight[at] = kept - h
        below, _ = net.loss_and_gradients(x=x, y=y)
        weight[at] = kept
        assert gradients["dense1.weight"][at] == pytest.approx((above - below) / (2 * h), abs=1e-6)


def test_training_on_groups_draws_classes_apart():
    net = specc.compile(driver.load(Source("g.dl", TEXT)), batch=30, threads=2)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 30)
    x = np.eye(3, 4)[y] + 0.1 * rng.standard_normal((30, 4))
    first = net.step(x=x, y=y)
    for _ in range(200):
        last = net.step(x=x, y=y)
    assert last < 0.6 * first
