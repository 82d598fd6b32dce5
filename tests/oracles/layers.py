"""Oracles of layers."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F

from specc import pipeline
from specc.backend.reference import evaluate

from .interpreted import ROWS, agrees, initial, load, oracle, shape, size


def image(rng) -> tuple[int, int, int]:
    return size(rng, 1, 4), size(rng, 3, 8), size(rng, 3, 8)


@oracle("dense")
def _(rng):
    n, units = size(rng), size(rng)
    agrees(
        f"dense(x; {units})",
        lambda t: F.linear(t["x"], t["dense1.weight"], t["dense1.bias"]),
        {"x": (n,)},
        rng,
    )
    agrees(
        f"dense(x; {units}, bias=false)",
        lambda t: F.linear(t["x"], t["dense1.weight"]),
        {"x": (n,)},
        rng,
    )


def places(rng, low: int = 3, high: int = 7) -> tuple[int, ...]:
    """The sizes of one, two or three axes of places."""
    return tuple(size(rng, low, high) for _ in range(size(rng, 1, 3)))


def written(name: str, values: list[int]) -> str:
    """A setting for each axis of places, in the language: the first number is that of the width
    alone, of the height, or of the depth."""
    *before, width = values
    text = f"{name}={before[-1] if before else width}, {name}_width={width}"
    return text + (f", {name}_depth={before[0]}" if len(values) == 3 else "")


@oracle("conv")
def _(rng):
    channels, sizes = size(rng, 1, 4), places(rng)
    groups = int(rng.choice([g for g in range(1, channels + 1) if channels % g == 0]))
    filters, dilation = groups * size(rng, 1, 3), size(rng, 1, 2)
    kernel, stride, pad = ([size(rng, low, 3) for _ in sizes] for low in (1, 1, 0))
    if any(n + 2 * p < dilation * (k - 1) + 1 for n, p, k in zip(sizes, pad, kernel, strict=True)):
        kernel = [1 for _ in sizes]
    settings = ", ".join(
        written(name, values)
        for name, values in (("kernel", kernel), ("stride", stride), ("pad", pad))
    )
    function = (F.conv1d, F.conv2d, F.conv3d)[len(sizes) - 1]
    agrees(
        f"conv(x; {filters}, {settings}, dilation={dilation}, groups={groups}, round=floor)",
        lambda t: function(
            t["x"][None], t["conv1.weight"], t["conv1.bias"], stride, pad, dilation, groups
        )[0],
        {"x": (channels, *sizes)},
        rng,
    )


@oracle("conv_transpose")
def _(rng):
    channels, sizes = size(rng, 1, 4), places(rng, 3, 5)
    filters, extra = size(rng, 1, 3), size(rng, 0, 1)
    kernel, stride, pad = ([size(rng, *each) for _ in sizes] for each in ((2, 4), (2, 3), (0, 1)))
    settings = ", ".join(
        written(name, values)
        for name, values in (("kernel", kernel), ("stride", stride), ("pad", pad))
    )
    function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[len(sizes) - 1]
    agrees(
        f"conv_transpose(x; {filters}, {settings}, extra={extra})",
        lambda t: function(
            t["x"][None],
            t["conv_transpose1.weight"],
            t["conv_transpose1.bias"],
            stride,
            pad,
            extra,
        )[0],
        {"x": (channels, *sizes)},
        rng,
    )


def pooling(word: str, functions) -> None:
    @oracle(word)
    def _(rng):
        sizes = places(rng, 3, 8)
        window, stride = ([size(rng, 1, 3) for _ in sizes] for _ in range(2))
        pad = [size(rng, 0, each // 2) for each in window]
        settings = ", ".join(
            written(name, values)
            for name, values in (("size", window), ("stride", stride), ("pad", pad))
        )
        function = functions[len(sizes) - 1]
        agrees(
            f"{word}(x; {settings}, round=floor)",
            lambda t: function(t["x"][None], window, stride, pad)[0],
            {"x": (size(rng, 1, 4), *sizes)},
            rng,
        )


def average(x, window, stride, pad):
    """The mean of the elements of each window that are not padding."""
    function = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[len(window) - 1]
    return function(x, window, stride, pad, count_include_pad=False)


pooling("maxpool", (F.max_pool1d, F.max_pool2d, F.max_pool3d))
pooling("avgpool", (average,) * 3)


@oracle("global_avgpool")
def _(rng):
    agrees(
        "global_avgpool(x)",
        lambda t: F.adaptive_avg_pool2d(t["x"][None], 1)[0, :, 0, 0],
        {"x": image(rng)},
        rng,
    )


@oracle("global_maxpool")
def _(rng):
    agrees(
        "global_maxpool(x)",
        lambda t: F.adaptive_max_pool2d(t["x"][None], 1)[0, :, 0, 0],
        {"x": image(rng)},
        rng,
    )


@oracle("upsample")
def _(rng):
    factor = size(rng, 2, 3)
    agrees(
        f"upsample(x; {factor})",
        lambda t: F.interpolate(t["x"][None], scale_factor=factor)[0],
        {"x": image(rng)},
        rng,
    )


@oracle("embed")
def _(rng):
    vocab, units = size(rng, 2, 7), size(rng)
    labels = rng.integers(0, vocab, ROWS)
    agrees(
        f"embed(k; {units})",
        lambda t: F.embedding(t["k"], t["embed1.weight"]),
        {},
        rng,
        {"k": f"class({vocab})"},
        {"k": labels},
    )


@oracle("layernorm")
def _(rng):
    x, epsilon = shape(rng, size(rng, 1, 3)), round(rng.uniform(1e-5, 0.1), 6)

    def wanted(t):
        places = (-1, *[1] * (len(x) - 1))
        gamma, beta = (t[f"layernorm1.{name}"].reshape(places) for name in ("gamma", "beta"))
        return gamma * F.layer_norm(t["x"], x, eps=epsilon) + beta

    agrees(f"layernorm(x; {epsilon})", wanted, {"x": x}, rng, tolerance=1e-8)


@oracle("batchnorm")
def _(rng):
    x = shape(rng, 3)
    sizes = ", ".join(map(str, x))
    given = rng.standard_normal((ROWS, *x))

    def wanted(t, training=True):
        y = t["a"] * t["x"]
        return F.batch_norm(
            y,
            t["batchnorm1.mean"].clone(),
            t["batchnorm1.variance"].clone(),
            t["batchnorm1.gamma"],
            t["batchnorm1.beta"],
            training,
            eps=0.01,
        )

    formula, inputs, arrays = (
        "batchnorm(a * x; epsilon=0.01)",
        {"a": f"float[{sizes}]"},
        {"a": given},
    )
    agrees(formula, lambda t: wanted(t, False), {"x": x}, rng, inputs, arrays, training=False)
    factor = rng.standard_normal(x)
    found = agrees(
        formula, wanted, {"x": x}, rng, inputs, arrays, given={"x": factor}, tolerance=1e-8
    )
    moved = given * factor
    mean, variance = moved.mean((0, 2, 3)), moved.var((0, 2, 3))  # divided by their number
    np.testing.assert_allclose(found["state.batchnorm1.mean"], 0.1 * mean)
    np.testing.assert_allclose(found["state.batchnorm1.variance"], 0.9 + 0.1 * variance)


@oracle("dropout")
def _(rng):
    """Srivastava et al., 2014: zeros with the probability `rate`, and the rest scaled; else as it
    is."""
    rate = round(rng.uniform(0.1, 0.8), 2)
    text = (
        f"model m {{ input x: float[40, 50] output dropout(x; {rate})"
        " param p: float[] = 1 loss p * sum(x) }"
    )
    program = load(text)
    x = 1 + rng.random((ROWS, 40, 50))
    leaves = initial(program) | {
        ("input", "x"): x,
        ("weight_of_example", ""): np.full(ROWS, 1 / ROWS),
    }
    name = next(
        name for name in pipeline.forward(program, True).outputs if name.startswith("output.")
    )
    kept = evaluate(pipeline.forward(program, False), leaves)[name]
    np.testing.assert_array_equal(kept, x)
    found = evaluate(pipeline.forward(program, True), leaves, seed=size(rng, 0, 1000))[name]
    zero = found == 0
    np.testing.assert_allclose(found[~zero], x[~zero] / (1 - rate), rtol=1e-12)
    count = x.size
    assert abs(zero.sum() - rate * count) < 5 * np.sqrt(count * rate * (1 - rate))


@oracle("residual")
def _(rng):
    channels, height, width = image(rng)
    filters, stride = (channels, 1) if rng.random() < 0.5 else (size(rng, 1, 4), size(rng, 1, 2))
    x = rng.standard_normal((ROWS, channels, height, width))

    def wanted(t):
        def normed(y, k):
            path = f"residual1.batchnorm{k}."
            return F.batch_norm(
                y,
                t[f"{path}mean"],
                t[f"{path}variance"],
                t[f"{path}gamma"],
                t[f"{path}beta"],
                False,
            )

        main = F.relu(normed(F.conv2d(t["a"], t["residual1.conv1.weight"], None, stride, 1), 1))
        main = normed(F.conv2d(main, t["residual1.conv2.weight"], None, 1, 1), 2)
        shortcut = t["a"]
        if (filters, stride) != (channels, 1):
            shortcut = normed(F.conv2d(t["a"], t["residual1.conv3.weight"], None, stride), 3)
        return F.relu(shortcut + main)

    agrees(
        f"residual(a; {filters}, stride={stride})",
        wanted,
        {},
        rng,
        {"a": f"float[{channels}, {height}, {width}]"},
        {"a": x},
        training=False,
    )
