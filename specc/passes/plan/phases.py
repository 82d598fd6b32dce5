"""Decide when each group runs, and on which shards.

    scheduled = [Scheduled(group, mode(group), [], reads(group, views)) for group in groups]
    assign_phases(scheduled, shards, lanes, targets, team)
    ordered(scheduled, bytes_of)       # phase by phase

Shards meet only at barriers, which separate *phases*: a kernel that reads what another shard wrote
is put into a later phase.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from specc.ir import sizes
from specc.ir.graph import Node
from specc.ir.op import Form
from specc.ir.plan import Group, GroupKind, Mode, Place, Step, View
from specc.ops.contract import Contract
from specc.ops.leaf import Const, Input, Role
from specc.ops.shape import Concat
from specc.ops.views import awaited, root_of
from specc.passes.team import SPLIT_FROM

Targets = Mapping[Node, list[Place]]
"""The places outside of the program's own memory that a node's value must reach."""


@dataclass(eq=False)
class Scheduled:
    """A group with what the scheduling finds out about it."""

    group: Group
    mode: Mode
    stores: list[tuple[Node, Place]]
    reads: set[Node]
    steps: list[Step] = field(default_factory=list)  # of one turn of a loop
    before: set[int] = field(default_factory=set)  # groups that must have run
    phase: int = 0
    position: int = 0
    by_channels: bool = False  # see Step
    stages: tuple[int, ...] = ()  # of a loop that a team divides: the phase of each group in a turn

    @property
    def phases(self) -> int:
        """The phases of a turn."""
        return max(self.stages, default=-1) + 1

    @property
    def span(self) -> int:
        """The phases that it takes."""
        return 1 + self.phases * self.group.repeated.steps if self.stages else 1


def mode(group: Group) -> Mode:
    if is_completed(group.nodes[0]):
        return Mode.ROWS
    if group.batched or any(each.type.batched for node in group.nodes for each in node.inputs):
        return Mode.SHARD
    if is_partial(group.nodes[0]):
        return Mode.SHARD
    elements = sizes.product(group.domain)
    plain = group.kind in (GroupKind.NEST, GroupKind.CONCAT) and not any(
        node.op.form is Form.END for node in group.nodes
    )
    return Mode.SPLIT if plain and elements >= SPLIT_FROM else Mode.SINGLE


def _same_channels(maker: Scheduled, reader: Scheduled, value: Node) -> bool:
    """Whether every shard of a team reads of a value only what it has made itself."""
    if not maker.by_channels or not reader.by_channels:
        return False
    channels = {
        s.group.domain[0] if s.group.kind == GroupKind.NEST else s.group.nodes[0].type.shape[0]
        for s in (maker, reader)
    }
    if reader.group.kind == GroupKind.CONTRACT:
        node = reader.group.nodes[0]  # the rows of its weights are the channels of what it reads
        return node.op.sums_own_rows and value in node.inputs and channels == {*value.type.shape}
    reads = [each for node in reader.group.nodes for each in node.inputs if root_of(each) is value]
    return all(each is value for each in reads) and channels == {value.type.shape[0]}


def _takes_own_rows(reader: Scheduled, writer: Scheduled) -> bool:
    """Whether a team divides a product that reads a weight, and the update that overwrites it,
    along the weight's rows.
    """
    if (
        not reader.by_channels
        or reader.group.kind != GroupKind.CONTRACT
        or writer.mode != Mode.SPLIT
    ):
        return False
    node = reader.group.nodes[0]
    op = node.op_as(Contract)
    (weight,) = (each for each in node.inputs if not each.type.batched)
    is_left = weight is node.inputs[0]
    by_rows = op.sums_own_rows or (op.left if is_left else op.right)[:1] == op.out[:1]
    return by_rows and isinstance(weight.op, Input) and writer.group.domain == weight.type.shape


def reads(group: Group, views: dict[Node, View]) -> set[Node]:
    """The roots that the group reads from memory."""
    members = set(group.nodes)
    roots = {
        views[each].root for node in group.nodes for each in node.inputs if each not in members
    }
    return {root for root in roots if root not in members and not isinstance(root.op, Const)}


def is_partial(node: Node) -> bool:
    """Whether each shard holds only its own part of the value."""
    if isinstance(node.op, Concat):
        return all(is_partial(each) for each in node.inputs)
    if is_completed(node):
        return False
    return node.op.sums_batch or node.op.sums_own_rows


def is_completed(node: Node) -> bool:
    """Whether each shard computes rows of the whole value, from what all of them hold."""
    return node.op.completes_rows


def repeat_small_steps(scheduled: list[Scheduled], targets: Targets) -> None:
    """Let every shard do for itself what is small and read by the shards: that saves a barrier.

    What such a step gives to other places than the arena, the first shard alone writes.
    """
    shared = {root for s in scheduled if s.mode != Mode.SINGLE for root in s.reads}
    for s in reversed(scheduled):
        read = [node for node in s.group.stored if node in shared]
        if s.mode != Mode.SINGLE or not read or s.group.kind != GroupKind.NEST:
            continue
        if sizes.product(s.group.domain) >= SPLIT_FROM:
            continue
        needed = s.group.needed_for(read)
        own = {place.space for node in s.group.stored for place in targets.get(node, ())}
        leaves = {root_of(each) for node in needed for each in node.inputs}
        if any(
            isinstance(leaf.op, Input) and f"{leaf.op.role}.{leaf.op.label}" in own
            for leaf in leaves
        ):
            continue  # the first shard would overwrite what the others still read
        s.mode = Mode.EACH
        shared |= leaves


def _earliest_phase(root: Node, reader: Scheduled, team: bool, lanes: int) -> int:
    """The phase from which a group can read a leaf that the shards bring in during phase 0."""
    role = root.op_as(Input).role
    if role != Role.SETTING and not (root.type.batched and (team or reader.mode == Mode.ROWS)):
        return 0
    # each shard of a team brings in some of the features
    together = (
        team and lanes > 1 and role in (Role.INPUT, Role.TARGET) and root.type.kind == "float"
    )
    return 0 if reader.mode == Mode.SINGLE and not together else 1


def assign_phases(
    scheduled: list[Scheduled], shards: int, lanes: int, targets: Targets, team: bool
) -> None:
    """Set `phase` and `before` of every group: dependencies first, then who overwrites what."""
    number = {id(s): i for i, s in enumerate(scheduled)}
    maker = {node: s for s in scheduled for node in s.group.nodes}
    edges = _reads_after_writes(scheduled, maker, team)
    edges += _overwrites_after_reads(scheduled, maker, targets, team)
    for s in scheduled if shards > 1 else ():
        for root in s.reads:
            if root not in maker:
                s.phase = max(s.phase, _earliest_phase(root, s, team, lanes))
    following: dict[int, list[tuple[Scheduled, bool]]] = {}
    waits = dict.fromkeys(number.values(), 0)
    for source, goal, crosses in edges:
        goal.before.add(number[id(source)])
        following.setdefault(number[id(source)], []).append((goal, crosses and shards > 1))
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
    scheduled: list[Scheduled], maker: Mapping[Node, Scheduled], team: bool
) -> list[Edge]:
    edges: list[Edge] = []
    for s in scheduled:
        for root in s.reads:
            if root in maker:
                edges.append((maker[root], s, _crosses(maker[root], s, root, team)))
        for root in {root: None for node in s.group.nodes for root in awaited(node)}:
            edges.append((maker[root], s, False))
    return edges


def _overwrites_after_reads(
    scheduled: list[Scheduled],
    maker: Mapping[Node, Scheduled],
    targets: Targets,
    team: bool,
) -> list[Edge]:
    overwritten: dict[tuple[str, str], Scheduled] = {}
    for node, places in targets.items():
        for place in places:
            if place.space.startswith(("param.", "state.", "lane.")):
                role, _, label = place.space.partition(".")
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
                is_apart = reader.mode == writer.mode == Mode.SINGLE or (
                    team and _takes_own_rows(reader, writer)
                )
                edges.append((reader, writer, not is_apart))
    return edges


def delay_rows(scheduled: list[Scheduled]) -> None:
    """Let rows be completed in the phase of the group that reads them.

    Then it can take each piece of them from a near cache.
    """
    readers: dict[Node, list[Scheduled]] = {}
    for s in scheduled:
        for root in s.reads:
            readers.setdefault(root, []).append(s)
    for s in scheduled:
        (node, *others) = s.group.nodes
        if s.mode == Mode.ROWS and not others and len(readers.get(node, ())) == 1:
            (reader,) = readers[node]
            if _has_rows_of(reader, node):
                s.phase = max(s.phase, reader.phase)


def _crosses(maker: Scheduled, reader: Scheduled, value: Node, team: bool) -> bool:
    """Whether a value is read by another shard than the one that wrote it."""
    if value.type.batched and not team:
        return reader.mode == Mode.ROWS
    if is_partial(value):
        return True
    if maker.mode == Mode.ROWS:
        return not _has_rows_of(reader, value)
    if maker.mode == Mode.EACH:
        return False
    if team and _same_channels(maker, reader, value):
        return False
    return not maker.mode == reader.mode == Mode.SINGLE


def _has_rows_of(reader: Scheduled, value: Node) -> bool:
    """Whether the group is divided among the shards as the value is: along its first axis."""
    own = [each for node in reader.group.nodes for each in node.inputs if root_of(each) is value]
    return (
        reader.mode == Mode.SPLIT
        and reader.group.domain == value.type.shape
        and all(each is value for each in own)
    )


def ordered(scheduled: list[Scheduled], bytes_of: Callable[[Node], int]) -> list[Scheduled]:
    """Phase by phase; within a phase after what must have run, first what gives back more memory
    than it takes, otherwise as they stand.

    So the gradient of a weight is taken as soon as its layer's is there, and what it reads is free.
    What reads rows that a shard has completed comes at once, while they are in its cache.
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
            continue  # it was offered again
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
