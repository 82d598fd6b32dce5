"""Sequences of varying length: what lies past the end of an example takes no part in anything."""

from __future__ import annotations

import numpy as np
import pytest
from pairs import in_turn
from sequences import interpreted, load, randomized

import specc
from specc import pipeline

HEAD = "seq time = 6"


def steps(body):
    """A model with a target for each step."""
    return f"""{HEAD} model m {{ input x: float[<= time, 3] target y: float[<= time, 2]
        {body} output w loss mse(w, y) }}"""


def whole(body):
    """A model with one target for the whole sequence."""
    return f"""{HEAD} model m {{ input x: float[<= time, 3] target y: float[2]
        {body} output w loss mse(w, y) }}"""


NETWORKS = {
    "rnn": steps("let w = x -> rnn(4) -> dense(2)"),
    "lstm": steps("let w = x -> lstm(4) -> dense(2)"),
    "gru": steps("let w = x -> gru(4) -> dense(2)"),
    "a cell in a cell": """seq time = 6
        cell outer(x: float[n]; units: int > 0) {
          state s: float[units] = 0.1
          let a, h, c = concat(x, s) -> lstm(units)
          let s2 = 0.5 * s + c * (a -> gru(units))
          next s = s2
          return s2 + h
        }
        model m { input x: float[<= time, 3] target y: float[2]
        let hs, s = x -> outer(4) let w = concat(last(hs), s) -> dense(2)
        output w loss mse(w, y) }""",
    "stacked": steps("let w = x -> gru(4) -> lstm(3) -> dense(2)"),
    "bidirectional": steps("""let back = reverse(reverse(x) -> lstm(3))
        let w = concat(x -> lstm(4), back) -> dense(2)"""),
    "last": whole("let w = x -> rnn(4) -> last -> dense(2)"),
    "first": whole("let w = x -> gru(4) -> first -> dense(2)"),
    "last of reversed": whole("let w = reverse(x) -> lstm(4) -> last -> dense(2)"),
    "final states": whole("let hs, h, c = x -> lstm(4) let w = concat(h, c) -> dense(2)"),
    "final state of gru": whole("let hs, h = x -> gru(4) let w = h -> dense(2)"),
    "mean": whole("let w = mean(x -> rnn(4); over=time) -> dense(2)"),
    "sum": whole("let w = sum(x -> gru(4); over=time) -> dense(2)"),
    "states and steps": whole("""let hs, h, c = x -> lstm(4)
        let w = concat(h, c, mean(hs; over=time), last(hs)) -> dense(2)"""),
    "a loss and a metric of each step": """seq time = 6
        model m { input x: class(5)[<= time] target y: class(3)[<= time]
        let w = x -> embed(3) -> gru(4) -> dense(3) output w
        loss cross_entropy(w, y) metric accuracy(w, y) }""",
    "previous": """seq time = 6
        model m { input x: float[3] target y: class(3)[<= time]
        let w = previous(y) -> embed(3) -> gru(h=dense(x; 4); 4) -> dense(3) output w
        loss cross_entropy(w, y) }""",
    "previous of numbers": steps("let w = concat(x, previous(y)) -> rnn(4) -> dense(2)"),
    "encoder and decoder": """seq read = 6 seq written = 4
        model m { input x: class(5)[<= read] target y: class(3)[<= written]
        let _, h, c = x -> embed(3) -> lstm(4)
        let w = previous(y) -> embed(3) -> lstm(h=h, c=c; 4) -> dense(3) output w
        loss cross_entropy(w, y) }""",
    "batchnorm": steps("let w = x -> dense(4) -> batchnorm -> rnn(4) -> dense(2)"),
    "batchnorm of images": """seq time = 3
        model m { input x: float[<= time, 2, 4, 4] target y: float[2]
        let w = x -> conv(3, kernel=3, pad=1) -> batchnorm -> relu -> global_avgpool -> rnn(4)
        -> last
          -> dense(2) output w loss mse(w, y) }""",
    "classes in reverse": """seq time = 6
        model m { input x: class(5)[<= time] target y: float[2]
        let w = reverse(x) -> embed(3) -> gru(4) -> last -> dense(2) output w loss mse(w, y) }""",
    "the last class": """seq time = 6
        model m { input x: class(5)[<= time] target y: float[2]
        let w = concat(last(x) -> embed(3), first(x) -> embed(2)) -> dense(2) output w
        loss mse(w, y) }""",
    "a target of fixed length": """seq time = 6
        model m { input x: class(5)[<= time] target y: class(3)[time]
        let w = x -> embed(3) -> gru(4) -> dense(3) output w loss cross_entropy(w, y) }""",
    "two lengths": """seq one = 6 seq other = 5
        model m { input a: float[<= one, 3] input b: float[<= other, 3] target y: float[2]
        layer tower = gru(4) -> last
        let w = concat(tower(a), tower(b)) -> dense(2) output w loss mse(w, y) }""",
}
LENGTHS = [6, 1, 3, 5, 2, 4, 6]


