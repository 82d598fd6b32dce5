"""Decide when each kernel runs, on which shards, and where every value lies.

    plan(graph, groups=fuse(graph), division=division, bytes_of_float=4)

Shards meet only at barriers, which separate *phases*: a kernel that reads what another shard wrote is
put into a later phase. Memory of the arena is given out by lifetime; a value that other shards read
keeps its place to the end of the phase in which it is last read.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace

from specc.ir import sizes
from specc.ir.graph import Graph, Node
from specc.ir.op import Form
from specc.ir.plan import Group, Place, Plan, Step, View
from specc.ops.after import After
from specc.ops.carry import PREFIX
from specc.ops.contract import Contract
from specc.ops.elementwise import Elementwise
from specc.ops.leaf import Const, Input
from specc.ops.shape import Concat, Frame, c_strides
from specc.ops.views import awaited, root_of, view
from specc.passes import team as teams
from specc.passes.division import Division
from specc.passes.layout import Layout, Packed
from specc.passes.team import SPLIT_FROM


@dataclass(eq=False)
class _Scheduled:
    """A group with what the scheduling finds out about it."""

    group: Group
    mode: str
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
        return 1 + self.phases * self.group.loop.steps if self.stages else 1


def plan(graph: Graph, groups: tuple[Group, ...], division: Division, bytes_of_float: int) -> Plan:
    """The plan of a graph that is divided among threads, and fused into groups.

    Outputs named "loss", "loss.*" and "mean.*" are recorded each step; "param.*" and "state.*" are
    written back; "gradient.*" go to arrays of their own; batched outputs are handed out.
    """
    shards, examples, lanes = division.shards, division.examples, division.lanes
    team, vector = division.team, division.vector
    views = {node: view(node) for node in graph.nodes}
    records = tuple(
        name for name in graph.outputs if name == "loss" or name.startswith(("loss.", "mean."))
    )
    targets = _targets(graph, records, bytes_of_float)
    modes = [teams.mode(group, lanes, shards, vector) if team else _mode(group) for group in groups]
    scheduled = [
        _Scheduled(group, mode, [], _reads(group, views))
        for group, mode in zip(groups, modes, strict=True)
    ]
    for s in scheduled if team else ():
        if s.mode == "split" and s.group.kind == "loop":
            s.stages = teams.stages(s.group.loop)
        elif s.mode == "split":
            s.by_channels = teams.by_channels(s.group, lanes)
    if shards > 1 and not team:
        _repeat_small_steps(scheduled, targets)
    _assign_phases(scheduled, shards, lanes, targets, team)
    _delay_rows(scheduled)
    layout = Layout(bytes_of_float, lanes)
    inside = _insides(graph)

    def in_arena(root: Node) -> int:
        return layout.bytes(root) if root.type.batched or _is_partial(root) else 0

    order = _order(scheduled, in_arena)
    places = _places(order, graph, views, targets, layout, team, inside)
    packed = Packed(layout)
    if packed.arena < layout.arena:
        layout = packed
        places = _places(order, graph, views, targets, layout, team, inside)
    emits = tuple(
        (name, node)
        for name, node in graph.outputs.items()
        if node.type.batched and not name.startswith((PREFIX, "lane."))
    )
    return Plan(
        graph=graph,
        steps=tuple(
            Step(
                s.group,
                s.phase,
                s.mode,
                tuple(s.stores),
                tuple(s.steps),
                s.group.loop.steps if s.group.loop else 1,
                s.by_channels,
                s.phases,
            )
            for s in order
        ),
        views=views,
        places=places,
        shards=shards,
        lanes=lanes,
        examples=examples,
        arena_bytes=layout.arena,
        shared_bytes=layout.shared,
        records=records,
        emits=emits,
        keeps_weights=not any(name.startswith(("param.", "gradient.")) for name in graph.outputs),
        team=team,
        strides={node: c_strides(whole.type.shape) for node, (whole, _) in inside.items()},
    )


def _targets(graph: Graph, records, bytes_of_float: int) -> dict[Node, list[Place]]:
    """The places outside of the program's own memory that a node's value must reach."""
    targets: dict[Node, list[Place]] = {}
    recorded = 0
    for name, node in graph.outputs.items():
        if name in records:
            place = Place("record", bytes_of_float * recorded)
            recorded += node.type.elements
        elif name.startswith(("param.", "state.", "gradient.", "lane.")):
            place = Place(name)
        else:
            continue
        targets.setdefault(node, []).append(place)
    return targets


def _mode(group: Group) -> str:
    if _is_completed(group.nodes[0]):
        return "rows"
    if group.batched or any(each.type.batched for node in group.nodes for each in node.inputs):
        return "shard"
    if _is_partial(group.nodes[0]):
        return "shard"
    elements = sizes.product(group.domain)
    plain = group.kind in ("nest", "concat") and not any(
        node.op.form is Form.END for node in group.nodes
    )
    return "split" if plain and elements >= SPLIT_FROM else "single"


def _same_channels(maker: _Scheduled, reader: _Scheduled, value: Node) -> bool:
    """Whether every shard of a team reads of a value only what it has made itself."""
    if not maker.by_channels or not reader.by_channels:
        return False
    channels = {
        s.group.domain[0] if s.group.kind == "nest" else s.group.nodes[0].type.shape[0]
        for s in (maker, reader)
    }
    if reader.group.kind == "contract":
        node = reader.group.nodes[0]  # the rows of its weights are the channels of what it reads
        return node.op.by_rows and value in node.inputs and channels == {*value.type.shape}
    reads = [each for node in reader.group.nodes for each in node.inputs if root_of(each) is value]
    return all(each is value for each in reads) and channels == {value.type.shape[0]}


def _takes_own_rows(reader: _Scheduled, writer: _Scheduled) -> bool:
    """Whether a team divides a product that reads a weight, and the update that overwrites it, along the
    weight's rows."""
    if not reader.by_channels or reader.group.kind != "contract" or writer.mode != "split":
        return False
    node = reader.group.nodes[0]
    (weight,) = (each for each in node.inputs if not each.type.batched)
    is_left = weight is node.inputs[0]
    by_rows = node.op.by_rows or (node.op.left if is_left else node.op.right)[:1] == node.op.out[:1]
    return by_rows and isinstance(weight.op, Input) and writer.group.domain == weight.type.shape


