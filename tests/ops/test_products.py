"""Random products, with their gradients, through random views.

Compiled against the reference in float64.
"""

from __future__ import annotations

import random

import numpy as np
import pytest

from specc.backend.machine import this_machine
from specc.backend.reference import evaluate
from specc.backend.run.program import CompiledProgram
from specc.ir.graph import Graph, Node, apply
from specc.ir.types import Type
from specc.ops.broadcast import Broadcast, broadcast_scalar
from specc.ops.contract import Affine, Contract, index
from specc.ops.elementwise import mul
from specc.ops.leaf import Input, Role, leaf
from specc.ops.shape import Slice, Transpose
from specc.passes.prepare import prepare
from specc.pipeline import Batch, planned
from specc.recipe import Column


def some_product(pick: random.Random) -> Contract:
    """A product of up to four indices; in many, two of them share an axis of the result."""
    extents = tuple(pick.randint(1, 4) for _ in range(pick.randint(1, 4)))
    indices = range(len(extents))

    def some_map(most: int, mixed: float) -> tuple[Affine, ...]:
        free = pick.sample(indices, len(extents))
        axes = []
        while free and len(axes) < most:
            count = min(len(free), 2 if pick.random() < mixed else 1)
            terms = sorted((free.pop(), pick.choice([1, 1, 1, 2, 3])) for _ in range(count))
            axes.append(Affine(tuple(terms), pick.choice([0, 0, 1])))
        return tuple(axes)

    def shape_of(map_) -> tuple[int, ...]:
        return tuple(
            1 + each.constant + sum(c * (extents[i] - 1) for i, c in each.terms) for each in map_
        )

    out = some_map(3, 0.6)
    shape = tuple(size + pick.choice([0, 0, 1]) for size in shape_of(out))
    return Contract(extents, out, some_map(3, 0.3), some_map(3, 0.3), shape)


def some_view(
    name: str, op: Contract, map_, is_batched: bool, pick: random.Random
) -> tuple[Node, Node]:
    """A leaf, and an operand for a map that reads it.

    As it is, or backwards, transposed or repeated.
    """
    shape = tuple(
        1 + each.constant + sum(c * (op.extents[i] - 1) for i, c in each.terms) for each in map_
    )
    role = "input" if is_batched else "param"
    kind = (
        pick.choice(["plain", "plain", "backwards", "transposed", "repeated"]) if shape else "plain"
    )
    if kind == "repeated":
        x = leaf(Input(role, name, Type("float", shape[1:], is_batched)))
        return x, apply(Broadcast(shape, tuple(range(1, len(shape)))), x)
    if kind == "transposed":
        x = leaf(Input(role, name, Type("float", shape[::-1], is_batched)))
        return x, apply(Transpose(tuple(range(len(shape)))[::-1]), x)
    x = leaf(Input(role, name, Type("float", shape, is_batched)))
    if kind == "backwards":
        axis = pick.randrange(len(shape))
        return x, apply(Slice(axis, shape[axis] - 1, shape[axis], -1), x)
    return x, x


def some_problem(seed: int) -> tuple[Graph, list[Node]]:
    """A product and both of its gradients, with the leaves that they read."""
    pick = random.Random(seed)
    op = some_product(pick)
    batched = pick.choice(
        [(True, True), (True, True), (False, False), (True, False), (False, True)]
    )
    leaves, operands = [], []
    weight = leaf(Input(Role.WEIGHT_OF_EXAMPLE, "", Type("float", (), True)))
    for name, map_, is_batched in zip("ab", (op.left, op.right), batched, strict=True):
        x, operand = some_view(name, op, map_, is_batched, pick)
        leaves.append(x)
        operands.append(operand)
    y = apply(op, *operands)
    dy = leaf(Input(Role.INPUT if y.type.batched else Role.PARAM, "dy", y.type))
    given = mul(dy, broadcast_scalar(weight, dy.type.shape)) if dy.type.batched else dy
    outputs = {}
    for name, node in zip(("y", "da", "db"), (y, *op.vjp(y, given)), strict=True):
        outputs[f"output.{name}" if node.type.batched else f"gradient.{name}"] = node
    return Graph(outputs), [*leaves, dy]


def check(
    graph: Graph, leaves: list[Node], examples: int, shards: int, vector: int | None, dtype: str
) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        node.op.label: rng.standard_normal(
            (*([examples] if node.type.batched else []), *node.type.shape)
        )
        for node in leaves
    }
    given = {(node.op.role, node.op.label): arrays[node.op.label] for node in leaves}
    wanted = evaluate(graph, {**given, ("weight_of_example", ""): np.full(examples, 1 / examples)})
    width = vector or this_machine().lanes(dtype)
    made = planned(prepare(graph), Batch(examples, width, np.dtype(dtype).itemsize, shards))
    store = {
        f"param.{node.op.label}": np.array(arrays[node.op.label], dtype)
        for node in leaves
        if not node.type.batched
    }
    store |= {
        name: np.full(node.type.shape, np.nan, dtype)
        for name, node in graph.outputs.items()
        if name.startswith("gradient.")
    }
    data = {node.op.label: Column(arrays[node.op.label]) for node in leaves if node.type.batched}
    _, outputs = CompiledProgram(made, dtype, store).run(data, np.arange(examples), examples)
    bound = {"float64": 1e-12, "float32": 1e-5}[dtype]
    for name, value in wanted.items():
        found = {**store, **outputs}[name]
        assert np.abs(found - value).max() < bound * (1 + np.abs(value).max()), (
            name,
            graph.outputs[name].op,
        )


SETTINGS = [
    (1, 1, 1, "float64"),
    (2, 1, None, "float64"),
    (3, 1, None, "float32"),
    (19, 2, None, "float64"),
    (1, 1, 1, "float32"),
    (37, 1, None, "float32"),
]


def check_problem(seed: int) -> None:
    graph, leaves = some_problem(seed)
    settings = SETTINGS[seed % len(SETTINGS)]
    check(graph, leaves, *settings)


@pytest.mark.parametrize("seed", range(14))
def test_random_products_and_their_gradients_agree_with_the_reference(seed):
    check_problem(seed)


@pytest.mark.long
def test_two_thousand_random_products_agree_with_the_reference():
    for seed in range(1000, 3000):
        check_problem(seed)


def test_products_whose_terms_meet_are_told_from_those_whose_do_not():
    def overlaps(extents, *out: Affine) -> bool:
        shape = tuple(1 + sum(c * (extents[i] - 1) for i, c in each.terms) for each in out)
        return Contract(extents, out, (), (), shape).overlaps

    both = Affine(((0, 1), (1, 1)))
    assert overlaps((3, 2), both)
    assert not overlaps((3, 1), both)
    assert not overlaps((3, 2), both, index(0))
    assert not overlaps((3, 2), Affine(((0, 2), (1, 1))))
    assert overlaps((3, 3), Affine(((0, 2), (1, 1))))
    assert not overlaps(
        (3, 2, 4), index(0), index(2)
    )  # a sum over an index that `out` lacks is another matter


def test_every_set_of_terms_that_meet_is_found():
    for seed in range(300):
        op = some_product(random.Random(seed))
        used = sorted({i for each in op.out for i, _ in each.terms})
        points = np.stack(np.meshgrid(*(np.arange(op.extents[i]) for i in used), indexing="ij"), -1)
        places = [sum(c * points[..., used.index(i)] for i, c in each.terms) for each in op.out]
        places = np.stack(places, -1).reshape(-1, len(op.out)) if used else np.zeros((1, 0), int)
        meet = len(np.unique(places, axis=0)) < len(places)
        assert op.overlaps or not meet
