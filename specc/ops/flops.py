"""How much work nodes are: their floating-point operations for one example.

flops(graph.nodes)      # a dense layer of 128 units on 784 values: 2 * 128 * 784, and 128 for the bias
"""

from __future__ import annotations

from collections.abc import Iterable

from specc.ir import sizes
from specc.ir.graph import Node
from specc.ops.broadcast import Sum
from specc.ops.contract import Contract
from specc.ops.elementwise import Elementwise
from specc.ops.reduce import Max
from specc.ops.window import WindowMax


def flops(nodes: Iterable[Node]) -> int:
    """Floating-point operations of some nodes for one example (a multiply-add counts as two)."""
    return sum(_flops(node) for node in nodes)


def _flops(node: Node) -> int:
    op = node.op
    if isinstance(op, Contract):
        return 2 * sizes.product(op.extents)
    if isinstance(op, Elementwise):
        return node.type.elements
    if isinstance(op, (Sum, Max)):
        return node.inputs[0].type.elements
    if isinstance(op, WindowMax):
        return node.type.elements * sizes.product(op.size)
    return 0
