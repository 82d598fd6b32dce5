"""Recomputation: the same training by value, in less memory."""

from __future__ import annotations

import importlib
import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pairs import in_turn

import specc
from specc import pipeline
from specc.backend.reference import evaluate
from specc.ir.graph import Graph
from specc.ops.after import After
from specc.ops.carry import Carry, loops
from specc.ops.functions import Sigmoid
from specc.ops.leaf import Input
from specc.ops.random import Uniform
from specc.ops.reduce import AllReduce
from specc.ops.views import awaited
from specc.recipe import Column
from specc.source import Source

# as many layers as there are, of any kind
pytestmark = pytest.mark.filterwarnings("ignore:.*deep-saturation")

module = importlib.import_module("specc.passes.recompute")
MODELS = Path(__file__).resolve().parent.parent.parent / "models"
BLOCKS = """
block stage(x: float[c, h, w]) {
  return x -> conv(c, kernel=3, pad=1, bias=false) -> batchnorm -> relu
}
block noisy(x: float[n]) { return if training then x + 0.1 * normal(x) else x }
block short(x: float[c, h, w]) {
  let y = x -> conv(c, kernel=3, pad=1) -> relu -> conv(c, kernel=3, pad=1)
  return relu(x + y)
}
"""
IMAGE, LABEL = "input image: float[2, 8, 8]", "target label: class(3)"
SCORES = "output scores loss cross_entropy(scores, label) metric accuracy(scores, label)"
NETS = {
    "dense": f"""model m {{ input x: float[12] {LABEL}
        let scores = x -> 12 * (dense(16) -> tanh) -> dense(3) {SCORES} }}""",
    "convolutions": f"""model m {{ {IMAGE} {LABEL}
        let scores = image -> conv(4, kernel=3, pad=1) -> relu -> 6 * (stage -> dropout(0.2))
        -> maxpool(2)
          -> 4 * (conv(4, kernel=3, pad=1) -> relu -> dropout(0.3)) -> avgpool(2) -> flatten
          -> dense(3) {SCORES} loss penalty = 1e-3 * l2(weights) }}""",
    "pools": f"""model m {{ {IMAGE} {LABEL}
        let scores = image -> 2 * (conv(4, kernel=3, pad=1) -> relu -> maxpool(3, stride=1, pad=1))
          -> maxpool(2) -> 3 * (conv(4, kernel=3, pad=1) -> relu -> maxpool(3, stride=1, pad=1))
          -> flatten -> dense(3) {SCORES} }}""",
    "residual": f"""model m {{ {IMAGE} {LABEL}
        let first = image -> conv(4, kernel=3, pad=1)
        let scores = first -> 6 * (short) -> global_avgpool -> dense(3)
        {SCORES} loss aside = mean(first * first) }}""",
    "towers": """model m { input a: float[12] input b: float[12] target same: bool
        layer tower = 6 * (dense(16) -> relu -> dropout(0.1)) -> dense(4)
        let p = tower(a) let q = tower(b)
        output p loss contrastive(p, q, same) }""",
    "noise": f"""model m {{ input x: float[12] {LABEL}
        let scores = x -> 8 * (dense(16) -> noisy -> relu) -> dense(3) {SCORES} }}""",
    "sequence": f"""seq time = 7 model m {{ input x: float[time, 5] {LABEL}
        let scores = x -> 4 * (dense(8) -> relu) -> gru(8) -> 4 * (dense(8) -> relu) -> lstm(8)
          -> last -> dense(3) {SCORES} }}""",
    "pairs": f"""model m {{ input x: float[12] {LABEL}
        let z = x -> 8 * (dense(16) -> relu -> dropout(0.1)) -> dense(3)
        output z loss group(z, label; margin = 1.5) }}""",
    "cells": """seq time = 6 model m { input x: float[<= time, 5] target y: class(4)[<= time]
        let scores = x -> lstm(8) -> dropout(0.2) -> gru(8) -> rnn(8) -> lstm(8) -> dense(4)
        output scores loss cross_entropy(scores, y) metric accuracy(scores, y) }""",
    "stream": """seq time = 6 model m { stream x: float[time, 5] target y: class(4)[time]
        let scores = x -> lstm(8) -> gru(8) -> lstm(8) -> dense(4)
        output scores loss cross_entropy(scores, y) }""",
}

# with a fifth as many kernels as all others together
LARGE = {
    "normalized residual": f"""model m {{ {IMAGE} {LABEL}
        let first = image -> conv(4, kernel=3, pad=1)
        let scores = first -> 3 * (short) -> 3 * (residual) -> global_avgpool -> dense(3)
        {SCORES} loss aside = mean(first * first) }}""",
}


def settings(first: int, second: int) -> list:
    """Each net with one number of threads, in turn; the large ones are long."""
    more = [
        pytest.param(*each, marks=pytest.mark.long)
        for each in itertools.product(LARGE, (first, second))
    ]
    return in_turn(NETS, [first, second]) + more


