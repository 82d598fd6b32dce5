"""Optimizers, end to end: compiled steps against the formulas of their papers, written in NumPy."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import specc
from specc import driver
from specc.frontend.syntax import ast
from specc.frontend.words import library
from specc.recipe import Column
from specc.source import Source

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((11, 3)), RNG.standard_normal((11, 2))
NETWORK = """model m {
  input x: float[3]
  target y: float[2]
  layer first = dense(4)
  layer second = dense(2)
  let z = second(tanh(first(x)))
  output z
  loss mse(z, y)
  loss penalty = 0.01 * l2(weights)
}
"""
PATHS = ("first.weight", "first.bias", "second.weight", "second.bias")


def compiled(train: str, threads: int = 1):
    program = driver.load(Source("x.dl", f"{NETWORK} train {{ {train} }}"))
    return specc.compile(
        program, batch=11, dtype="float64", threads=threads, shards=threads, seed=1
    )


def gradients(w: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The gradients of the network's loss, by hand."""
    h = np.tanh(X @ w["first.weight"].T + w["first.bias"])
    z = h @ w["second.weight"].T + w["second.bias"]
    dz = (z - Y) / len(X)  # of the mean of 1/2 sum (z - y)^2
    da = dz @ w["second.weight"] * (1 - h**2)
    return {
        "first.weight": da.T @ X + 0.02 * w["first.weight"],
        "first.bias": da.sum(0),
        "second.weight": dz.T @ h + 0.02 * w["second.weight"],
        "second.bias": dz.sum(0),
    }


# Each follows its paper: from the parameters w, step t = 1, 2, ..., and a memory to the next w.


def sgd(w, t, memory, lr=0.1):
    g = gradients(w)
    return {p: w[p] - lr * g[p] for p in w}


def momentum(w, t, memory, lr=0.1, mu=0.9):  # Polyak 1964
    g = gradients(w)
    for p in w:
        memory["v", p] = mu * memory.get(("v", p), 0) - lr * g[p]
    return {p: w[p] + memory["v", p] for p in w}


def nesterov(w, t, memory, lr=0.1, mu=0.9):
    """Sutskever et al. 2013: v <- mu v - lr grad(theta + mu v), theta <- theta + v. The parameters
    that are kept are those where the gradient is taken, w = theta + mu v."""
    theta = memory.setdefault("theta", w)
    v = memory.get("v") or {p: np.zeros_like(w[p]) for p in w}
    g = gradients({p: theta[p] + mu * v[p] for p in w})
    v = {p: mu * v[p] - lr * g[p] for p in w}
    memory["v"], memory["theta"] = v, {p: theta[p] + v[p] for p in w}
    return {p: memory["theta"][p] + mu * v[p] for p in w}


def sam(w, t, memory, lr=0.1, rho=0.05, mu=0.9):
    """Foret et al. 2021, algorithm 1, with equation 2 for p = 2, and momentum as in section 3."""
    g = gradients(w)
    length = np.sqrt(sum((d**2).sum() for d in g.values()))
    h = gradients({p: w[p] + rho * g[p] / length for p in w})
    for p in w:
        memory["v", p] = mu * memory.get(("v", p), 0) - lr * h[p]
    return {p: w[p] + memory["v", p] for p in w}


def adagrad(w, t, memory, lr=0.01, epsilon=1e-10):  # Duchi, Hazan and Singer 2011
    g = gradients(w)
    for p in w:
        memory[p] = memory.get(p, 0) + g[p] ** 2
    return {p: w[p] - lr * g[p] / (np.sqrt(memory[p]) + epsilon) for p in w}


def adadelta(w, t, memory, rho=0.95, epsilon=1e-6):  # Zeiler 2012, algorithm 1
    g, new = gradients(w), {}
    for p in w:
        eg, ed = memory.get(p, (0, 0))
        eg = rho * eg + (1 - rho) * g[p] ** 2
        dx = -np.sqrt(ed + epsilon) / np.sqrt(eg + epsilon) * g[p]
        memory[p] = eg, rho * ed + (1 - rho) * dx**2
        new[p] = w[p] + dx
    return new


def rmsprop(w, t, memory, lr=0.001, rho=0.9, epsilon=1e-8):  # Tieleman and Hinton 2012
    g = gradients(w)
    for p in w:
        memory[p] = rho * memory.get(p, 0) + (1 - rho) * g[p] ** 2
    return {p: w[p] - lr * g[p] / (np.sqrt(memory[p]) + epsilon) for p in w}


