"""Contractions in register tiles against the op's own reference."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest
from pairs import in_turn, pairwise
from running import at_address

from specc.backend.contraction.forms import (
    across,
    copied,
    outer,
    packed,
    rows,
    run,
    transposed,
    transposed_packed,
)
from specc.backend.contraction.plan import ROUNDED, plan_contraction
from specc.backend.contraction.problem import KernelForm, Problem
from specc.backend.contraction.target import Target
from specc.backend.contraction.tiling import ContractionPlan, Operand, Part, runs_from
from specc.backend.machine import this_machine
from specc.backend.toolchain.load import load
from specc.ir.graph import Node, apply
from specc.ir.types import Type
from specc.ops.contract import Affine, Contract, index


def dense(units: int, n: int) -> tuple[Contract, Type, Type]:
    op = Contract((units, n), (index(0),), (index(0), index(1)), (index(1),), (units,))
    return op, Type("float", (units, n)), Type("float", (n,), True)


def conv(
    channels: int,
    height: int,
    width: int,
    filters: int,
    kernel: int,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
) -> tuple[Contract, Type, Type]:
    span = dilation * (kernel - 1)
    y, x = ((size - span - 1) // stride + 1 for size in (height, width))
    k, c = filters // groups, channels // groups

    def window(at: int, tap: int) -> Affine:
        return Affine(((at, stride), (tap, dilation)))

    # g, k, y, x, c, u, v
    op = Contract(
        (groups, k, y, x, c, kernel, kernel),
        (Affine(((0, k), (1, 1))), index(2), index(3)),
        (Affine(((0, k), (1, 1))), index(4), index(5), index(6)),
        (Affine(((0, c), (4, 1))), window(2, 5), window(3, 6)),
        (filters, y, x),
    )
    return (
        op,
        Type("float", (filters, c, kernel, kernel)),
        Type("float", (channels, height, width), True),
    )


def some_conv(seed: int) -> tuple[Contract, Type, Type]:
    pick = random.Random(seed)
    kernel, stride, dilation, groups = (
        pick.choice(each) for each in ([1, 2, 3, 5], [1, 1, 2, 3], [1, 1, 2], [1, 1, 2, 4])
    )
    sizes = [dilation * (kernel - 1) + pick.randint(1, 7) for _ in "hw"]
    return conv(
        groups * pick.choice([1, 2, 3]),
        *sizes,
        groups * pick.choice([1, 2, 5, 9]),
        kernel,
        stride,
        dilation,
        groups,
    )


SHAPES = {
    "dense": dense(40, 100),
    "dense narrow": dense(7, 5),
    "dense to one": dense(1, 33),
    "dense odd": dense(33, 17),
    "dense sliced": dense(9, 1300),
    "conv": conv(1, 9, 9, 6, 3),
    "conv stride": conv(3, 8, 7, 5, 3, stride=2),
    "conv dilation": conv(3, 9, 8, 5, 3, stride=3, dilation=2),
    "conv groups": conv(4, 6, 6, 6, 3, groups=2),
    "conv of each channel": conv(4, 6, 6, 4, 3, groups=4),
    "conv of each channel wide": conv(3, 4, 37, 3, 3, groups=3),
    "conv of each channel stride": conv(3, 9, 41, 3, 5, stride=2, groups=3),
    "conv of each channel dilation": conv(3, 9, 23, 6, 3, stride=3, dilation=2, groups=3),
    "conv 1x1": conv(5, 5, 5, 7, 1, stride=2),
    "conv one filter": conv(3, 6, 6, 1, 5),
    "conv sliced": conv(40, 5, 5, 17, 3),
    **{f"conv {seed}": some_conv(seed) for seed in range(5)},
}
SETTINGS = [
    ("float32", None, 16, 1),
    ("float32", None, 16, 50),
    ("float32", None, 80, 1),
    ("float32", None, 32, 1, 17),
    ("float64", None, 16, 1),
    ("float64", None, 16, 50),
    ("float32", 256, 24, 1),
    ("float64", 128, 16, 1),
    ("float64", 128, 16, 50),
]


class Guarded:
    """Bytes between two guards, which show writes beyond their ends. All are NaN until written."""

    GUARD = 1 << 16

    def __init__(self, size: int):
        store = np.full(size + 2 * self.GUARD + 64, 0xFF, np.uint8)
        start = -store.ctypes.data % 64 + self.GUARD
        self._guards = (
            store[start - self.GUARD : start],
            store[start + size : start + size + self.GUARD],
        )
        self.inner = store[start : start + size]
        self.address = self.inner.ctypes.data

    def is_intact(self) -> bool:
        return all((each == 0xFF).all() for each in self._guards)


class Case:
    """A contraction with its operands in memory."""

    def __init__(
        self,
        node: Node,
        dtype: str,
        bits: int | None,
        lanes: int,
        turns: int,
        examples: int = 0,
        plan=plan_contraction,
        **more,
    ):
        rng = np.random.default_rng(0)
        self.node, self.dtype = node, dtype
        self.arrays, operands = [], []
        for each in (*node.inputs, node):
            shape = each.type.shape + ((lanes,) if each.type.batched else ())
            self.arrays.append(rng.standard_normal(shape).astype(dtype))
            if each.type.batched and examples:
                self.arrays[-1][..., examples:] = 0
            strides = np.array(self.arrays[-1].strides) // self.arrays[-1].itemsize
            operands.append(
                Operand(tuple(map(int, strides[: len(each.type.shape)])), each.type.batched)
            )
        target = Target(dtype, this_machine(bits))
        self.plan = plan(Problem(node.op, *operands, lanes, target, turns, examples, **more))

    def check(
        self,
        addresses: dict,
        where: tuple[slice, ...] = (),
        also: Iterable = (),
        tolerance: float | None = None,
    ) -> None:
        """Whether the result is right: all of it, or `where` alone, and nothing else was written.

        `also` are plans of other parts of it.
        """
        left, right, out = self.arrays
        result = Guarded(out.nbytes)
        for whole in (self.plan, *also):
            scratch, packed = Guarded(whole.scratch), Guarded(whole.packed)
            places = [
                left.ctypes.data,
                right.ctypes.data,
                result.address,
                scratch.address,
                packed.address,
            ]
            for plan in whole.in_order():
                at_address(addresses[plan.kernel])(*plan.args(*places))
            assert scratch.is_intact() and packed.is_intact()
        assert result.is_intact()
        inner = result.inner.view(self.dtype).reshape(out.shape)
        types = tuple(each.type for each in self.node.inputs)
        inputs = [
            np.moveaxis(array, -1, 0) if each.type.batched else array
            for each, array in zip(self.node.inputs, (left, right), strict=True)
        ]
        wanted = self.node.op.reference(types, *(each.astype(np.float64) for each in inputs))
        found = np.moveaxis(inner, -1, 0) if self.node.type.batched else inner
        if where:
            part = (slice(None), *where) if self.node.type.batched else where
            assert np.isnan(
                np.delete(found.ravel(), np.arange(found.size).reshape(found.shape)[part])
            ).all()
            found, wanted = found[part], wanted[part]
        error = np.abs(found - wanted).max() / np.abs(wanted).max()
        if tolerance is None:
            tolerance = {"float32": 5e-6, "float64": 1e-13}[self.dtype]
        assert error <= tolerance


def roles(op: Contract, weights: Type, batched: Type) -> dict[str, Node]:
    """The contraction and the two gradients that autodiff derives from it."""
    y = apply(op, Node(op, (), weights), Node(op, (), batched))
    dw, dx = op.vjp(y, Node(op, (), y.type))
    return {"forward": y, "weights": dw, "input": dx}


@cache
def problem(name: str, role: str, setting: tuple) -> Case:
    return Case(roles(*SHAPES[name])[role], *setting)


def loaded(problems: Iterable[Case]) -> dict:
    """Where the code of their kernels is."""
    plans = [plan for each in problems for plan in each.plan.in_order()]
    return load([each.kernel for each in plans])


ROLES = ["forward", "weights", "input"]


def named(value) -> str:
    """A shape's, role's or form's name, or a setting."""
    if isinstance(value, KernelForm):
        return value.name
    return value if isinstance(value, str) else f"{value[0]}-{value[1]}-{value[2]}lanes-{value[3:]}"


