"""Reverse-mode differentiation, graph to graph.

    gradients(loss, [w, b])     # the nodes of dloss/dw and dloss/db

In: a scalar for the whole batch. Every op states its own rule (`vjp`), built of other ops, so the
result is a graph like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from specc.ir.graph import Node, apply, serving
from specc.ops.broadcast import Broadcast, sum_batch
from specc.ops.carry import Carry, carries, closed, varying
from specc.ops.elementwise import Detach, add
from specc.ops.leaf import Const, Input, constant


def gradients(
    loss: Node,
    wanted: Sequence[Node],
    following: Mapping[str, Node] = {},
) -> tuple[list[Node], dict[str, Node]]:
    """Return the gradient of `loss` for each wanted node, or zeros if the loss ignores the node.

    `following` maps the label of each Carry to the node whose earlier steps it holds. A state goes
    from each step to the next, so its gradient goes from each step to the one before: the gradient
    of a loop is a loop in the other direction. The second result has the "carry" outputs of these
    loops.
    """
    assert loss.type.shape == () and not loss.type.batched, "only a scalar has a gradient"
    graph = closed({"loss": loss}, following)
    order = graph.nodes
    tied = carries(graph)
    relevant = _depending(order, wanted, tied)
    gradient: dict[Node, Node] = {loss: constant(1.0)}
    handed: dict[str, Node | None] = {}  # what a step hands back to the one before it
    backward: dict[Node, str] = {}  # the label of each loop in the other direction
    for carry, then in tied.items():
        if carry in relevant and then in relevant:
            forward = carry.op_as(Carry)
            label = f"d{forward.label}"
            while label in following or label in handed:  # a loop may be differentiated twice
                label += "'"
            op = replace(forward, label=label, backward=not forward.backward)
            start = constant(0.0, origin=carry.origin)
            zero = apply(Broadcast(op.shape), start) if op.shape else start
            back = apply(op, zero, origin=replace(carry.origin, name=op.label))
            gradient[then] = add(gradient[then], back) if then in gradient else back
            handed[label] = None
            backward[carry] = label
    for node in reversed(order):
        if node not in relevant or node not in gradient:
            continue
        if node in backward:
            handed[backward[node]] = varying(gradient[node])
        with serving(replace(node.origin, name="")):
            found = node.op.vjp(node, gradient[node])
        for each, d in zip(node.inputs, found, strict=True):
            if d is None or each not in relevant or each.type.kind != "float":
                continue
            if not each.type.batched and node.type.batched and not gradient[node].type.batched:
                raise AssertionError("a sum over the batch without the examples' weights")
            if d.type.batched and not each.type.batched:
                d = sum_batch(d)  # all examples read the same value, so its gradients add up
            gradient[each] = _named(add(gradient[each], d) if each in gradient else d, each)
    more: dict[str, Node] = {}
    for carry, label in backward.items():  # None: the state is carried on, and never read
        more[label] = handed[label] or varying(_zeros(carry))
    return [gradient[each] if each in gradient else _zeros(each) for each in wanted], more


def _depending(
    order: Sequence[Node], wanted: Sequence[Node], tied: Mapping[Node, Node]
) -> set[Node]:
    """Return the wanted nodes and all nodes that depend on them, directly or through time.

    Nothing depends on them through a `Detach`.
    """
    found = set(wanted)
    while True:
        count = len(found)
        for node in order:
            if isinstance(node.op, Detach):
                continue
            if any(each in found for each in node.inputs) or tied.get(node) in found:
                found.add(node)
        if len(found) == count:
            return found


def _named(d: Node, value: Node) -> Node:
    """Return the gradient with a name that follows from its value's: dx for x."""
    name = value.op.label if isinstance(value.op, Input) else value.origin.name or value.origin.word
    if not name or isinstance(d.op, (Const, Input)) or d.origin.name:
        return d
    return Node(d.op, d.inputs, d.type, replace(d.origin, name=f"d{name}"))


def _zeros(node: Node) -> Node:
    zero = constant(0.0)
    return apply(Broadcast(node.type.shape), zero) if node.type.shape else zero
