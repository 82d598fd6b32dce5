"""Decide when each group runs, and on which shards.

    scheduled = [
        Scheduled(group, sharing.mode(group), [], reads(group, views)) for group in groups
    ]
    assign_phases(scheduled, sharing, targets)
    ordered(scheduled, bytes_of)       # phase by phase

Shards meet only at barriers, which separate *phases*: a kernel that reads what another shard wrote
is put into a later phase.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping

from specc.ir.graph import Node
from specc.ir.names import OVERWRITING, kind_of
from specc.ir.plan import Mode
from specc.ops.leaf import Input
from specc.ops.views import awaited
from specc.passes.plan.scheduled import Scheduled, Targets, has_rows_of, is_completed
from specc.passes.plan.sharing import PlannedSharing


def assign_phases(scheduled: list[Scheduled], sharing: PlannedSharing, targets: Targets) -> None:
    """Set `phase` and `before` of every group, by dependencies and by overwritten values."""
    number = {id(s): i for i, s in enumerate(scheduled)}
    maker = {node: s for s in scheduled for node in s.group.nodes}
    edges = _reads_after_writes(scheduled, maker, sharing)
    edges += _overwrites_after_reads(scheduled, maker, targets, sharing)
    for s in scheduled if sharing.shards > 1 else ():
        for root in s.reads:
            if root not in maker:
                s.phase = max(s.phase, sharing.first_phase(root, s))
    following: dict[int, list[tuple[Scheduled, bool]]] = {}
    waits = dict.fromkeys(number.values(), 0)
    for source, goal, crosses in edges:
        goal.before.add(number[id(source)])
        following.setdefault(number[id(source)], []).append((goal, crosses and sharing.shards > 1))
        waits[number[id(goal)]] += 1
    ready = [i for i, count in waits.items() if not count]
    heapq.heapify(ready)
    reached = 0
    while ready:
        i = heapq.heappop(ready)
        reached += 1
        for goal, crosses in following.get(i, ()):
            goal.phase = max(goal.phase, scheduled[i].phase + crosses * scheduled[i].span)
            waits[number[id(goal)]] -= 1
            if not waits[number[id(goal)]]:
                heapq.heappush(ready, number[id(goal)])
    assert reached == len(scheduled), "values are overwritten in a circle (a bug of specc)"
    for i, s in enumerate(scheduled):
        s.position = i


Edge = tuple[Scheduled, Scheduled, bool]
"""A group that must run before another, and whether shards meet at a barrier between the two."""


def _reads_after_writes(
    scheduled: list[Scheduled], maker: Mapping[Node, Scheduled], sharing: PlannedSharing
) -> list[Edge]:
    edges: list[Edge] = []
    for s in scheduled:
        for root in s.reads:
            if root in maker:
                crosses = not maker[root].once and sharing.crosses(maker[root], s, root)
                edges.append((maker[root], s, crosses))
        for root in {root: None for node in s.group.nodes for root in awaited(node)}:
            edges.append((maker[root], s, False))
    return edges


def _overwrites_after_reads(
    scheduled: list[Scheduled],
    maker: Mapping[Node, Scheduled],
    targets: Targets,
    sharing: PlannedSharing,
) -> list[Edge]:
    overwritten: dict[tuple[str, str], Scheduled] = {}
    for node, allocations in targets.items():
        for allocation in allocations:
            if kind_of(allocation.space) in OVERWRITING:
                role, _, label = allocation.space.partition(".")
                overwritten[role, label] = maker[node]
    readers: dict[tuple[str, str], list[Scheduled]] = {}
    for s in scheduled:
        for root in s.reads:
            if isinstance(root.op, Input):
                readers.setdefault((root.op.role, root.op.label), []).append(s)
    edges: list[Edge] = []
    for key, writer in overwritten.items():
        for reader in readers.get(key, ()):
            if reader is not writer:
                edges.append((reader, writer, not sharing.overwrites_at_once(reader, writer)))
    return edges


def delay_rows(scheduled: list[Scheduled]) -> None:
    """Complete rows in the phase of the group that reads them.

    So that group finds each piece of them in the L2 cache.
    """
    readers: dict[Node, list[Scheduled]] = {}
    for s in scheduled:
        for root in s.reads:
            readers.setdefault(root, []).append(s)
    for s in scheduled:
        (node, *others) = s.group.nodes
        if s.mode == Mode.ROWS and not others and len(readers.get(node, ())) == 1:
            (reader,) = readers[node]
            if has_rows_of(reader, node):
                s.phase = max(s.phase, reader.phase)


def ordered(scheduled: list[Scheduled], bytes_of: Callable[[Node], int]) -> list[Scheduled]:
    """Return the groups phase by phase, each after those that must run before it.

    Of several groups that could run, one that frees more memory than it takes comes first,
    otherwise the one that was scheduled first. So the gradient of a weight is computed as soon as
    that of its layer, whose memory is then free. A group that reads rows which a shard has
    completed comes directly after them, while they are in the shard's cache.
    """
    following: dict[int, list[Scheduled]] = {}
    readers: dict[Node, list[Scheduled]] = {}
    waits: dict[int, int] = {}
    for s in scheduled:
        waits[s.position] = len(s.before)
        for each in s.before:
            following.setdefault(each, []).append(s)
        for root in s.reads:
            readers.setdefault(root, []).append(s)
    left = {root: len(each) for root, each in readers.items()}
    ready: list[tuple[int, int, int]] = []

    def offer(s: Scheduled) -> None:
        given = sum(bytes_of(root) for root in s.reads if left[root] == 1)
        taken = sum(bytes_of(node) for node in s.group.stored if node in readers)
        at_once = s.mode == Mode.SPLIT and any(is_completed(root) for root in s.reads)
        heapq.heappush(ready, (s.phase, 0 if at_once else 1 if given > taken else 2, s.position))

    for s in scheduled:
        if not waits[s.position]:
            offer(s)
    order: list[Scheduled] = []
    done: set[int] = set()
    while ready:
        _, _, position = heapq.heappop(ready)
        if position in done:
            continue  # a later entry of the heap has the group as well
        done.add(position)
        order.append(scheduled[position])
        for s in following.get(position, ()):
            waits[s.position] -= 1
            if not waits[s.position]:
                offer(s)
        for root in scheduled[position].reads:
            left[root] -= 1
            if left[root] == 1:
                for s in readers[root]:
                    if s.position not in done and not waits[s.position]:
                        offer(s)
    assert len(order) == len(scheduled), "no order of the groups (a bug of specc)"
    return order
