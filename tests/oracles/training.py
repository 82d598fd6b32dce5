"""Oracles of optimizers, schedules and initial values."""

from __future__ import annotations

import numpy as np
import torch
from scipy import stats

from specc import pipeline
from specc.backend.reference import evaluate
from specc.ir.graph import Graph

from .interpreted import initial, load, oracle, shape, size

# Optimizers: some steps on a quadratic loss, beside PyTorch's.


def optimizer(word: str, settings: str, made) -> None:
    @oracle(word)
    def _(rng):
        w = shape(rng, 2)
        sizes = ", ".join(map(str, w))
        program = load(
            f"model m {{ input a: float[{sizes}] param w: float[{sizes}] = 1 let d = w - a output d"
            f" loss sum(d * d * d * d) + sum(d * d) }} train {{ optimizer {word}({settings}) }}"
        )
        leaves = initial(program, rng)
        for each in program.updates[0].states:
            value = evaluate(Graph({"v": each.initial}), {})["v"]
            leaves["state", each.path] = np.broadcast_to(value, each.type.shape).astype(float)
        a = rng.standard_normal(w)
        leaves |= {("input", "a"): a[None], ("weight_of_example", ""): np.ones(1)}
        lowered = pipeline.training_step(program)
        weight = torch.tensor(leaves["param", "w"], requires_grad=True)
        theirs = made([weight])
        for step in range(6):
            moments = {
                ("schedule", name): np.array(float(step if name == "step" else 0))
                for name in ("step", "epoch", "progress", "stale")
            }
            values = evaluate(lowered.settings, moments)
            leaves |= {("setting", name): value for name, value in values.items()}
            found = evaluate(lowered.graph, leaves)
            for kind, path in list(leaves):
                if f"{kind}.{path}" in found:
                    leaves[kind, path] = np.broadcast_to(
                        found[f"{kind}.{path}"], leaves[kind, path].shape
                    )

            def backward() -> None:
                d = weight - torch.tensor(a)
                (d**4).sum().add((d**2).sum()).backward()

            theirs.zero_grad()
            backward()
            if isinstance(theirs, SAM):
                theirs.step(backward)
            else:
                theirs.step()
            np.testing.assert_allclose(leaves["param", "w"], weight.detach(), rtol=1e-9, atol=1e-12)


optimizer("sgd", "lr = 0.01", lambda w: torch.optim.SGD(w, lr=0.01))
optimizer("momentum", "lr = 0.01, mu = 0.8", lambda w: torch.optim.SGD(w, lr=0.01, momentum=0.8))
optimizer(
    "nesterov",
    "lr = 0.01, mu = 0.8",
    lambda w: torch.optim.SGD(w, lr=0.01, momentum=0.8, nesterov=True),
)
optimizer("adagrad", "lr = 0.1, epsilon = 0.01", lambda w: torch.optim.Adagrad(w, lr=0.1, eps=0.01))
optimizer(
    "adadelta",
    "lr = 0.9, rho = 0.8, epsilon = 0.001",
    lambda w: torch.optim.Adadelta(w, lr=0.9, rho=0.8, eps=0.001),
)
optimizer(
    "rmsprop",
    "lr = 0.01, rho = 0.8, epsilon = 0.001",
    lambda w: torch.optim.RMSprop(w, lr=0.01, alpha=0.8, eps=0.001),
)
optimizer(
    "adam",
    "lr = 0.01, beta1 = 0.8, beta2 = 0.9, epsilon = 0.001",
    lambda w: torch.optim.Adam(w, lr=0.01, betas=(0.8, 0.9), eps=0.001),
)
optimizer(
    "amsgrad",
    "lr = 0.01, beta1 = 0.8, beta2 = 0.9, epsilon = 0.001",
    lambda w: torch.optim.Adam(w, lr=0.01, betas=(0.8, 0.9), eps=0.001, amsgrad=True),
)
optimizer(
    "adamw",
    "lr = 0.01, beta1 = 0.8, beta2 = 0.9, epsilon = 0.001, weight_decay = 0.1",
    lambda w: torch.optim.AdamW(w, lr=0.01, betas=(0.8, 0.9), eps=0.001, weight_decay=0.1),
)

