"""The one place where the examples of a batch see each other.

    apply(Peers(BATCH, "float"), x)     # x of every example of the batch: [the batch, *shape], one for all
    apply(Own("float"), table)          # the row of each example: the transpose of Peers

`BATCH` stands for the length of the axis until a plan fixes the lanes (`bind_batch`). The places of
lanes without an example are there too; their `weight_of_example` is 0.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from specc.ir import sizes
from specc.ir.graph import Graph, Node, apply
from specc.ir.op import Op, ShapeError
from specc.ir.sizes import Polynomial, Size
from specc.ir.types import Type

# ruff: noqa: F821, UP037 - the annotations of kernels name extents, not types

BATCH = sizes.open_size("the batch")  # no user's size has a space in its name


@dataclass(frozen=True)
class Peers(Op):
    """x of every example: one value for the whole batch, the examples along its first axis."""

    size: Size
    kind: str

    def infer(self, x: Type) -> Type:
        if not x.batched:
            raise ShapeError("`peers` needs a value that differs between examples", 0)
        if x.kind != self.kind:
            raise ShapeError(f"`peers` of {self.kind} cannot take {x.kind}", 0)
        return replace(x, shape=(self.size, *x.shape), batched=False)

    def vjp(self, node, dy):
        return (apply(Own(), dy) if self.kind == "float" else None,)

    def reference(self, types, x):
        assert len(x) == self.size, "the graph is bound to another number of examples"
        return x

    def kernel(self, types, lanes: int, width: int):
        return {"float": peers, "int": peers_int, "bool": peers_bool}[self.kind]

    def arguments(self, types, lanes: int) -> dict[str, int]:
        return {"size": self.size, "count": types[0].elements, "lanes": lanes}


@dataclass(frozen=True)
class Own(Op):
    """The row of each example in a value whose first axis is the batch."""

    def infer(self, table: Type) -> Type:
        if table.batched or not table.shape:
            raise ShapeError("the rows must be those of the whole batch", 0)
        return replace(table, shape=table.shape[1:], batched=True)

    def vjp(self, node, dy):
        return (apply(Peers(node.inputs[0].type.shape[0], "float"), dy),)

    def reference(self, types, table):
        return table

    @staticmethod
    def kernel(types, lanes: int, width: int):
        return own

    def arguments(self, types, lanes: int) -> dict[str, int]:
        return {"size": types[0].shape[0], "count": sizes.product(types[0].shape[1:]), "lanes": lanes}


def peers(control: "control", x: "float[count, lanes]", out: "float[size, count]", size: "int",
          count: "int", lanes: "int"):
    first = control[1] * lanes
    for lane in range(lanes):
        for i in range(count):
            out[first + lane, i] = x[i, lane]


def peers_int(control: "control", x: "int32[count, lanes]", out: "int32[size, count]", size: "int",
              count: "int", lanes: "int"):
    first = control[1] * lanes
    for lane in range(lanes):
        for i in range(count):
            out[first + lane, i] = x[i, lane]


def peers_bool(control: "control", x: "uint8[count, lanes]", out: "uint8[size, count]", size: "int",
               count: "int", lanes: "int"):
    first = control[1] * lanes
    for lane in range(lanes):
        for i in range(count):
            out[first + lane, i] = x[i, lane]


def own(control: "control", table: "float[size, count]", out: "float[count, lanes]", size: "int",
        count: "int", lanes: "int"):
    first = control[1] * lanes
    for lane in range(lanes):
        for i in range(count):
            out[i, lane] = table[first + lane, i]


def bind_batch(graph: Graph, places: int) -> Graph:
    """The graph with `places` for the length of the batch's axis."""

    def number(value):
        if isinstance(value, Polynomial):
            return sizes.bind(value, {"the batch": places})
        if isinstance(value, tuple):
            return tuple(number(each) for each in value)
        return value

    new: dict[Node, Node] = {}
    for node in graph.nodes:
        op = node.op
        if fields(op):
            changed = {field.name: number(getattr(op, field.name)) for field in fields(op)}
            if any(changed[name] is not getattr(op, name) for name in changed):
                op = replace(op, **changed)
        inputs = tuple(new[each] for each in node.inputs)
        type_ = replace(node.type, shape=number(node.type.shape))
        new[node] = Node(op, inputs, type_, node.origin)
    return Graph({name: new[node] for name, node in graph.outputs.items()})
