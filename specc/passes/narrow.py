"""Apply an op to fewer steps than its fields say, of values whose later steps hold nothing.

    narrowed(op, [scores], [(4, 64)], ({1: 0.0},), origin)   # of scores[4, 16]: as if 0 followed

In a text of 10 symbols a model with 64 steps needs no more than 16 rows of what it keeps. Where the
steps are summed up, those to come must hold the number that changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from specc.ir.graph import Node, Origin, apply
from specc.ir.op import Op
from specc.ir.sizes import Shape, bound
from specc.ops.along import RunningSum
from specc.ops.broadcast import Broadcast, Sum
from specc.ops.contract import Contract, index
from specc.ops.elementwise import Elementwise
from specc.ops.leaf import Iota, leaf
from specc.ops.reduce import Max
from specc.ops.shape import Concat, Reshape, Slice, Transpose, axes_kept


class NotNarrow(Exception):
    """An op that needs all steps."""


def narrowed(
    op: Op,
    inputs: Sequence[Node],
    wanted: Sequence[Shape],
    to_come: Sequence[Mapping[int, float]],
    origin: Origin,
) -> Node:
    """Return the node of an op, over inputs that may have fewer entries than the shapes `wanted`.

    `to_come` has for each input the number that its further entries are, by axis. Raises NotNarrow.
    """
    missing = [
        {axis for axis, (a, b) in enumerate(zip(each.type.shape, shape, strict=True)) if a != b}
        for each, shape in zip(inputs, wanted, strict=True)
    ]
    if not any(missing):
        return apply(op, *inputs, origin=origin)
    if isinstance(op, Elementwise):
        return apply(op, *_alike(inputs), origin=origin)
    if isinstance(op, Contract):
        return _product(op, inputs, wanted, to_come, origin)
    return _moved(op, inputs, wanted, missing, to_come, origin)


def _moved(
    op: Op,
    inputs: Sequence[Node],
    wanted: Sequence[Shape],
    missing: Sequence[set[int]],
    to_come: Sequence[Mapping[int, float]],
    origin: Origin,
) -> Node:
    """Return the node of an op that moves or adds up values."""
    if isinstance(op, Concat) and not any(op.axis in each for each in missing):
        return apply(op, *_alike(inputs, op.axis), origin=origin)
    if len(inputs) > 1:
        raise NotNarrow
    (x,), (axes,) = inputs, missing
    if isinstance(op, (Sum, Max)):
        nothing = -math.inf if isinstance(op, Max) else 0.0
        if any(to_come[0].get(axis) != nothing for axis in axes & set(op.axes)):
            raise NotNarrow
        return apply(op, x, origin=origin)
    if isinstance(op, Broadcast):
        own = dict(zip(op.axes, x.type.shape, strict=True))
        shape = tuple(own.get(axis, size) for axis, size in enumerate(op.shape))
        return apply(replace(op, shape=shape), x, origin=origin)
    if isinstance(op, Reshape):
        kept = axes_kept(wanted[0], op.shape)
        if not axes <= set(kept):
            raise NotNarrow
        own = {kept[axis]: x.type.shape[axis] for axis in axes}
        shape = tuple(own.get(axis, size) for axis, size in enumerate(op.shape))
        return apply(Reshape(shape), x, origin=origin)
    if isinstance(op, (Transpose, RunningSum)) or (isinstance(op, Slice) and op.axis not in axes):
        return apply(op, x, origin=origin)
    raise NotNarrow


def _alike(inputs: Sequence[Node], but: int | None = None) -> list[Node]:
    """Return values of one shape: the first entries of each, as many as all of them have."""
    found = list(inputs)
    for axis in range(inputs[0].type.rank):
        if axis != but:
            least = min(each.type.bound_shape[axis] for each in inputs)
            found = [cut(each, axis, least) for each in found]
    return found


def cut(node: Node, axis: int, count: int) -> Node:
    """Return the first entries of a value along an axis; a formula of indices computes no more."""
    if node.type.shape[axis] == count:
        return node
    op = node.op
    if isinstance(op, Elementwise):
        parts = (cut(each, axis, count) for each in node.inputs)
        return apply(op, *parts, origin=node.origin)
    if isinstance(op, Broadcast):
        (x,) = node.inputs
        if axis in op.axes:
            x = cut(x, op.axes.index(axis), count)
        shape = (*op.shape[:axis], count, *op.shape[axis + 1 :])
        return apply(replace(op, shape=shape), x, origin=node.origin)
    if isinstance(op, Iota):
        return leaf(Iota(count), node.origin)
    return apply(Slice(axis, 0, count), node, origin=node.origin)


def _product(
    op: Contract,
    inputs: Sequence[Node],
    wanted: Sequence[Shape],
    to_come: Sequence[Mapping[int, float]],
    origin: Origin,
) -> Node:
    """Return a product over fewer values of the indices of narrow axes."""
    extents = list(map(bound, op.extents))
    nothing: set[int] = set()  # indices of axes whose further entries are 0
    for x, shape, map_, values in zip(inputs, wanted, (op.left, op.right), to_come, strict=True):
        for axis, (size, whole) in enumerate(zip(x.type.shape, shape, strict=True)):
            terms = map_[axis].terms
            i = terms[0][0] if len(terms) == 1 and map_[axis] == index(terms[0][0]) else None
            if i is not None and values.get(axis) == 0:
                nothing.add(i)
            if size != whole:
                if i is None:
                    raise NotNarrow
                extents[i] = min(extents[i], bound(size))
    fewer = {i for i, size in enumerate(extents) if size != op.extents[i]}
    result = list(op.shape)
    for axis, place in enumerate(op.out):
        for i, _ in place.terms:
            if i in fewer:
                if place != index(i):
                    raise NotNarrow
                result[axis] = extents[i]
    summed = fewer - {i for place in op.out for i, _ in place.terms}
    if not summed <= nothing:
        raise NotNarrow
    parts = []
    for x, map_ in zip(inputs, (op.left, op.right), strict=True):
        for axis, place in enumerate(map_):
            for i, _ in place.terms:
                if i in fewer and place == index(i):
                    x = cut(x, axis, extents[i])
        parts.append(x)
    return apply(replace(op, extents=tuple(extents), shape=tuple(result)), *parts, origin=origin)
