"""Decide where every value is stored: its place in the arena, in shared memory, or in an array.

Memory of the arena is given out by lifetime; a value that other shards read keeps its place to the
end of the phase in which it is last read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from specc.ir.graph import Graph, Node
from specc.ir.plan import Group, GroupKind, Mode, Place, Step, View
from specc.ops.after import After
from specc.ops.carry import PREFIX
from specc.ops.contract import Contract
from specc.ops.elementwise import Elementwise
from specc.ops.leaf import Input
from specc.ops.shape import Concat, Frame, c_strides
from specc.ops.views import root_of, view
from specc.passes import team as teams
from specc.passes.layout import Layout
from specc.passes.plan.phases import Scheduled, is_partial


def _place_parts(joined: Node, loop, places: dict[Node, Place], layout: Layout) -> None:
    """Lets what is joined along the first axis be computed where it shall stand."""
    made = {node for group in loop.groups if group.kind == GroupKind.NEST for node in group.stored}
    place, start = places[joined], 0
    for part in joined.inputs:
        if (
            part in made
            and part not in places
            and part not in loop.writes
            and part.type.batched == joined.type.batched
            and isinstance(part.op, Elementwise)
        ):
            places[part] = replace(place, offset=place.offset + start)
        start += layout.exact(part)


def _place_loop(
    s: Scheduled,
    now: int,
    views,
    places: dict[Node, Place],
    last,
    layout: Layout,
    leaving,
    team: bool,
) -> None:
    """Places for what a loop computes, and its steps: a turn of the loop moves along the sequences.

    A Carry and the value whose earlier steps it holds lie in the same memory, one step apart.
    """
    loop = s.group.loop
    turns = loop.steps

    def take(size: int, until: int) -> int:
        offset = layout.take(size)
        if not team:
            leaving.setdefault(max(until, now), []).append((offset, size))
        return offset

    def stepwise(place: Place, node: Node) -> Place:
        """The place of the step of the first turn, of a value of all steps that lies in C order."""
        stride = layout.exact(node) // turns
        first = place.offset + (turns - 1) * stride if loop.backward else place.offset
        return Place(place.space, first, -stride if loop.backward else stride)

    for carry, then in loop.carried.items():
        step = layout.exact(then) // turns
        offset = take(
            layout.rounded(layout.exact(then) + step),
            max(last.get(carry, now), last.get(then, now)),
        )
        earlier, later = (offset, offset + step) if not loop.backward else (offset + step, offset)
        places[carry], places[then] = Place("arena", earlier), Place("arena", later)
        start = earlier + (turns - 1) * step if loop.backward else earlier
        s.stores.append((carry, Place("arena", start)))
    for node in s.group.stored:
        if node not in places:
            places[node] = Place("arena", take(layout.bytes(node), last.get(node, now)))

    bases: dict[Node, tuple[int, ...]] = {}
    for leaf_, value in loop.reads.items():
        seen = views[value]
        item = layout.step(seen.root)
        place = places[seen.root]
        place = replace(place, offset=place.offset + seen.offset * item)
        if leaf_.type.rank == value.type.rank:
            bases[leaf_] = seen.strides
        else:
            bases[leaf_] = seen.strides[1:]
            stride = seen.strides[0] * item
            first = place.offset + (turns - 1) * stride if loop.backward else place.offset
            place = Place(place.space, first, -stride if loop.backward else stride)
        places[leaf_] = place
    views.update({node: view(node, bases) for node in loop.graph.nodes})
    own = sorted(
        loop.groups, key=lambda group: group.kind != GroupKind.CONCAT
    )  # these give parts their places
    for node in (node for group in own for node in group.stored):
        if node in loop.writes:
            whole = loop.writes[node]
            places[node] = stepwise(places[whole], whole)
        elif node not in places:
            places[node] = Place("arena", take(layout.bytes(node), now))
        if isinstance(node.op, Concat) and node.op.axis == 0:
            _place_parts(node, loop, places, layout)
    for i, group in enumerate(loop.groups):
        stores = tuple((node, places[node]) for node in group.stored)
        mode = (
            Mode.SPLIT
            if s.stages and teams.is_divided(group)
            else Mode.SINGLE
            if team
            else Mode.SHARD
        )
        phase = s.phase + 1 + s.stages[i] if s.stages else s.phase
        # the rows of a product, of which there may be no more than one position
        s.steps.append(Step(group, phase, mode, stores, by_channels=mode == Mode.SPLIT))


def _replaceable(node: Node, group: Group) -> list[Node]:
    """Values like the node that its group reads only where it computes the same element of the
    node.
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


