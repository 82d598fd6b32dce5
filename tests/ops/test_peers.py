"""Losses over the pairs of a batch: the one place where examples see each other."""

from __future__ import annotations

import numpy as np
import pytest

import specc
from specc import driver, pipeline
from specc.backend.reference import evaluate
from specc.ops.peers import bind_batch
from specc.recipe import Column
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


@pytest.mark.parametrize(
    ("count", "batch", "threads"), [(1, 1, 1), (7, 7, 1), (7, 20, 2), (19, 19, 3)]
)
def test_the_group_loss_is_its_definition_over_all_pairs(count, batch, threads):
    net = specc.compile(
        driver.load(Source("g.dl", TEXT)),
        batch=batch,
        threads=threads,
        shards=threads,
        dtype="float64",
    )
    x, y = data(count)
    loss, _ = net.loss_and_gradients(x=x, y=y)
    assert loss == pytest.approx(group_loss(net.forward(x=x)["z"], y, 1.5), rel=1e-12)


@pytest.mark.parametrize(("count", "batch", "threads"), [(6, 6, 1), (6, 20, 2), (21, 21, 3)])
def test_gradients_over_pairs_agree_with_the_interpreter_and_finite_differences(
    count, batch, threads
):
    program = driver.load(Source("g.dl", TEXT))
    net = specc.compile(program, batch=batch, threads=threads, shards=threads, dtype="float64")
    x, y = data(count)
    _, gradients = net.loss_and_gradients(x=x, y=y)
    leaves = {("param", path): array for path, array in net.params.items()}
    leaves |= {
        ("input", "x"): x,
        ("target", "y"): y,
        ("weight_of_example", ""): np.full(count, 1 / count),
    }
    wanted = evaluate(bind_batch(pipeline.with_gradients(program), count), leaves)
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
    net = specc.compile(driver.load(Source("g.dl", TEXT)), batch=30, threads=2, shards=2)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 30)
    x = np.eye(3, 4)[y] + 0.1 * rng.standard_normal((30, 4))
    first = net.step(x=x, y=y)
    for _ in range(200):
        last = net.step(x=x, y=y)
    assert last < 0.6 * first


# The examples along an axis of their own.

COUNTED = """
model counted {
  input x: float[1]
  param w: float[] = 1
  let p = peers(x[0])
  loss n = w * 0 + size(p; axis=0)
  loss most = max(p)
  loss least = min(p)
  loss total = w * sum(p)
  loss average = mean(p)
  loss peer = peer_mean(p)
  loss spread = sum(p * p) / size(p; axis=0)
  loss first = p[0]
  metric ones = sum(if p > 1000 then 0 else 1)
}
train { optimizer sgd(lr = 0) }
"""
NAMES = ("n", "most", "least", "total", "average", "peer", "spread", "first")


def figures_of(x) -> list[float]:
    return [len(x), x.max(), x.min(), x.sum(), x.mean(), x.mean(), (x * x).mean(), x[0]]


@pytest.mark.parametrize(("batch", "threads"), [(4, 1), (16, 2), (40, 2)])
def test_examples_are_counted_and_lanes_are_not(batch, threads):
    net = specc.compile(
        driver.load(Source("c.dl", COUNTED)),
        batch=batch,
        threads=threads,
        shards=threads,
        dtype="float64",
    )
    x = np.arange(1.0, 24.0).reshape(-1, 1)
    rows = {"x": Column(x)}
    four, _ = net.loss_and_gradients(x=x[:4])
    assert four == pytest.approx(sum(figures_of(x[:4])), rel=1e-12)
    assert net.evaluate_rows(rows, np.arange(4))["loss.average"] == 2.5
    # of an epoch, the last batch has fewer examples
    batches = [x[start : start + batch, 0] for start in range(0, len(x), batch)]
    trained = net.train(rows, np.arange(len(x)), 0, len(batches), len(batches))
    np.testing.assert_allclose(trained[:, 1:9], [figures_of(each) for each in batches], rtol=1e-12)
    found = net.evaluate_rows(rows, np.arange(len(x)))
    wanted = sum(len(each) * np.array(figures_of(each)) for each in batches) / len(x)
    assert [found[f"loss.{name}"] for name in NAMES] == pytest.approx(wanted.tolist(), rel=1e-12)
    assert found["metric.ones"] == pytest.approx(wanted[0], rel=1e-12)


