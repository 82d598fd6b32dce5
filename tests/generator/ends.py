"""Losses, metrics, outputs and the `train` block of a random program."""

from __future__ import annotations

from .program import declared, names
from .writer import Value, Writer

ELEMENTWISE = (
    "mse({a}, {t})",
    "mae({a}, {t})",
    "huber({a}, {t})",
    "0.3 * mse({a}, {t})",
    "huber({a}, {t}; delta=0.3)",
    "sum(({a} - {t}) ^ 2)",
)
OF_SCORES = (
    "cross_entropy({a}, {t})",
    "cross_entropy({a}, {t}; smoothing=0.1)",
    "hinge({a}, {t})",
    "squared_hinge({a}, {t})",
)
OPTIMIZERS = (
    "sgd(lr = 0.1)",
    "momentum(lr = 0.05)",
    "nesterov(lr = 0.05, mu = 0.8)",
    "adagrad(lr = 0.1)",
    "adadelta",
    "rmsprop(lr = 0.01)",
    "adam(lr = 0.01)",
    "adamw(lr = 0.01)",
    "amsgrad(lr = 0.01)",
    "adafactor(lr = 0.1)",
    "sgd(lr = cosine(0.1, 0.01))",
    "adam(lr = 0.01 * (1 - progress), epsilon = 0.001)",
)
OWN = (
    "let u = 0.9 * s + 0.1 * g next s = u next w = w - lr * tanh(u)",
    "let u = 0.5 * s + g * g next s = u next w = w - lr * g / (1 + u)",
    "let u = g - 0.5 * s next s = u + 0.1 * w next w = 0.99 * w - lr * u",
    "let u = if g > s then g else 0.5 * s next s = u next w = w - lr * u / (1 + sum(abs(g)))",
    "let u = g / (0.1 + sqrt(mean(g * g))) next s = 0.5 * s + u next w = w - lr * sign(u + s)",
    "let u = s + g next s = u next w = if step < 1 then w - lr * u else w",
)


def needs(w: Writer, name: str) -> list[str]:
    """The statements that a value is computed by."""
    needed, found = {name}, []
    for line in reversed(w.lines):
        if needed & set(declared(line)):
            needed |= names(line)
            found.append(line)
    return found


def deepest(w: Writer, wanted=lambda _: True, any_kind: bool = False) -> Value | None:
    """Of a few values that are wanted, the one that most statements compute."""
    found = [each for each in w.values if wanted(each) and (any_kind or each.kind == "float")]
    if not found:
        return None
    return max(w.rng.choices(found[-8:], k=3), key=lambda each: len(needs(w, each.name)))


def trained(w: Writer, a: Value) -> Value:
    """The value, or its product with a parameter if no parameter takes part in it."""
    words = (
        "param ",
        "dense(",
        "conv",
        "embed(",
        "prelu(",
        "norm(",
        "rnn(",
        "lstm(",
        "gru(",
        "maxout(",
    )
    if any(word in line for line in needs(w, a.name) for word in words):
        return a
    if "-> c" in " ".join(needs(w, a.name)) and w.rng.random() < 0.5:
        return a
    p = w.param(a.shape)
    return w.let(f"{a.name} * {p.name}", a.shape, a)


def loss(w: Writer, axis: str) -> str | None:
    """The formula of a loss; adds the target that it needs. `axis` is that of a sequence, if
    any."""
    rng = w.rng
    a = trained(w, deepest(w, lambda each: each.batched) or deepest(w))
    kind = rng.randrange(10)
    own = axis if a.steps else ""
    if kind < 3 and a.batched:
        t = w.port("target", "float", a.shape, axis=own)
        return rng.choice(ELEMENTWISE).format(a=a.name, t=t.name)
    if kind < 5 and a.rank == 1 and a.shape[0] > 1 and a.batched:
        t = w.port("target", "class", (), a.shape[0], axis=own)
        return rng.choice(OF_SCORES).format(a=a.name, t=t.name)
    if kind == 5 and a.rank == 0 and a.batched and not a.steps:
        t = w.port("target", "bool", ())
        return f"binary_cross_entropy({a.name}, {t.name})"
    if kind == 6 and a.rank == 1 and not a.steps and (b := w.like(a)) is not None:
        if rng.random() < 0.5 and a.batched:
            t = w.port("target", "bool", ())
            return f"contrastive({a.name}, {b.name}, {t.name})"
        return rng.choice(
            (
                f"kl(softmax({a.name}), softmax({b.name}))",
                f"distance({a.name}, {b.name})",
                f"triplet({a.name}, {b.name}, tanh({a.name}))",
            )
        )
    if kind == 7 and a.rank == 1 and a.batched and not a.steps and "peers" not in w.off:
        t = w.port("target", "class", (), 2)
        return f"group({a.name}, {t.name})"
    return rng.choice(
        ("mean({a})", "sum(tanh({a}))", "0.1 * sum({a} * {a})", "l1({a})", "elastic({a})")
    ).format(a=a.name)


def ends(w: Writer, axis: str, small: bool) -> list[str]:
    """Outputs, losses and metrics."""
    rng, lines = w.rng, []
    outputs, losses = ((1,) * 7 + (2,),) * 2 if small else ((1, 1, 2), (1, 1, 1, 2))
    found = {deepest(w, lambda each: not each.crossing, True) for _ in range(rng.choice(outputs))}
    lines += sorted(f"output {each.name}" for each in found)
    if rng.random() < 0.95:
        written = [loss(w, axis) for _ in range(rng.choice(losses))]
        lines += [f"loss l{k} = {each}" for k, each in enumerate(written)]
        if rng.random() < 0.2 and (a := w.some(lambda each: each.batched and not each.crossing)):
            form = rng.choice(("mean({a})", "max({a}) > 0", "sum(abs({a}))"))
            lines.append(f"metric m0 = {form.format(a=a.name)}")
        if rng.random() < 0.15 and _has_weights(w):
            word = rng.choice(("0.1 * l2", "0.1 * l1", "elastic"))
            lines.append(f"loss penalty = {word}(weights)")
    return lines


def _has_weights(w: Writer) -> bool:
    layers = ("dense(", "conv", "embed(", "rnn(", "lstm(", "gru(")
    return any(line.startswith("let") and any(word in line for word in layers) for line in w.lines)


def train(w: Writer, has_loss: bool) -> list[str]:
    """The lines of a `train` block; none if nothing is to be trained."""
    rng = w.rng
    if not has_loss:
        return []
    lines = []
    if rng.random() < 0.25:
        bodies = OWN if "optimizer_step" not in w.off else OWN[:-1]
        w.before.append(
            "optimizer mine(w, g; lr) {\n  state s = 0\n  " + rng.choice(bodies) + "\n}"
        )
        lines.append("optimizer mine(lr = 0.1)")
    else:
        lines.append(f"optimizer {rng.choice(OPTIMIZERS)}")
    if rng.random() < 0.2:
        lines.append(rng.choice(("clip_norm = 0.5", "clip_value = 0.1", "clip_norm = 1e6")))
    if rng.random() < 0.1:
        lines.append("recompute = true")
    return lines
