"""Take slices of operands instead of slices of a formula's result, where nothing else reads it.

    slice(a + b, gate i), slice(a + b, gate f)   ->   slice(a) + slice(b), ...

The gates of a recurrent cell are slices of one sum: so they read its products where these lie, and
the sum is written nowhere.
"""

from __future__ import annotations

from specc.ir.graph import Graph, Node, apply
from specc.ops.elementwise import Elementwise
from specc.ops.shape import Slice


def part(graph: Graph) -> Graph:
    """The graph without formulas that only slices read, none of whose elements two of them read."""
    while parted := _parted(graph):
        new: dict[Node, Node] = {}
        for node in graph.nodes:
            inputs = tuple(new[each] for each in node.inputs)
            same = all(a is b for a, b in zip(inputs, node.inputs, strict=True))
            new[node] = node if same else Node(node.op, inputs, node.type, node.origin)
            if isinstance(node.op, Slice) and node.inputs[0] in parted:
                (whole,) = inputs
                operands = (apply(node.op, each, origin=node.origin) for each in whole.inputs)
                new[node] = apply(whole.op, *operands, origin=node.origin)
        graph = Graph({name: new[node] for name, node in graph.outputs.items()})
    return graph


def _parted(graph: Graph) -> set[Node]:
    """The formulas to take apart."""
    outputs = set(graph.outputs.values())
    return {
        node
        for node in graph.nodes
        if isinstance(node.op, Elementwise)
        and node.inputs
        and node not in outputs
        and len(graph.users[node]) > 1
        and _disjoint(graph.users[node])
    }


def _disjoint(users: list[Node]) -> bool:
    """Whether these are slices of which no two have an element in common."""
    if not all(isinstance(each.op, Slice) and each.op.step == 1 for each in users):
        return False
    if len({each.op.axis for each in users}) > 1:
        return False
    ends = sorted((each.op.start, each.op.start + each.op.count) for each in users)
    return all(end <= start for (_, end), (start, _) in zip(ends, ends[1:], strict=False))
