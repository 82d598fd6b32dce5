"""Ops along one axis: the running sum, and the sorting order of the elements.

apply(RunningSum(0), x)      # y[i] = x[0] + ... + x[i]
apply(Order(), x)            # the index of the smallest element, of the next one, ...
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from specc.ir import sizes
from specc.ir.graph import Node, apply
from specc.ir.op import (
    AlongAxis,
    Cut,
    Gradients,
    Kernel,
    Op,
    ShapeError,
    Types,
    WithKernel,
    WithoutArithmetic,
)
from specc.ir.sizes import Size
from specc.ir.types import Type
from specc.ops.kernels import along as kernels
from specc.ops.shape import Slice, lead
from specc.system.records import dataclass

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class RunningSum(AlongAxis, WithKernel):
    """y[.., i, ..] = the sum of x[.., j, ..] over all j <= i along `axis`."""

    def infer(self, x: Type) -> Type:
        if x.kind != "float":
            raise ShapeError(f"`cumsum` works on float, not on {x.kind}", 0)
        if not 0 <= self.axis < x.rank:
            raise ShapeError(f"{sizes.show(x.shape)} has no axis {self.axis}", 0)
        return x

    def vjp(self, node: Node, dy: Node) -> Gradients:
        # dx[j] = the sum of dy[i] over all i >= j
        size = node.type.shape[self.axis]
        mirror = Slice(self.axis, size - 1, size, -1)
        return (apply(mirror, apply(self, apply(mirror, dy))),)

    def reference(self, types: Types, x: np.ndarray) -> np.ndarray:
        return x.cumsum(self.axis + lead(types[0]))

    def flops(self, node: Node) -> Size:
        return node.type.elements

    def suits_tensor_parallel(self, node: Node) -> bool:
        return False

    def kernel(self, types: Types, lanes: int, width: int) -> Kernel:
        return kernels.running_sum

    def arguments(self, types: Types, lanes: int) -> dict[str, int]:
        shape = types[0].shape
        return {
            "outer": sizes.count(shape[: self.axis]),
            "n": sizes.bound(shape[self.axis]),
            "rest": sizes.count(shape[self.axis + 1 :]) * lanes,
        }


@dataclass(frozen=True)
class Order(WithKernel, WithoutArithmetic):
    """The indices that sort the elements along the last axis in ascending order.

    The sort is stable, and NaN comes last.
    """

    def infer(self, x: Type) -> Type:
        if x.rank < 1 or x.kind != "float":
            raise ShapeError(f"`sort` takes a vector of numbers, not {x}", 0)
        return Type("int", x.shape, x.batched, x.shape[-1])

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return (None,)

    def reference(self, types: Types, x: np.ndarray) -> np.ndarray:
        return x.argsort(-1, kind="stable")

    def over_steps(self, steps: Size, moving: Sequence[bool]) -> Op:
        return self

    def one_at(self, node: Node, axis: int) -> Cut | None:
        return Cut(self, (axis,)) if axis < node.type.rank - 1 else None

    def suits_tensor_parallel(self, node: Node) -> bool:
        return False

    def kernel(self, types: Types, lanes: int, width: int) -> Kernel:
        return kernels.order

    def arguments(self, types: Types, lanes: int) -> dict[str, int]:
        shape = types[0].shape
        return {"outer": sizes.count(shape[:-1]), "n": sizes.bound(shape[-1]), "lanes": lanes}
