"""A group on its way into a plan, and what is asked about the values that it reads.

Scheduled(group, mode, [], reads(group, views))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from specc.ir.graph import Node
from specc.ir.plan import Group, Mode, Place, Step, View
from specc.ops.leaf import Const
from specc.ops.shape import Concat
from specc.ops.views import root_of

Targets = Mapping[Node, list[Place]]
"""The places outside of the program's own memory that a node's value must reach."""


@dataclass(eq=False)
class Scheduled:
    """A group with what the scheduling finds out about it."""

    group: Group
    mode: Mode
    stores: list[tuple[Node, Place]]
    reads: set[Node]
    steps: list[Step] = field(default_factory=list)  # of one iteration of a loop
    before: set[int] = field(default_factory=set)  # groups that must have run
    phase: int = 0
    position: int = 0
    by_channels: bool = False  # see Step
    stages: tuple[
        int, ...
    ] = ()  # of a loop that a team divides: the phase of each group in an iteration

    @property
    def phases(self) -> int:
        """The phases of an iteration."""
        return max(self.stages, default=-1) + 1

    @property
    def span(self) -> int:
        """The phases that it takes."""
        return 1 + self.phases * self.group.repeated.steps if self.stages else 1


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


def has_rows_of(reader: Scheduled, value: Node) -> bool:
    """Whether the group is divided among the shards as the value is: along its first axis."""
    own = [each for node in reader.group.nodes for each in node.inputs if root_of(each) is value]
    return (
        reader.mode == Mode.SPLIT
        and reader.group.domain == value.type.shape
        and all(each is value for each in own)
    )
