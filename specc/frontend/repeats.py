"""Uses of library words that repeat an earlier use: written out from its nodes, not from its body.

    let a = x -> dense(32)      # walks the body of `dense`, and keeps what came of it
    let b = a -> dense(32)      # the same nodes over `a`, for `dense2`, at this place

What a library word becomes depends on its definition, on the types of its inputs and on its settings, which
make the key. The path of the layer stands in labels alone, and the place in origins alone. A use that does
more is walked each time: one that reports something, draws random numbers at each step, or has a state
that goes from step to step.

A file of 5,000 lines that each are a `dense` and a `relu` is walked in a third of the time.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from specc.frontend.scope import DEEPEST, Context, Frame
from specc.frontend.trail import Step
from specc.frontend.values import Given, Several, Tensor, Value, Word
from specc.ir.graph import Node, Origin
from specc.ir.op import Op
from specc.ir.program import Parameter, State
from specc.ir.sizes import Polynomial
from specc.ir.types import Type
from specc.ops.carry import Carry
from specc.ops.leaf import Input, Random
from specc.source import Span

ROOM = 20
"""Levels of definitions that a use must have left, so that none of the library's own ends too deeply."""


def key_of(
    frame: Frame, word: Word, values: list[Given | None], settings: dict[str, Given]
) -> Hashable | None:
    """What the value of a use depends on; None for a use that is always walked."""
    if (
        frame.call is not None or not word.is_library or frame.schedule is not None
        or frame.draw is not None or frame.fans is not None or frame.context.has_unknown_inputs
        or frame.depth + ROOM > DEEPEST
    ):  # fmt: skip
        return None
    inputs: list[Hashable] = []
    seen: dict[Node, int] = {}
    for given in values:
        value = given.value if given is not None else None
        if isinstance(value, Tensor):
            if value.finals or value.trail is None:
                return None
            node, sequence = value.node, value.sequence
            first = seen.setdefault(node, len(inputs))  # f(x, x) is another use than f(x, y)
            inputs.append((node.type, first, id(sequence) if sequence is not None else None))
        elif value is None:
            inputs.append(None)
        elif (static := _static_key(value)) is not None:
            inputs.append(static)
        else:
            return None
    if not seen:
        return None
    named = _settings_key(settings)
    return None if named is None else (id(word.definition), tuple(inputs), named)


def _settings_key(settings) -> Hashable | None:
    found = []
    for name, given in settings.items():
        value = _static_key(given.value)
        if value is None:
            return None
        found.append((name, value))
    return tuple(found)


def _static_key(value: Value) -> Hashable | None:
    """A key for a value that is no tensor: 1, 1.0 and `true` differ, and so do 0.0 and -0.0."""
    kind = type(value)
    if kind is int or kind is str or kind is bool or kind is Polynomial:
        return kind, value
    if kind is float:
        return kind, repr(value)
    if kind is Word and value.is_library:
        settings = _settings_key(value.settings)
        return None if settings is None else (id(value.definition), settings)
    return None


@dataclass(slots=True, eq=False)
class Before:
    """How much a context holds before a use."""

    reported: int
    calls: int
    parameters: int
    states: int
    others: tuple[int, ...]

    @classmethod
    def of(cls, context: Context) -> Before:
        others = (context.draws, *map(len, (context.carries, context.streams, context.varying,
                                            context.first_uses, context.open_sizes)))  # fmt: skip
        return cls(len(context.report), context.calls, len(context.paths), len(context.states), others)


@dataclass(slots=True, eq=False)
class Making:
    """One node of a use: its inputs are places in the list of all nodes, `label` what follows the path."""

    op: Op
    inputs: tuple[int, ...]
    type: Type
    label: str | None


@dataclass(slots=True, eq=False)
class Made:
    """A tensor that a use gives: the place of its node, and the input whose trail it goes on from."""

    node: int
    notes: tuple[tuple[str, Any, str], ...]  # of the hidden steps, the first one first
    trail: int
    sequence: Any


@dataclass(slots=True, eq=False)
class Template:
    """A use of a word, from which those with the same key are made."""

    calls: int
    kept: list[Node]  # of the sequences that its inputs are
    sequences: list[Any]  # kept alive, for the key has their identity
    nodes: list[Making]
    parameters: list[tuple[str, Type, int, bool, int]]  # label, type, initial value, is_weight, leaf
    states: list[tuple[str, Type, int, int | None]]  # label, type, initial value, next
    result: Made | tuple[Made, ...]

    def fits(self, context: Context, path: str, most_calls: int) -> bool:
        """Whether the layer at `path` is a new one, and there is room for its calls."""
        if context.calls + self.calls > most_calls:
            return False
        known, states = context.parameters, context.states
        return not any(path + each[0] in known for each in self.parameters) and not any(
            path + each[0] in states for each in self.states
        )

    def written_out(
        self, context: Context, path: str, owner: Any, values: list[Given | None], origin: Origin
    ) -> Value:
        """The value of a use of the same key; its parameters and states become part of the context."""
        span = origin.span
        inputs = [each.value for each in values if each is not None and isinstance(each.value, Tensor)]
        nodes = [each.node for each in inputs]
        nodes += self.kept
        for each in self.nodes:
            op = each.op
            if each.label is not None:
                label = path + each.label
                op = (Input(op.role, label, op.type) if isinstance(op, Input)
                      else Random(op.distribution, op.shape, label))  # fmt: skip
            nodes.append(Node(op, tuple([nodes[at] for at in each.inputs]), each.type, origin))
        for label, type_, initial, is_weight, leaf in self.parameters:
            full = path + label
            context.parameters[full] = Parameter(full, type_, nodes[initial], is_weight, span)
            context.paths.append(full)
            context.leaves[full] = nodes[leaf]
            context.owners[full] = owner
        for label, type_, initial, after in self.states:
            full = path + label
            following = nodes[after] if after is not None else None
            context.states[full] = State(full, type_, nodes[initial], following, span)
            context.owners[full] = owner
        context.calls += self.calls
        if isinstance(self.result, tuple):
            return Several(tuple([_tensor(each, nodes, inputs, span) for each in self.result]))
        return _tensor(self.result, nodes, inputs, span)


