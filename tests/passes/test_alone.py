"""Few examples of a training step: each by a shard of its own, without lanes."""

from __future__ import annotations

import numpy as np
import pytest
from model_files import random_examples
from pairs import in_turn, pairwise
from sequences import interpreted, load, randomized

import specc
from specc import pipeline
from specc.backend.machine import this_machine
from specc.ir.kind import Kind
from specc.passes import division, regions
from specc.passes.regions import CutLimits

NETS = {
    "attention": """input x: float[time, 8] target y: float[time, 8]
        let z = x -> learned_positions -> transformer(heads=2, causal=true, dropout=0.2)
        output z loss mse(z, y)""",
    "a memory that varies": """input x: float[time, 8] input a: float[<= past, 8]
        target y: float[time, 8] let z = attention(x, a; heads=2) output z loss mse(z, y)""",
    "convolutions": """input x: float[2, 9, 10] target y: class(4)
        let w = x -> conv(5, kernel=3, pad=1) -> batchnorm -> relu
          -> maxpool(3, stride=2, round=floor) -> conv(6, kernel=2, stride=2)
          -> dropout(0.3) -> flatten -> dense(4)
        output w loss cross_entropy(w, y)""",
    "padded pools": """input x: float[1, 4, 4] target y: class(3)
        let w = x -> conv(3, kernel=3, pad=1, bias_init=normal) -> softplus -> avgpool(2, pad=1)
          -> flatten -> dense(3) output w loss cross_entropy(w, y)""",
    "paddings of uneven images": """input x: float[2, 7, 9] target y: float[4, 4, 5]
        let w = x -> conv(3, kernel=3, pad=1) -> relu -> maxpool(3, stride=1, pad=1)
          -> conv(6, kernel=5, kernel_width=3, pad=2, pad_width=1, groups=3)
          -> conv(4, kernel=3, stride=2, pad=1) output w loss mse(w, y)""",
    "paddings that every shard repeats": """input x: float[8, 15, 17] target y: class(3)
        let w = x -> avgpool(7, stride=1, pad=3) -> conv(2, kernel=3, stride=2) -> flatten
          -> dense(3) output w loss cross_entropy(w, y)""",
    "cells": """input x: float[<= time, 5] target y: class(4)
        let w = x -> lstm(6) -> gru(5) -> last -> dense(4) output w loss cross_entropy(w, y)""",
    "words": """input x: class(9)[time] target y: class(9)[time]
        let w = x -> embed(6) -> attention(heads=3) -> dense(9)
        output w loss cross_entropy(w, y) loss 0.01 * l2(weights)""",
    "examples that meet": """input x: float[6] let z = x -> dense(9) -> tanh -> dense(5)
        let others = peers(z) let d[b] = sum(i: (others[b, i] - z[i]) ^ 2)
        output z loss mean(b: exp(-d[b]))""",
    "a derivative": """input x: float[time, 4] let u = sum(x -> dense(6) -> tanh -> dense(2))
        let g = gradient(u; x) output g loss sum(g * g)""",
}


def text(name, optimizer="momentum(lr = 0.05)"):
    before = "seq time = 7 " * ("time" in NETS[name]) + "seq past = 6 " * ("past" in NETS[name])
    return f"{before} model m {{ {NETS[name]} }} train {{ optimizer {optimizer} }}"


@pytest.fixture
def always(monkeypatch):
    """Few examples of any model are computed by shards of their own."""
    monkeypatch.setattr(division, "LEAST_ALONE", 0)
    monkeypatch.setattr(division, "ALONE", 0)
    monkeypatch.setattr(division, "IN_LOOPS", 0)
    monkeypatch.setattr(division, "ADDED", 0)


def compiled(name, count, threads=1, dtype="float64", optimizer="momentum(lr = 0.05)"):
    net = specc.compile(
        load(text(name, optimizer)), batch=count, dtype=dtype, threads=threads, seed=2
    )
    randomized(net)
    return net


PADDED = [name for name in NETS if "pad=" in NETS[name]]


@pytest.mark.parametrize(
    ("name", "count", "threads"),
    [*in_turn(NETS, [1, 2, 3, 4], [1, 2]), *pairwise(PADDED, [2, 3, 4], [1, 2])],
)
def test_gradients_are_those_of_the_interpreter(name, count, threads, always):
    net = compiled(name, count, threads)
    plan = net.plan(Kind.TRAIN)
    if count < this_machine().lanes("float64"):
        assert (plan.lanes, plan.shards) == (1, count)
    data = random_examples(net.ports, count, 3)
    if "dropout" not in NETS[name] and "peers" not in NETS[name]:
        loss, gradients = net.loss_and_gradients(**data)
        wanted = interpreted(net.program, net, data, pipeline.with_gradients(net.program))
        assert loss == pytest.approx(wanted["loss"], rel=1e-10)
        for path, gradient in gradients.items():
            expected = wanted[f"gradient.{path}"]
            np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-11, err_msg=path)


