"""Tensor parallelism: shards divide the work on the same examples, not the examples.

    if suits(graph, batch, shards, vector): ...      # few examples
    mode(group, lanes, shards, vector)               # "split", "rows", "lanes" or "single"

The work on one example, or on the examples of a single vector, can be divided in no other way. For
a few examples of dense layers, too, it is faster than data parallelism. If the shards divide the
examples, each reads all weights, some of which another shard has just updated, and has few
examples to fill its vectors. If the shards divide the rows of the weights, each reads and updates
only its own rows, has the vectors of all examples, and reads only activations of the others.
"""

from __future__ import annotations

from specc.ir import sizes
from specc.ir.graph import Graph, Node
from specc.ir.op import Form, WithKernel
from specc.ir.plan import Group, GroupKind, Mode, Repeated
from specc.ir.sharing import share
from specc.ops.broadcast import Sum
from specc.ops.contract import Contract
from specc.ops.reduce import Max
from specc.ops.views import root_of

SPLIT_FROM = 4096  # fewest elements of a nest over shared memory that the shards divide
PRODUCTS_FROM = 1 << 16  # fewest multiply-adds of a contraction that the shards divide
# The fewest multiply-adds of a contraction in a loop, where the shards meet twice in each
# iteration, and the fewest rows of a nest in a loop.
REPEATED_FROM, AGAIN_FROM = 1 << 17, 128
# Tensor parallelism is used if the weights outnumber the activations of the products by this
# factor, if the batch has at most this many vectors per shard, and if each shard has at least this
# many multiply-adds between barriers (measured, see benchmarks/LOG.md).
WEIGHTS, MOST_VECTORS, WORTH_MEETING = 0.9, 4, 3 << 17


