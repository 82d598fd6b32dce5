"""A formula's value may take the place of an operand that nothing reads any more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import specc
from specc.backend.emit.access import Access, AccessMode, Nest, Read
from specc.backend.emit.calls import Address
from specc.backend.emit.nest import kernel_of
from specc.ops.contract import Contract
from specc.source import Source
from specc.target.expressions import Name
from tests.backend.running import function

MODEL = """model m {
    input x: float[37] target y: float[11]
    let h = x -> dense(29) -> tanh
    let k = h -> dense(29) -> relu
    let r = relu(h + k) -> dense(29) -> sigmoid -> dense(11)
    output r
    loss mse(r, y) }
    train { optimizer sgd(lr=0.1) batch = 21 }"""


def compiled(threads: int):
    return specc.compile(
        specc.load(Source("m.dl", MODEL)), dtype="float64", threads=threads, shards=threads
    )


def test_an_activation_takes_the_place_of_its_product():
    plan = compiled(2).plan("predict")
    places = {}
    for node, place in plan.allocations.items():
        places.setdefault((place.space, place.offset), []).append(node)
    shared = [
        nodes for nodes in places.values() if any(isinstance(each.op, Contract) for each in nodes)
    ]
    assert any(node.op.name in ("Maximum", "Tanh", "Sigmoid") for nodes in shared for node in nodes)


@pytest.mark.parametrize("threads", [1, 2])
def test_gradients_and_outputs_are_the_same_without(threads, monkeypatch):
    rng = np.random.default_rng(0)
    data = {"x": rng.normal(size=(21, 37)), "y": rng.normal(size=(21, 11))}
    net = compiled(threads)
    found = net.loss_and_gradients(**data)[1]
    output = net.forward(x=data["x"])["r"]
    monkeypatch.setattr("specc.passes.plan.allocation._replaceable", lambda *_: [])
    apart = compiled(threads)
    _, wanted = apart.loss_and_gradients(**data)
    for path, gradient in found.items():
        np.testing.assert_allclose(gradient, wanted[path], rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(output, apart.forward(x=data["x"])["r"])


@pytest.mark.parametrize("name", ["out", "a"])
@pytest.mark.parametrize("extents", [(1, 16), (7, 16), (3, 5)])
def test_what_is_written_over_is_read_first(extents, name):
    # out takes the place of a, and the next two store what a was
    strides = (extents[1], 1)
    a, b, c, sums = (Address("arena", 4096 * n, "a") for n in range(4))
    nest = Nest(
        "each_over",
        extents,
        [
            Access("a", "float", a, strides),
            Access("out", "float", replace(a, name=name), strides, AccessMode.STORE, Name("v0"), 0),
            Access("out_b", "float", b, strides, AccessMode.STORE, Read("a"), 0),
            Access("out_c", "float", c, (1, 0), AccessMode.SUM, Read("a"), extents[0]),
        ],
        [("v0", Read("a") * 2.0)],
        (False, True),
    )
    nest.accesses[3].address = sums
    kernel, arguments = kernel_of(nest, "float64")
    values = np.random.default_rng(0).normal(size=extents)
    arrays = {"a": values.copy(), "out_b": np.zeros(extents), "out_c": np.zeros(extents[0])}
    assert "out" not in dict(arguments)
    function(kernel)(*(arrays.get(name, value) for name, value in arguments))
    np.testing.assert_array_equal(arrays["a"], 2 * values)
    np.testing.assert_array_equal(arrays["out_b"], values)
    np.testing.assert_allclose(arrays["out_c"], values.sum(1))


@pytest.mark.parametrize("batch", [1, 9])
def test_a_value_of_another_name_takes_the_place_of_one_that_is_read_again(batch):
    text = """seq time = 4
model m { input x: float[time, 2]
  let difference = x - concat(x[1:], x[:1]; axis=0)
  let most = max(x)
  output difference output most }"""
    net = specc.compile(specc.loads(text), batch=batch, dtype="float64", threads=1)
    x = np.random.default_rng(0).normal(size=(9, 4, 2))
    found = net.forward(x=x)
    np.testing.assert_array_equal(found["most"], x.max(2))
    shifted = np.concatenate([x[:, :, 1:], x[:, :, :1]], 2)
    np.testing.assert_array_equal(found["difference"], x - shifted)
