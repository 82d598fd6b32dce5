"""Estimates of tiles: they follow from shapes and the machine's profile alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_contraction import SHAPES, Case, conv, dense, roles

from specc.backend.contraction.cost import Cost
from specc.backend.contraction.plan import candidates, chosen, plan_contraction
from specc.backend.contraction.problem import Problem
from specc.backend.contraction.target import Target
from specc.backend.machine import Machine
from specc.backend.machine.profile import Profile
from specc.ir.sizes import product

PROFILES = [
    Profile.read(path) for path in sorted((Path(__file__).parent / "profiles").glob("*.json"))
]
LARGE = {
    "dense": dense(512, 784),
    "dense few": dense(10, 500),
    "conv": conv(32, 18, 18, 64, 3),
    "conv 1x1": conv(64, 8, 8, 32, 1),
}


def target(profile: Profile, dtype: str = "float32") -> Target:
    """What tiles are made for on the machine of a profile."""
    bits, registers = profile.vector_bits, profile.registers
    machine = Machine("generic", "", bits, registers, True, profile.architecture)
    return Target(dtype, machine, profile)


def problem(profile: Profile, shape, role: str, lanes: int, **more) -> Problem:
    made: list[Problem] = []

    def plan(found: Problem) -> None:
        made.append(found)

    Case(roles(*shape)[role], "float32", None, lanes, 1, plan=plan, **more)
    (found,) = made
    return Problem(**{**vars_of(found), "target": target(profile)})


def vars_of(found: Problem) -> dict:
    return {name: getattr(found, name) for name in Problem.__dataclass_fields__}


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.processor)
@pytest.mark.parametrize("role", ["forward", "weights", "input"])
@pytest.mark.parametrize("name", LARGE)
def test_no_tile_is_estimated_beyond_the_peak(name, role, profile):
    found = problem(profile, LARGE[name], role, 64)
    width = found.target.width
    products = product(found.op.bound_extents) * 64 / width
    least = products / profile.products(profile.vector_bits)
    some = candidates(found)
    assert some
    for form, each in some:
        if not form.name.startswith("winograd"):  # which needs fewer products
            # zeros at the edges of images are not multiplied
            assert each.cycles >= 0.6 * least, (form.name, each.shape)
    best = chosen(some)[1]
    assert best.cycles <= 4 * least, "a large product comes near the peak"


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.processor)
@pytest.mark.parametrize("name", SHAPES)
def test_a_choice_follows_from_shapes_and_the_profile(name, profile):
    for role, lanes in (("forward", 64), ("weights", 64), ("input", 64), ("forward", 1)):
        found = problem(profile, SHAPES[name], role, lanes)
        some = candidates(found)
        assert [(form.name, each.shape, each.cycles) for form, each in some] == [
            (form.name, each.shape, each.cycles) for form, each in candidates(found)
        ]
        plan = plan_contraction(found)
        assert (plan is None) == (not some)
        for _, each in some:
            assert each.shape[0] * each.shape[1] < profile.registers


def test_what_a_machine_is_good_at_decides():
    """One product a cycle of wide vectors: loads, which are as slow, matter more."""
    zen4, rapids = (
        next(each for each in PROFILES if name in each.processor)
        for name in ("Zen 4", "Sapphire Rapids")
    )
    assert Cost(target(zen4)).iteration(24, 10) > 1.9 * Cost(target(rapids)).iteration(24, 10)
    assert Cost(target(zen4)).loads == 1 and Cost(target(rapids)).loads == 2


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.processor)
def test_a_round_takes_as_long_as_the_busiest_unit_or_somewhat_longer(profile):
    cost = Cost(target(profile))
    for products, loads, moving in ((24, 10, 0.0), (4, 30, 0.0), (8, 6, 40.0), (1, 1, 0.0)):
        busiest = max(products / cost.products, loads / cost.loads, moving, profile.latency)
        assert busiest <= cost.iteration(products, loads, moving) <= 1.3 * busiest


def test_strides_of_a_power_of_two_leave_little_of_a_cache():
    cost = Cost(target(next(each for each in PROFILES if "Sapphire" in each.processor)))
    assert cost.spread(256, 1024) == 0.25 and cost.spread(256, 1 << 16) == 1 / 16
    assert cost.spread(256, 256) == cost.spread(256, 0) == cost.spread(256, 320) == 1
    size = 24 << 10
    assert cost.moving(256, size) == 0 < cost.moving(256, size, spread=0.25)
    assert cost.moving(256, 1 << 20) < cost.moving(256, 1 << 30)


def test_many_rows_whose_lines_share_a_few_sets_are_loaded_again_for_each_vector():
    desktop = next(each for each in PROFILES if each.vector_bits == 256)

    def cycles(width: int, shape: tuple[int, int]) -> float:
        """Of a product, if the rows are 16 * `width` * 8 numbers long."""
        found = problem(desktop, conv(32, 16, width, 16, 1), "weights", 8)
        some = {each.shape: each for form, each in candidates(found) if form.name == "outer"}
        return some[shape].cycles / product(found.op.bound_extents)

    assert cycles(16, (11, 1)) > 1.3 * cycles(17, (11, 1))  # 8,192 bytes, and 8,704
    assert cycles(16, (4, 2)) < 1.1 * cycles(17, (4, 2)), "the lines of four rows find room"
