"""Losses that no error can make large: errors of both signs cancel in them.

    loss mbe(y, t)          # mean(y - t): its gradient is the same, whatever the targets are

If a loss is f(parameters, inputs) + g(targets, inputs), no gradient depends on a target, so the
model cannot learn from its targets. `cancelling` finds such losses by walking the graph from the
leaves.
"""

from __future__ import annotations

from collections.abc import Iterable

from specc.ir.graph import Node, topological
from specc.ir.program import Term
from specc.ops import elementwise as ops
from specc.ops.broadcast import Broadcast, Sum
from specc.ops.leaf import Input
from specc.ops.reduce import BatchMean
from specc.ops.shape import Concat, Pad, Reshape, Slice, Transpose

LINEAR = (
    ops.Add,
    ops.Sub,
    ops.Neg,
    ops.ToFloat,
    ops.Copy,
    BatchMean,
    Sum,
    Broadcast,
    Concat,
    Pad,
    Reshape,
    Slice,
    Transpose,
)


# What a value depends on, and whether it is no sum of a part without parameters and one without
# targets.
PARAMETERS, TARGETS, IS_MIXED = 1, 2, 4
BOTH = PARAMETERS | TARGETS


def cancelling(losses: Iterable[Term]) -> Term | None:
    """Return the first loss with a target, if no gradient of all the losses together depends on a
    target."""
    losses = list(losses)
    reach: dict[Node, int] = {}
    for node in topological(term.node for term in losses):
        reach[node] = _reach(node, [reach[each] for each in node.inputs])
    with_target = [term for term in losses if reach[term.node] & BOTH == BOTH]
    if with_target and not any(reach[term.node] & IS_MIXED for term in with_target):
        return with_target[0]
    return None


def _reach(node: Node, inputs: list[int]) -> int:
    op = node.op
    if isinstance(op, Input):
        return {"param": PARAMETERS, "target": TARGETS}.get(op.role, 0)
    if isinstance(op, ops.Detach):
        return inputs[0] & TARGETS
    found = 0
    for each in inputs:
        found |= each
    if found & BOTH != BOTH:
        return found & BOTH
    if isinstance(op, LINEAR):
        return found
    is_scaled = isinstance(op, ops.Mul) or (isinstance(op, ops.Div) and not inputs[1] & BOTH)
    is_free = not all(each & BOTH for each in inputs)
    return found if is_scaled and is_free else found | IS_MIXED
