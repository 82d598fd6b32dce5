"""Sums of very many float32 numbers keep their digits."""

from __future__ import annotations

import numpy as np
import pytest
from pairs import in_turn

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
@pytest.mark.parametrize(
    ("shape", "axes"), [("1000003", ""), ("1001, 999", ""), ("3, 401, 700", "")]
)
def test_a_sum_over_a_million_equal_weights(shape, axes, value):
    value = float(np.float32(value))
    text = f"model m {{ param w: float[{shape}] = zeros input x: float[] loss x * sum(w) }}"
    count = np.prod([int(each) for each in shape.split(",")])
    found = loss_of(text, 1, {"x": np.ones(1)}, {"w": value})
    assert found == pytest.approx(count * value, rel=4e-7)


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


# Sums of one example each: lanes are added up side by side.


@pytest.mark.parametrize("batch", [1, 20, 300])
def test_the_sum_of_an_example_over_very_many_equal_terms(batch):
    x = np.full((batch, 20_000, 3), 0.1, np.float32)
    text = """model m { input x: float[20000, 3] output a = sum(x) output b = sum(x; axis=0)
  output c = mse(x, 0 * x) }"""
    net = specc.compile(driver.load(Source("x.dl", text)), batch=batch, dtype="float32", threads=1)
    found = net.forward(x=x)
    value = float(x[0, 0, 0])
    np.testing.assert_allclose(found["a"], 60_000 * value, rtol=2e-6)
    np.testing.assert_allclose(found["b"], 20_000 * value, rtol=2e-6)
    np.testing.assert_allclose(found["c"], value**2, rtol=2e-6)


SUMS = [
    ((1025,), "sum(x * w)", lambda x, w: (x * w).sum(1)),
    ((1500, 4), "sum(x + w; axis=0)", lambda x, w: (x + w).sum(1)),
    ((1030, 90), "sum(x; axis=0)", lambda x, w: x.sum(1)),
    ((3, 2000, 2), "sum(x * w; axis=1)", lambda x, w: (x * w).sum(2)),
    (
        (40, 5, 31),
        "sum(transpose(x; 1, 0, 2) * transpose(w; 1, 0, 2); keep=1)",
        lambda x, w: (x * w).sum((1, 3)),
    ),
    ((2, 37, 41), "sum(exp(x) * w; keep=1)", lambda x, w: (np.exp(x) * w).sum((2, 3))),
    ((7, 11, 13, 2), "sum(x * w; keep=0)", lambda x, w: (x * w).sum((1, 2, 3, 4))),
    ((2000,), "sum(x) / max(x)", lambda x, w: x.sum(1) / x.max(1)),
    ((3000,), "softmax(x)", lambda x, w: np.exp(x) / np.exp(x).sum(1, keepdims=True)),
]
SETTINGS = [("float32", 1), ("float64", 2), ("float32", 2), ("float64", 1)]


@pytest.mark.parametrize(
    ("case", "setting"), in_turn(SUMS, SETTINGS, name=lambda each: f"{each[0]}-{each[1]}")
)
def test_long_sums_of_an_example_in_every_order_of_axes(case, setting):
    (shape, formula, wanted), (dtype, threads) = case, setting
    rng = np.random.default_rng(0)
    text = ", ".join(map(str, shape))
    text = (
        f"model m {{ input x: float[{text}] param w: float[{text}] = zeros output y = {formula} }}"
    )
    program = driver.load(Source("x.dl", text))
    for batch in (1, 5, 33):
        net = specc.compile(program, batch=batch, dtype=dtype, threads=threads, shards=threads)
        x = rng.uniform(0.5, 1.5, (batch, *shape)).astype(dtype)
        w = rng.uniform(0.5, 1.5, shape).astype(dtype)
        net.params["w"][...] = w
        found = net.forward(x=x)["y"]
        exact = wanted(x.astype(float), w.astype(float))
        np.testing.assert_allclose(found, exact, rtol=1e-6 if dtype == "float32" else 1e-13)


def test_the_gradient_of_a_bias_over_many_steps_and_examples():
    text = """seq time = 5000
model m { input x: float[time, 2] let y = x -> dense(3) loss mean(sum(y ^ 2); over=time) }"""
    net = specc.compile(driver.load(Source("x.dl", text)), batch=20, dtype="float32", threads=1)
    net.params["dense1.weight"][...] = 0
    net.params["dense1.bias"][...] = 0.55
    _, gradients = net.loss_and_gradients(x=np.ones((20, 5000, 2)))
    np.testing.assert_allclose(gradients["dense1.bias"], 1.1, rtol=2e-6)


# Products: their slices are added up one by one.


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("channels", "size", "filters", "kernel"), [(1, 128, 2, 1), (3, 64, 20, 3)]
)
def test_the_gradient_of_filters_over_many_places_and_examples(
    channels, size, filters, kernel, threads
):
    text = f"""model m {{ input x: float[{channels}, {size}, {size}]
  loss sum(x -> conv({filters}, kernel={kernel})) }}"""
    program = driver.load(Source("x.dl", text))
    net = specc.compile(program, batch=48, dtype="float32", threads=threads, shards=threads)
    x = np.full((48, channels, size, size), 0.1, np.float32)
    _, gradients = net.loss_and_gradients(x=x)
    wanted = (size - kernel + 1) ** 2 * float(x[0, 0, 0, 0])
    # the narrower the vectors, the more terms are added up in each of their lanes
    np.testing.assert_allclose(gradients["conv1.weight"], wanted, rtol=5e-6)


@pytest.mark.parametrize("units", [1, 2, 10])
def test_dense_layers_of_very_many_inputs(units):
    x = np.full((20, 300_000), 0.1, np.float32)
    text = f"model m {{ input x: float[300000] output y = x -> dense({units}) }}"
    net = specc.compile(driver.load(Source("x.dl", text)), batch=20, dtype="float32", threads=1)
    net.params["dense1.weight"][...] = 1
    np.testing.assert_allclose(net.forward(x=x)["y"], 300_000 * float(x[0, 0]), rtol=1e-4)
