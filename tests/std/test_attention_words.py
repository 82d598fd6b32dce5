"""Attention: compiled values against the formulas of the papers in plain NumPy, one example after
the other, over sequences of fixed and of varying length, and gradients against finite
differences."""

from __future__ import annotations

import numpy as np
import pytest

import specc

BODIES = {
    "self": "let y = x -> attention(heads=2)",
    "causal": "let y = x -> attention(heads=4, causal=true)",
    "memory": "let y = attention(x, z; heads=2)",
    "formula": """let s[t, u] = sum(i: x[t, i] * x[u, i]) / sqrt(8)
      let a[t, u] = softmax(u: if u <= t then s[t, u] else -inf)
      let y[t, i] = sum(u: a[t, u] * x[u, i]) + mean(u: x[u, i]) + max(u: x[u, i]) + W[i, 0]""",
}


VARIES = ("", "x", "z", "xz")
"""The sequences whose length varies: of the steps, of the memory, of both."""


def text_of(body, varies):
    most, most_past = ("<= " if name in varies else "" for name in "xz")
    return f"""
    seq time = 6
    seq past = 5
    model m {{
      input  x: float[{most}time, 8]
      input  z: float[{most_past}past, 3]
      target t0: float[{most}time, 8]
      param W: float[8, 8] = xavier
      {body}
      output y
      let all = mean(sum(z); over=past) + mean(sum(x); over=time) + sum(W)
      loss mse(y, t0) + 0 * all
    }}
    train {{ optimizer sgd(lr = 0.1) }}"""


def examples(count, varies):
    rng = np.random.default_rng(count)
    data = {
        "x": rng.normal(size=(count, 6, 8)),
        "z": rng.normal(size=(count, 5, 3)),
        "t0": rng.normal(size=(count, 6, 8)),
    }
    for name, most in (("x", 6), ("z", 5)):
        if name in varies:
            data[f"{name}.length"] = rng.integers(1, most + 1, count)
    return data


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attended(params, x, z, heads, causal):
    """Vaswani et al., equation 1 and section 3.2.2, of one example."""
    q, k, v = (
        of @ params[f"attention1.{name}.weight"].T + params[f"attention1.{name}.bias"]
        for name, of in (("query", x), ("key", z), ("value", z))
    )
    size = q.shape[1] // heads
    parts = []
    for h in range(heads):
        own = slice(h * size, (h + 1) * size)
        scores = q[:, own] @ k[:, own].T / np.sqrt(size)
        if causal:
            scores = np.where(np.tri(len(x)) > 0, scores, -np.inf)
        parts.append(softmax(scores) @ v[:, own])
    joined = np.concatenate(parts, 1)
    return joined @ params["attention1.out.weight"].T + params["attention1.out.bias"]


def transcribed(kind, params, x, z):
    if kind == "self":
        return attended(params, x, x, 2, False)
    if kind == "causal":
        return attended(params, x, x, 4, True)
    if kind == "memory":
        return attended(params, x, z, 2, False)
    weights = softmax(np.where(np.tri(len(x)) > 0, x @ x.T / np.sqrt(8), -np.inf))
    return weights @ x + x.mean(0) + x.max(0) + params["W"][:, 0]


def compiled(kind, varies, **options):
    net = specc.compile(specc.loads(text_of(BODIES[kind], varies)), batch=5, seed=0, **options)
    rng = np.random.default_rng(1)
    net.set_params({k: rng.normal(size=a.shape) / 2 for k, a in net.params.items()})
    return net


@pytest.mark.parametrize("varies", VARIES)
@pytest.mark.parametrize("kind", BODIES)
def test_attention_is_its_formula(kind, varies):
    for threads, dtype, close in ((1, "float64", 1e-10), (2, "float32", 1e-4)):
        net = compiled(kind, varies, threads=threads, dtype=dtype)
        for count in (1, 3, 7):
            data = examples(count, varies)
            found = net.forward(**{k: a for k, a in data.items() if k != "t0"})["y"]
            for each in range(count):
                steps = data["x.length"][each] if "x" in varies else 6
                others = data["z.length"][each] if "z" in varies else 5
                wanted = transcribed(
                    kind, net.params, data["x"][each, :steps], data["z"][each, :others]
                )
                np.testing.assert_allclose(found[each, :steps], wanted, rtol=close, atol=close)


@pytest.mark.parametrize("varies", VARIES)
@pytest.mark.parametrize("kind", BODIES)
def test_gradients_of_attention_are_finite_differences(kind, varies):
    net = compiled(kind, varies, threads=2, dtype="float64")
    data = examples(3, varies)
    _, grads = net.loss_and_gradients(**data)
    rng = np.random.default_rng(2)
    params = {k: a.copy() for k, a in net.params.items()}
    step = {k: rng.normal(size=a.shape) for k, a in params.items()}
    ends = []
    for sign in (1, -1):
        net.set_params({k: a + sign * 1e-6 * step[k] for k, a in params.items()})
        ends.append(net.loss_and_gradients(**data)[0])
    slope = sum((grads[k] * step[k]).sum() for k in params)
    assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(slope, rel=1e-6, abs=1e-7)


