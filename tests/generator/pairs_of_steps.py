"""Programs in which the steps of a sequence meet those of another or of the same: attention and
what is like it.

program = pairs_of_steps(random.Random(1))
"""

from __future__ import annotations

import random

from .program import Program

SCORES = (
    "sum(i: q[t, i] * k[u, i])",
    "sum(i: q[t, i] * k[u, i]) / 1.7",
    "-sum(i: (q[t, i] - k[u, i]) ^ 2)",
    "sum(i: p[i] * tanh(q[t, i] + k[u, i]))",
)
PLACES = (
    "",
    "",
    " - 0.3 * abs(t - u)",
    " + slope * (t - u)",
    " + bias[t, u]",
    " + table[class(abs(t - u); classes=32)]",
)
CONDITIONS = ("", "", "u <= t", "t - u < 3", "u <= t and t - u < 4", "u == t or (t + u) % 2 == 0")
WEIGHTS = (
    "softmax(u: {s})",
    "softmax(u: {s})",
    "exp(0.2 * {s})",
    "sigmoid({s})",
    "max(0, {s}) ^ 2",
)


def pairs_of_steps(rng: random.Random) -> Program:
    """A program whose large values have an axis of steps twice."""
    steps, width = rng.choice((9, 12, 17)), rng.choice((1, 2))
    own = rng.random() < 0.7  # the steps of a sequence meet each other
    other = steps if own else rng.choice((9, 11))
    varying = "<= " if rng.random() < 0.3 else ""
    before = [f"seq time = {steps}"] + ([] if own else [f"seq steps = {other}"])
    lines = [f"input x: float[{varying}time, {width}]"]
    if not own:
        lines.append(f"input c: float[{varying}steps, {rng.choice((1, 2))}]")
    lines.append(f"let q = x -> dense({width})")
    memory = "x" if own else "c"
    lines.append(f"let k = {memory} -> dense({width})")
    lines.append(f"let v = {rng.choice(('k', f'({memory} -> dense({width}) -> tanh)'))}")
    lines += [f"param p: float[{width}] = normal", "param slope: float[] = 0.2"]
    lines += [f"param bias: float[{steps}, {other}] = normal", "param table: float[32] = normal"]
    name, lines = _meeting(rng, lines, own)
    lines.append(f"target y: float[{varying}time, {width}]")
    used = " ".join(lines)
    lines = [each for each in lines if not each.startswith("param") or _is_read(each, used)]
    train = ["optimizer sgd(lr = 0.1)", *rng.choice(([], [], ["recompute = true"]))]
    ends = [f"output {name}", f"loss l0 = mse({name}, y)"]
    return Program(tuple(before), tuple(lines), tuple(ends), tuple(train))


def _meeting(rng: random.Random, lines: list[str], own: bool) -> tuple[str, list[str]]:
    """Return the name of the result, and the lines with those that compute it."""
    place = rng.choice(PLACES)
    condition = rng.choice(CONDITIONS) if own else ""
    form = rng.choice(WEIGHTS)
    lines = [*lines, f"let s[t, u] = {rng.choice(SCORES)}{place}"]
    score = "s[t, u]"
    if condition:
        score = f"(if {condition} then {score} else {'-inf' if 'softmax' in form else '0'})"
    lines.append(f"let a[t, u] = {form.format(s=score)}")
    weight = rng.choice(("a[t, u]", "a[t, u]", "dropout(a[t, u]; rate=0.4)"))
    lines.append(f"let z[t, i] = sum(u: {weight} * v[u, i])")
    if rng.random() < 0.3 and own:  # once more, over the result
        lines.append("let b[t, u] = softmax(u: sum(i: z[t, i] * z[u, i]))")
        lines.append("let w[t, i] = sum(u: b[t, u] * z[u, i]) + z[t, i]")
        return "w", lines
    return "z", lines


def _is_read(declaration: str, text: str) -> bool:
    name = declaration.split()[1].rstrip(":")
    return f"{name}[" in text or f"{name} *" in text
