"""Sums of values that are placed side by side, which `simplify` joins."""

from __future__ import annotations

import numpy as np
import pytest

from specc.backend.reference import evaluate
from specc.ir.graph import Graph, apply
from specc.ir.types import Type
from specc.ops.elementwise import add
from specc.ops.leaf import Input, Role, leaf
from specc.ops.shape import Concat, Pad
from specc.passes.simplify import simplify


@pytest.mark.parametrize("order", [1, -1])
def test_parts_that_are_placed_along_different_axes_are_not_joined(order):
    rows = leaf(Input(Role.PARAM, "rows", Type("float", (2, 4))))
    columns = leaf(Input(Role.PARAM, "columns", Type("float", (4, 2))))
    placed = [apply(Pad(0, 0, 4), rows), apply(Pad(1, 2, 4), columns)]
    graph = Graph({"y": add(*placed[::order])})
    rng = np.random.default_rng(0)
    leaves = {("param", "rows"): rng.random((2, 4)), ("param", "columns"): rng.random((4, 2))}
    expected = np.zeros((4, 4))
    expected[:2] += leaves["param", "rows"]
    expected[:, 2:] += leaves["param", "columns"]
    np.testing.assert_array_equal(evaluate(simplify(graph), leaves)["y"], expected)


def test_parts_that_follow_each_other_are_joined():
    first, second = (leaf(Input(Role.PARAM, name, Type("float", (2, 3)))) for name in ("a", "b"))
    graph = Graph({"y": add(apply(Pad(0, 2, 4), second), apply(Pad(0, 0, 4), first))})
    joined = simplify(graph)
    assert any(isinstance(node.op, Concat) for node in joined.nodes)
    leaves = {("param", "a"): np.full((2, 3), 1.0), ("param", "b"): np.full((2, 3), 2.0)}
    np.testing.assert_array_equal(evaluate(joined, leaves)["y"][:, 0], [1, 1, 2, 2])
