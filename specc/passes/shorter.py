"""Bucketing: check that a model over fewer steps gives equal outputs for short examples.

    computes_the_same(whole, short, {(44, 17)})   # graphs of one file, with `seq time = 44` and 17

In a batch whose examples all have at most 17 steps, the later steps are padding. Both graphs are
compared node by node. If no padding reaches an output of the longer graph, the shorter one computes
equal values with less work.
"""

from __future__ import annotations

from collections.abc import Set

from specc.ir.graph import Graph, Node
from specc.ir.names import OutputKind, kind_of
from specc.ops.broadcast import Broadcast, Sum
from specc.ops.carry import Carry
from specc.ops.elementwise import Equal, Less, Select, Sub, ToFloat, ToInt
from specc.ops.gather import Take
from specc.ops.leaf import Const, Input, Iota
from specc.ops.shape import Concat, Slice
from specc.ops.steps import moved_by_one


def computes_the_same(whole: Graph, short: Graph, steps: Set[tuple[int, int]]) -> bool:
    """Return whether both graphs give equal outputs for examples that fit in the shorter one.

    States that are kept for all steps are exempt. `steps` holds the pairs of lengths that may
    differ.
    """
    if set(whole.outputs) != set(short.outputs) or len(whole.nodes) != len(short.nodes):
        return False
    beside = dict(zip(whole.nodes, short.nodes, strict=True))
    following = {node for name, node in whole.outputs.items() if kind_of(name) == OutputKind.CARRY}
    for name, node in whole.outputs.items():
        if beside[node] is not short.outputs[name]:
            return False
        if kind_of(name) != OutputKind.CARRY and _differ(node, beside[node]):
            return False
    known = {*steps, *((a - 1, b - 1) for a, b in steps)}
    if any(
        _differ(a, b) and (a.type.shape[0], b.type.shape[0]) not in known for a, b in beside.items()
    ):
        return False
    return all(
        type(a.op) is type(b.op)
        and [beside[each] for each in a.inputs] == list(b.inputs)
        and (_is_the_same(a, b) or _agree(a, b, following))
        for a, b in beside.items()
    )


def _differ(a: Node, b: Node) -> bool:
    return a.type.shape != b.type.shape


def _is_the_same(a: Node, b: Node) -> bool:
    """Return whether two nodes are equal and have no axis of steps."""
    return a.op == b.op and a.type == b.type and not any(map(_differ, a.inputs, b.inputs))


def _agree(a: Node, b: Node, following: set[Node]) -> bool:
    """Return whether two nodes are equal at each step that the shorter one has.

    Nodes without steps must be equal altogether.
    """
    op, other = a.op, b.op
    stepped = _differ(a, b)
    if stepped and (not a.type.shape or a.type.shape[1:] != b.type.shape[1:]):
        return False
    of_steps = [_differ(x, y) for x, y in zip(a.inputs, b.inputs, strict=True)]
    by_step = (stepped or not any(of_steps)) and all(
        op.reads_step(position) for position, differs in enumerate(of_steps) if differs
    )
    if by_step and op.first_steps(a, b.type) == other:
        return True
    match op:
        case Concat(axis=0):
            return moved_by_one(a) is not None and moved_by_one(b) is not None
        case Slice(axis=0):
            return _is_part(a, b, following)
        case Sum(batch=False):
            return op == other and _is_masked(a.inputs[0])
        case Take():
            return op == other and of_steps[1] and isinstance(a.inputs[1].op, ToInt)
    return False


def _is_part(a: Node, b: Node, following: set[Node]) -> bool:
    """Return whether a node is a part of a sequence that both graphs have.

    That is the first steps; all steps but the last, to be moved by one; or the last state of a
    cell, which it keeps from the end of its example on.
    """
    op, other = a.op_as(Slice), b.op_as(Slice)
    size, short = a.inputs[0].type.shape[0], b.inputs[0].type.shape[0]
    if op == other:
        return op.start == 0 and op.step == 1
    if (op, other) == (Slice(0, 0, size - 1), Slice(0, 0, short - 1)):
        return True
    value = a.inputs[0]
    return (op, other) == (Slice(0, size - 1, 1), Slice(0, short - 1, 1)) and (
        value in following and _is_kept(value)
    )


def _is_kept(value: Node) -> bool:
    """Return whether every step past the end has the value of the step before."""
    op = value.op
    return (
        isinstance(op, Select)
        and _is_mask(value.inputs[0])
        and isinstance(value.inputs[2].op, Carry)
    )


def _is_masked(value: Node) -> bool:
    """Return whether a value is 0 at every step past the end."""
    if not isinstance(value.op, Select) or not _is_mask(value.inputs[0]):
        return False
    other = value.inputs[2]
    while isinstance(other.op, Broadcast):
        (other,) = other.inputs
    return isinstance(other.op, Const) and other.op.value == 0


def _is_mask(condition: Node) -> bool:
    """Return whether a condition is false past the end: step < length, or step == length - 1."""
    if isinstance(condition.op, Broadcast) and condition.op.axes == (0,):
        (condition,) = condition.inputs
    if not isinstance(condition.op, (Less, Equal)):
        return False
    step, end = condition.inputs
    is_step = isinstance(step.op, ToFloat) and isinstance(step.inputs[0].op, Iota)
    if isinstance(end.op, Broadcast):
        (end,) = end.inputs
    if isinstance(condition.op, Equal):
        if not isinstance(end.op, Sub) or end.inputs[1].op != Const(1.0):
            return False
        end = end.inputs[0]
    length = end.inputs[0].op if isinstance(end.op, ToFloat) else None
    return is_step and isinstance(length, Input) and length.label.endswith(".length")
