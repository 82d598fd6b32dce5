"""Losses that no error can make large: errors of both signs cancel in them.

    loss mbe(y, t)          # mean(y - t): its gradient is the same, whatever the targets are

A loss is such a one where it is f(parameters, inputs) + g(targets, inputs): then no gradient depends on a
target, and nothing can be learned from one. `cancelling` finds out by walking the graph from the leaves.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from specc.ir.graph import Node, topological
from specc.ir.program import Term
from specc.ops import elementwise as ops
from specc.ops.leaf import Input
from specc.ops.reduce import BatchMean, Sum
from specc.ops.shape import Broadcast, Concat, Pad, Reshape, Slice, Transpose

LINEAR = (ops.Add, ops.Sub, ops.Neg, ops.ToFloat, ops.Copy, BatchMean, Sum, Broadcast, Concat, Pad, Reshape,
          Slice, Transpose)  # fmt: skip


@dataclass(frozen=True)
class _Reach:
    """What a value depends on, and whether it is a sum of a part without parameters and one without targets."""

    parameters: bool = False
    targets: bool = False
    is_sum: bool = True


def cancelling(losses: Iterable[Term]) -> Term | None:
    """The first loss with a target, if no gradient of all the losses together depends on a target."""
    losses = list(losses)
    reach: dict[Node, _Reach] = {}
    for node in topological(term.node for term in losses):
        reach[node] = _reach(node, [reach[each] for each in node.inputs])
    with_target = [term for term in losses if reach[term.node].targets and reach[term.node].parameters]
    if with_target and all(reach[term.node].is_sum for term in with_target):
        return with_target[0]
    return None


def _reach(node: Node, inputs: list[_Reach]) -> _Reach:
    if isinstance(node.op, Input):
        return _Reach(node.op.role == "param", node.op.role == "target")
    if isinstance(node.op, ops.Detach):
        return _Reach(targets=inputs[0].targets)
    parameters = any(each.parameters for each in inputs)
    targets = any(each.targets for each in inputs)
    if not (parameters and targets):
        return _Reach(parameters, targets)
    is_sum = all(each.is_sum for each in inputs)
    if isinstance(node.op, LINEAR):
        return _Reach(parameters, targets, is_sum)
    free = [each for each in inputs if not each.parameters and not each.targets]
    is_scaled = isinstance(node.op, ops.Mul) or (isinstance(node.op, ops.Div) and inputs[1] in free)
    return _Reach(parameters, targets, is_scaled and bool(free) and is_sum)