@pytest.mark.parametrize(
    ("name", "role", "setting"),
    [
        *pairwise([*SHAPES], ROLES, SETTINGS[:1], name=named, every=True),
        *in_turn([*SHAPES], ROLES, SETTINGS[1:], name=named),
    ],
)
def test_it_agrees_with_the_reference(name, role, setting):
    found = problem(name, role, setting)
    found.check(loaded([found]))


WAYS = itertools.product(
    [packed.FORM, copied.CONTRACT, copied.PACKED], ["forward", "input"], SETTINGS
)


@pytest.mark.parametrize(
    ("way", "name"),
    in_turn(WAYS, SHAPES, name=lambda x: x if isinstance(x, str) else "-".join(map(named, x))),
)
def test_packed_weights_and_copied_columns_agree_with_the_reference(way, name):
    form, role, setting = way
    found = Case(roles(*SHAPES[name])[role], *setting, plan=by(form))
    if found.plan is not None:
        found.check(loaded([found]))


@pytest.mark.parametrize("rows", [1, 5, 6, 13, 47])
@pytest.mark.parametrize("taps", [3, 700, 9001])
def test_copied_columns_of_several_slices_agree_with_the_reference(taps, rows):
    for form in (copied.CONTRACT, copied.PACKED):
        for role in ("forward", "input"):
            node = roles(*dense(*((rows, taps) if role == "forward" else (taps, rows))))[role]
            found = Case(node, "float32", None, 64, 3, plan=by(form))
            found.check(loaded([found]))


