"""Sums of very many float32 numbers keep their digits, with vectors of any width.

Equal numbers are the hardest: their rounding errors do not cancel.
"""

from __future__ import annotations

import numpy as np
import pytest
from pairs import in_turn

import specc
from specc import driver
from specc.backend.machine import this_machine
from specc.source import Source

VALUES = [0.1, 0.3, 1 / 3, 0.55, 0.7, 1.1]


@pytest.fixture(params=[128, 256, 512])
def bits(request, monkeypatch) -> int:
    """The width of the vectors."""
    monkeypatch.setenv("SPECC_VECTOR_BITS", str(request.param))
    if this_machine().vector_bits < request.param:
        pytest.skip(f"no vectors of {request.param} bits here")
    return request.param


def compiled(text: str, batch: int, threads: int = 1):
    program = driver.load(Source("x.dl", text))
    return specc.compile(program, batch=batch, dtype="float32", threads=threads, shards=threads)


def largest_error(found, wanted) -> float:
    return float(np.max(np.abs(np.asarray(found, float) / wanted - 1)))


def loss_of(text: str, batch: int, examples: dict, weights: dict) -> float:
    net = specc.compile(driver.load(Source("x.dl", text)), batch=batch, dtype="float32", threads=1)
    for name, array in weights.items():
        net.params[name][...] = array
    loss, _ = net.loss_and_gradients(**examples)
    return loss


@pytest.mark.parametrize(
    ("shape", "formula", "term", "bound"),
    [
        ("1000003", "sum(w)", lambda w: w, 3e-7),
        ("1001, 999", "sum(w)", lambda w: w, 3e-7),
        ("3, 401, 700", "sum(w)", lambda w: w, 3e-7),
        ("1000000", "sum(exp(w))", np.exp, 3e-7),
        ("1000000", "sum(sqrt(w) * w)", lambda w: w**1.5, 3e-7),
        # LLVM has a single partial sum here
        ("1000000", "2 * sum(w[::2])", lambda w: w, 2e-6),
        ("1200, 1000", "sum(transpose(w[:1000, :]) * w[:1000, :]) * 1.2", lambda w: w**2, 2e-6),
    ],
)
def test_a_sum_over_a_million_equal_weights(shape, formula, term, bound, bits):
    net = compiled(
        f"model m {{ param w: float[{shape}] = zeros input x: float[] loss x * {formula} }}", 1
    )
    count = np.prod([int(each) for each in shape.split(",")])
    for value in VALUES:
        net.params["w"][...] = value
        found, _ = net.loss_and_gradients(x=np.ones(1))
        assert largest_error(found, count * term(float(np.float32(value)))) < bound


def test_a_penalty_over_a_million_weights(bits):
    w = np.random.default_rng(0).uniform(0.5, 1, 1_000_000).astype(np.float32)
    text = "model m { param w: float[1000000] = zeros input x: float[] loss x * l2(w) }"
    found = loss_of(text, 1, {"x": np.ones(1)}, {"w": w})
    assert found == pytest.approx(np.sum(w.astype(float) ** 2), rel=3e-7)


def test_the_mean_over_very_many_examples(bits):
    x = np.full(200_001, 0.1, np.float32)
    text = "model m { param w: float[] = ones input x: float[] loss w * x }"
    found = loss_of(text, len(x), {"x": x}, {})
    assert found == pytest.approx(float(x[0]), rel=6e-7)


def test_the_gradient_of_a_bias_over_many_places_and_examples(bits):
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


def test_the_gradient_of_a_bias_over_many_steps_and_examples(bits):
    text = """seq time = 5000
model m { input x: float[time, 2] let y = x -> dense(3) loss mean(sum(y ^ 2); over=time) }"""
    net = specc.compile(driver.load(Source("x.dl", text)), batch=20, dtype="float32", threads=1)
    net.params["dense1.weight"][...] = 0
    net.params["dense1.bias"][...] = 0.55
    _, gradients = net.loss_and_gradients(x=np.ones((20, 5000, 2)))
    np.testing.assert_allclose(gradients["dense1.bias"], 1.1, rtol=2e-6)


