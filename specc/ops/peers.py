"""The one place where the examples of a batch see each other.

    apply(Peers(BATCH, "float"), x)     # x of all examples: [batch, *shape], shared by all
    apply(Own(), table)          # the row of each example: the transpose of Peers

`BATCH` is the length of the axis until a plan fixes the number of examples (`bind_batch`). The axis
has the examples of the batch and nothing else, in their order: a batch of another number of
examples has a plan of its own. Every word that reduces, indexes or reshapes the axis is therefore
right without knowing about batches.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace

from specc.ir import sizes
from specc.ir.graph import Graph, Node, apply, rewrite
from specc.ir.op import Form, ShapeError, WithoutArithmetic, WithoutSteps
from specc.ir.sizes import Polynomial, Size
from specc.ir.types import Type

BATCH = sizes.open_size("the batch")  # no user's size has a space in its name


@dataclass(frozen=True)
class Peers(WithoutSteps, WithoutArithmetic):
    """x of every example: one value for the whole batch, the examples along its first axis."""

    size: Size
    kind: str
    form = Form.KERNEL
    repeatable = False

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

    def suits_team(self, node: Node) -> bool:
        return False

    def kernel(self, types, lanes: int, width: int):
        return {"float": peers, "int": peers_int, "bool": peers_bool}[self.kind]

    def arguments(self, types, lanes: int) -> dict[str, int]:
        return {"size": self.size, "count": types[0].elements, "lanes": lanes}


@dataclass(frozen=True)
class Own(WithoutSteps, WithoutArithmetic):
    """The row of each example in a value whose first axis is the batch."""

    form = Form.KERNEL
    repeatable = False

    def infer(self, table: Type) -> Type:
        if table.batched or not table.shape:
            raise ShapeError("the rows must be those of the whole batch", 0)
        return replace(table, shape=table.shape[1:], batched=True)

    def vjp(self, node, dy):
        return (apply(Peers(node.inputs[0].type.shape[0], "float"), dy),)

    def reference(self, types, table):
        return table

    def suits_team(self, node: Node) -> bool:
        return False

    @staticmethod
    def kernel(types, lanes: int, width: int):
        return own

    def arguments(self, types, lanes: int) -> dict[str, int]:
        return {
            "size": types[0].shape[0],
            "count": sizes.product(types[0].shape[1:]),
            "lanes": lanes,
        }


def peers(
    x: "float[count, lanes]",
    out: "float[size, count]",
    size: "int",
    count: "int",
    lanes: "int",
    first_example: "int",
    examples: "int",
):
    for lane in range(min(examples, size - first_example)):
        for i in range(count):
            out[first_example + lane, i] = x[i, lane]


def peers_int(
    x: "int32[count, lanes]",
    out: "int32[size, count]",
    size: "int",
    count: "int",
    lanes: "int",
    first_example: "int",
    examples: "int",
):
    for lane in range(min(examples, size - first_example)):
        for i in range(count):
            out[first_example + lane, i] = x[i, lane]


def peers_bool(
    x: "uint8[count, lanes]",
    out: "uint8[size, count]",
    size: "int",
    count: "int",
    lanes: "int",
    first_example: "int",
    examples: "int",
):
    for lane in range(min(examples, size - first_example)):
        for i in range(count):
            out[first_example + lane, i] = x[i, lane]


def own(
    table: "float[size, count]",
    out: "float[count, lanes]",
    size: "int",
    count: "int",
    lanes: "int",
    first_example: "int",
    examples: "int",
    *,
    repeated: "constant",
):
    last = min(first_example + examples, size) - 1
    for lane in range(lanes):
        k = min(first_example + lane, last)
        share = 1.0 if first_example + lane <= last else repeated
        for i in range(count):
            out[i, lane] = table[k, i] * share


def bind_batch(graph: Graph, examples: int) -> Graph:
    """The graph for a batch of so many examples.

    The number takes the place of `BATCH` everywhere.
    """

    def number(value):
        if isinstance(value, Polynomial):
            return sizes.bind(value, {"the batch": examples})
        if isinstance(value, tuple):
            return tuple(number(each) for each in value)
        if is_dataclass(value):
            now = {field.name: getattr(value, field.name) for field in fields(value)}
            changed = {name: number(each) for name, each in now.items()}
            return replace(value, **changed) if changed != now else value
        return value

    def rule(node: Node) -> Node:
        return Node(number(node.op), node.inputs, number(node.type), node.origin)

    return rewrite(graph, rule)


def sees_peers(graph: Graph) -> bool:
    """Whether what one example gives depends on the others of its batch, beyond means over all of
    them.
    """
    return any(isinstance(node.op, Peers) for node in graph.nodes)