def program(text: str, again: bool, batch: int = 24, optimizer: str = "momentum(lr = 0.05)"):
    setting = f"recompute = {str(again).lower()}"
    block = f"train {{ optimizer {optimizer} batch = {batch} clip_norm = 1 {setting} }}"
    return specc.load(Source("m.dl", f"{BLOCKS} {text} {block}"))


def examples(net, n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    data = {}
    for port in net.ports:
        if port.length_of:
            data[port.name] = rng.integers(1, port.classes or 7, n)
        elif port.kind == "float":
            data[port.name] = rng.standard_normal((n, *port.shape))
        elif not port.begin_of:
            data[port.name] = rng.integers(0, port.classes or 2, (n, *port.shape))
    return data


def again(graph: Graph, op: type) -> list:
    """The nodes of an op that wait for others."""
    return [node for node in graph.nodes if isinstance(node.op, op) and awaited(node)]


def same(found, expected):
    # the same formulas, but joined to other loops: a product and a sum may be one operation there
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-11)


def without_and_with(name: str, threads: int, monkeypatch) -> list[specc.Net]:
    """A net without recomputation, and one that recomputes also where it does not pay."""
    monkeypatch.setattr(pipeline, "WORTH_RECOMPUTING", math.inf)
    monkeypatch.setattr(module, "WORTH", math.inf)
    nets = [
        specc.compile(
            program({**NETS, **LARGE}[name], again),
            threads=threads,
            shards=threads,
            dtype="float64",
        )
        for again in (False, True)
    ]
    assert not any(isinstance(node.op, After) for node in nets[0].graph("train").nodes)
    assert any(isinstance(node.op, After) for node in nets[1].graph("train").nodes)
    return nets


def some_examples(name: str, net) -> dict[str, np.ndarray]:
    return examples(net, 24 if name == "stream" else 23)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "threads"), settings(1, 2))
def test_gradients_and_training_are_the_same_by_value(name, threads, monkeypatch):
    nets = without_and_with(name, threads, monkeypatch)
    data = some_examples(name, nets[0])
    (loss, gradients), (again, others) = (net.loss_and_gradients(**data) for net in nets)
    same(again, loss)
    for path, gradient in gradients.items():
        same(others[path], gradient)
    plain, other = ([net.step(**data) for _ in range(3)] for net in nets)
    same(other, plain)
    for kind in ("params", "states"):
        for path, array in getattr(nets[0], kind).items():
            same(getattr(nets[1], kind)[path], array)


@pytest.mark.parametrize("seed", range(20))
def test_the_cheapest_way_through_the_cuts_holds_no_more_than_its_bound(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 7))
    # what a segment newly keeps, what it holds within itself, and its work
    pairs = [[tuple(map(int, rng.integers(0, 9, 3))) for _ in range(end)] for end in range(count)]

    def way(cuts: tuple[int, ...]) -> tuple[int, int, int]:
        """The most that is held at a time, what is kept in the end, and the work done twice."""
        kept = most = work = 0
        for start, end in itertools.pairwise((0, *cuts, count - 1)):
            newly, own, again = pairs[end][start]
            kept += newly
            most = max(most, kept + own)
            work += again if end < count - 1 else 0
        return most, kept, work

    inner = range(1, count - 1)
    ways = [way(cuts) for n in range(count) for cuts in itertools.combinations(inner, n)]
    for bound in range(40):
        found = module._cuts(pairs, count, bound)
        within = [(kept, work) for most, kept, work in ways if most <= bound]
        assert (found is None) == (not within)
        if found is not None:
            most, kept, work = way(tuple(found))
            assert most <= bound
            assert (kept, work) == min(within)


def graphs(text: str) -> tuple[Graph, Graph]:
    """The training step of a model as it is planned, without and with recomputation."""
    nets = [specc.compile(program(text, again), threads=1) for again in (False, True)]
    return nets[0].graph("train"), nets[1].graph("train")


@pytest.mark.parametrize("name", ["convolutions", "residual", "cells"])
def test_the_interpreter_agrees(name, monkeypatch):
    monkeypatch.setattr(pipeline, "WORTH_RECOMPUTING", math.inf)
    plain, other = graphs(NETS[name])
    rng = np.random.default_rng(0)
    leaves = {("weight_of_example", ""): np.full(5, 0.2)}
    for node in plain.nodes:
        if isinstance(node.op, Input) and node.op.role != "weight_of_example":
            shape = (5,) * node.type.batched + node.type.shape
            leaves[node.op.role, node.op.label] = (
                rng.integers(1, 3, shape) if node.type.kind != "float" else 0.5 + rng.random(shape)
            )
    expected, found = (evaluate(graph, leaves, 1, 2) for graph in (plain, other))
    assert list(found) == list(expected)
    for output, array in expected.items():
        np.testing.assert_array_equal(found[output], array)