def adam(
    w, t, memory, lr=0.001, b1=0.9, b2=0.999, epsilon=1e-8, decay=0.0
):  # Kingma and Ba 2015, algorithm 1
    g, new = gradients(w), {}
    for p in w:
        m, v = memory.get(p, (0, 0))
        m, v = b1 * m + (1 - b1) * g[p], b2 * v + (1 - b2) * g[p] ** 2
        memory[p] = m, v
        mean, square = m / (1 - b1**t), v / (1 - b2**t)
        new[p] = w[p] - lr * mean / (np.sqrt(square) + epsilon) - lr * decay * w[p]
    return new


def adamw(w, t, memory, decay=0.01, lr=0.001):  # Loshchilov and Hutter 2019, algorithm 2
    return adam(w, t, memory, lr=lr, decay=decay)


def amsgrad(w, t, memory, lr=0.001, b1=0.9, b2=0.999, epsilon=1e-8):
    """Reddi, Kale and Kumar 2018, algorithm 2, with both averages corrected for their start."""
    g, new = gradients(w), {}
    for p in w:
        m, v, u = memory.get(p, (0, 0, 0))
        m, v = b1 * m + (1 - b1) * g[p], b2 * v + (1 - b2) * g[p] ** 2
        u = np.maximum(u, v)
        memory[p] = m, v, u
        new[p] = w[p] - lr * m / (1 - b1**t) / (np.sqrt(u / (1 - b2**t)) + epsilon)
    return new


def update_of_adafactor(x, g, t, memory, rho=0.01, e1=1e-30, e2=1e-3, d=1.0, decay=0.8):
    """Shazeer and Stern 2018, algorithms 4 (matrices) and 5 (vectors), with section 9's settings.

    A weight of more axes is a matrix here: its first axis, and all others.
    """
    n = len(x) if x.ndim > 1 else 1
    shape, x, g = x.shape, x.reshape(n, -1), g.reshape(n, -1)
    alpha = max(e2, np.sqrt((x**2).mean())) * min(rho, 1 / np.sqrt(t))
    beta = 1 - t**-decay
    if len(shape) > 1:
        ones = np.ones(x.shape)
        r, c = memory or (0, 0)
        r = beta * r + (1 - beta) * (g**2 + e1 * ones) @ ones[0]
        c = beta * c + (1 - beta) * ones[:, 0] @ (g**2 + e1 * ones)
        memory[:] = r, c
        v = np.outer(r, c) / (ones[:, 0] @ r)
    else:
        v = beta * (memory[0] if memory else 0) + (1 - beta) * (g**2 + e1)
        memory[:] = [v]
    u = g / np.sqrt(v)
    u = u / max(1, np.sqrt((u**2).mean()) / d)
    return (x - alpha * u).reshape(shape)


def adafactor(w, t, memory, **settings):
    g = gradients(w)
    return {p: update_of_adafactor(w[p], g[p], t, memory.setdefault(p, []), **settings) for p in w}


CASES = [
    ("sgd(lr=0.1)", sgd, {}),
    ("momentum(lr=0.1)", momentum, {}),
    ("momentum(lr=0.03, mu=0.5)", momentum, {"lr": 0.03, "mu": 0.5}),
    ("nesterov(lr=0.1)", nesterov, {}),
    ("sam(lr=0.1)", sam, {}),
    ("sam(lr=0.2, rho=0.5, mu=0)", sam, {"lr": 0.2, "rho": 0.5, "mu": 0}),
    ("adagrad()", adagrad, {}),
    ("adagrad(lr=0.3, epsilon=1e-3)", adagrad, {"lr": 0.3, "epsilon": 1e-3}),
    ("adadelta()", adadelta, {}),
    ("adadelta(rho=0.8, epsilon=1e-3)", adadelta, {"rho": 0.8, "epsilon": 1e-3}),
    ("rmsprop()", rmsprop, {}),
    ("rmsprop(lr=0.01, rho=0.5)", rmsprop, {"lr": 0.01, "rho": 0.5}),
    ("adam()", adam, {}),
    ("adam(lr=0.05, beta1=0.5, beta2=0.9)", adam, {"lr": 0.05, "b1": 0.5, "b2": 0.9}),
    ("amsgrad()", amsgrad, {}),
    ("amsgrad(lr=0.3, beta1=0.5, beta2=0.5)", amsgrad, {"lr": 0.3, "b1": 0.5, "b2": 0.5}),
    ("adafactor()", adafactor, {}),
    (
        "adafactor(lr=0.3, epsilon1=0.01, epsilon2=2, clip=0.5, decay=0.5)",
        adafactor,
        {"rho": 0.3, "e1": 0.01, "e2": 2, "d": 0.5, "decay": 0.5},
    ),
    ("adamw()", adamw, {}),
    ("adamw(lr=0.1, weight_decay=0.2)", adamw, {"lr": 0.1, "decay": 0.2}),
]


