"""Whole networks: compiled code against the NumPy interpreter and finite differences."""

from __future__ import annotations

import numpy as np
import pytest

import specc
from specc import driver, pipeline
from specc.backend.reference import evaluate
from specc.source import Source

NETWORKS = {
    "dense": """
        model one {
          input x: float[7]
          target y: class(5)
          let scores = x -> dense(11) -> tanh -> dense(5)
          output scores
          loss cross_entropy(scores, y)
          metric accuracy(scores, y)
        }""",
    "regression": """
        model two {
          input x: float[3]
          target y: float[2]
          let z = x -> dense(17) -> sigmoid -> dense(13) -> tanh -> dense(2)
          output z
          loss mse(z, y)
          loss penalty = 0.1 * l2(weights)
        }""",
    "convolution": """
        model three {
          input image: float[2, 9, 13]
          target y: class(3)
          let maps = image -> conv(5, kernel=3, stride=2, pad=1) -> tanh
                           -> conv(4, kernel=2) -> sigmoid -> maxpool(2)
          let scores = maps -> flatten -> dense(3)
          output scores
          loss cross_entropy(scores, y)
        }""",
    "3x3 convolutions": """
        model six {
          input image: float[16, 5, 8]
          target y: class(3)
          let maps = image -> conv(17, kernel=3, pad=1) -> tanh
                           -> conv(16, kernel=3, pad=2) -> tanh
                           -> conv(19, kernel=3) -> sigmoid
          let scores = maps -> flatten -> dense(3)
          output scores
          loss cross_entropy(scores, y)
        }""",
    "shared": """
        model four {
          input a: float[6]
          input b: float[6]
          target d: float[]
          layer tower = dense(8) -> tanh -> dense(4)
          let difference = tower(a) - tower(b)
          let distance = sum(difference * difference)
          output distance
          loss mse(distance, d)
        }""",
    "two losses": """
        model five {
          input x: float[9]
          target y: class(4)
          target z: float[3]
          let trunk = x -> dense(12) -> relu
          let scores = trunk -> dense(4)
          let values = trunk -> dense(3)
          output scores
          output values
          loss cross_entropy(scores, y)
          loss values_loss = 0.5 * mse(values, z)
        }""",
}
SETTINGS = [(1, 1), (7, 1), (16, 2), (37, 2), (50, 3)]


def examples(program, count, seed=0):
    """Random data for every port."""
    rng = np.random.default_rng(seed)
    return {
        port.name: rng.integers(0, port.classes, count)
        if port.kind == "class"
        else rng.standard_normal((count, *port.shape))
        for port in program.ports
    }


def randomized(net, seed=3):
    """Random numbers in every parameter, biases too."""
    rng = np.random.default_rng(seed)
    for array in net.params.values():
        array[...] = rng.standard_normal(array.shape) * 0.5


def interpreted(program, net, data, graph):
    """The interpreter's value of every output of a graph, in float64."""
    count = len(next(iter(data.values())))
    leaves = {("param", path): array.astype(float) for path, array in net.params.items()}
    leaves.update({(port.role, port.name): data[port.name] for port in program.ports})
    leaves["weight_of_example", ""] = np.full(count, 1 / count)
    return evaluate(graph, leaves)


def load(name):
    return driver.load(Source(f"{name}.dl", NETWORKS[name]))


