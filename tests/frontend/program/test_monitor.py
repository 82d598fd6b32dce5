"""`monitor` names the value that chooses the best epoch; which way is better follows from its
formula."""

from __future__ import annotations

import numpy as np
import pytest

import specc
from specc import driver
from specc.frontend.words import library
from specc.recipe import Monitor
from specc.source import Source

TEXT = """
## miss(s, l): a share. Lower is better.
fn miss(s: float[n], l: class(n)) = 1 - (if argmax(s) == l then 1 else 0)
fn blank(s: float[n], l: class(n)) = 1 - (if argmax(s) == l then 1 else 0)

model m {
  input  x: float[4]
  target y: class(3)
  let s = x -> dense(3)
  output s
  loss   cross_entropy(s, y) LOSSES
  metric accuracy(s, y)
  metric perplexity(s, y)
  metric own = s -> top_k(y; 2)
  metric miss(s, y)
  metric blank(s, y)
  metric f1(s[0], y == 0)
  metric confusion(s, y)
}

train {
  optimizer sgd(lr = 0.1)
  MONITOR
}
"""


def checked(monitor: str = "", losses: str = "", overrides=None):
    text = TEXT.replace("MONITOR", monitor).replace("LOSSES", losses)
    return driver.check(Source("m.dl", text), overrides or {})


@pytest.mark.parametrize(
    ("text", "column", "is_max"),
    [
        ("accuracy", "metric.accuracy", True),
        ("perplexity", "metric.perplexity", False),
        ("own", "metric.own", True),
        ("miss", "metric.miss", False),
        ("f1", "metric.f1", True),
        ("max(blank)", "metric.blank", True),
        ("min(accuracy)", "metric.accuracy", False),
        ("total_loss", "loss", False),
        ("cross_entropy", "loss.cross_entropy", False),
        ("penalty", "loss.penalty", False),
    ],
)
def test_a_metric_or_a_loss_is_monitored(text, column, is_max):
    losses = "loss penalty = 1e-3 * l2(weights)"
    program, found = checked(f"monitor = {text}", losses)
    assert program is not None, found
    assert program.recipe.monitor == Monitor(column, is_max)
    program, found = checked("", losses, {"monitor": text})
    assert program is not None and program.recipe.monitor == Monitor(column, is_max), found


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("acuracy", "unknown-name", "did you mean `accuracy`?"),
        ("blank", "bad-setting", "write `max(blank)` or `min(blank)`"),
        ("confusion", "bad-setting", "use one of `accuracy`"),
        ("3", "bad-setting", "use one of `accuracy`"),
    ],
)
def test_what_cannot_be_monitored_is_refused(text, name, words):
    program, found = checked(f"monitor = {text}")
    assert program is None
    (error,) = [each for each in found if each.severity == "error"]
    assert error.name == name and words in error.help


def test_every_metric_of_the_library_says_which_way_is_better_or_is_a_share_of_hits():
    shares = {"accuracy", "top_k", "binary_accuracy"}
    tables_and_signs = {"confusion", "mbe"}
    for name in library.words():
        if library.source_of(name).name.endswith("metrics.dl"):
            doc = " ".join(library.lookup(name).doc.split())
            says = "er is better" in doc
            assert says != (name in shares | tables_and_signs), name


@pytest.mark.parametrize(
    ("losses", "weight"),
    [
        ("", 0.0),
        ("loss penalty = 1e-2 * l2(weights)", 1e-2),
        ("+ 1e-2 * l2(weights)", 1e-2),
        ("+ 1e-2 * l2(weights) - 1e-3 * l1(weights)", None),
    ],
)
def test_by_default_the_loss_without_penalties_is_watched(losses, weight):
    program, found = checked("", losses)
    assert program is not None, found
    net = specc.compile(program, batch=8, dtype="float64", threads=1, seed=0)
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((20, 4)), generator.integers(0, 3, 20)
    from specc.recipe import Column

    figures = net.evaluate_rows({"x": Column(x), "y": Column(y)}, np.arange(20))
    scores = x @ net.params["dense1.weight"].T + net.params["dense1.bias"]
    expected = np.mean(np.log(np.exp(scores).sum(1)) - scores[np.arange(20), y])
    assert net.watched(figures) == pytest.approx(expected, rel=1e-12)
    if weight is not None:
        penalty = weight * (net.params["dense1.weight"] ** 2).sum()
        assert figures["loss"] == pytest.approx(expected + penalty, rel=1e-12)
