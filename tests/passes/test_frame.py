"""Zeros around images: written in one go, for one example by all shards without waiting."""

from __future__ import annotations

import numpy as np
import pytest
from sequences import agrees_with_the_interpreter, examples, load

import specc
from specc.backend.reference import evaluate
from specc.ir.graph import Graph, apply
from specc.ir.kind import Kind
from specc.ir.types import Type
from specc.ir.verify import verify
from specc.ops import elementwise as e
from specc.ops.leaf import Input, Role, leaf
from specc.ops.shape import Frame, Pad
from specc.passes.frame import frame
from specc.source import Source

IMAGE = leaf(Input(Role.INPUT, "x", Type("float", (2, 3, 4), True)))
TWO_LAYERS = """
model m {
  input  x: float[3, 32, 32]
  output x -> conv(16, kernel=3, pad=1) -> relu -> conv(32, kernel=3, pad=1) -> batchnorm -> relu
           -> maxpool(2) -> conv(16, kernel=3, pad=1)
}
"""


def ops(graph: Graph) -> list:
    return [node.op for node in graph.nodes if isinstance(node.op, (Pad, Frame))]


def test_pads_along_several_axes_become_one_frame():
    padded = apply(Pad(2, 2, 7), apply(Pad(1, 1, 5), IMAGE))
    found = verify(frame(Graph({"output.y": padded})), "frame")
    assert ops(found) == [Frame((0, 1, 2), (2, 5, 7))]
    x = np.random.default_rng(0).standard_normal((6, 2, 3, 4))
    before = evaluate(Graph({"output.y": padded}), {("input", "x"): x})["output.y"]
    assert np.array_equal(evaluate(found, {("input", "x"): x})["output.y"], before)


def test_a_pad_that_others_read_too_stays():
    inner = apply(Pad(1, 1, 5), IMAGE)
    outer = apply(Pad(2, 2, 7), inner)
    found = frame(Graph({"output.y": outer, "output.z": apply(e.Neg(), inner)}))
    assert sorted(op.shape for op in ops(found)) == [(2, 5, 4), (2, 5, 7)]


@pytest.mark.parametrize("pad", [Pad(1, 0, 5, step=2), Pad(1, 1, 5, fill=-1.0)])
def test_a_pad_that_is_no_border_of_zeros_stays(pad):
    graph = Graph({"output.y": apply(pad, IMAGE)})
    assert ops(frame(graph)) == [pad]


def test_shards_wait_only_where_a_product_reads_what_others_made():
    net = specc.compile(specc.load(Source("m.dl", TWO_LAYERS)), batch=4, threads=2, shards=2)
    plan = net.plan(Kind.PREDICT, 1)
    phases = [
        [step.group.kind for step in plan.steps if step.phase == phase] for phase in (1, 2, 3)
    ]
    assert phases == [
        ["contract", "nest"],
        ["contract", "nest", "kernel", "nest"],
        ["contract", "nest"],
    ]
    assert all(step.by_channels for step in plan.steps if step.phase)


def test_the_border_of_a_frame_is_zero_at_every_call():
    net = specc.compile(
        specc.load(Source("m.dl", TWO_LAYERS)), batch=4, threads=2, shards=2, seed=1
    )
    rng = np.random.default_rng(2)
    for _ in range(3):
        x = rng.standard_normal((1, 3, 32, 32)).astype("float32")
        (one,), (many,) = (net.forward(x=each).values() for each in (x, np.repeat(x, 4, 0)))
        assert np.allclose(one, many[:1], atol=1e-4)


TRAINED = """
model m {
  input  x: float[2, 7, 9]
  target y: float[4, 7, 9]
  let guess = x -> conv(3, kernel=3, pad=1) -> relu -> maxpool(3, stride=1, pad=1)
    -> conv(3, kernel=5, kernel_width=3, pad=2, pad_width=1, groups=3)
    -> conv(4, kernel=1, kernel_width=3, pad_width=1)
  output guess
  loss   mse(guess, y)
}
"""


@pytest.mark.parametrize("batch", [1, 3, 20])
def test_a_batch_has_frames_whose_gaps_are_filled_each_time(batch):
    net = agrees_with_the_interpreter(TRAINED, batch)
    assert any(isinstance(node.op, Frame) for node in net.plan(Kind.GRADIENTS).graph.nodes)
    other = specc.compile(load(TRAINED), batch=batch, dtype="float64", threads=2, shards=2)
    for name, array in net.params.items():
        other.params[name][...] = array
    data = {name: 3 - array for name, array in examples(load(TRAINED), batch).items()}
    # one of them has had other data before
    found, fresh = net.loss_and_gradients(**data), other.loss_and_gradients(**data)
    assert found[0] == fresh[0]
    for name, gradient in found[1].items():
        assert gradient.tobytes() == fresh[1][name].tobytes(), name