@pytest.mark.parametrize(("count", "threads"), SETTINGS)
@pytest.mark.parametrize("name", NETWORKS)
def test_compiled_gradients_agree_with_the_interpreter_to_1e_10(name, count, threads):
    program = load(name)
    net = specc.compile(program, batch=count, dtype="float64", threads=threads, shards=threads)
    randomized(net)
    data = examples(program, count)
    loss, gradients = net.loss_and_gradients(**data)
    wanted = interpreted(program, net, data, pipeline.with_gradients(program))
    assert loss == pytest.approx(wanted["loss"], rel=1e-10, abs=1e-10)
    for path, gradient in gradients.items():
        assert gradient.shape == net.params[path].shape
        np.testing.assert_allclose(gradient, wanted[f"gradient.{path}"], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", NETWORKS)
def test_compiled_gradients_agree_with_finite_differences_to_1e_6(name):
    program = load(name)
    net = specc.compile(program, batch=5, dtype="float64", threads=2, shards=2)
    randomized(net)
    data = examples(program, 5)
    _, gradients = net.loss_and_gradients(**data)
    h = 1e-5
    rng = np.random.default_rng(9)
    for path, array in net.params.items():
        kept = array.copy()
        for position in rng.permutation(array.size)[:6]:
            at = np.unravel_index(position, array.shape)
            array[at] = kept[at] + h
            above, _ = net.loss_and_gradients(**data)
            array[at] = kept[at] - h
            below, _ = net.loss_and_gradients(**data)
            array[at] = kept[at]
            assert gradients[path][at] == pytest.approx(
                (above - below) / (2 * h), rel=1e-6, abs=1e-6
            )


@pytest.mark.parametrize("name", NETWORKS)
def test_float32_agrees_with_the_interpreter_to_1e_4(name):
    program = load(name)
    net = specc.compile(program, batch=33, dtype="float32", threads=2, shards=2)
    randomized(net)
    data = examples(program, 33)
    loss, gradients = net.loss_and_gradients(**data)
    wanted = interpreted(program, net, data, pipeline.with_gradients(program))
    assert loss == pytest.approx(wanted["loss"], rel=1e-4)
    for path, gradient in gradients.items():
        exact = wanted[f"gradient.{path}"]
        np.testing.assert_allclose(gradient, exact, rtol=1e-4, atol=1e-4 * max(1, abs(exact).max()))


@pytest.mark.parametrize("name", NETWORKS)
def test_forward_agrees_with_the_interpreter_for_any_number_of_examples(name):
    program = load(name)
    net = specc.compile(program, batch=8, dtype="float64", threads=2, shards=2)
    randomized(net)
    for count in (1, 8, 21):
        data = examples(program, count, seed=count)
        inputs = {port.name: data[port.name] for port in program.ports if port.role == "input"}
        found = net.forward(**inputs)
        wanted = interpreted(program, net, data, pipeline.forward(program, training=False))
        assert set(found) == {term.name for term in program.outputs}
        for term in program.outputs:
            np.testing.assert_allclose(
                found[term.name], wanted[f"output.{term.name}"], rtol=1e-10, atol=1e-10
            )


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_partial_batch_on_full_lanes_is_exact(threads):
    program = load("convolution")
    wide = specc.compile(program, batch=64, dtype="float64", threads=threads, shards=threads)
    tight = specc.compile(program, batch=5, dtype="float64", threads=1)
    randomized(wide)
    randomized(tight)
    data = examples(program, 5)
    (one, a), (other, b) = wide.loss_and_gradients(**data), tight.loss_and_gradients(**data)
    assert one == pytest.approx(other, rel=1e-12)
    for path in a:
        np.testing.assert_allclose(a[path], b[path], rtol=1e-11, atol=1e-13)


def test_more_examples_than_the_batch_are_one_mean():
    program = load("dense")
    net = specc.compile(program, batch=4, dtype="float64", threads=2, shards=2)
    data = examples(program, 23)
    loss, gradients = net.loss_and_gradients(**data)
    wanted = interpreted(program, net, data, pipeline.with_gradients(program))
    assert loss == pytest.approx(wanted["loss"], rel=1e-12)
    for path, gradient in gradients.items():
        np.testing.assert_allclose(gradient, wanted[f"gradient.{path}"], rtol=1e-10, atol=1e-12)


def test_a_nan_in_the_data_reaches_the_loss():
    program = load("dense")
    net = specc.compile(program, batch=4)
    data = examples(program, 4)
    data["x"][2, 3] = np.nan
    assert np.isnan(net.loss_and_gradients(**data)[0])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((2, 7))}, "missing: y"),
        ({"x": np.zeros((2, 7)), "y": np.zeros(2, int), "z": np.zeros(2)}, "unknown: z"),
        ({"x": np.zeros((2, 6)), "y": np.zeros(2, int)}, r"x must be \[n, 7\]"),
        ({"x": np.zeros((2, 7)), "y": np.array([0, 5])}, "0 to 4"),
        ({"x": np.zeros((2, 7)), "y": np.zeros(2)}, "integers"),
        ({"x": np.zeros((2, 7)), "y": np.zeros(3, int)}, "equally many"),
        ({"x": np.zeros((0, 7)), "y": np.zeros(0, int)}, "at least one"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_with_a_reason(arrays, message):
    net = specc.compile(load("dense"))
    with pytest.raises(ValueError, match=message):
        net.loss_and_gradients(**arrays)


def test_parameters_are_set_by_path_and_all_or_none():
    net = specc.compile(load("dense"))
    kept = net.params["dense1.weight"].copy()
    with pytest.raises(ValueError, match=r"dense2\.bias has the shape \[5\], not \[4\]"):
        net.set_params({"dense1.weight": kept * 2, "dense2.bias": np.zeros(4)})
    np.testing.assert_array_equal(net.params["dense1.weight"], kept)
    with pytest.raises(ValueError, match=r"no parameter 'dense3\.weight'"):
        net.set_params({"dense3.weight": kept})
    net.set_params({"dense1.weight": kept * 2})
    np.testing.assert_array_equal(net.params["dense1.weight"], kept * 2)
