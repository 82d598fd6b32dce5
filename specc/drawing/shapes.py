"""Texts for the shapes of values, used in tables and drawings of a model."""

from __future__ import annotations

from collections.abc import Container

from specc.ir import sizes
from specc.ir.graph import Node
from specc.ir.program import Layer
from specc.ir.sizes import Shape
from specc.recipe import Port


def over(shape: Shape, sequence: str | None) -> str:
    """Return the shape of a value, or of each step of a sequence: `[256] over time`."""
    return sizes.show(shape) + (f" over {sequence}" if sequence else "")


def port_shape(port: Port) -> str:
    """Return the type of a port as text: `[1, 28, 28]`, `class(10)`, `class(vocab) over time`."""
    shape = port.shape[1:] if port.sequence else port.shape
    kind = f"class({port.classes})" if port.kind == "class" else port.kind
    text = over(shape, port.sequence)
    return text if port.kind == "float" else f"{kind}{text.removeprefix('[]')}"


def nodes_of(layer: Layer, done: Container[Node]) -> list[Node]:
    """Return the nodes of one use of a layer, without the nodes in `done`."""
    found: dict[Node, None] = {}
    waiting = [layer.node]
    while waiting:
        node = waiting.pop()
        is_own = node.origin.word == layer.path or node.origin.word.startswith(f"{layer.path}.")
        if is_own and node not in done and node not in found:
            found[node] = None
            waiting += node.inputs
    return list(found)