@pytest.mark.long
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("seed", range(5, 40))
def test_random_convolutions_agree_with_the_reference(seed, role):
    for setting in SETTINGS:
        found = Case(roles(*some_conv(seed))[role], *setting)
        found.check(loaded([found]))


def of_each_example(rows: int, columns: int, taps: int, heads: int = 1) -> dict[str, Node]:
    """Products of two values of each example, and their gradients."""
    h, k, c, p = map(index, range(4))
    op = Contract(
        (heads, rows, columns, taps), (h, k, c), (h, k, p), (c, h, p), (heads, rows, columns)
    )
    left = Type("float", (heads, rows, taps), True)
    return roles(op, left, Type("float", (columns, heads, taps), True))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("sizes", [(5, 7, 9), (8, 8, 64), (9, 10, 11), (5, 12, 17, 3)], ids=str)
def test_products_of_two_values_of_each_example_agree_with_the_reference(sizes, role):
    for setting in [SETTINGS[0], SETTINGS[3], SETTINGS[4], SETTINGS[6]]:
        found = Case(of_each_example(*sizes)[role], *setting)
        found.check(loaded([found]))


@pytest.mark.parametrize("parts", [2, 3, 4])
@pytest.mark.parametrize("sizes", [(9, 9, 1), (1, 40, 16), (13, 2, 5), (3, 3, 8, 11), (33, 17, 6)])
def test_parts_of_a_product_of_two_values_make_all_of_it(sizes, parts):
    for role, node in of_each_example(*sizes).items():
        made = [
            Case(node, "float32", None, 32, 1, part=Part(number, parts)) for number in range(parts)
        ]
        assert len({each.plan is None for each in made}) == 1, role  # no part is left out
        if made[0].plan is not None:
            first, *others = made
            first.check(loaded(made), also=[each.plan for each in others])


@pytest.mark.parametrize("parts", [2, 3])
@pytest.mark.parametrize("steps", [1, 2, 7, 24])
def test_parts_of_a_product_of_many_steps_and_examples_make_all_of_it(steps, parts):
    for setting in (("float32", None, 16), ("float32", 256, 24), ("float64", None, 16)):
        for role in ("forward", "input"):
            node = roles(*dense_of_steps(steps, 37, 20))[role]
            made = [
                Case(node, *setting, 1, part=Part(number, parts), examples=setting[-1] - 3)
                for number in range(parts)
            ]
            made = [each for each in made if each.plan is not None]
            first, *others = made
            first.check(loaded(made), also=[each.plan for each in others])


