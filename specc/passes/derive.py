"""Write out the derivatives that a model itself contains: `gradient(y; x)`.

In: a graph with `Derivative` nodes. Out: the same values, made of other ops. The first one in the
order of the graph contains no other one; the next one may differentiate what it has become.
"""

from __future__ import annotations

from specc.ir.graph import Graph, Node, rebuild
from specc.ops.broadcast import sum_batch
from specc.ops.carry import closed, following
from specc.ops.derivative import Derivative
from specc.ops.elementwise import of_each
from specc.passes.autodiff import gradients


def derive(graph: Graph) -> Graph:
    """Return the graph without `Derivative` nodes."""
    while True:
        node = next((each for each in graph.nodes if isinstance(each.op, Derivative)), None)
        if node is None:
            return graph
        graph = _written_out(graph, node)


def _written_out(graph: Graph, node: Node) -> Graph:
    y, x = node.inputs
    # the examples do not see each other, so that each finds its own derivative in that of the sum
    total = sum_batch(y) if y.type.batched else y
    (found,), more = gradients(total, [x], following(graph))
    if x.type.batched and not found.type.batched:
        found = of_each(found, x)
    new = rebuild(graph, lambda old, now: found if old is node else now)
    return closed(new.outputs, {**following(new), **more})
