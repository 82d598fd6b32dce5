"""Reductions over axes of an example, over the examples of a batch, and over shards.

apply(Max((1, 2)), x)        # [c, h, w] -> [c]

The sum is in `broadcast`, because the two are each other's transposes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from specc.ir import sizes
from specc.ir.graph import Node, apply
from specc.ir.op import Op, ShapeError
from specc.ir.types import Type
from specc.ops.broadcast import Broadcast, Sum, reduced_type, spread_again
from specc.ops.elementwise import div, equal, mul, select
from specc.ops.leaf import constant
from specc.ops.shape import lead


@dataclass(frozen=True)
class Max(Op):
    """The largest over `axes`; equal largest elements share the gradient."""

    axes: tuple[int, ...]

    def infer(self, x: Type) -> Type:
        return reduced_type("max", self.axes, x)

    def vjp(self, node, dy):
        x = node.inputs[0]
        hits = select(equal(x, spread_again(x, node, self.axes)), _ones(x), 0.0)
        share = div(dy, apply(Sum(self.axes), hits))
        return (mul(hits, spread_again(x, share, self.axes)),)

    def reference(self, types, x):
        return x.max(tuple(axis + lead(types[0]) for axis in self.axes))


@dataclass(frozen=True)
class AllReduce(Op):
    """The sum over the shards of a value that each of them has summed over its own examples, or over its own
    rows of the weights."""

    def infer(self, x: Type) -> Type:
        return x

    def vjp(self, node, dy):
        raise AssertionError("AllReduce is inserted after gradients are taken")

    def reference(self, types, x):
        return x


@dataclass(frozen=True)
class BatchMean(Op):
    """The mean over the examples of the batch (padding lanes do not count); of a value that is one for
    all of them, that value."""

    def infer(self, x: Type) -> Type:
        return replace(reduced_type("mean", (), x), batched=False)

    def vjp(self, node, dy):
        raise AssertionError("BatchMean is lowered to a weighted sum before gradients are taken")

    def reference(self, types, x):
        return x.mean(0) if types[0].batched else x


@dataclass(frozen=True)
class ArgMax(Op):
    """The position of the largest element along the last axis: the first of equal ones, and the first NaN
    if there is any."""

    def infer(self, x: Type) -> Type:
        if x.rank < 1 or x.kind != "float":
            raise ShapeError(f"`argmax` takes a vector of scores, not {x}", 0)
        return Type("int", x.shape[:-1], x.batched, x.shape[-1])

    def vjp(self, node, dy):
        return (None,)

    def reference(self, types, x):
        return x.argmax(-1)

    @staticmethod
    def kernel(types, lanes: int, width: int):
        return argmax

    @staticmethod
    def arguments(types, lanes: int) -> dict[str, int]:
        shape = types[0].shape
        return {"outer": sizes.product(shape[:-1]), "n": shape[-1], "lanes": lanes}


def argmax(
    x: "float[outer, n, lanes]",
    out: "int32[outer, lanes]",
    outer: "int",
    n: "int",
    lanes: "int",
):
    for o in range(outer):
        for lane in range(lanes):
            out[o, lane] = 0
            best = x[o, 0, lane]
            for i in range(1, n):
                here = x[o, i, lane]
                if here > best or (here != here and best == best):
                    best = here
                    out[o, lane] = i


def _ones(x: Node) -> Node:
    return apply(Broadcast(x.type.shape), constant(1.0)) if x.type.shape else constant(1.0)