def test_every_optimizer_has_a_transcription():
    words = {w for w in library.words() if isinstance(library.lookup(w), ast.Optimizer)}
    assert words == {formula.__name__ for _, formula, _ in CASES}


@pytest.mark.parametrize(
    ("text", "formula", "settings"), CASES, ids=lambda each: each if isinstance(each, str) else ""
)
def test_twenty_steps_agree_with_the_paper_to_1e_10(text, formula, settings):
    net = compiled(f"optimizer {text}")
    w, memory = {path: array.copy() for path, array in net.params.items()}, {}
    for t in range(1, 21):
        net.step(x=X, y=Y)
        w = formula(w, t, memory, **settings)
    for path in PATHS:
        np.testing.assert_allclose(net.params[path], w[path], rtol=1e-10, atol=1e-10)


def test_the_largest_average_matters_to_amsgrad():
    net = compiled("optimizer amsgrad(lr=0.3, beta1=0.5, beta2=0.5)")
    w = {path: array.copy() for path, array in net.params.items()}
    other, memory = w, {}
    for t in range(1, 21):
        net.step(x=X, y=Y)
        other = adam(other, t, memory, lr=0.3, b1=0.5, b2=0.5)
    assert any(np.abs(net.params[path] - other[path]).max() > 1e-3 for path in PATHS)


RANKS = """model m {
  input x: float[3, 5, 5]
  target y: float[2]
  param scale: float = 1
  let z = scale * (x -> conv(4, kernel=3) -> relu -> flatten -> dense(2))
  output z
  loss mse(z, y)
} train { optimizer adafactor }"""


@pytest.mark.parametrize(("count", "threads"), [(1, 1), (3, 2), (37, 1), (37, 2)])
def test_adafactor_updates_weights_of_every_rank(count, threads):
    net = specc.compile(specc.loads(RANKS), batch=count, dtype="float64", threads=threads)
    rng = np.random.default_rng(2)
    given = {"x": rng.standard_normal((count, 3, 5, 5)), "y": rng.standard_normal((count, 2))}
    w = {path: array.copy() for path, array in net.params.items()}
    memory = {path: [] for path in w}
    for t in range(1, 8):
        found = net.loss_and_gradients(**given)[1]
        w = {p: update_of_adafactor(w[p], found[p], t, memory[p]) for p in w}
        net.step(**given)
        for path in w:
            np.testing.assert_allclose(net.params[path], w[path], rtol=1e-10, atol=1e-10)
    assert {path: array.shape for path, array in net.states.items()} == {
        "scale.r": (),
        "conv1.weight.r": (4,),
        "conv1.weight.c": (3, 3, 3),
        "conv1.bias.r": (4,),
        "dense1.weight.r": (2,),
        "dense1.weight.c": (36,),
        "dense1.bias.r": (2,),
    }


def test_adafactor_leaves_a_weight_without_a_gradient_as_it_is():
    """Rows and columns of zeros have averages of 1e-30, whose product float32 does not have."""
    text = """model m { input x: float[4] param W: float[3, 4] = normal param b: float[4] = 0
        loss sum((W @ (x + b)) ^ 2) } train { optimizer adafactor }"""
    net = specc.compile(specc.loads(text), batch=2, dtype="float32", threads=1)
    net.params["W"][1] = 0
    start = net.params["W"].copy()
    for _ in range(4):
        net.step(x=np.array([[1, 0, 2, 0], [3, 0, 1, 0]], np.float32))
    moved = net.params["W"] != start
    assert np.isfinite(net.params["W"]).all() and moved[[0, 2]][:, [0, 2]].all()
    assert not moved[1].any()


def trained(train: str, steps: int = 5, threads: int = 1):
    """The parameters at the start, and after some steps."""
    net = compiled(train, threads)
    start = {path: array.copy() for path, array in net.params.items()}
    for _ in range(steps):
        net.step(x=X, y=Y)
    return start, net.params


