"""Values that are only another way of reading memory: how a chain of moves ends at a value that lies
somewhere, and with which strides it is read there.

    view(transposed)      # View(root, offset=0, strides=(1, 28))
"""

from __future__ import annotations

from collections.abc import Mapping

from specc.ir.graph import Graph, Node
from specc.ir.plan import View
from specc.ops.after import After
from specc.ops.broadcast import Broadcast
from specc.ops.leaf import Const, Input
from specc.ops.reduce import AllReduce
from specc.ops.shape import Reshape, Slice, Transpose

VIEWS = (After, Broadcast, Reshape, Slice, Transpose)


def root_of(node: Node) -> Node:
    """The value that lies in memory and that a node reads."""
    while isinstance(node.op, VIEWS):
        node = node.inputs[0]
    return node


def awaited(node: Node) -> list[Node]:
    """The values that must have been computed before a node reads its inputs.

    Of a sum over the shards that is the part of each shard: nobody waits for the others.
    """
    found: dict[Node, None] = {}
    for each in node.inputs:
        while isinstance(each.op, VIEWS):
            for value in each.inputs[1:]:
                root = root_of(value)
                root = root.inputs[0] if isinstance(root.op, AllReduce) else root
                if not isinstance(root.op, (Const, Input)):
                    found[root] = None
            each = each.inputs[0]
    return list(found)


def view(node: Node, bases: Mapping[Node, tuple[int, ...]] = {}) -> View:
    """How a node is read: views of views end at a node that lies in memory.

    `bases` gives the strides of roots that do not lie in C order.
    """
    chain = []
    while isinstance(node.op, VIEWS):
        chain.append(node)
        node = node.inputs[0]
    offset, strides = 0, bases.get(node) or c_strides(node.type.shape)
    shape = node.type.shape
    for each in reversed(chain):
        op = each.op
        if isinstance(op, Broadcast):
            spread = [0] * len(op.shape)
            for axis, stride in zip(op.axes, strides, strict=True):
                spread[axis] = stride
            strides = tuple(spread)
        elif isinstance(op, Transpose):
            strides = tuple(strides[axis] for axis in op.order)
        elif isinstance(op, Slice):
            offset += op.start * strides[op.axis]
            strides = (*strides[: op.axis], strides[op.axis] * op.step, *strides[op.axis + 1 :])
        elif isinstance(op, After):
            continue
        else:
            strides = _reshaped(shape, strides, op.shape)
            assert strides is not None, "prepare() copies what cannot be reshaped in place"
        shape = each.type.shape
    return View(node, offset, strides)


def parts_read(graph: Graph) -> dict[Node, tuple[tuple[int, int], ...]]:
    """For values of which nothing but slices is read: the first and the end of that along each axis."""
    found: dict[Node, tuple[tuple[int, int], ...]] = {}

    def note(node: Node, part: tuple[tuple[int, int], ...]) -> None:
        known = found.get(node, part)
        found[node] = tuple(
            (min(a, c), max(b, d)) for (a, b), (c, d) in zip(part, known, strict=True)
        )

    def whole(node: Node) -> tuple[tuple[int, int], ...]:
        return tuple((0, size) for size in node.type.shape)

    for node in graph.outputs.values():
        note(node, whole(node))
    for node in reversed(graph.nodes):
        for each in node.inputs:
            part, op = whole(each), node.op
            if isinstance(op, Slice) and op.step == 1:
                inner = found.get(node, whole(node))
                start, end = inner[op.axis]
                moved = (start + op.start, end + op.start)
                part = (*inner[: op.axis], moved, *inner[op.axis + 1 :])
            note(each, part)
    return {node: part for node, part in found.items() if part != whole(node)}


def in_c_order(node: Node) -> bool:
    """Whether the node's elements lie in memory one after the other, without gaps or repeats."""
    while isinstance(node.op, (After, Reshape)):
        node = node.inputs[0]
    try:
        seen = view(node)
    except AssertionError:
        return False
    c_order = c_strides(node.type.shape)
    return all(
        a == b or size == 1
        for a, b, size in zip(seen.strides, c_order, node.type.shape, strict=True)
    )


def c_strides(shape) -> tuple[int, ...]:
    """The strides of an array in C order, in elements."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def _reshaped(shape, strides, new_shape) -> tuple[int, ...] | None:
    """The strides of a view under another shape; None unless it lies in C order."""
    if all(
        a == b or size == 1 for a, b, size in zip(strides, c_strides(shape), shape, strict=True)
    ):
        return c_strides(new_shape)
    return None
