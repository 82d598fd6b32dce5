"""Tensor parallelism at a step of training: it must calculate what one thread does."""

from __future__ import annotations

import numpy as np
import pytest
from model_files import random_examples
from pairs import in_turn

import specc
from specc.backend.machine import this_machine
from specc.ir.graph import apply
from specc.ir.kind import Kind
from specc.ir.types import Type
from specc.ops.contract import Contract, index
from specc.ops.leaf import Input, Role, leaf
from specc.passes import tensor_parallel
from specc.recipe import Column
from specc.source import Source

VECTOR = this_machine().lanes("float64")
NETWORKS = {
    "classes": (
        """input x: float[131] target y: class(7)
        let w = x -> dense(257) -> relu -> dense(190) -> tanh -> dense(7)
        output w loss cross_entropy(w, y) metric accuracy(w, y)""",
        64,
    ),
    "few examples": (
        """input x: float[300] target y: float[3]
        let w = x -> dense(300) -> sigmoid -> dense(3) output w loss mse(w, y)""",
        5,
    ),
    "few features": (
        """input x: float[5] target y: float[2]
        let w = x -> dense(300) -> relu -> dense(200) -> relu -> dense(2) output w
        loss mse(w, y)""",
        21,
    ),
    "back again": (
        """input x: float[400]
        let w = x -> dense(300) -> relu -> dense(30) -> dense(300) -> relu -> dense(400) -> sigmoid
        output w loss mse(w, x)""",
        48,
    ),
    "two inputs and two losses": (
        """input a: float[9, 21] input b: float[230] target y: float[] target z: class(4)
        let h = concat(a -> flatten -> dense(150) -> relu, b -> dense(170))
        let w = h -> dense(180) -> relu
        let u = w -> dense(1) let v = w -> dense(4)
        output v loss mse(u[0], y) loss 0.3 * cross_entropy(v, z) + 0.001 * sum(w)""",
        33,
    ),
    "shared weights": (
        """input x: float[256] target y: float[]
        layer tower = dense(256) -> relu
        let w = x -> tower -> tower -> dense(1) output w loss mse(w[0], y)""",
        16,
    ),
    "normalized": (
        """input x: float[200] target y: class(5)
        let w = x -> dense(300) -> batchnorm -> relu -> dropout(0.3) -> dense(280) -> layernorm
        -> relu -> dense(5)
        output w loss cross_entropy(w, y)""",
        32,
    ),
    "a loss that one shard computes": (
        """input x: float[300]
        let w = x -> dense(300) -> tanh -> dense(300) -> tanh -> dense(300) output w loss l2(w)""",
        16,
    ),
    "noise on weights": (
        """input x: float[120] param v: float[130, 120] = normal
        let u = v -> dropout(0.3)
        let w = u @ x -> tanh -> dense(140) -> relu -> dense(3) output w loss l2(w)""",
        16,
    ),
    "softmax over many": (
        """input x: float[250] target y: class(333)
        let w = x -> dense(260) -> relu -> dense(333) output softmax(w) loss cross_entropy(w, y)""",
        40,
    ),
    "attention": (
        """input x: class(31)[time] target y: class(31)[time]
        let h = x -> embed(32) -> learned_positions -> transformer(heads=2, causal=true)
        let s = h -> layernorm -> dense(31) output s loss cross_entropy(s, y)""",
        VECTOR,
    ),
    "products of two values": (
        """input q: float[20] input k: float[37, 20] target y: float[20]
        let s[u] = sum(i: q[i] * k[u, i]) / 5
        let a[u] = softmax(u: s[u])
        let w[i] = sum(u: a[u] * k[u, i])
        let z = w -> dense(64) -> tanh -> dense(20) output z loss mse(z, y)""",
        VECTOR - 1,
    ),
    "a number": (
        """input x: float[300] target y: float[] param p: float[300] = normal
        let w = p @ (x -> dense(300) -> tanh) output w loss mse(w, y)""",
        VECTOR // 2 + 1,
    ),
    "one step": (
        """input x: float[1, 40] target y: float[1, 9]
        param u: float[60, 40] = normal param v: float[9, 60] = normal
        let h[t, i] = tanh(sum(j: u[i, j] * x[t, j]))
        let w[t, i] = sum(j: v[i, j] * h[t, j]) output w loss mse(w, y)""",
        VECTOR,
    ),
    "a table": (
        """input x: class(50) input z: float[70] target y: class(5)
        let w = concat(x -> embed(80), z) -> dense(90) -> relu -> dense(5) output w
        loss cross_entropy(w, y)""",
        2 * VECTOR + 1,
    ),
}
OPTIMIZERS = [
    "sgd(lr=0.1)",
    "momentum(lr=0.05)",
    "adam(lr=0.003)",
    "adafactor(lr=0.03)",
    "sam(lr=0.05)",
]


