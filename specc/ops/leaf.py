"""The leaves of a graph: inputs from outside, constants, and random numbers.

Input(Role.PARAM, "dense1.weight", Type("float", (10, 64)))
Const(0.5)
"""

from __future__ import annotations

import math
from dataclasses import field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from specc.ir import sizes
from specc.ir.graph import Node, Origin
from specc.ir.op import (
    Form,
    Gradients,
    Kernel,
    Op,
    Types,
    WithKernel,
    WithoutArithmetic,
    WithoutSteps,
)
from specc.ir.sizes import Polynomial, Shape, Size
from specc.ir.types import Type
from specc.ops.kernels import leaf as kernels
from specc.system.records import dataclass

if TYPE_CHECKING:
    import numpy as np


class Role(StrEnum):
    """The kind of thing that an input is."""

    INPUT = "input"
    TARGET = "target"
    PARAM = "param"
    GRADIENT = "gradient"
    GRADIENTS = "gradients"  # the gradient of any parameter, for a norm over all of them
    AGAIN = "again"  # the gradient at another value of the parameter, which the rule gives
    STATE = "state"
    SCHEDULE = "schedule"  # step, epoch, progress or stale
    SETTING = "setting"  # the value of an optimizer's setting at a training step
    MODE = "mode"  # the flag `training`
    MEAN = "mean"  # a mean over all examples, from which a metric is computed
    WEIGHT_OF_EXAMPLE = "weight_of_example"  # 1/n for each of the n examples of a batch
    STEP = "step"  # one time step of a sequence, within a loop
    SLOT = "slot"  # the state that a stream carries from batch to batch, for each slot


# A lane without an example repeats another example, with its random numbers and its state. This is
# the weight of the repeated example, as a fraction of the original's. It is too small to change a
# finite sum, because rounding errors are larger. It is not 0, because 0 times infinity is NaN, and
# an infinite loss or gradient must stay infinite.
REPEATED = {"float32": 2.0**-40, "float64": 2.0**-80}


@dataclass(frozen=True)
class Input(WithoutSteps, WithoutArithmetic):
    """A value from outside the graph, identified by its role and name."""

    role: Role
    label: str
    type: Type = field(default=Type("float"))
    form = Form.LEAF

    def infer(self) -> Type:
        return self.type

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return ()

    def first_steps(self, node: Node, result: Type) -> Op | None:
        has_steps = result.shape != self.type.shape
        is_data = self.role in (Role.INPUT, Role.TARGET) and (
            has_steps or self.label.endswith(".length")
        )
        return replace(self, type=result) if is_data else None

    def suits_tensor_parallel(self, node: Node) -> bool:
        return self.role != Role.SLOT

    def attributes(self) -> str:
        return f"{self.role} {self.label}"


@dataclass(frozen=True)
class Const(WithoutSteps, WithoutArithmetic):
    """A number known when the model is compiled; with symbolic dimensions, a polynomial."""

    value: float | int | bool | Polynomial
    kind: str = "float"
    form = Form.LEAF

    def infer(self) -> Type:
        return Type(self.kind)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return ()

    def reference(self, types: Types) -> np.ndarray:
        import numpy as np

        return np.asarray(self.value, {"float": float, "int": np.int64, "bool": bool}[self.kind])

    def suits_tensor_parallel(self, node: Node) -> bool:
        return True

    def attributes(self) -> str:
        return str(self.value)


@dataclass(frozen=True)
class Iota(WithKernel, WithoutSteps, WithoutArithmetic):
    """0, 1, 2, ... along one axis of length `size`."""

    size: Size

    def infer(self) -> Type:
        return Type("int", (self.size,))

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return ()

    def reference(self, types: Types) -> np.ndarray:
        import numpy as np

        return np.arange(sizes.bound(self.size))

    def first_steps(self, node: Node, result: Type) -> Op:
        return Iota(result.shape[0])

    def suits_tensor_parallel(self, node: Node) -> bool:
        return True

    def kernel(self, types: Types, lanes: int, width: int) -> Kernel:
        return kernels.iota

    def arguments(self, types: Types, lanes: int) -> dict[str, int]:
        return {"size": sizes.bound(self.size)}


@dataclass(frozen=True)
class Random(WithoutSteps, WithoutArithmetic):
    """Independent random numbers for an initial value; draws with different labels differ.

    distribution: "normal" (mean 0, variance 1), "uniform" (over [0, 1)), or "orthogonal": the Q of
    a normal matrix whose R has a positive diagonal, so that every orthogonal matrix is equally
    likely (Mezzadri 2007). The rows of the matrix are the first axis of the shape.
    """

    distribution: str
    shape: Shape
    label: str
    form = Form.LOWERED

    def infer(self) -> Type:
        return Type("float", self.shape)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return ()

    def suits_tensor_parallel(self, node: Node) -> bool:
        return False

    def draw(self, seed: int) -> np.ndarray:
        """Return the numbers for a seed, which are equal on all machines and thread counts."""
        import hashlib

        import numpy as np

        digest = hashlib.sha256(f"{seed}:{self.label}".encode()).digest()
        generator = np.random.Generator(np.random.Philox(int.from_bytes(digest[:16], "little")))
        if self.distribution == "normal":
            return generator.standard_normal(self.shape)
        if self.distribution == "uniform":
            return generator.random(self.shape)
        rows, columns = self.shape[0], math.prod(self.shape[1:])
        q, r = np.linalg.qr(generator.standard_normal((max(rows, columns), min(rows, columns))))
        q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
        return (q if rows >= columns else q.T).reshape(self.shape)


def constant(
    value: float | int | bool | Polynomial, kind: str = "float", origin: Origin | None = None
) -> Node:
    """Return the node of a scalar constant."""
    op = Const(value, kind)
    return Node(op, (), op.infer(), origin or Origin())


def leaf(op: Op, origin: Origin | None = None) -> Node:
    """Return the node of an op without inputs."""
    return Node(op, (), op.infer(), origin or Origin())
