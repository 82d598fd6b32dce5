"""Oracles of activations, losses and regularizers."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from .interpreted import ROWS, agrees, oracle, shape, size


def elementwise(word: str, formula: str, function) -> None:
    @oracle(word)
    def _(rng):
        x = shape(rng, size(rng, 1, 4))
        given = {"x": 3 * rng.standard_normal(x)}
        agrees(formula, lambda t: function(t["x"]), {"x": x}, rng, given=given)


elementwise("relu", "relu(x)", F.relu)
elementwise("selu", "selu(x)", F.selu)
elementwise("softplus", "softplus(x)", F.softplus)
elementwise("silu", "silu(x)", F.silu)
elementwise("mish", "mish(x)", F.mish)
elementwise("l1", "l1(x)", lambda x: x.abs().sum())
elementwise("l2", "l2(x)", lambda x: (x**2).sum())


@oracle("elastic")
def _(rng):
    beta = round(rng.uniform(0, 2), 3)
    agrees(
        f"elastic(x; {beta})",
        lambda t: beta * (t["x"] ** 2).sum() + t["x"].abs().sum(),
        {"x": shape(rng, 2)},
        rng,
    )


@oracle("leaky_relu")
def _(rng):
    slope = round(rng.uniform(0, 1), 3)
    agrees(
        f"leaky_relu(x; {slope})", lambda t: F.leaky_relu(t["x"], slope), {"x": shape(rng, 2)}, rng
    )


@oracle("prelu")
def _(rng):
    agrees(
        "prelu(x)",
        lambda t: F.prelu(t["x"].reshape(1, -1), t["prelu1.alpha"].reshape(1)).reshape(
            t["x"].shape
        ),
        {"x": shape(rng, 3)},
        rng,
    )


@oracle("elu")
def _(rng):
    alpha = round(rng.uniform(0.1, 2), 3)
    agrees(f"elu(x; {alpha})", lambda t: F.elu(t["x"], alpha), {"x": shape(rng, 2)}, rng)


@oracle("gelu")
def _(rng):
    x = shape(rng, 2)
    agrees("gelu(x)", lambda t: F.gelu(t["x"]), {"x": x}, rng)
    agrees("gelu(x; form=tanh)", lambda t: F.gelu(t["x"], approximate="tanh"), {"x": x}, rng)


@oracle("maxout")
def _(rng):
    """Goodfellow et al., 2013: the largest of `pieces` linear functions."""
    n, units, pieces = size(rng), size(rng), size(rng, 2, 4)

    def wanted(t):
        all_ = F.linear(t["x"], t["maxout1.dense1.weight"], t["maxout1.dense1.bias"])
        return all_.reshape(pieces, units).amax(0)

    agrees(f"maxout(x; {units}, pieces={pieces})", wanted, {"x": (n,)}, rng)


@oracle("softmax")
def _(rng):
    agrees("softmax(x)", lambda t: F.softmax(t["x"], 0), {"x": shape(rng, 1)}, rng)


@oracle("log_softmax")
def _(rng):
    agrees("log_softmax(x)", lambda t: F.log_softmax(t["x"], 0), {"x": shape(rng, 1)}, rng)


# Losses of classes. Scores are one vector for all examples, labels differ.


def of_labels(rng, formula: str, function, more=None) -> None:
    classes = size(rng, 2, 7)
    labels = rng.integers(0, classes, ROWS)
    agrees(
        formula,
        lambda t: function(t["x"].expand(ROWS, -1), t["k"], t),
        {"x": (classes,), **{name: (classes,) for name in more or ()}},
        rng,
        {"k": f"class({classes})"},
        {"k": labels},
    )


@oracle("cross_entropy")
def _(rng):
    of_labels(rng, "cross_entropy(x, k)", lambda x, k, _: F.cross_entropy(x, k, reduction="none"))
    s = round(rng.uniform(0.01, 0.9), 3)
    of_labels(
        rng,
        f"cross_entropy(x, k; {s})",
        lambda x, k, _: F.cross_entropy(x, k, reduction="none", label_smoothing=s),
    )


@oracle("weighted_cross_entropy")
def _(rng):
    of_labels(
        rng,
        "weighted_cross_entropy(x, k, w)",
        more=["w"],
        function=lambda x, k, t: t["w"][k] * F.cross_entropy(x, k, reduction="none"),
    )


@oracle("soft_cross_entropy")
def _(rng):
    n = size(rng, 2, 6)
    shares = rng.dirichlet(np.ones(n), ROWS)
    agrees(
        "soft_cross_entropy(a * x, softmax(b) * p)",
        lambda t: F.cross_entropy(t["a"] * t["x"], t["b"].softmax(-1) * t["p"], reduction="none"),
        {"a": (n,), "b": (n,)},
        rng,
        {"x": f"float[{n}]", "p": f"float[{n}]"},
        {"x": 3 * rng.standard_normal((ROWS, n)), "p": shares},
    )


@oracle("hinge")
def _(rng):
    margin = round(rng.uniform(0.1, 2), 3)
    of_labels(
        rng,
        f"hinge(x, k; {margin})",
        lambda x, k, _: x.shape[1] * F.multi_margin_loss(x, k, margin=margin, reduction="none"),
    )


@oracle("squared_hinge")
def _(rng):
    margin = round(rng.uniform(0.1, 2), 3)
    of_labels(
        rng,
        f"squared_hinge(x, k; {margin})",
        lambda x, k, _: (
            x.shape[1] * F.multi_margin_loss(x, k, p=2, margin=margin, reduction="none")
        ),
    )


@oracle("binary_cross_entropy")
def _(rng):
    truth = rng.random(ROWS) < 0.5
    for scale in (1, 30, 700):
        agrees(
            "binary_cross_entropy(x, b)",
            lambda t: F.binary_cross_entropy_with_logits(
                t["x"].expand(ROWS), t["b"].double(), reduction="none"
            ),
            {"x": ()},
            rng,
            {"b": "bool"},
            {"b": truth},
            given={"x": scale * rng.standard_normal()},
        )


# Losses of two values.


def of_two(word: str, formula: str, function, rank: int = 2) -> None:
    @oracle(word)
    def _(rng):
        both = shape(rng, rank)
        agrees(formula, lambda t: function(t["x"], t["y"]), {"x": both, "y": both}, rng)


of_two("mse", "mse(x, y)", F.mse_loss)
of_two("mae", "mae(x, y)", F.l1_loss)
of_two("mbe", "mbe(x, y)", lambda x, y: (x - y).mean())


@oracle("huber")
def _(rng):
    both, delta = shape(rng, 2), round(rng.uniform(0.1, 2), 3)
    agrees(
        f"huber(x, y; {delta})",
        lambda t: F.huber_loss(t["x"], t["y"], delta=delta),
        {"x": both, "y": both},
        rng,
    )


@oracle("distance")
def _(rng):
    both = shape(rng, 2)
    agrees(
        "distance(x, y)",
        lambda t: torch.linalg.vector_norm(t["x"] - t["y"]),
        {"x": both, "y": both},
        rng,
    )
    same = {"x": np.ones(3), "y": np.ones(3)}  # PyTorch has the gradient 0 there as well
    agrees(
        "distance(x, y)",
        lambda t: torch.linalg.vector_norm(t["x"] - t["y"]),
        {"x": (3,), "y": (3,)},
        rng,
        given=same,
    )


@oracle("kl")
def _(rng):
    n = size(rng, 2, 7)
    agrees(
        "kl(softmax(x), softmax(y))",
        lambda t: F.kl_div(F.log_softmax(t["y"], 0), F.softmax(t["x"], 0), reduction="sum"),
        {"x": (n,), "y": (n,)},
        rng,
    )
    p = np.eye(n)[0]  # where p is 0 the summand is 0
    agrees(
        "kl(stop_gradient(x), softmax(y))",
        lambda t: F.kl_div(F.log_softmax(t["y"], 0), t["x"].detach(), reduction="sum"),
        {"x": (n,), "y": (n,)},
        rng,
        given={"x": p},
    )


@oracle("contrastive")
def _(rng):
    """Hadsell, Chopra and LeCun, 2006, equation 4."""
    n, margin = size(rng), round(rng.uniform(0.5, 4), 3)
    same = np.arange(ROWS) % 2 == 0

    def wanted(t):
        d = torch.linalg.vector_norm(t["x"] - t["y"])
        return torch.where(t["b"], 0.5 * d**2, 0.5 * (margin - d).clamp(min=0) ** 2)

    agrees(
        f"contrastive(x, y, b; {margin})",
        wanted,
        {"x": (n,), "y": (n,)},
        rng,
        {"b": "bool"},
        {"b": same},
    )


@oracle("triplet")
def _(rng):
    n, margin = size(rng), round(rng.uniform(0.1, 2), 3)
    agrees(
        f"triplet(x, y, z; {margin})",
        lambda t: (((t["x"] - t["y"]) ** 2).sum() - ((t["x"] - t["z"]) ** 2).sum() + margin).clamp(
            min=0
        ),
        {"x": (n,), "y": (n,), "z": (n,)},
        rng,
    )


def pairs_of_views(rng, formula: str, wanted, tolerance: float = 1e-10) -> None:
    """A loss of two views, a * x and b * y, where a and b differ between the examples."""
    n = size(rng, 2, 6)
    agrees(
        formula,
        lambda t: wanted(t["a"] * t["x"], t["b"] * t["y"]),
        {"x": (n,), "y": (n,)},
        rng,
        {"a": f"float[{n}]", "b": f"float[{n}]"},
        {"a": rng.standard_normal((ROWS, n)), "b": rng.standard_normal((ROWS, n))},
        tolerance=tolerance,
    )


@oracle("info_nce")
def _(rng):
    pairs_of_views(
        rng,
        "info_nce(a * x, b * y; 0.7)",
        lambda u, v: F.cross_entropy(u @ v.T / 0.7, torch.arange(ROWS), reduction="none"),
    )


def without_itself(u, v, temperature: float):
    """Chen et al., 2020, equation 1, for the views u: all 2N views on both sides, but for the
    diagonal."""
    views = torch.cat([u, v])
    scores = views @ views.T / temperature
    scores = scores.masked_fill(torch.eye(2 * ROWS, dtype=bool), -torch.inf)
    partners = torch.arange(2 * ROWS).roll(ROWS)
    return F.cross_entropy(scores, partners, reduction="none").reshape(2, ROWS)


@oracle("view_loss")
def _(rng):
    pairs_of_views(rng, "view_loss(a * x, b * y; 2)", lambda u, v: without_itself(u, v, 2)[0])


@oracle("nt_xent")
def _(rng):
    pairs_of_views(
        rng,
        "nt_xent(a * x, b * y; 0.2)",
        lambda u, v: without_itself(F.normalize(u), F.normalize(v), 0.2).mean(0),
        tolerance=1e-8,
    )


@oracle("group")
def _(rng):
    """All pairs of the batch, by their distances in the norm l1."""
    n, margin = size(rng), round(rng.uniform(0.5, 4), 3)
    labels, points = rng.integers(0, 2, ROWS), rng.standard_normal((ROWS, n))

    def wanted(t):
        z = t["a"] * t["x"]
        distance = torch.cdist(z, z, p=1)
        is_same = t["k"][:, None] == t["k"]
        return torch.where(is_same, distance, (margin - distance).clamp(min=0)).mean(1)

    agrees(
        f"group(a * x, k; {margin})",
        wanted,
        {"x": (n,)},
        rng,
        {"a": f"float[{n}]", "k": "class(2)"},
        {"a": points, "k": labels},
    )
