"""Streams: windows that go on where the last ones stopped."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from pairs import in_turn
from sequences import examples, load, randomized
from test_sequences import NETWORKS

import specc
from specc.recipe import Column, DataCall
from specc.runtime import train as loop
from specc.runtime.checkpoint import restore
from specc.runtime.data import load as load_data
from specc.runtime.run import Record, create
from specc.runtime.train import train

CELLS = {
    "rnn": "x -> rnn(4) -> dense(2)",
    "lstm": "x -> lstm(4) -> dense(2)",
    "two layers": "x -> gru(4) -> lstm(3) -> dense(2)",
    "delayed": "x -> delayed -> dense(2)",
}
DELAYED = """cell delayed(x: float[n]) {
  state h: float[n] = 0.5
  state k: float[n] = 0.25
  next h = x
  next k = tanh(h) + 0.5 * k
  return concat(x, h, k)
}"""


def program(cell, steps, port="stream"):
    return load(f"""seq time = {steps} {DELAYED}
        model m {{ {port} x: float[time, 3] target y: float[time, 2]
        let w = {CELLS[cell]} output w loss mse(w, y) }}
        train {{ optimizer sgd(lr = 0.1) }}""")


def compiled(cell, steps, batch, threads=1, port="stream", dtype="float64"):
    net = specc.compile(
        program(cell, steps, port), batch=batch, dtype=dtype, threads=threads, shards=threads
    )
    randomized(net)
    return net


def windows(x, steps):
    """A long sequence for each lane, [slots, total, ..], as rows of a stream, window by window."""
    slots, total = x.shape[:2]
    parts = x.reshape(slots, total // steps, steps, *x.shape[2:])
    return np.ascontiguousarray(parts.swapaxes(0, 1)).reshape(-1, steps, *x.shape[2:])


@pytest.mark.parametrize(("cell", "threads"), in_turn(CELLS, [1, 3, 2]))
def test_windows_of_a_stream_equal_one_long_pass(cell, threads):
    # 21 slots fill more than one vector, so that there is work for each thread
    slots, count, steps = 21, 4, 5
    rng = np.random.default_rng(0)
    x, y = (
        rng.standard_normal((slots, count * steps, 3)),
        rng.standard_normal((slots, count * steps, 2)),
    )
    long = compiled(cell, count * steps, slots, threads, port="input")
    net = compiled(cell, steps, slots, threads)
    begin = np.arange(count * slots) < slots
    data = {
        "x": Column(windows(x, steps)),
        "y": Column(windows(y, steps)),
        "x.begin": Column(begin),
    }
    found = net.predict_rows({name: data[name] for name in ("x", "x.begin")})["w"]
    wanted = long.forward(x=x)["w"]
    np.testing.assert_allclose(found, windows(wanted, steps), rtol=1e-10, atol=1e-10)
    loss, _ = long.loss_and_gradients(x=x, y=y)
    figures = net.evaluate_rows(data, np.arange(count * slots))
    assert figures["loss"] == pytest.approx(loss, rel=1e-10)


WHOLE = [
    "irnn",
    "peephole",
    "own",
    "repeated",
    "start from a parameter",
    "a state that is never read",
    "no recurrence",
    "the step before the last",
    "an output from the old state",
    "a scalar state",
    "a matrix as state",
    "two values",
    "a cell in a block",
    "a cell in a cell",
    "a cell in a block in a cell in a cell",
    "classes in a cell",
    "attention over the state",
    "convolution and windows over a state",
    "images",
    "batchnorm",
    "words",
]


@pytest.mark.parametrize("name", WHOLE)
def test_networks_of_all_kinds_go_on_from_window_to_window(name):
    text, slots, count = NETWORKS[name], 5, 3
    steps = int(re.search(r"seq time = (\d+)", text)[1])
    long = specc.compile(
        load(text.replace(f"time = {steps}", f"time = {steps * count}")),
        batch=slots,
        dtype="float64",
        threads=1,
    )
    net = specc.compile(
        load(text.replace("input", "stream")), batch=slots, dtype="float64", threads=2, shards=2
    )
    randomized(long)
    net.set_params(dict(long.params))
    port = next(each for each in long.ports if each.role == "input")
    x = examples(long.program, slots)[port.name]
    wanted = long.forward(**{port.name: x})["w"]
    data = {
        port.name: Column(windows(x, steps).astype(np.int32 if port.kind == "class" else float)),
        f"{port.name}.begin": Column(np.arange(count * slots) < slots),
    }
    np.testing.assert_allclose(
        net.predict_rows(data)["w"], windows(wanted, steps), rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_stop_at_the_edge_of_a_window(cell):
    """The step on the second window is that of a model which starts from the states left there."""
    steps, h = 3, 1e-6
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((2, 2, steps, 3)), rng.standard_normal((2, 2, steps, 2))

    def after_the_first(net):
        net.predict_rows({"x": Column(x[0]), "x.begin": Column(np.ones(2, bool))}, net.slots)

    net = compiled(cell, steps, 2)
    after_the_first(net)
    start = {name: array.copy() for name, array in net.slots.items()}
    before = {path: array.copy() for path, array in net.params.items()}
    net.steps_done = 1  # so that the stream goes on
    net.step(x=x[1], y=y[1])
    gradients = {path: (before[path] - array) / 0.1 for path, array in net.params.items()}

    other = compiled(cell, steps, 2)
    data = {"x": Column(x[1]), "x.begin": Column(np.zeros(2, bool))}

    def loss():
        slots = {name: array.copy() for name, array in start.items()}
        return np.mean((other.predict_rows(data, slots)["w"] - y[1]) ** 2)

    for path, array in other.params.items():
        array[...] = before[path]
    scale = None
    for path, array in other.params.items():
        at = tuple(rng.integers(size) for size in array.shape)
        kept = array[at]
        array[at] = kept + h
        above = loss()
        array[at] = kept - h
        below = loss()
        array[at] = kept
        difference = (above - below) / (2 * h)
        if abs(difference) > 1e-6:
            # mse may sum over an example's values: the same factor for all parameters
            factor = gradients[path][at] / difference
            scale = scale or factor
            assert factor == pytest.approx(scale, rel=1e-5), path
    assert scale is not None


def test_a_stream_begins_anew_where_it_is_told_so():
    net = compiled("lstm", 3, 2)
    rng = np.random.default_rng(2)
    x = rng.standard_normal((3, 2, 3, 3))
    begin = np.array([[True, True], [False, True], [False, False]])
    data = {"x": Column(x.reshape(6, 3, 3)), "x.begin": Column(begin.reshape(-1))}
    found = net.predict_rows(data)["w"].reshape(3, 2, 3, 2)
    fresh = net.forward(x=x[1])["w"]  # every example a beginning
    np.testing.assert_allclose(found[1, 1], fresh[1], rtol=1e-12)
    assert abs(found[1, 0] - fresh[0]).max() > 1e-3
    # only the second lane has forgotten what came first
    alone = net.predict_rows(
        {
            "x": Column(x[1:].reshape(4, 3, 3)),
            "x.begin": Column(np.array([True, True, False, False])),
        }
    )["w"]
    np.testing.assert_allclose(found[2, 1], alone.reshape(2, 2, 3, 2)[1, 1], rtol=1e-12)
    assert abs(found[2, 0] - alone.reshape(2, 2, 3, 2)[1, 0]).max() > 1e-3


def test_steps_of_the_interface_go_on_unless_told_otherwise():
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((2, 3, 3)), rng.standard_normal((2, 3, 2))
    net = compiled("rnn", 3, 2)
    net.step(x=x, y=y)
    going_on = net.step(x=x, y=y)
    net = compiled("rnn", 3, 2)
    net.step(x=x, y=y)
    anew = net.step(**{"x": x, "y": y, "x.begin": [True, True]})
    assert going_on != anew
    with pytest.raises(ValueError, match="in 2 slots: a step takes as many examples, not 1"):
        net.step(x=x[:1], y=y[:1])


def test_evaluation_and_prediction_leave_the_lanes_of_training_alone():
    net = compiled("lstm", 3, 2)
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((2, 3, 3)), rng.standard_normal((2, 3, 2))
    net.step(x=x, y=y)
    kept = {name: array.copy() for name, array in net.slots.items()}
    assert kept and all(array.any() for array in kept.values())
    data = {"x": Column(x), "y": Column(y), "x.begin": Column(np.ones(2, bool))}
    net.evaluate_rows(data, np.arange(2))
    net.forward(x=x)
    net.loss_and_gradients(x=x, y=y)
    assert all(np.array_equal(net.slots[name], kept[name]) for name in kept)


# Training.

CHARS = """seq time = 4
dim vocab = 6
model m {
  stream text: class(vocab)[time]
  target next_: class(vocab)[time]
  let scores = text -> embed(3) -> gru(5) -> dense(vocab)
  output scores
  loss cross_entropy(scores, next_)
}
train { data text("a.txt") validate split = 0.8 optimizer adam(lr = 0.01) epochs = 3 batch = 2 }"""


class Watch:
    def steps(self, *_):
        pass

    def epoch(self, _):
        pass


@pytest.fixture
def corpus(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "a.txt").write_text("abcdef" + "".join(rng.choice(list("abcdef"), 150)))
    return tmp_path


def _trained(corpus, name, stops=(), threads=1):
    """A net after all epochs; each of `stops` interrupts the training after so many stretches."""
    made = replace(load(CHARS).recipe, data=DataCall("text", ("a.txt",)))
    record = Record("m", "m.dl", ".", {}, 0, 2, 3, "float32", 1, "0")
    run = create(corpus / name, record, {})
    progress, stops = None, list(stops)
    while True:
        net = specc.compile(load(CHARS), batch=2, threads=threads, shards=threads, seed=0)
        data = load_data(made, net.ports, corpus)
        if progress is not None:
            progress = restore(run.last, net)
        left = stops.pop(0) if stops else None
        calls = iter(range(10**6))
        stop = (
            (lambda: False)
            if left is None
            else lambda left=left, calls=calls: next(calls) + 1 >= left
        )
        if train(net, data, made, run, Watch(), progress, stop) == "finished":
            return net, run
        progress = True


def test_a_stream_that_was_interrupted_goes_on_as_if_it_had_not_been(corpus, monkeypatch):
    monkeypatch.setattr(loop, "STRETCH_SECONDS", 0.0)  # a stretch is one step
    whole, run = _trained(corpus, "whole")
    cut, other = _trained(corpus, "cut", [3, 5, 16, 2])
    assert whole.params and whole.slots
    for path, array in whole.params.items():
        assert np.array_equal(array, cut.params[path]), path
    for path, array in whole.states.items():
        assert np.array_equal(array, cut.states[path]), path

    def values(run):
        lines = run.metrics.read_text().splitlines()
        return [line.split(",")[:2] + line.split(",")[3:] for line in lines]

    assert values(run) == values(other)


def test_each_epoch_of_a_stream_begins_anew(corpus):
    net = specc.compile(load(CHARS), batch=2, threads=1, seed=0)
    data = load_data(
        replace(load(CHARS).recipe, data=DataCall("text", ("a.txt",))), net.ports, corpus
    )
    one = {name: array.copy() for name, array in net.params.items()}
    part = data.training
    for array in net.slots.values():
        array[...] = 7  # what another epoch has left
    first = net.train(part.columns, part.rows[:2], 0, 10, 10)[0, 0]
    for array in net.slots.values():
        array[...] = 0
    for name, array in net.params.items():
        array[...] = one[name]
    again = specc.compile(load(CHARS), batch=2, threads=1, seed=0)
    assert again.train(part.columns, part.rows[:2], 0, 10, 10)[0, 0] == first
