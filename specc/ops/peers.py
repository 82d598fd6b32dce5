"""The ops through which the examples of a batch read each other's values.

    apply(Peers(BATCH, "float"), x)     # x of all examples: [batch, *shape], shared by all
    apply(Own(), table)          # the row of each example: the transpose of Peers

`BATCH` is the length of the axis until a plan fixes the number of examples (`bind_batch`). The axis
has exactly the examples of the batch, in their order; a batch with another number of examples has a
plan of its own. Ops that reduce, index or reshape the axis therefore need to know nothing about
batches.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from specc.ir import sizes
from specc.ir.graph import Graph, Node, apply, rewrite
from specc.ir.op import (
    Gradients,
    Kernel,
    ShapeError,
    Types,
    WithKernel,
    WithoutArithmetic,
    WithoutSteps,
)
from specc.ir.sizes import Polynomial, Size
from specc.ir.types import Type
from specc.ops.kernels import peers as kernels
from specc.system.records import dataclass

if TYPE_CHECKING:
    import numpy as np

BATCH = sizes.open_size("the batch")  # no user's size has a space in its name


@dataclass(frozen=True)
class Peers(WithKernel, WithoutSteps, WithoutArithmetic):
    """The values of x of all examples, along the first axis of one value for the whole batch."""

    size: Size
    kind: str
    repeatable = False

    def infer(self, x: Type) -> Type:
        if not x.batched:
            raise ShapeError("`peers` needs a value that differs between examples", 0)
        if x.kind != self.kind:
            raise ShapeError(f"`peers` of {self.kind} cannot take {x.kind}", 0)
        return replace(x, shape=(self.size, *x.shape), batched=False)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return (apply(Own(), dy) if self.kind == "float" else None,)

    def reference(self, types: Types, x: np.ndarray) -> np.ndarray:
        assert len(x) == self.size, "the graph is bound to another number of examples"
        return x

    def suits_tensor_parallel(self, node: Node) -> bool:
        return False

    def kernel(self, types: Types, lanes: int, width: int) -> Kernel:
        return kernels.peers

    def arguments(self, types: Types, lanes: int) -> dict[str, int]:
        return {
            "size": sizes.bound(self.size),
            "count": sizes.bound(types[0].elements),
            "lanes": lanes,
        }


@dataclass(frozen=True)
class Own(WithKernel, WithoutSteps, WithoutArithmetic):
    """The row of each example in a value whose first axis is the batch."""

    repeatable = False

    def infer(self, table: Type) -> Type:
        if table.batched or not table.shape:
            raise ShapeError("the rows must be those of the whole batch", 0)
        return replace(table, shape=table.shape[1:], batched=True)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return (apply(Peers(node.inputs[0].type.shape[0], "float"), dy),)

    def reference(self, types: Types, table: np.ndarray) -> np.ndarray:
        return table

    def suits_tensor_parallel(self, node: Node) -> bool:
        return False

    def kernel(self, types: Types, lanes: int, width: int) -> Kernel:
        return kernels.own

    def arguments(self, types: Types, lanes: int) -> dict[str, int]:
        return {
            "size": sizes.bound(types[0].shape[0]),
            "count": sizes.count(types[0].shape[1:]),
            "lanes": lanes,
        }


def bind_batch(graph: Graph, examples: int) -> Graph:
    """Return the graph with `examples` in place of the symbolic size `BATCH`."""

    def number(value: Any) -> Any:
        if isinstance(value, Polynomial):
            return sizes.bind(value, {"the batch": examples})
        if isinstance(value, tuple):
            return tuple(number(each) for each in value)
        if is_dataclass(value) and not isinstance(value, type):
            now = {field.name: getattr(value, field.name) for field in fields(value)}
            changed = {name: number(each) for name, each in now.items()}
            return replace(value, **changed) if changed != now else value
        return value

    def rule(node: Node) -> Node:
        return Node(number(node.op), node.inputs, number(node.type), node.origin)

    return rewrite(graph, rule)


def sees_peers(graph: Graph) -> bool:
    """Return whether an example's results depend on the other examples of its batch.

    Means over the batch do not count.
    """
    return any(isinstance(node.op, Peers | Own) for node in graph.nodes)
