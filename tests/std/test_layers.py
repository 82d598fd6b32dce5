"""The layers of the library: their formulas against plain NumPy, and their compiled code and
gradients against the interpreter and finite differences, all in float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from pairs import in_turn

import specc
from specc import driver, pipeline
from specc.backend.reference import evaluate
from specc.ir.graph import Graph
from specc.passes import lower
from specc.source import Source

RNG = np.random.default_rng(0)
N = 19  # three shards of vectors
DATA = {
    "line": RNG.normal(size=(N, 4, 9)),
    "solid": RNG.normal(size=(N, 4, 3, 5, 4)),
    "v": RNG.normal(size=(N, 4)),
    "image": RNG.normal(size=(N, 2, 6, 6)),
    "wide": RNG.normal(size=(N, 4, 7, 5)),
    "tiny": RNG.normal(size=(N, 1, 1, 3)),
    "label": RNG.integers(0, 4, N),
}


def load(expression):
    """A model with the expression's value as its output, and as its loss a sum with uneven
    weights."""
    text = f"""
        model m {{
          input v: float[4] input image: float[2, 6, 6] input wide: float[4, 7, 5]
          input tiny: float[1, 1, 3] input line: float[4, 9] input solid: float[4, 3, 5, 4]
          input label: class(4)
          let y = {expression}
          output y
          loss sum(sin(y) + 0.1 * y * y)
        }}"""
    program = driver.load(Source("m.dl", text))
    if not program.parameters:
        return program
    return driver.load(Source("m.dl", text + " train { optimizer sgd(lr=0.1) }"))


def randomized(program, seed=1):
    """Parameters and states away from their initial values, so that each of them matters."""
    rng = np.random.default_rng(seed)
    found = {}
    for role, items in (("param", program.parameters), ("state", program.states)):
        for each in items:
            drawn = rng.normal(size=each.type.shape)
            found[role, each.path] = np.abs(drawn) + 0.5 if "variance" in each.path else drawn
    return found


def leaves(program, data, seed=1):
    n = len(next(iter(data.values())))
    return (
        randomized(program, seed)
        | {("input", name): array for name, array in data.items()}
        | {("weight_of_example", ""): np.full(n, 1 / n)}
    )


def interpreted(expression, training=False, data=DATA):
    program = load(expression)
    graph = lower.set_mode(Graph({"y": program.outputs[0].node}), training)
    given = leaves(program, data)
    parameters = {
        path: array for (role, path), array in given.items() if role in ("param", "state")
    }
    return evaluate(graph, given)["y"], parameters


# The plain transcriptions: loops over places, one example after the other.


def conv(x, w, b, stride=(1, 1), pad=(0, 0), dilation=1, groups=1):
    n = len(x)
    filters, depth, ku, kv = w.shape
    x = np.pad(x, ((0, 0), (0, 0), (pad[0],) * 2, (pad[1],) * 2))
    rows = (x.shape[2] - dilation * (ku - 1) - 1) // stride[0] + 1
    columns = (x.shape[3] - dilation * (kv - 1) - 1) // stride[1] + 1
    y = np.zeros((n, filters, rows, columns))
    for e, k, i, j in np.ndindex(*y.shape):
        y[e, k, i, j] = b[k]
        first = k // (filters // groups) * depth
        for c, u, v in np.ndindex(depth, ku, kv):
            y[e, k, i, j] += (
                w[k, c, u, v]
                * x[e, first + c, i * stride[0] + dilation * u, j * stride[1] + dilation * v]
            )
    return y


def conv_transpose(x, w, b, stride=(1, 1), pad=(0, 0), extra=0):
    n, channels, height, width = x.shape
    _, filters, ku, kv = w.shape
    rows = (height - 1) * stride[0] + ku - 2 * pad[0] + extra
    columns = (width - 1) * stride[1] + kv - 2 * pad[1] + extra
    y = np.zeros((n, filters, rows, columns)) + b[:, None, None]
    for e, c, i, j, k, u, v in np.ndindex(n, channels, height, width, filters, ku, kv):
        row, column = i * stride[0] + u - pad[0], j * stride[1] + v - pad[1]
        if 0 <= row < rows and 0 <= column < columns:
            y[e, k, row, column] += w[c, k, u, v] * x[e, c, i, j]
    return y


def pool(x, reduce, size, stride, pad=(0, 0)):
    n, channels, height, width = x.shape
    rows = (height - size[0] + 2 * pad[0]) // stride[0] + 1
    columns = (width - size[1] + 2 * pad[1]) // stride[1] + 1
    y = np.zeros((n, channels, rows, columns))
    for i, j in np.ndindex(rows, columns):
        top, left = i * stride[0] - pad[0], j * stride[1] - pad[1]
        window = x[:, :, max(top, 0) : top + size[0], max(left, 0) : left + size[1]]
        y[:, :, i, j] = reduce(window, (2, 3))
    return y


def batchnorm(x, gamma, beta, mean, variance, epsilon=1e-5):
    shape = (-1, *[1] * (x.ndim - 2))
    gamma, beta, mean, variance = (a.reshape(shape) for a in (gamma, beta, mean, variance))
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta


def trained_batchnorm(x, gamma, beta):
    axes = (0, *range(2, x.ndim))
    return batchnorm(x, gamma, beta, x.mean(axes), x.var(axes))


V, IMAGE, WIDE, TINY = (DATA[name] for name in ("v", "image", "wide", "tiny"))


@pytest.mark.parametrize(
    ("settings", "x", "arguments"),
    [
        ("3, kernel=3", "image", {}),
        ("5, kernel=3, pad=1", "wide", {"pad": (1, 1)}),
        ("2, kernel=4, stride=2", "image", {"stride": (2, 2)}),
        ("2, kernel=3, stride=2, pad=1, round=floor", "wide", {"stride": (2, 2), "pad": (1, 1)}),
        ("7, kernel=1", "wide", {}),
        ("7, kernel=1, stride=3, round=floor", "wide", {"stride": (3, 3)}),
        ("3, kernel=3, dilation=2", "wide", {"dilation": 2}),
        ("4, kernel=2, pad=1, groups=2", "wide", {"pad": (1, 1), "groups": 2}),
        ("8, kernel=3, groups=4", "wide", {"groups": 4}),
        ("4, kernel=1, groups=4", "wide", {"groups": 4}),
        ("3, kernel=3, kernel_width=1", "wide", {}),
        ("3, kernel=1, kernel_width=5, pad_width=2", "wide", {"pad": (0, 2)}),
        ("2, kernel=3, stride_width=2, kernel_width=3", "wide", {"stride": (1, 2)}),
        ("2, kernel=1, kernel_width=3", "tiny", {}),
    ],
)
def test_conv(settings, x, arguments):
    found, p = interpreted(f"{x} -> conv({settings})")
    np.testing.assert_allclose(
        found, conv(DATA[x], p["conv1.weight"], p["conv1.bias"], **arguments)
    )


@pytest.mark.parametrize(
    ("settings", "x", "arguments"),
    [
        ("3, kernel=2, stride=2", "image", {"stride": (2, 2)}),
        ("5, kernel=3", "wide", {}),
        ("2, kernel=4, stride=2, pad=1", "wide", {"stride": (2, 2), "pad": (1, 1)}),
        (
            "2, kernel=3, stride=2, pad=1, extra=1",
            "wide",
            {"stride": (2, 2), "pad": (1, 1), "extra": 1},
        ),
        (
            "1, kernel=2, stride=3",
            "wide",
            {"stride": (3, 3)},
        ),  # between the kernels is the bias alone
        (
            "3, kernel=1, kernel_width=4, stride=1, stride_width=2, pad_width=1",
            "wide",
            {"stride": (1, 2), "pad": (0, 1)},
        ),
        ("6, kernel=1", "tiny", {}),
    ],
)
def test_conv_transpose(settings, x, arguments):
    found, p = interpreted(f"{x} -> conv_transpose({settings})")
    weight, bias = p["conv_transpose1.weight"], p["conv_transpose1.bias"]
    np.testing.assert_allclose(found, conv_transpose(DATA[x], weight, bias, **arguments))


def test_conv_transpose_is_the_gradient_of_conv():
    """<conv(a), b> = <a, conv_transpose(b)> for the same weight."""
    w, zero = RNG.normal(size=(3, 2, 3, 3)), np.zeros(3)
    a, b = RNG.normal(size=(1, 2, 7, 7)), RNG.normal(size=(1, 3, 4, 4))
    there = np.sum(conv(a, w, zero, (2, 2), (1, 1)) * b)
    assert there == pytest.approx(np.sum(a * conv_transpose(b, w, np.zeros(2), (2, 2), (1, 1))))


POOLS = [
    ("2", "image", ((2, 2), (2, 2))),
    ("3, stride=1", "wide", ((3, 3), (1, 1))),
    ("3, stride=2, pad=1", "wide", ((3, 3), (2, 2), (1, 1))),
    ("2, pad=1, round=floor", "wide", ((2, 2), (2, 2), (1, 1))),
    ("2, round=floor", "wide", ((2, 2), (2, 2))),
    ("7, size_width=1, stride=1", "wide", ((7, 1), (1, 1))),
    ("1, size_width=3, pad_width=2, stride=1", "wide", ((1, 3), (1, 1), (0, 2))),
    ("1, size_width=3", "tiny", ((1, 3), (1, 3))),
]


@pytest.mark.parametrize(("settings", "x", "arguments"), POOLS)
@pytest.mark.parametrize("word", ["maxpool", "avgpool"])
def test_pooling(word, settings, x, arguments):
    found, _ = interpreted(f"{x} -> {word}({settings})")
    np.testing.assert_allclose(
        found, pool(DATA[x], {"maxpool": np.max, "avgpool": np.mean}[word], *arguments)
    )


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("wide -> global_avgpool", WIDE.mean((2, 3))),
        ("wide -> global_maxpool", WIDE.max((2, 3))),
        ("image -> upsample", IMAGE.repeat(2, 2).repeat(2, 3)),
        ("wide -> upsample(3)", WIDE.repeat(3, 2).repeat(3, 3)),
        ("wide -> upsample(1)", WIDE),
        ("repeat(v; 3)", V.repeat(3, 1)),
        ("wide -> flatten", WIDE.reshape(N, -1)),
        ("wide -> reshape(10, 14)", WIDE.reshape(N, 10, 14)),
        ("image -> reshape(2, 3, 2, 1, 6)", IMAGE.reshape(N, 2, 3, 2, 1, 6)),
        (
            "image -> reshape(2, 3, 2, 3, 2) -> transpose(0, 1, 3, 2, 4) -> reshape(2, 9, 4)",
            IMAGE.reshape(N, 2, 3, 2, 3, 2).transpose(0, 1, 2, 4, 3, 5).reshape(N, 2, 9, 4),
        ),
        ("concat(image, 2 * image)", np.concatenate([IMAGE, 2 * IMAGE], 1)),
        ("concat(wide, wide, wide; axis=-1)", np.concatenate([WIDE] * 3, 3)),
        ("concat(wide, wide[:, 2:4, :]; axis=1)", np.concatenate([WIDE, WIDE[:, :, 2:4]], 2)),
        ("transpose(wide)", WIDE.transpose(0, 3, 2, 1)),
        ("one_hot(label)", np.eye(4)[DATA["label"]]),
        ("v -> dropout(0.5)", V),
    ],
)
def test_words_without_weights(expression, expected):
    np.testing.assert_allclose(interpreted(expression)[0], expected)


@pytest.mark.parametrize("name", ["v", "image", "wide"])
def test_batchnorm_takes_the_batch_s_statistics_while_training_and_the_running_ones_afterwards(
    name,
):
    x = DATA[name]
    found, p = interpreted(f"{name} -> batchnorm", training=True)
    gamma, beta = p["batchnorm1.gamma"], p["batchnorm1.beta"]
    np.testing.assert_allclose(found, trained_batchnorm(x, gamma, beta))
    found, _ = interpreted(f"{name} -> batchnorm")
    np.testing.assert_allclose(
        found, batchnorm(x, gamma, beta, p["batchnorm1.mean"], p["batchnorm1.variance"])
    )


@pytest.mark.parametrize("name", ["v", "image", "wide"])
@pytest.mark.parametrize("training", [True, False])
def test_layernorm(name, training):
    x = DATA[name]
    found, p = interpreted(f"{name} -> layernorm", training)
    gamma, beta = (
        p[f"layernorm1.{each}"].reshape(-1, *[1] * (x.ndim - 2)) for each in ("gamma", "beta")
    )
    axes = tuple(range(1, x.ndim))
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    np.testing.assert_allclose(found, gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta)


def test_embed():
    found, p = interpreted("label -> embed(3)")
    assert p["embed1.weight"].shape == (4, 3)
    np.testing.assert_allclose(found, p["embed1.weight"][DATA["label"]])


def of_layer(p, path):
    """A layer's weight and bias; a layer without bias has zeros."""
    weight = p[f"{path}.weight"]
    return weight, p.get(f"{path}.bias", np.zeros(len(weight)))


