"""Make explicit what `fuse` and `plan` rely on: sums over shards, and copies.

Sums over the batch are completed over the shards (`AllReduce`), and a value that must be stored in
C order gets a `Copy` if it is not.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace

from specc.ir.graph import Graph, Node, apply, over, rebuild, rewrite
from specc.ir.names import OVERWRITING, OutputKind, kind_of
from specc.ir.op import Form
from specc.ops.after import After
from specc.ops.broadcast import Broadcast, Sum
from specc.ops.carry import PREFIX, Carry, carries, loops
from specc.ops.elementwise import Copy
from specc.ops.gather import Put, Take, TakeSum
from specc.ops.leaf import Const, Input, Role
from specc.ops.reduce import AllReduce
from specc.ops.shape import Concat, Reshape
from specc.ops.views import in_c_order, root_of


def prepare(graph: Graph, own_memory: bool = False) -> Graph:
    """Return the graph with its sums over shards and its copies as nodes.

    With `own_memory` every output is computed into memory of its own, and is never only a view.
    """

    graph = _sums_of_rows(graph)
    read = _read(graph)

    def reduce_shards(old: Node, node: Node) -> Node:
        partial = node.op.sums_batch
        if isinstance(node.op, Concat) and all(
            isinstance(each.op, AllReduce) for each in node.inputs
        ):
            # sum each joined part over the shards by itself, then join the sums
            parts = (each.inputs[0] for each in node.inputs)
            node, partial = Node(node.op, tuple(parts), node.type, node.origin), True
        if isinstance(node.op, After):  # it waits for the shards' partial sums, not for the sum
            value, *others = node.inputs
            parts = (
                now.inputs[0] if isinstance(now.op, AllReduce) else now
                for each, now in zip(old.inputs[1:], others, strict=True)
                if each in read
            )
            return Node(node.op, (value, *parts), node.type, node.origin)
        return apply(AllReduce(), node) if partial else node

    graph = rebuild(graph, reduce_shards)

    def copy(node: Node) -> Node:
        if isinstance(node.op, Reshape) and not in_c_order(node.inputs[0]):
            return apply(node.op, apply(Copy(), node.inputs[0]), origin=node.origin)
        node = _of_same_values(node)
        strict = node.op.form is Form.KERNEL
        if strict or node.op.form is Form.CONTRACTION:
            inputs = tuple(
                apply(Copy(), each)
                if isinstance(root_of(each).op, Const) or (strict and not in_c_order(each))
                else each
                for each in node.inputs
            )
            return over(node, inputs)
        return node

    graph = _with_old_values(rewrite(graph, copy))
    outputs: dict[str, Node] = {}
    ends = overwritten_by(graph)
    for name, node in graph.outputs.items():
        root = root_of(node)
        is_elsewhere = root is not node or node.op.form is Form.LEAF
        is_elsewhere |= own_memory and node in outputs.values()
        # the state that a stream leaves is also written to an array outside of the arena
        is_slot = kind_of(name) == OutputKind.SLOT
        own = own_memory or is_slot
        # a kernel writes to one place, which is the slot if it overwrites what that holds
        is_elsewhere |= is_slot and node.op.form is Form.KERNEL and not node.op.overwrites_first
        # a value that other nodes read cannot wait until every reader of the old value has run,
        # and only a formula reads each element of the old value before it writes the new one
        is_elsewhere |= kind_of(name) in (OutputKind.PARAM, OutputKind.STATE) and (
            node not in ends or node.op.form is not Form.ELEMENT
        )
        if is_elsewhere and (own or not (node.type.batched and in_c_order(node))):
            node = apply(Copy(), node)
        outputs[name] = node
    return Graph(outputs) if own_memory else _prepare_loops(Graph(outputs))


def _of_same_values(node: Node) -> Node:
    """Return a Put that adds one value at all indices of an example as one that reads it once."""
    if not isinstance(node.op, Put) or not node.op.sum_batch or node.op.lead:
        return node
    spread, index = node.inputs
    if not isinstance(spread.op, Broadcast) or not index.type.rank:
        return node
    (value,) = spread.inputs
    if spread.op.axes != tuple(range(index.type.rank, spread.type.rank)):
        return node
    return apply(replace(node.op, same=True), value, index, origin=node.origin)


def _read(graph: Graph) -> set[Node]:
    """Return the nodes that others read, or that are outputs: not those that are only awaited."""
    found: set[Node] = set()
    stack = list(graph.outputs.values())
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            stack += node.inputs[:1] if isinstance(node.op, After) else node.inputs
    return found


def _with_old_values(graph: Graph) -> Graph:
    """Return the graph in which formulas of new weights and states read views of copied old ones.

    `W - lr * transpose(W)` writes each element of W where another one has yet to be read.
    """
    targets = {
        name.partition(".")[::2]: node
        for name, node in graph.outputs.items()
        if kind_of(name) in OVERWRITING
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
        """Return a view of a copy, in place of a view of a value that is overwritten."""
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
    return rebuild(
        graph, lambda node, now: over(now, tuple(map(old, now.inputs))) if node in formulas else now
    )


def is_old_value(node: Node, leaves: Set[tuple[str, str]]) -> bool:
    """Return whether a node copies an overwritten weight or state: see `_with_old_values`."""
    if not isinstance(node.op, Copy):
        return False
    (x,) = node.inputs
    return isinstance(x.op, Input) and (x.op.role, x.op.label) in leaves


def overwritten_by(graph: Graph) -> dict[Node, set[tuple[str, str]]]:
    """Return the new weights and states that nothing else reads, and what each one overwrites.

    An old value is given by its role and label.
    """
    ends: dict[Node, set[tuple[str, str]]] = {}
    sums = (Role.GRADIENT, Role.AGAIN)
    summed = {
        (each.op.role, each.op.label)
        for each in graph.nodes
        if isinstance(each.op, Input) and each.op.role in sums
    }
    for name, node in graph.outputs.items():
        role, _, label = name.partition(".")
        is_summed = role in sums and (role, label) in summed
        if role in (Role.PARAM, Role.STATE, Role.SLOT) or is_summed:
            ends.setdefault(node, set()).add((role, label))
    for node in reversed(graph.nodes):
        if node in ends and any(user not in ends for user in graph.users[node]):
            del ends[node]
    return ends


def _sums_of_rows(graph: Graph) -> Graph:
    """Return the graph with one node for each sum over all rows that a look-up finds."""

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
        is_all = node.op_as(Sum).axes == tuple(range(index.type.rank)) and index.type.rank
        if not is_all or x.type.batched or not isinstance(index.op, Input):
            return node
        return apply(TakeSum(), x, index, origin=node.origin)

    users, outputs = graph.users, set(graph.outputs.values())
    return rewrite(graph, join)


def _prepare_loops(graph: Graph) -> Graph:
    """Copy values that loops carry and read, if a loop could not use them otherwise.

    A carried value is computed in its loop, and nothing else reads it. A value from outside that a
    kernel or a change of shape in the loop reads is stored in C order.
    """
    within = {node for loop in loops(graph) for node in loop.nodes}
    if not within:
        return graph
    known = {node for node in within if not isinstance(node.op, Carry)}
    outputs = dict(graph.outputs)
    taken: set[Node] = set()
    for carry, then in carries(graph).items():
        if then.op.form in (Form.VIEW, Form.CARRY, Form.LEAF) or then in taken:
            then = apply(Copy(), then)
        taken.add(then)
        outputs[PREFIX + carry.op_as(Carry).label] = then

    def rule(node: Node, now: Node) -> Node:
        if node in known and (node.op.form is Form.KERNEL or isinstance(node.op, Reshape)):
            inputs = tuple(
                apply(Copy(), read) if each not in within and not in_c_order(read) else read
                for each, read in zip(node.inputs, now.inputs, strict=True)
            )
            return over(now, inputs)
        return now

    return rebuild(Graph(outputs), rule)
