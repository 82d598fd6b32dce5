"""Join the paddings of an image along its axes into one.

    pad(pad(x, axis 1), axis 2)  ->  frame(x)

A frame is written in one copy. If the whole batch is one example, the frame has memory of its own,
whose border is zeroed only once, because nothing else writes there.
"""

from __future__ import annotations

from specc.ir import sizes
from specc.ir.graph import Graph, Node, rebuild
from specc.ops.carry import Carry
from specc.ops.shape import Frame, Pad


def frame(graph: Graph) -> Graph:
    """Return the graph with every padding by zeros, except those of vectors, as a frame."""
    if any(isinstance(node.op, Carry) for node in graph.nodes):
        return graph  # `Frame` has no form for one step, so a loop could not hold it
    outputs = set(graph.outputs.values())
    alone = {node for node in graph.nodes if len(graph.users[node]) == 1 and node not in outputs}
    framed: set[Node] = set()

    def join(old: Node, node: Node) -> Node:
        op = node.op
        if not isinstance(op, Pad) or op.step != 1 or op.fill != 0.0 or node.type.kind != "float":
            return node
        if node.type.rank < 2:  # dense layers are divided by rows, which a `Frame` cannot be
            return node
        (x,) = node.inputs
        starts = [sizes.bound(op.start) if axis == op.axis else 0 for axis in range(x.type.rank)]
        if x in framed:
            starts = [a + b for a, b in zip(starts, x.op_as(Frame).starts, strict=True)]
            (x,) = x.inputs
        made = Node(Frame(tuple(starts), node.type.shape), (x,), node.type, node.origin)
        if old in alone:
            framed.add(made)
        return made

    return rebuild(graph, join)
