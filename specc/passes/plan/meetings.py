"""Find the values that processes send each other if each runs some of a plan's shards.

    meetings(order, views, division)    # (Meeting(node, made=0, read=1), ...)

Shards of one machine read each other's memory. Between machines a value travels after it has been
computed, and before the first phase that reads it: parts of sums over the batch, values of
examples that a sum by rows reads, and the rows of `peers`. What is one for all examples every
machine computes as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from specc.ir.graph import Node
from specc.ir.plan import Meeting, Mode, View
from specc.ops.leaf import Input, Role
from specc.ops.peers import Peers
from specc.ops.reduce import AllReduce
from specc.passes.division import Division
from specc.passes.plan.scheduled import Scheduled


def meetings(
    order: Sequence[Scheduled], views: Mapping[Node, View], division: Division
) -> tuple[Meeting, ...] | None:
    """Return the values that travel in a step; None if processes cannot share the work.

    Shards that work on the same examples, and one shard alone, are not divided among processes.
    """
    if division.is_tensor_parallel or division.shards == 1 or not all(map(_stays, order)):
        return None
    number = {node: i for i, node in enumerate(views)}
    maker = {node: s for s in order for node in (*s.group.nodes, *(node for node, _ in s.stores))}
    found: dict[Node, Meeting] = {}
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
                travels = root in summed or by_rows or isinstance(root.op, Peers)
            else:
                travels = by_rows and isinstance(root.op, Input)
            if travels:
                made = maker[root].phase if root in maker else 0
                read = min(s.phase, found[root].read) if root in found else s.phase
                found[root] = Meeting(root, made, read)
    return tuple(sorted(found.values(), key=lambda each: (each.made, number[each.node])))


def _stays(s: Scheduled) -> bool:
    """Return whether a shard writes what it computes of its examples to memory of its own."""
    return s.mode != Mode.SHARD or all(
        allocation.space == "arena"
        or allocation.space.startswith(f"{Role.SLOT}.")
        or (allocation.space == "shared" and isinstance(node.op, Peers))
        for node, allocation in s.stores
    )
