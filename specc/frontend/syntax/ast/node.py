"""What all nodes of the tree have in common, and the ways to visit a tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, eq_default=False)
def node(cls: type[T]) -> type[T]:
    """Make a class of nodes: frozen, and equal only to itself."""
    return dataclass(frozen=True, slots=True, eq=False, repr=False)(cls)


@node
class Node:
    """Anything in the tree: it has a `span`."""

    def __repr__(self) -> str:
        """The node as an expression of Python, without places and without fields left empty."""
        shown = []
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name not in ("span", "doc") or isinstance(value, str):
                shown.append(f"{f.name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


@cache
def _child_fields(cls: type[Node]) -> tuple[str, ...]:
    no_nodes = ("str", "str | None", "bool", "int | float", "Source", "Span")
    return tuple(f.name for f in fields(cls) if f.name != "comments" and f.type not in no_nodes)


def children(node: Node) -> Iterator[Node]:
    """The nodes directly under `node`, in the order of its fields."""
    for name in _child_fields(type(node)):
        value = getattr(node, name)
        if isinstance(value, Node):
            yield value
        elif type(value) is tuple:
            yield from value


def walk(node: Node) -> Iterator[Node]:
    """`node` and all nodes under it, each before its children; without comments."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        for name in reversed(_child_fields(type(node))):
            value = getattr(node, name)
            if type(value) is tuple:
                waiting.extend(reversed(value))
            elif isinstance(value, Node):
                waiting.append(value)


def alike(one: Node, other: Node) -> bool:
    """Whether two trees say the same, wherever they stand; comments aside."""
    pairs: list[tuple[object, object]] = [(one, other)]
    while pairs:
        a, b = pairs.pop()
        if isinstance(a, Node):
            if type(a) is not type(b):
                return False
            pairs += (
                (getattr(a, f.name), getattr(b, f.name))
                for f in fields(a)
                if f.name not in ("span", "source", "comments")
                or isinstance(getattr(a, f.name), Node)
            )
        elif isinstance(a, tuple):
            if not isinstance(b, tuple) or len(a) != len(b):
                return False
            pairs += zip(a, b, strict=True)
        elif a != b:
            return False
    return True
