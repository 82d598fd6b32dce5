"""Find the values that processes send each other if each runs some of a plan's shards.

    meetings(order, views, division)    # {0: (node, ...)}: after phase 0 all get all shards' parts

Shards of one process read each other's memory. Between processes a value travels at the end of the
phase in which it is computed: parts of sums over the batch, values of examples that a sum by rows
reads, and the rows of `peers`. What is one for all examples every process computes as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from specc.ir.graph import Node
from specc.ir.plan import Mode, View
from specc.ops.leaf import Input, Role
from specc.ops.peers import Peers
from specc.ops.reduce import AllReduce
from specc.passes.division import Division
from specc.passes.plan.scheduled import Scheduled


def meetings(
    order: Sequence[Scheduled], views: Mapping[Node, View], division: Division
) -> dict[int, tuple[Node, ...]] | None:
    """Return the values that travel after each phase; None if processes cannot share the work.

    They share no work of a team, which works on the same examples, and of one shard.
    """
    if division.team or division.shards == 1 or not all(map(_stays, order)):
        return None
    number = {node: i for i, node in enumerate(views)}
    maker = {node: s for s in order for node in (*s.group.nodes, *(node for node, _ in s.stores))}
    found: dict[int, set[Node]] = {}
    for s in order:
        summed = {
            views[each].root
            for node in s.group.nodes
            if isinstance(node.op, AllReduce)
            for each in node.inputs
        }
        for root in s.reads:
            by_rows = root.type.batched and s.mode == Mode.ROWS
            if root in maker:
                if root in summed or by_rows or isinstance(root.op, Peers):
                    found.setdefault(maker[root].phase, set()).add(root)
            elif by_rows and isinstance(root.op, Input):
                found.setdefault(0, set()).add(root)
    return {phase: tuple(sorted(nodes, key=number.__getitem__)) for phase, nodes in found.items()}


def _stays(s: Scheduled) -> bool:
    """Return whether a shard writes what it computes of its examples to memory of its own."""
    return s.mode != Mode.SHARD or all(
        place.space == "arena"
        or place.space.startswith(f"{Role.SLOT}.")
        or (place.space == "shared" and isinstance(node.op, Peers))
        for node, place in s.stores
    )
