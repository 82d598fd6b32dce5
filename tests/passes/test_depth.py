"""Deep models: no pass recurses, no loop grows without bound, and equal layers share kernels."""

from __future__ import annotations

import numpy as np
import pytest

import specc
from specc.passes.groups import MOST_NODES
from specc.source import Source

STACKS = {
    "dense": ("8", "dense(8) -> relu"),
    "batchnorm": ("8", "dense(8) -> batchnorm -> relu"),
    "convolution": ("2, 4, 4", "conv(2, kernel=3, pad=1, bias=false) -> batchnorm -> relu"),
    "residual": ("2, 4, 4", "residual"),
    "dropout": ("8", "dense(8) -> tanh -> dropout(0.1)"),
}


# tanh and sigmoid are as good as any other activation here
pytestmark = pytest.mark.filterwarnings("ignore:.*deep-saturation")


def deep(layers: str, shape: str = "4", threads: int = 2):
    """A classifier over `layers`, compiled for two examples."""
    flat = "flatten -> " if "," in shape else ""
    text = f"""model deep {{
      input x: float[{shape}]
      target y: class(3)
      let scores = x -> {layers} -> {flat}dense(3)
      output scores
      loss cross_entropy(scores, y)
    }}
    train {{ optimizer momentum(lr=0.1) batch = 2 }}"""
    return specc.compile(specc.load(Source("deep.dl", text)), threads=threads, shards=threads)


def kernels(net) -> set[str]:
    return {call.kernel.key for call in net.compiled("train").calls()}


@pytest.mark.slow
def test_a_chain_of_six_hundred_lets_compiles():
    count = 600
    lets = "\n".join(f"let y{i} = y{i - 1} + 0.01 * sin(y{i - 1})" for i in range(1, count + 1))
    text = f"model chain {{ input y0: float[4] {lets} output y = y{count} }}"
    x = np.random.default_rng(0).standard_normal((3, 4), np.float32)
    found = specc.compile(specc.load(Source("chain.dl", text)), batch=3, threads=1).forward(y0=x)[
        "y"
    ]
    for _ in range(count):
        x = x + 0.01 * np.sin(x)
    np.testing.assert_allclose(found, x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("word", ["relu", "tanh", "dropout(0.01)"])
def test_no_loop_has_more_nodes_than_its_bound(word):
    net = deep(f"1000 * ({word})", threads=1)
    sizes = [len(step.group.nodes) for step in net.plan("train").steps]
    assert max(sizes) <= MOST_NODES


def test_a_model_of_five_thousand_layers_is_planned():
    assert deep("5000 * (relu)").plan("train").steps


@pytest.mark.parametrize("name", STACKS)
def test_equal_layers_share_kernels(name):
    shape, layer = STACKS[name]
    few, many = (kernels(deep(f"{depth} * ({layer})", shape)) for depth in (6, 18))
    assert len(many - few) <= 2