# Products: the sums of their slices are added up.


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("channels", "size", "layer", "kernel"),
    [
        (1, 128, "conv(2, kernel=1)", 1),
        (3, 64, "conv(20, kernel=3)", 3),
        (8, 64, "conv(8, kernel=3, groups=8)", 3),
        (16, 64, "conv(64, kernel=3)", 3),
    ],
)
def test_the_gradient_of_filters_over_many_places_and_examples(
    channels, size, layer, kernel, threads, bits
):
    text = f"model m {{ input x: float[{channels}, {size}, {size}] loss sum(x -> {layer}) }}"
    net = compiled(text, 48, threads)
    for value in VALUES:
        x = np.full((48, channels, size, size), value, np.float32)
        _, gradients = net.loss_and_gradients(x=x)
        wanted = (size - kernel + 1) ** 2 * float(x[0, 0, 0, 0])
        assert largest_error(gradients["conv1.weight"], wanted) < 2e-6


def test_the_gradient_of_filters_along_a_very_long_row(bits):
    net = compiled(
        "model m { input x: float[4, 3, 30000] loss sum(x -> conv(4, kernel=3, groups=4)) }", 1
    )
    different = np.random.default_rng(0).uniform(0.5, 1, (1, 4, 3, 30_000))
    for x in (different.astype(np.float32), np.full(different.shape, 0.3, np.float32)):
        _, gradients = net.loss_and_gradients(x=x)
        windows = np.lib.stride_tricks.sliding_window_view(x[0].astype(float), 29_998, 2)
        assert largest_error(gradients["conv1.weight"][:, 0], windows.sum(3)) < 2e-6


@pytest.mark.parametrize("batch", [1, 20])
def test_the_mean_of_a_large_window(batch, bits):
    net = compiled("model m { input x: float[2, 200, 200] output y = x -> avgpool(200) }", batch)
    for value in VALUES:
        found = net.forward(x=np.full((batch, 2, 200, 200), value, np.float32))["y"]
        assert largest_error(found, float(np.float32(value))) < 2e-5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("channels", "layer"), [(3, "conv(5, kernel=3)"), (4, "conv(4, kernel=3, groups=4)")]
)
def test_the_gradient_of_filters_over_different_numbers(channels, layer, dtype, bits):
    text = f"model m {{ input x: float[{channels}, 64, 64] loss sum(x -> {layer}) }}"
    net = specc.compile(driver.load(Source("x.dl", text)), batch=48, dtype=dtype, threads=1)
    x = np.random.default_rng(0).uniform(0.5, 1, (48, channels, 64, 64)).astype(dtype)
    _, gradients = net.loss_and_gradients(x=x)
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(float), (62, 62), (2, 3))
    sums = windows.sum((4, 5)).mean(0)
    found = gradients["conv1.weight"]
    wanted = sums[:, None] if "groups" in layer else np.broadcast_to(sums, found.shape)
    assert largest_error(found, wanted) < (1e-6 if dtype == "float32" else 1e-14)


@pytest.mark.parametrize(("units", "batch", "bound"), [(1, 20, 2e-5), (10, 5, 2e-5), (10, 1, 2e-6)])
def test_dense_layers_of_very_many_inputs(units, batch, bound, bits):
    text = f"model m {{ input x: float[300000] output y = x -> dense({units}) }}"
    net = compiled(text, batch)
    net.params["dense1.weight"][...] = 1
    for value in VALUES:
        found = net.forward(x=np.full((batch, 300_000), value, np.float32))["y"]
        assert largest_error(found, 300_000 * float(np.float32(value))) < bound


@pytest.mark.parametrize("batch", [1, 16])
def test_products_of_two_values_of_an_example(batch, bits):
    text = "model m { input x: float[4, 20000] input y: float[20000, 4] output z = x @ y }"
    net = compiled(text, batch)
    y = np.ones((batch, 20_000, 4), np.float32)
    for value in VALUES:
        found = net.forward(x=np.full((batch, 4, 20_000), value, np.float32), y=y)["z"]
        assert largest_error(found, 20_000 * float(np.float32(value))) < 3e-6
