"""Decide where every value is stored: in the arena, in shared memory, or in an array.

Values of the arena whose lifetimes do not overlap share memory. A value that other shards read
keeps its memory to the end of the phase in which it is last read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace

from specc.ir.graph import Graph, Node
from specc.ir.names import OutputKind, kind_of
from specc.ir.plan import Allocation, Group, GroupKind, Mode, Repeated, Step, View
from specc.ops.after import After
from specc.ops.contract import Contract
from specc.ops.elementwise import Elementwise
from specc.ops.leaf import Input, Role
from specc.ops.shape import Concat, Frame, c_strides
from specc.ops.views import root_of, view
from specc.passes.layout import Layout
from specc.passes.plan.scheduled import Scheduled, Targets, is_partial
from specc.passes.plan.sharing import PlannedSharing
from specc.system.records import dataclass

Inside = Mapping[Node, tuple[Node, int]]
"""Products that are computed as parts of another value: that value, and the first element."""


def allocations_of(
    order: Sequence[Scheduled],
    graph: Graph,
    views: dict[Node, View],
    targets: Targets,
    layout: Layout,
    sharing: PlannedSharing,
    inside: Inside,
) -> dict[Node, Allocation]:
    """Return the allocation of every value in memory; set the steps' `stores` and `steps`."""
    for s in order:
        s.stores, s.steps = [], []
    end_of_phase = {s.phase: i for i, s in enumerate(order)}
    last = _last_reads(order, graph, views, end_of_phase, sharing)
    allocator = _Allocator(order, views, targets, layout, sharing, inside, end_of_phase, last)
    for node in graph.nodes:
        if isinstance(node.op, Input):
            allocator.allocate_leaf(node, node.op)
    for i, s in enumerate(order):
        if s.group.kind == GroupKind.LOOP:
            allocator.allocate_loop(s, i)
        for node in s.group.stored if s.group.kind != GroupKind.LOOP else ():
            allocator.allocate(node, s, i)
        if s.group.kind == GroupKind.CONCAT:
            assert isinstance(s.group.nodes[0].op, Concat)
        allocator.free_after(i)
    return allocator.allocations


