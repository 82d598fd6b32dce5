"""Predictions for people: the names of classes and their probabilities, a row for each example.

    meanings(program)                          # {"scores": Meaning(label, "scores")}
    table = answers(program, encoding, {"scores": scores})
    table["label"]                             # ["rose", "aster", ...]
    table["label_rose"], table["label_aster"]  # probabilities

What an output means follows from the losses: the target that it is compared with, and how.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from specc.ir.graph import Node, topological
from specc.ir.program import Program, Term
from specc.ops.leaf import Input
from specc.recipe import Port
from specc.runtime.encoding import Encoding

GIVES_PROBABILITIES = ("softmax", "sigmoid")
TAKES_SCORES = ("cross_entropy", "weighted_cross_entropy", "binary_cross_entropy", "focal")


@dataclass(frozen=True)
class Meaning:
    """The target that an output is compared with, and what the output holds for it.

    `holds` is "scores" (of which softmax or sigmoid makes probabilities), "probabilities", or
    "values", of which the largest chooses the class.
    """

    target: Port
    holds: str


def meanings(program: Program) -> dict[str, Meaning]:
    """Return the meaning of each output that scores the classes of a target, by its name."""
    ports = {port.name: port for port in program.ports if port.role == "target"}
    numbers = _numbered(program)
    found: dict[str, Meaning] = {}
    for output in program.outputs:
        if output.node.type.kind != "float" or not output.node.type.batched:
            continue
        meaning = _meaning(program, output, ports, numbers)
        if meaning is not None:
            found[output.name] = meaning
    return found


Numbers = Mapping[Node, int]


def _numbered(program: Program) -> Numbers:
    """Return a number for each node: equal ones for nodes that compute the same (`x[0]` twice)."""
    terms = (*program.outputs, *program.losses, *program.metrics)
    numbers: dict[Node, int] = {}
    known: dict[object, int] = {}
    for node in topological([term.node for term in terms]):
        key = node.op, tuple(numbers[each] for each in node.inputs)
        numbers[node] = known.setdefault(key, len(known))
    return numbers


def _meaning(
    program: Program, output: Term, ports: Mapping[str, Port], numbers: Numbers
) -> Meaning | None:
    """Return what an output means.

    A softmax or sigmoid of what a loss compares means as much as that.
    """
    is_chance = _word(output.node.origin.word) in GIVES_PROBABILITIES
    shape = output.node.type.shape
    compared: Iterable[Node] = [output.node]
    if is_chance:
        before = topological([output.node])
        compared = [each for each in reversed(before) if each.type.shape == shape]
    for node in compared:
        for term in (*program.losses, *program.metrics):
            for name, words in _met(term, numbers[node], ports, numbers).items():
                port = ports[name]
                takes_scores = not words.isdisjoint(TAKES_SCORES)
                holds = "probabilities" if is_chance else "scores" if takes_scores else "values"
                if _fits(output, port) and (port.kind == "class" or holds != "values"):
                    return Meaning(port, holds)
    return None


def _fits(output: Term, port: Port) -> bool:
    shape = output.node.type.bound_shape
    if port.kind == "bool":
        return shape == port.shape
    return port.kind == "class" and shape[:-1] == port.shape and shape[-1:] == (port.classes,)


def _met(
    term: Term, number: int, ports: Mapping[str, Port], numbers: Numbers
) -> dict[str, set[str]]:
    """Return the targets that a loss or metric compares a value with, and the words that do it.

    A target is compared where it and something that is made of the value meet in one operation.
    """
    nodes = topological([term.node])
    found: dict[str, set[str]] = {}
    made_of = {node for node in nodes if numbers[node] == number}
    whose: dict[Node, str] = {}
    words: set[str] = set()
    for each in nodes:
        if isinstance(each.op, Input) and each.op.role == "target" and each.op.label in ports:
            whose[each] = each.op.label
            continue
        targets = {whose[value] for value in each.inputs if value in whose}
        if any(value in made_of for value in each.inputs):
            words.update(map(_word, each.origin.word.split(".")))
            found.update((name, words) for name in sorted(targets))
            made_of.add(each)
        elif len(targets) == 1:
            whose[each] = targets.pop()
    return found


def _word(path: str) -> str:
    return path.rpartition(".")[2].rstrip("0123456789")


def answers(
    program: Program, encoding: Encoding, outputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return the columns of a table of predictions, `[n]` each, or `[n, *shape]` for others."""
    meaning = meanings(program)
    found: dict[str, np.ndarray] = {}
    for name, array in outputs.items():
        known = meaning.get(name)
        if known is None or known.target.name in found:
            found[name] = array
            continue
        found.update(_classified(name, known, encoding, array))
    return found


def _classified(
    name: str, meaning: Meaning, encoding: Encoding, array: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the class of each example by its name, and the probability of each class."""
    port, holds = meaning.target, meaning.holds
    if port.kind == "bool":
        chance = sigmoid(array) if holds == "scores" else array
        return {port.name: chance > 0.5, f"{port.name}_true": chance}
    names = np.array(encoding.names(port.name, port.class_count), object)
    words = encoding.vocabularies.get(port.name, ())
    best = array.argmax(axis=-1)
    found = {port.name: names[best] if len(words) == len(names) else best}
    if holds == "values":  # of which no probabilities follow
        return {**found, name: array}
    chances = softmax(array) if holds == "scores" else array
    return {
        **found,
        **{f"{port.name}_{each}": chances[..., k] for k, each in enumerate(names.tolist())},
    }


def softmax(scores: np.ndarray) -> np.ndarray:
    """Return the probabilities of scores along the last axis."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def sigmoid(score: np.ndarray) -> np.ndarray:
    """Return the probability of a score, which no size of the score can overflow."""
    power = np.exp(-np.abs(score))
    return np.where(score >= 0, 1 / (1 + power), power / (1 + power)).astype(score.dtype)