def test_each_group_has_its_own_optimizer():
    start, found = trained(
        "optimizer sgd(lr=0.1) optimizer momentum(lr=0.03, mu=0.5) for second.weight, first"
    )
    w, memory = start, {}
    for t in range(1, 6):
        plain, heavy = sgd(w, t, {}), momentum(w, t, memory, lr=0.03, mu=0.5)
        w = {p: plain[p] if p == "second.bias" else heavy[p] for p in w}
    for path in PATHS:
        np.testing.assert_allclose(found[path], w[path], rtol=1e-12)


def test_the_number_of_stale_epochs_reaches_the_schedule():
    net = compiled("optimizer sgd(lr = plateau(0.2; factor=0.5, patience=2))")
    w = {path: array.copy() for path, array in net.params.items()}
    data = {"x": Column(X), "y": Column(Y)}
    for t, (stale, lr) in enumerate([(0, 0.2), (1, 0.2), (2, 0.1), (3, 0.1), (4, 0.05)]):
        net.train(data, np.arange(len(X)), t, 1, 5, stale=stale)
        w = sgd(w, t, {}, lr=lr)
    for path in PATHS:
        np.testing.assert_allclose(net.params[path], w[path], rtol=1e-12)


def test_what_is_frozen_stays_and_the_rest_is_trained():
    start, found = trained("freeze first optimizer sgd(lr=0.1)")
    w = start
    for t in range(1, 6):
        w = {p: start[p] if p.startswith("first") else array for p, array in sgd(w, t, {}).items()}
    for path in PATHS:
        np.testing.assert_allclose(found[path], w[path], rtol=1e-12)
    np.testing.assert_array_equal(found["first.weight"], start["first.weight"])
    assert not np.allclose(found["second.weight"], start["second.weight"])


def clipped(g, trained, value=None, norm=None):
    """Pascanu, Mikolov and Bengio 2013."""
    g = {p: g[p] for p in trained}
    if value is not None:
        g = {p: np.clip(d, -value, value) for p, d in g.items()}
    if norm is not None:
        length = np.sqrt(sum((d**2).sum() for d in g.values()))
        g = {p: d * min(1, norm / length) for p, d in g.items()}
    return g


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    "settings",
    [
        {"norm": 0.05},
        {"norm": 1e9},
        {"value": 0.02},
        {"value": 0.02, "norm": 0.05},
        {},
    ],
)
@pytest.mark.parametrize("frozen", [(), ("first",)])
def test_gradients_are_clipped(settings, frozen, threads):
    text = "".join(f" clip_{name} = {number}" for name, number in settings.items())
    start, found = trained(
        f"{'freeze first' if frozen else ''} optimizer sgd(lr=0.5) {text}", 3, threads
    )
    w = start
    paths = [p for p in PATHS if not p.startswith(tuple(frozen))] if frozen else PATHS
    for _ in range(3):
        g = clipped(gradients(w), paths, **settings)
        w = {p: w[p] - 0.5 * g[p] if p in g else w[p] for p in w}
    for path in PATHS:
        np.testing.assert_allclose(found[path], w[path], rtol=1e-12, atol=1e-14)


def test_a_gradient_of_zero_is_not_divided_by_its_norm():
    program = driver.load(
        Source(
            "x.dl",
            """model m { input x: float[2] param w: float[2] = 1 output w * x
        loss sum(w * x) } train { optimizer sgd(lr=1) clip_norm = 1 }""",
        )
    )
    net = specc.compile(program, batch=4, dtype="float64", threads=1)
    net.step(x=np.zeros((4, 2)))
    np.testing.assert_array_equal(net.params["w"], [1, 1])
    net.step(x=np.full((4, 2), 30.0))
    np.testing.assert_allclose(net.params["w"], 1 - np.sqrt([0.5, 0.5]))


@pytest.mark.parametrize("text", ["clip_norm = 0", "clip_value = -1", 'clip_norm = "a"'])
def test_a_bound_that_is_not_above_zero_is_refused(text):
    with pytest.raises(specc.SpecError) as caught:
        compiled(f"optimizer sgd(lr=1) {text}")
    assert [each.name for each in caught.value.diagnostics] == ["bad-setting"]


RULE = """{rule} model m {{ input x: float[4]
        let y = x -> dense(4, bias=false) -> dense(4, bias=false) -> dense(3)
    output y loss l2(y) }} train {{ optimizer own(lr = {lr}) }}"""