def data_for(program, count, seed=0):
    """Random data, and lengths from 1 to all steps."""
    rng = np.random.default_rng(seed)
    found = {}
    for port in program.ports:
        if port.length_of:
            most = port.classes - 1
            found[port.name] = np.minimum(np.roll(LENGTHS, len(found))[np.arange(count) % 7], most)
        elif port.kind == "class":
            found[port.name] = rng.integers(0, port.classes, (count, *port.shape))
        else:
            found[port.name] = rng.standard_normal((count, *port.shape))
    return found


def lengths_of(program, data, name):
    """The number of steps of each example of a port; None where it does not vary."""
    sequence = next(port.sequence for port in program.ports if port.name == name)
    for port in program.ports:
        owner = next((each for each in program.ports if each.name == port.length_of), None)
        if owner is not None and owner.sequence == sequence and sequence is not None:
            return data[port.name]
    return None


def inputs_of(program, data):
    """What `forward` takes: all but targets that no output reads."""
    reads = any(
        port.role == "target" and "previous" in port.span.source.text for port in program.ports
    )
    return {port.name: data[port.name] for port in program.ports if reads or port.role == "input"}


@pytest.mark.parametrize(("name", "threads"), in_turn(NETWORKS, [1, 2]))
def test_compiled_values_are_those_of_the_interpreter(name, threads):
    program, count = load(NETWORKS[name]), 19
    net = specc.compile(program, batch=count, dtype="float64", threads=threads, shards=threads)
    randomized(net)
    data = data_for(program, count)
    wanted = interpreted(program, net, data, pipeline.with_gradients(program))
    loss, gradients = net.loss_and_gradients(**data)
    assert loss == pytest.approx(wanted["loss"], rel=1e-10)
    for path, gradient in gradients.items():
        np.testing.assert_allclose(gradient, wanted[f"gradient.{path}"], rtol=1e-10, atol=1e-10)
    outputs = interpreted(program, net, data, pipeline.forward(program, training=False))
    for output, found in net.forward(**inputs_of(program, data)).items():
        np.testing.assert_allclose(found, outputs[f"output.{output}"], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_are_those_of_finite_differences(name):
    program, count, h = load(NETWORKS[name]), 5, 1e-5
    net = specc.compile(program, batch=count, dtype="float64", threads=1)
    randomized(net)
    data = data_for(program, count)
    _, gradients = net.loss_and_gradients(**data)
    rng = np.random.default_rng(9)
    for path, array in net.params.items():
        for _ in range(3):
            at = tuple(rng.integers(size) for size in array.shape)
            kept = array[at]
            array[at] = kept + h
            above, _ = net.loss_and_gradients(**data)
            array[at] = kept - h
            below, _ = net.loss_and_gradients(**data)
            array[at] = kept
            assert gradients[path][at] == pytest.approx(
                (above - below) / (2 * h), rel=1e-6, abs=1e-6
            ), path


@pytest.mark.parametrize("name", NETWORKS)
def test_what_stands_in_the_padding_changes_nothing(name):
    program, count = load(NETWORKS[name]), 7
    net = specc.compile(program, batch=count, dtype="float64", threads=1)
    randomized(net)
    data = data_for(program, count)
    other = data_for(program, count, seed=1)
    for port in program.ports:
        lengths = lengths_of(program, data, port.name) if port.sequence else None
        if port.length_of or lengths is None:
            other[port.name] = data[port.name]
        else:
            for row, length in enumerate(lengths):
                other[port.name][row, :length] = data[port.name][row, :length]
    assert any((data[each] != other[each]).any() for each in data)
    loss, gradients = net.loss_and_gradients(**data)
    again, others = net.loss_and_gradients(**other)
    assert loss == again
    for path, gradient in gradients.items():
        assert np.array_equal(gradient, others[path]), path
    found, second = (
        net.forward(**inputs_of(program, data)),
        net.forward(**inputs_of(program, other)),
    )
    for (output, array), term in zip(found.items(), program.outputs, strict=True):
        if array.ndim == 2:
            assert np.array_equal(array, second[output])
            continue
        lengths = next(
            data[port.name]
            for port in program.ports
            if port.length_of and port.classes - 1 == term.node.type.shape[0]
        )
        for row, length in enumerate(lengths):
            assert np.array_equal(array[row, :length], second[output][row, :length])


@pytest.mark.parametrize(
    "name", ["lstm", "last", "last of reversed", "final states", "mean", "sum"]
)
def test_a_shorter_example_is_the_same_as_one_of_its_own_size(name):
    """A sequence of three steps among longer ones gives what a model of three steps gives."""
    text = NETWORKS[name]
    long, short = load(text), load(text.replace("time = 6", "time = 3"))
    net = specc.compile(long, batch=2, dtype="float64", threads=1)
    small = specc.compile(short, batch=1, dtype="float64", threads=1)
    randomized(net)
    small.set_params(dict(net.params))
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 6, 3))
    found = net.forward(**{"x": x, "x.length": [3, 6]})["w"][0]
    wanted = small.forward(x=x[:1, :3])["w"][0]
    np.testing.assert_allclose(found[: len(wanted)], wanted, rtol=1e-12)


