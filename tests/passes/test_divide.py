"""Gradients of wide layers and tables are divided by rows among the shards: the same by value."""

from __future__ import annotations

import numpy as np
import pytest
from model_files import random_examples
from pairs import pairwise

import specc
from specc.ir.plan import Mode
from specc.passes.divide import divide
from specc.source import Source

MODELS = {
    "dense": """model m {
        input x: float[301] target y: float[97]
        loss mse(x -> dense(130) -> relu -> dense(203) -> tanh -> dense(97), y) }""",
    "decayed": """model m {
        input x: float[301] target y: float[97]
        loss mse(x -> dense(130) -> relu -> dense(97), y)
        loss penalty = 0.01 * l2(weights)  # allow: penalty-with-adam
        }""",
    "shared": """model m {
        input x: float[260] target y: float[260] param w: float[260, 260] = normal
        loss mse(tanh(x @ w) @ w, y) }""",
    "table": """model m {
        input words: class(400)[7] target y: float[61]
        param table: float[400, 61] = normal
        loss mse(mean(table[words]; axis=0) -> dense(61), y) }""",
}
OPTIMIZERS = {
    "momentum": "optimizer momentum(lr=0.05)",
    "adam": "optimizer adam(lr=0.01)",
    "clipped": "optimizer adam(lr=0.01) clip_norm = 0.5",
}


def trained(model: str, optimizer: str, threads: int, batch: int = 17, dtype: str = "float64"):
    text = f"{MODELS[model]} train {{ {OPTIMIZERS[optimizer]} batch = {batch} }}"
    net = specc.compile(
        specc.load(Source("m.dl", text)), dtype=dtype, threads=threads, shards=threads
    )
    rng = np.random.default_rng(1)
    for _ in range(3):
        net.step(**random_examples(net.ports, batch, rng))
    return net


def modes(net) -> set[str]:
    return {step.mode for step in net.plan("train").steps}


SETTINGS = [(1, "float64"), (2, "float64"), (3, "float64"), (2, "float32")]


@pytest.mark.parametrize(("model", "optimizer", "setting"), pairwise(MODELS, OPTIMIZERS, SETTINGS))
def test_training_is_the_same_by_value(model, optimizer, setting, monkeypatch):
    threads, dtype = setting
    found = trained(model, optimizer, threads, dtype=dtype)
    assert Mode.ROWS in modes(found)
    monkeypatch.setattr("specc.pipeline.divide", lambda graph, *_: graph)
    wanted = trained(model, optimizer, 1)
    assert Mode.ROWS not in modes(wanted)
    tolerance = {"float64": 1e-11, "float32": 2e-3}[dtype]
    for name, value in wanted.params.items():
        np.testing.assert_allclose(found.params[name], value, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("near", [1, 5000, 1 << 30])
def test_pieces_of_every_size_are_updated_once(near, monkeypatch):
    """Whatever the nearest cache holds, a sum is made piece by piece, each updated behind it."""
    wanted = trained("dense", "momentum", 2)
    monkeypatch.setattr("specc.backend.emit.emit._Emitter._cached", property(lambda _: near))
    found = trained("dense", "momentum", 2)
    for name, value in wanted.params.items():
        np.testing.assert_allclose(found.params[name], value, atol=1e-12, err_msg=name)


def test_gradients_are_handed_out_whole():
    text = f"{MODELS['dense']} train {{ {OPTIMIZERS['adam']} batch = 35 }}"
    program = specc.load(Source("m.dl", text))
    rng = np.random.default_rng(0)
    data = {"x": rng.normal(size=(35, 301)), "y": rng.normal(size=(35, 97))}
    two, one = (
        specc.compile(program, dtype="float64", threads=n, shards=n).loss_and_gradients(**data)[1]
        for n in (2, 1)
    )
    for path, gradient in one.items():
        np.testing.assert_allclose(two[path], gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("batch", "widths"), [(35, "12, 7"), (512, "130, 97")])
def test_small_layers_and_large_batches_are_not_divided(batch, widths):
    first, second = widths.split(", ")
    text = f"""model m {{ input x: float[101] target y: float[{second}]
        loss mse(x -> dense({first}) -> relu -> dense({second}), y) }}
        train {{ optimizer adam(lr=0.01) batch = {batch} }}"""
    net = specc.compile(specc.load(Source("m.dl", text)), threads=2, shards=2)
    assert Mode.ROWS not in modes(net)


def test_only_tensor_parallelism_divides_a_product_by_the_rows_of_its_weights():
    text = """model m { input x: float[300] target y: float[3]
        loss mse(x -> dense(400) -> relu -> dense(300) -> dense(3), y) }
        train { optimizer sgd(lr=0.1) batch = 64 }"""
    graph = specc.compile(specc.load(Source("m.dl", text)), threads=2, shards=2).graph("train")
    for is_tensor_parallel, expected in ((False, 0), (True, 1)):
        divided = divide(graph, 2, 32, is_tensor_parallel)
        by_rows = [node for node in divided.nodes if node.op.sums_own_rows]
        assert len(by_rows) == expected
