"""Winograd's convolutions against the op's own reference, and where they are chosen."""

from __future__ import annotations

import random
from functools import cache

import numpy as np
import pytest
from running import at_address
from test_contraction import Case, conv, dense, roles

from specc.backend.contraction.forms import winograd, winograd_gradient, winograd_run
from specc.backend.contraction.problem import Candidate, KernelForm, Problem
from specc.backend.contraction.tiling import ContractionPlan, Part
from specc.backend.machine import this_machine
from specc.backend.toolchain.load import load
from specc.ir.graph import Graph, apply
from specc.ops.leaf import Input, Role
from specc.ops.shape import Slice
from specc.ops.views import parts_read


def option(problem: Problem) -> Candidate | None:
    """The candidate of whichever of the three contractions it is; None: it is none of them."""
    forms = (winograd.FORM, winograd_gradient.FORM)
    return fastest(next(each for each in forms if each.kind is problem.kind), problem)


def fastest(form: KernelForm, problem: Problem) -> Candidate | None:
    """The candidate of a form that takes the fewest cycles; None if it does not fit."""
    return min(form.candidates(problem), key=lambda each: each.cycles, default=None)


def forced(problem: Problem) -> ContractionPlan:
    return option(problem).plan()


def some_conv(seed: int):
    pick = random.Random(seed)
    return conv(
        pick.choice([12, 13, 16, 23]),
        pick.randint(4, 11),
        pick.randint(4, 11),
        pick.choice([12, 17, 24, 37]),
        3,
    )


SHAPES = {
    "one tile": conv(12, 4, 4, 12, 3),
    "odd": conv(16, 7, 5, 16, 3),
    "primes": conv(13, 9, 6, 37, 3),
    "two high": conv(17, 4, 13, 33, 3),
    **{f"random {seed}": some_conv(seed) for seed in range(6)},
}
SETTINGS = [
    ("float32", None, 16, 1),
    ("float32", None, 48, 1, 29),
    ("float64", None, 16, 1),
    ("float32", 256, 24, 1),
    ("float64", 128, 4, 1),
]


@cache
def problems(setting: tuple) -> tuple[dict, dict]:
    """The problems of a setting by shape and role, and where the code of their kernels is."""
    made = {
        (name, role): Case(node, *setting, plan=forced)
        for name, shape in SHAPES.items()
        for role, node in roles(*shape).items()
    }
    plans = [plan for each in made.values() for plan in (each.plan, each.plan.packing) if plan]
    return made, load([each.kernel for each in plans])


@pytest.mark.parametrize(
    "setting", SETTINGS, ids=lambda each: f"{each[0]}-{each[1]}-{each[2]}lanes-{each[3:]}"
)
@pytest.mark.parametrize("role", ["forward", "weights", "input"])
@pytest.mark.parametrize("name", list(SHAPES))
def test_it_agrees_with_the_reference(name, role, setting):
    made, addresses = problems(setting)
    assert "winograd" in made[name, role].plan.kernel.name
    made[name, role].check(addresses)


@pytest.mark.parametrize(("top", "left"), [(1, 1), (2, 1), (0, 3)])
def test_only_what_is_read_is_computed(top, left):
    node = roles(*conv(13, 9, 8, 16, 3))["input"]
    spans = [(0, 13), (top, 9 - top), (left, 8 - left)]
    problem = Case(node, "float32", None, 16, 1, plan=forced, wanted=tuple(spans))
    plans = [problem.plan.packing, problem.plan]
    problem.check(load([each.kernel for each in plans]), tuple(slice(*span) for span in spans))


def test_what_is_read_of_a_value_shows_in_its_slices():
    _, _, image = conv(2, 9, 8, 3, 3)
    x = apply(Input(Role.INPUT, "image", image))
    rows = apply(Slice(1, 2, 5), x)
    first, second = apply(Slice(2, 1, 3), rows), apply(Slice(2, 3, 4), rows)
    graph = Graph({"a": first, "b": second})
    assert parts_read(graph)[x] == ((0, 2), (2, 7), (1, 7))
    assert x not in parts_read(Graph({"a": first, "x": x}))
    assert x not in parts_read(Graph({"a": apply(Slice(1, 8, 3, -2), x)}))


def is_one(shape, lanes=16):
    """Of each contraction of a layer, whether it is a convolution that the method fits."""
    return [
        Case(node, "float32", None, lanes, 1, plan=option).plan is not None
        for node in roles(*shape).values()
    ]