# The interface.


def _net():
    return specc.compile(load(NETWORKS["lstm"]), batch=4, dtype="float64", threads=1)


def test_sequences_may_be_a_list_of_arrays():
    net, rng = _net(), np.random.default_rng(0)
    parts = [rng.standard_normal((length, 3)) for length in (2, 6, 1)]
    padded = np.zeros((3, 6, 3))
    for row, each in zip(padded, parts, strict=True):
        row[: len(each)] = each
    found = net.forward(x=parts)["w"]
    wanted = net.forward(**{"x": padded, "x.length": [2, 6, 1]})["w"]
    assert np.array_equal(found, wanted)
    targets = [rng.standard_normal((len(each), 2)) for each in parts]
    loss, _ = net.loss_and_gradients(x=parts, y=targets)
    assert np.isfinite(loss)


def test_an_array_has_full_length():
    net, rng = _net(), np.random.default_rng(0)
    x = rng.standard_normal((3, 6, 3))
    assert np.array_equal(
        net.forward(x=x)["w"], net.forward(**{"x": x, "x.length": [6, 6, 6]})["w"]
    )


def test_lists_of_arrays_that_do_not_fit_are_refused():
    net = _net()
    x = [np.zeros((2, 3)), np.zeros((7, 3))]
    with pytest.raises(ValueError, match="x has at most 6 steps, but example 1 has 7"):
        net.forward(x=x)
    with pytest.raises(ValueError, match="run over one sequence, and must be equally long"):
        net.loss_and_gradients(x=[np.zeros((2, 3))], y=[np.zeros((3, 2))])
    with pytest.raises(ValueError, match=r"x.length must be integers 0 to 6, but goes from 7 to 7"):
        net.forward(**{"x": np.zeros((1, 6, 3)), "x.length": [7]})


@pytest.mark.parametrize(
    "given", [[np.zeros((2, 4))], [np.zeros(2)], [np.zeros((2, 3, 1))], [1.0], 3]
)
def test_lists_of_other_things_are_refused(given):
    with pytest.raises((ValueError, TypeError), match=r"^x must be "):
        _net().forward(x=given)


def test_a_list_for_the_target_alone_or_the_input_alone_must_agree_with_the_other():
    net = _net()
    with pytest.raises(ValueError):
        net.loss_and_gradients(x=np.zeros((1, 6, 3)), y=[np.zeros((3, 2))])
    with pytest.raises(ValueError):
        net.loss_and_gradients(x=[np.zeros((3, 3))], y=np.zeros((2, 6, 2)))


def test_the_input_says_the_length_even_if_a_target_over_the_same_sequence_stands_first():
    program = load(f"""{HEAD} model m {{ target y: float[<= time, 2] input x: float[<= time, 3]
        let w = x -> rnn(4) -> dense(2) output w loss mse(w, y) }}""")
    assert [(port.name, port.role) for port in program.ports if port.length_of] == [
        ("x.length", "input")
    ]
    net = specc.compile(program, batch=2, dtype="float64", threads=1)
    assert net.forward(x=[np.ones((2, 3)), np.ones((5, 3))])["w"].shape == (2, 6, 2)


def test_a_length_may_follow_from_any_array_over_the_sequence():
    net = specc.compile(load(NETWORKS["a loss and a metric of each step"]), batch=2, threads=1)
    one, _ = net.loss_and_gradients(x=[[1, 2], [3]], y=[[0, 2], [1]])
    other, _ = net.loss_and_gradients(
        **{
            "x": [[1, 2, 0, 0, 0, 0], [3, 0, 0, 0, 0, 0]],
            "y": np.array([[0, 2, 1, 1, 1, 1], [1] * 6]),
            "x.length": [2, 1],
        }
    )
    assert one == other


def test_an_array_beside_a_list_is_padded_as_it_is():
    net = specc.compile(load(NETWORKS["a target of fixed length"]), batch=2, threads=1)
    one, _ = net.loss_and_gradients(x=[[1, 2], [3]], y=np.ones((2, 6), int))
    other, _ = net.loss_and_gradients(
        x=[[1, 2], [3]], y=np.array([[1, 1, 0, 2, 0, 2], [1, 0, 2, 0, 2, 0]])
    )
    assert one == other


def test_truth_values_of_varying_length_have_no_last_one():
    with pytest.raises(
        specc.SpecError, match="`last` of a variable-length sequence takes numbers or classes"
    ):
        load("""seq time = 6 model m { input x: bool[<= time] target y: float[]
            let w = if last(x) then 1 else 0 output w loss mse(w, y) }""")


def test_the_mean_over_no_steps_is_zero():
    text = f"{HEAD} model m {{ input x: float[<= time, 3] output w = mean(2 * x; over=time) }}"
    net = specc.compile(load(text), batch=3, threads=1)
    x = np.ones((3, 6, 3), np.float32)
    found = net.forward(**{"x": x, "x.length": [0, 2, 6]})["w"]
    assert found.tolist() == [[0] * 3, [2] * 3, [2] * 3]
