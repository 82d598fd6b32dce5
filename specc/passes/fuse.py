"""Group the nodes of a graph into kernels: elementwise chains and the reductions that end them.

    relu(y) and its mask for the backward pass become one loop over the same elements; a value that
    only members of its group read never touches memory.

`prepare` first makes explicit what the grouping relies on: sums over the batch are completed over the
shards (`AllReduce`), and a value that must lie in memory in C order gets a `Copy` where it does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from dataclasses import replace
from itertools import islice

from specc.ir.graph import Graph, Node, apply, rewrite
from specc.ir.op import Form
from specc.ir.plan import Group, Repeated
from specc.ops.after import After
from specc.ops.broadcast import Broadcast, Sum
from specc.ops.carry import PREFIX, Carry, Loop, carries, loops, ordered
from specc.ops.elementwise import Copy
from specc.ops.gather import Take, TakeSum
from specc.ops.leaf import Const, Input, leaf
from specc.ops.reduce import AllReduce, Max
from specc.ops.shape import Concat, Reshape
from specc.ops.steps import one_step
from specc.ops.views import awaited, in_c_order, is_view, root_of

_IN_NESTS = (Form.ELEMENT, Form.SHARDS, Form.END)
_ALONE = {
    Form.JOIN: "concat",
    Form.CONTRACTION: "contract",
    Form.KERNEL: "kernel",
}  # kind of the group

# Bounds that keep the compile time of deep models in proportion to their depth.
MOST_NODES = 64  # of a nest: LLVM's time grows faster than its length
MOST_SIBLINGS = 16  # groups that are tried, of those that read the same value
FAR = 64  # groups that are looked through for a dependency


def prepare(graph: Graph, own_place: bool = False) -> Graph:
    """The graph with its sums over shards and its copies made explicit.

    With `own_place` every output is computed into memory of its own, and not only read there.
    """

    def reduce_shards(node: Node) -> Node:
        partial = node.op.sums_batch
        if isinstance(node.op, Concat) and all(
            isinstance(each.op, AllReduce) for each in node.inputs
        ):
            # the parts side by side first, then all of them at once
            parts = (each.inputs[0] for each in node.inputs)
            node, partial = Node(node.op, tuple(parts), node.type, node.origin), True
        if isinstance(node.op, After):  # it awaits the parts of a sum, not the sum
            value, *awaited_ = node.inputs
            awaited_ = (
                each.inputs[0] if isinstance(each.op, AllReduce) else each for each in awaited_
            )
            return Node(node.op, (value, *awaited_), node.type, node.origin)
        return apply(AllReduce(), node) if partial else node

    graph = rewrite(_sums_of_rows(graph), reduce_shards)

    def copy(node: Node) -> Node:
        if isinstance(node.op, Reshape) and not in_c_order(node.inputs[0]):
            return apply(node.op, apply(Copy(), node.inputs[0]), origin=node.origin)
        strict = node.op.form is Form.KERNEL
        if strict or node.op.form is Form.CONTRACTION:
            inputs = tuple(
                apply(Copy(), each)
                if isinstance(root_of(each).op, Const) or (strict and not in_c_order(each))
                else each
                for each in node.inputs
            )
            if inputs != node.inputs:
                return Node(node.op, inputs, node.type, node.origin)
        return node

    graph = _with_old_values(rewrite(graph, copy))
    outputs = {}
    ends = _overwritten(graph)
    for name, node in graph.outputs.items():
        root = root_of(node)
        lies_elsewhere = root is not node or node.op.form is Form.LEAF
        lies_elsewhere |= own_place and node in outputs.values()
        own = own_place or name.startswith("lane.")  # it is written to another place as well
        # what others read cannot wait until the old value has been read everywhere, and only a formula
        # reads each element of the old value before it writes that of the new one
        lies_elsewhere |= name.startswith(("param.", "state.")) and (
            node not in ends or node.op.form is not Form.ELEMENT
        )
        if lies_elsewhere and (own or not (node.type.batched and in_c_order(node))):
            node = apply(Copy(), node)
        outputs[name] = node
    return Graph(outputs) if own_place else _prepare_loops(Graph(outputs))


def _with_old_values(graph: Graph) -> Graph:
    """The graph in which the formulas of new weights and states read views of old ones from a copy.

    `W - lr * transpose(W)` writes each element of W where another one has yet to be read.
    """
    targets = {
        name.partition(".")[::2]: node
        for name, node in graph.outputs.items()
        if name.startswith(("param.", "state.", "lane."))
    }
    formulas: set[Node] = set()
    stack = list(targets.values())
    while stack:
        node = stack.pop()
        if node.op.form is Form.ELEMENT and node not in formulas:
            formulas.add(node)
            stack.extend(node.inputs)
    copies: dict[Node, Node] = {}

    def old(node: Node) -> Node:
        """The same view of a copy, for a view of a value that is overwritten."""
        root = root_of(node)
        if (
            root is node
            or not isinstance(root.op, Input)
            or (root.op.role, root.op.label) not in targets
        ):
            return node
        if root not in copies:
            copies[root] = apply(Copy(), root)
        chain = []
        while node is not root:
            chain.append(node)
            node = node.inputs[0]
        node = copies[root]
        for each in reversed(chain):
            node = Node(each.op, (node, *each.inputs[1:]), each.type, each.origin)
        return node

    if not any(old(each) is not each for node in formulas for each in node.inputs):
        return graph
    new: dict[Node, Node] = {}
    for node in graph.nodes:
        inputs = tuple(new[each] for each in node.inputs)
        if node in formulas:
            inputs = tuple(map(old, inputs))
        same = all(a is b for a, b in zip(inputs, node.inputs, strict=True))
        new[node] = node if same else Node(node.op, inputs, node.type, node.origin)
    return Graph({name: new[node] for name, node in graph.outputs.items()})


def _is_old_value(node: Node, leaves: Set[tuple[str, str]]) -> bool:
    """Whether a node copies a weight or a state that is overwritten (see `_with_old_values`)."""
    if not isinstance(node.op, Copy):
        return False
    (x,) = node.inputs
    return isinstance(x.op, Input) and (x.op.role, x.op.label) in leaves


def _sums_of_rows(graph: Graph) -> Graph:
    """The graph with sums over all that one look-up by the data finds in a table as one node each."""

    def join(node: Node) -> Node:
        (taken,) = node.inputs if isinstance(node.op, Sum) and not node.op.batch else (None,)
        if (
            taken is None
            or taken.op != Take()
            or taken in outputs
            or len(users.get(taken, "")) != 1
        ):
            return node
        x, index = taken.inputs
        is_all = node.op.axes == tuple(range(index.type.rank)) and index.type.rank
        if not is_all or x.type.batched or not isinstance(index.op, Input):
            return node
        return apply(TakeSum(), x, index, origin=node.origin)

    users, outputs = graph.users, set(graph.outputs.values())
    return rewrite(graph, join)


def _prepare_loops(graph: Graph) -> Graph:
    """Values that loops carry and read, as the loops need them.

    What is carried is computed in its loop, and for that alone; what a kernel or a change of shape
    in a loop reads from outside lies in C order.
    """
    within = {node for loop in loops(graph) for node in loop.nodes}
    if not within:
        return graph
    known = {node for node in within if not isinstance(node.op, Carry)}
    outputs, taken = dict(graph.outputs), set()
    for carry, then in carries(graph).items():
        if then.op.form in (Form.VIEW, Form.CARRY, Form.LEAF) or then in taken:
            then = apply(Copy(), then)
        taken.add(then)
        outputs[PREFIX + carry.op.label] = then

    new: dict[Node, Node] = {}
    for node in Graph(outputs).nodes:
        inputs = tuple(new[each] for each in node.inputs)
        if node in known and (node.op.form is Form.KERNEL or isinstance(node.op, Reshape)):
            inputs = tuple(
                apply(Copy(), now) if each not in within and not in_c_order(now) else now
                for each, now in zip(node.inputs, inputs, strict=True)
            )
        same = all(a is b for a, b in zip(inputs, node.inputs, strict=True))
        new[node] = node if same else Node(node.op, inputs, node.type, node.origin)
    return Graph({name: new[node] for name, node in outputs.items()})


class _Groups:
    """Groups under construction, with what each depends on.

    `level` is above that of every group depended on: a group of a level no higher than another's
    cannot depend on it.
    """

    def __init__(self):
        self.members: list[list[Node]] = []
        self.domains: list[tuple] = []
        self.reduced: list[tuple | None] = []
        self.depends: list[set[int]] = []
        self.dependents: list[set[int]] = []
        self.level: list[int] = []
        self.next: dict[int, int] = {}  # the group that goes on where a full one ends
        self.of: dict[Node, int] = {}
        self.waiting: set[Node] = set()  # elementwise nodes of leaves, until something reads them
        self.loops: dict[int, Loop] = {}
        self._reading: dict[tuple[str, str], set[int]] = {}
        self._viewing: dict[tuple[str, str], set[int]] = {}

    def open(self, domain, kind) -> int:
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
        for each in node.inputs:
            root = root_of(each)
            if isinstance(root.op, Input):
                key = root.op.role, root.op.label
                self._reading.setdefault(key, set()).add(group)
                if root is not each:
                    self._viewing.setdefault(key, set()).add(group)
        for each in self.needs(node) - {group} - self.depends[group]:
            self.depends[group].add(each)
            self.dependents[each].add(group)
            self._lift(group, self.level[each] + 1)

    def _lift(self, group: int, level: int) -> None:
        """Raise a group to a level, and those that depend on it above it."""
        stack = [(group, level)]
        while stack:
            group, level = stack.pop()
            if self.level[group] < level:
                self.level[group] = level
                stack.extend((each, level + 1) for each in self.dependents[group])

    def full(self, group: int) -> bool:
        return len(self.members[group]) >= MOST_NODES

    def with_room(self, group: int) -> int:
        """The group, or where it is full the one that goes on with it."""
        while self.full(group):
            if group not in self.next:
                self.next[group] = self.open(*self.domains[group])
            group = self.next[group]
        return group

    def needs(self, *nodes: Node) -> set[int]:
        """The groups that must have run before the nodes, and before the waiting nodes that they read."""
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
        """The groups that read some weights or states, each given by its role and label."""
        return set().union(*(self._reading.get(each, ()) for each in leaves))

    def viewing(self, leaves: Iterable[tuple[str, str]]) -> set[int]:
        """The groups that read some weights or states in another order than that of their elements."""
        return set().union(*(self._viewing.get(each, ()) for each in leaves))

    def may_reach(self, starts: set[int], goal: int) -> bool:
        """Whether any of the groups depends, directly or not, on the goal; True where it is far to see."""
        level = self.level[goal]
        seen, stack = set(), list(starts)
        while stack:
            group = stack.pop()
            if group == goal or len(seen) == FAR:
                return True
            if group not in seen and self.level[group] > level:
                seen.add(group)
                stack.extend(self.depends[group])
        return False


def fuse(graph: Graph) -> tuple[Group, ...]:
    """The groups of a prepared graph, in an order in which they can run.

    A node that reads leaves alone waits for its first reader and joins that one's group: `mu * v`
    belongs to the update it serves, not to a loop of its own.
    """
    looped = {node: loop for loop in _with_servants(graph) for node in loop.nodes}
    groups = _Groups()
    # the groups that read a root in a loop over a domain, for joining siblings
    readers: dict[tuple[Node, tuple], dict[int, None]] = {}
    waiting = groups.waiting

    def place(node: Node, group: int) -> None:
        """Put a node into a group, after the waiting nodes that it reads."""
        stack = [(node, group)]
        while stack:
            node, group = stack[-1]
            served = next(_served(node, group), None)
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

    def _served(node: Node, group: int) -> Iterator[tuple[Node, int]]:
        """The waiting nodes that `node` reads, and their groups.

        A node that is read through a view must be complete before its reader begins, so it gets a group
        of its own, even if the reader also reads it directly. The others join the reader's group.
        """
        for root in _read_whole(node):
            if root in waiting:
                yield root, groups.open(_domain(root), "nest")
        for each in node.inputs:
            if each in waiting:
                joins = (_domain(each), "nest") == groups.domains[group]
                yield each, group if joins else groups.open(_domain(each), "nest")

    overwritten = _overwritten(graph)
    leaves = set().union(*overwritten.values())
    order = ordered(graph, looped)
    last = [node for node in order if node in overwritten]
    for node in [node for node in order if node not in overwritten] + last:
        op = node.op
        if node in looped:
            for root in {root_of(each): None for own in looped[node].nodes for each in own.inputs}:
                if root in waiting:
                    waiting.discard(root)
                    place(root, groups.open(_domain(root), "nest"))
            _open_loop(looped[node], groups)
            continue
        if op.form in (Form.LEAF, Form.VIEW):
            continue
        may_wait = (
            op.form is Form.ELEMENT
            and node not in overwritten
            and not awaited(node)
            and not _is_old_value(node, leaves)
        )
        if may_wait and all(
            each in waiting or root_of(each).op.form is Form.LEAF for each in node.inputs
        ):
            waiting.add(node)
            continue
        if op.form in _IN_NESTS:
            after = groups.reading(overwritten.get(node, ()))
            viewing = groups.viewing(overwritten.get(node, ()))
            group = (
                groups.open(_domain(node), "nest")
                if _is_old_value(node, leaves)
                else _group_for(node, groups, readers, after, viewing)
            )
        else:
            assert op.form in _ALONE, f"{op.name} cannot be emitted (a bug of specc)"
            group = groups.open((node.type.shape, node.type.batched), _ALONE[op.form])
        place(node, group)
    for node in graph.outputs.values():
        root = root_of(node)
        if root in waiting:
            waiting.discard(root)
            place(root, groups.open(_domain(root), "nest"))
    return _ordered(graph, groups)


def _with_servants(graph: Graph) -> list[Loop]:
    """The loops of a graph, each with the elementwise nodes outside of it that it alone reads.

    They could run for all steps at once, but their values would go through memory.
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


