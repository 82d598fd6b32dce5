"""`balance = label`: the weights of classes in the loss, while training alone."""

from __future__ import annotations

import numpy as np
import pytest

import specc
from specc.recipe import Column
from specc.runtime.data.balance import class_weights
from specc.runtime.data.part import DataPart

TEXT = """
model m {{
  input  x: float[3]
  target y: {kind}
  let s = x -> dense({units})
  output s
  loss   {loss}
  loss   penalty = 0.01 * l2(weights)
  metric mean(abs(x))
}}
train {{ optimizer sgd(lr = 0.1) balance = y {more} }}
"""
SCORES = {"kind": "class(3)", "units": 3, "loss": "fit = cross_entropy(s, y)", "more": ""}
CHANCE = {"kind": "bool", "units": 1, "loss": "fit = binary_cross_entropy(s[0], y)",
          "more": ""}  # fmt: skip


def losses(net, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The loss of each example, by the formulas in NumPy."""
    s = x @ net.params["dense1.weight"].T + net.params["dense1.bias"]
    if s.shape[1] == 1:
        p = 1 / (1 + np.exp(-s[:, 0]))
        return -np.log(np.where(y, p, 1 - p))
    return np.log(np.exp(s).sum(axis=1)) - s[np.arange(len(y)), y]


@pytest.mark.parametrize("form", [SCORES, CHANCE], ids=["classes", "truth"])
@pytest.mark.parametrize("rows", [1, 3, 37])
def test_the_loss_of_a_training_weighs_classes_and_that_of_an_evaluation_does_not(form, rows):
    net = specc.compile(specc.loads(TEXT.format(**form)), batch=37, dtype="float64")
    rng = np.random.default_rng(rows)
    classes = 2 if form is CHANCE else 3
    x, y = rng.normal(size=(rows, 3)), rng.integers(0, classes, rows)
    y = y.astype(bool) if form is CHANCE else y
    penalty = 0.01 * (net.params["dense1.weight"] ** 2).sum()
    plain = losses(net, x, y)
    loss, _ = net.loss_and_gradients(x=x, y=y)
    assert loss == pytest.approx(plain.mean() + penalty, rel=1e-9)  # all weights are 1 at first
    weights = np.array([0.25, 3.0, 7.0])[:classes]
    net.states["y.balance"][...] = weights
    loss, gradients = net.loss_and_gradients(x=x, y=y)
    own = weights[y.astype(int)]
    assert loss == pytest.approx((own * plain).mean() + penalty, rel=1e-9)
    bias = net.params["dense1.bias"]
    for k in range(len(bias)):
        step = 1e-6
        bias[k] += step
        above = (own * losses(net, x, y)).mean()
        bias[k] -= 2 * step
        below = (own * losses(net, x, y)).mean()
        bias[k] += step
        assert gradients["dense1.bias"][k] == pytest.approx((above - below) / (2 * step), abs=1e-7)
    assert net.evaluate({"x": x, "y": y})["fit"] == pytest.approx(plain.mean(), rel=1e-9)


def test_weights_are_those_of_the_training_part():
    y = np.array([0, 0, 0, 0, 0, 0, 2, 2, 1, 1, 1, 1])
    part = DataPart({"y": Column(y)}, np.arange(8))
    weights = class_weights(part, "y", 4)
    np.testing.assert_allclose(weights, [8 / (2 * 6), 1, 8 / (2 * 2), 1])
    assert weights[y[:8]].mean() == pytest.approx(1)


def test_a_training_sets_them_and_a_resumed_one_has_them(tmp_path):
    rng = np.random.default_rng(0)
    y = (rng.random(300) < 0.1).astype(int)
    x = rng.normal(size=(300, 3)) + y[:, None]
    np.savez(tmp_path / "a.npz", x=x, y=y)
    text = TEXT.format(**{**SCORES, "more": f'data npz("{tmp_path}/a.npz") batch = 30'})
    run = specc.train(text, runs=tmp_path / "runs", epochs=3, quiet=True)
    count = np.bincount(y, minlength=3)
    wanted = [300 / (2 * count[0]), 300 / (2 * count[1]), 1]
    np.testing.assert_allclose(run.net.states["y.balance"], wanted, rtol=1e-6)
    np.testing.assert_allclose(specc.open(run.folder).states["y.balance"], wanted, rtol=1e-6)
    net = specc.compile(specc.loads(text))
    net.fit({"x": x, "y": y}, epochs=1)
    np.testing.assert_allclose(net.states["y.balance"], wanted, rtol=1e-6)


def test_oversampling_has_no_weights_and_balance_by_needs_a_target():
    text = TEXT.format(**{**SCORES, "more": "balance_by = oversampling"})
    assert "y.balance" not in dict(specc.compile(specc.loads(text)).states)
    with pytest.raises(specc.SpecError, match="`balance_by` needs the setting `balance`"):
        specc.loads(text.replace("balance = y", ""))
