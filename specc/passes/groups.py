"""Groups of nodes under construction, with what each of them depends on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from specc.ir.graph import Node
from specc.ir.plan import GroupKind
from specc.ir.sizes import Shape
from specc.ops.carry import Loop
from specc.ops.elementwise import Elementwise
from specc.ops.leaf import Input
from specc.ops.views import awaited, root_of

# Bounds that keep the compile time of deep models in proportion to their depth.
MOST_NODES = 64  # most nodes of a nest, because LLVM's time grows faster than their number
MOST_SIBLINGS = 16  # most groups that a node tries to join, of those that read the same value
FAR = 64  # most groups that a search for a dependency visits
MOST_LONG = 3  # most long functions in a nest before one that depends on another one

Box = tuple[Shape, bool]
"""The shape that a nest runs over, and whether it runs over the lanes too."""
Reduced = tuple[tuple[int, ...], bool]
"""The axes that a node reduces over, and whether it reduces over the batch too."""


class Groups:
    """Groups under construction, with what each depends on.

    The level of a group is above those of all groups that it depends on. So a group cannot depend
    on another one whose level is as high.
    """

    def __init__(self) -> None:
        self.members: list[list[Node]] = []
        self.domains: list[tuple[Box, GroupKind]] = []
        self.reduced: list[Reduced | None] = []
        self.depends: list[set[int]] = []
        self.dependents: list[set[int]] = []
        self.level: list[int] = []
        self.next: dict[int, int] = {}  # full group -> the group that continues it
        self.of: dict[Node, int] = {}
        self.waiting: set[Node] = set()  # elementwise nodes of leaves that no group has read yet
        self.loops: dict[int, Loop] = {}
        self._long: Counter[int] = Counter()  # group -> its long functions
        self._depth: dict[Node, int] = {}  # how many of them follow each other up to a node
        self._reading: dict[tuple[str, str], set[int]] = {}
        self._viewing: dict[tuple[str, str], set[int]] = {}

    def open(self, domain: Box, kind: GroupKind) -> int:
        self.members.append([])
        self.domains.append((domain, kind))
        self.reduced.append(None)
        self.depends.append(set())
        self.dependents.append(set())
        self.level.append(0)
        return len(self.members) - 1

    def put(self, node: Node, group: int) -> None:
        self.members[group].append(node)
        self.of[node] = group
        is_long = _is_long(node)
        self._depth[node] = self._depth_within(node, group) + is_long
        self._long[group] += is_long
        for each in node.inputs:
            root = root_of(each)
            if isinstance(root.op, Input):
                key = root.op.role, root.op.label
                self._reading.setdefault(key, set()).add(group)
                if root is not each:
                    self._viewing.setdefault(key, set()).add(group)
        for needed in self.needs(node) - {group} - self.depends[group]:
            self.depends[group].add(needed)
            self.dependents[needed].add(group)
            self._lift(group, self.level[needed] + 1)

    def _lift(self, group: int, level: int) -> None:
        """Raise a group to a level, and the groups that depend on it above that level."""
        stack = [(group, level)]
        while stack:
            group, level = stack.pop()
            if self.level[group] < level:
                self.level[group] = level
                stack.extend((each, level + 1) for each in self.dependents[group])

    def stalls(self, node: Node, group: int) -> bool:
        """Return whether a function would wait for others in a long loop.

        A processor executes a few hundred instructions ahead. If an iteration is as long as that,
        and one function in it waits for another one, the iterations hardly overlap. In two loops,
        as for a cell's gates and for tanh of its state, they do.
        """
        has_many = self._long[group] >= MOST_LONG
        return _is_long(node) and has_many and self._depth_within(node, group) > 0

    def _depth_within(self, node: Node, group: int) -> int:
        return max(
            (self._depth[each] for each in node.inputs if self.of.get(each) == group), default=0
        )

    def full(self, group: int) -> bool:
        return len(self.members[group]) >= MOST_NODES

    def with_room(self, group: int) -> int:
        """Return the group or, if it is full, the group that continues it."""
        while self.full(group):
            if group not in self.next:
                self.next[group] = self.open(*self.domains[group])
            group = self.next[group]
        return group

    def needs(self, *nodes: Node) -> set[int]:
        """Return the groups that must run before the nodes and the waiting nodes that they read."""
        found: set[int] = set()
        seen, stack = set(nodes), list(nodes)
        while stack:
            node = stack.pop()
            for root in (*map(root_of, node.inputs), *awaited(node)):
                if root in self.of:
                    found.add(self.of[root])
                elif root in self.waiting and root not in seen:
                    seen.add(root)
                    stack.append(root)
        return found

    def reading(self, leaves: Iterable[tuple[str, str]]) -> set[int]:
        """Return the groups that read some weights or states, each given by its role and label."""
        return set().union(*(self._reading.get(each, ()) for each in leaves))

    def viewing(self, leaves: Iterable[tuple[str, str]]) -> set[int]:
        """Return the groups that read some weights or states in another order than in memory."""
        return set().union(*(self._viewing.get(each, ()) for each in leaves))

    def may_reach(self, starts: set[int], goal: int) -> bool:
        """Return whether any of the groups depends on the goal, directly or not.

        The search gives up after `FAR` groups, and returns True.
        """
        level = self.level[goal]
        seen: set[int] = set()
        stack = list(starts)
        while stack:
            group = stack.pop()
            if group == goal or len(seen) == FAR:
                return True
            if group not in seen and self.level[group] > level:
                seen.add(group)
                stack.extend(self.depends[group])
        return False


def _is_long(node: Node) -> bool:
    return isinstance(node.op, Elementwise) and node.op.is_long
