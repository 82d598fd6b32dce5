"""Predictions for people: the names of classes and their probabilities, a row for each example.

    meanings(program)                          # {"scores": Meaning(label, "scores")}
    table = answers(program, encoding, {"scores": scores})
    table["label"]                             # ["rose", "aster", ...]
    table["label_rose"], table["label_aster"]  # probabilities

What an output means follows from the losses: the target that it is compared with, and how.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from specc.ir.graph import Node, topological
from specc.ir.program import Program, Term
from specc.ops.leaf import Input
from specc.recipe import Formula, Port, Recipe
from specc.recipe.sources import FRAME, source_of
from specc.recipe.words import WORDS
from specc.runtime.encoding import Encoding
from specc.runtime.given import TABLES
from specc.system.records import dataclass


@dataclass(frozen=True)
class Meaning:
    """The target that an output is compared with, and what the output holds for it.

    `holds` is "scores" (of which softmax or sigmoid makes probabilities), "probabilities", or
    "values": numbers as they are, of which the largest chooses the class of a class target.
    `is_sequence` says that there is one answer at each step.
    """

    target: Port
    holds: str
    is_sequence: bool = False


def meanings(program: Program) -> dict[str, Meaning]:
    """Return the meaning of each output that scores the classes of a target, by its name."""
    shapes = {output.name: output.node.type.bound_shape for output in program.outputs}

    def is_score(name: str, each: Meaning) -> bool:
        if each.target.kind == "bool":
            return each.holds != "values" and shapes[name] == each.target.shape
        return each.target.kind == "class"

    return {name: each for name, each in compared(program).items() if is_score(name, each)}


def compared(program: Program) -> dict[str, Meaning]:
    """Return the meaning of each output that a loss or metric compares with a target it fits.

    Definitions of words state which take raw scores, and which give probabilities: so losses of a
    user's own count as those of the library do (`docs/doc-comments.md`).
    """
    ports = {port.name: port for port in program.ports if port.role == "target"}
    terms = (*program.outputs, *program.losses, *program.metrics)
    numbers = _numbered((*(each.node for each in terms), *program.scores, *program.probabilities))
    scores = {numbers[node] for node in program.scores}
    chances = {numbers[node] for node in program.probabilities}
    found: dict[str, Meaning] = {}
    for output in program.outputs:
        node = output.node
        if node.type.kind != "float" or not node.type.batched:
            continue
        is_chance = numbers[node] in chances
        for each in _same_meaning(node) if is_chance else (node,):
            number = numbers[each]
            holds = "scores" if number in scores else "values"
            port = _answered(program, output, ports, number, numbers)
            if port is not None:
                is_sequence = port.sequence is not None or output.sequence is not None
                holds = "probabilities" if is_chance else holds
                found[output.name] = Meaning(port, holds, is_sequence)
                break
    return found


def _same_meaning(node: Node) -> Iterator[Node]:
    """Yield probabilities and the values of equal shape that they follow from, such as scores."""
    shape = node.type.shape
    return (each for each in reversed(topological([node])) if each.type.shape == shape)


Numbers = Mapping[Node, int]


def _numbered(nodes: Sequence[Node]) -> Numbers:
    """Return a number for each node: equal ones for nodes that compute the same (`x[0]` twice)."""
    numbers: dict[Node, int] = {}
    known: dict[object, int] = {}
    for node in topological(nodes):
        key = node.op, tuple(numbers[each] for each in node.inputs)
        numbers[node] = known.setdefault(key, len(known))
    return numbers


def _answered(
    program: Program, output: Term, ports: Mapping[str, Port], number: int, numbers: Numbers
) -> Port | None:
    """Return the target that a term compares the value with `number` with, and that it fits."""
    for term in (*program.losses, *program.metrics):
        for name in _met(term, number, ports, numbers):
            if _fits(output, ports[name]):
                return ports[name]
    return None


def _fits(output: Term, port: Port) -> bool:
    shape = output.node.type.bound_shape
    if port.kind == "class":
        return shape[:-1] == port.shape and shape[-1:] == (port.classes,)
    return shape == port.shape or (port.shape == () and shape == (1,))


def _met(term: Term, number: int, ports: Mapping[str, Port], numbers: Numbers) -> list[str]:
    """Return the targets that a loss or metric compares a value with, by name.

    A loss compares them if one of its operations reads both the target and the value, or values
    that follow from them.
    """
    nodes = topological([term.node])
    found: dict[str, None] = {}
    made_of = {node for node in nodes if numbers[node] == number}
    whose: dict[Node, str] = {}
    for each in nodes:
        if isinstance(each.op, Input) and each.op.role == "target" and each.op.label in ports:
            whose[each] = each.op.label
            continue
        targets = {whose[value] for value in each.inputs if value in whose}
        if any(value in made_of for value in each.inputs):
            found.update(dict.fromkeys(sorted(targets)))
            made_of.add(each)
        elif len(targets) == 1:
            whose[each] = targets.pop()
    return list(found)


def answers(
    program: Program, encoding: Encoding, outputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return the columns of a table of predictions, `[n]` each, or `[n, *shape]` for others."""
    meaning = meanings(program)
    found: dict[str, np.ndarray] = {}
    for name, array in outputs.items():
        known = meaning.get(name)
        title = "" if known is None else column_name(program.recipe, known.target.name)
        if known is None or title in found:
            found[name] = array
            continue
        found.update(_classified(name, title, known, encoding, array))
    return found


