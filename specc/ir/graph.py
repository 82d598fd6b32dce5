"""Nodes and graphs: a frozen directed acyclic graph, given by its named outputs.

x = node(Input("image"), type=...)
graph = Graph({"scores": scores})
for node in graph.nodes: ...          # every node after its inputs
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field, replace
from typing import TypeVar

from specc.ir.op import Op
from specc.ir.types import Type
from specc.source import Span
from specc.system.lazy import cached_property
from specc.system.records import dataclass

_SomeOp = TypeVar("_SomeOp", bound=Op)
_ClassOf = type[_SomeOp]


@dataclass(frozen=True)
class Origin:
    """Which text of the .dl file a node comes from, and the user's name for the value."""

    name: str = ""
    span: Span | None = None
    word: str = ""  # the path of the layer or word that made it: conv1, tower.dense2
    again: bool = False  # whether it is of a second evaluation in the step, over other weights

    def __str__(self) -> str:
        place = f"{self.span.source.name}:{self.span.line}" if self.span else ""
        return " ".join(part for part in (self.name, self.word, place) if part)


@dataclass(frozen=True, eq=False)
class Node:
    """One application of an op. Nodes are compared by identity; `key` compares them by meaning."""

    op: Op
    inputs: tuple[Node, ...]
    type: Type
    origin: Origin = field(default_factory=Origin)

    def __repr__(self) -> str:
        """The node alone: its inputs, written out, would be as long as there are ways through a
        graph.
        """
        return f"<{self.op.name} {self.type} {self.origin}>".replace(" >", ">")

    @property
    def key(self) -> tuple[Op, tuple[int, ...]]:
        return (self.op, tuple(id(each) for each in self.inputs))

    def op_as(self, kind: _ClassOf[_SomeOp]) -> _SomeOp:
        """Return the op, which is known to be of this class."""
        assert isinstance(self.op, kind), f"{self!r} is not {kind.__name__}"
        return self.op


class _Serving(threading.local):
    def __init__(self) -> None:
        self.origins: list[Origin] = []


_serving = _Serving()


@contextmanager
def serving(origin: Origin) -> Iterator[None]:
    """Give this origin to all nodes made within the block that are not given one of their own."""
    _serving.origins.append(origin)
    try:
        yield
    finally:
        _serving.origins.pop()


def apply(op: Op, *inputs: Node, origin: Origin | None = None) -> Node:
    """Return the node of `op` over `inputs`, with its type inferred; raises `ShapeError`.

    Without an `origin` the node takes the one being served, or that of its first input that has
    one, so that what autodiff and the passes build still knows the line of the .dl file it serves.
    """
    type_ = op.infer(*(each.type for each in inputs))
    if origin is None and _serving.origins:
        origin = _serving.origins[-1]
    if origin is None:
        first = next((each.origin for each in inputs if each.origin.span), Origin())
        origin = replace(first, name="") if first.name else first  # the name stays with the value
    return Node(op, inputs, type_, origin)


@dataclass(frozen=True, eq=False)
class Graph:
    """Named outputs and, through them, every node that they need."""

    outputs: Mapping[str, Node]

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, each after its inputs, in an order that depends on the outputs alone."""
        return topological(self.outputs.values())

    @cached_property
    def users(self) -> dict[Node, list[Node]]:
        """The nodes that read each node; a node that reads it twice is listed twice."""
        users: dict[Node, list[Node]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            for each in node.inputs:
                users[each].append(node)
        return users


def topological(roots: Iterable[Node], leaves: type[Op] | None = None) -> tuple[Node, ...]:
    """Return every node that the roots need, each after its inputs, without recursion.

    The inputs of nodes whose op is of the class `leaves` are left out.
    """
    done: dict[Node, None] = {}
    for root in roots:
        stack = [(root, False)]  # nodes, and whether their inputs are done
        while stack:
            node, is_ready = stack.pop()
            if is_ready:
                done[node] = None
            elif node not in done:
                waiting = [each for each in node.inputs if each not in done]
                if not waiting or (leaves is not None and isinstance(node.op, leaves)):
                    done[node] = None
                    continue
                stack.append((node, True))
                stack += [(each, False) for each in reversed(waiting)]
    return tuple(done)


def rebuild(graph: Graph, rule: Callable[[Node, Node], Node]) -> Graph:
    """Return the graph with `rule(old, now)` in place of every node, from the inputs up.

    `now` is the old node over what its inputs have become: the node itself if they are the same.
    """
    new: dict[Node, Node] = {}
    for node in graph.nodes:
        new[node] = rule(node, over(node, tuple(new[each] for each in node.inputs)))
    return Graph({name: new[node] for name, node in graph.outputs.items()})


def rewrite(graph: Graph, rule: Callable[[Node], Node]) -> Graph:
    """Return the graph with `rule` applied to every node, after it was applied to the inputs."""
    return rebuild(graph, lambda _, now: rule(now))


def over(node: Node, inputs: tuple[Node, ...]) -> Node:
    """Return the node over other inputs of equal types, or the node itself if they are its own."""
    if all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
        return node
    return Node(node.op, inputs, node.type, node.origin)
