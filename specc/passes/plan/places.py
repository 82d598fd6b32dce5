"""Decide where every value is stored: in the arena, in shared memory, or in an array.

Values of the arena whose lifetimes do not overlap share memory. A value that other shards read
keeps its memory to the end of the phase in which it is last read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace

from specc.ir.graph import Graph, Node
from specc.ir.names import OutputKind, kind_of
from specc.ir.plan import Group, GroupKind, Mode, Place, Repeated, Step, View
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


def places_of(
    order: Sequence[Scheduled],
    graph: Graph,
    views: dict[Node, View],
    targets: Targets,
    layout: Layout,
    sharing: PlannedSharing,
    inside: Inside,
) -> dict[Node, Place]:
    """Return a place for every value in memory; set the steps' `stores` and `steps`."""
    for s in order:
        s.stores, s.steps = [], []
    end_of_phase = {s.phase: i for i, s in enumerate(order)}
    last = _last_reads(order, graph, views, end_of_phase, sharing)
    placement = _Placement(order, views, targets, layout, sharing, inside, end_of_phase, last)
    for node in graph.nodes:
        if isinstance(node.op, Input):
            placement.place_leaf(node, node.op)
    for i, s in enumerate(order):
        if s.group.kind == GroupKind.LOOP:
            placement.place_loop(s, i)
        for node in s.group.stored if s.group.kind != GroupKind.LOOP else ():
            placement.place(node, s, i)
        if s.group.kind == GroupKind.CONCAT:
            assert isinstance(s.group.nodes[0].op, Concat)
        placement.free_after(i)
    return placement.places


