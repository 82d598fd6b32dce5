"""Reading at positions that follow from indices: the view behind `x[c, 2 * i + u]`.

    read(x, (6, 12, 3), (index(0), Affine(((1, 2), (2, 1)))))     # r[c, i, u] = x[c, 2 * i + u]

What one index has alone, a transposed axis or a slice are the ops of these names; the rest is a
`ReadAt`. Elements lie where they lay: a window is no copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from specc.ir import sizes
from specc.ir.graph import Node, Origin, apply
from specc.ir.op import Form, Gradients, Op, ShapeError, Strides, Types, WithoutArithmetic
from specc.ir.sizes import Shape, Size
from specc.ir.types import Type
from specc.ops.contract import Affine, Contract, Map, index
from specc.ops.leaf import constant
from specc.ops.shape import Reshape, Slice, Transpose, lead
from specc.system.records import dataclass

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class ReadAt(WithoutArithmetic):
    """result[i, j, ...] = x[places(i, j, ...)]: one affine place for each axis of x.

    The result has the shape `extents`. Coefficients and constants are not negative, and each index
    stands in some place.
    """

    extents: Shape
    places: Map
    form = Form.VIEW

    def attributes(self) -> str:
        """Return the places as a formula: `[i, j] = [2 * i + j], i < 3, j < 4`."""
        names = [chr(ord("i") + k) if k < 18 else f"i{k}" for k in range(len(self.extents))]
        ranges = [f"{name} < {size}" for name, size in zip(names, self.extents, strict=True)]
        places = ", ".join(each.named(names) for each in self.places)
        return ", ".join([f"[{', '.join(names)}] = [{places}]", *ranges])

    def infer(self, x: Type) -> Type:
        if len(self.places) != x.rank:
            raise ShapeError(f"{sizes.show(x.shape)} has {x.rank} axes", 0)
        for axis, (place, size) in enumerate(zip(self.places, x.shape, strict=True)):
            last: Size = place.constant
            for i, coefficient in place.terms:
                last = last + coefficient * (self.extents[i] - 1)
            if isinstance(last, int) and isinstance(size, int) and last >= size:
                raise ShapeError(f"axis {axis} is {size}, but is read up to {last + 1}", 0)
        return replace(x, shape=self.extents)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        x = node.inputs[0].type
        every = tuple(index(k) for k in range(len(self.extents)))
        sum_batch = dy.type.batched and not x.batched
        op = Contract(self.extents, self.places, (), every, x.shape, sum_batch)
        return (apply(op, constant(1.0), dy),)

    def reference(self, types: Types, x: np.ndarray) -> np.ndarray:
        import numpy as np

        grid = np.ix_(*(np.arange(sizes.bound(size)) for size in self.extents))
        shape = tuple(map(sizes.bound, self.extents))
        at: list[Any] = [slice(None)] * lead(types[0])
        at += (
            np.broadcast_to(
                sum((sizes.bound(c) * grid[i] for i, c in place.terms), np.array(place.constant)),
                shape,
            )
            for place in self.places
        )
        return x[tuple(at)]

    def over_steps(self, steps: Size, moving: Sequence[bool]) -> Op:
        return ReadAt(
            (steps, *self.extents), (index(0), *(_moved(each, 1) for each in self.places))
        )

    def one_step(self, node: Node) -> Op | None:
        if not self._goes_through_steps(node):
            return None
        return ReadAt(self.extents[1:], tuple(_moved(each, -1) for each in self.places[1:]))

    def first_steps(self, node: Node, result: Type) -> Op | None:
        return ReadAt(result.shape, self.places) if self._goes_through_steps(node) else None

    def _goes_through_steps(self, node: Node) -> bool:
        """Return whether the first index is the first axis, and stands nowhere else."""
        return (
            self.places[:1] == (index(0),)
            and bool(sizes.same(self.extents[0], node.inputs[0].type.shape[0]))
            and all(i for each in self.places[1:] for i, _ in each.terms)
        )

    def suits_team(self, node: Node) -> bool:
        return True

    def viewed(self, shape: Shape, strides: Strides) -> tuple[Size, Strides]:
        offset: Size = 0
        found: list[Size] = [0] * len(self.extents)
        for place, stride in zip(self.places, strides, strict=True):
            offset = offset + place.constant * stride
            for i, coefficient in place.terms:
                found[i] = found[i] + coefficient * stride
        return offset, tuple(found)


def _moved(place: Affine, by: int) -> Affine:
    return Affine(tuple((i + by, c) for i, c in place.terms), place.constant)


def read(x: Node, extents: Shape, places: Map, origin: Origin | None = None) -> Node:
    """Return the node of r[i, ...] = x[places(i, ...)], by the simplest ops that say it.

    Coefficients may be negative: such an index is read in reverse. An axis that a number stands in
    is gone from the result. Each index stands in some place.
    """
    origin = origin or Origin()
    turned = {i for place in places for i, c in place.terms if isinstance(c, int) and c < 0}
    if turned:
        node = read(x, extents, _turned(extents, places, turned), origin)
        for i in sorted(turned):
            node = apply(Slice(i, extents[i] - 1, extents[i], -1), node, origin=origin)
        return node
    for axis, place in enumerate(places):
        if not isinstance(place.constant, int):
            x = apply(Slice(axis, place.constant, x.type.shape[axis] - place.constant), x)
            places = (*places[:axis], Affine(place.terms), *places[axis + 1 :])
    alone = [place.terms[0][0] if len(place.terms) == 1 else -1 for place in places]
    if sorted(alone) != list(range(len(extents))):
        numbers = [axis for axis, place in enumerate(places) if not place.terms]
        if numbers and sorted(k for k in alone if k >= 0) == list(range(len(extents))):
            for axis in numbers:
                x = apply(Slice(axis, places[axis].constant, 1), x, origin=origin)
            rest = [axis for axis in range(len(places)) if axis not in numbers]
            x = apply(Reshape(tuple(x.type.shape[axis] for axis in rest)), x, origin=origin)
            return read(x, extents, tuple(places[axis] for axis in rest), origin)
        return apply(ReadAt(extents, places), x, origin=origin)
    for axis, (place, i) in enumerate(zip(places, alone, strict=True)):
        step = place.terms[0][1]
        if not isinstance(step, int):
            return apply(ReadAt(extents, places), x, origin=origin)
        if (place.constant, step) != (0, 1) or not sizes.same(x.type.shape[axis], extents[i]):
            x = apply(Slice(axis, place.constant, extents[i], step), x, origin=origin)
    order = tuple(alone.index(k) for k in range(len(extents)))
    if order == tuple(range(len(order))):
        return x
    return apply(Transpose(order), x, origin=origin)


def _turned(extents: Shape, places: Map, turned: set[int]) -> Map:
    """Return the places where each index of `turned` counts from its end."""
    found = []
    for place in places:
        terms: list[tuple[int, Size]] = []
        constant: Any = place.constant
        for i, c in place.terms:
            if i in turned:
                # c * i = c * (last - i') = c * last - c * i'
                constant = constant + c * (extents[i] - 1)
                terms.append((i, -c))
            else:
                terms.append((i, c))
        found.append(Affine(tuple(terms), constant))
    return tuple(found)
