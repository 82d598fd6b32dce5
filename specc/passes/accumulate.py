"""A training step of several batches: gradients are added up, then one update reads the sums.

    accumulated(graph, program)    # "gradient.PATH" = what is there + share * gradient of the batch
    update_alone(program)          # "gradient.PATH" as inputs, for `lower.update`

The share of a batch is its part of the step's examples, so the sum is the mean gradient over all of
them. The first batch of a step overwrites what is there. For rules that take the gradient at
another place, all batches run a second time, and "again.PATH" is added up in the same way.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

from specc.ir.graph import Graph, Node, serving
from specc.ir.names import RECORDED, OutputKind, kind_of
from specc.ir.program import Program
from specc.ir.types import Type
from specc.ops.carry import closed, following
from specc.ops.elementwise import add, equal, mul, select
from specc.ops.leaf import Input, Role, leaf

SHARE, IS_LATER = "0", "1"
"""The settings of a batch: its share of the examples, and 1 if it is not the first of its step."""
SETTINGS = 2
"""The number of settings of a batch, which come before those of a schedule."""


def accumulated(graph: Graph, program: Program) -> Graph:
    """Return the graph of a batch that adds its gradients up, without an update."""
    share, is_later = (leaf(Input(Role.SETTING, each)) for each in (SHARE, IS_LATER))
    is_first = equal(is_later, 0.0)
    outputs = {
        name: node
        for name, node in graph.outputs.items()
        if kind_of(name) in (*RECORDED, OutputKind.STATE, OutputKind.SLOT)
    }
    for name, before in _gradients(program).items():
        if name in graph.outputs:
            own = graph.outputs[name]
            origin = replace(own.origin, again=False)
            with serving(origin) if own.origin.again else nullcontext():
                outputs[name] = add(select(is_first, 0.0, before), mul(share, own))
    return closed(outputs, following(graph))


def update_alone(program: Program) -> Graph:
    """Return the graph of the gradients that an update reads."""
    return Graph(_gradients(program))


def _gradients(program: Program) -> dict[str, Node]:
    """Return the sums so far, for each parameter that is trained, and those at other places."""
    types: dict[str, Type] = {each.path: each.type for each in program.parameters}
    found = {}
    for each in program.updates:
        roles = (Role.GRADIENT,) if each.again is None else (Role.GRADIENT, Role.AGAIN)
        for role in roles:
            found[f"{role}.{each.path}"] = leaf(Input(role, each.path, types[each.path]))
    return found