@pytest.mark.parametrize(
    ("settings", "name", "filters", "stride"),
    [
        ("", "wide", 4, 1),
        ("(6)", "wide", 6, 1),
        ("(stride=2)", "image", 2, 2),
        ("(3, stride=2)", "wide", 3, 2),
    ],
)
def test_residual(settings, name, filters, stride):
    x = DATA[name]
    found, p = interpreted(f"{name} -> residual{settings}", training=True)

    def stage(x, number, stride, pad):
        y = conv(x, *of_layer(p, f"residual1.conv{number}"), (stride, stride), (pad, pad))
        norm = f"residual1.batchnorm{number}"
        return trained_batchnorm(y, p[f"{norm}.gamma"], p[f"{norm}.beta"])

    main = stage(np.maximum(stage(x, 1, stride, 1), 0), 2, 1, 1)
    same = filters == x.shape[1] and stride == 1
    assert ("residual1.conv3.weight" in p) == (not same)
    shortcut = x if same else stage(x, 3, stride, 0)
    np.testing.assert_allclose(found, np.maximum(main + shortcut, 0), atol=1e-12)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("wide -> conv(3, kernel=2, stride=2)", "do not fit evenly"),
        ("wide -> conv(6, kernel=1, groups=4)", "6 filters cannot be divided into 4 groups"),
        ("image -> maxpool(4)", "do not fit evenly"),
        ("image -> avgpool(4)", "do not fit evenly"),
        ("image -> maxpool(7)", "larger than the height 6"),
        (
            "reshape(concat(wide, wide); 1, 20, 14) -> maxpool(20, size_width=14)",
            "more than 256 positions",
        ),
        ("image -> maxpool(2, pad=2)", "`pad` must be smaller than the window"),
        ("image -> avgpool(2, pad_width=3)", "`pad` must be smaller than the window"),
        ("image -> conv_transpose(2, kernel=1, pad=3)", "leaves nothing of the height"),
        ("v -> conv(2, kernel=1)", "channels, height, width"),
        ("v -> dropout(1)", "`rate` must be < 1"),
        ("one_hot(v)", "takes a class"),
        ("wide -> concat(image;)", "axis 1 is 7 and 6"),
    ],
)
def test_what_does_not_fit_is_said(expression, message):
    with pytest.raises(specc.SpecError) as caught:
        load(expression)
    assert any(message in each.message for each in caught.value.diagnostics), (
        caught.value.diagnostics
    )


