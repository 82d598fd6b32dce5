"""Push slices through a formula to its operands, if only slices read its result.

    slice(a + b, gate i), slice(a + b, gate f)   ->   slice(a) + slice(b), ...

The gates of a recurrent cell are slices of one sum. With the slices pushed to its operands, each
gate reads the products directly, and the sum is never stored.
"""

from __future__ import annotations

import itertools
from functools import partial

from specc.ir.graph import Graph, Node, apply, rebuild
from specc.ops.elementwise import Elementwise
from specc.ops.shape import Slice


def push_slices(graph: Graph) -> Graph:
    """Return the graph with formulas of slices for disjoint slices of formulas."""
    while sliced := _sliced(graph):
        graph = rebuild(graph, partial(_pushed, sliced))
    return graph


def _pushed(sliced: set[Node], old: Node, now: Node) -> Node:
    """Return the formula of slices in place of a slice of one of the formulas `sliced`."""
    if not isinstance(old.op, Slice) or old.inputs[0] not in sliced:
        return now
    (whole,) = now.inputs
    operands = (apply(old.op, each, origin=old.origin) for each in whole.inputs)
    return apply(whole.op, *operands, origin=old.origin)


def _sliced(graph: Graph) -> set[Node]:
    """Return the formulas that only disjoint slices read."""
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
    """Return whether all users are slices along one axis, no two of which share an element."""
    slices = [each.op for each in users if isinstance(each.op, Slice) and each.op.step == 1]
    if len(slices) < len(users) or len({each.axis for each in slices}) > 1:
        return False
    ends = sorted((each.start, each.start + each.count) for each in slices)
    return all(end <= start for (_, end), (start, _) in itertools.pairwise(ends))
