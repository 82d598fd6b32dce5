"""Take out of loops what does not depend on their state.

Products of what a cell joins to its state.

    W @ concat(x, h)  ->  W[:, :n] @ x + W[:, n:] @ h      # the first is one product for all steps

Run before gradients are taken: their products for x and for the weights are then apart, too.
"""

from __future__ import annotations

from dataclasses import replace

from specc.ir.graph import Graph, Node, apply, rebuild
from specc.ir.sizes import Size
from specc.ops.carry import Carry, closed, following, loops
from specc.ops.contract import Affine, Contract
from specc.ops.elementwise import add
from specc.ops.shape import Concat, Slice


def hoist(graph: Graph) -> Graph:
    """The graph with every product of a joined value split where a part of it waits for the
    product's state.

    A cell behind another one waits for the states of both, but only its own are in its loop.
    """
    if not any(isinstance(node.op, Carry) for node in graph.nodes):
        return graph
    within = {node: loop for loop in loops(graph) for node in loop.nodes}

    def rule(old: Node, now: Node) -> Node:
        if isinstance(old.op, Contract) and old in within:
            for position, each in enumerate(old.inputs):
                own = {within.get(part) is within[old] for part in each.inputs}
                if isinstance(each.op, Concat) and len(own) == 2:
                    return _split(now, position) or now
        return now

    graph = rebuild(graph, rule)
    return closed(graph.outputs, following(graph))


def _split(node: Node, position: int) -> Node | None:
    """The sum of the products with each part.

    None where the joined axis is not one index of its own.
    """
    op = node.op_as(Contract)
    joined, other = node.inputs[position], node.inputs[1 - position]
    axis_joined = joined.op_as(Concat).axis
    maps = [op.left, op.right]
    expression = maps[position][axis_joined]
    if len(expression.terms) != 1 or expression.constant or expression.terms[0][1] != 1:
        return None
    ((index, _),) = expression.terms
    uses = [
        (axis, each) for axis, each in enumerate(maps[1 - position]) if index in dict(each.terms)
    ]
    alone = all(each == Affine(((index, 1),)) for _, each in uses)
    elsewhere = sum(index in dict(each.terms) for each in maps[position])
    if not alone or elsewhere != 1 or any(index in dict(each.terms) for each in op.out):
        return None
    total: Node | None = None
    start: Size = 0
    for part in joined.inputs:
        size = part.type.shape[axis_joined]
        taken = other
        for axis, _ in uses:
            taken = apply(Slice(axis, start, size), taken)
        extents = (*op.extents[:index], size, *op.extents[index + 1 :])
        operands = (part, taken) if position == 0 else (taken, part)
        product = apply(replace(op, extents=extents), *operands, origin=node.origin)
        total = product if total is None else add(total, product)
        start = start + size
    return total
