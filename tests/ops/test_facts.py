"""Every op class states every fact of itself, and the facts are true of what it computes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_ops import CASES, ids, nodes, values

import specc.ops  # noqa: F401 - fills the registry
from specc.ir.graph import apply
from specc.ir.op import REGISTRY, Form, Op, WithoutSteps, stated_facts
from specc.ir.types import Type
from specc.ops.elementwise import Elementwise
from specc.ops.leaf import Input, Role, leaf
from specc.ops.shape import Reshape, Transpose, c_strides
from specc.ops.views import in_c_order
from specc.ops.window import WindowArgMax

STEPS, EXAMPLES = 4, 3
NESTED = (Form.ELEMENT, Form.SHARDS, Form.END)


def states(op: type[Op], fact: str) -> bool:
    return getattr(op, fact, None) is not getattr(Op, fact, None)


@pytest.mark.parametrize("op", REGISTRY.values(), ids=lambda op: op.__name__)
def test_an_op_states_every_fact(op):
    assert {"form", "infer", "vjp", "flops", "one_at", "over_steps"} <= set(stated_facts(op))
    assert [fact for fact in stated_facts(op) if not states(op, fact)] == []


@pytest.mark.parametrize("op", REGISTRY.values(), ids=lambda op: op.__name__)
def test_an_op_states_the_facts_of_its_form(op):
    assert states(op, "viewed") == (op.form is Form.VIEW)
    assert states(op, "is_apart") == (op.form in (*NESTED, Form.JOIN))
    assert issubclass(op, Elementwise) == (op.form is Form.ELEMENT)
    assert states(op, "reference") != (op.__name__ in ("Input", "Random", "Uniform"))


def test_an_op_that_forgets_a_fact_cannot_be_defined():
    with pytest.raises(AssertionError, match="the op Forgetful does not state flops"):

        class Forgetful(WithoutSteps):
            form = Form.KERNEL
            infer = vjp = suits_tensor_parallel = lambda self, *inputs: None

    assert "Forgetful" not in REGISTRY


def over_steps(type_: Type) -> Type:
    return replace(type_, shape=(STEPS, *type_.shape))


def stacked(op: Op, types: tuple[Type, ...], moving: tuple[bool, ...]):
    """The inputs of each step, and those of all steps.

    An axis of steps in front where they move.
    """
    by_step = [values(op, types, EXAMPLES, seed) for seed in range(STEPS)]
    by_step = [
        [
            now if moves else first
            for now, first, moves in zip(step, by_step[0], moving, strict=True)
        ]
        for step in by_step
    ]
    together = [
        np.stack(arrays, axis=int(type_.batched)) if moves else arrays[0]
        for arrays, type_, moves in zip(zip(*by_step, strict=True), types, moving, strict=True)
    ]
    return by_step, together


SOME_MOVE = [
    (op, types, moving)
    for op, types in CASES
    if types and op.over_steps(STEPS, (True,) * len(types)) is not None
    for moving in sorted({(True,) * len(types), (*(False,) * (len(types) - 1), True)})
    # a maximum belongs to the values that it is found in: both move
    if all(moving) or not isinstance(op, WindowArgMax)
]


def test_most_ops_work_step_by_step():
    tried = {op.name for op, _, _ in SOME_MOVE}
    assert {"Contract", "Take", "Put", "Sum", "Slice", "WindowMax", "Select"} <= tried


@pytest.mark.parametrize("case", SOME_MOVE, ids=lambda case: f"{ids(case[:2])}-{case[2]}")
def test_an_op_over_steps_computes_each_step(case):
    op, types, moving = case
    new = op.over_steps(STEPS, moving)
    by_step, together = stacked(op, types, moving)
    read, wholes = [], []
    for position, (type_, moves, array) in enumerate(zip(types, moving, together, strict=True)):
        if new.reads_step(position) and not moves:
            array = np.stack([array] * STEPS, axis=int(type_.batched))
        has_steps = moves or new.reads_step(position)
        read.append(array)
        wholes.append(over_steps(type_) if has_steps else type_)
    result = op.infer(*types)
    assert new.infer(*wholes) == over_steps(result)
    found = new.reference(tuple(wholes), *read)
    wanted = np.stack(
        [op.reference(types, *arrays) for arrays in by_step], axis=int(result.batched)
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    assert new.one_step(apply(new, *nodes(wholes))) == op


ALONG = [
    (op, types, axis)
    for op, types in CASES
    if types
    for axis in range(op.infer(*types).rank)
    if op.one_at(apply(op, *nodes(types)), axis) is not None
]


def test_most_ops_can_be_taken_apart_along_some_axis():
    known = {op.name for op, _, _ in ALONG}
    assert {"Contract", "Take", "Sum", "Max", "Reshape", "Transpose", "ReadAt", "Pad"} <= known
    assert (3, 2) in {(op.infer(*types).rank, axis) for op, types, axis in ALONG}


@pytest.mark.parametrize("case", ALONG, ids=lambda case: f"{ids(case[:2])}-axis{case[2]}")
def test_an_op_at_one_place_computes_that_place(case):
    op, types, axis = case
    one, reads = op.one_at(apply(op, *nodes(types)), axis)
    arrays, result = values(op, types, EXAMPLES), op.infer(*types)
    whole = np.asarray(op.reference(types, *arrays))
    for place in (0, result.shape[axis] - 1):
        parts, fewer = [], []
        for array, type_, along in zip(arrays, types, reads, strict=True):
            if along is not None:
                array = np.take(array, place, along + type_.batched)
                shape = (*type_.shape[:along], *type_.shape[along + 1 :])
                type_ = replace(type_, shape=shape)
            parts.append(array)
            fewer.append(type_)
        found = one.infer(*fewer)
        assert found.shape == (*result.shape[:axis], *result.shape[axis + 1 :])
        np.testing.assert_allclose(
            one.reference(tuple(fewer), *parts),
            np.take(whole, place, axis + result.batched),
            rtol=1e-12,
        )


@pytest.mark.parametrize("case", SOME_MOVE, ids=lambda case: f"{ids(case[:2])}-{case[2]}")
def test_the_first_steps_of_an_op_are_the_op_over_fewer_steps(case):
    op, types, moving = case
    new, fewer = op.over_steps(STEPS, moving), op.over_steps(STEPS - 1, moving)
    wholes = [
        over_steps(type_) if moves or new.reads_step(position) else type_
        for position, (type_, moves) in enumerate(zip(types, moving, strict=True))
    ]
    node = apply(new, *nodes(wholes))
    shorter = replace(node.type, shape=(STEPS - 1, *node.type.shape[1:]))
    assert new.first_steps(node, shorter) == fewer


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_an_op_that_makes_one_value_of_many_examples_says_so(case):
    op, types = case
    many_to_one = any(type_.batched for type_ in types) and not op.infer(*types).batched
    assert op.sums_batch == many_to_one or op.name == "After"


@pytest.mark.parametrize("case", [case for case in CASES if case[0].form is Form.VIEW], ids=ids)
def test_a_view_reads_memory_as_the_reference_does(case):
    op, (type_, *awaited) = case
    one = [np.arange(np.prod(type_.shape), dtype=float).reshape(type_.shape)]
    one += [np.zeros(each.shape) for each in awaited]
    wanted = op.reference(tuple(replace(each, batched=False) for each in (type_, *awaited)), *one)
    offset, strides = op.viewed(type_.shape, c_strides(type_.shape))
    found = np.lib.stride_tricks.as_strided(
        one[0].ravel()[offset:], wanted.shape, [8 * stride for stride in strides]
    )
    np.testing.assert_array_equal(found, wanted)


def test_a_view_of_a_transposed_value_cannot_always_be_reshaped():
    x = leaf(Input(Role.INPUT, "x", Type("float", (3, 5), True)))
    turned = apply(Transpose((1, 0)), x)
    assert in_c_order(apply(Reshape((15,)), x))
    assert not in_c_order(turned) and not in_c_order(apply(Reshape((15,)), turned))


APART = [
    (op, types)
    for op, types in CASES
    if op.is_apart() and op.form is not Form.JOIN and all(type_.shape for type_ in types)
]


@pytest.mark.parametrize("case", APART, ids=ids)
def test_an_op_that_is_apart_computes_the_first_entry_without_the_last(case):
    op, types = case
    arrays = values(op, types, EXAMPLES)
    changed = []
    for type_, array in zip(types, arrays, strict=True):
        changed.append(array.copy())
        examples = (slice(None),) * type_.batched
        changed[-1][(*examples, -1)] = array[(*examples, 0)]
    first = (*(slice(None),) * op.infer(*types).batched, 0)
    before, after = (op.reference(types, *each) for each in (arrays, changed))
    np.testing.assert_array_equal(before[first], after[first])
