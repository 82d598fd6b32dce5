"""Every word of the library that has a gradient: compiled, interpreted, and by finite
differences."""

from __future__ import annotations

import re

import numpy as np
import pytest
from model_files import random_examples
from pairs import in_turn

import specc
from specc import driver, pipeline
from specc.backend.reference import evaluate
from specc.frontend.words import library
from specc.ops.peers import bind_batch
from specc.source import Source

# A word's uses: an expression over x, z [n], two positive ones p, q [n] that add up to 1, a number
# s, maps [c, h, w], a class k of n and a boolean t. All but k and t depend on parameters.
USES = {
    # activations
    "elu": ["elu(x)", "elu(maps; alpha=0.3)"],
    "gelu": ["gelu(x)", "gelu(maps; tanh)"],
    "leaky_relu": ["leaky_relu(x)", "leaky_relu(maps; 0.2)"],
    "log_softmax": ["log_softmax(x)", "log_softmax(30 * x)"],
    "maxout": ["x -> maxout(3)", "x -> maxout(2, pieces=5)"],
    "prelu": ["x -> prelu", "maps -> prelu(-0.5)"],
    "relu": ["relu(x)", "relu(maps)", "relu(s)"],
    "selu": ["selu(x)", "selu(maps)"],
    "silu": ["silu(x)", "silu(maps)"],
    "mish": ["mish(x)", "mish(maps)"],
    "softmax": ["softmax(x)", "softmax(30 * x)"],
    "softplus": ["softplus(x)", "softplus(maps)", "softplus(8 * s)"],
    # losses
    "binary_cross_entropy": ["binary_cross_entropy(s, t)", "binary_cross_entropy(50 * s, t)"],
    "contrastive": ["contrastive(x, z, t)", "contrastive(x, z, t; margin=5)"],
    "cross_entropy": ["cross_entropy(x, k)", "cross_entropy(x, k; smoothing=0.1)",
                      "cross_entropy(8 * x, k)"],
    "distance": ["distance(x, z)", "distance(maps, 2 * maps)", "distance(x, x)"],
    "group": ["group(x, k)"],
    "hinge": ["hinge(x, k)", "hinge(x, k; margin=0.2)"],
    "huber": ["huber(x, z)", "huber(x, z; delta=0.3)"],
    "info_nce": ["info_nce(x, z)", "info_nce(x, z; 0.3)"],
    "nt_xent": ["nt_xent(x, z)", "nt_xent(x, z; 0.05)"],
    "view_loss": ["view_loss(x, z; 2)"],
    "kl": ["kl(p, q)", "kl(softmax(x), softmax(z))"],
    "mae": ["mae(x, z)"],
    "mbe": ["mbe(x, z)"],
    "mse": ["mse(x, z)"],
    "soft_cross_entropy": ["soft_cross_entropy(x, p)", "soft_cross_entropy(9 * x, q)"],
    "squared_hinge": ["squared_hinge(x, k)", "squared_hinge(x, k; margin=0.2)"],
    "triplet": ["triplet(x, z, p)", "triplet(x, z, p; margin=3)"],
    "weighted_cross_entropy": ["weighted_cross_entropy(x, k, p)",
                               "weighted_cross_entropy(x, k, q; smoothing=0.2)"],
    # regularizers
    "elastic": ["elastic(x)", "elastic(a; beta=3)", "x -> dense(2) -> elastic"],
    "l1": ["l1(maps)", "l1(a)"],
    "l2": ["l2(x)", "l2(a)"],
    # layers
    "avgpool": ["maps -> avgpool(2, round=floor)"],
    "batchnorm": ["x -> batchnorm", "maps -> batchnorm"],
    "conv": ["maps -> conv(3, kernel=2)", "maps -> conv(2, kernel=3, pad=1, bias=false)"],
    "conv_transpose": ["maps -> conv_transpose(2, kernel=2, stride=2)"],
    "dense": ["x -> dense(5)", "x -> dense(3, bias=false)", "x -> dense(3, init=orthogonal)"],
    "dropout": ["x -> dropout", "maps -> dropout(0.2)"],
    "embed": ["(k -> embed(3)) * s"],
    "global_avgpool": ["maps -> global_avgpool"],
    "global_maxpool": ["maps -> global_maxpool"],
    "layernorm": ["x -> layernorm", "maps -> layernorm"],
    "maxpool": ["maps -> maxpool(2, round=floor)"],
    "residual": ["maps -> residual", "maps -> residual(filters=3)"],
    "upsample": ["maps -> upsample(2)"],
    # normalization
    "group_mean": ["group_mean(x; 1)"],
    "groupnorm": ["maps -> groupnorm(1)", "concat(maps, x[0] * maps) -> groupnorm(2)"],
    "instancenorm": ["maps -> instancenorm"],
    "rmsnorm": ["x -> rmsnorm", "maps -> rmsnorm"],
    "spatial_dropout": ["maps -> spatial_dropout(0.3)"],
    "stochastic_depth": ["x -> stochastic_depth(0.3)", "maps -> stochastic_depth(0.3)"],
    "weight_norm": ["weight_norm(reshape(concat(a, 2 * a + 1); 2, size(a; axis=0))) @ x"],
    "zoneout": ["zoneout(x, z; 0.4)"],
    # augmentations
    "crop": ["crop(maps)", "crop(maps; 0.4)"],
    "cutout": ["cutout(maps; 2)", "cutout(maps; 3)"],
    "flip": ["flip(maps)", "flip(maps; 0.3)"],
    "mixup": ["mixed * partly", "mixed + sin(partly)"],
    "noise": ["noise(x)", "noise(maps; 0.5)"],
    "rotate": ["rotate(maps)", "rotate(maps; 45)"],
    "shear": ["shear(maps, 2 * maps[0, :, 0])", "shear(maps, maps[0, :, 1] - 0.5)"],
    "shift": ["shift(maps)", "shift(maps; 1)"],
    "symmetric_beta": ["x * symmetric_beta(x)", "maps * symmetric_beta(maps; 0.2)"],
    # metrics that are differentiable formulas have no gradient of use
}  # fmt: skip
WITHOUT_GRADIENT = (
    "std/metrics.dl",
    "std/initializers.dl",
    "std/schedules.dl",
    "std/optimizers.dl",
    "std/cells.dl",
    "std/attention.dl",
)  # of cells: see test_sequences; of attention: see test_attention and the oracles
STOPPED = {"spectral_norm"}  # no gradient flows through its vectors: see test_normalization
SHAPES = [(4, (2, 5, 6)), (7, (1, 4, 3))]
CASES = [use for uses in USES.values() for use in uses]


