"""Copies of models, within the process and in others."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import specc
from specc.source import Source

MODELS = Path(__file__).resolve().parents[2] / "models"
TEXT = """
fn twice(x) = 2 * x
model m {
  input x: float[6]
  target y: float
  let p = sum(x -> dense(5) -> batchnorm -> dropout(0.2) -> twice -> tanh -> dense(1))
  output p
  loss mse(p, y)
}
train { optimizer adam(lr = 0.01)  batch = 4 }
"""
STREAM = """
seq time = 4
model m {
  stream text: class(5)[time]
  target next_: class(5)[time]
  let scores = text -> embed(3) -> rnn(4) -> dense(5)
  output scores
  loss cross_entropy(scores, next_)
}
train { optimizer adam(lr = 0.01)  batch = 2 }
"""


def trained(steps: int = 3):
    net = specc.compile(specc.load(Source("m.dl", TEXT)), threads=1, seed=5)
    net.on_divergence = "warn"
    for _ in range(steps):
        net.step(**batch())
    return net


def batch() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "x": random.standard_normal((4, 6)).astype(np.float32),
        "y": random.standard_normal(4).astype(np.float32),
    }


def assert_equal(one, two) -> None:
    assert (one.batch, one.dtype, one.threads, one.seed, one.steps_done) == (
        two.batch,
        two.dtype,
        two.threads,
        two.seed,
        two.steps_done,
    )
    assert one.on_divergence == two.on_divergence
    for name in ("params", "states", "slots"):
        a, b = dict(getattr(one, name)), dict(getattr(two, name))
        assert list(a) == list(b)
        for path in a:
            np.testing.assert_array_equal(a[path], b[path])
            assert not np.shares_memory(a[path], b[path])


@pytest.mark.parametrize(
    "way",
    [copy.deepcopy, copy.copy, lambda net: pickle.loads(pickle.dumps(net))],
    ids=["deepcopy", "copy", "pickle"],
)
def test_a_copy_predicts_and_trains_on_as_the_model_does(way):
    net = trained()
    before = net.forward(x=batch()["x"])["p"].copy()
    other = way(net)
    assert_equal(net, other)
    np.testing.assert_array_equal(other.forward(x=batch()["x"])["p"], before)
    assert [net.step(**batch()) for _ in range(3)] == [other.step(**batch()) for _ in range(3)]
    assert_equal(net, other)
    other.step(**batch())
    assert net.steps_done == 6 and not np.array_equal(
        net.params["dense1.weight"], other.params["dense1.weight"]
    )


def test_a_copy_goes_on_in_its_streams():
    net = specc.compile(specc.load(Source("s.dl", STREAM)), threads=1, seed=0)
    data = {"text": np.arange(8).reshape(2, 4) % 5, "next_": np.arange(1, 9).reshape(2, 4) % 5}
    net.step(**data)
    assert any(array.any() for array in net.slots.values())
    other = pickle.loads(pickle.dumps(net))
    assert_equal(net, other)
    assert net.step(**data) == other.step(**data)
    assert_equal(net, other)


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.dl")), ids=lambda path: path.stem)
def test_every_model_is_the_same_program_after_a_pickle(path):
    from specc.ir.show import show_program

    program = specc.load(path)
    other = pickle.loads(pickle.dumps(program))
    assert show_program(other) == show_program(program)
    assert repr((other.recipe, other.ports)) == repr((program.recipe, program.ports))
    assert {port.span.source for port in other.ports if port.span} == {other.recipe.span.source}
    assert copy.deepcopy(program) is program


def test_a_program_deeper_than_pickles_may_nest_is_pickled():
    text = "model m {{ input x: float[2] output y = x{} }}".format(" -> relu" * 1500)
    program = specc.load(Source("m.dl", text))
    assert len(pickle.loads(pickle.dumps(program)).outputs) == 1


def _answers(net, x: np.ndarray) -> tuple[np.ndarray, float]:
    return net.forward(x=x)["p"], net.step(**batch())


def test_another_process_predicts_and_trains_with_a_model_that_it_is_sent():
    net = trained()
    x = batch()["x"]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        found, loss = pool.submit(_answers, net, x).result()
    np.testing.assert_array_equal(found, net.forward(x=x)["p"])
    assert loss == net.step(**batch())
