"""Oracles of metrics: over all examples of the data."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from specc import pipeline
from specc.backend.reference import evaluate
from specc.passes import lower

from .interpreted import load, oracle, size

COUNT = 25


def metric(formula: str, inputs: dict[str, str], arrays: dict[str, np.ndarray]) -> np.ndarray:
    """The figure of a metric over all examples."""
    ports = "".join(f" input {name}: {type_}" for name, type_ in inputs.items())
    program = load(f"model m {{{ports} metric figure = {formula} output {next(iter(inputs))} }}")
    leaves = {("input", name): array for name, array in arrays.items()}
    leaves["weight_of_example", ""] = np.full(COUNT, 1 / COUNT)
    values = evaluate(pipeline.forward(program, training=False), leaves)
    _, final = lower.metric_means(program)
    means = {("mean", name): value for name, value in values.items() if name.startswith("mean.")}
    (figure,) = evaluate(final, means).values()
    return figure


def scores(rng) -> tuple[int, dict[str, str], dict[str, np.ndarray]]:
    classes = size(rng, 2, 6)
    arrays = {"x": rng.standard_normal((COUNT, classes)), "k": rng.integers(0, classes, COUNT)}
    return classes, {"x": f"float[{classes}]", "k": f"class({classes})"}, arrays


def same(found, wanted) -> None:
    np.testing.assert_allclose(found, np.asarray(wanted, float), rtol=1e-10, atol=1e-12)


@oracle("accuracy")
def _(rng):
    _, inputs, arrays = scores(rng)
    same(metric("accuracy(x, k)", inputs, arrays), (arrays["x"].argmax(1) == arrays["k"]).mean())


@oracle("top_k")
def _(rng):
    classes, inputs, arrays = scores(rng)
    k = size(rng, 1, classes)
    best = torch.topk(torch.tensor(arrays["x"]), k).indices.numpy()
    same(metric(f"top_k(x, k; {k})", inputs, arrays), (best == arrays["k"][:, None]).any(1).mean())


@oracle("perplexity")
def _(rng):
    _, inputs, arrays = scores(rng)
    x, k = (torch.tensor(arrays[name]) for name in "xk")
    same(metric("perplexity(x, k)", inputs, arrays), F.cross_entropy(x, k).exp())


@oracle("confusion")
def _(rng):
    classes, inputs, arrays = scores(rng)
    wanted = np.zeros((classes, classes))
    np.add.at(wanted, (arrays["k"], arrays["x"].argmax(1)), 1 / COUNT)
    same(metric("confusion(x, k)", inputs, arrays), wanted)


@oracle("macro_f1")
def _(rng):
    _, inputs, arrays = scores(rng)
    guess, label = arrays["x"].argmax(1).tolist(), arrays["k"].tolist()
    figures = []
    for each in {*guess, *label}:
        hits = sum(a == b == each for a, b in zip(guess, label, strict=True))
        precision = hits / guess.count(each) if each in guess else 0
        recall = hits / label.count(each) if each in label else 0
        figures.append(2 * precision * recall / (precision + recall) if hits else 0)
    same(metric("macro_f1(x, k)", inputs, arrays), np.mean(figures))


@oracle("balanced_accuracy")
def _(rng):
    _, inputs, arrays = scores(rng)
    is_right = arrays["x"].argmax(1) == arrays["k"]
    recalls = [is_right[arrays["k"] == each].mean() for each in np.unique(arrays["k"])]
    same(metric("balanced_accuracy(x, k)", inputs, arrays), np.mean(recalls))


def pair(rng) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    n = size(rng)
    arrays = {name: rng.standard_normal((COUNT, n)) for name in "xy"}
    return dict.fromkeys("xy", f"float[{n}]"), arrays


@oracle("rmse")
def _(rng):
    inputs, arrays = pair(rng)
    x, y = (torch.tensor(arrays[name]) for name in "xy")
    same(metric("rmse(x, y)", inputs, arrays), F.mse_loss(x, y).sqrt())


@oracle("r2")
def _(rng):
    inputs, arrays = pair(rng)
    x, y = arrays["x"], arrays["y"]
    same(metric("r2(x, y)", inputs, arrays), 1 - ((x - y) ** 2).sum() / ((y - y.mean()) ** 2).sum())


@oracle("precision", "recall", "f1", "binary_accuracy")
def _(rng):
    """From the counts of true and false positives and negatives."""
    x, b = rng.standard_normal(COUNT), rng.random(COUNT) < 0.5
    hit, wrong, missed = ((x > 0) & b).sum(), ((x > 0) & ~b).sum(), ((x <= 0) & b).sum()
    inputs, arrays = {"x": "float[]", "b": "bool"}, {"x": x, "b": b}
    same(metric("precision(x, b)", inputs, arrays), hit / (hit + wrong))
    same(metric("recall(x, b)", inputs, arrays), hit / (hit + missed))
    same(metric("f1(x, b)", inputs, arrays), 2 * hit / (2 * hit + wrong + missed))
    same(metric("binary_accuracy(x, b)", inputs, arrays), 1 - (wrong + missed) / COUNT)
