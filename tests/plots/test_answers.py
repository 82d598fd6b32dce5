"""What a model answered, against sums that are made apart."""

import numpy as np
import pytest

import specc
from specc.plots.answers import Answers, calibration, roc
from specc.plots.curves import thinned
from specc.plots.embeddings import principal
from specc.plots.heads import Head, heads


def made(seed=0, count=200, classes=4):
    rng = np.random.default_rng(seed)
    raw = rng.random((count, classes))
    truth = rng.integers(0, classes, count)
    return Answers(truth, raw / raw.sum(1, keepdims=True), np.arange(count), np.zeros(count, int))


def test_the_confusion_matrix_counts_pairs():
    found = made()
    table = np.zeros((4, 4), int)
    for true, chances in zip(found.truth, found.probabilities, strict=True):
        table[true, max(range(4), key=lambda k: chances[k])] += 1
    assert np.array_equal(found.confusion, table)


def test_precision_recall_and_f1():
    found = made(1)
    for k, (count, precision, recall, both) in enumerate(found.by_class):
        hits = sum((found.predicted == k) & (found.truth == k))
        assert count == sum(found.truth == k)
        assert precision == pytest.approx(hits / sum(found.predicted == k))
        assert recall == pytest.approx(hits / count)
        assert both == pytest.approx(2 * precision * recall / (precision + recall))


def test_a_class_that_never_occurs_has_no_rates():
    found = Answers(
        np.array([0, 0]), np.array([[1.0, 0, 0], [0.2, 0.8, 0]]), np.arange(2), np.zeros(2)
    )
    assert found.by_class[0][:2] == (2, 1.0)
    assert np.isnan(found.by_class[2][1:]).all()


@pytest.mark.parametrize("decimals", [1, 8])
def test_the_area_under_the_curve_is_a_probability(decimals):
    """That a true one scores higher than a false one, ties counting a half: over all pairs."""
    rng = np.random.default_rng(2)
    score, is_true = rng.random(300).round(decimals), rng.random(300) < 0.3
    x, y, area = roc(is_true, score)
    pairs = score[is_true][:, None] - score[~is_true][None]
    assert area == pytest.approx((pairs > 0).mean() + (pairs == 0).mean() / 2)
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert (np.diff(x) >= 0).all() and (np.diff(y) >= 0).all()


def test_without_two_kinds_there_is_no_area():
    assert np.isnan(roc(np.ones(3, bool), np.arange(3.0))[2])
    assert np.isnan(roc(np.ones(0, bool), np.zeros(0))[2])


def test_calibration_by_hand():
    mean, share, counts, error = calibration(
        np.array([0.55, 0.58, 0.95, 1.0]), np.array([True, False, True, True])
    )
    assert counts.tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 0, 2]
    assert mean[5] == pytest.approx(0.565) and share[5] == 0.5 and share[9] == 1
    assert np.isnan(mean[0])
    assert error == pytest.approx((2 * 0.065 + 2 * 0.025) / 4)


def test_principal_axes_are_those_of_the_covariance():
    rng = np.random.default_rng(4)
    values = rng.normal(size=(400, 5)) @ rng.normal(size=(5, 5))
    places, shares = principal(values)
    sizes, vectors = np.linalg.eigh(np.cov(values.T))
    assert shares == pytest.approx(sizes[::-1][:2] / sizes.sum())
    for k in (0, 1):
        along = (values - values.mean(0)) @ vectors[:, ::-1][:, k]
        assert abs(along @ places[:, k]) == pytest.approx((along**2).sum())


def test_principal_axes_of_one_direction():
    places, shares = principal(np.arange(4.0)[:, None])
    assert places[:, 0] == pytest.approx([-1.5, -0.5, 0.5, 1.5])
    assert shares.tolist() == [1, 0] and not places[:, 1].any()


