"""A model that reads a text step by step scores what a pass over all steps scores."""

from __future__ import annotations

import numpy as np
import pytest
from reading import AHEAD, CAUSAL, ENDLESS
from sequences import randomized

import specc
from specc.net import step_by_step
from specc.ops.carry import following
from specc.ops.causal import dependence_of
from specc.pipeline import forward
from specc.runtime.sample import WindowWriter, Writer

LETTERS = "abcde"


@pytest.fixture
def small(monkeypatch):
    """Buffers that are full soon."""
    monkeypatch.setattr(step_by_step, "LEAST_ROOM", 4)
    monkeypatch.setattr(step_by_step, "AT_ONCE", 5)


def net_of(text, dtype="float64", threads=1, batch=3):
    net = specc.compile(
        specc.loads(text), batch=batch, dtype=dtype, threads=threads, shards=threads
    )
    randomized(net, scale=1.0)
    return net


def reading_of(net, rows):
    return net.decoding.reading(next(each for each in net.ports if each.name == "text"), {}, rows)


def scored(net, symbols):
    (found,) = net.predict_rows(net.examples({"text": symbols}, ["text"])).values()
    return found


def texts(rows, steps=12, seed=0):
    return np.random.default_rng(seed).integers(0, 5, (rows, steps))


def is_causal(text):
    graph = forward(specc.loads(text), training=False)
    dependences = dependence_of(graph.nodes, following(graph), "text")
    return dependences[graph.outputs["output.s"]].is_causal(0)


@pytest.mark.parametrize("text", {**CAUSAL, **ENDLESS}.values(), ids={**CAUSAL, **ENDLESS})
def test_a_step_that_depends_on_no_later_one_is_known_to(text):
    assert is_causal(text)


@pytest.mark.parametrize("text", AHEAD.values(), ids=AHEAD)
def test_a_step_that_depends_on_later_ones_is_known_to(text):
    assert not is_causal(text)