@dataclass(eq=False)
class _Allocator:
    """The memory given out so far, and the memory that becomes free after each group."""

    order: Sequence[Scheduled]
    views: dict[Node, View]
    targets: Targets
    layout: Layout
    sharing: PlannedSharing
    inside: Inside
    end_of_phase: Mapping[int, int]
    last: Mapping[Node, int]
    allocations: dict[Node, Allocation] = field(default_factory=dict)
    _passing: set[Node] = field(default_factory=set)  # the values in passing memory
    # by the group after which it is free: offset, bytes, and whether it is passing
    _leaving: dict[int, list[tuple[int, int, bool]]] = field(default_factory=dict)

    def allocate_leaf(self, node: Node, leaf: Input) -> None:
        """Choose the memory of an input: an array of its own, the arena or shared memory."""
        if leaf.role in (Role.PARAM, Role.STATE, Role.SLOT, Role.GRADIENT, Role.AGAIN):
            self.allocations[node] = Allocation(f"{leaf.role}.{leaf.label}")
        elif node.type.batched:
            self.allocations[node] = self._in_arena(node, -1)
        else:
            self.allocations[node] = self.layout.take_shared(node)

    def allocate(self, node: Node, s: Scheduled, now: int) -> None:
        """Choose the memory of a value that the group `s`, which is number `now`, stores."""
        wanted = self.targets.get(node, [])
        if node in self.inside:
            whole, start = self.inside[node]
            if whole not in self.allocations:
                self.allocations[whole] = self._in_arena(whole, now)
            offset = self.allocations[whole].offset + start * self.layout.step(whole)
            self.allocations[node] = Allocation("arena", offset)
            s.stores.append((node, self.allocations[node]))
        elif node in self.allocations:  # its parts are there already
            s.stores.append((node, self.allocations[node]))
        else:
            own = self._own_allocation(node, s, now, wanted)
            if own is not None:
                self.allocations[node] = own
                s.stores.append((node, own))
            else:
                self.allocations[node] = _first_kept(wanted) or wanted[0]
            s.stores.extend((node, allocation) for allocation in wanted)

    def _own_allocation(
        self, node: Node, s: Scheduled, now: int, wanted: Sequence[Allocation]
    ) -> Allocation | None:
        """Take memory for a value; return None if readers can use the array that it goes to."""
        if node.op.overwrites_first and self.allocations.get(node.inputs[0]) in wanted:
            return None
        # a step that every shard runs would write the one memory while other shards read it
        is_one = s.mode == Mode.SINGLE or self.sharing.arenas == 1
        if isinstance(node.op, Frame) and self.layout.lanes == 1 and is_one:
            return self.layout.take_shared(node)  # nothing ever writes to its border
        if node.type.batched or is_partial(node):
            return self._over_another(node, now) or self._in_arena(node, now)
        needed = node in self.last  # later groups read it, so its memory must not be overwritten
        if s.mode == Mode.EACH and (needed or not wanted):
            return self._in_arena(node, now)
        if (needed and _first_kept(wanted) is None) or not wanted:
            return self.layout.take_shared(node)
        return None

    def _is_passing(self, node: Node, now: int) -> bool:
        """Return whether only its own shard uses a value, and only in the phase that computes it.

        `now` is the number of the group that computes it, -1 for a leaf.
        """
        if not self.sharing.takes_turns or not node.type.batched or is_partial(node):
            return False
        last = self.last.get(node, max(now, 0))
        phase = self.order[now].phase if now >= 0 else 0
        return last < len(self.order) and self.order[last].phase == phase

    def _in_arena(self, node: Node, now: int) -> Allocation:
        size, passing = self.layout.bytes(node), self._is_passing(node, now)
        if passing:
            self._passing.add(node)
        offset = self.layout.take(size, passing)
        is_kept = not self.sharing.reuses_within_phase and now >= 0
        unread = self.end_of_phase[self.order[now].phase] if is_kept else now
        if self.sharing.reuses(size):
            self._free(max(self.last.get(node, unread), now), offset, size, passing)
        return Allocation("arena", offset)

    def _over_another(self, node: Node, now: int) -> Allocation | None:
        """Return the memory of a value that the group reads element by element and nothing after.

        None if all shards read the same values: another shard may still need them.
        """
        if not self.sharing.reuses_within_phase:
            return None
        for each in _replaceable(node, self.order[now].group):
            allocation = self.allocations.get(each)
            if allocation is None or allocation != Allocation("arena", allocation.offset):
                continue
            is_passing = each in self._passing
            span = (allocation.offset, self.layout.bytes(each), is_passing)
            fits = not is_passing or self._is_passing(node, now)
            if fits and span in self._leaving.get(now, ()):
                if is_passing:
                    self._passing.add(node)
                self._leaving[now].remove(span)
                self._free(max(self.last.get(node, now), now), *span)
                return allocation
        return None

    def _free(self, group: int, offset: int, size: int, passing: bool = False) -> None:
        """Give memory back after a group."""
        self._leaving.setdefault(group, []).append((offset, size, passing))

    def free_after(self, group: int) -> None:
        """Give back the memory of values that nothing reads after a group."""
        for each in self._leaving.pop(group, ()):
            self.layout.give(*each)

    # Loops.

    def allocate_loop(self, s: Scheduled, now: int) -> None:
        """Choose the memory of what a loop computes, and make its steps.

        An iteration moves along the sequences. A Carry and the value whose earlier steps it holds
        are in the same memory, one step apart.
        """
        loop = s.group.repeated
        self._allocate_carried(s, loop, now)
        for node in s.group.stored:
            if node not in self.allocations:
                until, passing = self.last.get(node, now), self._is_passing(node, now)
                offset = self._take_for_loop(self.layout.bytes(node), until, now, passing)
                self.allocations[node] = Allocation("arena", offset)
                if passing:
                    self._passing.add(node)
        self._allocate_reads(loop)
        # joined values come first, because their parts are stored within them
        own = sorted(loop.groups, key=lambda group: group.kind != GroupKind.CONCAT)
        for node in (node for group in own for node in group.stored):
            if node in loop.writes:
                whole = loop.writes[node]
                stride = self.layout.exact(whole) // loop.steps
                self.allocations[node] = _of_first_iteration(self.allocations[whole], stride, loop)
            elif node not in self.allocations:
                turns = self.sharing.takes_turns
                offset = self._take_for_loop(self.layout.bytes(node), now, now, turns)
                self.allocations[node] = Allocation("arena", offset)
            if isinstance(node.op, Concat) and node.op.axis == 0:
                self._allocate_parts(node, loop)
        for i, group in enumerate(loop.groups):
            stores = tuple((node, self.allocations[node]) for node in group.stored)
            mode = self.sharing.mode_in_loop(s, group)
            phase = s.phase + 1 + s.stages[i] if s.stages else s.phase
            # the rows of a product at a single position
            s.steps.append(Step(group, phase, mode, stores, by_channels=mode == Mode.SPLIT))

    def _take_for_loop(self, size: int, until: int, now: int, passing: bool) -> int:
        offset = self.layout.take(size, passing)
        if self.sharing.reuses_within_phase:
            self._free(max(until, now), offset, size, passing)
        return offset

    def _allocate_carried(self, s: Scheduled, loop: Repeated, now: int) -> None:
        for carry, then in loop.carried.items():
            whole = self.layout.exact(then)
            step = whole // loop.steps
            offset = self._take_for_loop(
                self.layout.rounded(whole + step),
                max(self.last.get(carry, now), self.last.get(then, now)),
                now,
                self._is_passing(carry, now) and self._is_passing(then, now),
            )
            earlier, later = offset, offset + step
            if loop.backward:
                earlier, later = later, earlier
            self.allocations[carry], self.allocations[then] = (
                Allocation("arena", earlier),
                Allocation("arena", later),
            )
            start = earlier + (loop.steps - 1) * step if loop.backward else earlier
            s.stores.append((carry, Allocation("arena", start)))

    def _allocate_reads(self, loop: Repeated) -> None:
        """Find the leaves of one step: values from outside of the loop, or one step of them."""
        bases: dict[Node, tuple[int, ...]] = {}
        for leaf, value in loop.reads.items():
            seen = self.views[value]
            item = self.layout.step(seen.root)
            allocation = self.allocations[seen.root]
            allocation = replace(allocation, offset=allocation.offset + seen.offset * item)
            if leaf.type.rank == value.type.rank:
                bases[leaf] = seen.strides
            else:
                bases[leaf] = seen.strides[1:]
                allocation = _of_first_iteration(allocation, seen.strides[0] * item, loop)
            self.allocations[leaf] = allocation
        self.views.update({node: view(node, bases) for node in loop.graph.nodes})

    def _allocate_parts(self, joined: Node, loop: Repeated) -> None:
        """Put values that are joined along the first axis directly where they are joined."""
        nests = (group for group in loop.groups if group.kind == GroupKind.NEST)
        made = {node for group in nests for node in group.stored}
        allocation, start = self.allocations[joined], 0
        for part in joined.inputs:
            if (
                part in made
                and part not in self.allocations
                and part not in loop.writes
                and part.type.batched == joined.type.batched
                and isinstance(part.op, Elementwise)
            ):
                self.allocations[part] = replace(allocation, offset=allocation.offset + start)
            start += self.layout.exact(part)


