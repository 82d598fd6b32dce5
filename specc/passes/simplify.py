"""Rewrite a graph into an equal, smaller one: fold constants, join equal nodes, drop identities.

    mul(x, 1)  ->  x            sum(sum(x))  ->  one sum           max(0, x)  ->  max(x, 0)

Every rule is local, looks at one node whose inputs are already simplified, and keeps NaN and
infinity (x * 0 stays).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from specc.ir import sizes
from specc.ir.graph import Graph, Node, apply, rewrite
from specc.ir.op import Op
from specc.ir.sizes import Size
from specc.ops.broadcast import Broadcast, Sum
from specc.ops.elementwise import (
    Add,
    Detach,
    Div,
    Elementwise,
    Maximum,
    Minimum,
    Mul,
    Neg,
    Not,
    Select,
    Sub,
    mul,
)
from specc.ops.functions import Pow, Sqrt
from specc.ops.leaf import Const, constant
from specc.ops.shape import Concat, Pad, Reshape, Slice, Transpose


def simplify(graph: Graph) -> Graph:
    """Return the simplified graph: walks from the inputs up, until nothing changes."""
    while True:
        before = len(graph.nodes)
        graph = _walk(graph)
        if len(graph.nodes) == before:
            return graph


def _walk(graph: Graph) -> Graph:
    canonical: dict[tuple[Op, tuple[int, ...]], Node] = {}

    def rule(now: Node) -> Node:
        for _ in range(8):  # a rule's result may itself be simplified
            then = _rule(now)
            if then is None or then is now:
                break
            now = then
        return canonical.setdefault(now.key, now)

    return rewrite(graph, rule)


def _rule(node: Node) -> Node | None:
    """Return a simpler node, or None."""
    op = node.op
    if isinstance(op, Detach):
        return node.inputs[0]
    if isinstance(op, Elementwise):
        return _elementwise(node)
    (x,) = node.inputs if len(node.inputs) == 1 else (None,)
    if x is None:
        return None
    if isinstance(op, Reshape):
        if x.type.shape == op.shape:
            return x
        if isinstance(x.op, Reshape):
            return _with_origin(apply(op, x.inputs[0]), node)
    if isinstance(op, Transpose):
        if op.order == tuple(range(len(op.order))):
            return x
        if isinstance(x.op, Transpose):
            order = tuple(x.op.order[axis] for axis in op.order)
            return _with_origin(apply(Transpose(order), x.inputs[0]), node)
    if isinstance(op, Slice) and op.count == x.type.shape[op.axis] and op.start == 0:
        return x
    if isinstance(op, Broadcast):
        if op.shape == x.type.shape:
            return x
        if isinstance(x.op, Broadcast):
            axes = tuple(op.axes[axis] for axis in x.op.axes)
            return _with_origin(apply(Broadcast(op.shape, axes), x.inputs[0]), node)
    if isinstance(op, Sum):
        return _sum(node, op, x)
    return None


def _sum(node: Node, op: Sum, x: Node) -> Node | None:
    if not op.axes and not op.batch:
        return x
    if isinstance(x.op, Sum):
        # the axes of the outer sum, as numbered before the inner sum removed its own
        kept = [a for a in range(x.inputs[0].type.rank) if a not in x.op.axes]
        axes = tuple(sorted((*x.op.axes, *(kept[a] for a in op.axes))))
        return _with_origin(apply(Sum(axes, op.batch or x.op.batch), x.inputs[0]), node)
    if isinstance(x.op, Broadcast) and op.axes:
        source = x.inputs[0]
        new = [a for a in op.axes if a not in x.op.axes]
        count = sizes.product(x.type.shape[a] for a in new)
        if new and isinstance(count, int):
            inner = tuple(x.op.axes.index(a) for a in op.axes if a in x.op.axes)
            left = [a for a in range(x.type.rank) if a not in op.axes]
            scaled = mul(source, float(count))
            reduced = apply(Sum(inner, op.batch), scaled) if inner or op.batch else scaled
            remaining = [a for a in x.op.axes if a not in op.axes]
            shape = tuple(x.type.shape[a] for a in left)
            if reduced.type.shape != shape:
                spread = Broadcast(shape, tuple(left.index(a) for a in remaining))
                reduced = apply(spread, reduced)
            return _with_origin(reduced, node)
    return None


def _elementwise(node: Node) -> Node | None:
    op, inputs = node.op, node.inputs
    values = [_value(each) for each in inputs]
    known = [value for value in values if value is not None]
    if len(known) == len(values):
        return _folded(node, known)
    if node.type.shape and all(_spread_scalar(each) for each in inputs):
        # compute with the scalar once, then broadcast the result
        scalars = [each.inputs[0] for each in inputs]
        return apply(Broadcast(node.type.shape), _with_origin(apply(op, *scalars), node))
    first = inputs[0]
    if isinstance(op, Select):
        return _choice(node, values[0])
    if isinstance(op, (Neg, Not)):
        return first.inputs[0] if type(first.op) is type(op) else None
    return _binary(node, values) if len(inputs) == 2 else None


def _choice(node: Node, condition: Any) -> Node | None:
    """Return one of the two values, if the condition is known or both are equal."""
    chosen = node.inputs[2]
    if condition or node.inputs[1] is chosen:
        chosen = node.inputs[1]
    elif condition is None:
        return None
    return chosen if chosen.type.batched == node.type.batched else None


def _binary(node: Node, values: Sequence[Any]) -> Node | None:
    """Return a simpler node for an op on two operands, one of which may be a known number."""
    op = node.op
    first, second = node.inputs
    left, right = values
    if left is not None:
        if isinstance(op, (Add, Mul, Maximum, Minimum)):
            return apply(op, second, first, origin=node.origin)  # move the constant to the right
        if isinstance(op, Sub) and left == 0.0 and second.type.batched == node.type.batched:
            return apply(Neg(), second, origin=node.origin)
    if right is not None:
        return _by_constant(node, first, right)
    return _sum_of_signed(node, first, second)


def _by_constant(node: Node, first: Node, right: Any) -> Node | None:
    """Return a simpler node for an op whose right operand is a known number."""
    op = node.op
    keep = first.type.batched == node.type.batched
    if isinstance(op, (Add, Sub)) and right == 0.0 and keep:
        return first
    if isinstance(op, (Mul, Div)) and right == 1.0 and keep:
        return first
    if isinstance(op, Mul) and right == -1.0:
        return apply(Neg(), first, origin=node.origin)
    if isinstance(op, Div) and right != 0 and _is_power_of_two(right):
        return _with_origin(mul(first, 1.0 / right), node)
    if isinstance(op, Mul) and isinstance(first.op, Mul):
        inner = _value(first.inputs[1])
        if inner is not None:
            return _with_origin(mul(first.inputs[0], inner * right), node)
    return _power(node, first, right, keep) if isinstance(op, Pow) else None


def _sum_of_signed(node: Node, first: Node, second: Node) -> Node | None:
    """Simplify a sum or difference with a negated right operand, or of values side by side."""
    op = node.op
    if isinstance(op, Add) and isinstance(second.op, (Pad, Add)):
        joined = _joined(node)
        if joined is not None:
            return joined
    if isinstance(op, Add) and isinstance(second.op, Neg):
        return apply(Sub(), first, second.inputs[0], origin=node.origin)
    if isinstance(op, Sub) and isinstance(second.op, Neg):
        return apply(Add(), first, second.inputs[0], origin=node.origin)
    return None


MOST_PARTS = 32


def _joined(node: Node) -> Node | None:
    """Return a sum of values placed side by side as a `Concat`: the gradient of `split`."""
    parts: list[tuple[int, Pad, Node]] = []  # the start of each value, its padding, the value
    stack = [node]
    while stack:
        each = stack.pop()
        if isinstance(each.op, Add):
            stack.extend(each.inputs)
        elif isinstance(each.op, Pad) and each.op.step == 1 and each.op.fill == 0.0:
            if not isinstance(each.op.start, int):
                return None
            parts.append((each.op.start, each.op, each))
        else:
            return None
        if len(parts) + len(stack) > MOST_PARTS:
            return None
    axis, size = parts[0][1].axis, parts[0][1].size
    if any(pad.axis != axis for _, pad, _ in parts):
        return None
    parts.sort(key=lambda part: part[0])
    first = parts[0][0]
    end: Size = first
    pieces: list[Node] = []
    for start, _, each in parts:
        if start != end or each.type.batched != node.type.batched:
            return None
        (piece,) = each.inputs
        end = end + piece.type.shape[axis]
        same = isinstance(piece.op, Concat) and piece.op.axis == axis
        pieces.extend(piece.inputs if same else (piece,))
    whole = apply(Concat(axis), *pieces)
    return _with_origin(
        whole if (first, end) == (0, size) else apply(Pad(axis, first, size), whole), node
    )


def _power(node: Node, base: Node, exponent: float, keep: bool) -> Node | None:
    if exponent == 1.0 and keep:
        return base
    if exponent == 2.0:
        return apply(Mul(), base, base, origin=node.origin)
    if exponent == 0.5:
        return apply(Sqrt(), base, origin=node.origin)
    return None


def _folded(node: Node, values: Sequence[float]) -> Node | None:
    import numpy as np

    arrays = [np.asarray(value) for value in values]
    result = node.op.reference((), *arrays).item()
    kind = node.type.kind
    scalar = constant(result, kind, node.origin)
    return apply(Broadcast(node.type.shape), scalar) if node.type.shape else scalar


def _value(node: Node) -> float | None:
    """Return the number of a constant, broadcast or not; None for any other node."""
    while isinstance(node.op, Broadcast):
        node = node.inputs[0]
    if isinstance(node.op, Const) and isinstance(node.op.value, (bool, int, float)):
        return node.op.value
    return None


def _spread_scalar(node: Node) -> bool:
    return isinstance(node.op, Broadcast) and node.inputs[0].type.shape == ()


def _is_power_of_two(value: float) -> bool:
    import math

    return math.frexp(value)[0] in (0.5, -0.5)


def _with_origin(node: Node, like: Node) -> Node:
    return Node(node.op, node.inputs, node.type, like.origin)