@pytest.fixture(autouse=True)
def _eager(monkeypatch):
    """Small networks, too, use tensor parallelism."""
    monkeypatch.setattr(tensor_parallel, "WORTH_MEETING", 0)
    monkeypatch.setattr(tensor_parallel, "WEIGHTS", 0)
    monkeypatch.setattr(tensor_parallel, "MOST_VECTORS", 64)
    monkeypatch.setattr(tensor_parallel, "PRODUCTS_FROM", 1 << 10)
    monkeypatch.setattr(tensor_parallel, "SPLIT_FROM", 1 << 8)


def compiled(
    name: str, threads: int, dtype: str = "float64", optimizer: str = "sgd(lr=0.1)", **more
):
    text, batch = NETWORKS[name]
    before = "seq time = 6" if "time" in text else ""
    source = Source(
        "m.dl",
        f'{before} model m {{ {text} }} train {{ data npz("a.npz") optimizer {optimizer} }}',
    )
    return specc.compile(
        specc.load(source),
        batch=batch,
        threads=threads,
        shards=threads,
        dtype=dtype,
        seed=5,
        **more,
    )


def examples(net, count: int) -> dict[str, Column]:
    found = random_examples(net.ports, count, 2)
    return {name: Column(array) for name, array in found.items()}


@pytest.mark.parametrize(("name", "threads", "optimizer"), in_turn([*NETWORKS], [2, 3], OPTIMIZERS))
def test_it_trains_as_one_thread_does(name, threads, optimizer):
    alone, other = (
        compiled(name, 1, optimizer=optimizer),
        compiled(name, threads, optimizer=optimizer),
    )
    assert (
        other.plan(Kind.TRAIN).sharing.same_examples
        and other.working_threads == threads
        and not alone.plan(Kind.TRAIN).sharing.same_examples
    )
    rows = 4 * alone.batch - alone.batch // 2  # the last batch is not full
    data = examples(alone, rows)
    records = [net.train(data, np.arange(rows), 0, 4, 4) for net in (alone, other)]
    np.testing.assert_allclose(records[1], records[0], rtol=1e-9)
    for path, value in alone.params.items():
        np.testing.assert_allclose(other.params[path], value, rtol=1e-6, atol=1e-9, err_msg=path)
    for path, value in alone.states.items():
        np.testing.assert_allclose(other.states[path], value, rtol=1e-6, atol=1e-9, err_msg=path)


@pytest.mark.parametrize("name", list(NETWORKS))
def test_its_gradients_are_those_of_one_thread(name):
    alone, other = compiled(name, 1), compiled(name, 2)
    assert other.plan(Kind.GRADIENTS).sharing.same_examples
    data = {key: each.array for key, each in examples(alone, alone.batch).items()}
    loss, gradients = alone.loss_and_gradients(**data)
    for _ in range(5):
        other.loss_and_gradients(
            **{key: array[::-1] for key, array in data.items()}
        )  # leaves other values
        loss_2, gradients_2 = other.loss_and_gradients(**data)
        assert loss_2 == pytest.approx(loss, rel=1e-12)
        for path, value in gradients.items():
            np.testing.assert_allclose(
                gradients_2[path], value, rtol=1e-9, atol=1e-12, err_msg=path
            )


