"""Sequences that a model generates from its inputs: a caption for a picture, a translation.

    read = targets_read(ports, ("picture", "name", "name.length"))      # [Port("name", ..)]
    found = decode(net.predict, read, ports, {"picture": Column(x)})    # {"name": int32 [n, steps]}

Such a model reads its own target one time step late (`previous(name)`), and scores the symbols that
may come next. Here the symbols generated so far take the target's place, step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from specc.recipe import Column, Port

# Gives the scores at a time step, float [n, classes], from the step's index and the previous
# symbols, int32 [n].
Scores = Callable[[int, np.ndarray], np.ndarray]


class Beginnings(NamedTuple):
    """The first symbols of each example, int32 [n, steps], and their numbers, int [n]."""

    symbols: np.ndarray
    counts: np.ndarray


def targets_read(ports: Iterable[Port], needed: Iterable[str]) -> list[Port]:
    """Return the targets that a model generates: sequences of classes that its outputs read.

    `needed` has the names of the ports that the outputs depend on.
    """
    needed = set(needed)
    return [
        port
        for port in ports
        if port.role == "target"
        and port.name in needed
        and port.kind == "class"
        and port.sequence is not None
        and len(port.shape) == 1
    ]


def decode(
    predict: Callable[[Mapping[str, Column]], dict[str, np.ndarray]],
    targets: list[Port],
    ports: Iterable[Port],
    data: Mapping[str, Column],
    temperature: float = 0.0,
    seed: int = 0,
    ends: Mapping[str, int] | None = None,
    step_by_step: Callable[[Port, Mapping[str, Column]], Scores | None] | None = None,
    beginnings: Mapping[str, Beginnings] = {},
) -> dict[str, np.ndarray]:
    """Return the generated symbols of each example: int32 [n, steps] by the target's name.

    `predict` runs all time steps for each symbol. `step_by_step` returns a function that scores one
    time step of a target, or None if the model does not allow that.

    With `temperature` 0 the most likely symbol is taken at each step; otherwise one is drawn with
    probability softmax(scores / temperature). `ends` has the symbol that ends the texts of a
    target: once all examples have reached it, the remaining steps stay 0. `beginnings` has the
    first symbols of some targets. Raises ValueError if no output scores the symbols of a target.
    """
    random = np.random.Generator(np.random.Philox(seed))
    columns = [
        *(each.array for each in data.values()),
        *(each.counts for each in beginnings.values()),
    ]
    rows = len(columns[0])
    data, found = dict(data), {}
    for port in targets:
        found[port.name] = np.zeros((rows, *port.shape), np.int32)
        data[port.name] = Column(found[port.name])
    for port in ports:
        if port.length_of and port.name not in data:
            data[port.name] = Column(np.full(rows, port.class_count - 1, np.int32))
    for port in targets if rows else ():
        text, end = found[port.name], (ends or {}).get(port.name)
        given = beginnings.get(port.name, Beginnings(text, np.zeros(rows, int)))
        scores_at = step_by_step and step_by_step(port, data)
        for step in range(port.shape[0]):
            is_given = step < given.counts
            if scores_at is None and is_given.all():
                text[:, step] = given.symbols[:, step]
                continue
            if scores_at is None:
                scores = scores_of(port, predict(data))[:, step]
            else:
                scores = scores_at(step, text[:, max(step - 1, 0)])
            scores = scores.astype(np.float64)
            if temperature == 0:
                text[:, step] = scores.argmax(-1)
            else:
                text[:, step] = [draw(row, temperature, None, random) for row in scores]
            text[is_given, step] = given.symbols[is_given, step]
            if end is not None and (text[:, : step + 1] == end).any(axis=1).all():
                break
    return found


def scores_of(port: Port, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the output that scores a target's symbols at each step: [n, steps, classes]."""
    return outputs[scores_name(port, {name: array.shape[1:] for name, array in outputs.items()})]


def scores_name(port: Port, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Return the name of the output that scores a target's symbols, given the outputs' shapes.

    Raises ValueError if not exactly one output has the shape.
    """
    shape = *port.shape, port.classes
    fitting = [name for name, each in shapes.items() if each == shape]
    if len(fitting) != 1:
        which = f"any of the outputs {', '.join(fitting)} could be" if fitting else "no output is"
        raise ValueError(
            f"to generate `{port.name}` step by step, one output must score its"
            f" {port.classes} classes at each step, [{shape[0]}, {shape[1]}]; {which} that"
        )
    return fitting[0]


def first_scores(port: Port, shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """Return the first output that scores what follows each symbol of an input, if there is one."""
    shape = *port.shape, port.classes
    return next((name for name, each in shapes.items() if each == shape), None)


def draw(scores: np.ndarray, temperature: float, top: int | None, random) -> int:
    """Draw the index of a symbol with probability softmax(scores / temperature).

    With `top`, only the `top` most likely symbols can be drawn. With `temperature` 0 the result is
    the most likely symbol.
    """
    if temperature == 0:
        return int(scores.argmax())
    scores = scores / temperature
    if top is not None and top < len(scores):
        scores = np.where(scores >= np.partition(scores, -top)[-top], scores, -np.inf)
    weights = np.exp(scores - scores.max()).cumsum()
    return int(
        min(np.searchsorted(weights, random.random() * weights[-1], "right"), len(scores) - 1)
    )
