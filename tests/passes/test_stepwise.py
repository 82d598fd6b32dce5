"""A decoder of one step writes what a pass over all steps writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pairs import in_turn
from sequences import randomized

import specc
from specc import driver
from specc.net import step_by_step
from specc.runtime.decode import decode, scores_of
from specc.source import Source

MODELS = Path(__file__).resolve().parents[2] / "models"
HEAD = """seq read = 3 seq written = 5
cell delayed(x: float[n]) { state s: float[n] = 0.5 next s = x return s }
cell outer(x: float[n]; units: int > 0) {
  state s: float[units] = 0.1
  let a, h, c = concat(x, s) -> lstm(units)
  let s2 = 0.5 * s + c * (a -> delayed -> gru(units))
  next s = s2
  return s2 + h
}
model m {
  input  x: class(6)[<= read]
  input  z: float[<= written, 2]
  target y: class(4)[<= written]
  let _, h = x -> embed(3) -> gru(5)
"""
TAIL = "output w loss cross_entropy(w, y) }"

BY_STEP = {
    "two layers": "let w = previous(y) -> embed(3) -> gru(h=h; 5) -> relu -> rnn(6) -> dense(4)",
    "what it has read at every step": """let e = previous(y) -> embed(3)
        let w = concat(e, along(h; written)) -> gru(5) -> dense(4)""",
    "what it is given for every step": """let e = previous(y) -> embed(3)
        let w = concat(e, z) -> gru(h=h; 5) -> layernorm -> dense(4)""",
    "the last two symbols": """let e = previous(y) -> embed(3)
        let w = concat(e, e -> delayed) -> gru(h=h; 5) -> delayed -> dense(4)""",
    "a cell in a cell": """let e = previous(y) -> embed(3)
        let w = concat(e, along(h; written)) -> outer(5) -> dense(4)""",
    "numbers": """let e = previous(y) -> one_hot -> dense(5) -> relu
        let w = e -> gru(h=h; 5) -> dropout(0.5) -> dense(4)""",
    "another shape": """let e = previous(y) -> embed(6) -> reshape(2, 3)
        let w = e[0] * e[1] -> gru(h=h; 5) -> dense(4)""",
    "no state": "let w = previous(y) -> embed(3) -> dense(4)",
}
ALL_STEPS = {
    "the symbol itself": "let w = y -> embed(3) -> gru(h=h; 5) -> dense(4)",
    "in reverse": "let w = reverse(reverse(previous(y) -> embed(3)) -> gru(h=h; 5)) -> dense(4)",
    "the mean over the steps": """let e = previous(y) -> embed(3)
        let w = concat(e, along(mean(e; over=written); written)) -> gru(h=h; 5) -> dense(4)""",
}


# Weights with which 44 steps do not let the last bit of a sum grow to a millionth of it, as those
# of 1.5 do.
CALM = 0.5


def net_of(program, batch=4, threads=1, scale=1.5):
    net = specc.compile(program, batch=batch, dtype="float64", threads=threads, shards=threads)
    randomized(net, scale=scale)
    return net


def both(net, draws=(0.0, 1), **arrays):
    """What is written step by step, and by passes over all steps; whether there is a step."""
    data = net.examples(arrays, ())
    fast = net.write(data, *draws)
    slow = decode(net.predict_rows, net.written, net.ports, data, *draws)
    for port in net.written:
        rng = np.random.default_rng(5)
        symbols = rng.integers(0, port.classes, slow[port.name].shape)
        columns = net.examples({**arrays, **slow, port.name: symbols}, ())
        scores_at = net.decoding.step_by_step(port, columns)
        wanted = scores_of(port, net.predict_rows(columns))
        for step in range(port.shape[0]) if scores_at else ():
            found = scores_at(step, symbols[:, max(step - 1, 0)])
            np.testing.assert_allclose(found, wanted[:, step], rtol=1e-9, atol=1e-12)
    return fast, slow, [each is not None for each in net.decoding.steps.values()]


def agree(found, by_step=True):
    fast, slow, has_step = found
    assert set(has_step) == {by_step}
    for name, wanted in slow.items():
        assert np.array_equal(fast[name], wanted)


def texts(rng, classes, most, count):
    return [rng.integers(0, classes, rng.integers(1, most + 1)) for _ in range(count)]


DATA = {
    "x": texts(np.random.default_rng(2), 6, 3, 9),
    "z": np.random.default_rng(3).standard_normal((9, 5, 2)),
}


@pytest.mark.parametrize("body", BY_STEP.values(), ids=BY_STEP)
@pytest.mark.parametrize("draws", [(0.0, 1), (1.0, 3)], ids=["greedy", "drawn"])
def test_a_decoder_of_one_step_writes_what_all_steps_write(body, draws):
    net = net_of(driver.load(Source("x.dl", HEAD + body + TAIL)))
    agree(both(net, draws, **DATA))


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_few_examples_are_written_like_many(rows):
    net = net_of(driver.load(Source("x.dl", HEAD + BY_STEP["two layers"] + TAIL)))
    few = {name: values[:rows] for name, values in DATA.items()}
    found = both(net, **few)
    agree(found)
    assert np.array_equal(found[0]["y"], both(net, **DATA)[0]["y"][:rows])


@pytest.mark.parametrize("body", ALL_STEPS.values(), ids=ALL_STEPS)
def test_what_looks_at_other_steps_is_passed_over_again(body):
    net = net_of(driver.load(Source("x.dl", HEAD + body + TAIL)))
    agree(both(net, **DATA), by_step=False)


@pytest.mark.parametrize(("draws", "threads"), in_turn([(0.0, 1), (0.7, 5)], [1, 2]))
def test_the_models_that_write_do_it_step_by_step(draws, threads):
    rng = np.random.default_rng(0)
    net = net_of(
        driver.load(MODELS / "translate.dl", {"figures_": 11, "letters": 9}), 20, threads, CALM
    )
    agree(both(net, draws, figures=texts(rng, 11, 5, 27)))
    net = net_of(driver.load(MODELS / "caption.dl", {"letters": 9}), 20, threads, CALM)
    agree(both(net, draws, picture=rng.standard_normal((27, 8, 8))))


def test_several_targets_are_written_step_by_step():
    net = net_of(
        driver.load(
            Source(
                "x.dl",
                """seq n = 4
        model m { input x: float[2] target a: class(3)[<= n] target b: class(4)[n]
        let h = dense(x; 5)
        let first = previous(a) -> embed(3) -> gru(h=h; 5) -> dense(3)
        let second = concat(previous(b) -> embed(3), a -> embed(3)) -> gru(h=h; 5) -> dense(4)
        output first output second
        loss cross_entropy(first, a) loss cross_entropy(second, b) }""",
            )
        )
    )
    agree(both(net, x=np.random.default_rng(0).standard_normal((9, 2))))


ATTENDING = {
    "itself": """let w = previous(y) -> embed(6) -> learned_positions -> attention(causal=true)
        -> dense(4)""",
    "itself and a memory": """let q = previous(y) -> embed(6) -> transformer(causal=true)
        let w = attention(q, memory; heads=3) -> dense(4)""",
    "a memory from a cell": """let h = previous(y) -> embed(6) -> lstm(6)
        let w = concat(h, additive_attention(h, memory; 5)) -> dense(4)""",
}


@pytest.mark.parametrize("body", ATTENDING.values(), ids=ATTENDING)
@pytest.mark.parametrize(("draws", "threads"), [((0.0, 1), 1), ((0.7, 5), 2)])
def test_a_decoder_looks_at_what_it_has_written_and_at_a_memory(body, draws, threads, monkeypatch):
    monkeypatch.setattr(step_by_step, "LEAST_ROOM", 2)
    text = """seq read = 7 seq written = 6
        model m { input x: class(6)[<= read] target y: class(4)[<= written]
        let memory = x -> embed(6) -> attention(heads=2) """
    net = net_of(driver.load(Source("x.dl", text + body + TAIL)), threads=threads)
    sequences = texts(np.random.default_rng(4), 6, 7, 9)
    agree(both(net, draws, x=sequences))
    agree(both(net, draws, x=sequences[:2]))


def test_a_decoder_follows_the_weights():
    net = net_of(driver.load(Source("x.dl", HEAD + BY_STEP["two layers"] + TAIL)))
    first = both(net, **DATA)
    for array in net.params.values():
        array[...] = np.random.default_rng(7).standard_normal(array.shape)
    second = both(net, **DATA)
    agree(second)
    assert not np.array_equal(first[0]["y"], second[0]["y"])
