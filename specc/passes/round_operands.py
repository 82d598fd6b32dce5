"""Round the operands of every product to bfloat16; weights, sums and updates keep their precision.

    Contract(w, x)  ->  Contract(bfloat16(w), bfloat16(x))

In and out: the graph of a forward pass, or of one with its gradients, before the optimizer's update
is added. So the products of the forward pass, the gradients of inputs and those of weights read
rounded operands, and add up in float32 (Kalamkar et al., A study of BFLOAT16 for deep learning
training, 2019). A value that several products read is rounded once. The rounding is an op like any
other: the interpreter rounds alike, and every kernel is right that computes with rounded numbers.
"""

from __future__ import annotations

from specc.ir.graph import Graph, Node, over, rebuild
from specc.ir.op import Form
from specc.ops.rounding import Bfloat16, bfloat16
from specc.ops.views import is_view


def round_operands(graph: Graph) -> Graph:
    """Return the graph with rounded operands in front of every product."""
    rounded: dict[Node, Node] = {}

    def of(node: Node) -> Node:
        """The node rounded: a view of memory is a view of rounded memory."""
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
