"""Simplified formulas: the same type and value, in fewer or cheaper ops."""

from __future__ import annotations

import numpy as np
import pytest

from specc.backend.reference import evaluate
from specc.ir.graph import Graph, Node, apply
from specc.ir.types import Type
from specc.ir.verify import verify
from specc.ops import elementwise as e
from specc.ops.broadcast import Broadcast, Sum
from specc.ops.functions import power
from specc.ops.leaf import Const, Input, Role, constant, leaf
from specc.ops.shape import Reshape, Slice, Transpose
from specc.passes.simplify import simplify


def of(name: str, kind: str = "float", shape=(2, 3, 4), batched: bool = True) -> Node:
    return leaf(Input(Role.INPUT if batched else Role.PARAM, name, Type(kind, shape, batched)))


X, Z, C = of("x"), of("z"), of("c", "bool")
P, Q = of("p", batched=False), of("q", batched=False)
SCALAR = of("s", shape=())
ROW = of("r", shape=(3,))


def spread(node: Node, shape=(2, 3, 4), axes=()) -> Node:
    return apply(Broadcast(shape, axes), node)


def full(value: float) -> Node:
    return spread(constant(value))


FORMULAS = {
    "x + 0": (e.add(X, full(0.0)), ""),
    "0 + x": (e.add(full(0.0), X), ""),
    "x - 0": (e.sub(X, full(0.0)), ""),
    "0 - x": (e.sub(full(0.0), X), "Neg"),
    "x * 1": (e.mul(X, full(1.0)), ""),
    "x * -1": (e.mul(X, full(-1.0)), "Neg"),
    "x / 1": (e.div(X, full(1.0)), ""),
    "x / 4": (e.div(X, full(4.0)), "Mul"),
    "x / 3": (e.div(X, full(3.0)), "Div"),
    "x * 2 * 3": (e.mul(e.mul(X, full(2.0)), full(3.0)), "Mul"),
    "3 * x * 2": (e.mul(e.mul(full(3.0), X), full(2.0)), "Mul"),
    "--x": (e.neg(e.neg(X)), ""),
    "not not c": (e.not_(e.not_(C)), ""),
    "x + -z": (e.add(X, e.neg(Z)), "Sub"),
    "x - -z": (e.sub(X, e.neg(Z)), "Add"),
    "x ^ 1": (power(X, full(1.0)), ""),
    "x ^ 2": (power(X, full(2.0)), "Mul"),
    "x ^ 0.5": (power(X, full(0.5)), "Sqrt"),
    "x ^ 3": (power(X, full(3.0)), "Pow"),
    "1 + 2 of constants": (e.add(full(1.0), e.mul(X, e.add(full(2.0), full(3.0)))), "Mul Add"),
    "a constant condition": (e.select(spread(constant(True, "bool")), X, Z), ""),
    "a false condition": (e.select(spread(constant(False, "bool")), X, Z), ""),
    "equal branches": (e.select(C, X, X), ""),
    "equal branches without batch": (e.select(C, P, P), "Select"),
    "a constant condition without batch": (
        e.select(spread(constant(True, "bool")), P, X), "Select"),
    "p + 0 for each example": (e.add(P, e.mul(X, full(0.0))), "Mul Add"),
    "transposed twice": (
        apply(Transpose((1, 0, 2)), apply(Transpose((1, 2, 0)), X)), "Transpose"),
    "transposed there and back": (
        apply(Transpose((2, 0, 1)), apply(Transpose((1, 2, 0)), X)), ""),
    "reshaped twice": (apply(Reshape((4, 6)), apply(Reshape((24,)), X)), "Reshape"),
    "all of it": (apply(Slice(1, 0, 3), X), ""),
    "not all of it": (apply(Slice(1, 0, 2), X), "Slice"),
    "spread twice": (
        spread(spread(ROW, (3, 4), (0,)), (2, 3, 4), (1, 2)), "Broadcast"),
    "spread scalars": (e.add(spread(SCALAR), full(1.0)), "Add Broadcast"),
    "summed twice": (apply(Sum((1,)), apply(Sum((1,)), X)), "Sum"),
    "summed over the first, then the last": (apply(Sum((1,)), apply(Sum((0,)), X)), "Sum"),
    "a sum of what is spread": (apply(Sum((0, 2)), spread(ROW, axes=(1,))), "Mul"),
    "a sum of what is spread, and of itself": (
        apply(Sum((0, 1)), spread(ROW, axes=(1,))), "Mul Sum Broadcast"),
    "a sum over no axis": (apply(Sum(()), X), ""),
    "joined": (e.add(e.mul(X, Z), e.mul(X, Z)), "Mul Add"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMULAS)
def test_a_simplified_formula_has_the_same_type_and_value(name):
    node, ops = FORMULAS[name]
    graph = Graph({"output.y": node})
    simple = verify(simplify(graph), "simplify")
    assert simple.outputs["output.y"].type == node.type
    assert sorted(_without_constants(simple)) == sorted(ops.split())
    rng = np.random.default_rng(0)
    leaves = {
        (each.op.role, each.op.label): rng.random((5,) * each.type.batched + each.type.shape) > 0.5
        if each.type.kind == "bool"
        else rng.random((5,) * each.type.batched + each.type.shape)
        for each in graph.nodes
        if isinstance(each.op, Input)
    }
    leaves.setdefault(("input", "x"), rng.random((5, 2, 3, 4)))
    wanted, found = (evaluate(each, leaves)["output.y"] for each in (graph, simple))
    np.testing.assert_allclose(*np.broadcast_arrays(found, wanted), rtol=1e-12)


def _without_constants(graph: Graph) -> list[str]:
    """The ops of a graph, but for those that spread constants."""
    return [
        node.op.name
        for node in graph.nodes
        if node.inputs
        and not (isinstance(node.op, Broadcast) and isinstance(node.inputs[0].op, Const))
    ]
