"""Views whose positions are affine in the indices, such as `x[c, 2 * i + u]`.

    read(x, (6, 12, 3), (index(0), Affine(((1, 2), (2, 1)))))     # r[c, i, u] = x[c, 2 * i + u]

If every axis is read by one index, the view is made of `Transpose` and `Slice`; otherwise it is a
`ReadAt`. Nothing is copied: overlapping windows read the same memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from specc.ir import sizes
from specc.ir.graph import Node, Origin, apply
from specc.ir.op import (
    Cut,
    Form,
    Gradients,
    Op,
    ShapeError,
    Strides,
    Types,
    WithoutArithmetic,
)
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
    """result[i, j, ...] = x[positions(i, j, ...)]: one affine position for each axis of x.

    The result has the shape `extents`. Coefficients and constants are not negative, and each index
    occurs in some position.
    """

    extents: Shape
    positions: Map
    form = Form.VIEW

    def attributes(self) -> str:
        """Return the positions as a formula: `[i, j] = [2 * i + j], i < 3, j < 4`."""
        names = [chr(ord("i") + k) if k < 18 else f"i{k}" for k in range(len(self.extents))]
        ranges = [f"{name} < {size}" for name, size in zip(names, self.extents, strict=True)]
        positions = ", ".join(each.named(names) for each in self.positions)
        return ", ".join([f"[{', '.join(names)}] = [{positions}]", *ranges])

    def infer(self, x: Type) -> Type:
        if len(self.positions) != x.rank:
            raise ShapeError(f"{sizes.show(x.shape)} has {x.rank} axes", 0)
        for axis, (position, size) in enumerate(zip(self.positions, x.shape, strict=True)):
            last: Size = position.constant
            for i, coefficient in position.terms:
                last = last + coefficient * (self.extents[i] - 1)
            if isinstance(last, int) and isinstance(size, int) and last >= size:
                raise ShapeError(f"axis {axis} is {size}, but is read up to {last + 1}", 0)
        return replace(x, shape=self.extents)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        x = node.inputs[0].type
        every = tuple(index(k) for k in range(len(self.extents)))
        sum_batch = dy.type.batched and not x.batched
        op = Contract(self.extents, self.positions, (), every, x.shape, sum_batch)
        return (apply(op, constant(1.0), dy),)

    def reference(self, types: Types, x: np.ndarray) -> np.ndarray:
        import numpy as np

        grid = np.ix_(*(np.arange(sizes.bound(size)) for size in self.extents))
        shape = tuple(map(sizes.bound, self.extents))
        at: list[Any] = [slice(None)] * lead(types[0])
        at += (
            np.broadcast_to(
                sum(
                    (sizes.bound(c) * grid[i] for i, c in position.terms),
                    np.array(position.constant),
                ),
                shape,
            )
            for position in self.positions
        )
        return x[tuple(at)]

    def over_steps(self, steps: Size, moving: Sequence[bool]) -> Op:
        return ReadAt(
            (steps, *self.extents), (index(0), *(_moved(each, 1) for each in self.positions))
        )

    def one_at(self, node: Node, axis: int) -> Cut | None:
        read = [k for k, each in enumerate(self.positions) if axis in dict(each.terms)]
        if len(read) != 1 or self.positions[read[0]] != index(axis):
            return None
        places = (each for k, each in enumerate(self.positions) if k != read[0])
        extents = (*self.extents[:axis], *self.extents[axis + 1 :])
        return Cut(ReadAt(extents, tuple(each.without(axis) for each in places)), (read[0],))

    def first_steps(self, node: Node, result: Type) -> Op | None:
        return ReadAt(result.shape, self.positions) if self._goes_through_steps(node) else None

    def _goes_through_steps(self, node: Node) -> bool:
        """Return whether the first index reads the whole first axis, and no other axis."""
        return (
            self.positions[:1] == (index(0),)
            and bool(sizes.same(self.extents[0], node.inputs[0].type.shape[0]))
            and all(i for each in self.positions[1:] for i, _ in each.terms)
        )

    def suits_tensor_parallel(self, node: Node) -> bool:
        return True

    def viewed(self, shape: Shape, strides: Strides) -> tuple[Size, Strides]:
        offset: Size = 0
        found: list[Size] = [0] * len(self.extents)
        for position, stride in zip(self.positions, strides, strict=True):
            offset = offset + position.constant * stride
            for i, coefficient in position.terms:
                found[i] = found[i] + coefficient * stride
        return offset, tuple(found)


def _moved(position: Affine, by: int) -> Affine:
    return Affine(tuple((i + by, c) for i, c in position.terms), position.constant)


def read(x: Node, extents: Shape, positions: Map, origin: Origin | None = None) -> Node:
    """Return the node of r[i, ...] = x[positions(i, ...)], made of the simplest ops that fit.

    An index with a negative coefficient is read in reverse. An axis that is read at a constant has
    no axis in the result. Each index occurs in some position.
    """
    origin = origin or Origin()
    terms = [term for position in positions for term in position.terms]
    mirrored = {i for i, c in terms if _is_negative(c)}
    both = sorted(mirrored & {i for i, c in terms if not _is_negative(c)})
    if both:
        # x[i, 3 - i] is the diagonal of x[i, 3 - j]
        copies = {i: len(extents) + k for k, i in enumerate(both)}
        wider = (*extents, *(extents[i] for i in both))
        node = read(x, wider, _separated(positions, copies), origin)
        diagonal = (*map(index, range(len(extents))), *map(index, both))
        return apply(ReadAt(extents, diagonal), node, origin=origin)
    if mirrored:
        node = read(x, extents, _mirrored(extents, positions, mirrored), origin)
        for i in sorted(mirrored):
            node = apply(Slice(i, extents[i] - 1, extents[i], -1), node, origin=origin)
        return node
    for axis, position in enumerate(positions):
        if not isinstance(position.constant, int):
            x = apply(Slice(axis, position.constant, x.type.shape[axis] - position.constant), x)
            positions = (*positions[:axis], Affine(position.terms), *positions[axis + 1 :])
    alone = [position.terms[0][0] if len(position.terms) == 1 else -1 for position in positions]
    if sorted(alone) != list(range(len(extents))):
        numbers = [axis for axis, position in enumerate(positions) if not position.terms]
        if numbers and sorted(k for k in alone if k >= 0) == list(range(len(extents))):
            for axis in numbers:
                x = apply(Slice(axis, positions[axis].constant, 1), x, origin=origin)
            rest = [axis for axis in range(len(positions)) if axis not in numbers]
            x = apply(Reshape(tuple(x.type.shape[axis] for axis in rest)), x, origin=origin)
            return read(x, extents, tuple(positions[axis] for axis in rest), origin)
        return apply(ReadAt(extents, positions), x, origin=origin)
    for axis, (position, i) in enumerate(zip(positions, alone, strict=True)):
        step = position.terms[0][1]
        if not isinstance(step, int):
            return apply(ReadAt(extents, positions), x, origin=origin)
        if (position.constant, step) != (0, 1) or not sizes.same(x.type.shape[axis], extents[i]):
            x = apply(Slice(axis, position.constant, extents[i], step), x, origin=origin)
    order = tuple(alone.index(k) for k in range(len(extents)))
    if order == tuple(range(len(order))):
        return x
    return apply(Transpose(order), x, origin=origin)


def _is_negative(coefficient: Size) -> bool:
    return isinstance(coefficient, int) and coefficient < 0


def _separated(positions: Map, copies: dict[int, int]) -> Map:
    """Return the positions with the copy of an index wherever its coefficient is negative."""
    return tuple(
        Affine(
            tuple((copies.get(i, i) if _is_negative(c) else i, c) for i, c in position.terms),
            position.constant,
        )
        for position in positions
    )


def _mirrored(extents: Shape, positions: Map, mirrored: set[int]) -> Map:
    """Return the positions for indices in `mirrored` that count from the end."""
    found = []
    for position in positions:
        terms: list[tuple[int, Size]] = []
        constant: Any = position.constant
        for i, c in position.terms:
            if i in mirrored:
                # c * i = c * (last - i') = c * last - c * i'
                constant = constant + c * (extents[i] - 1)
                terms.append((i, -c))
            else:
                terms.append((i, c))
        found.append(Affine(tuple(terms), constant))
    return tuple(found)
