"""Recomputation: the same training by value, in less memory."""

from __future__ import annotations

import importlib
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import specc
import specc.net
from specc.backend.reference import evaluate
from specc.ir.graph import Graph, topological
from specc.ops.after import After
from specc.ops.contract import Contract
from specc.source import Source

module = importlib.import_module("specc.passes.recompute")
MODELS = Path(__file__).resolve().parent.parent.parent / "models"
BLOCKS = """
block stage(x: float[c, h, w]) { return x -> conv(c, kernel=3, pad=1, bias=false) -> batchnorm -> relu }
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
        let scores = image -> conv(4, kernel=3, pad=1) -> 6 * (stage -> dropout(0.2)) -> maxpool(2)
          -> 4 * (conv(4, kernel=3, pad=1) -> relu -> dropout(0.3)) -> avgpool(2) -> flatten
          -> dense(3) {SCORES} loss penalty = 1e-3 * l2(weights) }}""",
    "pools": f"""model m {{ {IMAGE} {LABEL}
        let scores = image -> 2 * (conv(4, kernel=3, pad=1) -> relu -> maxpool(3, stride=1, pad=1))
          -> maxpool(2) -> 3 * (conv(4, kernel=3, pad=1) -> relu -> maxpool(3, stride=1, pad=1))
          -> flatten -> dense(3) {SCORES} }}""",
    "residual": f"""model m {{ {IMAGE} {LABEL}
        let first = image -> conv(4, kernel=3, pad=1)
        let scores = first -> 3 * (short) -> 3 * (residual) -> global_avgpool -> dense(3)
        {SCORES} loss aside = mean(first * first) }}""",
    "towers": f"""model m {{ input a: float[12] input b: float[12] target same: bool
        layer tower = 6 * (dense(16) -> relu -> dropout(0.1)) -> dense(4)
        let p = tower(a) let q = tower(b)
        output p loss contrastive(p, q, same) }}""",
    "noise": f"""model m {{ input x: float[12] {LABEL}
        let scores = x -> 8 * (dense(16) -> noisy -> relu) -> dense(3) {SCORES} }}""",
    "sequence": f"""seq time = 7 model m {{ input x: float[time, 5] {LABEL}
        let scores = x -> 4 * (dense(8) -> relu) -> gru(8) -> 4 * (dense(8) -> relu) -> lstm(8)
          -> last -> dense(3) {SCORES} }}""",
}


def program(text: str, again: bool, batch: int = 24, optimizer: str = "momentum(lr = 0.05)"):
    setting = f"recompute = {str(again).lower()}"
    block = f"train {{ optimizer {optimizer} batch = {batch} clip_norm = 1 {setting} }}"
    return specc.load(Source("m.dl", f"{BLOCKS} {text} {block}"))


def examples(net, n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {port.name: rng.integers(0, port.classes or 2, (n, *port.shape)) if port.kind != "float"
            else rng.standard_normal((n, *port.shape)) for port in net.ports}


def repeated(graph: Graph) -> list:
    """The products that read what awaits others."""
    return [node for node in graph.nodes if isinstance(node.op, Contract)
            and any(isinstance(each.op, After) for each in topological(node.inputs))
            and not node.op.sum_batch]


def same(found, expected):
    # the same formulas, but joined to other loops: a multiplication and an addition may be one there
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", NETS)
def test_the_training_is_the_same_by_value(name, threads, monkeypatch):
    monkeypatch.setattr(specc.net, "WORTH_AGAIN", math.inf)  # also where it does not pay
    monkeypatch.setattr(module, "WORTH", math.inf)
    nets = [specc.compile(program(NETS[name], again), threads=threads, dtype="float64")
            for again in (False, True)]
    data = examples(nets[0], 23)
    assert not any(isinstance(node.op, After) for node in nets[0].graph("train").nodes)
    assert any(isinstance(node.op, After) for node in nets[1].graph("train").nodes)
    (loss, gradients), (again, others) = (net.loss_and_gradients(**data) for net in nets)
    same(again, loss)
    for path, gradient in gradients.items():
        same(others[path], gradient)
    plain, other = ([net.step(**data) for _ in range(3)] for net in nets)
    same(other, plain)
    for kind in ("params", "states"):
        for path, array in getattr(nets[0], kind).items():
            same(getattr(nets[1], kind)[path], array)
