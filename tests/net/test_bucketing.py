"""Batches of short examples train on programs over fewer steps, and come to the same weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pairs import in_turn
from sequences import load, randomized
from test_varying import NETWORKS

import specc
import specc.net.training
from specc import driver
from specc.net.bucketing import shorter, stretches
from specc.recipe import Column

MODELS = Path(__file__).resolve().parents[2] / "models"
TRAIN = " train { optimizer momentum(lr = 0.05) }"
LONGER = {
    "seq time = 6": "seq time = 13",
    "one = 6 seq other = 5": "one = 13 seq other = 9",
    "read = 6 seq written = 4": "read = 9 seq written = 17",
    "seq time = 3\n": "seq time = 11\n",
}
USED = (
    "bidirectional",
    "final states",
    "mean",
    "previous",
    "encoder and decoder",
    "batchnorm",
    "batchnorm of images",
    "the last class",
    "two lengths",
    "a target of fixed length",
    "a loss and a metric of each step",
    "last of reversed",
)


def longer(name):
    text = NETWORKS[name]
    for short, long in LONGER.items():
        text = text.replace(short, long)
    return load(text + TRAIN)


def data_for(program, rows, batch, seed=0):
    """Random data; the lengths of every batch come up to a random bound."""
    rng = np.random.default_rng(seed)
    found = {}
    for port in program.ports:
        if port.length_of:
            bound = rng.integers(1, port.classes, -(-rows // batch)).repeat(batch)[:rows]
            found[port.name] = Column(rng.integers(1, bound + 1).astype(np.int32))
        elif port.kind == "class":
            found[port.name] = Column(rng.integers(0, port.classes, (rows, *port.shape)))
        else:
            found[port.name] = Column(rng.standard_normal((rows, *port.shape)))
    return found


def trained(program, data, rows, batch, threads, total):
    net = specc.compile(program, batch=batch, dtype="float64", threads=threads, shards=threads)
    randomized(net)
    records = net.train(data, np.arange(rows), 0, rows, total)
    return net, records


@pytest.mark.parametrize(("name", "threads"), in_turn(USED, [1, 2]))
def test_short_batches_come_to_the_same_weights(name, threads):
    program, batch = longer(name), 19
    rows = 6 * batch + 5
    data = data_for(program, rows, batch)
    whole, wanted = trained(program, data, rows, batch, threads, 0)
    short, found = trained(
        program, data, rows, batch, threads, specc.net.training.STEPS_WORTH_PROGRAMS
    )
    assert not whole.training.buckets and len(short.training.buckets) > 2
    assert all(each is not short.programs for each in short.training.buckets.values())
    np.testing.assert_allclose(found, wanted, rtol=1e-9)
    for path, array in whole.params.items():
        np.testing.assert_allclose(short.params[path], array, rtol=1e-9, atol=1e-11)
    for path, array in whole.states.items():
        np.testing.assert_allclose(short.states[path], array, rtol=1e-9, atol=1e-11)
    assert short.steps_done == whole.steps_done == 7


@pytest.mark.parametrize("name", sorted(set(NETWORKS) - set(USED)))
def test_a_program_over_fewer_steps_is_seen_to_be_the_same(name):
    program = longer(name)
    assert shorter(program, (("time", 5),)) is not None


def test_dropout_draws_the_same_over_fewer_steps():
    program = load(
        """seq time = 16 model m { input x: float[<= time, 3] target y: float[2]
        let w = x -> rnn(4) -> dropout(0.5) -> last -> dense(2)
        output w loss mse(w, y) }"""
        + TRAIN
    )
    data = data_for(program, 64, 16)
    _whole, wanted = trained(program, data, 64, 16, 1, 0)
    short, found = trained(program, data, 64, 16, 1, specc.net.training.STEPS_WORTH_PROGRAMS)
    assert short.training.buckets
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


@pytest.mark.parametrize(
    "body",
    [
        # the number of steps is in a formula
        "let w = sum(x -> rnn(4); over=time) / time -> dense(2)",
        "let w = concat(sum(x; over=time), sum(z; over=time)) -> dense(2)",  # z has all steps
    ],
)
def test_what_depends_on_all_steps_keeps_them(body):
    program = load(
        f"""seq time = 16 model m {{ input x: float[<= time, 3] input z: float[time, 3]
        target y: float[2] {body} output w loss mse(w, y) }}"""
        + TRAIN
    )
    assert shorter(program, (("time", 8),)) is None
    data = data_for(program, 64, 16)
    _whole, wanted = trained(program, data, 64, 16, 1, 0)
    kept, found = trained(program, data, 64, 16, 1, specc.net.training.STEPS_WORTH_PROGRAMS)
    assert all(each is kept.programs for each in kept.training.buckets.values())
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_neighbouring_batches_of_one_size_run_together():
    program = load("""seq time = 16 model m { input x: float[<= time, 3] target y: float[2]
        let w = x -> rnn(4) -> last -> dense(2) output w loss mse(w, y) }""")
    counts = np.repeat([3, 4, 16, 5], 4).astype(np.int32)
    found = list(stretches(program.ports, {"x.length": Column(counts)}, np.arange(15), 4))
    assert found == [((("time", 4),), 0, 8), ((), 8, 12), ((("time", 6),), 12, 15)]


def test_a_training_in_one_call_or_many_is_the_same():
    program, batch = longer("rnn"), 8
    data = data_for(program, 100, batch)
    one, _wanted = trained(program, data, 100, batch, 1, specc.net.training.STEPS_WORTH_PROGRAMS)
    many = specc.compile(program, batch=batch, dtype="float64", threads=1)
    randomized(many)
    for start in range(0, 100, 3 * batch):
        order = np.arange(start, min(start + 3 * batch, 100))
        many.train(data, order, start // batch, 100, specc.net.training.STEPS_WORTH_PROGRAMS)
    for path, array in one.params.items():
        assert np.array_equal(many.params[path], array)


def test_the_models_of_varying_length_have_programs_over_fewer_steps():
    for name, sizes, steps in (
        ("translate", {"figures_": 11, "letters": 9}, (("written", 24),)),
        ("sentiment", {"length": 40, "vocab": 50}, (("length", 20),)),
    ):
        assert shorter(driver.load(MODELS / f"{name}.dl", sizes), steps) is not None