# Compiled code.

COMPILED = [
    "wide -> conv(3, kernel=3, stride=2, pad=1, round=floor)",
    "wide -> conv(7, kernel=1)",
    "wide -> conv(8, kernel=3, groups=4, dilation=2)",
    "wide -> conv(3, kernel=1, kernel_width=5, pad_width=2)",
    "conv(wide; 4, kernel=1) -> conv_transpose(2, kernel=4, stride=2, pad=1)",
    "conv(wide; 4, kernel=1) -> conv_transpose(1, kernel=2, stride=3, extra=2)",
    "tiny -> conv(3, kernel=1) -> conv_transpose(5, kernel=1)",
    "wide -> conv(3, kernel=1) -> maxpool(3, stride=2, pad=1)",
    "wide -> conv(3, kernel=1) -> maxpool(1, size_width=3, pad_width=2, stride=1)",
    "wide -> conv(3, kernel=1) -> avgpool(3, stride=2, pad=1)",
    "wide -> conv(3, kernel=1) -> avgpool(2, round=floor)",
    "wide -> conv(3, kernel=1) -> global_avgpool",
    "wide -> conv(3, kernel=1) -> global_maxpool",
    "wide -> conv(3, kernel=1) -> upsample(3)",
    "(wide -> conv(3, kernel=1) -> flatten) * repeat(wide[1, :, 0]; 15)",
    "concat(wide -> conv(2, kernel=1), wide, wide -> conv(3, kernel=1))",
    "wide -> conv(6, kernel=1) -> reshape(2, 3, 7, 5) -> transpose(3, 1, 2, 0) -> flatten",
    "(v -> dense(4)) * one_hot(label)",
    "v -> dense(6) -> batchnorm",
    "wide -> conv(3, kernel=3) -> batchnorm",
    "v -> dense(6) -> layernorm",
    "wide -> conv(3, kernel=3) -> layernorm",
    "label -> embed(3) -> layernorm",
    "v -> dense(9) -> dropout(0.3) -> dense(5) -> dropout",
    "wide -> conv(3, kernel=1) -> dropout(0.8)",
    "line -> conv(3, kernel=3, stride=2, pad=1, dilation=2, round=floor)",
    "line -> conv(4, kernel=4, groups=2) -> maxpool(2) -> conv_transpose(3, kernel=3, stride=2)",
    "line -> conv(2, kernel=1) -> avgpool(3, stride=1, pad=1)",
    "solid -> conv(3, kernel=2, kernel_width=3, kernel_depth=1, pad=1)",
    "solid -> conv(2, kernel=2, groups=2) -> conv_transpose(2, kernel=3, stride=2, pad_depth=1)",
    "solid -> conv(2, kernel=1) -> maxpool(2, size_depth=3, stride=1)",
    "solid -> conv(2, kernel=1) -> avgpool(2, stride_depth=1, pad_depth=1, pad=1, round=floor)",
    "wide -> conv(4, kernel=3) -> groupnorm(2)",
    "line -> conv(6, kernel=3) -> groupnorm(3) -> instancenorm",
    "v -> dense(6) -> rmsnorm",
    "(v -> dense(6)) + weight_norm(reshape(v -> dense(12); 6, 2))[:, 0]",
    "wide -> conv(4, kernel=3) -> spatial_dropout(0.4)",
    "v -> dense(9) -> stochastic_depth(0.4)",
    "zoneout(v -> dense(9), v -> dense(9); 0.3)",
    "wide -> residual",
    "image -> residual(3, stride=2)",
]


