"""The words of the standard library compute what their docs say, held against NumPy in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest

from specc.backend.reference import evaluate
from specc.diagnostics import Report
from specc.frontend.program.check import check
from specc.frontend.syntax.parse import parse
from specc.ir.graph import Graph
from specc.ops.leaf import Input
from specc.passes.lower import set_mode
from specc.pipeline import forward
from specc.source import Source

RNG = np.random.default_rng(0)
V = RNG.normal(size=(5, 4))
W = RNG.normal(size=(5, 4))
IMAGE = RNG.normal(size=(5, 2, 6, 6))
LABEL = np.array([0, 3, 1, 2, 2])
FLAG = np.array([True, False, True, True, False])


def program(text):
    file, found = parse(Source("x.dl", text))
    report = Report(found)
    result = check(file, {}, report)
    report.raise_errors()
    return result


def build(expression):
    return program(f"""model m {{ input v: float[4] input w: float[4] input image: float[2, 6, 6]
        input label: class(4) input flag: bool
        let y = {expression}
        output y }}""")


def initial(result, seed=0):
    """The parameters and states as they begin."""
    leaves = {}
    for role, items in (("param", result.parameters), ("state", result.states)):
        graph = Graph({each.path: each.initial for each in items})
        leaves.update({(role, path): a for path, a in evaluate(graph, {}, seed).items()})
    return leaves


def value(expression, training=False, **parameters):
    """The value of an expression for five examples."""
    result = build(expression)
    leaves = initial(result)
    for path, array in parameters.items():
        leaves["param", path.replace("_", ".")] = array
    leaves |= {
        ("input", "v"): V,
        ("input", "w"): W,
        ("input", "image"): IMAGE,
        ("input", "label"): LABEL,
        ("input", "flag"): FLAG,
    }
    graph = set_mode(Graph({"y": result.outputs[0].node}), training)
    return evaluate(graph, leaves)["y"]


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def gelu(x):
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


ROWS = np.arange(5)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("relu(v)", np.maximum(V, 0)),
        ("leaky_relu(v)", np.where(V > 0, V, 0.01 * V)),
        ("leaky_relu(v; 0.2)", np.where(V > 0, V, 0.2 * V)),
        ("v -> prelu", np.where(V > 0, V, 0.25 * V)),
        ("elu(v; 2)", np.where(V > 0, V, 2 * (np.exp(V) - 1))),
        ("softplus(v)", np.log1p(np.exp(V))),
        ("softplus(1000 * v)", np.maximum(1000 * V, 0)),
        ("silu(v)", V / (1 + np.exp(-V))),
        ("mish(v)", V * np.tanh(np.log1p(np.exp(V)))),
        ("gelu(v)", V / 2 * (1 + np.vectorize(math.erf)(V / np.sqrt(2)))),
        ("gelu(v; tanh)", gelu(V)),
        ("sigmoid(v)", 1 / (1 + np.exp(-V))),
        ("tanh(v)", np.tanh(V)),
        ("softmax(v)", softmax(V)),
        ("softmax(1000 * v)", softmax(1000 * V)),
        ("log_softmax(v)", np.log(softmax(V))),
        ("cross_entropy(v, label)", -np.log(softmax(V)[ROWS, LABEL])),
        ("binary_cross_entropy(v[0], flag)", np.log1p(np.exp(V[:, 0])) - FLAG * V[:, 0]),
        ("mse(v, w)", ((V - W) ** 2).mean(-1)),
        ("mae(v, w)", np.abs(V - W).mean(-1)),
        ("hinge(v, label)", np.maximum(0, V - V[ROWS, LABEL][:, None] + 1).sum(-1) - 1),
        ("l2(v)", (V**2).sum(-1)),
        ("l1(image)", np.abs(IMAGE).sum((1, 2, 3))),
        ("accuracy(v, label)", V.argmax(-1) == LABEL),
        ("binary_accuracy(v[0], flag)", (V[:, 0] > 0) == FLAG),
        ("min(v)", V.min(-1)),
        ("max(image; keep=1)", IMAGE.max((2, 3))),
        ("v // 0.5", V // 0.5),
        ("v % 0.5", V % 0.5),
        ("if v > w then v else w", np.maximum(V, W)),
        ("v != w", V != W),
        ("flag and v[0] >= 0", FLAG & (V[:, 0] >= 0)),
        ("v @ w", (V * W).sum(-1)),
        ("flatten(image)", IMAGE.reshape(5, 72)),
        ("image[1, 2:5, -1]", IMAGE[:, 1, 2:5, -1]),
        ("transpose(image; 2, 0, 1)", IMAGE.transpose(0, 3, 1, 2)),
        ("spread(v[1:3], image)", np.broadcast_to(V[:, 1:3, None, None], IMAGE.shape)),
        ("image -> maxpool(2)", IMAGE.reshape(5, 2, 3, 2, 3, 2).max((3, 5))),
    ],
)
def test_the_value_of(expression, expected):
    np.testing.assert_allclose(value(expression), expected, rtol=1e-12, atol=1e-12)


def test_dense_is_a_product_with_its_weight():
    weight, bias = RNG.normal(size=(3, 4)), RNG.normal(size=3)
    found = value("v -> dense(3)", dense1_weight=weight, dense1_bias=bias)
    np.testing.assert_allclose(found, V @ weight.T + bias)


@pytest.mark.parametrize(
    "stride,pad,dilation,groups", [(1, 0, 1, 1), (2, 1, 1, 1), (1, 2, 2, 1), (1, 1, 1, 2)]
)
def test_conv_is_a_correlation(stride, pad, dilation, groups):
    filters, kernel = 4, 3
    weight = RNG.normal(size=(filters, 2 // groups, kernel, kernel))
    bias = RNG.normal(size=filters)
    found = value(
        f"image -> conv({filters}, kernel={kernel}, stride={stride}, pad={pad},"
        f" dilation={dilation}, groups={groups}, round=floor)",
        conv1_weight=weight,
        conv1_bias=bias,
    )
    padded = np.pad(IMAGE, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    reach = dilation * (kernel - 1) + 1
    count = (padded.shape[-1] - reach) // stride + 1
    expected = np.zeros((5, filters, count, count))
    for k in range(filters):
        first = (k // (filters // groups)) * (2 // groups)
        for i in range(count):
            for j in range(count):
                rows = slice(i * stride, i * stride + reach, dilation)
                columns = slice(j * stride, j * stride + reach, dilation)
                window = padded[:, first : first + 2 // groups, rows, columns]
                expected[:, k, i, j] = (window * weight[k]).sum((1, 2, 3)) + bias[k]
    np.testing.assert_allclose(found, expected)


def test_embed_takes_a_row():
    weight = RNG.normal(size=(4, 3))
    np.testing.assert_allclose(value("label -> embed(3)", embed1_weight=weight), weight[LABEL])


@pytest.mark.parametrize("name,data,axes", [("image", IMAGE, (0, 2, 3)), ("v", V, (0,))])
def test_batchnorm_normalizes_each_channel(name, data, axes):
    result = build(f"{name} -> batchnorm")
    leaves = initial(result) | {("input", name): data}
    graph = forward(result, training=True)
    leaves["weight_of_example", ""] = np.full(5, 0.2)
    for node in graph.nodes:
        if isinstance(node.op, Input) and node.op.role == "weight_of_example":
            leaves[node.op.role, node.op.label] = np.full(5, 0.2)
    found = evaluate(graph, leaves)
    mean, variance = data.mean(axes, keepdims=True), data.var(axes, keepdims=True)
    np.testing.assert_allclose(found["output.y"], (data - mean) / np.sqrt(variance + 1e-5))
    np.testing.assert_allclose(found["state.batchnorm1.mean"], 0.1 * mean.ravel())
    np.testing.assert_allclose(found["state.batchnorm1.variance"], 0.9 + 0.1 * variance.ravel())
    still = evaluate(forward(result, training=False), leaves)
    np.testing.assert_allclose(still["output.y"], data / np.sqrt(1 + 1e-5))


@pytest.mark.parametrize(
    "word,mean,variance",
    [
        ("he", 0, 2 / 500),
        ("xavier", 0, 2 / 900),
        ("lecun", 0, 1 / 500),
        ("normal", 0, 1),
        ("uniform", 0.5, 1 / 12),
        ("zeros", 0, 0),
        ("ones", 1, 0),
        ("0.25", 0.25, 0),
        ("0.1 * normal(W)", 0, 0.01),
        ("constant(W; 3)", 3, 0),
        ("lecun(W) + 1", 1, 1 / 500),
    ],
)
def test_initial_values_have_the_mean_and_variance_they_say(word, mean, variance):
    result = program(
        f"model m {{ input x: float[4] param W: float[400, 500] = {word} output W * sum(x) }}"
    )
    drawn = initial(result)["param", "W"]
    assert drawn.shape == (400, 500)
    assert abs(drawn.mean() - mean) < 0.01 * max(1, variance**0.5) + 1e-12
    np.testing.assert_allclose(drawn.var(), variance, rtol=0.02)


def test_two_draws_and_two_parameters_differ():
    result = program(
        """model m { input x: float[3] param a: float[3] = normal param b: float[3] = normal
        param c: float[3] = normal(c) - normal(c) output a + b + c + x }"""
    )
    a, b, c = initial(result).values()
    assert not np.allclose(a, b) and not np.allclose(c, 0)


def step(optimizer, steps):
    """The weight after some steps on given gradients, starting from 1."""
    result = program(
        f"""model m {{ input x: float[2] param w: float[2] = 1 output w * x loss sum(w * x) }}
        train {{ optimizer {optimizer} }}"""
    )
    (update,) = result.updates
    w, states = np.ones(2), {s.path: np.zeros(2) for s in update.states}
    graph = Graph({"w": update.next} | {s.path: s.next for s in update.states})
    for number in range(steps):
        leaves = {("param", "w"): w, ("gradient", "w"): GRADIENTS[number]}
        leaves |= {("state", path): a for path, a in states.items()}
        leaves |= {
            ("schedule", "step"): number,
            ("schedule", "epoch"): number / 2,
            ("schedule", "progress"): number / 10,
            ("schedule", "stale"): number,
        }
        found = evaluate(graph, leaves)
        w, states = found["w"], {path: found[path] for path in states}
    return w


GRADIENTS = RNG.normal(size=(4, 2))


def reference_adam(lr=0.001, b1=0.9, b2=0.999, eps=1e-8):
    w, m, v = np.ones(2), 0, 0
    for t, g in enumerate(GRADIENTS, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        w = w - lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
    return w


def reference_momentum(lr=0.1, mu=0.9, nesterov=False):
    w, v = np.ones(2), 0
    for g in GRADIENTS:
        v = mu * v - lr * g
        w = w + (mu * v - lr * g if nesterov else v)
    return w


def reference_adaptive(decay=None, lr=0.1, eps=1e-8):
    w, s = np.ones(2), 0
    for g in GRADIENTS:
        s = s + g * g if decay is None else decay * s + (1 - decay) * g * g
        w = w - lr * g / (np.sqrt(s) + eps)
    return w


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        ("sgd(lr=0.1)", 1 - 0.1 * GRADIENTS.sum(0)),
        ("momentum(lr=0.1)", reference_momentum()),
        ("momentum(0.1, 0.5)", reference_momentum(mu=0.5)),
        ("nesterov(lr=0.1)", reference_momentum(nesterov=True)),
        ("adam()", reference_adam()),
        ("adam(lr=0.1, beta1=0.5, beta2=0.9)", reference_adam(0.1, 0.5, 0.9)),
        ("adagrad(lr=0.1, epsilon=1e-8)", reference_adaptive()),
        ("rmsprop(lr=0.1)", reference_adaptive(0.9)),
        (
            "sgd(lr = ramp(0, 1; over=1))",
            1 - (np.minimum(np.arange(4) / 2, 1)[:, None] * GRADIENTS).sum(0),
        ),
        (
            "sgd(lr = 0.1 * 0.5 ^ floor(epoch))",
            1 - (0.1 * 0.5 ** np.array([0, 0, 1, 1])[:, None] * GRADIENTS).sum(0),
        ),
        (
            "sgd(lr = step_decay(0.1))",
            1 - (0.1 * 0.5 ** np.array([0, 0, 1, 1])[:, None] * GRADIENTS).sum(0),
        ),
        (
            "sgd(lr = exponential(0.1; factor=0.5))",
            1 - (0.1 * 0.5 ** np.array([0, 0.5, 1, 1.5])[:, None] * GRADIENTS).sum(0),
        ),
        (
            "sgd(lr = piecewise(1, piecewise(0.1, 0.01; at=1.5); at=0.5))",
            1 - (np.array([1, 0.1, 0.1, 0.01])[:, None] * GRADIENTS).sum(0),
        ),
        (
            "sgd(lr = plateau(1; factor=0.5, patience=2))",
            1 - (np.array([1, 1, 0.5, 0.5])[:, None] * GRADIENTS).sum(0),
        ),
        (
            "sgd(lr = warmup(0.1; over=2))",
            1 - (0.1 * np.array([0, 0.25, 0.5, 0.75])[:, None] * GRADIENTS).sum(0),
        ),
        (
            "sgd(lr = cosine(1, 0))",
            1 - ((1 + np.cos(np.pi * np.arange(4) / 10))[:, None] / 2 * GRADIENTS).sum(0),
        ),
        ("sgd(lr = if step < 2 then 1 else 0)", 1 - GRADIENTS[:2].sum(0)),
    ],
)
def test_optimizers_and_schedules_follow_their_formulas(optimizer, expected):
    np.testing.assert_allclose(step(optimizer, 4), expected, rtol=1e-12)
