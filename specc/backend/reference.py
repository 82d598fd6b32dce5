"""The NumPy interpreter of graphs: the oracle of the tests, and what evaluates initial values.

    evaluate(graph, {("param", "w"): array, ("input", "x"): batch}, seed=0)   # name -> array

Batched arrays come and go with the batch as their first axis. Everything is float64.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from specc.ir.graph import Graph, Node
from specc.ops.leaf import Input, Random

Leaves = Mapping[tuple[str, str], np.ndarray]


def evaluate(graph: Graph, leaves: Leaves, seed: int = 0) -> dict[str, np.ndarray]:
    """The value of every output. `leaves` gives the inputs by (role, name).

    Raises KeyError where an input that the outputs need is not given.
    """
    values: dict[Node, np.ndarray] = {}
    for node in graph.nodes:
        op = node.op
        if isinstance(op, Input):
            given = np.asarray(leaves[op.role, op.label])
            values[node] = given.astype(np.float64) if node.type.kind == "float" else given
        elif isinstance(op, Random):
            values[node] = op.draw(seed)
        else:
            types = tuple(each.type for each in node.inputs)
            values[node] = op.reference(types, *(values[each] for each in node.inputs))
    return {name: values[node] for name, node in graph.outputs.items()}
