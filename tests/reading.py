"""Models that read a text, for tests of what they keep from step to step."""

HEAD = "seq time = 12 dim vocab = 5\n"


def model(body, blocks="", time="time"):
    return f"""{HEAD}{blocks}
    model m {{
      input  text: class(vocab)[{time}]
      target next_: class(vocab)[{time}]
      {body}
      output s
      loss cross_entropy(s, next_)
    }}"""


def looking(formulas):
    """A model with attention of its own: `formulas` make y of q, k and v [time, heads, m]."""
    return model(
        "let s = text -> embed(6) -> look -> dense(vocab)",
        f"""block look(x: float[time, n]; heads: int > 0 = 2) {{
          layer query = dense(n) layer key = dense(n) layer value = dense(n)
          let q = query(x) -> reshape(heads, n // heads)
          let k = key(x) -> reshape(heads, n // heads)
          let v = value(x) -> reshape(heads, n // heads)
          {formulas}
          return y -> flatten
        }}""",
    )


def weighed(formula):
    return looking(f"""let s[t, h, u] = sum(i: q[t, h, i] * k[u, h, i])
      let a[t, h, u] = softmax(u: {formula})
      let y[t, h, i] = sum(u: a[t, h, u] * v[u, h, i])""")


def over_rows(formulas):
    return model(
        "let s = text -> embed(6) -> mixed -> relu -> mixed -> dense(vocab)",
        f"block mixed(x: float[time, n]) {{ let z[i, t] = x[t, i] {formulas} return y }}",
    )


# Each step depends on itself and earlier ones.
CAUSAL = {
    "attention": model("let s = text -> embed(6) -> attention(causal=true) -> dense(vocab)"),
    "varying length": model(
        "let s = text -> embed(6) -> attention(heads=2, causal=true) -> dense(vocab)",
        time="<= time",
    ),
    "two layers": model(
        "let s = text -> embed(6) -> learned_positions -> 2 * (transformer(causal=true))"
        " -> dense(vocab)"
    ),
    "rotary": model("""let s = text -> embed(6) -> sinusoidal_positions -> rotary
        -> transformer(heads=2, causal=true, norm=after) -> dense(vocab)"""),
    "sliding window": weighed("if 0 <= t - u and t - u < 4 then s[t, h, u] else -inf"),
    "every third": weighed("if u <= t and (t - u) % 3 == 0 then s[t, h, u] else -inf"),
    "alibi": weighed("if u > t then -inf else s[t, h, u] - 0.1 * (h + 1) * (t - u)"),
    "heads first": looking("""let s[h, t, u] = sum(i: q[t, h, i] * k[u, h, i])
      let a[h, t, u] = softmax(u: if u <= t then s[h, t, u] else -inf)
      let y[t, h, i] = sum(u: a[h, t, u] * v[u, h, i])"""),
    "masked by a factor": looking("""let s[t, h, u] = sum(i: q[t, h, i] * k[u, h, i])
      let y[t, h, i] = sum(u: s[t, h, u] * (if u <= t then 1 else 0) * v[u, h, i])"""),
    "linear attention": looking("""let s[t, h, u] = sum(i: q[t, h, i] * k[u, h, i])
      let y[t, h, i] = sum(u <= t: s[t, h, u] * v[u, h, i]) / (t + 1)"""),
    "relative positions": model(
        "let s = text -> embed(6) -> look -> dense(vocab)",
        """block look(x: float[time, n]) {
          param B: float[2 * time - 1] = normal(std=1)
          let s[t, u] = sum(i: x[t, i] * x[u, i]) + B[t - u + time - 1]
          let a[t, u] = softmax(u: if u <= t then s[t, u] else -inf)
          let y[t, i] = sum(u: a[t, u] * x[u, i])
          return y
        }""",
    ),
    "additive": model(
        "let s = text -> embed(6) -> look -> dense(vocab)",
        """block look(x: float[time, n]) {
          layer query = dense(4) layer key = dense(4, bias=false)
          param v: float[4] = normal(std=1)
          let q = query(x)
          let k = key(x)
          let s[t, u] = sum(i: v[i] * tanh(q[t, i] + k[u, i]))
          let a[t, u] = softmax(u: if u <= t then s[t, u] else -inf)
          let y[t, i] = sum(u: a[t, u] * x[u, i])
          return y
        }""",
    ),
    "with cells": model("""let s = text -> embed(6) -> lstm(6) -> transformer(causal=true)
        -> gru(5) -> attention(causal=true) -> dense(vocab)"""),
    "the largest so far": model("""let e = text -> embed(6)
        let m[t, i] = max(u <= t: e[u, i]) let s = m -> dense(vocab)"""),
    "the mean so far": model("""let e = text -> embed(6)
        let m[t, i] = mean(u <= t: e[u, i]) let s = m -> dense(vocab)"""),
    "logsumexp": model("""let e = text -> embed(6)
        let m[t, i] = logsumexp(u <= t: e[u, i]) let s = m -> dense(vocab)"""),
}
# The same, from what a few steps leave: a text has no greatest length.
ENDLESS = {
    "earlier symbols": model("""let e = text -> embed(6)
        let s = concat(e, previous(e), previous(previous(e))) -> dense(vocab)"""),
    "convolution": over_rows("""param W: float[n, 3, n] = xavier
        let p = z -> pad(2, 0, axis=1)
        let y[t, k] = x[t, k] + sum(u in 0:3, i: W[k, u, i] * p[i, t + u])"""),
    "dilated convolution": over_rows("""let p = z -> pad(4, 0, axis=1)
        -> conv(n, kernel=3, dilation=2) let y[t, k] = x[t, k] + p[k, t]"""),
    "cell": model("let s = text -> embed(6) -> gru(5) -> dense(vocab)"),
}
# A step depends on later ones.
AHEAD = {
    "attention": model("let s = text -> embed(6) -> attention -> dense(vocab)"),
    "one step ahead": weighed("if u <= t + 1 then s[t, h, u] else -inf"),
    "not below": weighed("if u < t then -inf else s[t, h, u]"),
    "a mask that keeps a rest": looking("""let s[t, h, u] = sum(i: q[t, h, i] * k[u, h, i])
      let y[t, h, i] = sum(u: s[t, h, u] * (if u <= t then 1 else 0.1) * v[u, h, i])"""),
    "in reverse": model("let s = reverse(reverse(text -> embed(6)) -> gru(5)) -> dense(vocab)"),
    "the mean": model("""let e = text -> embed(6)
        let s = concat(e, along(mean(e; over=time); time)) -> dense(vocab)"""),
    "convolution": over_rows("""let p = z -> pad(3, 1, axis=1)
        -> conv(n, kernel=3, dilation=2) let y[t, k] = x[t, k] + p[k, t]"""),
    "the first symbol of all": model("""let e = text -> embed(6)
        let m[t, i] = e[t, i] * e[time - 1, i] let s = m -> dense(vocab)"""),
}