def test_dropout_draws_the_same_numbers_again():
    plain, other = graphs(f"""model m {{ {IMAGE} {LABEL} let scores = image
        -> 12 * (conv(4, kernel=3, pad=1) -> relu -> dropout(0.3)) -> flatten -> dense(3)
        {SCORES} }}""")
    drawn = [node.op for node in other.nodes if isinstance(node.op, Uniform)]
    assert len(again(other, Uniform)) == len(drawn) - 12 > 6
    assert set(drawn) == {node.op for node in plain.nodes if isinstance(node.op, Uniform)}


def test_statistics_and_states_are_computed_once():
    plain, other = graphs(NETS["convolutions"])

    def once(graph: Graph) -> list:
        return [node for node in graph.nodes if isinstance(node.op, (AllReduce, Carry))]

    assert len(once(other)) == len(once(plain))
    plain, other = graphs(
        "seq time = 6 model m { input x: float[time, 5] target y: class(4)"
        " let s = x -> 4 * (lstm(8)) -> last -> dense(4)"
        " output s loss cross_entropy(s, y) }"
    )
    assert len(once(other)) == len(once(plain))
    gates = [node for node in other.nodes if isinstance(node.op, Sigmoid)]
    in_loops = {node for loop in loops(other) for node in loop.nodes}
    assert len(gates) > sum(isinstance(node.op, Sigmoid) for node in plain.nodes)
    assert sum(node in in_loops for node in gates) == 4 * 3  # the others are for all steps at once


STAGES = "-> conv(8, kernel=3, pad=1) -> relu -> 30 * (stage) -> global_avgpool -> dense(3)"
DEEP = {
    "convolutions": (f"model m {{ {IMAGE} {LABEL} let scores = image {STAGES} {SCORES} }}", 0.25),
    "residual": (
        f"model m {{ {IMAGE} {LABEL} let scores = image -> conv(8, kernel=3, pad=1)"
        f" -> 15 * (residual) -> global_avgpool -> dense(3) {SCORES} }}",
        0.3,
    ),
    "cells": (
        f"seq time = 20 model m {{ input x: float[time, 8] {LABEL}"
        f" let scores = x -> 6 * (lstm(16)) -> last -> dense(3) {SCORES} }}",
        0.7,
    ),
}


@pytest.mark.parametrize(("name", "threads"), in_turn(DEEP, [1, 2]))
def test_deep_models_take_less_memory(name, threads):
    text, part = DEEP[name]
    plain, other = (
        specc.compile(program(text, again), threads=threads, shards=threads).plan("train")
        for again in (False, True)
    )
    assert other.arena_bytes < part * plain.arena_bytes
    assert other.shared_bytes <= plain.shared_bytes


def test_where_it_would_save_next_to_nothing_nothing_is_recomputed():
    plain, other = graphs(f"""model m {{ {IMAGE} {LABEL}
        let scores = image -> flatten -> dense(3) {SCORES} }}""")
    assert not any(isinstance(node.op, After) for node in other.nodes)
    assert len(other.nodes) == len(plain.nodes)


def test_where_no_loss_depends_on_the_examples_nothing_is_recomputed():
    text = """model m { input x: float[3] let y = x -> dense(2) output y loss l2(weights) }
        train { optimizer sgd(lr = 0.1) recompute = true }"""
    net = specc.compile(specc.loads(text), batch=4, dtype="float64", threads=1)
    before = net.params["dense1.weight"].copy()
    net.step(x=np.ones((4, 3)))
    np.testing.assert_allclose(net.params["dense1.weight"], 0.8 * before)


def test_a_prediction_recomputes_nothing():
    net = specc.compile(program(NETS["dense"], True), threads=1)
    for kind in ("predict", "evaluate"):
        assert not any(isinstance(node.op, After) for node in net.graph(kind).nodes)


def test_a_training_ends_with_the_same_weights():
    made = specc.load(MODELS / "plain_deep.dl", recompute="true")
    assert made.recipe.recompute
    recipes = [replace(made.recipe, recompute=each) for each in (False, True)]
    nets = [
        specc.compile(replace(made, recipe=recipe), dtype="float64", threads=2, shards=2)
        for recipe in recipes
    ]
    rng = np.random.default_rng(0)
    data = {"image": rng.random((150, 1, 8, 8)), "label": rng.integers(0, 10, 150)}
    columns = {name: Column(array) for name, array in data.items()}
    records = [net.train(columns, np.arange(150), 0, 3, 30) for net in nets]
    np.testing.assert_allclose(records[1], records[0], rtol=1e-7)
    for path, array in nets[0].params.items():
        np.testing.assert_allclose(nets[1].params[path], array, rtol=1e-6, atol=1e-9)