def _tensor(made: Made, nodes: list[Node], inputs: list[Tensor], span: Span) -> Tensor:
    trail = inputs[made.trail].trail
    for text, shape, note in made.notes:
        trail = Step(span, text, shape, note, trail, hidden=True)
    return Tensor(nodes[made.node], trail, made.sequence)


class _Singular(Exception):
    """A use that another one cannot be made from."""


def template(
    context: Context, before: Before, path: str, values: list[Given | None], result: Value, origin: Origin
) -> Template | None:
    """What a use that was walked has made; None where its nodes do not follow from its key."""
    now = Before.of(context)
    if now.reported != before.reported or now.others != before.others:
        return None
    inputs = [each.value for each in values if each is not None and isinstance(each.value, Tensor)]
    if any(each.node.origin == origin for each in inputs):
        return None  # which nodes are new could not be told
    paths = context.paths[before.parameters :]
    states = list(islice(reversed(context.states), now.states - before.states))[::-1]
    try:
        return _Recording(context, path, inputs, {*paths, *states}, origin).template(
            now.calls - before.calls, paths, states, result)
    except _Singular:
        return None


class _Recording:
    """The nodes of a use, found from what it gives."""

    def __init__(self, context: Context, path: str, inputs: list[Tensor], own: set[str], origin: Origin):
        self.context, self.path, self.inputs, self.own, self.origin = context, path, inputs, own, origin
        self.sequences = [each.sequence for each in inputs if each.sequence is not None]
        kept = [node for each in self.sequences for node in (each.mask, each.length) if node is not None]
        self.kept = list(dict.fromkeys(kept))
        self.places: dict[Node, int] = {}
        for at, node in enumerate([*(each.node for each in inputs), *self.kept]):
            self.places.setdefault(node, at)
        self.count = len(inputs) + len(self.kept)
        self.makings: list[Making] = []

    def template(self, calls: int, paths: list[str], states: list[str], result: Value) -> Template:
        context = self.context
        parameters = []
        for each in paths:
            known = context.parameters[each]
            leaf = self._place(context.leaves[each])
            parameters.append((self._label(each), known.type, self._place(known.initial),
                               known.is_weight, leaf))  # fmt: skip
        found = []
        for each in states:
            state = context.states[each]
            after = self._place(state.next) if state.next is not None else None
            found.append((self._label(each), state.type, self._place(state.initial), after))
        if isinstance(result, Several):
            made = tuple(self._made(each) for each in result.items)
        else:
            made = self._made(result)
        return Template(calls, self.kept, self.sequences, self.makings, parameters, found, made)

    def _made(self, value: Value) -> Made:
        if not isinstance(value, Tensor) or value.finals:
            raise _Singular
        if value.sequence is not None and value.sequence not in self.sequences:
            raise _Singular
        trails = [each.trail for each in self.inputs]
        notes = []
        step = value.trail
        while step is not None and step.hidden and step not in trails:
            notes.append((step.text, step.shape, step.note))
            step = step.previous
        if trails.count(step) != 1:
            raise _Singular  # it is a step of the word itself, or it could be that of either input
        return Made(self._place(value.node), tuple(notes[::-1]), trails.index(step), value.sequence)

    def _place(self, root: Node) -> int:
        """The place of a node, once all that it needs have theirs."""
        waiting = [root]
        while waiting:
            node = waiting[-1]
            if node in self.places:
                waiting.pop()
                continue
            self._check(node)
            missing = [each for each in node.inputs if each not in self.places]
            if missing:
                waiting += reversed(missing)
                continue
            waiting.pop()
            label = self._label(node.op.label) if _has_path(node.op) else None
            inputs = tuple([self.places[each] for each in node.inputs])
            self.places[node] = self.count + len(self.makings)
            self.makings.append(Making(node.op, inputs, node.type, label))
        return self.places[root]

    def _check(self, node: Node) -> None:
        op = node.op
        is_foreign = isinstance(op, Input) and _has_path(op) and op.label not in self.own
        if node.origin != self.origin or is_foreign or isinstance(op, Carry):
            raise _Singular

    def _label(self, path: str) -> str:
        if not self.path or not path.startswith(f"{self.path}."):
            raise _Singular
        return path[len(self.path) :]


def _has_path(op: Op) -> bool:
    return isinstance(op, Random) or (isinstance(op, Input) and op.role in ("param", "state"))
