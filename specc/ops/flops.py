"""The work of nodes: their floating-point operations for one example.

flops(graph.nodes)      # a dense layer, 128 units on 784 values: 2 * 128 * 784 + 128 (bias)
"""

from __future__ import annotations

from collections.abc import Iterable

from specc.ir.graph import Node
from specc.ir.sizes import Size


def flops(nodes: Iterable[Node]) -> Size:
    """Return the floating-point operations of some nodes for one example."""
    return sum(node.op.flops(node) for node in nodes)
