"""Helpers for tests of sequences.

Networks in a few lines, data for them, and the interpreter's values.
"""

from __future__ import annotations

import numpy as np
import pytest
from model_files import random_examples

import specc
from specc import driver, pipeline
from specc.backend.reference import evaluate
from specc.source import Source


def load(text):
    return driver.load(Source("x.dl", text))


def model(body, before="seq time = 5"):
    """A model over `x: float[time, 3]` with a target for each step."""
    return f"""{before}
        model m {{ input x: float[time, 3] target y: float[time, 2]
        {body} }}"""


def examples(program, count, seed=0):
    """Random data for every port."""
    return random_examples(program.ports, count, seed)


def randomized(net, seed=3, scale=0.5):
    """Random numbers in every parameter, biases too."""
    rng = np.random.default_rng(seed)
    for array in net.params.values():
        array[...] = rng.standard_normal(array.shape) * scale


def interpreted(program, net, data, graph):
    """The interpreter's value of every output of a graph, in float64."""
    count = len(next(iter(data.values())))
    leaves = {("param", path): array.astype(float) for path, array in net.params.items()}
    leaves.update(
        {(port.role, port.name): data[port.name] for port in program.ports if port.name in data}
    )
    leaves.update({("state", each.path): initial(each) for each in program.states})
    leaves["weight_of_example", ""] = np.full(count, 1 / count)
    return evaluate(graph, leaves)


def initial(state):
    """Return the initial value of a state of the model."""
    from specc.ir.graph import Graph

    return evaluate(Graph({"v": state.initial}), {})["v"]


def agrees_with_the_interpreter(
    text, count=5, threads=2, dtype="float64", tolerance=1e-10, scale=0.5
):
    """Compare compiled loss, gradients and outputs with the interpreter's."""
    program = load(text)
    net = specc.compile(program, batch=count, dtype=dtype, threads=threads, shards=threads)
    randomized(net, scale=scale)
    data = examples(program, count)
    inputs = {port.name: data[port.name] for port in program.ports if port.role == "input"}
    found = net.forward(**inputs)
    wanted = interpreted(program, net, data, pipeline.forward(program, training=False))
    for term in program.outputs:
        _close(found[term.name], wanted[f"output.{term.name}"], tolerance)
    if not program.losses:
        return net
    loss, gradients = net.loss_and_gradients(**data)
    wanted = interpreted(program, net, data, pipeline.with_gradients(program))
    assert loss == pytest.approx(wanted["loss"], rel=tolerance, abs=tolerance)
    assert gradients.keys() == net.params.keys()
    for path, gradient in gradients.items():
        assert gradient.shape == net.params[path].shape
        _close(gradient, wanted[f"gradient.{path}"], tolerance)
    return net


def _close(found, wanted, tolerance):
    np.testing.assert_allclose(
        found, wanted, rtol=tolerance, atol=tolerance * max(1, abs(wanted).max())
    )


def agrees_with_finite_differences(text, count=3, scale=0.5, places=5):
    """Compare compiled gradients with central differences, for some elements of each parameter."""
    program = load(text)
    net = specc.compile(program, batch=count, dtype="float64", threads=2, shards=2)
    randomized(net, scale=scale)
    data = examples(program, count)
    _, gradients = net.loss_and_gradients(**data)
    h = 1e-5
    rng = np.random.default_rng(9)
    for path, array in net.params.items():
        kept = array.copy()
        for position in rng.permutation(array.size)[:places]:
            at = np.unravel_index(position, array.shape)
            array[at] = kept[at] + h
            above, _ = net.loss_and_gradients(**data)
            array[at] = kept[at] - h
            below, _ = net.loss_and_gradients(**data)
            array[at] = kept[at]
            assert gradients[path][at] == pytest.approx(
                (above - below) / (2 * h), rel=1e-6, abs=1e-6
            ), path
