"""Oracles of normalizations, and of what leaves parts of a value out while training."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from specc import pipeline
from specc.backend.reference import evaluate

from .interpreted import ROWS, agrees, initial, load, oracle, shape, size

EXAMPLES = 400


def factors(t, word: str, rank: int):
    """The gamma and beta of a word, one for each channel."""
    places = (-1, *[1] * (rank - 1))
    return (t[f"{word}1.{name}"].reshape(places) for name in ("gamma", "beta"))


@oracle("groupnorm")
def _(rng):
    groups = size(rng, 1, 3)
    x, epsilon = (groups * size(rng, 1, 3), *shape(rng, size(rng, 1, 3))), 0.01

    def wanted(t):
        gamma, beta = factors(t, "groupnorm", len(x))
        return gamma * F.group_norm(t["x"][None], groups, eps=epsilon)[0] + beta

    agrees(f"groupnorm(x; {groups}, epsilon={epsilon})", wanted, {"x": x}, rng, tolerance=1e-8)


@oracle("group_mean")
def _(rng):
    groups, each = size(rng, 1, 3), size(rng, 1, 3)
    agrees(
        f"group_mean(x; {groups})",
        lambda t: t["x"].reshape(groups, each).mean(1).repeat_interleave(each),
        {"x": (groups * each,)},
        rng,
    )


@oracle("instancenorm")
def _(rng):
    x = (size(rng, 1, 4), size(rng, 2, 5), size(rng, 2, 5))

    def wanted(t):
        gamma, beta = factors(t, "instancenorm", len(x))
        return gamma * F.instance_norm(t["x"][None], eps=0.01)[0] + beta

    agrees("instancenorm(x; 0.01)", wanted, {"x": x}, rng, tolerance=1e-8)


@oracle("rmsnorm")
def _(rng):
    x, epsilon = shape(rng, size(rng, 1, 3)), round(rng.uniform(1e-5, 0.1), 6)

    def wanted(t):
        gamma = t["rmsnorm1.gamma"].reshape(-1, *[1] * (len(x) - 1))
        return gamma * F.rms_norm(t["x"], x, eps=epsilon)

    agrees(f"rmsnorm(x; {epsilon})", wanted, {"x": x}, rng, tolerance=1e-8)


@oracle("weight_norm")
def _(rng):
    w = shape(rng, size(rng, 2, 4))
    agrees(
        "weight_norm(w)",
        lambda t: torch._weight_norm(
            t["w"], t["weight_norm1.g"].reshape(-1, *[1] * (len(w) - 1)), 0
        ),
        {"w": w},
        rng,
        tolerance=1e-9,
    )


@oracle("spectral_norm")
def _(rng):
    """Miyato et al., 2018, algorithm 1, with one step of the power method."""
    w = shape(rng, size(rng, 2, 4))

    def wanted(t, training=True):
        matrix = t["w"].reshape(w[0], -1)
        u = t["spectral_norm1.u"].detach()
        v = F.normalize(matrix.detach().T @ u, dim=0)
        if training:
            u = F.normalize(matrix.detach() @ v, dim=0)
        return t["w"] / (u @ matrix @ v)

    values = {"w": rng.standard_normal(w)}
    agrees("spectral_norm(w)", wanted, {"w": w}, rng, given=values, tolerance=1e-8)
    agrees(
        "spectral_norm(w)",
        lambda t: wanted(t, False),
        {"w": w},
        rng,
        given=values,
        training=False,
        tolerance=1e-8,
    )


def dropped(formula: str, sizes: tuple[int, ...], rng) -> tuple[np.ndarray, np.ndarray]:
    """x and the formula of it, in training; outside of it the formula must be x."""
    text = f"model m {{ input x: float[{', '.join(map(str, sizes))}] output y = {formula} }}"
    program = load(text)
    x = 1 + rng.random((EXAMPLES, *sizes))
    leaves = initial(program) | {("input", "x"): x}
    kept = evaluate(pipeline.forward(program, False), leaves)["output.y"]
    np.testing.assert_array_equal(kept, x)
    seed = size(rng, 0, 1000)
    return x, evaluate(pipeline.forward(program, True), leaves, seed=seed)["output.y"]


def as_often(zero: np.ndarray, rate: float) -> None:
    """So many of the booleans are true as a probability says."""
    assert abs(zero.sum() - rate * zero.size) < 5 * np.sqrt(zero.size * rate * (1 - rate))


@oracle("spatial_dropout")
def _(rng):
    rate = round(rng.uniform(0.1, 0.8), 2)
    x, found = dropped(f"spatial_dropout(x; {rate})", (4, 3, 2), rng)
    zero = (found == 0).reshape(EXAMPLES, 4, 6)
    assert (zero.all(2) == zero.any(2)).all()
    np.testing.assert_allclose(found[found != 0], (x / (1 - rate))[found != 0], rtol=1e-12)
    as_often(zero[..., 0], rate)


@oracle("stochastic_depth")
def _(rng):
    rate = round(rng.uniform(0.1, 0.8), 2)
    x, found = dropped(f"stochastic_depth(x; {rate})", (3, 2), rng)
    zero = (found == 0).reshape(EXAMPLES, 6)
    assert (zero.all(1) == zero.any(1)).all()
    np.testing.assert_allclose(found[found != 0], (x / (1 - rate))[found != 0], rtol=1e-12)
    as_often(zero[:, 0], rate)


@oracle("zoneout")
def _(rng):
    """Krueger et al., 2017, equations 2 and 3."""
    rate = round(rng.uniform(0.1, 0.8), 2)
    program = load(
        f"model m {{ input a: float[50] input b: float[50] output y = zoneout(a, b; {rate}) }}"
    )
    a, b = rng.standard_normal((2, ROWS, 50))
    leaves = {("input", "a"): a, ("input", "b"): b}
    mean = evaluate(pipeline.forward(program, False), leaves)["output.y"]
    np.testing.assert_allclose(mean, rate * b + (1 - rate) * a, rtol=1e-12)
    found = evaluate(pipeline.forward(program, True), leaves, seed=size(rng, 0, 1000))["output.y"]
    kept = found == b
    np.testing.assert_array_equal(found, np.where(kept, b, a))
    as_often(kept, rate)
