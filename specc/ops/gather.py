"""Look-ups, and their gradients: reading and adding at positions that come from the data.

apply(Take(), scores, label)         # scores[label]
apply(Take(), weight, tokens)        # one row of an embedding for each token
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from specc.ir import sizes
from specc.ir.graph import Node, apply
from specc.ir.op import (
    Cut,
    Gradients,
    Kernel,
    Op,
    ShapeError,
    Types,
    WithKernel,
    WithoutArithmetic,
    WithoutSteps,
)
from specc.ir.sizes import Shape, Size
from specc.ir.types import Type
from specc.ops.broadcast import Broadcast
from specc.ops.kernels import gather as kernels
from specc.system.records import dataclass

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Take(WithKernel, WithoutArithmetic):
    """x[index]: for each position of `index` (shape S) one slice of the first axis of x: S + rest.

    The first `lead` axes of x, of `index` and of the result are the same; there is one look-up for
    each of their positions.
    """

    lead: int = 0

    def infer(self, x: Type, index: Type) -> Type:
        if x.rank <= self.lead:
            raise ShapeError("a scalar has nothing to index", 0)
        _check_lead(self.lead, x, index)
        if index.kind != "int":
            raise ShapeError(f"an index is a class or an integer, not {index.kind}", 1)
        if x.kind != "float":
            raise ShapeError(f"only float values can be indexed by data, not {x.kind}", 0)
        if index.classes is not None:
            size = x.shape[self.lead]
            equal = sizes.same(index.classes, size)
            if not equal:
                doubt = "cannot prove that it has" if equal is None else "but it has"
                raise ShapeError(
                    f"an index with {index.classes} classes needs an axis of {index.classes},"
                    f" {doubt} {size}",
                    1,
                )
        return Type(x.kind, index.shape + x.shape[self.lead + 1 :], x.batched or index.batched)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        x, index = node.inputs
        sum_batch = not x.type.batched and (dy.type.batched or index.type.batched)
        return apply(Put(x.type.shape[self.lead], sum_batch, self.lead), dy, index), None

    def reference(self, types: Types, x: np.ndarray, index: np.ndarray) -> np.ndarray:
        import numpy as np

        examples = max(
            (len(a) for a, t in zip((x, index), types, strict=True) if t.batched), default=0
        )
        if not examples and not self.lead:
            return x[index]
        lead = self.lead + bool(examples)
        x, index = _for_all(x, types[0], examples), _for_all(index, types[1], examples)
        at = np.ix_(*map(np.arange, index.shape[:lead]))
        return x[
            (*tuple(each.reshape(each.shape + (1,) * (index.ndim - lead)) for each in at), index)
        ]

    def over_steps(self, steps: Size, moving: Sequence[bool]) -> Op:
        return Take(self.lead + 1) if moving[0] or self.lead else self

    def cut(self, node: Node, axis: int, start: int, count: int) -> Cut:
        rank = node.inputs[1].type.rank
        if axis < self.lead:
            return Cut(self, (axis, axis))
        return Cut(self, (None, axis) if axis < rank else (self.lead + 1 + axis - rank, None))

    def one_at(self, node: Node, axis: int) -> Cut:
        if axis < self.lead:
            return Cut(Take(self.lead - 1), (axis, axis))
        rank = node.inputs[1].type.rank
        return Cut(self, (None, axis) if axis < rank else (self.lead + 1 + axis - rank, None))

    def reads_step(self, position: int) -> bool:
        return position == 1 or self.lead > 0

    def suits_tensor_parallel(self, node: Node) -> bool:
        return True

    def kernel(self, types: Types, lanes: int, width: int) -> Kernel:
        x, index = types
        if lanes == 1:
            return kernels.take_of_one
        rows = not self.lead and not x.batched and index.batched
        return kernels.take_rows if rows and sizes.count(x.shape[1:]) >= width else kernels.take

    def arguments(self, types: Types, lanes: int) -> dict[str, int]:
        x, index = types
        return _extents(x.shape[self.lead], self.lead, index, x.shape[self.lead + 1 :], x, lanes)


@dataclass(frozen=True)
class TakeSum(WithKernel, WithoutSteps, WithoutArithmetic):
    """The sum of x[index] over all positions of `index`; the summands are not stored."""

    def infer(self, x: Type, index: Type) -> Type:
        return replace(Take().infer(x, index), shape=x.shape[1:])

    def vjp(self, node: Node, dy: Node) -> Gradients:
        _x, index = (each.type for each in node.inputs)
        axes = tuple(range(index.rank, index.rank + dy.type.rank))
        spread = apply(Broadcast(index.shape + dy.type.shape, axes), dy)
        return Take().vjp(node, spread)

    def reference(self, types: Types, x: np.ndarray, index: np.ndarray) -> np.ndarray:
        taken = Take().reference(types, x, index)
        first = int(any(each.batched for each in types))
        return taken.sum(tuple(range(first, first + types[1].rank)))

    def suits_tensor_parallel(self, node: Node) -> bool:
        return False

    def kernel(self, types: Types, lanes: int, width: int) -> Kernel:
        x, index = types
        rows = lanes > 1 and not x.batched and index.batched
        large = rows and sizes.count(x.shape[1:]) >= width
        return kernels.take_sum_rows if large else kernels.take_sum

    def arguments(self, types: Types, lanes: int) -> dict[str, int]:
        x, index = types
        return _extents(x.shape[0], 0, index, x.shape[1:], x, lanes)


@dataclass(frozen=True)
class Put(WithKernel, WithoutArithmetic):
    """out[index] += dy: the gradient of Take.

    `size` is the length of the first axis of `out` after `lead` others. With `sum_batch`, `out` is
    one sum over all examples. With `same`, all indices of an example add the same `dy`, which has
    no axes of the index then: the gradient of TakeSum.
    """

    size: Size
    sum_batch: bool = False
    lead: int = 0
    same: bool = False

    def _rest(self, dy: Type, index: Type) -> Shape:
        """Return the shape of what one index adds."""
        return dy.shape if self.same else dy.shape[index.rank :]

    def infer(self, dy: Type, index: Type) -> Type:
        if index.kind != "int":
            raise ShapeError(f"an index is a class or an integer, not {index.kind}", 1)
        _check_lead(self.lead, dy, index)
        shape = (*index.shape[: self.lead], self.size, *self._rest(dy, index))
        batched = (dy.batched or index.batched) and not self.sum_batch
        return Type("float", shape, batched)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        take = TakeSum() if self.same else Take(self.lead)
        return apply(take, dy, node.inputs[1]), None

    def reference(self, types: Types, dy: np.ndarray, index: np.ndarray) -> np.ndarray:
        import numpy as np

        if self.same:
            values, chosen = types
            axes = tuple(range(chosen.rank, chosen.rank + values.rank))
            spread = Broadcast(chosen.shape + values.shape, axes)
            whole = replace(self, same=False)
            return whole.reference(
                (spread.infer(values), chosen), spread.reference((values,), dy), index
            )
        examples = max(
            (len(a) for a, t in zip((dy, index), types, strict=True) if t.batched), default=0
        )
        rest = types[0].shape[types[1].rank :]
        dy, index = _for_all(dy, types[0], examples), _for_all(index, types[1], examples)
        lead = self.lead + bool(examples)
        out = np.zeros((*index.shape[:lead], self.size, *rest), dy.dtype)
        at = np.ix_(*map(np.arange, index.shape[:lead])) if lead else ()
        at = tuple(each.reshape(each.shape + (1,) * (index.ndim - lead)) for each in at)
        np.add.at(out, (*at, index), dy)
        return out.sum(0) if self.sum_batch else out

    def over_steps(self, steps: Size, moving: Sequence[bool]) -> Op | None:
        return None if self.sum_batch else replace(self, lead=self.lead + 1)

    def one_at(self, node: Node, axis: int) -> Cut | None:
        if self.sum_batch or axis >= self.lead:
            return None
        return Cut(replace(self, lead=self.lead - 1), (axis, axis))

    def summand(self, node: Node, position: int, axis: int, count: int) -> Cut | None:
        is_summed = self.lead <= axis < node.inputs[1].type.rank and not self.same
        return Cut(self, (axis, axis)) if is_summed else None

    @property
    def sums_batch(self) -> bool:
        return self.sum_batch

    def suits_tensor_parallel(self, node: Node) -> bool:
        return True

    def kernel(self, types: Types, lanes: int, width: int) -> Kernel:
        if not self.sum_batch:
            return kernels.put
        dy, index = types
        rows = lanes > 1 and not self.lead and dy.batched and index.batched
        large = rows and sizes.count(self._rest(dy, index)) >= width
        return kernels.put_sum_rows if large else kernels.put_sum

    def arguments(self, types: Types, lanes: int) -> dict[str, int]:
        dy, index = types
        extents = _extents(self.size, self.lead, index, self._rest(dy, index), dy, lanes)
        return {**extents, "each": int(not self.same)}


def _check_lead(lead: int, values: Type, index: Type) -> None:
    for a, b in zip(values.shape[:lead], index.shape[:lead], strict=True):
        if not sizes.same(a, b):
            raise ShapeError(f"an index over {b} positions cannot select from {a}", 1)


def _for_all(array: np.ndarray, type_: Type, examples: int) -> np.ndarray:
    """Return the array with the examples as its first axis, if there are any examples."""
    import numpy as np

    array = np.asarray(array)
    if not examples or type_.batched:
        return array
    return np.broadcast_to(array, (examples, *array.shape))


def _extents(
    size: Size, lead: int, index: Type, rest: Shape, values: Type, lanes: int
) -> dict[str, int]:
    """Return a kernel's integer arguments; a value shared by the batch has a lane step of 0."""
    return {
        "outer": sizes.count(index.shape[:lead]),
        "size": sizes.bound(size),
        "count": sizes.count(index.shape[lead:]),
        "rest": sizes.count(rest),
        "value_lanes": lanes if values.batched else 1,
        "value_step": int(values.batched),
        "index_lanes": lanes if index.batched else 1,
        "index_step": int(index.batched),
        "lanes": lanes,
    }
