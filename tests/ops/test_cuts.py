"""Some entries of an axis: what an op computes of them is what it computes of all."""

from __future__ import annotations

import numpy as np
import pytest
from test_ops import CASES, ids, nodes, values

from specc.ir.graph import apply
from specc.ir.types import Type
from specc.ops.gather import Put
from specc.ops.random import Uniform
from specc.ops.shape import Reshape

EXAMPLES = 3
INDEX = Type("int", (4,), True, 5)
MORE = [
    (Put(5), (Type("float", (4, 2), True), INDEX)),
    (Put(5, sum_batch=True), (Type("float", (4,), True), INDEX)),
    (Reshape((4, 2, 3)), (Type("float", (4, 6), True),)),
    (Reshape((4, 6)), (Type("float", (4, 2, 3), True),)),
    (Reshape((2, 3, 5)), (Type("float", (6, 5)),)),
]
CUT = [
    (op, types, axis)
    for op, types in (*CASES, *MORE)
    for axis in range(op.infer(*types).rank)
    if op.cut(apply(op, *nodes(types)), axis, 0, 1) is not None
]
SUMMED = [
    (op, types, position, axis)
    for op, types in (*CASES, *MORE)
    for position, type_ in enumerate(types)
    for axis in range(type_.rank)
    if op.summand(apply(op, *nodes(types)), position, axis, 1) is not None
]


def parts(types, arrays, axes, start, count):
    """Some entries of the inputs along an axis of each, and their types."""
    cut_types, cut_arrays = [], []
    for type_, array, axis in zip(types, arrays, axes, strict=True):
        if axis is not None:
            array = np.take(array, range(start, start + count), axis + type_.batched)
            shape = (*type_.shape[:axis], count, *type_.shape[axis + 1 :])
            type_ = type_.__class__(type_.kind, shape, type_.batched, type_.classes)
        cut_types.append(type_)
        cut_arrays.append(array)
    return tuple(cut_types), cut_arrays


def pieces(size: int) -> list[tuple[int, int]]:
    """The first entry, and all others."""
    return [(0, 1), (1, size - 1)] if size > 1 else [(0, 1)]


def test_the_ops_of_attention_can_be_cut():
    assert {"Contract", "Broadcast", "Max", "Sum", "Sub", "Transpose", "Reshape", "Take"} <= {
        op.name for op, _, _ in CUT
    }
    assert {"Contract", "Sum", "Put"} <= {op.name for op, *_ in SUMMED}


@pytest.mark.parametrize("case", CUT, ids=lambda case: f"{ids(case[:2])}-{case[2]}")
def test_a_cut_op_computes_some_entries(case):
    op, types, axis = case
    node, arrays = apply(op, *nodes(types)), values(op, types, EXAMPLES)
    whole = op.reference(types, *arrays)
    for start, count in pieces(node.type.shape[axis]):
        cut = op.cut(node, axis, start, count)
        read, few = parts(types, arrays, cut.axes, start, count)
        result = cut.op.infer(*read)
        assert result.shape == (*node.type.shape[:axis], count, *node.type.shape[axis + 1 :])
        found = cut.op.reference(read, *few)
        at = axis + node.type.batched
        np.testing.assert_allclose(found, np.take(whole, range(start, start + count), at), 1e-12)


@pytest.mark.parametrize("case", SUMMED, ids=lambda case: f"{ids(case[:2])}-{case[2:]}")
def test_the_shares_of_a_sum_add_up(case):
    op, types, position, axis = case
    node, arrays = apply(op, *nodes(types)), values(op, types, EXAMPLES)
    total = 0
    for start, count in pieces(types[position].shape[axis]):
        cut = op.summand(node, position, axis, count)
        assert cut.axes[position] == axis
        read, few = parts(types, arrays, cut.axes, start, count)
        total = total + cut.op.reference(read, *few)
    np.testing.assert_allclose(total, op.reference(types, *arrays), rtol=1e-12, atol=1e-12)


def test_a_part_of_random_numbers_is_drawn_as_in_the_whole():
    op = Uniform((7, 5), True, "a")
    node = apply(op)
    part = op.cut(node, 0, 2, 4).op
    again = part.cut(apply(part), 0, 1, 2).op
    whole = op.draw(3, 9, 6)
    np.testing.assert_array_equal(part.draw(3, 9, 6), whole[:, 2:6])
    np.testing.assert_array_equal(again.draw(3, 9, 6), whole[:, 3:5])
    assert op.cut(node, 1, 2, 3) is None
