"""The gradient that a rule takes a second time, at another value of the parameter.

optimizer sharp(w, g; lr) {
  let h = gradient_at(w + 0.05 * g)
  next w = w - lr * h
}
"""

from __future__ import annotations

from specc.frontend.scope.errors import OperandError
from specc.frontend.scope.values import Tensor
from specc.ir import sizes
from specc.ir.graph import Node
from specc.system.records import dataclass


@dataclass(eq=False)
class Again:
    """The gradient that a rule takes a second time, and where: `gradient_at(v)`."""

    gradient: Node
    at: Node | None = None

    def __call__(self, v: Tensor) -> Tensor:
        """Return the gradient at v. Raises OperandError."""
        type_ = self.gradient.type
        if self.at is not None:
            raise OperandError(
                "not-yet",
                "a rule takes `gradient_at` only once yet",
                help="`let h = gradient_at(...)` gives the gradient a name",
            )
        if len(v.shape) != len(type_.shape) or not all(map(sizes.same, v.shape, type_.shape)):
            raise OperandError(
                "shape-mismatch",
                f"`gradient_at` takes a value of the parameter's shape, {sizes.show(type_.shape)},"
                f" not {sizes.show(v.shape)}",
                argument=0,
            )
        self.at = v.node
        return Tensor(self.gradient)