def _reads(group: Group, views: dict[Node, View]) -> set[Node]:
    """The roots that the group reads from memory."""
    members = set(group.nodes)
    roots = {
        views[each].root for node in group.nodes for each in node.inputs if each not in members
    }
    return {root for root in roots if root not in members and not isinstance(root.op, Const)}


def _is_partial(node: Node) -> bool:
    """Whether each shard holds only its own part of the value."""
    if isinstance(node.op, Concat):
        return all(_is_partial(each) for each in node.inputs)
    if _is_completed(node):
        return False
    return node.op.sums_batch or getattr(node.op, "by_rows", False)


def _is_completed(node: Node) -> bool:
    """Whether each shard computes rows of the whole value, from what all of them hold."""
    return getattr(node.op, "complete", False)


def _repeat_small_steps(scheduled: list[_Scheduled], targets) -> None:
    """Let every shard do for itself what is small and read by the shards: that saves a barrier.

    What such a step gives to other places than the arena, the first shard alone writes.
    """
    shared = {root for s in scheduled if s.mode != "single" for root in s.reads}
    for s in reversed(scheduled):
        read = [node for node in s.group.stored if node in shared]
        if s.mode != "single" or not read or s.group.kind != "nest":
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
        s.mode = "each"
        shared |= leaves


def _earliest_phase(root: Node, reader: _Scheduled, team: bool, lanes: int) -> int:
    """The phase from which a group can read a leaf that the shards bring in during phase 0."""
    if root.op.role != "setting" and not (root.type.batched and (team or reader.mode == "rows")):
        return 0
    # each shard of a team brings in some of the features
    together = (
        team and lanes > 1 and root.op.role in ("input", "target") and root.type.kind == "float"
    )
    return 0 if reader.mode == "single" and not together else 1


def _assign_phases(
    scheduled: list[_Scheduled], shards: int, lanes: int, targets, team: bool
) -> None:
    """Set `phase` and `before` of every group: dependencies first, then who overwrites what."""
    maker = {node: s for s in scheduled for node in s.group.nodes}
    number = {id(s): i for i, s in enumerate(scheduled)}
    overwritten: dict[tuple[str, str], _Scheduled] = {}
    for node, places in targets.items():
        for place in places:
            if place.space.startswith(("param.", "state.", "lane.")):
                role, _, label = place.space.partition(".")
                overwritten[role, label] = maker[node]
    readers: dict[tuple[str, str], list[_Scheduled]] = {}
    for s in scheduled:
        for root in s.reads:
            if isinstance(root.op, Input):
                readers.setdefault((root.op.role, root.op.label), []).append(s)

    edges: list[tuple[_Scheduled, _Scheduled, bool]] = []
    for s in scheduled:
        for root in s.reads:
            if root in maker:
                edges.append((maker[root], s, _crosses(maker[root], s, root, team)))
            elif shards > 1:
                s.phase = max(s.phase, _earliest_phase(root, s, team, lanes))
        for root in {root: None for node in s.group.nodes for root in awaited(node)}:
            edges.append((maker[root], s, False))
    for key, writer in overwritten.items():
        for reader in readers.get(key, ()):
            if reader is not writer:
                apart = reader.mode == writer.mode == "single" or (
                    team and _takes_own_rows(reader, writer)
                )
                edges.append((reader, writer, not apart))
    following: dict[int, list] = {}
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


def _delay_rows(scheduled: list[_Scheduled]) -> None:
    """Let rows be completed in the phase of the group that reads them: then it can take each piece of
    them from a near cache."""
    readers: dict[Node, list[_Scheduled]] = {}
    for s in scheduled:
        for root in s.reads:
            readers.setdefault(root, []).append(s)
    for s in scheduled:
        (node, *others) = s.group.nodes
        if s.mode == "rows" and not others and len(readers.get(node, ())) == 1:
            (reader,) = readers[node]
            if _has_rows_of(reader, node):
                s.phase = max(s.phase, reader.phase)