def _open_loop(loop: Loop, groups: _Groups) -> None:
    """A group for all nodes of a loop."""
    group = groups.open(((loop.steps,), True), "loop")
    groups.loops[group] = loop
    for node in loop.nodes:
        if not is_view(node):
            groups.put(node, group)


def _domain(node: Node) -> tuple:
    """The box that a nest node runs over, and whether over the lanes too."""
    if node.op.form is Form.END:
        node = node.inputs[0]
    return node.type.shape, node.type.batched


def _reduced(node: Node):
    return (node.op.axes, getattr(node.op, "batch", False))


def _overwritten(graph: Graph) -> dict[Node, set[tuple[str, str]]]:
    """The new weights and states that nothing else reads, with the role and label of what each
    takes the place of."""
    ends: dict[Node, set[tuple[str, str]]] = {}
    for name, node in graph.outputs.items():
        role, _, label = name.partition(".")
        if role in ("param", "state", "lane"):
            ends.setdefault(node, set()).add((role, label))
    for node in reversed(graph.nodes):
        if node in ends and any(user not in ends for user in graph.users[node]):
            del ends[node]
    return ends


def _read_whole(node: Node) -> list[Node]:
    """The values that must be complete before a node begins: it reads them through a view, or waits for
    them."""
    return [root for each in node.inputs if (root := root_of(each)) is not each] + awaited(node)


