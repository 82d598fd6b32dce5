"""Rows that are kept from step to step: one of them is written at a time.

apply(SetRow(), rows, row, at)       # rows, with `row` in place of the one number `at`
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from specc.ir import sizes
from specc.ir.graph import Node, apply
from specc.ir.op import (
    Gradients,
    Kernel,
    ShapeError,
    Types,
    WithKernel,
    WithoutArithmetic,
    WithoutSteps,
)
from specc.ir.types import Type
from specc.ops.broadcast import Broadcast, sum_batch
from specc.ops.gather import Take
from specc.ops.kernels import rows as kernels
from specc.ops.leaf import constant
from specc.system.records import dataclass

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class SetRow(WithKernel, WithoutSteps, WithoutArithmetic):
    """The rows along the first axis of x, but with another row at an index of each example.

    Where the result is stored in the memory of x, only that row is written.
    """

    overwrites_first = True

    def infer(self, x: Type, row: Type, at: Type) -> Type:
        if x.rank < 1 or x.kind != "float" or row.kind != "float":
            raise ShapeError(f"rows of numbers are written, not {row} into {x}", 0)
        fits = len(row.shape) == x.rank - 1 and all(map(sizes.same, row.shape, x.shape[1:]))
        if not fits:
            raise ShapeError(f"a row of {sizes.show(x.shape)} is not {sizes.show(row.shape)}", 1)
        if at.kind != "int" or at.shape:
            raise ShapeError(f"the index of a row is one integer, not {at}", 2)
        return Type("float", x.shape, x.batched or row.batched or at.batched)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        x, row, at = node.inputs
        none = apply(Broadcast(row.type.shape), constant(0.0)) if row.type.shape else constant(0.0)
        return _like(x, apply(self, dy, none, at)), _like(row, apply(Take(), dy, at)), None

    def reference(self, types: Types, x: np.ndarray, row: np.ndarray, at: np.ndarray) -> np.ndarray:
        import numpy as np

        examples = max(
            (len(a) for a, t in zip((x, row, at), types, strict=True) if t.batched), default=0
        )
        if not examples:
            found = np.array(x)
            found[at] = row
            return found
        x, row, at = (
            a if t.batched else np.broadcast_to(a, (examples, *np.shape(a)))
            for a, t in zip((x, row, at), types, strict=True)
        )
        found = np.array(x)
        found[np.arange(examples), at] = row
        return found

    def suits_tensor_parallel(self, node: Node) -> bool:
        return False

    def kernel(self, types: Types, lanes: int, width: int) -> Kernel:
        return kernels.set_row

    def arguments(self, types: Types, lanes: int) -> dict[str, int]:
        x, row, at = types
        return {
            "size": sizes.bound(x.shape[0]),
            "rest": sizes.count(x.shape[1:]),
            "x_lanes": lanes if x.batched else 1,
            "x_step": int(x.batched),
            "row_lanes": lanes if row.batched else 1,
            "row_step": int(row.batched),
            "at_lanes": lanes if at.batched else 1,
            "at_step": int(at.batched),
            "lanes": lanes,
        }


def _like(x: Node, dx: Node) -> Node:
    """The gradient of a value that is one for all examples is a sum over them."""
    return sum_batch(dx) if dx.type.batched and not x.type.batched else dx
