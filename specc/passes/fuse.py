"""Group the nodes of a graph into kernels: elementwise chains and the reductions that end them.

    relu(y) and its mask for the backward pass become one loop over the same elements; a value that
    only members of its group read is never stored.

The graph must be prepared: see `prepare`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from dataclasses import replace
from itertools import islice

from specc.ir.graph import Graph, Node, apply
from specc.ir.op import Form
from specc.ir.plan import Group, GroupKind, Repeated
from specc.ops.alike import is_alike
from specc.ops.broadcast import Broadcast, Sum
from specc.ops.carry import Carry, Loop, loops, ordered
from specc.ops.leaf import Const, Input, Role, leaf
from specc.ops.reduce import AllReduce, Max
from specc.ops.steps import one_step
from specc.ops.views import awaited, is_view, root_of
from specc.passes.groups import MOST_SIBLINGS, Box, Groups, Reduced
from specc.passes.prepare import is_old_value, overwritten_by, prepare

_IN_NESTS = (Form.ELEMENT, Form.SHARDS, Form.END)
_ALONE = {
    Form.JOIN: GroupKind.CONCAT,
    Form.CONTRACTION: GroupKind.CONTRACT,
    Form.KERNEL: GroupKind.KERNEL,
}  # kind of the group


Readers = dict[tuple[Node, Box], dict[int, None]]
"""The groups that read a root in a loop over a domain, for joining siblings."""


def fuse(graph: Graph) -> tuple[Group, ...]:
    """Return the groups of a prepared graph, in an order in which they can run.

    A node that reads only leaves waits for its first reader and joins the reader's group: `mu * v`
    belongs to the update that uses it, not to a loop of its own.
    """
    looped = {node: loop for loop in _with_servants(graph) for node in loop.nodes}
    groups = Groups()
    readers: Readers = {}
    waiting = groups.waiting

    def place(node: Node, group: int) -> None:
        """Put a node into a group, after the waiting nodes that it reads."""
        stack = [(node, group)]
        while stack:
            node, group = stack[-1]
            served = next(_served(node, group, groups), None)
            if served is not None:
                waiting.discard(served[0])
                stack.append(served)
                continue
            stack.pop()
            group = groups.with_room(group)
            groups.put(node, group)
            if isinstance(node.op, (Sum, Max)):
                groups.reduced[group] = _reduced(node)
            for root in map(root_of, node.inputs):
                if not isinstance(root.op, Const):
                    readers.setdefault((root, groups.domains[group][0]), {})[group] = None

    def place_waiting(roots: Iterable[Node]) -> None:
        """Put the nodes that still wait into groups of their own."""
        for root in roots:
            if root in waiting:
                waiting.discard(root)
                place(root, groups.open(_domain(root), GroupKind.NEST))

    overwritten = overwritten_by(graph)
    leaves = set().union(*overwritten.values())
    order = ordered(graph, looped)
    last = [node for node in order if node in overwritten]
    for node in [node for node in order if node not in overwritten] + last:
        op = node.op
        if node in looped:
            read = (each for own in looped[node].nodes for each in own.inputs)
            place_waiting(dict.fromkeys(map(root_of, read)))
            _open_loop(looped[node], groups)
            continue
        if op.form in (Form.LEAF, Form.VIEW):
            continue
        if node not in overwritten and _may_wait(node, waiting, leaves):
            waiting.add(node)
            continue
        if op.form in _IN_NESTS:
            after = groups.reading(overwritten.get(node, ()))
            viewing = groups.viewing(overwritten.get(node, ()))
            group = (
                groups.open(_domain(node), GroupKind.NEST)
                if is_old_value(node, leaves)
                else _group_for(node, groups, readers, after, viewing)
            )
        else:
            assert op.form in _ALONE, f"{op.name} cannot be emitted (a bug of specc)"
            group = groups.open((node.type.shape, node.type.batched), _ALONE[op.form])
        place(node, group)
    place_waiting(map(root_of, graph.outputs.values()))
    return _ordered(graph, groups)


def _may_wait(node: Node, waiting: Set[Node], leaves: Set[tuple[str, str]]) -> bool:
    """Return whether a node reads only leaves, so that it can join its first reader.

    What is read for each example alike is to be computed where its reader is, too.
    """
    return (
        node.op.form is Form.ELEMENT
        and not awaited(node)
        and not is_old_value(node, leaves)
        and all(
            each in waiting or root_of(each).op.form is Form.LEAF or is_alike(each)
            for each in node.inputs
        )
    )


def _served(node: Node, group: int, groups: Groups) -> Iterator[tuple[Node, int]]:
    """Return the waiting nodes that `node` reads, and their groups.

    A node that is read through a view must be complete before its reader begins, so it gets a group
    of its own, even if the reader also reads it directly. The others join the reader's group.
    """
    for root in _read_whole(node):
        if root in groups.waiting:
            yield root, groups.open(_domain(root), GroupKind.NEST)
    for each in node.inputs:
        if each in groups.waiting:
            joins = (_domain(each), GroupKind.NEST) == groups.domains[group]
            yield each, group if joins else groups.open(_domain(each), GroupKind.NEST)


def _with_servants(graph: Graph) -> list[Loop]:
    """Return the loops of a graph, each with the elementwise nodes outside that only it reads.

    These nodes could run for all steps at once, but then their values would go through memory.
    """
    found = []
    outputs = set(graph.outputs.values())
    for loop in loops(graph):
        own = set(loop.nodes)
        for node in reversed(graph.nodes):
            if (
                node.op.form is Form.ELEMENT
                and node not in own
                and node not in outputs
                and node.type.batched
                and node.type.shape[:1] == (loop.steps,)
                and all(user in own for user in graph.users[node])
                and all(
                    user.op.reads_step(position)
                    for user in graph.users[node]
                    for position, each in enumerate(user.inputs)
                    if each is node
                )
            ):
                own.add(node)
        nodes = tuple(node for node in graph.nodes if node in own)
        found.append(replace(loop, nodes=nodes))
    return found


def _open_loop(loop: Loop, groups: Groups) -> None:
    """Open a group for all nodes of a loop."""
    group = groups.open(((loop.steps,), True), GroupKind.LOOP)
    groups.loops[group] = loop
    for node in loop.nodes:
        if not is_view(node):
            groups.put(node, group)


def _domain(node: Node) -> Box:
    """Return the shape that a nest node runs over, and whether it runs over the lanes too."""
    if node.op.form is Form.END:
        node = node.inputs[0]
    return node.type.shape, node.type.batched


def _reduced(node: Node) -> Reduced | None:
    """Return the axes that a node reduces, and whether the batch; None if it reduces nothing."""
    return (node.op.axes, node.op.sums_batch) if isinstance(node.op, (Sum, Max)) else None


def _read_whole(node: Node) -> list[Node]:
    """Return the values that must be complete before a node begins.

    The node reads them through a view, or waits for them.
    """
    return [root for each in node.inputs if (root := root_of(each)) is not each] + awaited(node)


def _group_for(
    node: Node, groups: Groups, readers: Readers, after: set[int], viewing: set[int]
) -> int:
    """Return the group of a producer or sibling that the node can join, or a new group.

    A group that one in `after` depends on does not count, because those in `after` must run before
    the node. Neither does one in `viewing`: it reads through a view what the node overwrites.
    """
    domain = _domain(node)
    candidates = [
        groups.of[each]
        for each in node.inputs
        if each in groups.of and each.op.form in (Form.ELEMENT, Form.SHARDS)
    ]
    if isinstance(node.op, AllReduce):
        candidates = []
    for each in node.inputs:
        siblings = readers.get((root_of(each), domain), {})
        candidates += islice(reversed(siblings), MOST_SIBLINGS)
    needs, late = groups.needs(node), awaited(node)
    whole = groups.needs(*(root for root in _read_whole(node) if root in groups.waiting))
    for group in dict.fromkeys(candidates):
        if groups.domains[group] != (domain, GroupKind.NEST) or groups.full(group):
            continue
        if groups.stalls(node, group):
            continue
        if isinstance(node.op, (Sum, Max)) and groups.reduced[group] not in (None, _reduced(node)):
            continue
        if any(_complete_only_later(each, groups, group) for each in node.inputs):
            continue
        if any(groups.of.get(each) == group for each in late) or group in whole | viewing:
            continue
        if groups.may_reach((needs | after) - {group}, group):
            continue
        return group
    return groups.open(domain, GroupKind.NEST)


def _complete_only_later(value: Node, groups: Groups, group: int) -> bool:
    """Return whether `value` is known only after the whole loop of `group` has run."""
    root = root_of(value)
    if groups.of.get(root) != group:
        return False
    return root.op.form is Form.END or root is not value


def _ordered(graph: Graph, groups: Groups) -> tuple[Group, ...]:
    """Return each group after those it depends on, otherwise in the order of their first nodes."""
    outputs = set(graph.outputs.values())
    read_elsewhere: set[Node] = set()
    for node, group in groups.of.items():
        for each in node.inputs:
            root = root_of(each)
            if groups.of.get(root) != group or (root is not each and group not in groups.loops):
                read_elsewhere.add(root)
    roots_of_outputs = {root_of(node) for node in outputs}
    done: set[int] = set()
    order: list[int] = []
    for start in range(len(groups.members)):
        stack = [(start, False)]
        while stack:
            group, ready = stack.pop()
            if group in done:
                continue
            if ready:
                done.add(group)
                order.append(group)
                continue
            stack.append((group, True))
            stack.extend(
                (each, False)
                for each in sorted(groups.depends[group], reverse=True)
                if each not in done
            )
    made = []
    for group in order:
        (domain, batched), kind = groups.domains[group]
        members = tuple(groups.members[group])
        if kind == GroupKind.LOOP:
            made.append(
                _loop_group(groups.loops[group], members, read_elsewhere | roots_of_outputs)
            )
            continue
        stored = tuple(
            node
            for node in members
            if node in read_elsewhere or node in roots_of_outputs or node.op.form is Form.END
        )
        made.append(Group(kind, members, stored, domain, batched))
    return tuple(made)


def _loop_group(loop: Loop, members: tuple[Node, ...], read_elsewhere: set[Node]) -> Group:
    """Return the group of a loop, with the groups of one of its steps."""
    own = set(loop.nodes)
    stored = tuple(
        node for node in members if node in read_elsewhere or node in loop.carried.values()
    )
    one: dict[Node, Node] = {}
    still: dict[Node, Node] = {}
    reads: dict[Node, Node] = {}

    def step_of(node: Node) -> Node:
        """Return the leaf for one step of a value from outside of the loop."""
        if node not in one:
            spread = _spread_constant(node)
            if spread is not None:
                one[node] = spread
            else:
                type_ = replace(node.type, shape=node.type.shape[1:])
                one[node] = leaf(Input(Role.STEP, f"{len(reads)}", type_), node.origin)
                reads[one[node]] = node
        return one[node]

    def whole(node: Node) -> Node:
        """Return the leaf for a value from outside of the loop that is the same at every step."""
        if root_of(node).op.form is Form.LEAF:
            return node
        if node not in still:
            still[node] = leaf(Input(Role.STEP, f"{len(reads)}", node.type), node.origin)
            reads[still[node]] = node
        return still[node]

    for node in loop.nodes:
        if isinstance(node.op, Carry):
            step_of(node)
    for node in loop.nodes:
        if not isinstance(node.op, Carry):
            one[node] = one_step(
                node,
                [
                    one[each]
                    if each in own
                    else step_of(each)
                    if node.op.reads_step(position)
                    else whole(each)
                    for position, each in enumerate(node.inputs)
                ],
            )
    graph = prepare(
        Graph(
            {
                str(i): one[node]
                for i, node in enumerate(stored)
                if node in one and not isinstance(node.op, Carry)
            }
        ),
        own_memory=True,
    )
    needed = set(graph.nodes)
    repeated = Repeated(
        loop.steps,
        loop.backward,
        fuse(graph),
        graph,
        {each: node for each, node in reads.items() if each in needed},
        {node: stored[int(i)] for i, node in graph.outputs.items()},
        loop.carried,
    )
    return Group(GroupKind.LOOP, members, stored, (loop.steps,), True, repeated)


def _spread_constant(node: Node) -> Node | None:
    """Return a constant with equal elements, for one step."""
    root = root_of(node)
    if not isinstance(root.op, Const) or root.type.shape:
        return None
    shape = node.type.shape[1:]
    return apply(Broadcast(shape), root) if shape else root