optimizer(
    "adafactor",
    "lr = 0.4, epsilon2 = 0.01, decay = 0.6",
    lambda w: torch.optim.Adafactor(w, lr=0.4, beta2_decay=-0.6, eps=(1e-30, 0.01)),
)


class SAM:
    """Two passes around PyTorch's SGD, as in the implementation that most use for PyTorch."""

    def __init__(self, weights, rho: float, **settings):
        self.weights, self.rho = weights, rho
        self.base = torch.optim.SGD(weights, **settings)

    def zero_grad(self) -> None:
        self.base.zero_grad()

    def step(self, closure) -> None:
        with torch.no_grad():
            length = torch.stack([w.grad.norm() for w in self.weights]).norm() + 1e-12
            moves = [self.rho * w.grad / length for w in self.weights]
            for w, move in zip(self.weights, moves, strict=True):
                w += move
        self.zero_grad()
        closure()
        with torch.no_grad():
            for w, move in zip(self.weights, moves, strict=True):
                w -= move
        self.base.step()


optimizer(
    "sam",
    "lr = 0.01, rho = 0.2, mu = 0.8",
    lambda w: SAM(w, rho=0.2, lr=0.01, momentum=0.8),
)


# Schedules: the learning rate at each epoch, beside PyTorch's.

EPOCHS = 10


def rates(formula: str, stale=None) -> np.ndarray:
    """The learning rate in each epoch."""
    program = load(
        f"model m {{ input a: float[] param w: float[] = 1 loss w * a output w * a }}"
        f" train {{ optimizer sgd(lr = {formula}) }}"
    )
    epoch = np.arange(EPOCHS, dtype=float)
    given = {
        "step": epoch,
        "epoch": epoch,
        "progress": epoch / EPOCHS,
        "stale": 0 * epoch if stale is None else stale,
    }
    found = evaluate(
        pipeline.training_step(program).settings,
        {("schedule", name): value for name, value in given.items()},
    )
    (rate,) = (np.broadcast_to(value, EPOCHS) for value in found.values())
    return rate


def theirs(made, start: float = 0.5) -> np.ndarray:
    optimizer_ = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=start)
    scheduler, found = made(optimizer_), []
    for _ in range(EPOCHS):
        found.append(optimizer_.param_groups[0]["lr"])
        optimizer_.step()
        scheduler.step()
    return np.array(found)


def schedule(word: str, formula: str, made) -> None:
    @oracle(word)
    def _(rng):
        np.testing.assert_allclose(rates(formula), theirs(made), rtol=1e-12, atol=1e-15)


S = torch.optim.lr_scheduler
schedule(
    "ramp",
    "ramp(0.5, 0.1; over=4)",
    lambda o: S.LinearLR(o, start_factor=1.0, end_factor=0.2, total_iters=4),
)
schedule("step_decay", "step_decay(0.5; factor=0.3, every=3)", lambda o: S.StepLR(o, 3, 0.3))
schedule("exponential", "exponential(0.5; factor=0.8)", lambda o: S.ExponentialLR(o, 0.8))
schedule(
    "piecewise",
    "piecewise(0.5, piecewise(0.05, 0.005; at=7); at=3)",
    lambda o: S.MultiStepLR(o, [3, 7], 0.1),
)
schedule("cosine", "cosine(0.5, 0.1)", lambda o: S.CosineAnnealingLR(o, EPOCHS, 0.1))
schedule("warmup", "warmup(0.5; over=4)", lambda o: S.LambdaLR(o, lambda epoch: min(epoch / 4, 1)))


