"""Split products of joined values, so that the part without the state runs outside of the loop.

    W @ concat(x, h)  ->  W[:, :n] @ x + W[:, n:] @ h      # the first is one product for all steps

The pass runs before gradients are taken, so the gradients for x and for W are split as well.
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
    """Return the graph with every product of a joined value split if a part of it is a state.

    A cell that follows another one depends on the states of both, but only its own state is in
    its loop.
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
    """Return the sum of the products with each part.

    None if the joined axis is not a single index of the product.
    """
    op = node.op_as(Contract)
    joined, other = node.inputs[position], node.inputs[1 - position]
    axis_joined = joined.op_as(Concat).axis
    maps = [op.left, op.right]
    index = maps[position][axis_joined].sole_index
    if index is None:
        return None
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
