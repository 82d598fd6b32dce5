"""Products of looked-up rows as look-ups in a table of products.

    W @ table[index]  ->  (table @ W.T)[index]      # one product for each row of the table

Run before gradients are taken: the gradients of `W` and `table` are then products with the rows'
sums of gradients, one row for each entry of the table, and not with all positions of the batch.
It pays where a batch looks up far more rows than there are, as in a model of characters.
"""

from __future__ import annotations

from specc.ir.graph import Graph, Node, apply, rebuild, topological
from specc.ir.sizes import count
from specc.ops.carry import closed, following
from specc.ops.contract import Affine, Contract, Map, index
from specc.ops.gather import Take
from specc.ops.leaf import Input, Role

# Rows that a batch must look up for each row of the table. From then on at least half of the
# products are saved, which pays for the longer rows that are moved.
AGAIN = 2
MOST = 1 << 21  # elements of a table that is made ahead of a program


def tabulate(graph: Graph, examples: int | None) -> Graph:
    """Return the graph with tables of products of looked-up rows, for batches of `examples`.

    None stands for a program that does not change the weights: it makes its tables only once.
    """
    if not any(isinstance(node.op, Take) for node in graph.nodes):
        return graph

    def rule(old: Node, now: Node) -> Node:
        if isinstance(now.op, Contract) and not now.op.sum_batch and not now.op.rounded:
            for position, each in enumerate(now.inputs):
                if each.op == Take() and (found := _tabulated(now, position, examples)):
                    return found
        return now

    graph = rebuild(graph, rule)
    return closed(graph.outputs, following(graph))


def _tabulated(node: Node, position: int, examples: int | None) -> Node | None:
    """Return the look-up in a table of products; None if it would differ or be slower."""
    op, taken, other = node.op_as(Contract), node.inputs[position], node.inputs[1 - position]
    table, at = taken.inputs
    if table.type.batched or other.type.batched or not at.type.batched:
        return None
    rank = at.type.rank
    maps = [op.left, op.right]
    places = maps[position][:rank]
    if op.out[:rank] != places or op.shape[:rank] != at.type.shape:
        return None
    own = [each.sole_index for each in places]
    others = (*maps[position][rank:], *maps[1 - position], *op.out[rank:])
    elsewhere = {i for each in others for i, _ in each.terms}
    if None in own or len({*own}) != rank or elsewhere & {*own}:
        return None
    if any(
        op.extents[i] != size for i, size in zip(own, at.type.shape, strict=True) if i is not None
    ):
        return None
    shape = (table.type.shape[0], *op.shape[rank:])
    if not all(isinstance(size, int) for size in (*shape, *at.type.shape)):
        return None
    if examples is not None:
        if examples * count(at.type.shape) < AGAIN * count(shape[:1]):
            return None
    elif count(shape) > MOST or not _follow_from_weights(table, other):
        return None
    # the indices that are left, and one for the rows of the table
    kept = [i for i in range(op.rank) if i not in own]
    number = {i: n for n, i in enumerate(kept)}
    row = (index(len(kept)),)

    def renumbered(map_: Map) -> Map:
        return tuple(
            Affine(tuple((number[i], c) for i, c in each.terms), each.constant) for each in map_
        )

    maps[position] = row + renumbered(maps[position][rank:])
    maps[1 - position] = renumbered(maps[1 - position])
    product = Contract(
        (*(op.extents[i] for i in kept), table.type.shape[0]),
        row + renumbered(op.out[rank:]),
        maps[0],
        maps[1],
        shape,
    )
    operands = (table, other) if position == 0 else (other, table)
    return apply(Take(), apply(product, *operands, origin=node.origin), at, origin=node.origin)


def _follow_from_weights(*nodes: Node) -> bool:
    """Return whether values depend on nothing but parameters."""
    leaves = (each.op for each in topological(nodes) if isinstance(each.op, Input))
    return all(leaf.role == Role.PARAM for leaf in leaves)
