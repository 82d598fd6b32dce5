"""Let each shard complete some rows of a large weight's gradient, over the examples of all shards.

    AllReduce(contract(dy, x))   ->   contract(dy, x) over the examples of all shards

The shard that completes a row of the gradient also updates that row's weights. So no shard writes a
partial gradient for another one to read, and an update finds its rows in the L2 cache. In return,
shards read each other's activations. This is faster if the weight is larger than the activations,
as in wide dense layers.

With tensor parallelism, each shard reads only its own rows of a weight if a product sums over the
weight's rows, as the gradient of a dense layer's input does:

    contract(dy, weight)   ->   AllReduce(contract(dy, weight) over each shard's rows)
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from specc.ir.graph import Graph, Node, rebuild
from specc.ir.op import REGISTRY, Op
from specc.ops.contract import Contract
from specc.ops.gather import Put
from specc.ops.reduce import AllReduce
from specc.passes.tensor_parallel import sums_over_rows
from specc.system.records import dataclass


@dataclass(frozen=True)
class Thresholds:
    """The gradients whose rows shards complete: those of at least these sizes."""

    elements: int  # of the gradient
    rows: int  # that a shard completes
    product: int  # elements of the gradient per activation of all shards
    table: int  # elements of all shards' gradients of a table per activation


# Without completed rows, all shards would wait for a single shard's sum.
BY_EXAMPLES, BY_ROWS = Thresholds(1 << 14, 32, 2, 1), Thresholds(1 << 11, 4, 0, 0)


class _Divided(Op):
    """An op that the shards of a plan divide; it is printed under the name of the plain op."""

    abstract = True

    @property
    def name(self) -> str:
        return next(each.__name__ for each in type(self).__mro__ if each.__name__ in REGISTRY)


class _Completed(_Divided):
    """A sum over the examples of all shards, each of which computes some rows of it."""

    abstract = True
    completes_rows = True

    def attributes(self) -> str:
        return f"{super().attributes()}, complete"


@dataclass(frozen=True)
class CompletedProduct(_Completed, Contract):
    """A product whose rows the shards complete."""

    abstract = True


@dataclass(frozen=True)
class CompletedPut(_Completed, Put):
    """A sum of gradients of looked-up rows, whose rows the shards complete."""

    abstract = True


@dataclass(frozen=True)
class OwnRows(_Divided, Contract):
    """A sum over a shard's own rows of the weights: the product is the sum of all shards' sums."""

    abstract = True
    sums_own_rows = True

    def attributes(self) -> str:
        return f"{super().attributes()}, by_rows"


def _fields(op: Op) -> dict[str, Any]:
    return {each.name: getattr(op, each.name) for each in fields(op)}


def _completed(op: Op) -> Op:
    if isinstance(op, Contract):
        return CompletedProduct(**_fields(op))
    assert isinstance(op, Put), op
    return CompletedPut(**_fields(op))


def divide(graph: Graph, shards: int, lanes: int, is_tensor_parallel: bool = False) -> Graph:
    """Return the graph for `shards` shards of `lanes` lanes, with the sums that shards complete.

    With tensor parallelism, shards also sum over their own rows of the weights.
    """
    read_once = {node for node, users in graph.users.items() if len(users) == 1}
    outputs = set(graph.outputs.values())
    wanted = {
        node
        for node in graph.nodes
        if isinstance(node.op, AllReduce)
        and (part := node.inputs[0]) in read_once
        and part not in outputs
        and completes(part, shards, lanes, is_tensor_parallel)
    }

    rows = graph.nodes if is_tensor_parallel else ()
    by_rows = {node for node in rows if sums_over_rows(node, shards, lanes)}
    if not wanted and not by_rows:
        return graph

    def rule(old: Node, now: Node) -> Node:
        if old in wanted:
            (part,) = now.inputs
            return Node(_completed(part.op), part.inputs, now.type, part.origin)
        if old in by_rows:
            op = OwnRows(**_fields(now.op))
            own = Node(op, now.inputs, now.type, now.origin)
            return Node(AllReduce(), (own,), now.type, now.origin)
        return now

    return rebuild(graph, rule)


def completes(part: Node, shards: int, lanes: int, is_tensor_parallel: bool = False) -> bool:
    """Return whether shards complete rows of a sum over the batch, instead of partial sums."""
    limits = BY_ROWS if is_tensor_parallel else BY_EXAMPLES
    op, elements = part.op, part.type.elements
    if not isinstance(op, (Contract, Put)) or not op.sum_batch or elements < limits.elements:
        return False
    if part.type.shape[0] < limits.rows * shards or not all(
        each.type.batched for each in part.inputs
    ):
        return False
    activations = shards * lanes * sum(each.type.elements for each in part.inputs)
    if isinstance(op, Put):  # otherwise all shards would write partial sums, and read all of them
        return op.lead == 0 and shards * elements >= limits.table * activations
    is_larger = elements >= activations * (limits.product if shards > 1 else min(limits.product, 1))
    read = [index for map_ in (op.left, op.right) for each in map_ for index, _ in each.terms]
    kept = [i for each in op.out if (i := each.sole_index) is not None]
    plain = len(set(kept)) == len(op.out) and set(kept) <= set(range(len(op.extents))) == set(read)
    whole = all(op.extents[i] == size for i, size in zip(kept, op.shape, strict=False))
    return plain and whole and is_larger