@pytest.mark.parametrize(("name", "rows"), in_turn([*NETWORKS], [2, 5, 16, 33]))
def test_it_predicts_as_one_thread_does(name, rows):
    alone, other = compiled(name, 1), compiled(name, 3)
    data = examples(alone, rows)
    program = other.compiled(Kind.PREDICT, rows)
    assert program.plan.sharing.same_examples == (rows <= this_machine().lanes("float64"))
    ports = {key: data[key] for key in program.ports}
    _, found = program.run(ports, np.arange(rows), rows)
    wanted = alone.predict_rows(data)
    for path, value in wanted.items():
        np.testing.assert_allclose(found[f"output.{path}"], value, rtol=1e-10, atol=1e-12)
    arrays = {key: each.array for key, each in ports.items()}
    for _ in range(25):  # each way in turn
        for path, value in other.forward(**arrays).items():
            np.testing.assert_allclose(value, wanted[path], rtol=1e-10, atol=1e-12)


def test_memory_is_given_out_again():
    net = compiled("back again", 2)
    plan = net.plan(Kind.TRAIN)
    batched = sum(
        node.type.elements * plan.lanes * 8 for node in plan.allocations if node.type.batched
    )
    assert plan.arena_bytes < batched


OTHERS = {
    "convolution": """input x: float[3, 12, 12] target y: class(5)
        let w = x -> conv(16, kernel=3) -> relu -> flatten -> dense(5) output w
        loss cross_entropy(w, y)""",
    "recurrent": """input x: float[time, 40] target y: class(5)
        let w = x -> rnn(60) -> last -> dense(5) output w loss cross_entropy(w, y)""",
    "steps of many examples": """input x: float[time, 40] target y: float[time, 9]
        let w = x -> dense(60) -> tanh -> dense(9) output w loss mse(w, y)""",
}


@pytest.mark.parametrize("name", list(OTHERS))
def test_other_networks_divide_their_examples(name, monkeypatch):
    monkeypatch.setitem(NETWORKS, name, (OTHERS[name], 64))
    assert not compiled(name, 2).plan(Kind.TRAIN).sharing.same_examples


def test_it_is_for_more_weights_than_activations(monkeypatch):
    monkeypatch.undo()
    wide = "input x: float[784] target y: class(10) let w = x -> dense(512) -> relu -> dense(10)"
    many = "input x: float[32] target y: class(10) let w = x -> dense(48) -> relu -> dense(10)"
    for text, batch, wanted in ((wide, 32, True), (wide, 4096, False), (many, 64, False)):
        NETWORKS["tried"] = (f"{text} output w loss cross_entropy(w, y)", batch)
        assert compiled("tried", 2, "float32").plan(Kind.TRAIN).sharing.same_examples == wanted
    del NETWORKS["tried"]


def test_a_shard_goes_on_with_its_own_channels_without_a_barrier():
    plan = compiled("few features", 2).plan(Kind.TRAIN)
    made = {node: step for step in plan.steps if step.by_channels for node, _ in step.stores}
    readers = [
        (step, made[each])
        for step in plan.steps
        if step.by_channels and step.group.kind == "nest"
        for node in step.group.nodes
        for each in node.inputs
        if each in made and made[each].group.kind == "contract"
    ]
    assert any(reader.phase == maker.phase for reader, maker in readers)


@pytest.mark.parametrize(("rows", "shards", "wanted"), [(4, 2, True), (4, 3, False), (6, 3, True)])
def test_every_shard_has_rows_of_a_divided_sum(rows, shards, wanted):
    weights = leaf(Input(Role.PARAM, "w", Type("float", (rows, 900))))
    dy = leaf(Input(Role.INPUT, "dy", Type("float", (rows,), True)))
    op = Contract((900, rows), (index(0),), (index(1), index(0)), (index(1),), (900,))
    assert tensor_parallel.sums_over_rows(apply(op, weights, dy), shards, 64) == wanted