BODIES = {
    "contrast": "let s = peers(z) @ z  output z  loss log(sum(exp(s))) - z @ z",
    "attention": "let p = softmax(peers(z) @ z)  output q = p @ peers(z)  loss l2(p @ peers(z) -"
    " 2 * z)",
    "covariance": "let g = transpose(peers(z)) @ peers(z) / size(peers(z); axis=0)  output z "
    " loss sum(g * g)",
    "nearest": "let all = peers(z)  output z  loss l2(all[argmax(all @ z)] - 2 * z)",
    "farthest of all": "let all = peers(z)  output z  loss l2(all[argmax(all[:, 0])] - z)",
    "joined": "let a = concat(peers(z), peers(2 * z))  output z  loss log(sum(exp(a @ z)))",
    "flat": "let a = flatten(peers(z))  output z  loss mean(a * a) + max(a) * z[0]",
    "normalized": """let d = z - mean(peers(z); axis=0)  let v = mean(peers(d) * peers(d))
        output y = d / sqrt(v + 0.01)  loss l2(d) / v""",
    "extremes": "let a = peers(z)  output z  loss sum(max(a; axis=0) * z) + sum(min(a; axis=0))",
    "itself": """let all = peers(z)  output z  output which = number(itself)
        loss l2(all[itself] - 2 * z)""",
    "all but itself": """let own = one_hot(itself)  let s = peers(z) @ z  output z
        loss sum(if own > 0 then 0 else exp(s))""",
    "tags": """let t = uniform(x[0])  let own = if peers(t) == t then 1 else 0
        output z  loss z[0] * sum(own) + z[1] / mean(own)""",
}
SIZES = [("float64", 5, 5, 1), ("float64", 21, 40, 2), ("float32", 2, 8, 2)]


@pytest.mark.parametrize("name", list(BODIES))
def test_a_formula_over_peers_is_that_of_the_examples(name):
    program = driver.load(
        Source(
            "p.dl",
            f"""model m {{ input x: float[4]
        let z = x -> dense(5) -> tanh -> dense(3) {BODIES[name]} }} train {{
        optimizer sgd(lr = 0.1) }}""",
        )
    )
    for dtype, count, batch, threads in SIZES:
        net = specc.compile(program, batch=batch, threads=threads, shards=threads, dtype=dtype)
        x, _ = data(count)
        leaves = {("param", path): array for path, array in net.params.items()}
        leaves |= {("input", "x"): x, ("weight_of_example", ""): np.full(count, 1 / count)}
        close = (
            {"rtol": 1e-9, "atol": 1e-11} if dtype == "float64" else {"rtol": 3e-4, "atol": 1e-5}
        )
        wanted = evaluate(bind_batch(pipeline.with_gradients(program), count), leaves, net.seed)
        loss, gradients = net.loss_and_gradients(x=x)
        np.testing.assert_allclose(loss, wanted["loss"], **close)
        for path, gradient in gradients.items():
            np.testing.assert_allclose(gradient, wanted[f"gradient.{path}"], **close)
        wanted = evaluate(bind_batch(pipeline.forward(program, False), count), leaves, net.seed)
        if name == "itself":
            np.testing.assert_array_equal(net.forward(x=x)["which"], np.arange(count))
        for key, value in net.forward(x=x).items():
            np.testing.assert_allclose(value, wanted[f"output.{key}"], **close)


@pytest.mark.parametrize("count", [3, 20])
def test_the_softmax_over_a_batch_is_the_papers(count):
    """van den Oord, Li and Vinyals, Representation learning with contrastive predictive coding,
    2018.
    """
    net = specc.compile(
        driver.load(
            Source(
                "i.dl",
                """model m { input x: float[4]
        let z = x -> dense(4)  let s = peers(z) @ z  output z  loss log(sum(exp(s))) - z @ z }
        train { optimizer adam }""",
            )
        ),
        dtype="float64",
    )
    x, _ = data(count)
    z = net.forward(x=x)["z"]
    similar = z @ z.T
    wanted = -np.log(np.exp(np.diag(similar)) / np.exp(similar).sum(1)).mean()
    assert net.loss_and_gradients(x=x)[0] == pytest.approx(wanted, rel=1e-12)


def test_predictions_for_any_number_of_rows_see_the_rows_of_their_batch():
    net = specc.compile(
        driver.load(
            Source(
                "o.dl",
                """model m { input x: float[2]
        output y = x - mean(peers(x); axis=0) }""",
            )
        ),
        batch=8,
        threads=2,
        shards=2,
        dtype="float64",
    )
    for rows in (*range(12), 16, 19):
        x = np.random.default_rng(rows).standard_normal((rows, 2))
        parts = [x[start : start + 8] for start in range(0, rows, 8)]
        wanted = np.concatenate([x[:0], *(part - part.mean(0) for part in parts)])
        for _ in range(2):
            np.testing.assert_allclose(net.forward(x=x)["y"], wanted, rtol=1e-12, atol=1e-12)


def test_programs_for_other_numbers_of_examples_are_forgotten_in_time(monkeypatch):
    monkeypatch.setattr("specc.net.programs.MOST_OF_PEERS", 2)
    net = specc.compile(driver.load(Source("c.dl", COUNTED)), batch=4, dtype="float64")
    for rows in (1, 2, 3, 5, 1, 3):
        loss, _ = net.loss_and_gradients(x=np.ones((rows, 1)))
        assert loss == pytest.approx(2 * rows + 6, rel=1e-12)
    assert len(net.programs.compiled_ones) == 2


def test_threads_are_chosen_for_a_model_whose_examples_see_each_other():
    program = driver.load(Source("g.dl", TEXT))
    assert driver.threads_for(program, 32) >= 1
    assert specc.compile(program).batch == program.recipe.batch
    assert "def update" in driver.build(program)
