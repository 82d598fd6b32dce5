"""An op that delays the readers of a value until other values have been computed.

apply(After(), x, dy)      # x, but nodes that read it through this one run after dy
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from specc.ir.graph import Node
from specc.ir.op import Form, Gradients, Strides, Types, WithoutArithmetic, WithoutSteps
from specc.ir.sizes import Shape, Size
from specc.ir.types import Type
from specc.system.records import dataclass

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class After(WithoutSteps, WithoutArithmetic):
    """A view of the first input, for readers that must run after the other inputs."""

    form = Form.VIEW

    def infer(self, x: Type, *awaited: Type) -> Type:
        return x

    def suits_tensor_parallel(self, node: Node) -> bool:
        return True

    def viewed(self, shape: Shape, strides: Strides) -> tuple[Size, Strides]:
        return 0, strides

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return (dy, *(None for _ in node.inputs[1:]))

    def reference(self, types: Types, x: np.ndarray, *awaited: np.ndarray) -> np.ndarray:
        return x