def _of_first_iteration(allocation: Allocation, stride: int, loop: Repeated) -> Allocation:
    """Return the memory of the step that a loop's first iteration reads or writes."""
    if loop.backward:
        return Allocation(allocation.space, allocation.offset + (loop.steps - 1) * stride, -stride)
    return Allocation(allocation.space, allocation.offset, stride)


def _first_kept(wanted: Sequence[Allocation]) -> Allocation | None:
    """Return the first of a value's targets that no later group overwrites."""
    return next(
        (
            each
            for each in wanted
            if each.space == "record"
            or kind_of(each.space) in (OutputKind.GRADIENT, OutputKind.AGAIN)
        ),
        None,
    )


def _replaceable(node: Node, group: Group) -> list[Node]:
    """Return the values that a node can overwrite element by element.

    Its group reads each element of them only to compute the same element of the node.
    """
    if (
        group.kind != GroupKind.NEST
        or not node.type.batched
        or not isinstance(node.op, Elementwise)
    ):
        return []
    members = set(group.nodes)
    read: dict[Node, bool] = {}
    for each in (each for member in group.nodes for each in member.inputs if each not in members):
        root = root_of(each)
        read[root] = read.get(root, True) and root is each and each.type == node.type
    return [root for root, alike in read.items() if alike]


def insides(graph: Graph) -> Inside:
    """Return the products that only a `Concat` of partial sums reads, and where it has them.

    They are computed directly into the joined value, from that element on.
    """
    inside: dict[Node, tuple[Node, int]] = {}
    for whole in graph.nodes:
        if not isinstance(whole.op, Concat) or not is_partial(whole):
            continue
        parts = whole.inputs
        if len(set(parts)) == len(parts) and all(
            isinstance(each.op, Contract)
            and each not in graph.outputs.values()
            and [
                user
                for user in graph.users[each]
                if each not in user.inputs[1:] or not isinstance(user.op, After)
            ]
            == [whole]
            for each in parts
        ):
            stride, start = c_strides(whole.type.bound_shape)[whole.op.axis], 0
            for each in parts:
                inside[each] = whole, start * stride
                start += each.type.bound_shape[whole.op.axis]
    return inside


def _last_reads(
    order: Sequence[Scheduled],
    graph: Graph,
    views: Mapping[Node, View],
    end_of_phase: Mapping[int, int],
    sharing: PlannedSharing,
) -> dict[Node, int]:
    """Return for each value the number of the last group that reads it."""
    last: dict[Node, int] = {}
    for i, s in enumerate(order):
        for root in s.reads:
            shared = sharing.reads_until_phase_ends(s, root)
            last[root] = max(last.get(root, 0), end_of_phase[s.phase] if shared else i)
    for name, node in graph.outputs.items():
        if node.type.batched and kind_of(name) not in (OutputKind.CARRY, OutputKind.SLOT):
            last[views[node].root] = len(order)
    return last
