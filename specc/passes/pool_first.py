"""Take the maximum of windows before what keeps the order: a bias and a relu of fewer numbers.

    maxpool(relu(x + b))   ->   relu(maxpool(x) + b)

The largest of several numbers is still the largest after the same number was added to each, or
after each was replaced by a constant that is larger. Rounding keeps the order, too, so both sides
are equal to the last bit. The right one adds, compares and differentiates a quarter of the numbers,
if windows have four.

The pass runs before gradients are taken. Where several elements of a window become equal, the
gradient goes to the one that was largest before.
"""

from __future__ import annotations

from specc.ir.graph import Graph, Node, apply, rebuild
from specc.ops.broadcast import Broadcast
from specc.ops.elementwise import Add, Maximum
from specc.ops.window import WindowMax


def pool_first(graph: Graph) -> Graph:
    """Return the graph with the maxima of windows before sums that only they read, and maxima."""
    if not any(isinstance(node.op, WindowMax) for node in graph.nodes):
        return graph
    outputs = set(graph.outputs.values())

    def rule(old: Node, now: Node) -> Node:
        if not isinstance(old.op, WindowMax):
            return now
        value, inner = old.inputs[0], now.inputs[0]
        passed: list[tuple[Node, int]] = []
        while len(graph.users[value]) == 1 and value not in outputs:
            position = _position_of_constant(value)
            if position is None:
                break
            passed.append((inner, position))
            value, inner = value.inputs[1 - position], inner.inputs[1 - position]
        if not passed:
            return now
        found = Node(old.op, (inner,), now.type, old.origin)
        for each, position in reversed(passed):
            spread = each.inputs[position]
            beside = Broadcast(now.type.shape, spread.op_as(Broadcast).axes)
            operands = [found, found]
            operands[position] = apply(beside, spread.inputs[0])
            found = Node(each.op, tuple(operands), now.type, each.origin)
        return found

    return rebuild(graph, rule)


def _position_of_constant(node: Node) -> int | None:
    """Return which operand of a sum or maximum is the same all over a window; None: none is."""
    if not isinstance(node.op, (Add, Maximum)):
        return None
    for position, each in enumerate(node.inputs):
        if isinstance(each.op, Broadcast) and all(
            axis < node.type.rank - 2 for axis in each.op.axes
        ):
            return position
    return None
