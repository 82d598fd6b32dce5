"""Broadcast and sum: the gradient of each is the other.

apply(Broadcast((3, 5), (1,)), x)      # [5] -> [3, 5]
apply(Sum((1, 2)), x)                  # [c, h, w] -> [c]
sum_batch(x)                           # one value for the whole batch
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from specc.ir import sizes
from specc.ir.graph import Node, apply
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
from specc.ops.shape import lead
from specc.system.records import dataclass

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Broadcast(WithoutArithmetic):
    """Broadcast over new axes: input axis k becomes axis `axes[k]` of `shape`."""

    shape: Shape
    axes: tuple[int, ...] = ()
    form = Form.VIEW

    def infer(self, x: Type) -> Type:
        for axis, size in zip(self.axes, x.shape, strict=True):
            if not sizes.same(size, self.shape[axis]):
                raise ShapeError(f"cannot broadcast {size} to an axis of {self.shape[axis]}", 0)
        return Type(x.kind, self.shape, x.batched, x.classes)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        new = tuple(axis for axis in range(len(self.shape)) if axis not in self.axes)
        return (apply(Sum(new), dy),)

    def reference(self, types: Types, x: np.ndarray) -> np.ndarray:
        import numpy as np

        first = lead(types[0])
        kept = [1] * len(self.shape)
        for axis, size in zip(self.axes, types[0].shape, strict=True):
            kept[axis] = sizes.bound(size)
        x = np.asarray(x)
        return np.broadcast_to(
            x.reshape(*x.shape[:first], *kept), (*x.shape[:first], *map(sizes.bound, self.shape))
        )

    def over_steps(self, steps: Size, moving: Sequence[bool]) -> Op:
        return Broadcast((steps, *self.shape), (0, *(axis + 1 for axis in self.axes)))

    def one_at(self, node: Node, axis: int) -> Cut:
        shape = (*self.shape[:axis], *self.shape[axis + 1 :])
        read = self.axes.index(axis) if axis in self.axes else None
        return Cut(Broadcast(shape, axes_without(self.axes, axis)), (read,))

    def first_steps(self, node: Node, result: Type) -> Op | None:
        every_step = 0 not in self.axes
        return replace(self, shape=result.shape) if every_step or self.axes[0] == 0 else None

    def cut(self, node: Node, axis: int, start: int, count: int) -> Cut:
        shape = (*self.shape[:axis], count, *self.shape[axis + 1 :])
        read = self.axes.index(axis) if axis in self.axes else None
        return Cut(replace(self, shape=shape), (read,))

    def suits_tensor_parallel(self, node: Node) -> bool:
        return True

    def viewed(self, shape: Shape, strides: Strides) -> tuple[Size, Strides]:
        spread: list[Size] = [0] * len(self.shape)
        for axis, stride in zip(self.axes, strides, strict=True):
            spread[axis] = stride
        return 0, tuple(spread)


@dataclass(frozen=True)
class Sum(Op):
    """The sum over `axes`; with `batch` also over the examples, so that all share one value."""

    axes: tuple[int, ...]
    batch: bool = False
    form = Form.END

    def infer(self, x: Type) -> Type:
        reduced = reduced_type("sum", self.axes, x)
        if not self.batch:
            return reduced
        if not x.batched:
            raise ShapeError("there is no batch to sum over", 0)
        return replace(reduced, batched=False)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return (spread_again(node.inputs[0], dy, self.axes),)

    def reference(self, types: Types, x: np.ndarray) -> np.ndarray:
        over = tuple(axis + lead(types[0]) for axis in self.axes)
        return x.sum(over + ((0,) if self.batch else ()))

    def flops(self, node: Node) -> Size:
        return node.inputs[0].type.elements

    def over_steps(self, steps: Size, moving: Sequence[bool]) -> Op | None:
        return None if self.batch else Sum(tuple(axis + 1 for axis in self.axes))

    def cut(self, node: Node, axis: int, start: int, count: int) -> Cut:
        return Cut(self, (kept_axes(node.inputs[0].type.rank, self.axes)[axis],))

    def summand(self, node: Node, position: int, axis: int, count: int) -> Cut | None:
        return Cut(self, (axis,)) if axis in self.axes else None

    def one_at(self, node: Node, axis: int) -> Cut | None:
        if self.batch:
            return None
        read = kept_axes(node.inputs[0].type.rank, self.axes)[axis]
        return Cut(Sum(axes_without(self.axes, read)), (read,))

    @property
    def sums_batch(self) -> bool:
        return self.batch

    def suits_tensor_parallel(self, node: Node) -> bool:
        return True

    def is_apart(self) -> bool:
        return 0 not in self.axes


def broadcast_scalar(node: Node, shape: Shape) -> Node:
    """Broadcast a scalar to `shape`; return any other node unchanged."""
    if node.type.shape == () and shape != ():
        return apply(Broadcast(shape), node)
    return node


def sum_batch(x: Node) -> Node:
    """Return the sum of x over the examples of the batch."""
    return apply(Sum((), batch=True), x)


def kept_axes(rank: int, reduced: tuple[int, ...]) -> tuple[int, ...]:
    """Return the axes of a value that remain after a reduction over others."""
    return tuple(axis for axis in range(rank) if axis not in reduced)


def reduced_type(op: str, axes: tuple[int, ...], x: Type) -> Type:
    """Return the type of `x` without some axes. Raises `ShapeError`."""
    if x.kind != "float":
        raise ShapeError(f"`{op}` works on float, not on {x.kind}", 0)
    for axis in axes:
        if not 0 <= axis < x.rank:
            raise ShapeError(f"{sizes.show(x.shape)} has no axis {axis}", 0)
    return replace(x, shape=tuple(s for axis, s in enumerate(x.shape) if axis not in axes))


def axes_without(axes: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """Return the numbers of some axes of a value that lacks another axis."""
    return tuple(each - (each > axis) for each in axes if each != axis)


def spread_again(node: Node, reduced: Node, axes: tuple[int, ...]) -> Node:
    """Broadcast `reduced` again over the axes of `node` that were reduced."""
    shape = node.type.shape
    kept = tuple(axis for axis in range(len(shape)) if axis not in axes)
    return apply(Broadcast(shape, kept), reduced) if axes else reduced