def test_loops_compute_products_of_few_terms_of_each_example():
    assert Case(of_each_example(3, 2, 1)["forward"], *SETTINGS[0]).plan is None


@pytest.mark.skipif(not this_machine().multiplies_bfloat16, reason="no products of bfloat16 here")
@pytest.mark.parametrize("role", ROLES)
def test_rounded_products_of_two_values_of_each_example_agree_with_the_reference(role):
    node = rounded(of_each_example(5, 7, 9, 2)[role])
    cases = [Case(node, "float32", None, 32, 1, 17, plan=by(form)) for form in ROUNDED]
    cases = [each for each in cases if each.plan is not None]
    assert cases
    for each in cases:
        each.check(loaded([each]))


TARGETS = [("float32", None), ("float64", None), ("float32", 256), ("float64", 128)]


@pytest.mark.parametrize(
    ("name", "target"),
    [
        pytest.param(
            name,
            target,
            id=f"{name}-{target}",
            marks=() if not i or i == 1 + number % 3 else pytest.mark.long,
        )
        for number, name in enumerate(SHAPES)
        for i, target in enumerate(TARGETS)
    ],
)
def test_one_example_agrees_with_the_reference(name, target):
    found = problem(name, "forward", (*target, 1, 1))
    found.check(loaded([found]))


READ_IN_PART = {
    "plain": conv(17, 12, 21, 18, 3),
    "stride": conv(17, 13, 23, 18, 3, stride=2),
    "dilation": conv(17, 11, 23, 18, 3, dilation=2),
    "groups": conv(34, 9, 19, 36, 3, groups=2),
}


@pytest.mark.parametrize(
    ("name", "form", "role"),
    [
        *itertools.product(READ_IN_PART, [across.FORM], ["input", "forward"]),
        ("plain", run.FORM, "forward"),
        ("groups", run.FORM, "forward"),
    ],
    ids=named,
)
def test_positions_that_are_not_read_are_not_computed(name, form, role):
    node = roles(*READ_IN_PART[name])[role]
    channels, height, width = node.type.shape
    columns = (2, width - 1) if role == "input" else (0, width)  # a run is computed as a whole
    wanted = ((0, channels), (1, height - 1), columns)
    found = Case(node, "float32", None, 1, 1, plan=by(form), wanted=wanted)
    found.check(loaded([found]), tuple(slice(*each) for each in wanted))


def sums_of_rows(rows: int, n: int, m: int) -> tuple[Contract, Type, Type]:
    """Weights times the sums of an array's rows: each weight has several taps."""
    op = Contract((rows, n, m), (index(0),), (index(0), index(1)), (index(1), index(2)), (rows,))
    return op, Type("float", (rows, n)), Type("float", (n, m), True)


SEVERAL_TAPS = {name: roles(*shape)["input"] for name, shape in READ_IN_PART.items()} | {
    f"rows {sizes}": roles(*sums_of_rows(*sizes))["forward"]
    for sizes in [(37, 11, 5), (8, 40, 9), (3, 7, 2)]
}


@pytest.mark.parametrize("name", SEVERAL_TAPS)
@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_weights_of_several_taps_are_copied_from_packed_ones(name, target):
    found = Case(SEVERAL_TAPS[name], *target, 1, 1, plan=by(across.FORM))
    assert found.plan.packing.kernel.name.endswith("_copying")
    found.check(loaded([found]))


def rounded(node: Node) -> Node:
    """The contraction that rounds its operands."""
    return apply(replace(node.op, rounded=True), *node.inputs)


def fastest(form: KernelForm, problem: Problem) -> ContractionPlan:
    """The plan of the fastest tile of a form."""
    return min(form.candidates(problem), key=lambda each: each.cycles).plan()