def compiled(program, batch, threads, dtype="float64"):
    net = specc.compile(program, batch=batch, dtype=dtype, threads=threads, shards=threads, seed=3)
    for (role, path), array in randomized(program).items():
        (net.params if role == "param" else net.states)[path][...] = array
    return net


def used(program, data):
    """The arrays of the inputs that a model has."""
    return {port.name: data[port.name] for port in program.ports}


@pytest.mark.parametrize(("expression", "threads"), in_turn(COMPILED, [1, 2, 3]))
def test_compiled_layers_agree_with_the_interpreter(expression, threads):
    program = load(expression)
    net = compiled(program, N, threads)
    given = leaves(program, DATA)
    loss, gradients = net.loss_and_gradients(**used(program, DATA))
    wanted = evaluate(pipeline.with_gradients(program), given, seed=3, step=0)
    assert loss == pytest.approx(wanted["loss"], rel=1e-10)
    for path, gradient in gradients.items():
        np.testing.assert_allclose(gradient, wanted[f"gradient.{path}"], rtol=1e-10, atol=1e-10)
    found = net.forward(**used(program, DATA))["y"]
    still = evaluate(pipeline.forward(program, training=False), given)
    np.testing.assert_allclose(found, still["output.y"], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("expression", COMPILED)
def test_compiled_gradients_agree_with_finite_differences(expression):
    program = load(expression)
    net = compiled(program, N, 1)
    data = used(program, DATA)
    _, gradients = net.loss_and_gradients(**data)
    rng = np.random.default_rng(4)
    directions = {path: rng.normal(size=array.shape) for path, array in net.params.items()}
    h, values = 1e-6, []
    start = {path: array.copy() for path, array in net.params.items()}
    for sign in (1, -1):
        net.set_params({path: array + sign * h * directions[path] for path, array in start.items()})
        values.append(net.loss_and_gradients(**data)[0])
    slope = sum(np.sum(gradients[path] * directions[path]) for path in gradients)
    assert slope == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-6, abs=1e-7)