@dataclass(eq=False)
class _Placement:
    """The places given out so far, and the memory that becomes free after each group."""

    order: Sequence[Scheduled]
    views: dict[Node, View]
    targets: Targets
    layout: Layout
    sharing: PlannedSharing
    inside: Inside
    end_of_phase: Mapping[int, int]
    last: Mapping[Node, int]
    places: dict[Node, Place] = field(default_factory=dict)
    _leaving: dict[int, list[tuple[int, int]]] = field(default_factory=dict)  # offsets and bytes

    def place_leaf(self, node: Node, leaf: Input) -> None:
        """Place an input: in an array of its own, in the arena or in shared memory."""
        if leaf.role in (Role.PARAM, Role.STATE, Role.SLOT, Role.GRADIENT):
            self.places[node] = Place(f"{leaf.role}.{leaf.label}")
        elif node.type.batched:
            self.places[node] = self._in_arena(node, -1)
        else:
            self.places[node] = self.layout.take_shared(node)

    def place(self, node: Node, s: Scheduled, now: int) -> None:
        """Place a value that the group `s`, which is number `now`, stores."""
        wanted = self.targets.get(node, [])
        if node in self.inside:
            whole, start = self.inside[node]
            if whole not in self.places:
                self.places[whole] = self._in_arena(whole, now)
            offset = self.places[whole].offset + start * self.layout.step(whole)
            self.places[node] = Place("arena", offset)
            s.stores.append((node, self.places[node]))
        elif node in self.places:  # its parts are there already
            s.stores.append((node, self.places[node]))
        else:
            own = self._own_place(node, s, now, wanted)
            if own is not None:
                self.places[node] = own
                s.stores.append((node, own))
            else:
                self.places[node] = _first_kept(wanted) or wanted[0]
            s.stores.extend((node, place) for place in wanted)

    def _own_place(
        self, node: Node, s: Scheduled, now: int, wanted: Sequence[Place]
    ) -> Place | None:
        """Take memory for a value; return None if readers can use the array that it goes to."""
        if node.op.overwrites_first and self.places.get(node.inputs[0]) in wanted:
            return None
        if isinstance(node.op, Frame) and self.layout.lanes == 1:
            return self.layout.take_shared(node)  # nothing ever writes to its border
        if node.type.batched or is_partial(node):
            return self._over_another(node, now) or self._in_arena(node, now)
        needed = node in self.last  # later groups read it, so its memory must not be overwritten
        if s.mode == Mode.EACH and (needed or not wanted):
            return self._in_arena(node, now)
        if (needed and _first_kept(wanted) is None) or not wanted:
            return self.layout.take_shared(node)
        return None

    def _in_arena(self, node: Node, now: int) -> Place:
        size = self.layout.bytes(node)
        offset = self.layout.take(size)
        is_kept = not self.sharing.reuses_within_phase and now >= 0
        unread = self.end_of_phase[self.order[now].phase] if is_kept else now
        if self.sharing.reuses(size):
            self._free(max(self.last.get(node, unread), now), offset, size)
        return Place("arena", offset)

    def _over_another(self, node: Node, now: int) -> Place | None:
        """Return the memory of a value that the group reads element by element and nothing after.

        None if all shards read the same values: another shard may still need them.
        """
        if not self.sharing.reuses_within_phase:
            return None
        for each in _replaceable(node, self.order[now].group):
            place = self.places.get(each)
            if place is None or place != Place("arena", place.offset):
                continue
            span = (place.offset, self.layout.bytes(each))
            if span in self._leaving.get(now, ()):
                self._leaving[now].remove(span)
                self._free(max(self.last.get(node, now), now), *span)
                return place
        return None

    def _free(self, group: int, offset: int, size: int) -> None:
        """Give memory back after a group."""
        self._leaving.setdefault(group, []).append((offset, size))

    def free_after(self, group: int) -> None:
        """Give back the memory of values that nothing reads after a group."""
        for offset, size in self._leaving.pop(group, ()):
            self.layout.give(offset, size)

    # Loops.

    def place_loop(self, s: Scheduled, now: int) -> None:
        """Place what a loop computes, and make its steps.

        An iteration moves along the sequences. A Carry and the value whose earlier steps it holds
        are in the same memory, one step apart.
        """
        loop = s.group.repeated
        self._place_carried(s, loop, now)
        for node in s.group.stored:
            if node not in self.places:
                size, until = self.layout.bytes(node), self.last.get(node, now)
                self.places[node] = Place("arena", self._take_for_loop(size, until, now))
        self._place_reads(loop)
        # joined values come first, because their parts are stored within them
        own = sorted(loop.groups, key=lambda group: group.kind != GroupKind.CONCAT)
        for node in (node for group in own for node in group.stored):
            if node in loop.writes:
                whole = loop.writes[node]
                stride = self.layout.exact(whole) // loop.steps
                self.places[node] = _of_first_iteration(self.places[whole], stride, loop)
            elif node not in self.places:
                offset = self._take_for_loop(self.layout.bytes(node), now, now)
                self.places[node] = Place("arena", offset)
            if isinstance(node.op, Concat) and node.op.axis == 0:
                self._place_parts(node, loop)
        for i, group in enumerate(loop.groups):
            stores = tuple((node, self.places[node]) for node in group.stored)
            mode = self.sharing.mode_in_loop(s, group)
            phase = s.phase + 1 + s.stages[i] if s.stages else s.phase
            # the rows of a product at a single position
            s.steps.append(Step(group, phase, mode, stores, by_channels=mode == Mode.SPLIT))

    def _take_for_loop(self, size: int, until: int, now: int) -> int:
        offset = self.layout.take(size)
        if self.sharing.reuses_within_phase:
            self._free(max(until, now), offset, size)
        return offset

    def _place_carried(self, s: Scheduled, loop: Repeated, now: int) -> None:
        for carry, then in loop.carried.items():
            whole = self.layout.exact(then)
            step = whole // loop.steps
            offset = self._take_for_loop(
                self.layout.rounded(whole + step),
                max(self.last.get(carry, now), self.last.get(then, now)),
                now,
            )
            earlier, later = offset, offset + step
            if loop.backward:
                earlier, later = later, earlier
            self.places[carry], self.places[then] = Place("arena", earlier), Place("arena", later)
            start = earlier + (loop.steps - 1) * step if loop.backward else earlier
            s.stores.append((carry, Place("arena", start)))

    def _place_reads(self, loop: Repeated) -> None:
        """Place the leaves of one step: values from outside of the loop, or one step of them."""
        bases: dict[Node, tuple[int, ...]] = {}
        for leaf, value in loop.reads.items():
            seen = self.views[value]
            item = self.layout.step(seen.root)
            place = self.places[seen.root]
            place = replace(place, offset=place.offset + seen.offset * item)
            if leaf.type.rank == value.type.rank:
                bases[leaf] = seen.strides
            else:
                bases[leaf] = seen.strides[1:]
                place = _of_first_iteration(place, seen.strides[0] * item, loop)
            self.places[leaf] = place
        self.views.update({node: view(node, bases) for node in loop.graph.nodes})

    def _place_parts(self, joined: Node, loop: Repeated) -> None:
        """Place values that are joined along the first axis directly where they are joined."""
        nests = (group for group in loop.groups if group.kind == GroupKind.NEST)
        made = {node for group in nests for node in group.stored}
        place, start = self.places[joined], 0
        for part in joined.inputs:
            if (
                part in made
                and part not in self.places
                and part not in loop.writes
                and part.type.batched == joined.type.batched
                and isinstance(part.op, Elementwise)
            ):
                self.places[part] = replace(place, offset=place.offset + start)
            start += self.layout.exact(part)


def _of_first_iteration(place: Place, stride: int, loop: Repeated) -> Place:
    """Return the place of the step that a loop's first iteration reads or writes."""
    if loop.backward:
        return Place(place.space, place.offset + (loop.steps - 1) * stride, -stride)
    return Place(place.space, place.offset, stride)


def _first_kept(wanted: Sequence[Place]) -> Place | None:
    """Return the first of a value's target places that no later group overwrites."""
    return next(
        (
            each
            for each in wanted
            if each.space == "record" or kind_of(each.space) == OutputKind.GRADIENT
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
