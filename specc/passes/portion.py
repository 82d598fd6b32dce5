"""How many rows a prediction takes at once.

    portion(rows=10_000, vector=16, threads=2, planned=planned)     # 256, or fewer

Many rows at once read the weights seldom, but what they compute must find room in a near cache: of
large images there are a vector of lanes at a time, of flat examples eight. A loop over steps, which
reads its weights in each, has at least two.
"""

from __future__ import annotations

from collections.abc import Callable

from specc.ir.plan import Plan
from specc.ir.sizes import product
from specc.ops.leaf import Input
from specc.ops.views import root_of

MOST = 8  # vectors of lanes; more were never faster
NEAR = 5 << 18  # bytes of a cache that a thread has for itself
USES = 2  # of what is computed: it is written, and read once


def portion(rows: int, vector: int, threads: int, planned: Callable[[int], Plan], item: int) -> int:
    """Rows of one step, of `rows` in all; `planned(n)` plans for n. A float takes `item` bytes."""
    unit = vector * min(threads, -(-rows // vector))
    whole = min(MOST, 1 << (-(-rows // unit) - 1).bit_length())
    plan = planned(unit * whole)
    if whole == 1 or plan.arena_bytes <= NEAR:
        return unit * whole
    fewer = 2 if any(step.group.kind == "loop" for step in plan.steps) else 1
    while plan.arena_bytes * 2 * fewer <= NEAR * whole:
        fewer *= 2
    weights = item * sum(
        node.type.elements
        for node in plan.graph.nodes
        if isinstance(node.op, Input) and node.op.role == "param"
    )
    computed = item * sum(
        product(node.type.shape)
        for node in plan.places
        if node.type.batched and root_of(node) is node
    )
    anew = weights * (1 / fewer - 1 / whole) if weights > NEAR else 0.0
    return unit * (fewer if anew < USES * computed * vector else whole)
