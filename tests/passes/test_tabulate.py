"""Products of looked-up rows: which become look-ups in a table, and that nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from model_files import random_examples
from sequences import interpreted, load, randomized

import specc
from specc import pipeline
from specc.ir.kind import Kind
from specc.ops.contract import Contract
from specc.pipeline import Batch, Job, run

COUNT = 19
WORDS = "seq time = 6 model m { input x: class(5)[time] "
LETTER = "model m { input x: class(4) target y: class(3) "

MODELS = {
    "a dense layer": (
        WORDS + "target y: class(3)[time] let w = x -> embed(19) -> dense(3)"
        " output w loss cross_entropy(w, y) }"
    ),
    "one class": LETTER
    + "let w = x -> embed(17) -> tanh -> dense(3) output w loss cross_entropy(w, y) }",
    "one class, at once": LETTER
    + "let w = x -> embed(17) -> dense(3) output w loss cross_entropy(w, y) }",
    "recurrent layers": (
        WORDS + "target y: class(3)[time] let w = x -> embed(7) -> gru(5) -> lstm(4) -> dense(3)"
        " output w loss cross_entropy(w, y) }"
    ),
    "steps of varying number": (
        "seq time = 6 model m { input x: class(5)[<= time] target y: class(3)[<= time]"
        " let w = x -> embed(7) -> rnn(18) -> dense(3) output w loss cross_entropy(w, y) }"
    ),
    "rows that are read twice": (
        WORDS + "target y: class(3)[time] let v = x -> embed(9)"
        " let w = concat(v -> dense(17), v) -> dense(3) output w loss cross_entropy(w, y) }"
    ),
    "a table that scores words, too": (
        WORDS + "target y: class(5)[time] param table: float[5, 9] = normal"
        " let v = table[x] -> dense(9) -> tanh let w = v @ transpose(table)"
        " output w loss cross_entropy(w, y) }"
    ),
    "weights on the right": (
        WORDS + "target y: float[time, 4] param table: float[5, 9] = normal"
        " param mix: float[9, 4] = normal let w = table[x] @ mix output w loss mse(w, y) }"
    ),
    "few rows": "seq time = 2 model m { input x: class(60)[time] target y: float[3]"
    " let w = x -> embed(4) -> dense(5) -> last -> dense(3) output w loss mse(w, y) }",
}
TABLED = {
    "a dense layer",
    "one class, at once",
    "recurrent layers",
    "steps of varying number",
    "rows that are read twice",
    "a table that scores words, too",
    "weights on the right",
}
TRAIN = ' train { data npz("x.npz") optimizer sgd(lr = 0.1) batch = 19 }'


def data_for(program, count=COUNT):
    return random_examples(program.ports, count, 1)


def products(program, kind=Kind.TRAIN, count=COUNT):
    """The products of weights alone."""
    made = run(Job(program, kind), through="prepare", batch=Batch(count, 8, 8))
    return [
        node
        for node in made.graph.nodes
        if isinstance(node.op, Contract) and not any(each.type.batched for each in node.inputs)
    ]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", MODELS)
def test_values_are_those_of_the_interpreter(name, threads):
    program = load(MODELS[name])
    net = specc.compile(program, batch=COUNT, dtype="float64", threads=threads, shards=threads)
    randomized(net)
    data = data_for(program)
    wanted = interpreted(program, net, data, pipeline.with_gradients(program))
    loss, gradients = net.loss_and_gradients(**data)
    assert loss == pytest.approx(wanted["loss"], rel=1e-10)
    for path, gradient in gradients.items():
        np.testing.assert_allclose(gradient, wanted[f"gradient.{path}"], rtol=1e-10, atol=1e-10)
    inputs = {
        port.name: data[port.name]
        for port in program.ports
        if port.role == "input" or port.length_of
    }
    for rows in (COUNT, 3, 1):
        some = {port: values[:rows] for port, values in inputs.items()}
        every = {port: values[:rows] for port, values in data.items()}
        outputs = interpreted(program, net, every, pipeline.forward(program, training=False))
        found = net.forward(**some)["w"]
        np.testing.assert_allclose(found, outputs["output.w"], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", MODELS)
def test_rows_of_a_small_table_are_multiplied_once(name):
    program = load(MODELS[name] + TRAIN)
    assert bool(products(program)) == (name in TABLED)
    assert bool(products(program, Kind.PREDICT)) == (name in TABLED or name == "few rows")


def test_a_batch_that_looks_up_few_rows_multiplies_those():
    program = load(MODELS["a dense layer"] + TRAIN)
    assert products(program, count=2)  # 12 rows, of 5
    assert not products(program, count=1)


def test_operands_that_are_rounded_stay_apart():
    program = load(MODELS["a dense layer"] + TRAIN.replace("batch", "precision = bfloat16 batch"))
    assert not products(program)


def test_a_table_that_is_made_ahead_of_predictions_follows_the_weights():
    program = load(MODELS["recurrent layers"] + TRAIN)
    net = specc.compile(program, batch=COUNT, dtype="float64", threads=2)
    data = data_for(program)
    before = {}
    for step in range(3):
        net.step(**data) if step < 2 else randomized(net)
        for rows in (COUNT, 1):
            some = {port: values[:rows] for port, values in data.items()}
            wanted = interpreted(program, net, some, pipeline.forward(program, training=False))
            found = net.forward(x=data["x"][:rows])["w"]
            np.testing.assert_allclose(found, wanted["output.w"], rtol=1e-10, atol=1e-10)
            assert not np.array_equal(found, before.get(rows))
            before[rows] = found


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_do_not_decide_bits(dtype):
    program = load(MODELS["recurrent layers"] + TRAIN)
    data = data_for(program, 40)
    weights = []
    for threads in (1, 2):
        net = specc.compile(program, batch=40, dtype=dtype, threads=threads, shards=2, seed=3)
        for _ in range(3):
            net.step(**data)
        weights.append(net.params)
    assert all(np.array_equal(weights[1][path], array) for path, array in weights[0].items())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shards", [1, 2, 3])
@pytest.mark.parametrize(
    ("steps", "words", "width", "units"), [(24, 65, 64, 64), (24, 64, 64, 200), (9, 33, 40, 72)]
)
def test_parts_of_a_product_of_weights_make_the_whole(steps, words, width, units, shards, dtype):
    """Shards divide the products with the table: every element is computed, and by one of them."""
    examples = 48
    text = (
        f"seq time = {steps} model m {{ input x: class({words})[time]"
        f" target y: float[time, {units}]"
        f" let z = x -> embed({width}) -> dense({units}) output z loss mse(z, y) }}"
        " train { optimizer sgd(lr = 0.1) batch = 48 }"
    )
    net = specc.compile(specc.loads(text), batch=examples, dtype=dtype, threads=1, shards=shards)
    random = np.random.default_rng(0)
    x = random.integers(0, words, (examples, steps))
    y = random.normal(size=(examples, steps, units))
    loss, found = net.loss_and_gradients(x=x, y=y)
    table, weight, bias = (
        net.params[name].astype(float) for name in ("embed1.weight", "dense1.weight", "dense1.bias")
    )
    error = table[x] @ weight.T + bias - y
    slope = 2 * error / error.size
    assert loss == pytest.approx((error**2).mean(), rel=1e-5)
    expected = np.zeros_like(table)
    np.add.at(expected, x, slope @ weight)
    tolerance = (
        {"rtol": 1e-4, "atol": 1e-7} if dtype == "float32" else {"rtol": 1e-9, "atol": 1e-14}
    )
    np.testing.assert_allclose(found["embed1.weight"], expected, **tolerance)
    wanted = np.einsum("nti,ntj->ij", slope, table[x])
    np.testing.assert_allclose(found["dense1.weight"], wanted, **tolerance)