def rotated(x):
    turned = np.zeros_like(x)
    for t in range(len(x)):
        for p in range(0, x.shape[1], 2):
            angle = t / 10000 ** (p / x.shape[1])
            point = (x[t, p] + 1j * x[t, p + 1]) * np.exp(1j * angle)
            turned[t, p], turned[t, p + 1] = point.real, point.imag
    return turned


def with_waves(x):
    found = x.copy()
    for t in range(len(x)):
        for i in range(x.shape[1]):
            angle = t / 10000 ** ((i - i % 2) / x.shape[1])
            found[t, i] += np.cos(angle) if i % 2 else np.sin(angle)
    return found


def dense(params, path, x):
    return x @ params[f"{path}.weight"].T + params[f"{path}.bias"]


def added(params, x, z):
    """Bahdanau et al., section A.1.2."""
    q, k = (
        dense(params, "additive_attention1.query", x),
        z @ params["additive_attention1.key.weight"].T,
    )
    scores = np.tanh(q[:, None] + k[None]) @ params["additive_attention1.v"]
    return softmax(scores) @ z


def normalized(params, path, x):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return scaled * params[f"{path}.gamma"] + params[f"{path}.beta"]


def block(params, x, is_first):
    own = {
        k.replace("transformer1.look", "attention1"): a
        for k, a in params.items()
        if k.startswith("transformer1.look")
    }
    if any(k.startswith("attention1.attention1") for k in own):
        own = {k.replace("attention1.attention1", "attention1"): a for k, a in own.items()}

    def look(x):
        return attended(own, x, x, 2, True)

    def feed(x):
        hidden = np.maximum(dense(params, "transformer1.feed.dense1", x), 0)
        return dense(params, "transformer1.feed.dense2", hidden)

    def before(x):
        return normalized(params, "transformer1.before", x)

    def after(x):
        return normalized(params, "transformer1.after", x)

    if is_first:
        a = x + look(before(x))
        return a + feed(after(a))
    a = before(x + look(x))
    return after(a + feed(a))


WORDS = {
    "x -> rotary": lambda params, x, z: rotated(x),
    "x -> sinusoidal_positions": lambda params, x, z: with_waves(x),
    "x -> learned_positions": lambda params, x, z: (
        x + params["learned_positions1.weight"][: len(x)]
    ),
    "additive_attention(x, z; 5)": added,
    "x -> transformer(heads=2, causal=true, activation=relu)": lambda params, x, z: block(
        params, x, True
    ),
    "x -> transformer(heads=2, causal=true, activation=relu, norm=after)": (
        lambda params, x, z: block(params, x, False)
    ),
}


@pytest.mark.parametrize("varies", VARIES)
@pytest.mark.parametrize("word", WORDS)
def test_what_belongs_to_attention_is_its_formula(word, varies):
    body = f"let y0 = {word}  let y = y0 -> dense(8)"
    net = specc.compile(
        specc.loads(text_of(body, varies)), batch=3, seed=0, threads=1, dtype="float64"
    )
    rng = np.random.default_rng(1)
    net.set_params({k: rng.normal(size=a.shape) / 2 for k, a in net.params.items()})
    data = examples(3, varies)
    found = net.forward(**{k: a for k, a in data.items() if k != "t0"})["y"]
    for each in range(3):
        steps = data["x.length"][each] if "x" in varies else 6
        others = data["z.length"][each] if "z" in varies else 5
        made = WORDS[word](net.params, data["x"][each, :steps], data["z"][each, :others])
        np.testing.assert_allclose(
            found[each, :steps], dense(net.params, "dense1", made), rtol=1e-9, atol=1e-10
        )


def test_parameters_are_named_as_documented():
    net = compiled("memory", "")
    shapes = {k: a.shape for k, a in net.params.items() if k.startswith("attention1")}
    assert shapes == {
        "attention1.query.weight": (8, 8),
        "attention1.query.bias": (8,),
        "attention1.key.weight": (8, 3),
        "attention1.key.bias": (8,),
        "attention1.value.weight": (8, 3),
        "attention1.value.bias": (8,),
        "attention1.out.weight": (8, 8),
        "attention1.out.bias": (8,),
    }


def test_heads_must_divide_the_vectors():
    text = text_of("let y = x -> attention(heads=3)", "")
    with pytest.raises(specc.SpecError, match="8 elements"):
        specc.loads(text)