def _group_for(node: Node, groups: _Groups, readers, after: set[int], viewing: set[int]) -> int:
    """The group of a producer or sibling that the node can join, or a new one.

    Not one that a group in `after` depends on, as these must have run; and not one of `viewing`, which
    read what the node overwrites through a view.
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
        if groups.domains[group] != (domain, "nest") or groups.full(group):
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
    return groups.open(domain, "nest")


def _complete_only_later(value: Node, groups: _Groups, group: int) -> bool:
    """Whether `value` is known only when the whole loop of `group` has run."""
    root = root_of(value)
    if groups.of.get(root) != group:
        return False
    return root.op.form is Form.END or root is not value


def _ordered(graph: Graph, groups: _Groups) -> tuple[Group, ...]:
    """The groups after those they depend on, otherwise in the order in which they were begun."""
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
        if kind == "loop":
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
    """The group of a loop, with the groups of one of its steps."""
    own = set(loop.nodes)
    stored = tuple(
        node for node in members if node in read_elsewhere or node in loop.carried.values()
    )
    one: dict[Node, Node] = {}
    still: dict[Node, Node] = {}
    reads: dict[Node, Node] = {}

    def step_of(node: Node) -> Node:
        """The leaf that stands for one step of a value from outside."""
        if node not in one:
            spread = _spread_constant(node)
            if spread is not None:
                one[node] = spread
            else:
                type_ = replace(node.type, shape=node.type.shape[1:])
                one[node] = leaf(Input("step", f"{len(reads)}", type_), node.origin)
                reads[one[node]] = node
        return one[node]

    def whole(node: Node) -> Node:
        """A value from outside that is the same at every step."""
        if root_of(node).op.form is Form.LEAF:
            return node
        if node not in still:
            still[node] = leaf(Input("step", f"{len(reads)}", node.type), node.origin)
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
        own_place=True,
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
    return Group("loop", members, stored, (loop.steps,), True, repeated)


def _spread_constant(node: Node) -> Node | None:
    """A constant that is the same everywhere, for one step."""
    root = root_of(node)
    if not isinstance(root.op, Const) or root.type.shape:
        return None
    shape = node.type.shape[1:]
    return apply(Broadcast(shape), root) if shape else root
