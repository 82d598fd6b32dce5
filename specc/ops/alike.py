"""A view of a value that all examples share as a value of each example.

apply(Alike(), mask, x)      # the mask, for each example of x
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from specc.ir.graph import Node, apply
from specc.ir.op import Form, Gradients, Strides, Types, WithoutArithmetic, WithoutSteps
from specc.ir.sizes import Shape, Size
from specc.ir.types import Type
from specc.ops.broadcast import Sum
from specc.system.records import dataclass

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Alike(WithoutSteps, WithoutArithmetic):
    """A view of the first input, which all examples share, as a value of each example.

    The second input is any value of each example. Nothing is copied. A formula of such views is
    computed for each example by the loops that read it, and its shared value is never stored.
    """

    form = Form.VIEW

    def infer(self, x: Type, example: Type) -> Type:
        assert example.batched, "only what varies over the batch has examples"
        return replace(x, batched=True)

    def suits_tensor_parallel(self, node: Node) -> bool:
        return True

    def viewed(self, shape: Shape, strides: Strides) -> tuple[Size, Strides]:
        return 0, strides

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return apply(Sum((), batch=True), dy), None

    def reference(self, types: Types, x: np.ndarray, example: np.ndarray) -> np.ndarray:
        import numpy as np

        return np.broadcast_to(x, (len(example), *np.shape(x)))


def is_alike(node: Node) -> bool:
    """Return whether a node is a view of a shared value as a value of each example."""
    while node.op.form is Form.VIEW:
        if isinstance(node.op, Alike):
            return True
        node = node.inputs[0]
    return False
