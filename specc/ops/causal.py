"""Whether a step of a sequence depends on later ones: which steps each value depends on.

    dependences = dependence_of(graph.nodes, following, "text")
    dependences[scores].is_causal(axis=0)     # scores[t] depends on text[v] for v <= t alone

A formula over two steps, s[t, u] = q[t] . k[u], depends on both. The condition in
`if u <= t then s[t, u] else -inf` is a formula of indices, so what the value is for u > t is known:
a constant, which reaches nothing. So is each formula of it: exp(-inf) = 0, and 0 times v[u].
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from specc.ir import sizes
from specc.ir.graph import Node
from specc.ir.sizes import Shape
from specc.ops.after import After
from specc.ops.along import Order, RunningSum
from specc.ops.broadcast import Broadcast, Sum
from specc.ops.carry import Carry
from specc.ops.contract import Affine, Contract, Map
from specc.ops.dependence import (
    EVERYTHING,
    NOTHING,
    NUMBER,
    Dependence,
    merged,
    number,
    of_elements,
    refined,
)
from specc.ops.elementwise import Elementwise, Less, ToFloat, ToInt
from specc.ops.gather import Take
from specc.ops.leaf import Const, Input, Iota
from specc.ops.read import ReadAt
from specc.ops.reduce import Max
from specc.ops.shape import Concat, Pad, Reshape, Slice, Transpose, axes_kept


def dependence_of(
    nodes: Iterable[Node], following: Mapping[str, Node], label: str
) -> dict[Node, Dependence]:
    """Return the dependence of each node along the sequence of the port `label`.

    `nodes` has each node after its inputs, `following` the next value of each Carry by its label.
    """
    nodes = tuple(nodes)
    moving = _moving(nodes, following, label)
    found: dict[Node, Dependence] = {}
    broken: set[str] = set()
    while True:
        found.clear()
        for node in nodes:
            inputs = [found[each] for each in node.inputs]
            still = isinstance(node.op, Carry) and node not in moving
            found[node] = NOTHING if still else _dependence(node, inputs, label, broken)
        new = {
            name
            for name, then in following.items()
            if name not in broken and then in found and not found[then].is_causal(0)
        }
        if not new:
            return found
        broken |= new


def _moving(nodes: Iterable[Node], following: Mapping[str, Node], label: str) -> set[Node]:
    """Return the nodes that depend on the sequence, or on its length."""
    found: set[Node] = set()
    while True:
        size = len(found)
        for node in nodes:
            op = node.op
            before = [following[op.label]] if isinstance(op, Carry) else []
            is_source = isinstance(op, Input) and op.label in (label, f"{label}.length")
            if is_source or any(each in found for each in (*node.inputs, *before)):
                found.add(node)
        if len(found) == size:
            return found


def _dependence(node: Node, inputs: list[Dependence], label: str, broken: set[str]) -> Dependence:
    op = node.op
    if isinstance(op, Input):
        if op.label == label:
            return Dependence({0: 0})
        return EVERYTHING if op.label == f"{label}.length" else NOTHING
    if exists(node, label):
        # a step is there before its symbol is chosen: it is of use for all that the step before is
        return Dependence({0: -1})
    if isinstance(op, Carry):
        return _of_carry(op, inputs[0], broken)
    if isinstance(op, Const):
        return number(op.value)
    if isinstance(op, Iota):
        return Dependence(index={0: 1, NUMBER: 0})
    return dependence_through(node, inputs)


def dependence_through(node: Node, inputs: list[Dependence]) -> Dependence:
    """Return the dependence of a node, given those of its inputs."""
    if isinstance(node.op, Elementwise):
        return refined(of_elements(node, inputs))
    rule = _RULES.get(type(node.op))
    return _of_each_step(node, inputs) if rule is None else refined(rule(node, inputs))


def exists(node: Node, label: str) -> bool:
    """Return whether a node says of each step whether a variable-length sequence has it."""
    if not isinstance(node.op, Less) or node.type.rank != 1:
        return False
    step, end = (_plain(each) for each in node.inputs)
    return isinstance(step.op, Iota) and (
        isinstance(end.op, Input) and end.op.label == f"{label}.length"
    )


def _plain(node: Node) -> Node:
    """Return what a value is made of: without conversions, and not repeated."""
    while isinstance(node.op, (ToFloat, ToInt, Broadcast)):
        (node,) = node.inputs
    return node


def _of_carry(op: Carry, initial: Dependence, broken: set[str]) -> Dependence:
    """A state depends on the steps before, as long as the next state does on no later ones."""
    if op.backward or op.label in broken or initial.steps:
        return EVERYTHING
    return EVERYTHING if initial.steps is None else Dependence({0: -1})


def _of_each_step(node: Node, inputs: list[Dependence]) -> Dependence:
    """An op that is only known to work step by step, or not to."""
    if not any(each.steps is None or each.steps for each in inputs):
        return NOTHING
    steps = merged(inputs)
    along = node.op.one_at(node, 0) if node.type.rank else None
    if steps is None or along is None:
        return EVERYTHING
    for each, axis in zip(inputs, along[1], strict=True):
        if each.steps and (axis != 0 or set(each.steps) - {0, NUMBER}):
            return EVERYTHING
    return Dependence(steps)


# Ops that move, read, and add up.


def _moved(
    dependence: Dependence, to: Mapping[int, int | None], by: Mapping[int, int] = {}
) -> Dependence:
    """Return a dependence over other axes: None for an axis that is gone, or mixed with others."""
    steps: dict[int, int] | None = None if dependence.steps is None else {}
    for axis, offset in (dependence.steps or {}).items():
        new = axis if axis == NUMBER else to.get(axis)
        if new is None or steps is None:
            steps = None
            break
        last = offset + by.get(axis, 0)
        steps[new] = max(last, steps.get(new, last))
    known = {}
    for (p, q, distance), value in dependence.known.items():
        a, b = to.get(p), to.get(q)
        if a is not None and b is not None and not by.get(p, 0) and not by.get(q, 0):
            known[a, b, distance] = value
    index = dependence.index
    if index is not None and all(
        axis == NUMBER or (to.get(axis) is not None and not by.get(axis)) for axis in index
    ):
        index = {NUMBER if axis == NUMBER else to[axis]: c for axis, c in index.items()}  # type: ignore[misc]
    else:
        index = None
    return Dependence(steps, known, index)


def _same(node: Node, inputs: list[Dependence]) -> Dependence:
    return inputs[0]


def _of_broadcast(node: Node, inputs: list[Dependence]) -> Dependence:
    return _moved(inputs[0], dict(enumerate(node.op_as(Broadcast).axes)))


def _of_transpose(node: Node, inputs: list[Dependence]) -> Dependence:
    order = node.op_as(Transpose).order
    return _moved(inputs[0], {axis: k for k, axis in enumerate(order)})


def _of_reshape(node: Node, inputs: list[Dependence]) -> Dependence:
    kept: dict[int, int | None] = {**axes_kept(node.inputs[0].type.shape, node.type.shape)}
    return _moved(inputs[0], kept)


def _of_reduction(node: Node, inputs: list[Dependence]) -> Dependence:
    assert isinstance(node.op, (Sum, Max))
    axes = node.op.axes
    kept = [axis for axis in range(node.inputs[0].type.rank) if axis not in axes]
    found = _moved(inputs[0], {axis: k for k, axis in enumerate(kept)})
    known = {
        region: value
        for region, value in found.known.items()
        if value == 0 or isinstance(node.op, Max)
    }
    batched = isinstance(node.op, Sum) and node.op.batch and inputs[0].steps != {}
    return Dependence(None if batched else found.steps, known)


def _of_slice(node: Node, inputs: list[Dependence]) -> Dependence:
    op, dependence = node.op_as(Slice), inputs[0]
    to: dict[int, int | None] = {axis: axis for axis in range(node.type.rank)}
    start = op.start if isinstance(op.start, int) else None
    if start is None or (op.step != 1 and op.count != 1):
        to[op.axis] = None
        return _moved(dependence, to)
    if op.count == 1 and dependence.steps and op.axis in dependence.steps:
        steps = dict(dependence.steps)
        last = start + steps.pop(op.axis)
        rest = _moved(replace(dependence, steps=steps, index=None, known={}), to)
        assert rest.steps is not None
        return Dependence({**rest.steps, NUMBER: max(last, rest.steps.get(NUMBER, last))})
    return _moved(dependence, to, {op.axis: start})


def _of_pad(node: Node, inputs: list[Dependence]) -> Dependence:
    op = node.op_as(Pad)
    to: dict[int, int | None] = {axis: axis for axis in range(node.type.rank)}
    start = op.start if isinstance(op.start, int) and op.step == 1 else None
    if start is None:
        to[op.axis] = None
    found = _moved(replace(inputs[0], index=None), to, {op.axis: -(start or 0)})
    return replace(found, known={})


def _of_concat(node: Node, inputs: list[Dependence]) -> Dependence:
    axis = node.op_as(Concat).axis
    same: dict[int, int | None] = {each: each for each in range(node.type.rank)}
    parts, start = [], 0
    for each, dependence in zip(node.inputs, inputs, strict=True):
        size = each.type.shape[axis]
        parts.append(_moved(replace(dependence, known={}, index=None), same, {axis: -start}))
        if not isinstance(size, int):
            same[axis] = None
            continue
        start += size
    return Dependence(merged(parts))


def _of_take(node: Node, inputs: list[Dependence]) -> Dependence:
    lead = node.op_as(Take).lead
    x, index = node.inputs
    shift = index.type.rank - lead - 1
    rows = {axis: axis if axis < lead else axis + shift for axis in range(x.type.rank)}
    rows_to: dict[int, int | None] = {**rows, lead: None}
    own: dict[int, int | None] = {axis: axis for axis in range(index.type.rank)}
    return Dependence(merged([_moved(inputs[0], rows_to), _moved(inputs[1], own)]))


def _of_running_sum(node: Node, inputs: list[Dependence]) -> Dependence:
    return Dependence(inputs[0].steps)


def _of_order(node: Node, inputs: list[Dependence]) -> Dependence:
    to: dict[int, int | None] = {axis: axis for axis in range(node.type.rank - 1)}
    return Dependence(_moved(inputs[0], to).steps)


def _of_read(node: Node, inputs: list[Dependence]) -> Dependence:
    op = node.op_as(ReadAt)
    every = range(len(op.extents))
    return _through(inputs[0], op.positions, op.extents, every)


def _of_contract(node: Node, inputs: list[Dependence]) -> Dependence:
    """A product is 0 where a factor is; a sum over steps that it depends on depends on all."""
    op = node.op_as(Contract)
    alone = [_alone(place) for place in op.out]
    kept = [i for i in alone if i is not None]
    factors = [
        _through(dependence, map_, op.extents, kept)
        for dependence, map_ in zip(inputs, (op.left, op.right), strict=True)
    ]
    known = {region: 0.0 for each in factors for region, value in each.known.items() if value == 0}
    product = refined(Dependence(merged(factors), known))
    to: dict[int, int | None] = {}
    by: dict[int, int] = {}
    for axis, place in enumerate(op.out):
        for i, factor in place.terms:
            if factor == 1 and (len(place.terms) == 1 or i not in kept):
                to[i], by[i] = axis, -place.constant
    found = _moved(product, to, by)
    if op.sum_batch and found.steps != {}:
        return EVERYTHING
    return replace(found, index=None)


def _alone(place: Affine) -> int | None:
    """The index that a place consists of, and a number."""
    return place.terms[0][0] if len(place.terms) == 1 and place.terms[0][1] == 1 else None


def _through(dependence: Dependence, map_: Map, extents: Shape, kept: Iterable[int]) -> Dependence:
    """Return the dependence of x[places of indices], over these indices in place of its axes."""
    kept = set(kept)
    steps: dict[int, int] | None = None if dependence.steps is None else {}
    for axis, by in (dependence.steps or {}).items():
        if axis == NUMBER:
            assert steps is not None
            steps[NUMBER] = by
            continue
        found = _last(map_[axis], extents, kept)
        if found is None or steps is None:
            steps = None
            break
        at, last = found
        steps[at] = max(by + last, steps.get(at, by + last))
    to = {
        axis: i
        for axis, place in enumerate(map_)
        if (i := _alone(place)) is not None and not place.constant
    }
    known = {
        (to[p], to[q], by): value
        for (p, q, by), value in dependence.known.items()
        if p in to and q in to
    }
    index: dict[int, float] | None = None
    if dependence.index is not None:
        index = {NUMBER: dependence.index[NUMBER]}
        for axis, times in dependence.index.items():
            if axis == NUMBER:
                continue
            index[NUMBER] += times * map_[axis].constant
            for i, factor in map_[axis].terms:
                if not isinstance(factor, int):
                    return Dependence(steps, known)
                index[i] = index.get(i, 0) + times * factor
    return Dependence(steps, known, index)


def _last(place: Affine, extents: Shape, kept: set[int]) -> tuple[int, int] | None:
    """Return an index i and a number n such that a place is at most i + n.

    It is an index of the result if there is one, and the others stand for their largest value.
    """
    own = [i for i, factor in place.terms if factor == 1 and i in kept]
    own.sort(key=lambda i: sizes.bound(extents[i]) if isinstance(extents[i], int) else 0)
    plain = own or [i for i, factor in place.terms if factor == 1 and len(place.terms) == 1]
    if not plain:
        return (NUMBER, place.constant) if not place.terms else None
    last: Any = place.constant
    for i, factor in place.terms:
        if i != plain[-1]:
            last = last + factor * (extents[i] - 1)
    return (plain[-1], last) if isinstance(last, int) else None


_RULES: dict[type, Callable[[Node, list[Dependence]], Dependence]] = {
    After: _same,
    Broadcast: _of_broadcast,
    Concat: _of_concat,
    Contract: _of_contract,
    Max: _of_reduction,
    Order: _of_order,
    Pad: _of_pad,
    ReadAt: _of_read,
    Reshape: _of_reshape,
    RunningSum: _of_running_sum,
    Slice: _of_slice,
    Sum: _of_reduction,
    Take: _of_take,
    Transpose: _of_transpose,
}
