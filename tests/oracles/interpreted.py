"""A formula of the language in the interpreter, beside a function of PyTorch.

@oracle("relu")
def _(rng):
    agrees("relu(x)", lambda t: F.relu(t["x"]), {"x": (3, 4)})
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from specc import driver, pipeline
from specc.backend.reference import evaluate
from specc.ops.peers import bind_batch
from specc.source import Source

ORACLES: dict[str, Callable[[np.random.Generator], None]] = {}
ROWS = 4
TOLERANCE = 1e-10


def oracle(*words: str):
    """Makes a function the oracle of words."""

    def note(check):
        for word in words:
            assert word not in ORACLES, word
            ORACLES[word] = check
        return check

    return note


def check(word: str, seed: int) -> None:
    ORACLES[word](np.random.default_rng(seed))


def size(rng, low: int = 1, high: int = 7) -> int:
    return int(rng.integers(low, high + 1))


def shape(rng, rank: int) -> tuple[int, ...]:
    return tuple(size(rng) for _ in range(rank))


def load(text: str):
    return driver.load(Source("oracle.dl", text))


def initial(program, rng=None, scale: float = 0.7) -> dict[tuple[str, str], np.ndarray]:
    """The parameters and states as they start; with `rng`, random parameters."""
    from specc.ir.graph import Graph

    leaves = {}
    for each in (*program.parameters, *program.states):
        kind = "param" if each in program.parameters else "state"
        value = evaluate(Graph({"v": each.initial}), {})["v"]
        leaves[kind, each.path] = np.broadcast_to(value, each.type.shape).astype(float)
        if rng is not None and kind == "param":
            leaves[kind, each.path] = rng.standard_normal(each.type.shape) * scale
    return leaves


def agrees(
    formula: str,
    wanted: Callable[[dict[str, torch.Tensor]], torch.Tensor],
    params: Mapping[str, tuple[int, ...]],
    rng,
    inputs: Mapping[str, str] = {},
    arrays: Mapping[str, np.ndarray] = {},
    before: str = "",
    given: Mapping[str, np.ndarray] = {},
    training: bool = True,
    tolerance: float = TOLERANCE,
) -> dict[str, np.ndarray]:
    """The value of a formula, and its gradient by all parameters, against `wanted`.

    `params` are the values x, y, ... without a batch, drawn at random unless `given`; `inputs`
    have a batch,
    and their `arrays` come with it. `wanted` gets all of them, and the parameters of layers, by
    their
    paths; its result is compared with the formula for each example. `before` declares the sequence
    `time`, if
    the result is one. Returns all values of the interpreter.
    """
    ports = (
        "".join(f" input {name}: {type_}" for name, type_ in inputs.items())
        or " input unused: float[]"
    )
    values = "".join(
        f" param {name}: float[{', '.join(map(str, sizes))}] = 0" for name, sizes in params.items()
    )
    start = f"{before} model m {{{ports}{values} let result = {formula}"
    found = load(f"{start} output result }}").outputs[0].node.type
    sizes = ", ".join(["time", *map(str, found.shape[1:])] if before else map(str, found.shape))
    program = load(
        f"{start} input weights_: float[{sizes}] output result loss sum(result * weights_) }}"
    )
    leaves = initial(program, rng)
    leaves |= {("param", name): np.asarray(value, float) for name, value in given.items()}
    leaves |= {("input", name): np.asarray(value) for name, value in arrays.items()}
    leaves["input", "unused"] = np.zeros(ROWS)
    weights = rng.standard_normal((ROWS, *found.shape))
    leaves["input", "weights_"] = weights
    leaves["weight_of_example", ""] = np.full(ROWS, 1 / ROWS)
    graph = pipeline.with_gradients(program)
    if not training:
        graph = pipeline.forward(program, training=False)
    interpreted = evaluate(bind_batch(graph, ROWS), leaves)

    tensors = {
        path: torch.tensor(value, requires_grad=kind == "param" and training)
        for (kind, path), value in leaves.items()
        if kind in ("param", "state", "input")
    }
    result = wanted(tensors).double()
    np.testing.assert_allclose(
        np.broadcast_to(interpreted["output.result"], result.shape),
        result.detach().numpy(),
        rtol=tolerance,
        atol=tolerance,
        err_msg=formula,
    )
    if not training:
        return interpreted
    steps = found.shape[0] if before else 1  # a loss of each step counts as their mean
    loss = (result * torch.tensor(weights)).sum() / (ROWS * steps)
    paths = [each.path for each in program.parameters]
    gradients = torch.autograd.grad(loss, [tensors[path] for path in paths], allow_unused=True)
    for path, gradient in zip(paths, gradients, strict=True):
        expected = np.zeros(tensors[path].shape) if gradient is None else gradient.numpy()
        np.testing.assert_allclose(
            np.broadcast_to(interpreted[f"gradient.{path}"], expected.shape),
            expected,
            rtol=tolerance,
            atol=tolerance,
            err_msg=f"{formula}: gradient of {path}",
        )
    return interpreted