# Batch normalization over shards and steps.

DEEP = """
    model deep {{
      input x: float[2, 6, 6] target y: class(3)
      let s = x -> {layers} * (conv(4, kernel=3, pad=1) -> batchnorm -> relu) -> flatten
        -> {layers} * (dense(6) -> batchnorm -> tanh) -> dense(3)
      output s
      loss cross_entropy(s, y)
      loss penalty = 1e-3 * l2(weights)
      metric accuracy(s, y)
    }}
    train {{ optimizer momentum(lr=0.1) }}"""


def deep_data(n, seed=5):
    rng = np.random.default_rng(seed)
    return {"x": rng.normal(size=(n, 2, 6, 6)), "y": rng.integers(0, 3, n)}


@pytest.mark.parametrize("threads", [1, 3])
def test_many_batchnorms_agree_with_the_interpreter_on_whole_and_partial_batches(threads):
    program = driver.load(Source("deep.dl", DEEP.format(layers=5)))
    net = specc.compile(program, batch=32, dtype="float64", threads=threads, shards=threads, seed=1)
    graph = pipeline.with_gradients(program)
    # the last two leave shards without an example
    for n in (32, 25, 9, 2):
        data = deep_data(n)
        given = {("param", path): a.copy() for path, a in net.params.items()}
        given |= {("state", path): a.copy() for path, a in net.states.items()}
        given |= {
            ("input", "x"): data["x"],
            ("target", "y"): data["y"],
            ("weight_of_example", ""): np.full(n, 1 / n),
        }
        wanted = evaluate(graph, given)
        loss, gradients = net.loss_and_gradients(**data)
        assert loss == pytest.approx(wanted["loss"], rel=1e-10)
        for path, gradient in gradients.items():
            np.testing.assert_allclose(gradient, wanted[f"gradient.{path}"], rtol=1e-9, atol=1e-10)
        assert net.step(**data) == pytest.approx(wanted["loss"], rel=1e-10)
        for state in program.states:
            np.testing.assert_allclose(
                net.states[state.path], wanted[f"state.{state.path}"], rtol=1e-10
            )


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_running_statistics_after_some_steps_are_those_of_the_formula(threads):
    program = driver.load(
        Source(
            "m.dl",
            """
        model m { input x: float[3, 2, 2] let y = x -> batchnorm(momentum=0.3)
          output y loss sum(y * y) }
        train { optimizer sgd(lr=0) }""",
        )
    )
    net = specc.compile(program, batch=24, dtype="float64", threads=threads, shards=threads)
    mean, variance = np.zeros(3), np.ones(3)
    rng = np.random.default_rng(0)
    for n in (24, 24, 17, 1, 24):
        x = rng.normal(size=(n, 3, 2, 2)) * 2 + 1
        net.step(x=x)
        mean += 0.3 * (x.mean((0, 2, 3)) - mean)
        variance += 0.3 * (x.var((0, 2, 3)) - variance)
    np.testing.assert_allclose(net.states["batchnorm1.mean"], mean, rtol=1e-12)
    np.testing.assert_allclose(net.states["batchnorm1.variance"], variance, rtol=1e-12)
    x = rng.normal(size=(33, 3, 2, 2))
    wanted = batchnorm(x, np.ones(3), np.zeros(3), mean, variance)
    np.testing.assert_allclose(net.forward(x=x)["y"], wanted, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.long)])