def by(form: KernelForm):
    """What makes plans by one form alone; None where it does not fit."""

    def plan(problem: Problem):
        fitting = form.candidates(problem) if form.kind is problem.kind else ()
        found = min(fitting, key=lambda each: each.cycles, default=None)
        return found and found.plan()

    return plan


@cache
def by_forms(name: str, role: str, setting: tuple) -> list[Case]:
    """A rounded product by every form of rounded products that fits."""
    node = rounded(roles(*SHAPES[name])[role])
    cases = [Case(node, *setting, plan=by(form)) for form in ROUNDED]
    return [case for case in cases if case.plan is not None]


@pytest.mark.skipif(not this_machine().multiplies_bfloat16, reason="no products of bfloat16 here")
@pytest.mark.parametrize(
    ("name", "role", "setting"),
    in_turn(
        [*SHAPES],
        [*ROLES, "one example"],
        [
            ("float32", None, 16, 1),
            ("float32", None, 64, 50),
            ("float32", None, 48, 1, 33),
            ("float32", None, 32, 1, 17),
        ],
        name=named,
    ),
)
def test_rounded_products_agree_with_the_reference_by_every_form(name, role, setting):
    if role == "one example":
        role, setting = "forward", ("float32", None, 1, setting[3])
    cases = by_forms(name, role, setting)
    assert cases
    addresses = loaded(cases)
    for case in cases:
        case.check(addresses)


@pytest.mark.skipif(not this_machine().multiplies_bfloat16, reason="no products of bfloat16 here")
@pytest.mark.parametrize("name", ["dense odd", "conv sliced"])
@pytest.mark.parametrize("parts", [2, 3])
def test_parts_of_a_rounded_product_make_all_of_it(name, parts):
    node = rounded(roles(*SHAPES[name])["forward"])
    for lanes in (1, 64):
        cases = [
            Case(node, "float32", None, lanes, 1, part=Part(number, parts, lanes > 1))
            for number in range(parts)
        ]
        cases[0].check(loaded(cases), also=[each.plan for each in cases[1:]])


@pytest.mark.skipif(not this_machine().multiplies_bfloat16, reason="no products of bfloat16 here")
@pytest.mark.parametrize("role", ROLES)
def test_the_bits_of_operands_are_those_that_are_nearest(role):
    # numbers next to the middle of two, and sums that are exact in float32
    node = rounded(roles(*SHAPES["dense odd"])[role])
    cases = [Case(node, "float32", None, 32, 1, plan=by(form)) for form in ROUNDED]
    cases = [case for case in cases if case.plan is not None]
    rng = np.random.default_rng(5)
    for case in cases:
        for array in case.arrays[:2]:
            near = 1 + rng.integers(0, 8, array.shape) * 2.0**-8
            array[...] = near * rng.choice([-1, 1], array.shape)
        case.check(loaded([case]), tolerance=0)


def test_weights_that_are_used_often_are_packed():
    def is_packed(name: str, *setting) -> bool:
        return Case(roles(*SHAPES[name])["forward"], *setting).plan.packing is not None

    assert is_packed("dense", "float32", None, 16, 50)
    assert not is_packed("dense", "float32", None, 16, 1)
    assert is_packed("conv", "float32", None, 80, 1)


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_sums_over_many_lanes_stay_within_their_scratch_buffers(target):
    # 33 and 9 rows are no multiple of any tile's rows
    made = [
        Case(roles(*dense(units, n))["weights"], *target, lanes, 1, plan=partial(fastest, form))
        for units, n in ((33, 64), (9, 128))
        for lanes in (320, 4096)
        for form in (outer.FORM, transposed.FORM)
    ]
    assert any(each.plan.scratch for each in made) and any(each.plan.packed for each in made)
    addresses = loaded(made)
    for each in made:
        each.check(addresses)


@pytest.mark.parametrize(
    ("units", "n", "dtype", "lanes"), [(65, 5000, "float32", 16), (65, 2000, "float64", 32)]
)
def test_packed_sums_of_many_terms_stay_within_their_scratch_buffers(units, n, dtype, lanes):
    node = roles(*dense(units, n))["forward"]
    found = Case(node, dtype, None, lanes, 50, plan=partial(fastest, packed.FORM))
    assert found.plan.packing is not None
    found.check(loaded([found]))