@pytest.mark.parametrize("text", {**CAUSAL, **ENDLESS}.values(), ids={**CAUSAL, **ENDLESS})
def test_steps_score_what_a_whole_pass_scores(text, small):
    net, symbols = net_of(text), texts(5)
    wanted = scored(net, symbols)
    reading = reading_of(net, 5)  # in two batches, the second of which is not full
    for step in range(12):
        found = reading.read(symbols[:, step])
        np.testing.assert_allclose(found, wanted[:, step], rtol=1e-10, atol=1e-11)
    reading.start()
    found = reading.read(symbols[:, :11].T)
    np.testing.assert_allclose(found, wanted[:, 10], rtol=1e-10, atol=1e-11)
    alone = reading_of(net, 1)
    alone.read(symbols[0, :3])
    np.testing.assert_allclose(alone.read(symbols[0, 3:9])[0], wanted[0, 8], rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("text", AHEAD.values(), ids=AHEAD)
def test_what_depends_on_later_steps_is_not_read_step_by_step(text):
    assert reading_of(net_of(text), 1) is None


@pytest.mark.parametrize(("threads", "dtype"), [(2, "float64"), (1, "float32"), (2, "float32")])
def test_steps_are_the_same_on_two_threads_and_in_float32(threads, dtype, small):
    net, symbols = net_of(CAUSAL["with cells"], dtype, threads, batch=6), texts(6)
    wanted = scored(net, symbols)
    reading, close = reading_of(net, 6), 1e-10 if dtype == "float64" else 1e-4
    for step in range(12):
        found = reading.read(symbols[:, step])
        np.testing.assert_allclose(found, wanted[:, step], rtol=close, atol=close)


def test_a_short_text_costs_as_much_as_a_short_model(small):
    net = net_of(CAUSAL["two layers"])
    reading = reading_of(net, 1)
    steps = net.decoding.steps["text", 1]
    for count, room in ((3, 4), (1, 4), (1, 8), (4, 12)):
        reading.read(np.zeros(count, int))
        assert max(steps.programs) == room
        parts, program = steps.programs[room]
        kept = [node for node in program.plan.graph.nodes if node.op.name == "SetRow"]
        assert {node.type.shape[0] for node in kept} == {room} == {parts.room}
        # a row is written where the others are
        places = {program.plan.allocations[node] for node in kept}
        assert places == {program.plan.allocations[node.inputs[0]] for node in kept}
        assert {each.space for each in places} == {f"slot.{name}" for name in parts.buffers}
        assert len(places) == 4


def test_two_texts_are_read_at_the_same_time(small):
    net, symbols = net_of(CAUSAL["two layers"]), texts(2)
    wanted = scored(net, symbols)
    one, other = reading_of(net, 1), reading_of(net, 1)
    for step in range(9):
        first, second = one.read(symbols[0, step]).copy(), other.read(symbols[1, step])
        np.testing.assert_allclose(first[0], wanted[0, step], rtol=1e-10)
        np.testing.assert_allclose(second[0], wanted[1, step], rtol=1e-10)


def test_new_weights_are_read_at_once(small):
    net, symbols = net_of(CAUSAL["two layers"]), texts(1)
    reading = reading_of(net, 1)
    before = reading.read(symbols[0]).copy()
    randomized(net, scale=0.5)
    reading.start()
    found = reading.read(symbols[0])
    assert not np.allclose(found, before)
    np.testing.assert_allclose(found[0], scored(net, symbols)[0, -1], rtol=1e-10)


@pytest.mark.parametrize(
    "text", [CAUSAL["two layers"], CAUSAL["varying length"], AHEAD["the mean"]]
)
@pytest.mark.parametrize("temperature", [0, 1])
def test_a_text_in_the_window_is_what_whole_passes_write(text, temperature):
    net = net_of(text, batch=1)
    whole = "".join(WindowWriter(net, LETTERS).write("ab", 10, temperature, seed=3))
    reading = reading_of(net, 1)
    if reading is not None:
        writer = Writer(reading, reading.most, LETTERS)
        assert "".join(writer.write("ab", 10, temperature, seed=3)) == whole
        assert "".join(writer.write("ab", 10, temperature, seed=3)) == whole  # it begins anew
    for end in range(2, 12 if not temperature else 2):
        read = [LETTERS.index(each) for each in ("ab" + whole)[:end]]
        symbols = np.array([read + [0] * (12 - end)])
        given = {"text": symbols}
        if any(port.name == "text.length" for port in net.ports):
            given = {"text": [read]}
        scores = net.forward(**given)["s"][0, end - 1] if reading is not None else None
        assert scores is None or LETTERS[int(scores.argmax())] == whole[end - 2]


@pytest.mark.parametrize("prompt", ["ab", "abcdeabcdeabcdeabcde"])
def test_a_longer_text_is_written_after_at_least_half_a_window(prompt):
    net = net_of(CAUSAL["two layers"], batch=1)
    reading = reading_of(net, 1)
    assert reading.most == 12
    writer = Writer(reading, reading.most, LETTERS)
    text = prompt + "".join(writer.write(prompt, 30, temperature=0))
    # the symbols that each one is scored after: as many as fit, then the last 7 and on
    window = min(len(prompt), 12)
    for end in range(len(prompt), len(text)):
        read = [LETTERS.index(each) for each in text[end - window : end]]
        scores = net.forward(text=[read + [0] * (12 - window)])["s"][0, window - 1]
        assert LETTERS[int(scores.argmax())] == text[end]
        window = window + 1 if window < 12 else 7


@pytest.mark.parametrize("text", ENDLESS.values(), ids=ENDLESS)
def test_a_model_that_keeps_a_few_steps_reads_on_and_on(text):
    net = net_of(text, batch=1)
    reading = reading_of(net, 1)
    assert reading.most is None
    longer = net_of(text.replace("time = 12", "time = 40"), batch=1)
    for name, array in net.params.items():
        longer.params[name][...] = array
    symbols = texts(1, 40)
    found = reading.read(symbols[0])
    np.testing.assert_allclose(found[0], scored(longer, symbols)[0, -1], rtol=1e-10, atol=1e-11)
