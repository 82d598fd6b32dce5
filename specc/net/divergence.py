"""Find the operation at which a training step stops being finite.

    found = locate(graph, leaves, "float32", seed=0, step=41)
    found.node.origin.span          # `log(p[label])`, in the user's file
    found.value, found.examples     # -inf, (3,)

The graph of the step runs once in the NumPy interpreter, every result rounded to the precision of
the model, so that float32 overflows where the compiled kernels do. From the loss, or from the first
updated weight that is not finite, the search follows the values that are not finite back to the one
that was computed first. An infinity that the file asks for (`if u <= t then s else -inf`) is not a
cause; a NaN that follows from it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import NamedTuple

import numpy as np

from specc import pipeline
from specc.backend.reference import Leaves, evaluate
from specc.ir.graph import Graph, Node, topological
from specc.ir.names import RECORDED, OutputKind, kind_of
from specc.ir.program import Program
from specc.ops.carry import carries, straightened
from specc.ops.elementwise import Select
from specc.ops.leaf import Const, Input, Role
from specc.ops.peers import Peers, bind_batch
from specc.source import Span
from specc.system.records import dataclass

SHOWN = 4  # most examples, and most operands, that a message lists


class OperandRange(NamedTuple):
    """The least and the largest value of an input, at elements whose result is not finite."""

    node: Node
    least: float
    largest: float


@dataclass(frozen=True, eq=False)
class Cause:
    """The first operation whose result is not finite.

    `value` is inf, -inf or nan; `examples` are the places in the batch at which it occurs, empty if
    the result is one for the whole batch. `is_forward` is False in the backward pass and the
    update.
    """

    node: Node
    value: float
    operands: tuple[OperandRange, ...]
    examples: tuple[int, ...]
    is_forward: bool

    def in_words(
        self, rows: Sequence[int] | np.ndarray, updates: Set[Span | None] = frozenset()
    ) -> WordedCause:
        """Return the cause as a message shows it.

        `rows` are the records of the batch, counted from 0; `updates` are the places of the
        formulas that update weights. Messages count examples and records from 1.
        """
        span, said = self.node.origin.span, _said(self.node)
        if isinstance(self.node.op, Input):
            what = f"{self.value:g} in the data"
        elif self.is_forward:
            what = f"{self.value:g} here"
        elif span in updates:
            what = f"the updated weight is {self.value:g}"
        else:
            what = f"the gradient is {self.value:g} here"
        notes = [
            f"{_said(each.node)} is {_range(each)}"
            for each in self.operands
            if each.node.origin.span is not None and _said(each.node) != said
        ]
        if self.examples and len(self.examples) == len(rows):
            notes.append("this holds for every example of the batch")
        elif self.examples:
            notes.append(_listed("example", [k + 1 for k in self.examples], " of the batch"))
            records = [int(rows[k]) + 1 for k in self.examples]
            notes.append(_listed("record", records, " of the data"))
        return WordedCause(span, what, tuple(dict.fromkeys(notes)))


class WordedCause(NamedTuple):
    """A cause in words: its place (None for an operation that the compiler added), and notes."""

    span: Span | None
    what: str
    notes: tuple[str, ...]


def explain(
    program: Program,
    leaves: Mapping[tuple[str, str], np.ndarray],
    rows: np.ndarray,
    dtype: str,
    seed: int,
    step: int,
    training: bool = True,
) -> WordedCause | None:
    """Say why a training step (counted from 0) or an evaluation was not finite: see `locate`.

    `leaves` hold the values of the `rows` of one batch, and all parameters, states and settings.
    """
    weights = np.full(len(rows), 1 / len(rows))
    leaves = {**leaves, ("weight_of_example", ""): weights}
    if not training:
        graph = pipeline.forward(program, training=False)
    elif program.updates:
        graph = pipeline.training_step(program).graph
    else:
        graph = pipeline.with_gradients(program)
    cause = locate(graph, leaves, dtype, seed, step)
    if cause is None:
        return None
    formulas = (formula for each in program.updates for formula in (each.next, each.again))
    rules = topological([formula for formula in formulas if formula is not None])
    places = {node.origin.span for node in rules if not isinstance(node.op, Input)}
    return cause.in_words(rows, places)


def locate(graph: Graph, leaves: Leaves, dtype: str, seed: int = 0, step: int = 0) -> Cause | None:
    """Return the first operation of a training step that is not finite, or None.

    `leaves` are those of the interpreter, by (role, name), with `weight_of_example` for each
    example of the batch.
    """
    graph = _bound(graph, len(leaves["weight_of_example", ""]))
    trace = _Trace(np.dtype(dtype))
    with np.errstate(all="ignore"):
        outputs = evaluate(graph, leaves, seed, step, step_by_step=True, watch=trace)
    target = next((name for name in _targets(graph) if not _is_finite(outputs[name])), None)
    if target is None:
        return None
    reached = trace.back(graph.outputs[target], carries(graph))
    if not reached:
        return None
    first = min(reached, key=lambda node: trace.found[node].number)
    event = trace.found[first]
    is_forward = first in _forward_part(graph)
    return Cause(first, event.value, event.operands, event.examples, is_forward)


def _bound(graph: Graph, examples: int) -> Graph:
    graph = straightened(graph)
    if any(isinstance(node.op, Peers) for node in graph.nodes):
        graph = bind_batch(graph, examples)
    return graph


def _forward_part(graph: Graph) -> set[Node]:
    """Return the nodes of the forward pass: those of the loss, metrics and running statistics."""
    roots = [
        node
        for name, node in graph.outputs.items()
        if kind_of(name) in (*RECORDED, OutputKind.SLOT)
    ]
    return set(topological(roots))


def _targets(graph: Graph) -> Iterator[str]:
    """Return the outputs that must be finite, the loss first."""
    order = ("loss", "loss.", "param.", "gradient.", "state.")
    for start in order:
        yield from (
            name
            for name in graph.outputs
            if name == start or (start.endswith(".") and name.startswith(start))
        )


class _Event(NamedTuple):
    """The first result of a node that was not finite."""

    number: int  # its position in the order of the computation
    value: float
    operands: tuple[OperandRange, ...]
    examples: tuple[int, ...]
    sources: tuple[Node, ...]  # the inputs that are not finite where the result is not


class _Trace:
    """Rounds every result of an evaluation, and notes those that are not finite."""

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype
        self.tiny = np.finfo(dtype).tiny
        self.found: dict[Node, _Event] = {}
        self.intended: set[Node] = set()
        self._number = 0

    def __call__(self, node: Node, inputs: Sequence[np.ndarray], value: np.ndarray) -> np.ndarray:
        if node.type.kind != "float":
            return value
        if self.dtype != np.float64:
            value = np.asarray(value).astype(self.dtype).astype(np.float64)
        value = np.where(np.abs(value) < self.tiny, 0.0, value)  # kernels flush denormal numbers
        if node not in self.found and not _is_finite(value):
            self._note(node, inputs, value)
        return value

    def _note(self, node: Node, inputs: Sequence[np.ndarray], value: np.ndarray) -> None:
        is_bad = ~np.isfinite(value)
        sources = tuple(
            each
            for each, array in zip(node.inputs, inputs, strict=False)
            if each.type.kind == "float" and _contributes(node, each, inputs, array, is_bad)
        )
        is_asked_for = isinstance(node.op, Const) or (
            bool(sources) and all(each in self.intended for each in sources)
        )
        if is_asked_for and not np.isnan(value).any():
            self.intended.add(node)
        at = tuple(int(k) for k in np.argwhere(is_bad)[0])
        examples: tuple[int, ...] = ()
        if node.type.batched:
            bad = is_bad.reshape(len(is_bad), -1).any(axis=1)
            examples = tuple(int(k) for k in np.flatnonzero(bad))
        self._number += 1
        operands = tuple(
            _operand(each, array, value.shape, at)
            for each, array in zip(node.inputs, inputs, strict=False)
            if each.type.kind == "float" and np.size(array)
        )
        self.found[node] = _Event(
            self._number, float(value[at]), operands[:SHOWN], examples, sources
        )

    def back(self, target: Node, tied: Mapping[Node, Node]) -> list[Node]:
        """Return the nodes without which `target` would be finite, constants left out."""
        seen, stack = {target}, [target]
        while stack:
            node = stack.pop()
            event = self.found.get(node)
            sources = event.sources if event is not None else ()
            if node in tied:
                sources = (*sources, tied[node])
            for each in sources:
                if each in self.found and each not in seen:
                    seen.add(each)
                    stack.append(each)
        return [
            node
            for node in seen
            if node in self.found and node not in self.intended and node not in tied
        ]


def _contributes(node: Node, each: Node, inputs, array: np.ndarray, is_bad: np.ndarray) -> bool:
    """Return whether an input is not finite at an element that the result depends on."""
    if _is_finite(array):
        return False
    bad = ~np.isfinite(array)
    if isinstance(node.op, Select) and each is not node.inputs[0]:
        condition = np.asarray(inputs[0], bool)
        chosen = condition if each is node.inputs[1] else ~condition
        if each is node.inputs[1] and each is node.inputs[2]:
            chosen = np.ones_like(condition)
        bad = bad & chosen
        return bool(bad.any())
    if bad.shape == is_bad.shape:
        return bool((bad & is_bad).any())
    return True


def _operand(
    node: Node, array: np.ndarray, shape: tuple[int, ...], at: tuple[int, ...]
) -> OperandRange:
    array = np.asarray(array)
    if array.shape == shape:
        return OperandRange(node, float(array[at]), float(array[at]))
    if node.type.batched and shape and array.ndim and len(array) == shape[0]:
        array = array[at[0]]
    with np.errstate(all="ignore"):
        return OperandRange(
            node,
            float(np.nanmin(array)) if not np.isnan(array).all() else np.nan,
            float(np.nanmax(array)) if not np.isnan(array).all() else np.nan,
        )


def _is_finite(array) -> bool:
    return bool(np.isfinite(array).all())


def _said(node: Node) -> str:
    if isinstance(node.op, Input) and node.op.role in (Role.PARAM, Role.STATE):
        return f"`{node.op.label}`"
    if node.origin.name:
        name = node.origin.name
        return f"`{name}`"
    text = " ".join(node.origin.span.text.split()) if node.origin.span else node.op.name
    return f"`{text if len(text) <= 60 else text[:57] + '...'}`"


def _range(operand: OperandRange) -> str:
    if operand.least == operand.largest or np.isnan(operand.least):
        return f"{operand.least:.4g}"
    return f"between {operand.least:.4g} and {operand.largest:.4g}"


def _listed(what: str, numbers: Sequence[int], where: str) -> str:
    shown = ", ".join(map(str, numbers[:SHOWN]))
    more = f" and {len(numbers) - SHOWN} more" if len(numbers) > SHOWN else ""
    return f"{what}{'s' if len(numbers) > 1 else ''} {shown}{more}{where}"
