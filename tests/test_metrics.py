"""Metrics that are formulas over means: exact over all data, for any batch size."""

from __future__ import annotations

import numpy as np
import pytest

import specc
from specc import driver
from specc.recipe import Column
from specc.source import Source

TEXT = """
model measured {
  input x: float[5]
  target y: class(3)
  target t: bool
  let s = x -> dense(3)
  let z = x -> dense(1)
  loss cross_entropy(s, y)
  metric accuracy(s, y)
  metric top_k(s, y; k=2)
  metric perplexity(s, y)
  metric binary_accuracy(z[0], t)
  metric precision(z[0], t)
  metric recall(z[0], t)
  metric f1(z[0], t)
  metric rmse(z, x[0:1])
  metric r2(z, x[0:1])
  metric macro_f1(s, y)
  metric balanced_accuracy(s, y)
  metric confusion(s, y)
  metric l2(weights)
  metric share = rmse(z, x[0:1]) / (1 + l2(weights) * 2)
  metric positive = max(weights) > 0
}
train { optimizer sgd(lr = 0.1) }
"""


def data(count):
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, 5)), rng.integers(0, 3, count), rng.random(count) < 0.4


def macro_f1(taken, truth):
    """The mean F1 of the classes that are taken or true."""
    found = []
    for k in np.union1d(taken, truth):
        hits = np.sum((taken == k) & (truth == k))
        found.append(2 * hits / (np.sum(taken == k) + np.sum(truth == k)))
    return np.mean(found)


@pytest.mark.parametrize(("batch", "threads"), [(53, 1), (8, 2), (7, 3)])
def test_metrics_agree_with_their_definitions_over_all_data(batch, threads):
    net = specc.compile(
        driver.load(Source("m.dl", TEXT)),
        batch=batch,
        threads=threads,
        shards=threads,
        dtype="float64",
    )
    x, y, t = data(53)
    found = net.evaluate_rows({"x": Column(x), "y": Column(y), "t": Column(t)}, np.arange(53))
    p = net.params
    l2 = sum(np.sum(p[f"dense{k}.weight"] ** 2) for k in (1, 2))
    s = x @ p["dense1.weight"].T + p["dense1.bias"]
    z = (x @ p["dense2.weight"].T + p["dense2.bias"])[:, 0]
    own = s[np.arange(53), y]
    yes = z > 0
    wanted = {
        "accuracy": np.mean(s.argmax(1) == y),
        "top_k": np.mean((s > own[:, None]).sum(1) < 2),
        "perplexity": np.exp(np.mean(np.log(np.exp(s).sum(1)) - own)),
        "binary_accuracy": np.mean(yes == t),
        "precision": (yes & t).sum() / yes.sum(),
        "recall": (yes & t).sum() / t.sum(),
        "f1": 2 * (yes & t).sum() / (yes.sum() + t.sum()),
        "rmse": np.sqrt(np.mean((z - x[:, 0]) ** 2)),
        "r2": 1 - np.sum((z - x[:, 0]) ** 2) / np.sum((x[:, 0] - x[:, 0].mean()) ** 2),
        "macro_f1": macro_f1(s.argmax(1), y),
        "balanced_accuracy": np.mean([np.mean(s.argmax(1)[y == k] == k) for k in range(3)]),
        "confusion": np.array(
            [[np.mean((y == i) & (s.argmax(1) == j)) for j in range(3)] for i in range(3)]
        ),
        "l2": l2,
        "share": np.sqrt(np.mean((z - x[:, 0]) ** 2)) / (1 + l2 * 2),
        "positive": 1,
    }
    assert set(found) == {"loss", "loss.cross_entropy", *(f"metric.{name}" for name in wanted)}
    for name, value in wanted.items():
        assert found[f"metric.{name}"] == pytest.approx(value, rel=1e-12)
    assert "metric.confusion" not in net.columns


def test_the_records_of_training_steps_make_the_same_figures():
    program = driver.load(Source("m.dl", TEXT.replace("lr = 0.1", "lr = 0")))
    net = specc.compile(program, batch=10, threads=2, shards=2, dtype="float64")
    x, y, t = data(30)
    columns = {"x": Column(x), "y": Column(y), "t": Column(t)}
    records = net.train(columns, np.arange(30), 0, 3, 3)
    assert records.shape == (3, net.record_width)
    figures, wanted = net.report(records.mean(0)), net.evaluate_rows(columns, np.arange(30))
    for name in wanted:
        assert figures[name] == pytest.approx(wanted[name], rel=1e-12)


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 2, 1], [3], [0, 1, 2, 3, 3, 0]])
def test_classes_that_the_data_lacks_do_not_count(labels):
    sklearn = pytest.importorskip("sklearn.metrics")
    text = """model m {
      input x: float[4]
      target y: class(4)
      let s = 2 * x
      output s
      metric macro_f1(s, y)
      metric balanced_accuracy(s, y)
    }"""
    net = specc.compile(driver.load(Source("m.dl", text)), dtype="float64")
    x, y = np.eye(4)[np.arange(len(labels)) % 3], np.array(labels)
    found = net.evaluate_rows({"x": Column(x), "y": Column(y)}, np.arange(len(y)))
    taken = x.argmax(1)
    wanted = sklearn.f1_score(y, taken, average="macro")
    assert found["metric.macro_f1"] == pytest.approx(wanted, rel=1e-12)
    wanted = np.mean([np.mean(taken[y == k] == k) for k in np.unique(y)])
    assert found["metric.balanced_accuracy"] == pytest.approx(wanted, rel=1e-12)
