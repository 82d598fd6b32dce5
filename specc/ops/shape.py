"""Ops that move values without computing: reshape, transpose, slice, pad, concat.

Each is linear, and its gradient is another of them: slice and pad, reshape and reshape.
Axes count from 0 and never include the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, overload

from specc.ir import sizes
from specc.ir.graph import Node, apply
from specc.ir.op import (
    AlongAxis,
    Box,
    Cut,
    Form,
    Gradients,
    Op,
    ShapeError,
    Strides,
    Types,
    WithoutArithmetic,
    WithoutSteps,
)
from specc.ir.sizes import Shape, Size
from specc.ir.types import Type
from specc.system.records import dataclass

if TYPE_CHECKING:
    import numpy as np


def lead(type_: Type) -> int:
    """Return the number of leading batch axes (0 or 1) of a reference array of this type."""
    return 1 if type_.batched else 0


@dataclass(frozen=True)
class Reshape(WithoutArithmetic):
    """Give the elements, in C order, another shape."""

    shape: Shape
    form = Form.VIEW

    def infer(self, x: Type) -> Type:
        if sizes.same(x.elements, sizes.product(self.shape)) is False:
            raise ShapeError(
                f"{sizes.show(x.shape)} has {x.elements} elements,"
                f" {sizes.show(self.shape)} has {sizes.product(self.shape)}",
                0,
            )
        return replace(x, shape=self.shape)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return (apply(Reshape(node.inputs[0].type.shape), dy),)

    def reference(self, types: Types, x: np.ndarray) -> np.ndarray:
        return x.reshape(x.shape[: lead(types[0])] + self.shape)

    def over_steps(self, steps: Size, moving: Sequence[bool]) -> Op:
        return Reshape((steps, *self.shape))

    def one_at(self, node: Node, axis: int) -> Cut | None:
        kept = axes_kept(node.inputs[0].type.shape, self.shape)
        read = next((old for old, new in kept.items() if new == axis), None)
        if read is None:
            return None
        return Cut(Reshape((*self.shape[:axis], *self.shape[axis + 1 :])), (read,))

    def first_steps(self, node: Node, result: Type) -> Op | None:
        return Reshape(result.shape) if self.one_step(node) is not None else None

    def cut(self, node: Node, axis: int, start: int, count: int) -> Cut | None:
        before, shape = sizes.product(self.shape[:axis]), node.inputs[0].type.shape
        for read, size in enumerate(shape):
            if size == self.shape[axis] and sizes.product(shape[:read]) == before:
                cut = (*self.shape[:axis], count, *self.shape[axis + 1 :])
                return Cut(Reshape(cut), (read,))
        return None

    def suits_tensor_parallel(self, node: Node) -> bool:
        return True

    def viewed(self, shape: Shape, strides: Strides) -> tuple[Size, Strides] | None:
        is_in_c_order = all(
            a == b or size == 1 for a, b, size in zip(strides, c_strides(shape), shape, strict=True)
        )
        return (0, c_strides(self.shape)) if is_in_c_order else None


@dataclass(frozen=True)
class Transpose(WithoutArithmetic):
    """Reorder axes: axis k of the result is axis `order[k]` of the input."""

    order: tuple[int, ...]
    form = Form.VIEW

    def infer(self, x: Type) -> Type:
        if sorted(self.order) != list(range(x.rank)):
            raise ShapeError(
                f"cannot put the {x.rank} axes of {sizes.show(x.shape)} in the order {self.order}",
                0,
            )
        return replace(x, shape=tuple(x.shape[axis] for axis in self.order))

    def vjp(self, node: Node, dy: Node) -> Gradients:
        inverse = tuple(self.order.index(axis) for axis in range(len(self.order)))
        return (apply(Transpose(inverse), dy),)

    def reference(self, types: Types, x: np.ndarray) -> np.ndarray:
        first = lead(types[0])
        return x.transpose(*range(first), *(axis + first for axis in self.order))

    def over_steps(self, steps: Size, moving: Sequence[bool]) -> Op:
        return Transpose((0, *(axis + 1 for axis in self.order)))

    def cut(self, node: Node, axis: int, start: int, count: int) -> Cut:
        return Cut(self, (self.order[axis],))

    def one_at(self, node: Node, axis: int) -> Cut:
        read = self.order[axis]
        rest = (each for each in self.order if each != read)
        return Cut(Transpose(tuple(each - (each > read) for each in rest)), (read,))

    def suits_tensor_parallel(self, node: Node) -> bool:
        return True

    def viewed(self, shape: Shape, strides: Strides) -> tuple[Size, Strides]:
        return 0, tuple(strides[axis] for axis in self.order)


@dataclass(frozen=True)
class Slice(AlongAxis, WithoutArithmetic):
    """Take `count` elements start, start + step, ... along one axis; `step` may be negative."""

    start: Size
    count: Size
    step: int = 1
    form = Form.VIEW

    def infer(self, x: Type) -> Type:
        if not 0 <= self.axis < x.rank:
            raise ShapeError(f"{sizes.show(x.shape)} has no axis {self.axis}", 0)
        last = self.start + (self.count - 1) * self.step
        size = x.shape[self.axis]
        if (
            isinstance(last, int)
            and isinstance(size, int)
            and not (0 <= self.start < size and 0 <= last < size)
        ):
            raise ShapeError(f"cannot take {self.start} to {last} of an axis of {size}", 0)
        shape = (*x.shape[: self.axis], self.count, *x.shape[self.axis + 1 :])
        return replace(x, shape=shape)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        size = node.inputs[0].type.shape[self.axis]
        return (apply(Pad(self.axis, self.start, size, self.step), dy),)

    def reference(self, types: Types, x: np.ndarray) -> np.ndarray:
        import numpy as np

        places = sizes.bound(self.start) + self.step * np.arange(sizes.bound(self.count))
        return x.take(places, self.axis + lead(types[0]))

    def suits_tensor_parallel(self, node: Node) -> bool:
        return True

    def viewed(self, shape: Shape, strides: Strides) -> tuple[Size, Strides]:
        stride = strides[self.axis]
        rest = strides[self.axis + 1 :]
        return self.start * stride, (*strides[: self.axis], stride * self.step, *rest)

    def part_read(self, inner: Box, whole: Box) -> Box:
        if self.step != 1:
            return whole
        (start, end), by = inner[self.axis], sizes.bound(self.start)
        moved = (start + by, end + by)
        return (*inner[: self.axis], moved, *inner[self.axis + 1 :])


@dataclass(frozen=True)
class Pad(AlongAxis, WithoutArithmetic):
    """Place the elements at start, start + step, ... of an axis of `size`, and `fill` elsewhere."""

    start: Size
    size: Size
    step: int = 1
    fill: float = 0.0
    form = Form.END

    def infer(self, x: Type) -> Type:
        if not 0 <= self.axis < x.rank:
            raise ShapeError(f"{sizes.show(x.shape)} has no axis {self.axis}", 0)
        last = self.start + (x.shape[self.axis] - 1) * self.step
        if isinstance(last, int) and isinstance(self.size, int) and last >= self.size:
            raise ShapeError(f"cannot place {x.shape[self.axis]} elements in {self.size}", 0)
        shape = (*x.shape[: self.axis], self.size, *x.shape[self.axis + 1 :])
        return replace(x, shape=shape)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        count = node.inputs[0].type.shape[self.axis]
        return (apply(Slice(self.axis, self.start, count, self.step), dy),)

    def reference(self, types: Types, x: np.ndarray) -> np.ndarray:
        import numpy as np

        axis = self.axis + lead(types[0])
        out = np.full((*x.shape[:axis], self.size, *x.shape[axis + 1 :]), self.fill, x.dtype)
        places = sizes.bound(self.start) + self.step * np.arange(x.shape[axis])
        np.moveaxis(out, axis, 0)[places] = np.moveaxis(x, axis, 0)
        return out

    def suits_tensor_parallel(self, node: Node) -> bool:
        return True

    def is_apart(self) -> bool:
        return self.axis > 0


@dataclass(frozen=True)
class Frame(WithoutSteps, WithoutArithmetic):
    """Place the elements in zeros of `shape`, from `starts[axis]` on: several `Pad`s at once."""

    starts: tuple[int, ...]
    shape: Shape
    form = Form.END

    def infer(self, x: Type) -> Type:
        for axis, (start, size) in enumerate(zip(self.starts, x.shape, strict=True)):
            if not 0 <= start <= self.shape[axis] - size:
                raise ShapeError(f"cannot place {size} elements in {self.shape[axis]}", 0)
        return replace(x, shape=self.shape)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        for axis, (start, size) in enumerate(
            zip(self.starts, node.inputs[0].type.shape, strict=True)
        ):
            dy = apply(Slice(axis, start, size), dy)
        return (dy,)

    def reference(self, types: Types, x: np.ndarray) -> np.ndarray:
        import numpy as np

        first = lead(types[0])
        out = np.zeros(x.shape[:first] + self.shape, x.dtype)
        box = zip(self.starts, x.shape[first:], strict=True)
        out[(slice(None),) * first + tuple(slice(start, start + size) for start, size in box)] = x
        return out

    def suits_tensor_parallel(self, node: Node) -> bool:
        return False

    def is_apart(self) -> bool:
        return not self.starts[0]


@dataclass(frozen=True)
class Concat(AlongAxis, WithoutArithmetic):
    """Join along one axis; all other axes must agree."""

    form = Form.JOIN

    def infer(self, *inputs: Type) -> Type:
        first, total = inputs[0], inputs[0].shape[self.axis]
        for position, each in enumerate(inputs[1:], 1):
            if each.kind != first.kind or each.rank != first.rank:
                raise ShapeError(f"cannot join {each} to {first}", position)
            for axis, (a, b) in enumerate(zip(first.shape, each.shape, strict=True)):
                if axis != self.axis and not sizes.same(a, b):
                    raise ShapeError(
                        f"to join along axis {self.axis} all others must agree,"
                        f" but axis {axis} is {a} and {b}",
                        position,
                    )
            total = total + each.shape[self.axis]
        shape = (*first.shape[: self.axis], total, *first.shape[self.axis + 1 :])
        return replace(first, shape=shape, batched=any(each.batched for each in inputs))

    def vjp(self, node: Node, dy: Node) -> Gradients:
        gradients: list[Node] = []
        start: Size = 0
        for each in node.inputs:
            count = each.type.shape[self.axis]
            gradients.append(apply(Slice(self.axis, start, count), dy))
            start = start + count
        return tuple(gradients)

    def reference(self, types: Types, *inputs: np.ndarray) -> np.ndarray:
        import numpy as np

        examples = max(
            (x.shape[0] for x, t in zip(inputs, types, strict=True) if t.batched), default=0
        )
        spread = [
            x if t.batched or not examples else np.broadcast_to(x, (examples, *x.shape))
            for x, t in zip(inputs, types, strict=True)
        ]
        return np.concatenate(spread, self.axis + (1 if examples else 0))

    def suits_tensor_parallel(self, node: Node) -> bool:
        return True

    def is_apart(self) -> bool:
        return True


def axes_kept(old: Shape, new: Shape) -> dict[int, int]:
    """Return for each axis of a shape the axis that it is in another one, if it stays whole.

    Both shapes hold the same elements in C order.
    """
    found: dict[int, int] = {}
    i = j = 0
    while i < len(old) and j < len(new):
        if sizes.same(old[i], new[j]):
            found[i] = j
            i, j = i + 1, j + 1
        elif sizes.same(new[j], 1):
            j += 1
        elif sizes.same(old[i], 1):
            i += 1
        else:
            break
    back = 1
    while back <= min(len(old) - i, len(new) - j) and sizes.same(old[-back], new[-back]):
        found[len(old) - back] = len(new) - back
        back += 1
    return found


@overload
def c_strides(shape: Sequence[int]) -> tuple[int, ...]: ...
@overload
def c_strides(shape: Sequence[Size]) -> Strides: ...
def c_strides(shape: Sequence[Size]) -> Strides:
    """Return the strides of an array in C order, in elements."""
    strides: list[Size] = []
    step: Size = 1
    for size in reversed(shape):
        strides.append(step)
        step = step * size
    return tuple(reversed(strides))
