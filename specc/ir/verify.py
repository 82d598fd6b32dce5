"""Check a graph by inferring every node anew with the ops' own rules.

A graph that fails is a bug of the compiler, not of the user: the assertion says which pass and
node.
"""

from __future__ import annotations

from specc.ir.graph import Graph
from specc.ir.op import ShapeError
from specc.ir.show import show_node


def verify(graph: Graph, after: str) -> Graph:
    """Return the graph, if each node has the type that its op infers from its inputs."""
    seen = set()
    for node in graph.nodes:
        assert all(each in seen for each in node.inputs), f"after {after}: a node before its input"
        seen.add(node)
        try:
            inferred = node.op.infer(*(each.type for each in node.inputs))
        except ShapeError as error:
            raise AssertionError(
                f"after {after}: {show_node(node)}: {error} (a bug of specc; please report it)"
            ) from error
        same = (inferred.kind, inferred.shape, inferred.batched) == (
            node.type.kind,
            node.type.shape,
            node.type.batched,
        )
        assert same, f"after {after}: {show_node(node)} should be {inferred} (a bug of specc)"
    return graph