@pytest.mark.parametrize("optimizer", ["adam(lr = 0.01)", "sam(lr = 0.05)"])
@pytest.mark.parametrize("name", NETS)
def test_steps_are_those_in_lanes_with_the_same_bits_for_any_threads(name, optimizer, monkeypatch):
    plain = compiled(name, 3, 1, "float64", optimizer)
    assert plain.plan(Kind.TRAIN).lanes > 1
    data = random_examples(plain.ports, 3, 4)
    losses = [plain.step(**data) for _ in range(3)]
    monkeypatch.setattr(division, "trains_alone", lambda graph, batch, vector: True)
    bits = []
    for threads in (1, 2, 3):
        net = compiled(name, 3, threads, "float64", optimizer)
        assert net.plan(Kind.TRAIN).lanes == 1
        assert [net.step(**data) for _ in range(3)] == pytest.approx(losses, rel=1e-9)
        for part in ("params", "states"):
            for path, array in getattr(plain, part).items():
                found = getattr(net, part)[path]
                np.testing.assert_allclose(found, array, rtol=1e-7, atol=1e-9, err_msg=path)
        bits.append({path: array.tobytes() for path, array in net.params.items()})
    assert bits[0] == bits[1] == bits[2]


def test_large_values_are_computed_in_chunks(always, monkeypatch):
    model = load(ATTENTION.replace("64", "24").replace("MORE", ""))
    plain, net = (specc.compile(model, batch=2, dtype="float64", threads=k) for k in (1, 2))
    data = random_examples(plain.ports, 2, 5)
    loss, gradients = plain.loss_and_gradients(**data)
    monkeypatch.setattr(regions, "LIMITS", CutLimits(elements=500, ratio=1.01, rows=8))
    assert len(net.graph("gradients").nodes) > len(plain.graph("gradients").nodes)
    found, others = net.loss_and_gradients(**data)
    assert found == pytest.approx(loss, rel=1e-12)
    for path, gradient in gradients.items():
        np.testing.assert_allclose(others[path], gradient, rtol=1e-9, atol=1e-12)


ATTENTION = (
    "seq time = 64 model m { input x: float[time, 64] target y: float[time, 64]"
    " let z = x -> attention(heads=4) output z loss mse(z, y) }"
    " train { optimizer sgd(lr=0.1) MORE }"
)
IMAGES = (
    "model m { input x: float[3, 32, 32] target y: class(5) let z = x -> conv(16, kernel=3, pad=1)"
    " -> relu -> conv(16, kernel=3, pad=1) -> maxpool(8) -> flatten -> dense(5) output z"
    " loss cross_entropy(z, y) } train { optimizer sgd(lr=0.1) }"
)
DENSE = (
    "model m { input x: float[512] target y: float[512] let z = x -> dense(512) -> tanh"
    " -> dense(512) output z loss mse(z, y) } train { optimizer sgd(lr=0.1) }"
)


@pytest.mark.parametrize(
    ("model", "batch", "kind", "is_alone"),
    [
        (ATTENTION.replace("MORE", ""), 2, Kind.TRAIN, True),
        (ATTENTION.replace("MORE", ""), 2, Kind.GRADIENTS, True),
        (ATTENTION.replace("MORE", ""), 2, Kind.EVALUATE, False),
        (ATTENTION.replace("MORE", ""), 16, Kind.TRAIN, False),
        (ATTENTION.replace("64", "4").replace("MORE", ""), 2, Kind.TRAIN, False),
        (IMAGES, 2, Kind.TRAIN, True),
        (IMAGES, 4, Kind.TRAIN, True),
        (IMAGES, 8, Kind.TRAIN, False),
        (IMAGES, 2, Kind.EVALUATE, False),
        (DENSE, 1, Kind.TRAIN, False),
        (DENSE, 2, Kind.TRAIN, False),
    ],
)
def test_examples_are_alone_where_weights_are_read_at_many_places(model, batch, kind, is_alone):
    made = pipeline.run(
        pipeline.Job(load(model), kind), batch=pipeline.Batch(batch, vector=16, item=4)
    )
    assert (made.division.lanes == 1) == is_alone


def test_rounded_products_stay_in_lanes():
    program = load(ATTENTION.replace("MORE", "precision = bfloat16"))
    batch = pipeline.Batch(2, vector=16, item=4, bfloat16=True)
    assert pipeline.run(pipeline.Job(program, Kind.TRAIN), batch=batch).division.lanes == 16