def test_a_long_line_keeps_its_ends_and_extremes():
    rng = np.random.default_rng(5)
    y = rng.normal(size=12_345).cumsum()
    x, short = thinned(list(range(len(y))), y.tolist())
    assert len(x) <= 1_100 and x == sorted(x) and x[-1] == len(y) - 1
    assert max(short) == y.max() and min(short) == y.min()
    assert thinned([1, 2], [3.0, 4.0]) == ([1, 2], [3.0, 4.0])


CASES = {
    "scores": ("let p = x -> dense(3) output p loss cross_entropy(p, t) target t: class(3)",
               [("t", "p", "classes")]),
    "chances": ("let s = x -> dense(3) let p = softmax(s) output p loss cross_entropy(s, t)"
                " target t: class(3)", [("t", "p", "classes")]),
    "truth": ("let p = flatten(x -> dense(1))[0] output p loss binary_cross_entropy(p, t)"
              " target t: bool", [("t", "p", "truth")]),
    "number": ("let p = flatten(x -> dense(1))[0] output p loss mse(p, t) target t: float",
               [("t", "p", "number")]),
    "two": ("let p = x -> dense(3) let q = x -> dense(2) output p output q"
            " loss cross_entropy(p, t) loss mse(q, u) target t: class(3) target u: float[2]",
            [("t", "p", "classes"), ("u", "q", "number")]),
    "own loss": ("let p = x -> dense(3) output p loss sum((p - one_hot(t)) ^ 2)"
                 " target t: class(3)", [("t", "p", "classes")]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_heads_follow_from_the_losses(name):
    import specc

    text, wanted = CASES[name]
    body = text.split(" target ")
    ports = "\n  ".join(f"target {each}" for each in body[1:])
    lines = body[0]
    for word in ("output", "loss", "let"):
        lines = lines.replace(f" {word} ", f"\n  {word} ")
    program = specc.loads(f"model m {{\n  input x: float[4]\n  {ports}\n  {lines}\n}}\n")
    assert [(each.port.name, each.output, each.kind) for each in heads(program)] == wanted


def test_probabilities_of_scores_and_of_probabilities():
    head = Head(None, "p", "classes")
    scores = np.array([[1.0, 2.0, 700.0], [0.0, 0.0, 0.0]])
    assert head.probabilities(scores)[1] == pytest.approx([1 / 3] * 3)
    assert head.probabilities(scores).sum(1) == pytest.approx([1, 1])
    chances = np.array([[0.2, 0.3, 0.5]])
    assert np.array_equal(head.probabilities(chances), chances)
    truth = Head(None, "p", "truth")
    assert truth.probabilities(np.array([-3.0, 3.0]))[:, 1] == pytest.approx(
        1 / (1 + np.exp([3.0, -3.0]))
    )
    # scores that look like probabilities are scores all the same, if the loss says so
    scores = Head(None, "p", "truth", holds="scores").probabilities(np.array([0.0, 1.0]))
    assert scores[:, 1] == pytest.approx([0.5, 1 / (1 + np.exp(-1.0))])
    given = Head(None, "p", "classes", holds="probabilities").probabilities(np.array([[0.5, 0.1]]))
    assert given.tolist() == [[0.5, 0.1]]


def test_a_distance_does_not_say_how_likely_it_is_that_two_are_the_same():
    text = """
model pairs {
  input a: float[4]
  input b: float[4]
  target same: bool
  layer tower = dense(3)
  let gap = distance(tower(a), tower(b))
  output gap
  loss contrastive(tower(a), tower(b), same)
  metric right = (gap < 0.5) == same
}
"""
    assert heads(specc.loads(text)) == ()
    other = text.replace("output gap", "let sure = 1 - gap\n  output sure").replace(
        "metric", "loss binary_cross_entropy(sure, same)\n  metric"
    )
    (head,) = heads(specc.loads(other))
    assert (head.output, head.holds, head.port.name) == ("sure", "scores", "same")
