"""A derivative within a model: the op of `gradient(y; x)` until autodiff replaces it.

apply(Derivative(), y, x)      # dy / dx, a value like any other, of the shape of x
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from specc.ir.graph import Node
from specc.ir.op import Form, Gradients, ShapeError, Types, WithoutArithmetic, WithoutSteps
from specc.ir.types import Type
from specc.system.records import dataclass

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Derivative(WithoutSteps, WithoutArithmetic):
    """The derivative of a scalar y by x; one per example if x differs between examples."""

    form = Form.LOWERED

    def infer(self, y: Type, x: Type) -> Type:
        if y.kind != "float" or x.kind != "float" or y.shape:
            raise ShapeError(f"a derivative is that of a number by a value, not of {y} by {x}", 0)
        if y.batched and not x.batched:
            raise ShapeError("y differs between examples, and x is one for all of them", 1)
        return x

    def vjp(self, node: Node, dy: Node) -> Gradients:
        raise AssertionError("Derivative is written out before gradients are taken")

    def reference(self, types: Types, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        raise NotImplementedError("Derivative is written out before it is computed")

    def suits_tensor_parallel(self, node: Node) -> bool:
        return True
