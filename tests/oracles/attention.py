"""Oracles of attention and what belongs to it: PyTorch's scaled_dot_product_attention, and the
papers' formulas."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from .interpreted import ROWS, agrees, oracle, size


def over_steps(rng, formula: str, n: int, wanted, memory: int = 0) -> None:
    """The value of a formula of the sequence a [n], and of the sequence b [memory]."""
    steps, past = size(rng, 2, 5), size(rng, 2, 5)
    inputs = {"a": f"float[time, {n}]"}
    arrays = {"a": rng.standard_normal((ROWS, steps, n))}
    before = f"seq time = {steps}"
    if memory:
        inputs["b"] = f"float[past, {memory}]"
        arrays["b"] = rng.standard_normal((ROWS, past, memory))
        before += f" seq past = {past}"
    agrees(formula, wanted, {}, rng, inputs, arrays, before=before, tolerance=1e-9)


def dense(t, path, x):
    return F.linear(x, t[f"{path}.weight"], t[f"{path}.bias"])


def attended(t, path, x, z, heads, causal):
    parts = []
    for name, of in (("query", x), ("key", z), ("value", z)):
        made = dense(t, f"{path}.{name}", of)
        parts.append(made.unflatten(2, (heads, -1)).transpose(1, 2))
    y = F.scaled_dot_product_attention(*parts, is_causal=causal)
    return dense(t, f"{path}.out", y.transpose(1, 2).flatten(2))


@oracle("attention")
def _(rng):
    heads, width = size(rng, 1, 3), size(rng, 1, 3)
    n, m = heads * width, size(rng)
    over_steps(
        rng,
        f"a -> attention(heads={heads}, causal=true)",
        n,
        lambda t: attended(t, "attention1", t["a"], t["a"], heads, True),
    )
    over_steps(
        rng,
        f"attention(a, b; heads={heads})",
        n,
        lambda t: attended(t, "attention1", t["a"], t["b"], heads, False),
        m,
    )


@oracle("additive_attention")
def _(rng):
    n, m, units = size(rng), size(rng), size(rng)

    def wanted(t):
        q = dense(t, "additive_attention1.query", t["a"])
        k = F.linear(t["b"], t["additive_attention1.key.weight"])
        scores = torch.tanh(q[:, :, None] + k[:, None]) @ t["additive_attention1.v"]
        return scores.softmax(2) @ t["b"]

    over_steps(rng, f"additive_attention(a, b; {units})", n, wanted, m)


@oracle("learned_positions")
def _(rng):
    over_steps(
        rng, "a -> learned_positions", size(rng), lambda t: t["a"] + t["learned_positions1.weight"]
    )


def angles(steps, n):
    """t / 10000^(i / n) of each step and each even i."""
    rate = 10000.0 ** (-torch.arange(0, n, 2, dtype=torch.float64) / n)
    return torch.arange(steps, dtype=torch.float64)[:, None] * rate


@oracle("sinusoidal_positions")
def _(rng):
    n = 2 * size(rng, 1, 4)

    def wanted(t):
        angle = angles(t["a"].shape[1], n)
        return dense(t, "dense1", t["a"]) + torch.stack([angle.sin(), angle.cos()], 2).flatten(1)

    over_steps(rng, f"a -> dense({n}) -> sinusoidal_positions", n, wanted)


@oracle("rotary")
def _(rng):
    n = 2 * size(rng, 1, 4)

    def wanted(t):
        angle = angles(t["a"].shape[1], n)
        x = dense(t, "dense1", t["a"])
        points = torch.view_as_complex(x.unflatten(2, (-1, 2)).contiguous())
        turned = points * torch.polar(torch.ones_like(angle), angle)
        return torch.view_as_real(turned).flatten(2)

    over_steps(rng, f"a -> dense({n}) -> rotary", n, wanted)


@oracle("transformer")
def _(rng):
    heads = size(rng, 1, 3)
    n = heads * size(rng, 1, 3) + heads

    def normal(t, name, x):
        path = f"transformer1.{name}"
        return F.layer_norm(x, (n,), t[f"{path}.gamma"], t[f"{path}.beta"], 1e-5)

    def feed(t, x):
        hidden = F.gelu(dense(t, "transformer1.feed.dense1", x))
        return dense(t, "transformer1.feed.dense2", hidden)

    def look(t, x):
        return attended(t, "transformer1.look.attention1", x, x, heads, True)

    def first(t):
        a = t["a"] + look(t, normal(t, "before", t["a"]))
        return a + feed(t, normal(t, "after", a))

    def after(t):
        a = normal(t, "before", t["a"] + look(t, t["a"]))
        return normal(t, "after", a + feed(t, a))

    over_steps(rng, f"a -> transformer(heads={heads}, causal=true)", n, first)
    over_steps(rng, f"a -> transformer(heads={heads}, causal=true, norm=after)", n, after)