def _crosses(maker: _Scheduled, reader: _Scheduled, value: Node, team: bool) -> bool:
    """Whether a value is read by another shard than the one that wrote it."""
    if value.type.batched and not team:
        return reader.mode == "rows"
    if _is_partial(value):
        return True
    if maker.mode == "rows":
        return not _has_rows_of(reader, value)
    if maker.mode == "each":
        return False
    if team and _same_channels(maker, reader, value):
        return False
    return not maker.mode == reader.mode == "single"


def _has_rows_of(reader: _Scheduled, value: Node) -> bool:
    """Whether the group is divided among the shards as the value is: along its first axis."""
    own = [each for node in reader.group.nodes for each in node.inputs if root_of(each) is value]
    return (
        reader.mode == "split"
        and reader.group.domain == value.type.shape
        and all(each is value for each in own)
    )


def _order(scheduled: list[_Scheduled], bytes_of) -> list[_Scheduled]:
    """Phase by phase; within a phase after what must have run, first what gives back more memory
    than it takes, otherwise as they stand.

    So the gradient of a weight is taken as soon as its layer's is there, and what it reads is free.
    What reads rows that a shard has completed comes at once, while they are in its cache.
    """
    following: dict[int, list[_Scheduled]] = {}
    readers: dict[Node, list[_Scheduled]] = {}
    waits: dict[int, int] = {}
    for s in scheduled:
        waits[s.position] = len(s.before)
        for each in s.before:
            following.setdefault(each, []).append(s)
        for root in s.reads:
            readers.setdefault(root, []).append(s)
    left = {root: len(each) for root, each in readers.items()}
    ready: list[tuple[int, int, int]] = []

    def offer(s: _Scheduled) -> None:
        given = sum(bytes_of(root) for root in s.reads if left[root] == 1)
        taken = sum(bytes_of(node) for node in s.group.stored if node in readers)
        at_once = s.mode == "split" and any(_is_completed(root) for root in s.reads)
        heapq.heappush(ready, (s.phase, 0 if at_once else 1 if given > taken else 2, s.position))

    for s in scheduled:
        if not waits[s.position]:
            offer(s)
    order: list[_Scheduled] = []
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


def _place_parts(joined: Node, loop, places: dict[Node, Place], layout: Layout) -> None:
    """Lets what is joined along the first axis be computed where it shall stand."""
    made = {node for group in loop.groups if group.kind == "nest" for node in group.stored}
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
    s: _Scheduled,
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
        loop.groups, key=lambda group: group.kind != "concat"
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
        mode = "split" if s.stages and teams.is_divided(group) else "single" if team else "shard"
        phase = s.phase + 1 + s.stages[i] if s.stages else s.phase
        # the rows of a product, of which there may be no more than one position
        s.steps.append(Step(group, phase, mode, stores, by_channels=mode == "split"))


def _replaceable(node: Node, group: Group) -> list[Node]:
    """Values like the node that its group reads only where it computes the same element of the node."""
    if group.kind != "nest" or not node.type.batched or not isinstance(node.op, Elementwise):
        return []
    members = set(group.nodes)
    read: dict[Node, bool] = {}
    for each in (each for member in group.nodes for each in member.inputs if each not in members):
        root = root_of(each)
        read[root] = read.get(root, True) and root is each and each.type == node.type
    return [root for root, alike in read.items() if alike]


def _insides(graph: Graph) -> dict[Node, tuple[Node, int]]:
    """Products that nothing but a Concat of partial sums reads: they are computed where they stand in
    it, so many elements behind its start."""
    inside: dict[Node, tuple[Node, int]] = {}
    for whole in graph.nodes:
        if not isinstance(whole.op, Concat) or not _is_partial(whole):
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


def _places(
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
    last: dict[Node, int] = {}
    end_of_phase: dict[int, int] = {}
    for i, s in enumerate(order):
        end_of_phase[s.phase] = i
    for i, s in enumerate(order):
        for root in s.reads:
            shared = (
                team
                or (s.mode == "rows" and root.type.batched)
                or (_is_partial(root) and not root.type.batched)
            )
            last[root] = max(last.get(root, 0), end_of_phase[s.phase] if shared else i)
    for name, node in graph.outputs.items():
        if node.type.batched and not name.startswith((PREFIX, "lane.")):
            last[views[node].root] = len(order)

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
        """The place of a value that nothing reads after the group, which reads it element by element; where
        all shards read the same values, another one may not have come so far."""
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
        if s.group.kind == "loop":
            _place_loop(s, i, views, places, last, layout, leaving, team)
        for node in s.group.stored if s.group.kind != "loop" else ():
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
            if node.type.batched or _is_partial(node):
                places[node] = over_another(node, i) or in_arena(node, i)
                s.stores.append((node, places[node]))
                s.stores.extend((node, place) for place in wanted)
                continue
            if s.mode == "each" and (node in last or not wanted):
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
        if s.group.kind == "concat":
            assert isinstance(s.group.nodes[0].op, Concat)
        for offset, size in leaving.pop(i, ()):
            layout.give(offset, size)
    return places
