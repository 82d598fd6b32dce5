"""The number of rows that a prediction computes at a time.

    prediction_batch(10_000, 16, 2, most=4, planned=planned, item=4, near=1 << 20)  # 128

A shard takes as many vectors of lanes as a usual tile has columns. With fewer, it would read the
weights more often; with more, the columns of a tile would no longer be contiguous. The activations
must fit in a part of the L2 cache, beside the rows that are read and the weights, so large images
are predicted one vector at a time. A loop over time steps reads its weights in each step, so it
takes at least two vectors.
"""

from __future__ import annotations

from collections.abc import Callable

from specc.ir.plan import GroupKind, Plan
from specc.ops.leaf import Input, Role
from specc.ops.views import root_of

SHARE = 1 / 3  # the activations' part of the L2 cache (measured, see benchmarks/LOG.md)
USES = 2  # how often each activation moves through memory: written once, read once


def prediction_batch(
    rows: int,
    vector: int,
    shards: int,
    most: int,
    planned: Callable[[int], Plan],
    item: int,
    near: int,
) -> int:
    """Return how many of `rows` rows to compute at a time; `planned(n)` plans for n rows.

    A shard has at most `most` vectors of lanes, a float takes `item` bytes, and a core's L2 cache
    has `near` bytes.
    """
    unit = vector * min(shards, -(-rows // vector))
    whole = min(most, 1 << (-(-rows // unit) - 1).bit_length())
    plan = planned(unit * whole)
    room = SHARE * near
    if whole == 1 or plan.arena_bytes <= room:
        return unit * whole
    fewer = 2 if any(step.group.kind == GroupKind.LOOP for step in plan.steps) else 1
    while plan.arena_bytes * 2 * fewer <= room * whole:
        fewer *= 2
    weights = item * sum(
        node.type.bound_elements
        for node in plan.graph.nodes
        if isinstance(node.op, Input) and node.op.role == Role.PARAM
    )
    computed = item * sum(
        node.type.bound_elements
        for node in plan.allocations
        if node.type.batched and root_of(node) is node
    )
    anew = weights * (1 / fewer - 1 / whole) if weights > near else 0.0
    return unit * (fewer if anew < USES * computed * vector else whole)