def test_it_fits_3x3_convolutions_with_unit_steps():
    assert is_one(conv(16, 6, 6, 16, 3)) == [True] * 3
    others = [
        conv(16, 6, 6, 16, 5),
        conv(16, 6, 6, 16, 1),
        conv(16, 9, 9, 16, 3, stride=2),
        conv(16, 9, 9, 16, 3, dilation=2),
        conv(16, 6, 6, 16, 3, groups=2),
        conv(1, 6, 6, 16, 3),
        conv(16, 6, 3, 16, 3),  # a result one wide: half of each tile for nothing
        dense(32, 48),
    ]
    assert [is_one(each) for each in others] == [[False] * 3] * len(others)


def chosen(shape, lanes):
    return {
        role: "winograd" in Case(node, "float32", None, lanes, 1).plan.kernel.name
        for role, node in roles(*shape).items()
    }


@pytest.mark.skipif(this_machine().vector_bits < 512, reason="what pays depends on the machine")
def test_it_is_chosen_where_it_pays():
    for shape in (conv(32, 34, 34, 32, 3), conv(64, 18, 18, 64, 3)):
        for lanes in (32, 64):
            assert chosen(shape, lanes) == {"forward": True, "weights": True, "input": True}
    for shape in (conv(3, 34, 34, 32, 3), conv(2, 8, 8, 4, 3), conv(32, 6, 6, 4, 3)):
        assert not any(chosen(shape, 32).values())


def run_forced(problem: Problem) -> ContractionPlan | None:
    candidate = fastest(winograd_run.FORM, problem)
    return candidate and candidate.plan()


RUNS = {
    "one column": conv(5, 10, 10, 16, 3),
    "odd": conv(7, 13, 19, 17, 3),
    "least": conv(2, 4, 10, 8, 3),
    "wide": conv(3, 5, 70, 23, 3),
    "many": conv(19, 34, 34, 33, 3),
    **{
        f"random {seed}": conv(
            pick.randint(1, 40), pick.randint(4, 40), pick.randint(10, 40), pick.randint(8, 40), 3
        )
        for seed in range(6)
        for pick in [random.Random(seed)]
    },
}
RUN_SETTINGS = [("float32", None), ("float64", None), ("float32", 256), ("float32", 128)]


@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize("setting", RUN_SETTINGS, ids=str)
@pytest.mark.parametrize("name", list(RUNS))
def test_one_example_agrees_with_the_reference(name, setting, parts):
    dtype, bits = setting
    if this_machine(bits).lanes(dtype) < 4:
        pytest.skip("a piece would be half of a tile")
    node = roles(*RUNS[name])["forward"]
    problems = [
        Case(node, dtype, bits, 1, 1, plan=run_forced, part=Part(number, parts, True))
        for number in range(parts)
    ]
    plans = [each.plan for each in problems if each.plan is not None]
    if len(plans) < parts:
        assert node.type.shape[0] < 8 * parts  # too few rows for a tile
        return
    kernels = [plan.kernel for each in plans for plan in (each, each.packing)]
    problems[0].check(load(kernels), also=plans[1:])


@pytest.mark.skipif(this_machine().vector_bits < 512, reason="what pays depends on the machine")
def test_it_is_chosen_for_one_example_where_it_pays():
    def name(shape, **more):
        return Case(roles(*shape)["forward"], "float32", None, 1, 1, **more).plan.kernel.name

    wide, narrow = conv(64, 18, 18, 64, 3), conv(3, 34, 34, 32, 3)
    assert name(wide, kept=True).startswith("winograd_run")
    assert name(wide, kept=True, part=Part(1, 2, True)) == "winograd_run_8x2_prefetching"
    small = conv(64, 10, 10, 64, 3)
    assert name(small, kept=True).startswith("winograd_run")
    assert not name(small).startswith(
        "winograd_run"
    )  # to transform the weights for one use costs more
    assert not name(narrow, kept=True).startswith("winograd_run")


def test_a_last_group_of_columns_is_filled_up(monkeypatch):
    """Junk in their places could be denormal, which makes sums fifty times slower."""
    shape = {32: (8, 2), 16: (6, 2)}[this_machine().registers]
    monkeypatch.setattr(winograd_run, "SHAPES", {this_machine().registers: (shape,)})
    node = roles(*conv(16, 10, 3 * this_machine().lanes("float32") // 2 + 2, 16, 3))["forward"]
    problem = Case(node, "float32", None, 1, 1, plan=run_forced)
    plan, width = problem.plan, this_machine().lanes("float32")
    assert len(plan.tables["columns"]) == 3
    scratch, packed = (
        np.full(plan.scratch // 4, np.nan, np.float32),
        np.zeros(plan.packed // 4, np.float32),
    )
    addresses = load([plan.kernel, plan.packing.kernel])
    for each in (plan.packing, plan):
        at_address(addresses[each.kernel])(
            *each.args(*(array.ctypes.data for array in (*problem.arrays, scratch, packed)))
        )
    assert np.isfinite(scratch[: (1 + 16 * shape[0] * shape[1]) * width]).all()
