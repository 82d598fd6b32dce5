"""Reductions: over axes of an example, or over the examples of a batch.

apply(Sum((1, 2)), x)        # [c, h, w] -> [c]
sum_batch(x)                 # one value for the whole batch
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from specc.ir import sizes
from specc.ir.graph import Node, apply
from specc.ir.op import Op, ShapeError
from specc.ir.types import Type
from specc.ops.shape import Broadcast, lead


def _reduced(op: str, axes: tuple[int, ...], x: Type) -> Type:
    if x.kind != "float":
        raise ShapeError(f"`{op}` works on float, not on {x.kind}", 0)
    for axis in axes:
        if not 0 <= axis < x.rank:
            raise ShapeError(f"{sizes.show(x.shape)} has no axis {axis}", 0)
    return replace(x, shape=tuple(s for axis, s in enumerate(x.shape) if axis not in axes))


def _spread(node: Node, reduced: Node, axes: tuple[int, ...]) -> Node:
    """`reduced` repeated over the axes that were reduced away from `node`."""
    shape = node.type.shape
    kept = tuple(axis for axis in range(len(shape)) if axis not in axes)
    return apply(Broadcast(shape, kept), reduced) if axes else reduced


@dataclass(frozen=True)
class Sum(Op):
    """The sum over `axes`, and with `batch` over the examples too: one value for all of them."""

    axes: tuple[int, ...]
    batch: bool = False

    def infer(self, x: Type) -> Type:
        reduced = _reduced("sum", self.axes, x)
        if not self.batch:
            return reduced
        if not x.batched:
            raise ShapeError("there is no batch to sum over", 0)
        return replace(reduced, batched=False)

    def vjp(self, node, dy):
        return (_spread(node.inputs[0], dy, self.axes),)

    def reference(self, types, x):
        over = tuple(axis + lead(types[0]) for axis in self.axes)
        return x.sum(over + ((0,) if self.batch else ()))


@dataclass(frozen=True)
class Max(Op):
    """The largest over `axes`; equal largest elements share the gradient."""

    axes: tuple[int, ...]

    def infer(self, x: Type) -> Type:
        return _reduced("max", self.axes, x)

    def vjp(self, node, dy):
        from specc.ops.elementwise import div, equal, mul, select

        x = node.inputs[0]
        hits = select(equal(x, _spread(x, node, self.axes)), _ones(x), 0.0)
        share = div(dy, apply(Sum(self.axes), hits))
        return (mul(hits, _spread(x, share, self.axes)),)

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
        return replace(_reduced("mean", (), x), batched=False)

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


def sum_batch(x: Node) -> Node:
    """The sum over the examples of the batch."""
    return apply(Sum((), batch=True), x)


def _ones(x: Node) -> Node:
    from specc.ops.leaf import constant

    return apply(Broadcast(x.type.shape), constant(1.0)) if x.type.shape else constant(1.0)
