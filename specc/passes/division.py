"""How a batch is divided: into shards of its examples, or among shards that work on all of them.

divided(graph, batch=64, vector=16)     # Division(shards=2, examples=32, lanes=32, ...)

The number of shards follows from the graph, the batch and the width of vectors, and not from the
number of threads, each of which runs some of them. Sums over the batch are made shard by shard and
added in the order of the shards, so a model gives the same bits on any number of threads.
"""

from __future__ import annotations

from specc.ir import sizes
from specc.ir.graph import Graph, Node
from specc.ir.names import LEARNING, OutputKind, kind_of
from specc.ir.sizes import bound
from specc.ops.carry import Carry
from specc.ops.contract import Contract
from specc.ops.leaf import Input, Role
from specc.ops.reduce import AllReduce
from specc.passes import tensor_parallel
from specc.passes.divide import completes
from specc.system.records import dataclass

MOST = 16  # most shards of a batch
# The fewest FLOPs of a shard, about 50 us, because shards synchronize about ten times per step.
WORTH_A_SHARD = 2e6
# The fewest FLOPs of a shard with one vector of lanes, about 0.5 ms. Its products are up to a third
# slower than those of two vectors, but more threads can share the batch.
WORTH_ONE_VECTOR = 5e7
UPDATE = 10  # FLOPs charged for the memory traffic of updating one weight
TENSOR_PARALLEL_SHARDS = (4, 2)  # 4 shards need twice as many products per shard
TENSOR_PARALLEL_FLOPS = 4e5  # the fewest FLOPs of one example that are split across shards
# Few examples of a training step fill a small part of the lanes. Each is computed by a shard of its
# own, without lanes, if that takes fewer products: one of them costs as much as `ALONE` in lanes,
# or `IN_LOOPS` in a model with cells, whose weights are read at each step. An element of the
# gradients that shards add up costs as much as `ADDED` products.
ALONE, IN_LOOPS, ADDED = 3, 6, 80
LEAST_ALONE = 1e6  # the fewest products of an example


@dataclass(frozen=True)
class Division:
    """`shards` shards of `examples` examples each, on `lanes` lanes.

    With tensor parallelism all shards share the work on the same examples. A vector register has
    `vector` lanes; 1 if each shard has a single example.
    """

    shards: int
    examples: int
    lanes: int
    vector: int
    is_tensor_parallel: bool


def divided(graph: Graph, batch: int, vector: int, shards: int | None = None) -> Division:
    """Return the division of a prepared graph's batch, into `shards` shards if given."""
    if vector == 1:
        count = _of_one_example(graph) if shards is None else shards
        is_shared = batch == 1 and count > 1 and not any(map(_keeps_alone, graph.nodes))
        found, examples, lanes = shares(batch, count, vector)
        return Division(count if is_shared else found, examples, lanes, vector, is_shared)
    if shards is None and batch < vector and trains_alone(graph, batch, vector):
        return Division(batch, 1, 1, 1, is_tensor_parallel=False)
    # many examples that are predicted, or evaluated, are better divided
    kinds = {kind_of(name) for name in graph.outputs}
    may_be_tensor_parallel = any(kind in kinds for kind in LEARNING) or (
        OutputKind.OUTPUT in kinds and batch <= vector
    )
    for count in TENSOR_PARALLEL_SHARDS if shards is None else (shards,):
        worth = 2 if shards is None and count > 2 else 1
        if count == 1 or not may_be_tensor_parallel:
            continue
        if tensor_parallel.suits(graph, batch, count, vector, worth):
            lanes = tensor_parallel.whole_lanes(batch, vector)
            return Division(count, batch, lanes, vector, is_tensor_parallel=True)
    count = shard_count(graph, batch, vector) if shards is None else shards
    return Division(*shares(batch, count, vector), vector, is_tensor_parallel=False)


def trains_alone(graph: Graph, batch: int, vector: int) -> bool:
    """Return whether each of a few examples of a training step is a shard of its own.

    So it is if the weights are read at many places, as in attention and convolutions: each shard
    packs all of them, and has gradients of its own.
    """
    if not any(kind_of(name) in LEARNING for name in graph.outputs):
        return False
    products = added = 0
    for node in graph.nodes:
        op = node.op
        if isinstance(op, Contract) and any(each.type.batched for each in node.inputs):
            if op.rounded:
                return False
            products += bound(sizes.product(op.extents))
        elif isinstance(op, AllReduce):
            added += bound(node.type.elements)
    factor = IN_LOOPS if any(isinstance(node.op, Carry) for node in graph.nodes) else ALONE
    lanes = -(-batch // vector) * vector
    alone = batch * (factor * products + ADDED * added)
    return products >= LEAST_ALONE and alone < lanes * products


def shard_count(graph: Graph, batch: int, vector: int) -> int:
    """Return the number of shards that a prepared graph's batch is divided into."""
    vectors = -(-batch // vector)
    work = _flops(graph, batch)
    count = min(MOST, vectors, int(work / WORTH_A_SHARD))
    if work / vectors < WORTH_ONE_VECTOR:
        count = min(count, -(-vectors // 2))
    while count > 2 and not _saves_memory(graph, batch, count, vector):
        count -= 1
    return max(count, 1)


def _flops(graph: Graph, batch: int) -> float:
    """Return the floating-point operations of a batch, with a charge for updates."""
    work = 0
    keeps_weights = not any(kind_of(name) in LEARNING for name in graph.outputs)
    for node in graph.nodes:
        is_batched = node.type.batched or any(each.type.batched for each in node.inputs)
        # what follows from weights alone is computed ahead of a program that keeps them
        times = batch if is_batched else not keeps_weights
        work += bound(node.op.flops(node)) * times
    trained = (node for name, node in graph.outputs.items() if kind_of(name) == OutputKind.PARAM)
    return work + UPDATE * sum(bound(node.type.elements) for node in trained)


def _saves_memory(graph: Graph, batch: int, shards: int, vector: int) -> bool:
    """Return whether the shards' partial sums take no more memory than the batch's values."""
    _, _, lanes = shares(batch, shards, vector)
    parts = sum(
        bound(node.type.elements)
        for node in graph.nodes
        if isinstance(node.op, AllReduce) and not completes(node.inputs[0], shards, lanes)
    )
    values = sum(bound(node.type.elements) for node in graph.nodes if node.type.batched)
    return shards * parts <= batch * values


def _of_one_example(graph: Graph) -> int:
    """Return the number of shards that share the work on one example."""
    return 2 if _flops(graph, 1) >= TENSOR_PARALLEL_FLOPS else 1


def _keeps_alone(node: Node) -> bool:
    """Return whether a node of a graph for one example prevents tensor parallelism."""
    return isinstance(node.op, AllReduce) or (
        isinstance(node.op, Input) and node.op.role == Role.SLOT
    )


def shares(batch: int, shards: int, vector: int) -> tuple[int, int, int]:
    """Return the number of shards of a batch, and the examples and lanes of each.

    Half-empty vectors cost as much as full ones, so there are no more shards than the batch fills.
    """
    shards = min(shards, -(-batch // vector))
    examples = -(-batch // shards)
    return shards, examples, -(-examples // vector) * vector