def steps_of(rule: str, lr: float, count: int):
    """The weights before each of some steps, and their gradients."""
    program = driver.load(Source("x.dl", RULE.format(rule=rule, lr=lr)))
    net = specc.compile(program, batch=5, dtype="float64", threads=1)
    x = np.random.default_rng(0).standard_normal((5, 4))
    found = []
    for _ in range(count):
        found.append(
            (
                {path: array.copy() for path, array in net.params.items()},
                net.loss_and_gradients(x=x)[1],
            )
        )
        net.step(x=x)
    return found


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("step % 2 == 0", [True, False, True, False]),
        ("not (step < 2)", [False, False, True, True]),
        ("step >= 1 and step < 3", [False, True, True, False]),
        ("lr < 1", [True] * 4),
    ],
)
def test_a_rule_may_depend_on_the_step_by_a_condition(condition, holds):
    rule = f"optimizer own(w, g; lr) {{ next w = if {condition} then w - lr * g else w }}"
    found = steps_of(rule, 0.1, len(holds) + 1)
    for moves, (before, gradient), (after, _) in zip(holds, found, found[1:], strict=False):
        for path, array in before.items():
            np.testing.assert_allclose(
                after[path], array - 0.1 * moves * gradient[path], rtol=1e-12, atol=1e-14
            )


def test_a_state_may_become_what_the_step_alone_says():
    rule = "optimizer own(w, g; lr) { state n = 0 next n = 2 * step next w = w - lr * g * n }"
    text = f"""{rule} model m {{ input x: float[] param w: float[] = 1 loss x * w }}
        train {{ optimizer own(lr = 0.1) }}"""
    net = specc.compile(specc.load(Source("m.dl", text)), batch=1, dtype="float64", threads=1)
    for _ in range(4):
        net.step(x=[1.0])
    used = [0, 2 * 0, 2 * 1, 2 * 2]
    assert float(net.params["w"]) == pytest.approx(1 - 0.1 * sum(used))


def test_each_parameter_has_random_numbers_of_its_own():
    found = steps_of("optimizer own(w, g; lr) { next w = w - lr * g + normal(w) }", 0, 3)
    draws = [
        after[path] - before[path] for (before, _), (after, _) in pairwise(found) for path in before
    ]
    numbers = np.concatenate([each.ravel() for each in draws]).round(9)
    assert len(np.unique(numbers)) == len(numbers) == 2 * (16 + 16 + 12 + 3)


def test_the_sizes_of_a_parameter_have_the_names_that_its_type_gives_them():
    rule = """optimizer own(w: float[n, m], g: float[n, m]; lr) { next w = w - lr / n * g / m }
        optimizer vector(w: float[n], g; lr) { next w = w - lr * g / n }"""
    program = driver.load(
        Source(
            "x.dl",
            rule
            + """ model m { input x: float[4] layer a = dense(5, bias=false)
        layer b = dense(3, bias=false) param c: float[3] = 0
        let y = b(a(x)) + c output y loss l2(y) }
        train { optimizer own(lr = 0.1) optimizer vector(lr = 0.1) for c }""",
        )
    )
    net = specc.compile(program, batch=5, dtype="float64", threads=1)
    x = np.random.default_rng(0).standard_normal((5, 4))
    before = {path: array.copy() for path, array in net.params.items()}
    _, gradient = net.loss_and_gradients(x=x)
    net.step(x=x)
    for path, array in before.items():
        np.testing.assert_allclose(
            net.params[path], array - 0.1 * gradient[path] / array.size, rtol=1e-12, atol=1e-14
        )


def test_a_cell_that_returns_its_old_state_is_trained():
    program = driver.load(
        Source(
            "x.dl",
            """seq time = 4 cell delayed(x: float[n]; units: int > 0) {
        state h: float[units] = 0 next h = tanh(dense(x; units)) return h }
        model m { input x: float[time, 3] let z = x -> delayed(2) output z loss l2(z) + sum(z) }
        train { optimizer sgd(lr = 0.1) }""",
        )
    )
    net = specc.compile(program, batch=5, dtype="float64", threads=1)
    x = np.random.default_rng(0).standard_normal((5, 4, 3))
    z = np.tanh(x[:, :3] @ net.params["delayed1.dense1.weight"].T)
    np.testing.assert_allclose(
        net.forward(x=x)["z"], np.concatenate([np.zeros((5, 1, 2)), z], 1), rtol=1e-12
    )
    before = net.params["delayed1.dense1.weight"].copy()
    _, gradients = net.loss_and_gradients(x=x)
    net.step(x=x)
    assert np.abs(gradients["delayed1.dense1.weight"]).min() > 0
    np.testing.assert_allclose(
        net.params["delayed1.dense1.weight"],
        before - 0.1 * gradients["delayed1.dense1.weight"],
        rtol=1e-12,
    )