def insides(graph: Graph) -> dict[Node, tuple[Node, int]]:
    """Products that nothing but a Concat of partial sums reads.

    They are computed where they stand in it, so many elements behind its start.
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
            stride, start = c_strides(whole.type.shape)[whole.op.axis], 0
            for each in parts:
                inside[each] = whole, start * stride
                start += each.type.shape[whole.op.axis]
    return inside


def _last_reads(
    order: list[Scheduled],
    graph: Graph,
    views: Mapping[Node, View],
    end_of_phase: Mapping[int, int],
    team: bool,
) -> dict[Node, int]:
    """The number of the last group that each value is kept for."""
    last: dict[Node, int] = {}
    for i, s in enumerate(order):
        for root in s.reads:
            shared = (
                team
                or (s.mode == Mode.ROWS and root.type.batched)
                or (is_partial(root) and not root.type.batched)
            )
            last[root] = max(last.get(root, 0), end_of_phase[s.phase] if shared else i)
    for name, node in graph.outputs.items():
        if node.type.batched and not name.startswith((PREFIX, "lane.")):
            last[views[node].root] = len(order)
    return last


def places_of(
    order,
    graph: Graph,
    views,
    targets,
    layout: Layout,
    team: bool,
    inside: dict[Node, tuple[Node, int]],
) -> dict[Node, Place]:
    """A place for every value that lies in memory; sets the steps' `stores` and `steps`."""
    for s in order:
        s.stores, s.steps = [], []
    end_of_phase = {s.phase: i for i, s in enumerate(order)}
    last = _last_reads(order, graph, views, end_of_phase, team)

    places: dict[Node, Place] = {}
    leaving: dict[int, list[tuple[int, int]]] = {}

    def in_arena(node: Node, now: int) -> Place:
        size = layout.bytes(node)
        offset = layout.take(size)
        unread = end_of_phase[order[now].phase] if team and now >= 0 else now
        if not team or layout.lanes > 1:
            leaving.setdefault(max(last.get(node, unread), now), []).append((offset, size))
        return Place("arena", offset)

    def over_another(node: Node, now: int) -> Place | None:
        """The place of a value that nothing reads after the group, which reads it element by
        element; where all shards read the same values, another one may not have come so far.
        """
        if team:
            return None
        for each in _replaceable(node, order[now].group):
            span = (places[each].offset, layout.bytes(each)) if each in places else None
            if span in leaving.get(now, ()) and places[each] == Place("arena", span[0]):
                leaving[now].remove(span)
                leaving.setdefault(max(last.get(node, now), now), []).append(span)
                return places[each]
        return None

    for node in graph.nodes:
        if isinstance(node.op, Input):
            if node.op.role in ("param", "state", "lane"):
                places[node] = Place(f"{node.op.role}.{node.op.label}")
            elif node.type.batched:
                places[node] = in_arena(node, -1)
            else:
                places[node] = layout.take_shared(node)
    for i, s in enumerate(order):
        if s.group.kind == GroupKind.LOOP:
            _place_loop(s, i, views, places, last, layout, leaving, team)
        for node in s.group.stored if s.group.kind != GroupKind.LOOP else ():
            wanted = targets.get(node, [])
            if node in inside:
                whole, start = inside[node]
                if whole not in places:
                    places[whole] = in_arena(whole, i)
                offset = places[whole].offset + start * layout.step(whole)
                places[node] = Place("arena", offset)
                s.stores.append((node, places[node]))
                continue
            if node in places:  # its parts are there already
                s.stores.append((node, places[node]))
                continue
            if isinstance(node.op, Frame) and layout.lanes == 1:
                # memory of its own, whose border nothing ever writes to
                places[node] = layout.take_shared(node)
                s.stores.append((node, places[node]))
                s.stores.extend((node, place) for place in wanted)
                continue
            if node.type.batched or is_partial(node):
                places[node] = over_another(node, i) or in_arena(node, i)
                s.stores.append((node, places[node]))
                s.stores.extend((node, place) for place in wanted)
                continue
            if s.mode == Mode.EACH and (node in last or not wanted):
                places[node] = in_arena(node, i)
                s.stores.append((node, places[node]))
                s.stores.extend((node, place) for place in wanted)
                continue
            needed = node in last  # by later groups: they must not see a place that is overwritten
            in_place = [place for place in wanted if place.space.startswith(("record", "gradient"))]
            if (needed and not in_place) or not wanted:
                places[node] = layout.take_shared(node)
                s.stores.append((node, places[node]))
            elif in_place:
                places[node] = in_place[0]
            else:
                places[node] = wanted[0]
            s.stores.extend((node, place) for place in wanted)
        if s.group.kind == GroupKind.CONCAT:
            assert isinstance(s.group.nodes[0].op, Concat)
        for offset, size in leaving.pop(i, ()):
            layout.give(offset, size)
    return places
