"""A value that may be read only once others have been computed: what puts a computation late.

apply(After(), x, dy)      # x, but whoever reads it here waits for dy
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
    """The first input, for nodes that run after all the others. It is a view: nothing is copied."""

    form = Form.VIEW

    def infer(self, x: Type, *awaited: Type) -> Type:
        return x

    def suits_team(self, node: Node) -> bool:
        return True

    def viewed(self, shape: Shape, strides: Strides) -> tuple[Size, Strides]:
        return 0, strides

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return (dy, *(None for _ in node.inputs[1:]))

    def reference(self, types: Types, x: np.ndarray, *awaited: np.ndarray) -> np.ndarray:
        return x
