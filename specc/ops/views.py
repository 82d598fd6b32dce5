"""Views: values that are read from the memory of another value, with an offset and strides.

    view(transposed)      # View(root, offset=0, strides=(1, 28))

A view of a view is read directly from the root of the chain, which has memory of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from specc.ir.graph import Graph, Node
from specc.ir.op import Box, Form, Strides
from specc.ir.plan import View
from specc.ir.sizes import Size, bound
from specc.ops.shape import c_strides


def is_view(node: Node) -> bool:
    """Return whether a node is read from the memory of its first input."""
    return node.op.form is Form.VIEW


def root_of(node: Node) -> Node:
    """Return the node whose memory holds the value of `node`."""
    while is_view(node):
        node = node.inputs[0]
    return node


def awaited(node: Node) -> list[Node]:
    """Return the values that must have been computed before a node reads its inputs.

    For a sum over the shards this is each shard's own part, so no shard waits for another.
    """
    found: dict[Node, None] = {}
    for each in node.inputs:
        while is_view(each):
            for value in each.inputs[1:]:
                root = root_of(value)
                root = root.inputs[0] if root.op.form is Form.SHARDS else root
                if root.op.form is not Form.LEAF:
                    found[root] = None
            each = each.inputs[0]
    return list(found)


def view(node: Node, bases: Mapping[Node, Strides] = {}) -> View:
    """Return how a node is read: the root of its chain of views, an offset and strides.

    `bases` gives the strides of roots that are not stored in C order.
    """
    seen = _view(node, bases)
    assert seen is not None, "prepare() copies what cannot be reshaped in place"
    root, offset, strides = seen
    return View(root, bound(offset), tuple(map(bound, strides)))


def _view(node: Node, bases: Mapping[Node, Strides]) -> tuple[Node, Size, Strides] | None:
    """Return the root, offset and strides of a node; None if its chain of views needs a copy."""
    chain = []
    while is_view(node):
        chain.append(node)
        node = node.inputs[0]
    shape, strides = node.type.shape, bases.get(node) or c_strides(node.type.shape)
    offset: Size = 0
    for each in reversed(chain):
        read = each.op.viewed(shape, strides)
        if read is None:
            return None
        moved, strides = read
        offset, shape = offset + moved, each.type.shape
    return node, offset, strides


def can_be_read(node: Node) -> bool:
    """Return whether a chain of views can be read without a copy."""
    return _view(node, {}) is not None


def parts_read(graph: Graph) -> dict[Node, Box]:
    """Return the box that is read of each value, for the values that are not read completely."""
    found: dict[Node, Box] = {}

    def note(node: Node, part: Box) -> None:
        known = found.get(node, part)
        found[node] = tuple(
            (min(a, c), max(b, d)) for (a, b), (c, d) in zip(part, known, strict=True)
        )

    def whole(node: Node) -> Box:
        return tuple((0, size) for size in node.type.bound_shape)

    for node in graph.outputs.values():
        note(node, whole(node))
    for node in reversed(graph.nodes):
        inner = found.get(node, whole(node))
        for each in node.inputs:
            note(each, node.op.part_read(inner, whole(each)))
    return {node: part for node, part in found.items() if part != whole(node)}


def in_c_order(node: Node) -> bool:
    """Return whether the elements are stored one after the other, without gaps or repeats."""
    seen, shape = _view(node, {}), node.type.shape
    return seen is not None and all(
        a == b or size == 1 for a, b, size in zip(seen[2], c_strides(shape), shape, strict=True)
    )
