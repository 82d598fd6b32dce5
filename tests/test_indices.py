"""Formulas with indices: compiled values against plain NumPy and the interpreter, and gradients
against finite differences, in float64; float32 beside it."""

from __future__ import annotations

import numpy as np
import pytest
from pairs import in_turn

import specc
from benchmarks import formulas

sums = np.einsum


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def windows(x, u, v):
    """[n, c, h, w] -> [n, c, i, j, u, v]: plain slices."""
    rows, columns = x.shape[2] - u + 1, x.shape[3] - v + 1
    return np.stack(
        [
            np.stack([x[:, :, a : a + rows, b : b + columns] for b in range(v)], -1)
            for a in range(u)
        ],
        -2,
    )


# Inputs x [3, 7, 5], v [6], m [4, 6], label class(4), labels class(4)[5] as a plain axis, and
# parameters W [4, 3, 2, 3], A [5, 6], E [4, 3], b [5]: a formula, and its transcription.
CASES = {
    "let y[k] = sum(i: A[k, i] * v[i]) + b[k]": lambda d: d.v @ d.A.T + d.b,
    "let y[k, i, j] = sum(c, u, w: W[k, c, u, w] * x[c, i + u, j + w])": lambda d: sums(
        "kcuw,ncijuw->nkij", d.W, windows(d.x, 2, 3)
    ),
    "let y[k, i, j] = sum(c, u, w: W[k, c, u, w] * x[c, 2 * i + u, 2 * j + w])": lambda d: sums(
        "kcuw,ncijuw->nkij", d.W, windows(d.x, 2, 3)[:, :, ::2, ::2]
    ),
    "let y[c, i, j] = max(u in 0:2, w in 0:2: x[c, 2 * i + u, 2 * j + w])": lambda d: windows(
        d.x, 2, 2
    )[:, :, ::2, ::2].max((-1, -2)),
    "let y[c, i, j] = mean(u in 0:3, w in 0:2: x[c, i + u, j + w])": lambda d: windows(
        d.x, 3, 2
    ).mean((-1, -2)),
    "let y[r] = softmax(m[r])": lambda d: softmax(d.m),
    "let y[r] = softmax(v) * 2 + m[r]": lambda d: softmax(d.v)[:, None] * 2 + d.m,
    "let y[r, i] = softmax(i: m[r, i] * v[i])": lambda d: softmax(d.m * d.v[:, None]),
    "let y[r, i] = softmax(r: m[r, i])": lambda d: softmax(d.m, 1),
    "let y[r, i] = log_softmax(i: m[r, i])": lambda d: np.log(softmax(d.m)),
    "let y[r, i] = softmax(i; i <= r: m[r, i])": lambda d: softmax(
        np.where(np.arange(6) <= np.arange(4)[:, None], d.m, -np.inf)
    ),
    "let y[r, i] = softmax(i: if i <= r then m[r, i] else -inf)": lambda d: softmax(
        np.where(np.arange(6) <= np.arange(4)[:, None], d.m, -np.inf)
    ),
    "let y[i] = m[i, 3 - i]": lambda d: d.m[:, range(4), range(3, -1, -1)],
    "let y = sum(i in 0:3: m[i, 5 - i] * v[i])": lambda d: sums(
        "nii,ni->n", d.m[:, :3, :2:-1], d.v[:, :3]
    ),
    "let y[i in 0:2, j in 0:3] = m[i + j, i - j + 2]": lambda d: np.stack(
        [[d.m[:, i + j, i - j + 2] for j in range(3)] for i in range(2)]
    ).transpose(2, 0, 1),
    "let y[i] = sum(j <= i: v[j])": lambda d: d.v.cumsum(1),
    "let y[i] = sum(j < i: A[j, i] * b[j] * v[i])": lambda d: sums(
        "ji,j,ni->ni", np.where(np.arange(5)[:, None] < np.arange(6), d.A, 0), d.b, d.v
    ),
    "let y = mean(i, j; i != j: (v[i] - v[j]) ^ 2)": lambda d: (
        ((d.v[:, :, None] - d.v[:, None]) ** 2).sum((1, 2)) / 30
    ),
    "let y[i in 1:6] = v[i] - v[i - 1]": lambda d: np.diff(d.v),
    "let y[i] = v[5 - i] * (i + 1)": lambda d: d.v[:, ::-1] * np.arange(1, 7),
    "let y[i, j in 0:5] = x[i, j, j]": lambda d: sums("nijj->nij", d.x[:, :, :5]),
    "let y[j, i] = x[1, i, j] + x[-1, i, 2]": lambda d: (
        d.x[:, 1].transpose(0, 2, 1) + d.x[:, -1, :, 2][:, None]
    ),
    "let y[c, i, j in 0:10] = x[c, i // 2, j // 2] * (i + 1)": lambda d: (
        d.x.repeat(2, 2).repeat(2, 3) * np.arange(1, 15)[:, None]
    ),
    "let y[c, i, k] = sum(j in 0:4: A[k, j] * x[c, i, j // 2 + 2 * (j % 2)])": lambda d: sums(
        "kj,ncij->ncik", d.A[:, :4], d.x[:, :, :, [0, 2, 1, 3]]
    ),
    "let y[p in 0:6, k in 0:4] = x[0, 2 * (p // 2) + k // 2, 2 * (p % 2) + k % 2]": lambda d: (
        d.x[:, 0, :6, :4].reshape(-1, 3, 2, 2, 2).transpose(0, 1, 3, 2, 4).reshape(-1, 6, 4)
    ),
    "let y[k in 0:6, i, j in 0:4] = sum(c in 0:2, u in 0:2: W[k % 3, c, u, 0]"
    " * m[2 * (k // 3) + c, i + u] * v[j])": lambda d: sums(
        "kcu,nkciu,nj->nkij",
        d.W[[0, 1, 2] * 2, :2, :, 0],
        np.stack(
            [
                d.m[:, 2 * (k // 3) :][:, :2][:, :, [[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]]]
                for k in range(6)
            ],
            1,
        ),
        d.v[:, :4],
    ),
    "let o[i, j] = m[i, 0] * m[j, 1]  let y[p, q] = o[labels[p], labels[q]]": lambda d: (
        np.take_along_axis(d.m[..., 0], d.labels, 1)[:, :, None]
        * np.take_along_axis(d.m[..., 1], d.labels, 1)[:, None]
    ),
    "let y[i] = x[:, i, 1:3]": lambda d: d.x[:, :, :, 1:3].transpose(0, 2, 1, 3),
    "let y[k] = E[label, k] + E[2, k]": lambda d: d.E[d.label] + d.E[2],
    "let y[p, k] = E[labels[p], k]": lambda d: d.E[d.labels],
    "let y[p in 0:5] = m[labels[p], p]": lambda d: np.take_along_axis(
        d.m[:, :, :5], d.labels[:, None], 1
    )[:, 0],
    "let y[c] = if label == c then v[c] else 0": lambda d: (d.label[:, None] == np.arange(6)) * d.v,
    "let y[r] = dense(m[r]; 3)": lambda d: d.m @ d["dense1.weight"].T + d["dense1.bias"],
    "let y[r, i] = tanh(m[r, i]) ^ 2 / (1 + r)": lambda d: (
        np.tanh(d.m) ** 2 / np.arange(1, 5)[:, None]
    ),
    "let y[p, q] = sum(i: m[p, i] * m[q, i]) / sqrt(6)": lambda d: (
        sums("npi,nqi->npq", d.m, d.m) / 6**0.5
    ),
    "let y[p] = norm(i: m[p, i])": lambda d: np.linalg.norm(d.m, axis=-1),
    "let y[p] = logsumexp(i: m[p, i])": lambda d: np.log(np.exp(d.m).sum(-1)),
    "let y[p] = min(i: m[p, i]) * max(i; i > 1: m[p, i])": lambda d: (
        d.m.min(-1) * d.m[:, :, 2:].max(-1)
    ),
    "let y[p] = prod(i: m[p, i])": lambda d: d.m.prod(-1),
    "let y[p] = prod(i in 0:5: m[p, i + 1])": lambda d: d.m[:, :, 1:].prod(-1),
    "let y[p in 0:4] = if any(i: m[p, i] > 1) then v[p] else -v[p]": lambda d: np.where(
        (d.m > 1).any(-1), d.v[:, :4], -d.v[:, :4]
    ),
    "let y[p in 0:4] = if all(i; i < 2: m[p, i] > -1) then v[p] else 0": lambda d: np.where(
        (d.m[:, :, :2] > -1).all(-1), d.v[:, :4], 0
    ),
    "let best[p] = argmax(i: m[p, i])"
    "  let y[p in 0:4, k] = if best[p] == k then v[k] else v[p]": lambda d: np.where(
        d.m.argmax(-1)[:, :, None] == np.arange(6), d.v[:, None], d.v[:, :4, None]
    ),
    "let best[p] = argmin(i; i != 0: m[p, i])  let y[p] = v[best[p]]": lambda d: np.take_along_axis(
        d.v, d.m[:, :, 1:].argmin(-1) + 1, 1
    ),
    "let y = concat(h in 0:3: dense(v; 2))": lambda d: np.concatenate(
        [d.v @ d[f"dense{h}.weight"].T + d[f"dense{h}.bias"] for h in (1, 2, 3)], 1
    ),
    "let y = concat(h in 1:4: v[h] * h)": lambda d: d.v[:, 1:4] * [1, 2, 3],
    "let y[k in 0:4, i, j in 0:4]"
    " = sum(c, w in 0:2: W[k, c, 0, w] * x[c, i, j + w] * v[k] * b[j])": lambda d: sums(
        "kcw,ncijw,nk,j->nkij",
        d.W[:, :, 0, :2],
        windows(d.x, 1, 2)[..., 0, :],
        d.v[:, :4],
        d.b[:4],
    ),
    "let y[i] = sum(u in 0:3: v[i - u + 2] * b[u])": lambda d: sums(
        "niu,u->ni", np.stack([d.v[:, 2 - u : 6 - u] for u in range(3)], -1), d.b[:3]
    ),
    "let y[h in 0:2, i in 0:3] = v[3 * h + i]": lambda d: d.v.reshape(-1, 2, 3),
    "let y[p, q] = sum(h in 0:2, i in 0:3: m[p, 3 * h + i] * m[q, 3 * h + i])": lambda d: sums(
        "npi,nqi->npq", d.m, d.m
    ),
    "let y[p] = layernorm(m[p])": lambda d: (
        (d.m - d.m.mean(-1, keepdims=True))
        / np.sqrt(d.m.var(-1, keepdims=True) + 1e-5)
        * d["layernorm1.gamma"]
        + d["layernorm1.beta"]
    ),
    "let y[p] = dense(softmax(m[p]); 3) -> relu": lambda d: np.maximum(
        softmax(d.m) @ d["dense1.weight"].T + d["dense1.bias"], 0
    ),
    "let y[c] = max(x[c])": lambda d: d.x.max((2, 3)),
    "let y[p] = sum(i: sum(q: m[q, i]) * m[p, i])": lambda d: sums("nqi,npi->np", d.m, d.m),
    "let y[p] = v @ m[p]": lambda d: sums("ni,npi->np", d.v, d.m),
    "let y = sum(i: v[i]) / mean(i: v[i] ^ 2)": lambda d: d.v.sum(1) / (d.v**2).mean(1),
}


class Data(dict):
    __getattr__ = dict.__getitem__


def text_of(formula):
    return f"""
model m {{
  input x: float[3, 7, 5]
  input v: float[6]
  input m: float[4, 6]
  input label: class(4)
  input labels: class(4)[5]
  param W: float[4, 3, 2, 3] = xavier
  param A: float[5, 6] = xavier
  param E: float[4, 3] = xavier
  param b: float[5] = 0
  {formula}
  output y
  let all = sum(x) + sum(v) + sum(m) + sum(W) + sum(A) + sum(E) + sum(b)
  loss sum(sin(y) + 0.1 * y * y) + 0 * all
}}
train {{ optimizer sgd(lr = 0.1) }}"""


def examples(count, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "x": rng.normal(size=(count, 3, 7, 5)),
        "v": rng.normal(size=(count, 6)),
        "m": rng.normal(size=(count, 4, 6)),
        "label": rng.integers(0, 4, count),
        "labels": rng.integers(0, 4, (count, 5)),
    }


def compiled(formula, **options):
    program = specc.loads(text_of(formula))
    net = specc.compile(program, seed=0, **{"dtype": "float64", "batch": 19, **options})
    rng = np.random.default_rng(1)
    net.set_params({k: rng.normal(size=a.shape) for k, a in net.params.items()})
    return net


@pytest.mark.parametrize(("formula", "threads"), in_turn(CASES, [2, 1]))
def test_a_formula_gives_what_its_transcription_gives_and_its_gradients(formula, threads):
    net = compiled(formula, threads=threads)
    for count in (1, 3, 19):
        data = examples(count)
        wanted = CASES[formula](Data({**data, **net.params}))
        found = net.forward(**data)["y"]
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)
    # the gradients are finite differences
    data = examples(3)
    _, grads = net.loss_and_gradients(**data)
    rng = np.random.default_rng(2)
    params = {k: a.copy() for k, a in net.params.items()}
    step = {k: rng.normal(size=a.shape) for k, a in params.items()}
    values = []
    for sign in (1, -1):
        net.set_params({k: a + sign * 1e-6 * step[k] for k, a in params.items()})
        values.append(net.loss_and_gradients(**data)[0])
    slope = sum((grads[k] * step[k]).sum() for k in params)
    assert (values[0] - values[1]) / 2e-6 == pytest.approx(slope, rel=1e-6, abs=1e-6)
    for name in ("x", "v", "m"):
        found = net.gradients(of="loss", by=name, **data)
        way = rng.normal(size=found.shape)
        net.set_params(params)
        ends = [
            net.loss_and_gradients(**{**data, name: data[name] + s * 1e-6 * way})[0]
            for s in (1, -1)
        ]
        slope = (net.gradients(of="loss", by=name, **data) * way).sum() / 3
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(slope, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", [each for each in formulas.PAIRS if each != "cross_entropy"])
def test_a_formula_becomes_the_plan_of_its_word(name):
    pair = formulas.PAIRS[name]
    assert formulas.plan(pair.text(pair.formula)) == formulas.plan(pair.text(pair.word))


WORDS = {
    "fn gram(z: float[n]) { let g[i, j] = z[i] * z[j] return g }": (
        "let y[r] = gram(x[0, r])",
        lambda x: sums("nri,nrj->nrij", x[:, 0], x[:, 0]),
    ),
    "fn smooth(z: float[steps, n]) { let y[t, i] = z[t, i] + mean(u: z[u, i]) return y }": (
        "let y[r] = smooth(x[:, r])",
        lambda x: x + x.mean(1, keepdims=True),
    ),
    "fn final(z: float[n]) = 2 * last(z)": (
        "let y[r] = final(x[:, r]) + mean(x[:, r]; over=time)",
        lambda x: 2 * x[:, -1] + x.mean(1),
    ),
    "fn same(z: float[n]) = z": (
        "let y[t in 0:4, c] = sum(u: W[c, u] * x[t + u, c, 0])",
        lambda x: x[:, :4, :, 0] + 2 * x[:, 1:5, :, 0] + 3 * x[:, 2:6, :, 0],
    ),
}


@pytest.mark.parametrize("word", WORDS)
def test_words_are_applied_for_each_value_of_an_index(word):
    formula, wanted = WORDS[word]
    text = f"""seq time = 6
    {word}
    model m {{
      # allow: unused
      input x: float[time, 2, 3]
      param W: float[2, 3] = 1
      {formula}
      output y
      loss sum(W) + mean(sum(x); over=time)
    }}
    train {{ optimizer sgd(lr = 0.1) }}"""
    net = specc.compile(specc.loads(text), batch=4, dtype="float64", threads=1)
    net.set_params({"W": np.array([[1.0, 2, 3], [1, 2, 3]])})
    x = np.random.default_rng(0).normal(size=(3, 6, 2, 3))
    np.testing.assert_allclose(net.forward(x=x)["y"], wanted(x), rtol=1e-10, atol=1e-12)