def test_a_training_with_batchnorm_is_the_same_on_any_number_of_threads(dtype):
    program = driver.load(Source("deep.dl", DEEP.format(layers=3)))
    tolerance = 1e-9 if dtype == "float64" else 2e-3
    losses = []
    for threads in (1, 2, 3, 4):
        net = specc.compile(program, batch=64, dtype=dtype, threads=threads, shards=threads, seed=0)
        losses.append(
            [net.step(**deep_data(n, seed)) for seed, n in enumerate((64, 39, 64, 3, 64))]
        )
    np.testing.assert_allclose(losses, np.broadcast_to(losses[0], (4, 5)), rtol=tolerance)


# Dropout.

DROPPED = """
    model m {
      input x: float[1000] param a: float[] = 1
      let y = dropout(a * x; 0.3)
      let z = dropout(a * x; 0.3)
      output y output z
      loss mean(y) loss mean(z) loss mean(y * y)
    }
    train { optimizer sgd(lr=0) }"""


def test_dropout_keeps_the_mean_and_drops_as_often_as_it_says():
    program = driver.load(Source("m.dl", DROPPED))
    graph = lower.set_mode(Graph({each.name: each.node for each in program.outputs}), training=True)
    given = {("param", "a"): np.array(1.0), ("input", "x"): np.ones((50, 1000))}
    draws = [evaluate(graph, given, seed=0, step=step) for step in range(2)]
    y, z, later = draws[0]["y"], draws[0]["z"], draws[1]["y"]
    assert set(np.unique(y)) == {0.0, 1 / 0.7}
    assert (y == 0).mean() == pytest.approx(0.3, abs=5 * np.sqrt(0.21 / y.size))
    assert y.mean() == pytest.approx(1, abs=5 * np.sqrt(0.3 / 0.7 / y.size))
    assert y.var() == pytest.approx(0.3 / 0.7, rel=0.02)
    for other in (
        z,
        later,
        np.roll(y, 1, 0),
        np.roll(y, 1, 1),
        np.broadcast_to(y[:1], y.shape)[1:],
    ):
        both = (
            (y[: len(other)] == 0) & (other == 0)
        ).mean()  # layers, steps, examples and elements differ
        assert both == pytest.approx(0.09, abs=0.005)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_dropout_draws_the_same_on_any_number_of_threads_and_anew_at_each_step(threads):
    program = driver.load(Source("m.dl", DROPPED))
    net = specc.compile(program, batch=8, dtype="float64", threads=threads, shards=threads, seed=5)
    x = np.random.default_rng(0).normal(size=(7, 1000))
    graph = pipeline.with_gradients(program)
    seen = []
    for step in range(3):
        given = {
            ("param", "a"): np.array(1.0),
            ("input", "x"): x,
            ("weight_of_example", ""): np.full(7, 1 / 7),
        }
        wanted = evaluate(graph, given, seed=5, step=step)
        loss, gradients = net.loss_and_gradients(x=x)
        assert loss == pytest.approx(wanted["loss"], rel=1e-10)
        assert gradients["a"] == pytest.approx(wanted["gradient.a"], rel=1e-10)
        assert net.step(x=x) == pytest.approx(loss, rel=1e-12)
        seen.append(loss)
    assert len(set(seen)) == 3


