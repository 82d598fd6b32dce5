"""One step of a decoder, as a graph: from the states and the previous symbol to new scores.

    parts = stepwise(graph, "word", "output.scores")
    parts.before       # outputs "kept.0", ..: values that do not depend on the word, computed once
    parts.step         # "output.scores" [classes] of one step; "slot.LABEL": the states after it

The graph of the model holds all steps at once. It can be taken apart if every op treats each step
by itself, and if no step reads the symbol that it chooses, or a later one. Otherwise `stepwise`
returns None, and each new symbol takes a pass over all steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field, replace

from specc.ir.graph import Graph, Node, apply, topological
from specc.ir.types import Type
from specc.ops.broadcast import Broadcast
from specc.ops.carry import PREFIX, Carry, closed, following, straightened, varying
from specc.ops.elementwise import select
from specc.ops.leaf import Input, Role, leaf
from specc.ops.shape import Reshape, Slice
from specc.ops.steps import moved_by_one
from specc.system.records import dataclass

BEGIN = "step.begin"  # the port that is true at the first step
KEPT = "kept."


@dataclass(frozen=True, eq=False)
class Stepwise:
    """The two graphs. The step reads the previous symbol as the target's own port, without its axis
    of steps, and "kept.N" as inputs: whole, or for those in `by_step` one step of them."""

    before: Graph
    step: Graph
    by_step: frozenset[str]


def stepwise(graph: Graph, target: str, scores: str) -> Stepwise | None:
    """Return the step of a graph in inference mode that computes the output `scores`, or None."""
    graph = straightened(closed({scores: graph.outputs[scores]}, following(graph)))
    symbols = [
        node
        for node in graph.nodes
        if isinstance(node.op, Input) and node.op.role == Role.TARGET and node.op.label == target
    ]
    streams = any(isinstance(node.op, Input) and node.op.role == Role.SLOT for node in graph.nodes)
    if len(symbols) != 1 or streams:
        return None
    walk = _Walk(graph, symbols[0])
    try:
        return walk.parts(scores)
    except _NotStepwise:
        return None


class _NotStepwise(Exception):
    """A value cannot be computed step by step."""


@dataclass(eq=False)
class _Walk:
    """A graph that is taken apart.

    `now` maps a node to its value at the current step. Nodes that depend on the current symbol,
    which is not chosen yet, are known only for the previous step; `ago` holds those values.
    """

    graph: Graph
    symbols: Node
    now: dict[Node, Node] = field(default_factory=dict)
    ago: dict[Node, Node] = field(default_factory=dict)
    kept: dict[tuple[Node, bool], Node] = field(default_factory=dict)
    slots: dict[str, Node] = field(default_factory=dict)  # label -> the node of its next value

    def parts(self, scores: str) -> Stepwise:
        self.steps = self.symbols.type.shape[0]
        self.moving = self._moving()
        begin = leaf(Input(Role.INPUT, BEGIN, Type("bool", (), True)))
        before = replace(self.symbols.type, shape=self.symbols.type.shape[1:])
        symbol = replace(self.symbols.op_as(Input), type=before)
        self.ago[self.symbols] = leaf(symbol, self.symbols.origin)
        for node in self.graph.nodes:
            if node is self.symbols or node not in self.moving:
                continue
            if isinstance(node.op, Carry):
                self.now[node] = self._state(node, begin)
            elif (moved := moved_by_one(node)) is not None:
                self.now[node] = self._earlier(node, *moved, begin)
            elif isinstance(node.op, Slice) and node.op.axis == 0:
                continue  # part of a sequence that is moved by one step, or without readers
            elif any(each in self.ago for each in node.inputs):
                self.ago[node] = self._one(node, self._then)
            else:
                self.now[node] = self._one(node, self._read)
        outputs = {scores: self._found(self.graph.outputs[scores])}
        for label, node in self.slots.items():
            outputs[f"slot.{label}"] = varying(self._found(node))
        kept = {made.op_as(Input).label: varying(node) for (node, _), made in self.kept.items()}
        return Stepwise(
            closed(kept, following(self.graph)),
            Graph(outputs),
            frozenset(
                made.op_as(Input).label for (_, by_step), made in self.kept.items() if by_step
            ),
        )

    def _moving(self) -> set[Node]:
        """Return the nodes that depend on the symbols of any step."""
        found = {self.symbols}
        while True:
            size = len(found)
            for node in self.graph.nodes:
                before = (self._next(node),) if isinstance(node.op, Carry) else ()
                if any(each in found for each in (*node.inputs, *before)):
                    found.add(node)
            if len(found) == size:
                return found

    def _state(self, node: Node, begin: Node) -> Node:
        """Return the state that the previous step left, or its initial value at the first step."""
        op = node.op_as(Carry)
        (start,) = node.inputs
        if op.backward or op.steps != self.steps or start in self.moving:
            raise _NotStepwise
        return self._slot(op.label, self._next(node), self._read(start, False), begin)

    def _next(self, carry: Node) -> Node:
        return self.graph.outputs[PREFIX + carry.op_as(Carry).label]

    def _slot(self, label: str, value: Node, start: Node, begin: Node) -> Node:
        self.slots[label] = value
        last = leaf(Input(Role.SLOT, label, Type("float", start.type.shape, True)), start.origin)
        return select(_for_all(begin, start), start, last)

    def _earlier(self, node: Node, start: Node, value: Node, begin: Node) -> Node:
        """Return the value of a node at the previous step, kept in a slot."""
        if node.type.shape[0] != self.steps or start in self.moving or node.type.kind != "float":
            raise _NotStepwise
        first = apply(Reshape(start.type.shape[1:]), self._read(start, False))
        if value in self.ago:
            return select(_for_all(begin, first), first, self.ago[value])
        return self._slot(f"moved.{len(self.slots)}", value, first, begin)

    def _one(self, node: Node, read: Callable[[Node, bool], Node]) -> Node:
        """Return one step of a node, over inputs that `read` returns."""
        op = node.op.one_step(node)
        if op is None or node.type.shape[:1] != (self.steps,):
            raise _NotStepwise
        inputs = []
        for position, each in enumerate(node.inputs):
            by_step = node.op.reads_step(position)
            if each in self.moving and not by_step:
                raise _NotStepwise
            inputs.append(read(each, by_step))
        made = apply(op, *inputs, origin=node.origin)
        if made.type.shape != node.type.shape[1:]:
            raise _NotStepwise
        return made

    def _found(self, node: Node) -> Node:
        if node not in self.now:
            raise _NotStepwise
        return self.now[node]

    def _then(self, node: Node, by_step: bool) -> Node:
        """Return the value of a node at the previous step."""
        if node in self.ago:
            return self.ago[node]
        if node in self.moving or (by_step and not _is_the_same_at_every_step(node)):
            raise _NotStepwise
        return self._read(node, by_step)

    def _read(self, node: Node, by_step: bool) -> Node:
        """Return the value of a node at the current step."""
        if node in self.moving:
            return self._found(node)
        if by_step and _is_the_same_at_every_step(node):
            axes = tuple(axis - 1 for axis in node.op_as(Broadcast).axes)
            return apply(Broadcast(node.type.shape[1:], axes), self._read(node.inputs[0], False))
        if not by_step and not any(each.type.batched for each in topological([node])):
            return node  # it depends only on weights, so the step computes it itself
        if (node, by_step) not in self.kept:
            shape = node.type.shape[1:] if by_step else node.type.shape
            type_ = replace(node.type, shape=shape, batched=True)
            if not node.type.batched and node.type.kind != "float":
                raise _NotStepwise
            label = f"{KEPT}{len(self.kept)}"
            self.kept[node, by_step] = leaf(Input(Role.INPUT, label, type_), node.origin)
        return self.kept[node, by_step]


def _for_all(begin: Node, like: Node) -> Node:
    return apply(Broadcast(like.type.shape), begin) if like.type.shape else begin


def _is_the_same_at_every_step(node: Node) -> bool:
    return isinstance(node.op, Broadcast) and 0 not in node.op.axes