def test_every_word_with_a_gradient_is_in_the_table():
    wanted = {
        word for word in library.words() if library.source_of(word).name not in WITHOUT_GRADIENT
    }
    assert wanted - set(USES) == STOPPED
    assert set(USES) - set(library.words()) == set()


def model(use: str, n: int, maps: tuple[int, ...]) -> str:
    size = ", ".join(map(str, maps))
    parts = {
        "a": f"param a: float[{n}] = normal",
        "x": f"input ix: float[{n}] let x = a * ix + 0.3",
        "z": f"input iz: float[{n}] param b: float[{n}] = normal let z = b * iz",
        "p": f"input ip: float[{n}] param c: float[{n}] = normal let p = softmax(c * ip)",
        "q": f"input iq: float[{n}] param d: float[{n}] = normal let q = softmax(d + iq)",
        "s": "input is: float[] param e: float[] = normal let s = e * is + 0.1",
        "maps": f"input im: float[{size}] param f: float[{size}] = normal let maps = f * im",
        "mixed": "let mixed, partly = mixup(x, z; 0.4)",
        "k": f"target k: class({n})",
        "t": "target t: bool",
    }
    used = {name for name in parts if re.search(rf"\b{name}\b", use)}
    if "mixed" in used:
        used |= {"x", "z"}
    if "x" in used:
        used.add("a")
    if not used & set("xzpqs") and "maps" not in used:  # an input gives the batch
        used.add("s")
    lines = "\n".join(line for name, line in parts.items() if name in used)
    projected = "" if "s" not in used or "s" in re.findall(r"\w+", use) else " + 0 * s"
    return f"model m {{ {lines} let y = {use} loss sum(sin(1.7 * y) + 0.3 * y){projected} }}"


@pytest.mark.parametrize(
    ("use", "shape"), in_turn(CASES, SHAPES, name=lambda value: str(value).replace(" ", ""))
)
def test_the_gradient_is_right(use, shape):
    program = driver.load(Source("x.dl", model(use, *shape)))
    net = specc.compile(program, batch=9, dtype="float64", threads=1, seed=5)
    rng = np.random.default_rng(len(use))
    data = random_examples(program.ports, 9, rng)
    for array in net.params.values():
        array[...] += 0.1 * rng.standard_normal(array.shape)
    loss, gradients = net.loss_and_gradients(**data)

    graph = bind_batch(pipeline.with_gradients(program), 9)
    leaves = {("param", path): array for path, array in net.params.items()}
    leaves |= {("state", path): array for path, array in net.states.items()}
    leaves |= {(port.role, port.name): data[port.name] for port in program.ports}
    leaves["weight_of_example", ""] = np.full(9, 1 / 9)
    exact = evaluate(graph, leaves, net.seed)
    assert loss == pytest.approx(exact["loss"], rel=1e-10)
    assert gradients
    for path, gradient in gradients.items():
        np.testing.assert_allclose(gradient, exact[f"gradient.{path}"], rtol=1e-10, atol=1e-10)

    value = type(graph)({"loss": graph.outputs["loss"]})
    h = 1e-5
    for path, gradient in gradients.items():
        direction = rng.standard_normal(gradient.shape)
        ends = [
            evaluate(
                value, {**leaves, ("param", path): net.params[path] + step * direction}, net.seed
            )
            for step in (h, -h)
        ]
        slope = (ends[0]["loss"] - ends[1]["loss"]) / (2 * h)
        assert np.sum(gradient * direction) == pytest.approx(slope, rel=1e-6, abs=1e-6)