@oracle("plateau")
def _(rng):
    """PyTorch lowers the rate after more than `patience` epochs, and counts anew; `stale` does
    not."""
    patience = size(rng, 1, 3)
    optimizer_ = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    scheduler = S.ReduceLROnPlateau(optimizer_, factor=0.1, patience=patience - 1, min_lr=0, eps=0)
    scheduler.step(1.0)
    found = []
    for _ in range(EPOCHS):  # none of which brings an improvement
        found.append(optimizer_.param_groups[0]["lr"])
        scheduler.step(1.0)
    formula = f"plateau(0.5; factor=0.1, patience={patience})"
    np.testing.assert_allclose(rates(formula, np.arange(EPOCHS, dtype=float)), found, rtol=1e-12)


# Initial values.


def start(sizes, word: str, seed: int) -> np.ndarray:
    """The initial value of a parameter."""
    written = ", ".join(map(str, sizes))
    program = load(
        f"model m {{ input a: float[] param w: float[{written}] = {word} output a * sum(w) }}"
    )
    (parameter,) = program.parameters
    return np.broadcast_to(evaluate(Graph({"v": parameter.initial}), {}, seed)["v"], sizes)


def distributed(word: str, wanted) -> None:
    """A Kolmogorov-Smirnov test of 20,000 numbers against a distribution, which fails once in
    10^6."""

    @oracle(word)
    def _(rng):
        for sizes in ((100, 200), (50, 40, 2, 5)):
            found = start(sizes, word, int(rng.integers(1000)))
            assert stats.kstest(found.ravel(), wanted(torch.empty(sizes)).cdf).pvalue > 1e-6


def _fans(weight: torch.Tensor) -> tuple[int, int]:
    return torch.nn.init._calculate_fan_in_and_fan_out(weight)


distributed(
    "he", lambda w: stats.norm(0, torch.nn.init.calculate_gain("relu") / _fans(w)[0] ** 0.5)
)
distributed("lecun", lambda w: stats.norm(0, 1 / _fans(w)[0] ** 0.5))


def _xavier(weight: torch.Tensor):
    bound = (6 / sum(_fans(weight))) ** 0.5
    return stats.uniform(-bound, 2 * bound)


distributed("xavier", _xavier)


@oracle("zeros", "ones", "constant", "identity")
def _(rng):
    sizes = shape(rng, 2)
    w = torch.empty(sizes, dtype=torch.float64)
    np.testing.assert_array_equal(start(sizes, "zeros", 0), torch.nn.init.zeros_(w))
    np.testing.assert_array_equal(start(sizes, "ones", 0), torch.nn.init.ones_(w))
    np.testing.assert_array_equal(
        start(sizes, "constant(value=0.3)", 0), torch.nn.init.constant_(w, 0.3)
    )
    np.testing.assert_array_equal(
        start(sizes, "identity(scale=0.5)", 0), 0.5 * torch.nn.init.eye_(w)
    )


@oracle("recurrent")
def _(rng):
    """The columns for the input, and those for the state, with an initial value each."""
    units, inputs = size(rng, 2, 5), size(rng)
    word = f"recurrent(units={units}, init=constant(0.25), recurrent_init=orthogonal)"
    found = start((units, inputs + units), word, int(rng.integers(1000)))
    np.testing.assert_array_equal(found[:, :inputs], 0.25)
    state = found[:, inputs:]
    np.testing.assert_allclose(state @ state.T, np.eye(units), atol=1e-10)


@oracle("gate_bias")
def _(rng):
    units, gates = size(rng), size(rng, 2, 4)
    gate = size(rng, 0, gates - 1)
    found = start((gates * units,), f"gate_bias(value=1.5, gate={gate}, gates={gates})", 0)
    wanted = torch.zeros(gates, units, dtype=torch.float64)
    wanted[gate] = 1.5
    np.testing.assert_array_equal(found, wanted.flatten())