@pytest.mark.parametrize("lanes", [16, 1])
def test_windows_that_begin_at_another_place_agree_with_the_reference(lanes):
    op, weights, batched = conv(24, 12, 12, 24, 3)
    later = [op.right[0], *(replace(each, constant=2) for each in op.right[1:])]
    channels, height, width = batched.shape
    larger = replace(batched, shape=(channels, height + 2, width + 2))
    found = Case(
        roles(replace(op, right=tuple(later)), weights, larger)["forward"],
        "float32",
        None,
        lanes,
        1,
    )
    found.check(loaded([found]))


def dense_of_steps(steps: int, units: int, n: int) -> tuple[Contract, Type, Type]:
    """A dense layer that is applied to each step of a sequence."""
    left, right = (index(1), index(2)), (index(0), index(2))
    op = Contract((steps, units, n), (index(0), index(1)), left, right, (steps, units))
    return op, Type("float", (units, n)), Type("float", (steps, n), True)


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_gradients_over_many_steps_agree_with_the_reference(target):
    """All tiles of the forms that transpose an operand, for odd sizes and few examples."""
    rng, made = random.Random(0), []
    for shape, lanes, examples in (
        ((5, 40, 64), 16, 0),
        ((9, 33, 65), 16, 3),
        ((70, 7, 48), 32, 25),
        ((300, 19, 70), 16, 0),
    ):
        node = roles(*dense_of_steps(*shape))["weights"]
        for form in (transposed.FORM, transposed_packed.FORM):
            count = 0

            def every(problem, form=form):
                return [each.plan() for each in form.candidates(problem)]

            plans = Case(node, *target, lanes, 1, examples, plan=every).plan
            for plan in rng.sample(plans, min(len(plans), 5)):
                made.append(Case(node, *target, lanes, 1, examples, plan=lambda _, p=plan: p))
                count += 1
            assert count
    addresses = loaded(made)
    for each in made:
        each.check(addresses)


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_gradients_of_filters_with_a_stride_agree_with_the_reference(target):
    """With one vector of lanes, the vectors that a row of the result reads are apart."""
    dtype, bits = target
    lanes = this_machine(bits).lanes(dtype)
    rng, made = random.Random(0), []
    for shape in ((5, 17, 29, 7, 3, 2), (3, 12, 31, 9, 5, 3), (4, 9, 140, 6, 1, 2)):
        node = roles(*conv(*shape))["weights"]

        def every(problem):
            return [each.plan() for each in outer.FORM.candidates(problem)]

        plans = Case(node, dtype, bits, lanes, 1, plan=every).plan
        names = [each.kernel.name for each in plans]
        strided = [p for p, name in zip(plans, names, strict=True) if f"stride_{shape[-1]}" in name]
        assert strided
        for plan in (*rng.sample(strided, 6), *rng.sample(plans, 2)):
            made.append(Case(node, dtype, bits, lanes, 1, plan=lambda _, p=plan: p))
    addresses = loaded(made)
    for each in made:
        each.check(addresses)


def test_the_weights_of_a_long_sequence_are_packed():
    """Rows whose terms are apart by a power of two do not stay in any cache."""
    setting = 16 if this_machine().vector_bits == 512 else 8
    plan = Case(roles(*dense_of_steps(50, 1024, 256))["weights"], "float32", None, setting, 1).plan
    assert plan.packing.kernel.name == "pack"
    assert plan.packing.packing.kernel.name == "transpose"


@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_all_steps_of_one_example_agree_with_the_reference(target, parts):
    for shape in ((5, 40, 64), (7, 128, 32), (2, 33, 64), (30, 65, 128), (9, 16, 48)):
        made = [
            Case(roles(*dense_of_steps(*shape))["forward"], *target, 1, 1, part=Part(i, parts))
            for i in range(parts)
        ]
        addresses = loaded([each for each in made if each.plan is not None])
        first, *others = (each for each in made if each.plan is not None)
        first.check(addresses, also=[each.plan for each in others])


