"""Round the operands of every product to bfloat16; weights, sums and updates keep their precision.

    Contract(w, x)  ->  Contract(bfloat16(w), bfloat16(x))

In and out: the graph of a forward pass, or of one with its gradients, before the optimizer's update
is added. So the products of the forward pass, the gradients of inputs and those of weights read
rounded operands, and add up in float32 (Kalamkar et al., A study of BFLOAT16 for deep learning
training, 2019). A value that several products read is rounded once. The rounding is an op like any
other, which the interpreter also computes.

If the machine multiplies bfloat16, the kernel rounds its operands while it packs them for these
instructions. For such a machine `into_products` makes the rounding a property of the product:

    Contract(bfloat16(w), bfloat16(x))  ->  Contract(w, x; rounded)
"""

from __future__ import annotations

from dataclasses import replace

from specc.ir.graph import Graph, Node, apply, over, rebuild, rewrite
from specc.ir.op import Form
from specc.ops.contract import Contract
from specc.ops.rounding import Bfloat16, bfloat16
from specc.ops.views import can_be_read, is_view


def round_operands(graph: Graph) -> Graph:
    """Return the graph with rounded operands in front of every product."""
    rounded: dict[Node, Node] = {}

    def of(node: Node) -> Node:
        """Return the node rounded; a view becomes a view of the rounded value."""
        if isinstance(node.op, Bfloat16):
            return node
        if node not in rounded:
            if is_view(node):
                rounded[node] = over(node, (of(node.inputs[0]), *node.inputs[1:]))
            else:
                rounded[node] = bfloat16(node)
        return rounded[node]

    def rule(old: Node, now: Node) -> Node:
        if now.op.form is not Form.CONTRACTION:
            return now
        return over(now, tuple(map(of, now.inputs)))

    return rebuild(graph, rule)


def into_products(graph: Graph) -> Graph:
    """Return the graph with products that round both of their operands themselves."""

    def rule(node: Node) -> Node:
        if not isinstance(node.op, Contract):
            return node
        plain = [_unrounded(each) for each in node.inputs]
        if not all(each is not None and can_be_read(each) for each in plain):
            return node
        return apply(replace(node.op, rounded=True), *filter(None, plain), origin=node.origin)

    return rewrite(graph, rule)


def _unrounded(node: Node) -> Node | None:
    """Return the operand before it was rounded, in the same view; None if it was not rounded."""
    if isinstance(node.op, Bfloat16):
        return node.inputs[0]
    if not is_view(node) or (first := _unrounded(node.inputs[0])) is None:
        return None
    return over(node, (first, *node.inputs[1:]))