def test_how_a_training_is_cut_into_calls_changes_no_dropout():
    program = driver.load(Source("m.dl", DROPPED))
    x = np.random.default_rng(0).normal(size=(24, 1000))
    from specc.recipe import Column

    def losses(*cuts):
        net, data = (
            specc.compile(program, batch=4, dtype="float64", threads=2, shards=2),
            {"x": Column(x)},
        )
        found = [
            net.train(data, np.arange(4 * a, 4 * b), a, 6, 6) for a, b in itertools.pairwise(cuts)
        ]
        return np.concatenate(found)

    np.testing.assert_array_equal(losses(0, 6), losses(0, 1, 4, 6))


def test_the_gradient_of_dropout_takes_the_same_mask():
    program = load("v -> dropout(0.5)")
    graph = pipeline.forward(program, training=True)
    draws = [node for node in graph.nodes if node.op.name == "Uniform"]
    step = [
        node
        for node in pipeline.with_gradients(driver.load(Source("m.dl", DROPPED))).nodes
        if node.op.name == "Uniform"
    ]
    assert len(draws) == 1 and len(step) == 2


@pytest.mark.parametrize("threads", [1, 2])
def test_normal_noise_has_mean_0_and_variance_1_and_is_compiled_alike(threads):
    program = driver.load(
        Source(
            "m.dl",
            """
        model m { input x: float[500] let z = x + normal(x) output z
                  param a: float[] = 1 loss mean(a * z) }""",
        )
    )
    net = specc.compile(program, batch=40, dtype="float64", threads=threads, shards=threads, seed=2)
    x = np.zeros((40, 500))
    z = net.forward(x=x)["z"]
    assert abs(z.mean()) < 0.03 and z.var() == pytest.approx(1, abs=0.05)
    wanted = evaluate(
        pipeline.forward(program, training=False),
        {
            ("input", "x"): x,
            ("param", "a"): np.array(1.0),
            ("weight_of_example", ""): np.full(40, 1 / 40),
        },
        seed=2,
    )
    np.testing.assert_allclose(z, wanted["output.z"], rtol=1e-10, atol=1e-10)
