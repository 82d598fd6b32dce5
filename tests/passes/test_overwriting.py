"""Weights and states are overwritten in place only once nothing reads their old values any more."""

from __future__ import annotations

import numpy as np
import pytest

import specc
from specc.ops.elementwise import Copy
from specc.source import Source

X = np.random.default_rng(0).normal(size=(40, 4))


def trained(model: str, threads: int):
    program = specc.load(Source("m.dl", f"{model} train {{ optimizer sgd(lr=0.1) batch = 40 }}"))
    net = specc.compile(program, dtype="float64", threads=threads, shards=threads)
    return net, net.step(x=X)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_weight_whose_gradient_others_read_together_with_it(threads):
    # the gradient of p is m, and the metric reads both m and the old p
    net, loss = trained(
        """model m {
        input x: float[4] param p: float[4] = 1
        let m = batch_mean(x)
        loss a = sum(p * m)
        metric sum((x - m) * p)
    }""",
        threads,
    )
    mean = X.mean(0)
    assert loss == pytest.approx(mean.sum())
    np.testing.assert_allclose(net.params["p"], 1 - 0.1 * mean)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_state_whose_next_value_is_read_together_with_it(threads):
    net, loss = trained(
        """
        block drift(x: float[n]) {
          state m: float[n] = 3
          let m2 = m + 0.5 * (stop_gradient(batch_mean(x)) - m)
          next m = m2
          return (x - m2) * m
        }
        model m {
          input x: float[4] param p: float[] = 1
          loss sum(p * drift(x))
        }""",
        threads,
    )
    m2 = 3 + 0.5 * (X.mean(0) - 3)
    assert loss == pytest.approx((3 * (X - m2)).sum(1).mean())
    np.testing.assert_allclose(net.states["drift1.m"], m2)


@pytest.mark.parametrize("optimizer", ["sgd(lr=0.1)", "momentum(lr=0.1)"])
def test_what_is_overwritten_element_by_element_is_not_copied(optimizer):
    text = f"""model m {{ input x: float[40] target y: float[3]
        let w = x -> dense(30) -> relu -> dense(3)
        output w loss mse(w, y) }} train {{ optimizer {optimizer} batch = 40 }}"""
    graph = specc.compile(specc.load(Source("m.dl", text)), threads=2, shards=2).graph("train")
    assert not [node for node in graph.nodes if isinstance(node.op, Copy)]
