"""A sequence of varying length on an axis that is not the first: each formula against its
transcription in plain NumPy, one example after the other, and against the interpreter; gradients
against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from model_files import random_examples
from pairs import in_turn
from sequences import interpreted, load

import specc
from specc import pipeline

SOURCE, PAST, TIME = 7, 6, 5
CELLS = """
cell looking(x: float[n], memory: float[m, s]; units: int > 0) {
  state h: float[units] = 0
  let q = dense(h; m)
  let p[u] = softmax(u: sum(i: q[i] * memory[i, u]))
  let c[i] = sum(u: p[u] * memory[i, u])
  let new = tanh(concat(x, h, c) -> dense(units))
  next h = new
  return new
}
cell covering(x: float[n], memory: float[n, s]) {
  state c: float[s] = 0
  let p[u] = softmax(u: sum(i: x[i] * memory[i, u]) - c[u])
  let c2[u] = c[u] + p[u]
  next c = c2
  return sum(u: p[u] * memory[:, u])
}
"""


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def dense(params, path, x):
    return x @ params[f"{path}.weight"].T + params[f"{path}.bias"]


def looked(params, path, x, memory, heads):
    q = dense(params, f"{path}.query", x)
    k, v = (dense(params, f"{path}.{name}", memory) for name in ("key", "value"))
    size = q.shape[1] // heads
    own = [slice(h * size, (h + 1) * size) for h in range(heads)]
    parts = [softmax(q[:, h] @ k[:, h].T / np.sqrt(size)) @ v[:, h] for h in own]
    return dense(params, f"{path}.out", np.concatenate(parts, 1))


def decoded(params, x, a):
    h, found = np.zeros(4), []
    for now in x:
        c = softmax(a @ dense(params, "looking1.dense1", h)) @ a
        h = np.tanh(dense(params, "looking1.dense2", np.concatenate([now, h, c])))
        found.append(h)
    return np.array(found)


def covered(params, x, a):
    c, found = np.zeros(len(a)), []
    for now in x:
        p = softmax(a @ now - c)
        c = c + p
        found.append(p @ a)
    return np.array(found) + dense(params, "dense1", x)


# Inputs a [<= source, 6] and b [<= past, 6], x [time, 6] with a fixed number of steps: formulas
# that make y, and its value of one example, of which a and b have their own steps.
CASES = {
    "a memory": (
        "let y = attention(x, a; heads=2)",
        lambda p, x, a, b: looked(p, "attention1", x, a, 2),
    ),
    "two memories": (
        "let y = attention(attention(x, a; heads=2), b; heads=3)",
        lambda p, x, a, b: looked(p, "attention2", looked(p, "attention1", x, a, 2), b, 3),
    ),
    "steps that vary": (
        "let y = attention(a, x)",
        lambda p, x, a, b: looked(p, "attention1", a, x, 1),
    ),
    "memories that vary": (
        "let y = attention(a, b)",
        lambda p, x, a, b: looked(p, "attention1", a, b, 1),
    ),
    "learned queries": (
        """param q: float[3, 6] = normal  let query[t in 0:slots, i] = q[t, i]
        let y = attention(query, a)""",
        lambda p, x, a, b: looked(p, "attention1", p["q"], a, 1),
    ),
    "queries that are a parameter": (
        "param q: float[slots, 6] = normal  let y = attention(q, a; heads=2)",
        lambda p, x, a, b: looked(p, "attention1", p["q"], a, 2),
    ),
    "positions of a parameter, which vary": (
        "param P: float[source, 6] = normal  let y = tanh(a + P)",
        lambda p, x, a, b: np.tanh(a + p["P"][: len(a)]),
    ),
    "a parameter of pairs, which vary": (
        """param w: float[source, source] = normal
        let p[t, u] = softmax(u: w[t, u] + a[u, 0])  let y[t, i] = sum(u: p[t, u] * a[u, i])""",
        lambda p, x, a, b: softmax(p["w"][: len(a), : len(a)] + a[:, 0]) @ a,
    ),
    "distances that choose, which vary": (
        """param K: float[source, 6] = normal
        let y[t, i] = sum(u <= t: K[class(t - u; classes=source), i] * a[u, i])""",
        lambda p, x, a, b: np.array(
            [sum(p["K"][t - u] * a[u] for u in range(t + 1)) for t in range(len(a))]
        ),
    ),
    "a step that a class chooses": (
        """param w: float[6] = normal  let best = argmax(u: sum(i: w[i] * a[u, i]))
        let k[u, i] = w[i] * a[u, i]  let y[i] = k[best, i] + sum(u: k[best, i] * k[u, i])""",
        lambda p, x, a, b: chosen(p["w"] * a),
    ),
    "queries by hand": (
        """param q: float[3, 6] = normal  let k = a -> dense(6)
        let s[j, u] = sum(i: q[j, i] * k[u, i]) / sqrt(6)  let p[j, u] = softmax(u: s[j, u])
        let y[j, i] = sum(u: p[j, u] * a[u, i])""",
        lambda p, x, a, b: softmax(p["q"] @ dense(p, "dense1", a).T / np.sqrt(6)) @ a,
    ),
    "a query": (
        """param q: float[6] = normal  let p[u] = softmax(u: sum(i: q[i] * a[u, i]))
        let y[i] = sum(u: p[u] * a[u, i])""",
        lambda p, x, a, b: softmax(a @ p["q"]) @ a,
    ),
    "reductions": (
        """param w: float = 1  let s[t, u] = w * sum(i: x[t, i] * a[u, i])
        let m[t] = max(u: s[t, u]) let n[t] = mean(u: s[t, u] ^ 2) let l[t] = logsumexp(u: s[t, u])
        let o[t] = norm(u: s[t, u]) let c[t] = mean(u; s[t, u] > 0: s[t, u])
        let y[t] = m[t] + n[t] + l[t] + o[t] + c[t]""",
        lambda p, x, a, b: reductions(p["w"] * x @ a.T),
    ),
    "the sequence last": (
        """param w: float[6] = normal  let f[i, u] = w[i] * a[u, i]
        let y[i, j] = sum(u: f[i, u] * tanh(f[j, u]))""",
        lambda p, x, a, b: (p["w"][:, None] * a.T) @ np.tanh(p["w"] * a),
    ),
    "two that meet": (
        """param w: float[6] = normal  let s[i, u, v] = w[i] * a[u, i] * b[v, i]
        let y[i] = sum(u, v: sigmoid(s[i, u, v]))""",
        lambda p, x, a, b: (1 / (1 + np.exp(-np.einsum("i,ui,vi->iuv", p["w"], a, b)))).sum((1, 2)),
    ),
    "some steps": (
        """param w: float = 1  let s[t, u] = w * sum(i: x[t, i] * a[u, i])
        let e = first(s) let f = last(s) let g = sum(s; over=time)
        let y = concat(sum(u: e[u]), sum(u: f[u] ^ 2), max(u: g[u]))""",
        lambda p, x, a, b: np.array(
            [
                (p["w"] * x[0] @ a.T).sum(),
                ((p["w"] * x[-1] @ a.T) ** 2).sum(),
                (p["w"] * x.sum(0) @ a.T).max(),
            ]
        ),
    ),
    "a cell that looks": (
        "let m[i, u] = a[u, i]  let y = looking(x, m; 4)",
        lambda p, x, a, b: decoded(p, x, a),
    ),
    "a state over a memory": (
        """let m[i, u] = a[u, i]  let c0[u] = 0 * a[u, 0]
        let y = covering(x, m, c=c0) + dense(x; 6)""",
        lambda p, x, a, b: covered(p, x, a),
    ),
}


def chosen(k):
    best = k.sum(1).argmax()
    return k[best] + k[best] * k.sum(0)


def reductions(s):
    e = np.exp(s).sum(-1)
    positive = np.where(s > 0, s, 0).sum(-1) / np.maximum((s > 0).sum(-1), 1)
    return s.max(-1) + (s**2).mean(-1) + np.log(e) + np.sqrt((s**2).sum(-1)) + positive


def text(name):
    shape = "float[<= source, 6]" if "vary" in name else None
    wanted = {
        "learned queries": "float[slots, 6]",
        "queries that are a parameter": "float[slots, 6]",
        "a step that a class chooses": "float[6]",
        "queries by hand": "float[3, 6]",
        "a query": "float[6]",
        "reductions": "float[time]",
        "the sequence last": "float[6, 6]",
        "two that meet": "float[6]",
        "some steps": "float[3]",
        "a cell that looks": "float[time, 4]",
    }
    return f"""seq source = {SOURCE} seq past = {PAST} seq time = {TIME} seq slots = 3 {CELLS}
    model m {{
      input a: float[<= source, 6]  input b: float[<= past, 6]  input x: float[time, 6]
      target t0: {shape or wanted.get(name, "float[time, 6]")}
      {CASES[name][0]}
      output y
      loss mse(y, t0) + 0 * (sum(mean(a; over=source)) + sum(mean(b; over=past)) + sum(last(x)))
    }}
    train {{ optimizer sgd(lr = 0.1) }}"""


def compiled(name, **options):
    net = specc.compile(load(text(name)), batch=5, **options)
    rng = np.random.default_rng(1)
    net.set_params({path: rng.normal(size=a.shape) / 2 for path, a in net.params.items()})
    return net


def own(data, name, each):
    return data[name][each, : data[f"{name}.length"][each]]


@pytest.mark.parametrize(("name", "threads"), in_turn(CASES, [1, 2]))
def test_a_formula_is_its_transcription(name, threads):
    for dtype, close in (("float64", 1e-10), ("float32", 2e-4)):
        net = compiled(name, threads=threads, dtype=dtype, shards=threads)
        for count in (1, 3, 9):
            data = random_examples(net.ports, count, count)
            given = {key: array for key, array in data.items() if key != "t0"}
            found = net.forward(**given)["y"]
            for each in range(count):
                x, a, b = data["x"][each], own(data, "a", each), own(data, "b", each)
                wanted = CASES[name][1](net.params, x, a, b)
                part = found[each, : len(a)] if "vary" in name else found[each]
                np.testing.assert_allclose(part, wanted, rtol=close, atol=close)


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_the_interpreter_and_of_finite_differences(name):
    net = compiled(name, threads=2, shards=2, dtype="float64")
    data = random_examples(net.ports, 9, 4)
    loss, gradients = net.loss_and_gradients(**data)
    wanted = interpreted(net.program, net, data, pipeline.with_gradients(net.program))
    assert loss == pytest.approx(wanted["loss"], rel=1e-10)
    for path, gradient in gradients.items():
        expected = wanted[f"gradient.{path}"]
        np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-10, err_msg=path)
    rng = np.random.default_rng(2)
    start = {path: array.copy() for path, array in net.params.items()}
    way = {path: rng.normal(size=array.shape) for path, array in start.items()}
    ends = []
    for sign in (1, -1):
        net.set_params({path: array + sign * 1e-6 * way[path] for path, array in start.items()})
        ends.append(net.loss_and_gradients(**data)[0])
    slope = sum((gradients[path] * way[path]).sum() for path in start)
    assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(slope, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize(
    ("formulas", "message"),
    [
        ("let m[i, u] = a[u, i]  output m", "an axis of this output runs over `source`"),
        ("let s[t, u] = x[t, 0] * a[u, 0]  let y = last(s)  output y", "an axis of this output"),
        ("let s[t, u] = x[t, 0] * a[u, 0]  let y = sum(s; over=time)  output y", "an axis of this"),
        ("let m[i, u] = a[u, i]  let y = along(m; time)  output y", "an axis of this output"),
        ("let m[i, u] = a[u, i]  let y = m -> flatten -> dense(3)  output y", "only formulas with"),
        ("let m[i, u] = a[u, i]  let y = seen(x, m)  output y", "an axis of this output"),
        ("let m[i, u] = a[u, i]  let y = kept(x, m)  output y", "whose length varies, and that of"),
        ("let m[i, u] = a[u, i]  output x  loss mean(m)", "only formulas with indices may read it"),
    ],
)
def test_steps_past_the_end_do_not_leak(formulas, message):
    cells = """
    cell seen(x: float[n], m: float[n, s]) {
      state c: float[n] = 0  let p[u] = sum(i: x[i] * m[i, u])  next c = x  return p
    }
    cell kept(x: float[n], m: float[n, s]) {
      state c: float[s] = 0  let p[u] = sum(i: x[i] * m[i, u])  next c = p  return sum(x)
    }"""
    with pytest.raises(specc.SpecError) as caught:
        specc.loads(
            f"seq source = 7 seq time = 5 {cells} model m {{ input a: float[<= source, 6]"
            f" input x: float[time, 6] {formulas} }}"
        )
    found = [each.message for each in caught.value.diagnostics]
    assert any(message in each for each in found), found
