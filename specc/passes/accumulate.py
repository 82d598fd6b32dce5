"""A training step of several batches: gradients are added up, then one update reads the sums.

    accumulated(graph, program)    # "gradient.PATH" = what is there + share * gradient of the batch
    update_alone(program)          # "gradient.PATH" as inputs, for `lower.update`

The share of a batch is its part of the step's examples, so the sum is the mean gradient over all of
them. The first batch of a step overwrites what is there.
"""

from __future__ import annotations

from specc.ir.graph import Graph, Node
from specc.ir.names import RECORDED, OutputKind, kind_of
from specc.ir.program import Program
from specc.ir.types import Type
from specc.ops.carry import closed, following
from specc.ops.elementwise import add, equal, mul, select
from specc.ops.leaf import Input, Role, leaf

SHARE, IS_LATER = "0", "1"
"""The settings of a batch: its share of the examples, and 1 if it is not the first of its step."""


def accumulated(graph: Graph, program: Program) -> Graph:
    """Return the graph of a batch that adds its gradients up, without an update."""
    share, is_later = (leaf(Input(Role.SETTING, each)) for each in (SHARE, IS_LATER))
    is_first = equal(is_later, 0.0)
    outputs = {
        name: node
        for name, node in graph.outputs.items()
        if kind_of(name) in (*RECORDED, OutputKind.STATE, OutputKind.SLOT)
    }
    for path, before in _gradients(program).items():
        own = graph.outputs[f"gradient.{path}"]
        outputs[f"gradient.{path}"] = add(select(is_first, 0.0, before), mul(share, own))
    return closed(outputs, following(graph))


def update_alone(program: Program) -> Graph:
    """Return the graph of the gradients that an update reads."""
    return Graph({f"gradient.{path}": node for path, node in _gradients(program).items()})


def _gradients(program: Program) -> dict[str, Node]:
    """Return the sums so far, for each parameter that is trained."""
    types: dict[str, Type] = {each.path: each.type for each in program.parameters}
    return {
        each.path: leaf(Input(Role.GRADIENT, each.path, types[each.path]))
        for each in program.updates
    }
