"""A group that is being scheduled, and questions about the values that it reads.

Scheduled(group, mode, [], reads(group, views))
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field

from specc.ir.graph import Node
from specc.ir.plan import Allocation, Group, GroupKind, Mode, Step, View
from specc.ops.leaf import Const, Input, Role
from specc.ops.shape import Concat
from specc.ops.views import root_of
from specc.system.records import dataclass

Targets = Mapping[Node, list[Allocation]]
"""The memory outside of the program's own that a node's value must reach."""


@dataclass(eq=False)
class Scheduled:
    """A group, its phase and mode, and what else scheduling decides about it."""

    group: Group
    mode: Mode
    stores: list[tuple[Node, Allocation]]
    reads: set[Node]
    steps: list[Step] = field(default_factory=list)  # the steps of one iteration, if it is a loop
    before: set[int] = field(default_factory=set)  # numbers of the groups that must run before it
    phase: int = 0
    position: int = 0
    by_channels: bool = False  # see Step
    stages: tuple[
        int, ...
    ] = ()  # of a loop that the shards divide: the phase of each group in an iteration
    once: bool = False  # see Step

    @property
    def phases(self) -> int:
        """The number of phases of an iteration."""
        return max(self.stages, default=-1) + 1

    @property
    def span(self) -> int:
        """The number of phases that the group takes."""
        return 1 + self.phases * self.group.repeated.steps if self.stages else 1


def set_once(scheduled: Sequence[Scheduled], given: Collection[Node]) -> None:
    """Let what follows from the weights alone run ahead of a program that changes none of them.

    What the program gives to somebody stays in it.
    """
    made: set[Node] = set()
    for s in scheduled:
        follows = s.group.kind in (GroupKind.NEST, GroupKind.CONTRACT) and all(
            root in made or (isinstance(root.op, Input) and root.op.role == Role.PARAM)
            for root in s.reads
        )
        if follows and s.reads and not any(node in given for node in s.group.stored):
            s.once, s.mode = True, Mode.SINGLE
            made.update(s.group.stored)


def reads(group: Group, views: dict[Node, View]) -> set[Node]:
    """Return the roots that the group reads from memory."""
    members = set(group.nodes)
    roots = {
        views[each].root for node in group.nodes for each in node.inputs if each not in members
    }
    return {root for root in roots if root not in members and not isinstance(root.op, Const)}


def is_partial(node: Node) -> bool:
    """Return whether each shard holds only a partial sum of the value."""
    if isinstance(node.op, Concat):
        return all(is_partial(each) for each in node.inputs)
    if is_completed(node):
        return False
    return node.op.sums_batch or node.op.sums_own_rows


def is_completed(node: Node) -> bool:
    """Return whether each shard computes some rows of the value over all examples."""
    return node.op.completes_rows


def has_rows_of(reader: Scheduled, value: Node) -> bool:
    """Return whether the shards divide the group as they divide the value: along its first axis."""
    own = [each for node in reader.group.nodes for each in node.inputs if root_of(each) is value]
    return (
        reader.mode == Mode.SPLIT
        and reader.group.domain == value.type.shape
        and all(each is value for each in own)
    )
