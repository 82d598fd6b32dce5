"""Lanes without an example change nothing, even where a value is infinite, and neither do random
numbers.
"""

from __future__ import annotations

import numpy as np
import pytest

import specc
from specc import driver, pipeline
from specc.backend.reference import evaluate
from specc.ir.graph import Graph
from specc.recipe import Column
from specc.source import Source

# examples, batch, threads: lanes stay empty in a shard, in all of it, in a batch of fewer examples
SHAPES = [(3, 3, 1), (3, 40, 2), (23, 40, 2), (5, 16, 1)]

INFINITE = {
    "a loss": ("1 / (x[0] + 0 * w[0])", [np.inf, None]),
    "a logarithm": ("log(x[0] + w[0])", [-np.inf, [np.inf, 0]]),
    "a product": ("sum(w * x) * (-1 / x[1])", [-np.inf, None]),
    "a product of weights": ("log(sum(abs(x + w)))", [-np.inf, None]),
}


def compiled(text: str, batch: int, threads: int, dtype: str = "float64"):
    source = Source("p.dl", f"model m {{ {text} }} train {{ optimizer sgd(lr = 0.1) }}")
    program = driver.load(source)
    return program, specc.compile(
        program, batch=batch, threads=threads, shards=threads, dtype=dtype
    )


def reference(program, net, **inputs) -> dict[str, np.ndarray]:
    count = len(next(iter(inputs.values())))
    leaves = {("param", path): array for path, array in net.params.items()}
    leaves |= {("input", name): array for name, array in inputs.items()}
    leaves["weight_of_example", ""] = np.full(count, 1 / count)
    with np.errstate(all="ignore"):
        return evaluate(pipeline.with_gradients(program), leaves, net.seed)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", list(INFINITE))
def test_an_infinite_loss_of_the_example_that_is_repeated_stays_infinite(name, dtype):
    formula, (limit, slope) = INFINITE[name]
    for count, batch, threads in SHAPES:
        program, net = compiled(
            f"input x: float[2] param w: float[2] = 0 loss {formula} metric infinite = {formula}",
            batch,
            threads,
            dtype,
        )
        x = np.random.default_rng(count).uniform(1, 2, (count, 2))
        x[-1] = 0
        if name == "a product":
            x[-1, 0] = 1
            net.set_params({"w": [1, 1]})
        wanted = reference(program, net, x=x)
        assert wanted["loss"] == limit
        loss, gradients = net.loss_and_gradients(x=x)
        assert loss == limit
        np.testing.assert_allclose(gradients["w"], wanted["gradient.w"], rtol=1e-5)
        if slope is not None:
            assert gradients["w"][0] == slope[0]
        assert net.evaluate_rows({"x": Column(x)}, np.arange(count))["metric.infinite"] == limit


def test_gradients_of_products_stay_infinite_as_well():
    """Every way to sum over examples: biases, rows and positions of weights, a table's rows."""
    text = """input x: float[40] input i: class(5) param s: float[] = 1
        let a = x -> dense(20) -> dense(24)
        let b = reshape(x; 1, 5, 8) -> conv(3, kernel=3) -> flatten
        loss sum(i -> embed(2)) * s / x[0] + (sum(a) + sum(b)) / x[0]"""
    for count, batch, threads in SHAPES:
        program, net = compiled(text, batch, threads)
        rng = np.random.default_rng(count)
        x, i = rng.uniform(1, 2, (count, 40)), rng.integers(0, 5, count)
        x[-1, 0] = 0
        wanted = reference(program, net, x=x, i=i)
        _, gradients = net.loss_and_gradients(x=x, i=i)
        for path, gradient in gradients.items():
            np.testing.assert_allclose(
                gradient, wanted[f"gradient.{path}"], rtol=1e-9, err_msg=path
            )
        infinite = {path for path, gradient in gradients.items() if np.isinf(gradient).any()}
        assert infinite >= {
            "dense2.weight",
            "dense2.bias",
            "embed1.weight",
            "conv1.weight",
            "conv1.bias",
            "s",
        }


def test_what_is_infinite_in_no_example_is_so_in_no_lane():
    text = """input x: float[1] param w: float[] = 1 let tag = uniform(x[0])
        let n = 1 / peer_mean(if peers(tag) == tag then 1 else 0) loss w * x[0] * n"""
    for count, batch, threads in SHAPES:
        _, net = compiled(text, batch, threads)
        loss, gradients = net.loss_and_gradients(x=np.ones((count, 1)))
        assert loss == pytest.approx(count, rel=1e-12)
        assert gradients["w"] == pytest.approx(count, rel=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_finite_sum_does_not_change_by_what_the_other_lanes_hold(dtype):
    for count, batch, threads in SHAPES:
        program, net = compiled(
            "input x: float[2] param w: float[2] = 1 loss sum(w * x)", batch, threads, dtype
        )
        x = np.ones((count, 2))
        x[-1] = 2.0**-20
        loss, gradients = net.loss_and_gradients(x=x)
        wanted = reference(program, net, x=x)
        close = 4 * float(np.finfo(dtype).eps)
        assert loss == pytest.approx(wanted["loss"], rel=close)
        np.testing.assert_allclose(gradients["w"], wanted["gradient.w"], rtol=close)


@pytest.mark.parametrize(("batch", "threads"), [(1, 1), (3, 1), (8, 1), (40, 2)])
def test_random_numbers_of_a_prediction_are_those_of_the_row(batch, threads):
    text = "input x: float[2] param w: float[2] = 1 output y = w * x + uniform(x) loss l2(w * x)"
    program, net = compiled(text, 40, threads)
    x = np.zeros((batch, 2))
    graph = Graph({"y": pipeline.forward(program, training=False).outputs["output.y"]})
    wanted = evaluate(graph, {("input", "x"): x, ("param", "w"): net.params["w"]}, net.seed)["y"]
    for _ in range(2):
        np.testing.assert_allclose(net.forward(x=x)["y"], wanted, rtol=1e-12)
