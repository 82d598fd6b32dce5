"""Reductions over axes of an example, over the examples of a batch, and over shards.

apply(Max((1, 2)), x)        # [c, h, w] -> [c]

`Sum` is in `broadcast`, because broadcast and sum are each other's gradients.
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
    Kernel,
    Op,
    ShapeError,
    Types,
    WithKernel,
    WithoutArithmetic,
    WithoutSteps,
)
from specc.ir.sizes import Size
from specc.ir.types import Type
from specc.ops.broadcast import Broadcast, Sum, axes_without, kept_axes, reduced_type, spread_again
from specc.ops.elementwise import div, equal, mul, select
from specc.ops.kernels import reduce as kernels
from specc.ops.leaf import constant
from specc.ops.shape import lead
from specc.system.records import dataclass

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Max(Op):
    """The maximum over `axes`; elements that are equal to it share the gradient."""

    axes: tuple[int, ...]
    form = Form.END

    def infer(self, x: Type) -> Type:
        return reduced_type("max", self.axes, x)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        x = node.inputs[0]
        hits = select(equal(x, spread_again(x, node, self.axes)), _ones(x), 0.0)
        share = div(dy, apply(Sum(self.axes), hits))
        return (mul(hits, spread_again(x, share, self.axes)),)

    def reference(self, types: Types, x: np.ndarray) -> np.ndarray:
        return x.max(tuple(axis + lead(types[0]) for axis in self.axes))

    def flops(self, node: Node) -> Size:
        return node.inputs[0].type.elements

    def over_steps(self, steps: Size, moving: Sequence[bool]) -> Op:
        return Max(tuple(axis + 1 for axis in self.axes))

    def cut(self, node: Node, axis: int, start: int, count: int) -> Cut:
        return Cut(self, (kept_axes(node.inputs[0].type.rank, self.axes)[axis],))

    def one_at(self, node: Node, axis: int) -> Cut:
        read = kept_axes(node.inputs[0].type.rank, self.axes)[axis]
        return Cut(Max(axes_without(self.axes, read)), (read,))

    def suits_tensor_parallel(self, node: Node) -> bool:
        return True

    def is_apart(self) -> bool:
        return 0 not in self.axes


@dataclass(frozen=True)
class AllReduce(WithoutSteps, WithoutArithmetic):
    """The sum of all shards' partial sums.

    Each shard has summed over its own examples, or over its own rows of the weights.
    """

    form = Form.SHARDS

    def infer(self, x: Type) -> Type:
        return x

    def vjp(self, node: Node, dy: Node) -> Gradients:
        raise AssertionError("AllReduce is inserted after gradients are taken")

    def reference(self, types: Types, x: np.ndarray) -> np.ndarray:
        return x

    def suits_tensor_parallel(self, node: Node) -> bool:
        return True

    def is_apart(self) -> bool:
        return True


@dataclass(frozen=True)
class BatchMean(WithoutSteps, WithoutArithmetic):
    """The mean over the examples of the batch, without padding lanes.

    The mean of a value that is shared by all examples is the value itself.
    """

    form = Form.LOWERED

    def infer(self, x: Type) -> Type:
        return replace(reduced_type("mean", (), x), batched=False)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        raise AssertionError("BatchMean is lowered to a weighted sum before gradients are taken")

    def reference(self, types: Types, x: np.ndarray) -> np.ndarray:
        return x.mean(0) if types[0].batched else x

    def for_all_steps(self, node: Node, inputs: Sequence[Node], steps: Size) -> Node | None:
        if not isinstance(steps, int):
            return None
        mean = div(apply(Sum((0,)), *inputs, origin=node.origin), float(steps))
        return apply(self, mean, origin=node.origin)

    def suits_tensor_parallel(self, node: Node) -> bool:
        return False


@dataclass(frozen=True)
class ArgMax(WithKernel, WithoutArithmetic):
    """The position of the largest element along the last axis.

    Among equal elements the first one counts. If there are NaNs, the first NaN counts.
    """

    def infer(self, x: Type) -> Type:
        if x.rank < 1 or x.kind != "float":
            raise ShapeError(f"`argmax` takes a vector of scores, not {x}", 0)
        return Type("int", x.shape[:-1], x.batched, x.shape[-1])

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return (None,)

    def reference(self, types: Types, x: np.ndarray) -> np.ndarray:
        return x.argmax(-1)

    def over_steps(self, steps: Size, moving: Sequence[bool]) -> Op:
        return self

    def one_at(self, node: Node, axis: int) -> Cut:
        return Cut(self, (axis,))

    def suits_tensor_parallel(self, node: Node) -> bool:
        return True

    def kernel(self, types: Types, lanes: int, width: int) -> Kernel:
        return kernels.argmax

    def arguments(self, types: Types, lanes: int) -> dict[str, int]:
        shape = types[0].shape
        return {"outer": sizes.count(shape[:-1]), "n": sizes.bound(shape[-1]), "lanes": lanes}


def _ones(x: Node) -> Node:
    return apply(Broadcast(x.type.shape), constant(1.0)) if x.type.shape else constant(1.0)
