"""The planner: shards, barriers and what each shard does for itself."""

from __future__ import annotations

import numpy as np
import pytest

import specc
from specc.ir.graph import Graph, apply
from specc.ir.plan import GroupKind, Mode
from specc.ir.types import Type
from specc.ops.elementwise import Elementwise, add
from specc.ops.leaf import Input, Role, leaf
from specc.ops.shape import Slice
from specc.ops.views import root_of
from specc.passes.division import shares
from specc.passes.push_slices import push_slices
from specc.source import Source


@pytest.mark.parametrize(
    ("batch", "threads", "expected"),
    [
        (1, 2, (1, 1, 16)),
        (16, 2, (1, 16, 16)),  # two half-empty shards would be no faster
        (17, 2, (2, 9, 16)),
        (24, 2, (2, 12, 16)),
        (40, 4, (3, 14, 16)),
        (64, 2, (2, 32, 32)),
        (64, 1, (1, 64, 64)),
    ],
)
def test_there_are_no_more_shards_than_the_batch_fills(batch, threads, expected):
    assert shares(batch, threads, vector=16) == expected


def phases(layers: str, threads: int = 2) -> int:
    text = f"""model m {{
      input x: float[2, 4, 4]
      target y: class(3)
      let scores = x -> {layers} -> flatten -> dense(3)
      output scores
      loss cross_entropy(scores, y)
    }}
    train {{ optimizer momentum(lr=0.1) batch = 64 }}"""
    net = specc.compile(specc.load(Source("m.dl", text)), threads=threads, shards=threads)
    return 1 + max(step.phase for step in net.plan("train").steps)


def test_a_batchnorm_costs_three_barriers():
    # two for the mean and the variance, one for the gradients of all
    plain = phases("2 * (conv(2, kernel=3, pad=1) -> relu)")
    assert phases("2 * (conv(2, kernel=3, pad=1) -> batchnorm -> relu)") == plain + 3 * 2


def test_what_a_shard_does_for_itself_only_the_first_writes_outside_of_its_arena():
    text = """model m { input x: float[4] let y = batchnorm(x) output y loss sum(y * y) }
              train { optimizer sgd(lr=0.1) batch = 64 }"""
    steps = specc.compile(specc.load(Source("m.dl", text)), threads=2, shards=2).plan("train").steps
    repeated = [step for step in steps if step.mode == Mode.EACH]
    assert any(place.space.startswith("state.") for step in repeated for _, place in step.stores)
    for step in repeated:
        inner = step.within_arena
        assert inner.stores and all(place.space == "arena" for _, place in inner.stores)
        assert len(inner.group.nodes) <= len(step.group.nodes)


def test_no_shard_repeats_a_step_that_overwrites_what_the_step_reads():
    # the first shard would write the new state while the others still read the old one
    text = """block drift(x: float[n]) {
                state m: float[n] = 3
                let m2 = m + 0.5 * (stop_gradient(batch_mean(x)) - m)
                next m = m2
                return x - m2
              }
              model m { input x: float[4] param p: float[4] = 1 loss sum(p * drift(x) ^ 2) }
              train { optimizer sgd(lr=0.1) batch = 64 }"""
    plan = specc.compile(specc.load(Source("m.dl", text)), threads=2, shards=2).plan("train")
    (writer,) = (
        step
        for step in plan.steps
        if any(place.space == "state.drift1.m" for _, place in step.stores)
    )
    read_by_all = {
        root_of(each)
        for step in plan.steps
        if step.mode in (Mode.SHARD, Mode.EACH)
        for node in step.group.nodes
        for each in node.inputs
    }
    assert read_by_all & set(writer.group.stored)  # or it would be of no use to repeat it
    for step in plan.steps:
        written = {place.space for _, place in step.stores}
        leaves = {root_of(each).op for node in step.group.nodes for each in node.inputs}
        read = {f"{op.role}.{op.label}" for op in leaves if isinstance(op, Input)}
        assert step.mode != Mode.EACH or not written & read


GATED = """seq time = 3
  cell gated(x: float[n]; units: int) {
    state h: float[units] = 0
    let sums = concat(x, h) -> dense(2 * units)
    let h2 = sigmoid(sums[:units]) * h + tanh(sums[units:])
    next h = h2
    return h2
  }
  model m {
    input x: float[time, 5]
    target y: float[time, 2]
    let w = x -> gated(20) -> dense(2)
    output w
    loss mse(w, y)
  }
  train { optimizer sgd(lr=0.1) batch = 40 }"""


def test_slices_of_a_sum_are_sums_of_slices():
    graph = specc.compile(specc.load(Source("m.dl", GATED)), threads=2, shards=2).graph("train")
    assert not [
        node
        for node in graph.nodes
        if isinstance(node.op, Slice) and isinstance(node.inputs[0].op, Elementwise)
    ]


def test_slices_that_overlap_or_are_not_all_that_reads_it_leave_a_formula_whole():
    x, z = (leaf(Input(Role.INPUT, name, Type("float", (6,), True))) for name in "xz")
    total = add(x, z)
    halves = [apply(Slice(0, start, 3), total) for start in (0, 3)]
    assert len(push_slices(Graph({"a": halves[0], "b": halves[1]})).nodes) == 2 + 4 + 2
    for other in (apply(Slice(0, 2, 3), total), total, add(total, x)):
        graph = Graph({"a": halves[0], "b": halves[1], "c": other})
        assert push_slices(graph) is graph


@pytest.mark.parametrize("tiled", [True, False])
def test_parts_of_a_gradient_are_summed_side_by_side(tiled, monkeypatch):
    if not tiled:
        monkeypatch.setattr("specc.backend.emit.emit.product_calls", lambda *_: [])
    program = specc.load(Source("m.dl", GATED))
    net = specc.compile(program, dtype="float64", threads=2, shards=2)
    plan = net.plan("train")
    assert len(plan.strides) == 2
    assert [step.mode for step in plan.steps if step.group.kind == GroupKind.CONCAT] == [Mode.SHARD]
    rng = np.random.default_rng(0)
    data = {"x": rng.standard_normal((40, 3, 5)), "y": rng.standard_normal((40, 3, 2))}
    _, found = net.loss_and_gradients(**data)
    alone = specc.compile(program, dtype="float64", threads=1)
    monkeypatch.undo()
    _, wanted = alone.loss_and_gradients(**data)
    for path, gradient in wanted.items():
        np.testing.assert_allclose(found[path], gradient, rtol=1e-9, atol=1e-12)