def whole_lanes(batch: int, vector: int) -> int:
    """Return the lanes of each shard, which hold all examples."""
    return -(-batch // vector) * vector


def suits(graph: Graph, batch: int, shards: int, vector: int, worth: int = 1) -> bool:
    """Return whether tensor parallelism over so many shards is faster.

    That needs `worth` times as many multiply-adds as pay for a barrier, and either examples that
    fit in one vector, or dense layers with more weights than activations.
    """
    lanes = whole_lanes(batch, vector)
    if lanes > MOST_VECTORS * vector * shards or not all(
        node.op.suits_tensor_parallel(node) for node in graph.nodes
    ):
        return False
    products = [node for node in graph.nodes if isinstance(node.op, Contract)]
    extents = [tuple(map(sizes.bound, node.op_as(Contract).extents)) for node in products]
    weights = sum(map(sizes.count, extents))
    if not products or weights * lanes < worth * WORTH_MEETING * shards * len(products):
        return False
    if lanes == vector:
        return not any(map(_has_windows, products))
    activations = sum(map(sum, extents)) * lanes
    return all(map(_is_dense, products)) and weights >= WEIGHTS * activations


def _has_windows(node: Node) -> bool:
    """Return whether a contraction adds indices, as a convolution does.

    One thread computes it by Winograd's algorithm, which has fewer multiply-adds.
    """
    op = node.op_as(Contract)
    return any(len(each.terms) > 1 for map_ in (op.left, op.right, op.out) for each in map_)


def _is_dense(node: Node) -> bool:
    """Return whether a contraction computes a dense layer or one of its gradients."""
    ranks = sorted([node.type.rank, *(each.type.rank for each in node.inputs)])
    batched = [each.type.batched for each in (node, *node.inputs)]
    return ranks == [1, 1, 2] and sum(batched) == 2 and len(node.op_as(Contract).extents) == 2


def sums_over_rows(node: Node, shards: int, lanes: int) -> bool:
    """Return whether a product is large and sums over the rows of its weights."""
    if not isinstance(node.op, Contract) or not node.type.batched or not _is_dense(node):
        return False
    i = node.op.summed_row(not node.inputs[0].type.batched)
    return (
        i is not None
        and sizes.count(node.op.extents) * lanes >= PRODUCTS_FROM
        and share(sizes.bound(node.op.extents[i]), shards - 1, shards)[1] > 0
    )


def mode(group: Group, lanes: int, shards: int, vector: int) -> Mode:
    """Return how the shards share a group: large groups are divided."""
    node = group.nodes[0]
    if node.op.completes_rows:
        return Mode.ROWS
    if group.kind == GroupKind.CONTRACT:
        if not node.type.batched and lanes > 1:
            return Mode.SINGLE
        products = sizes.count(node.op_as(Contract).extents) * lanes
        return Mode.SPLIT if products >= PRODUCTS_FROM else Mode.SINGLE
    if group.kind == GroupKind.KERNEL:
        read = node if node.op.awaits_only or not node.inputs else node.inputs[0]
        large = (
            read.type.elements * (lanes if read.type.batched else 1) >= SPLIT_FROM
            and read.type.rank
        )
        channels = node.op.channels(node) if isinstance(node.op, WithKernel) else 0
        return Mode.SPLIT if channels and large else Mode.SINGLE
    if group.kind == GroupKind.LOOP:
        contractions = [each for each in group.repeated.groups if each.kind == GroupKind.CONTRACT]
        return Mode.SPLIT if any(map(is_divided, contractions)) else Mode.SINGLE
    if sizes.product(group.domain) * (lanes if group.batched else 1) < SPLIT_FROM:
        return Mode.SINGLE
    if group.kind == GroupKind.NEST or lanes == 1:
        if group.domain[:1] >= (2,) and _is_apart(group):
            return Mode.SPLIT
        if group.batched and lanes >= vector * shards > 1 and _has_lanes_apart(group):
            return Mode.LANES
    return Mode.SINGLE


def _is_apart(group: Group) -> bool:
    """Return whether the entries along the nest's first axis are independent of each other."""
    return all(node.op.is_apart() for node in group.nodes)


def _has_lanes_apart(group: Group) -> bool:
    """Return whether the nest treats every example independently."""
    return all(
        node.type.batched
        and (
            node.op.form is Form.ELEMENT or (isinstance(node.op, (Sum, Max)) and not node.type.rank)
        )
        for node in group.nodes
    )


def is_divided(group: Group) -> bool:
    """Return whether shards divide a group of a loop: a large product, or a nest of many rows."""
    if group.kind == GroupKind.CONTRACT:
        return sizes.count(group.nodes[0].op_as(Contract).extents) >= REPEATED_FROM
    return group.kind == GroupKind.NEST and group.domain[:1] >= (AGAIN_FROM,) and _is_apart(group)


def stages(loop: Repeated) -> tuple[int, ...]:
    """Return the phase of each group of a loop in an iteration.

    A barrier separates groups that all shards divide from groups that only the first shard runs.
    """
    maker = {node: i for i, group in enumerate(loop.groups) for node in group.nodes}
    stages: list[int] = []
    for group in loop.groups:
        makers = {
            maker[root_of(each)]
            for node in group.nodes
            for each in node.inputs
            if root_of(each) in maker and root_of(each) not in group.nodes
        }
        stages.append(
            max(
                (stages[i] + (is_divided(group) or is_divided(loop.groups[i])) for i in makers),
                default=0,
            )
        )
    return tuple(stages)


def by_channels(group: Group, lanes: int) -> bool:
    """Return whether the shards divide the first axis of a split group's values evenly.

    If so, each shard continues with its own part, without a barrier, until a product reads the
    whole value.
    """
    node = group.nodes[0]
    if group.kind == GroupKind.NEST:
        return True
    if group.kind == GroupKind.CONTRACT:
        op = node.op_as(Contract)
        used = [
            {i for expression in map_ for i, _ in expression.terms} for map_ in (op.left, op.right)
        ]
        batched = [each.type.batched for each in node.inputs]
        if sum(batched) != 1 or not node.type.batched or not op.out:
            return False
        if lanes == 1 and node.type.rank != 3:
            return False  # the tiles choose the parts, which need not be even
        of_weights, of_image = used if batched[1] else used[::-1]
        channel, *places = op.out
        return any(
            channel.terms == ((i, 1),)
            and channel.constant == 0
            and size == node.type.shape[0]
            and i in of_weights - of_image
            for i, size in enumerate(op.extents)
        ) and not any(i in of_weights for expression in places for i, _ in expression.terms)
    return isinstance(node.op, WithKernel) and node.op.channels(node) == 1
