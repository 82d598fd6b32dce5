"""Reading and writing at positions that the data decide.

    apply(Take(), scores, label)         # scores[label]
    apply(Take(), weight, tokens)        # one row of an embedding for each token
"""

from __future__ import annotations

from dataclasses import dataclass

from specc.ir import sizes
from specc.ir.graph import apply
from specc.ir.op import Op, ShapeError
from specc.ir.sizes import Size
from specc.ir.types import Type
from specc.ops.shape import lead

# ruff: noqa: F821, UP037 - the annotations of kernels name extents, not types


@dataclass(frozen=True)
class Take(Op):
    """x[index]: for each position of `index` (shape S) one slice of the first axis of x: S + rest."""

    def infer(self, x: Type, index: Type) -> Type:
        if x.rank == 0:
            raise ShapeError("a scalar has nothing to index", 0)
        if index.kind != "int":
            raise ShapeError(f"an index is a class or an integer, not {index.kind}", 1)
        if x.kind != "float":
            raise ShapeError(f"only float values can be indexed by data, not {x.kind}", 0)
        if index.classes is not None:
            equal = sizes.same(index.classes, x.shape[0])
            if not equal:
                doubt = "cannot prove that it has" if equal is None else "but it has"
                raise ShapeError(
                    f"an index with {index.classes} classes needs an axis of {index.classes},"
                    f" {doubt} {x.shape[0]}", 1)
        return Type(x.kind, index.shape + x.shape[1:], x.batched or index.batched)

    def vjp(self, node, dy):
        x, index = node.inputs
        sum_batch = not x.type.batched and (dy.type.batched or index.type.batched)
        return apply(Put(x.type.shape[0], sum_batch), dy, index), None

    def reference(self, types, x, index):
        import numpy as np

        if not types[0].batched:
            return x[index]
        if not types[1].batched:
            return x[:, index]
        examples = np.arange(len(x)).reshape(-1, *[1] * (index.ndim - 1))
        return x[examples, index]

    @staticmethod
    def kernel():
        return take

    def arguments(self, types, lanes: int) -> dict[str, int]:
        return _extents(types[0].shape[0], types[1].elements, sizes.product(types[0].shape[1:]),
                        types[0], types[1], lanes)


@dataclass(frozen=True)
class Put(Op):
    """out[index] += dy: the transpose of Take. `size` is the length of the first axis of `out`."""

    size: Size
    sum_batch: bool = False

    def infer(self, dy: Type, index: Type) -> Type:
        if index.kind != "int":
            raise ShapeError(f"an index is a class or an integer, not {index.kind}", 1)
        shape = (self.size,) + dy.shape[index.rank :]
        batched = (dy.batched or index.batched) and not self.sum_batch
        return Type("float", shape, batched)

    def vjp(self, node, dy):
        return apply(Take(), dy, node.inputs[1]), None

    def reference(self, types, dy, index):
        import numpy as np

        examples = max((len(a) for a, t in zip((dy, index), types, strict=True) if t.batched),
                       default=0)
        rest = types[0].shape[types[1].rank :]
        if examples:
            if not types[0].batched:
                dy = np.broadcast_to(dy, (examples, *dy.shape))
            if not types[1].batched:
                index = np.broadcast_to(index, (examples, *index.shape))
        if not examples or self.sum_batch:
            out = np.zeros((self.size, *rest), dy.dtype)
            np.add.at(out, index, dy)
            return out
        out = np.zeros((examples, self.size, *rest), dy.dtype)
        np.add.at(out, (np.arange(examples).reshape(-1, *[1] * (index.ndim - 1)), index), dy)
        return out

    def kernel(self):
        return put_sum if self.sum_batch else put

    def arguments(self, types, lanes: int) -> dict[str, int]:
        rest = sizes.product(types[0].shape[types[1].rank :])
        return _extents(self.size, types[1].elements, rest, types[0], types[1], lanes)


def _extents(size, count, rest, values: Type, index: Type, lanes: int) -> dict[str, int]:
    """A value that is one for the batch is read with lane step 0."""
    return {"size": size, "count": count, "rest": rest,
            "value_lanes": lanes if lead(values) else 1, "value_step": lead(values),
            "index_lanes": lanes if lead(index) else 1, "index_step": lead(index), "lanes": lanes}


def take(
    x: "float[size, rest, value_lanes]", index: "int32[count, index_lanes]",
    out: "float[count, rest, lanes]", size: "int", count: "int", rest: "int",
    value_lanes: "int", value_step: "int", index_lanes: "int", index_step: "int", lanes: "int",
):
    for k in range(count):
        for r in range(rest):
            for lane in range(lanes):
                out[k, r, lane] = x[index[k, lane * index_step], r, lane * value_step]


def put(
    dy: "float[count, rest, value_lanes]", index: "int32[count, index_lanes]",
    out: "float[size, rest, lanes]", size: "int", count: "int", rest: "int",
    value_lanes: "int", value_step: "int", index_lanes: "int", index_step: "int", lanes: "int",
):
    for k in range(size):
        for r in range(rest):
            for lane in range(lanes):
                out[k, r, lane] = 0.0
    for k in range(count):
        for r in range(rest):
            for lane in range(lanes):
                out[index[k, lane * index_step], r, lane] += dy[k, r, lane * value_step]


def put_sum(
    dy: "float[count, rest, value_lanes]", index: "int32[count, index_lanes]",
    out: "float[size, rest]", size: "int", count: "int", rest: "int",
    value_lanes: "int", value_step: "int", index_lanes: "int", index_step: "int", lanes: "int",
):
    for k in range(size):
        for r in range(rest):
            out[k, r] = 0.0
    for k in range(count):
        for lane in range(lanes):
            for r in range(rest):
                out[index[k, lane * index_step], r] += dy[k, r, lane * value_step]