@pytest.mark.parametrize("parts", [1, 2, 3, 5])
def test_every_part_of_many_rows_has_two_vectors_and_they_cover_all(parts):
    for vectors in range(2 * parts, 2 * parts + 7):
        for missing in (0, 1, 15):
            units = 16 * vectors - missing
            if units < 32 * parts:
                continue
            node = roles(*dense_of_steps(3, units, 16))["forward"]
            found = [
                Case(node, "float32", 512, 1, 1, plan=by(rows.FORM), part=Part(i, parts)).plan
                for i in range(parts)
            ]
            counts = [each.packing.parameters[5] for each in found]  # rows that it transposes
            assert sum(counts) == units and min(counts) > 16


@pytest.mark.parametrize("bits", [128, 256, 512])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_for_many_steps_of_one_example_are_transposed(dtype, bits):
    plan = Case(roles(*dense_of_steps(30, 64, 128))["forward"], dtype, bits, 1, 1).plan
    assert plan.kernel.name.startswith("contract") and plan.packing.kernel.name == "transpose"


def test_other_strides_than_the_shapes_own():
    op, weights, batched = conv(3, 6, 7, 4, 3)
    node = roles(op, weights, batched)["forward"]
    lanes = 16
    rng = np.random.default_rng(0)
    w = rng.standard_normal((3, 3, 4, 3), dtype=np.float32).transpose(2, 3, 0, 1)
    x = rng.standard_normal((6, 3, 9, lanes), dtype=np.float32)[:, :, :7].transpose(1, 0, 2, 3)
    out = np.zeros((4, 5, 4, lanes), np.float32).transpose(2, 0, 1, 3)
    operands = [
        Operand(tuple(stride // 4 for stride in array.strides[:rank]), rank < array.ndim)
        for array, rank in ((w, 4), (x, 3), (out, 3))
    ]
    plan = plan_contraction(Problem(op, *operands, lanes, Target("float32", this_machine())))
    scratch, packed = (np.empty(n, np.uint8) for n in (plan.scratch, plan.packed))
    places = [each.ctypes.data for each in (w, x, out, scratch, packed)]
    for each in (plan.packing, plan):
        if each is not None:
            at_address(load([each.kernel])[each.kernel])(*each.args(*places))
    wanted = op.reference((weights, batched), w, np.moveaxis(x, -1, 0))
    np.testing.assert_allclose(np.moveaxis(out, -1, 0), wanted, rtol=1e-4, atol=1e-5)
    assert node.type.shape == (4, 4, 5)


def test_products_of_two_batched_values_have_no_fast_form():
    op = Contract((4,), (), (index(0),), (index(0),), ())
    target, value = Target("float32", this_machine()), Operand((16,), True)
    assert plan_contraction(Problem(op, value, value, Operand((), True), 16, target)) is None


def test_the_lists_of_taps_are_shared_by_all_positions_alike():
    op, weights, batched = conv(5, 34, 34, 3, 3)
    lanes = this_machine().lanes("float32")
    op = roles(op, weights, batched)["input"].op
    problem = Problem(
        op,
        Operand((32 * 32 * lanes, 32 * lanes, lanes), True),
        Operand((45, 9, 3, 1), False),
        Operand((34 * 34 * lanes, 34 * lanes, lanes), True),
        lanes,
        Target("float32", this_machine()),
    )
    plan = plan_contraction(problem)
    # along each axis: one tap, two and three; at either end they are others
    assert len(plan.tables["groups"]) == 5 * 5
    assert len(plan.tables["columns"]) >= 34 * 34
    assert len(np.unique(plan.tables["columns"], axis=0)) == 34 * 34


def test_runs_of_offsets_that_follow_each_other():
    found = runs_from(np.array([0, 1, 2, 3, 7, 8, 9, 10, 11]), 4)
    assert found.tolist() == [1, 0, 0, 0, 1, 1, 0, 0, 0]
    assert runs_from(np.array([5]), 4).tolist() == [0]
    assert runs_from(np.zeros(0, np.int64), 4).tolist() == []
