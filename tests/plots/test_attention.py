"""Attention: detected by its computation, and drawn with its weights."""

import numpy as np
import pytest

import specc
from specc.ir.graph import apply
from specc.ir.types import Type
from specc.ops.broadcast import Broadcast, Sum
from specc.ops.contract import Contract, index
from specc.ops.elementwise import Div, Sub
from specc.ops.functions import Exp
from specc.ops.leaf import Input
from specc.ops.reduce import Max
from specc.ops.shape import Reshape
from specc.plots import attention
from specc.plots.kinds import find
from specc.plots.subject import Subject
from specc.recipe import Column


class Term:
    def __init__(self, node):
        self.node = node


class Made:
    """As much of a program as the search asks for."""

    def __init__(self, ports, *nodes):
        self.ports, self.outputs, self.losses = ports, [Term(node) for node in nodes], []


class Port:
    def __init__(self, name, sequence, *shape):
        self.name, self.sequence, self.shape = name, sequence, shape


def softmax(x, axis):
    shape = x.type.shape
    rest = tuple(k for k in range(len(shape)) if k != axis)
    top = apply(Exp(), apply(Sub(), x, apply(Broadcast(shape, rest), apply(Max((axis,)), x))))
    return apply(Div(), top, apply(Broadcast(shape, rest), apply(Sum((axis,)), top)))


def leaf(name, *shape):
    return apply(Input("input", name, Type("float", shape, batched=True)))


def scores(q, k, heads):
    """[t, h, i] x [u, h, i] -> [t, h, u]."""
    (steps, width), (others, _) = q.type.shape, k.type.shape
    q = apply(Reshape((steps, heads, width // heads)), q)
    k = apply(Reshape((others, heads, width // heads)), k)
    t, h, u, i = map(index, range(4))
    extents = (steps, heads, others, width // heads)
    return apply(Contract(extents, (t, h, u), (t, h, i), (u, h, i), (steps, heads, others)), q, k)


def test_a_softmax_over_steps_is_found_and_no_other():
    x, y = leaf("x", 5, 6), leaf("y", 7, 6)
    ports = [Port("x", "time", 5, 6), Port("y", "read", 7, 6)]
    cross = softmax(scores(x, y, 2), 2)
    (found,) = attention.weights(Made(ports, cross))
    assert (found.steps, found.looked_at, found.axis, found.node) == ("time", "read", 2, cross)
    own = softmax(scores(x, x, 3), 2)
    assert attention.weights(Made(ports, own))[0].looked_at == "time"
    # over heads, over the features, and over steps where no step looks
    for other in (softmax(scores(x, y, 2), 1), softmax(x, 1), softmax(x, 0)):
        with pytest.raises(LookupError, match="the model has no attention"):
            attention.weights(Made(ports, other))


LIBRARY = """
seq time = 5
model look {
  input  x: float[<= time, 4]
  target y: class(3)[<= time]
  let scores = x -> attention(heads=2) -> dense(3)
  output scores
  loss cross_entropy(scores, y)
}
"""


def test_the_weights_of_the_library_are_those_of_the_paper():
    net = specc.compile(specc.loads(LIBRARY), dtype="float64")
    rng = np.random.default_rng(0)
    x, length = rng.normal(size=(3, 5, 4)), np.array([5, 3, 1])
    columns = {
        "x": Column(x), "x.length": Column(length), "y": Column(np.zeros((3, 5), np.int64)),
        "y.length": Column(length),
    }  # fmt: skip
    subject = Subject(net.program, net, "look", "given", columns, np.arange(3))
    for example in range(3):
        figure = find("attention").draw(subject, example=example)
        assert [part.title for part in figure.parts] == [
            "attention1, head 1", "attention1, head 2",
        ]  # fmt: skip
        some = x[example, : length[example]]
        dense = {
            name: some @ net.params[f"attention1.{name}.weight"].T
            + net.params[f"attention1.{name}.bias"]
            for name in ("query", "key")
        }
        for head, part in enumerate(figure.parts):
            q, k = (dense[name][:, 2 * head : 2 * head + 2] for name in ("query", "key"))
            e = np.exp(q @ k.T / np.sqrt(2))
            (table,) = part.tables
            assert table.values == pytest.approx(e / e.sum(1, keepdims=True), abs=1e-9)


def test_attention_over_letters_has_their_names():
    text = """
    seq time = 4
    model m {
      input x: class(3)[time]
      let y = x -> embed(4) -> learned_positions -> attention(causal=true) -> last -> dense(2)
      output y
    }"""
    net = specc.compile(specc.loads(text))
    columns = {"x": Column(np.array([[2, 0, 1, 1]]))}
    subject = Subject(net.program, net, "m", "given", columns, np.arange(1), {"x": ("a", "b", "c")})
    (panel,) = find("attention").draw(subject).parts
    assert panel.x.names == panel.y.names == ("c", "a", "b", "b")
    (table,) = panel.tables
    assert table.values.sum(1) == pytest.approx(np.ones(4))
    assert (np.triu(table.values, 1) == 0).all() and (np.tril(table.values)[3] > 0).all()


DECODER = """
seq read = 3
seq written = 5
model look {
  input  x: float[<= read, 4]
  target y: class(3)[<= written]
  let steps = previous(y) -> embed(4) -> rnn(4)
  let scores = concat(steps, additive_attention(steps, x; 2)) -> dense(3)
  output scores
  loss cross_entropy(scores, y)
}
"""


def test_the_steps_of_a_decoder_are_those_of_what_it_writes():
    (found,) = attention.weights(specc.loads(DECODER))
    assert (found.steps, found.looked_at, found.axis) == ("written", "read", 1)