NAMED = ("name", "columns")
"""Formulas of columns that name columns of the data."""


def column_name(recipe: Recipe, target: str) -> str:
    """Return the name of a target's column in the data, or its own name if there is no such column.

    A formula that computes something else from a column, such as `weekday(day)`, has no such name.
    """
    formula = next((each.formula for each in recipe.columns if each.name == target), None)
    call = recipe.data
    if formula is not None:
        parts = list(formula.walk())
        named = [each for each in parts if each.word in NAMED]
        names = [name for each in named for name in each.settings.get("patterns", [each.value])]
        if len(names) != 1 or not all(map(_is_value, parts)):
            return target
        is_rule = any(each.name == names[0] for each in recipe.columns)
        return target if is_rule or "*" in names[0] else str(names[0])
    if call is None or call.word not in (*TABLES, FRAME):
        return target
    given = call.settings.get(target, target)
    is_other_setting = target in {each.name for each in source_of(call.word).settings}
    if is_other_setting or not isinstance(given, str) or "," in given:
        return target
    return given.strip()


def _is_value(formula: Formula) -> bool:
    """Return whether a formula names columns, or converts the value of one."""
    return formula.word in NAMED or (formula.word in WORDS and WORDS[formula.word].converts)


def _classified(
    name: str, title: str, meaning: Meaning, encoding: Encoding, array: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the class of each example, the column `title`, and the probability of each class."""
    port, holds = meaning.target, meaning.holds
    if port.kind == "bool":
        chance = sigmoid(array) if holds == "scores" else array
        return {title: chance > 0.5, f"{title}_true": chance}
    names = np.array(encoding.names(port.name, port.class_count), object)
    words = encoding.vocabularies.get(port.name, ())
    best = array.argmax(axis=-1)
    found = {title: names[best] if len(words) == len(names) else best}
    if holds == "values":  # of which no probabilities follow
        return {**found, name: array}
    chances = softmax(array) if holds == "scores" else array
    return {
        **found,
        **{f"{title}_{each}": chances[..., k] for k, each in enumerate(names.tolist())},
    }


def softmax(scores: np.ndarray) -> np.ndarray:
    """Return the probabilities of scores along the last axis."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def sigmoid(score: np.ndarray) -> np.ndarray:
    """Return the probability of a score, without overflow for scores of any size."""
    power = np.exp(-np.abs(score))
    return np.where(score >= 0, 1 / (1 + power), power / (1 + power)).astype(score.dtype)
