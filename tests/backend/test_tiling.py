"""How entries are divided among shards, and what runs along a result's memory."""

from __future__ import annotations

import numpy as np
import pytest

from specc.backend.contraction.tiling import (
    Linear,
    LoopAxis,
    Operand,
    Part,
    even_part,
    part_of,
    run_of,
)
from specc.ops.contract import Affine, Contract, Map, index
from specc.ops.shape import c_strides


@pytest.mark.parametrize("size", [0, 1, 5, 16, 17])
@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_parts_follow_each_other_without_gap_or_overlap(size, parts):
    found = [even_part(size, Part(number, parts)) for number in range(parts)]
    assert [each for start, end in found for each in range(start, end)] == list(range(size))
    lengths = [end - start for start, end in found]
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize("parts", [2, 3, 5])
@pytest.mark.parametrize("sizes", [(1,), (9,), (1, 1, 1, 1), (4, 1, 6), (2, 2, 2, 1, 40)])
def test_parts_have_each_position_or_row_once(sizes, parts):
    rows = LoopAxis(6, (7, 0, 5))
    groups = [(number, np.full((size, 3), 100 * number)) for number, size in enumerate(sizes)]
    for number, (_, positions) in enumerate(groups):
        positions[:, 0] += np.arange(sizes[number])
    made = [part_of(rows, groups, Part(number, parts)) for number in range(parts)]
    found = [
        (taps, *place, *(row * step for step in rows.steps))
        for own, own_groups in made
        for taps, positions in own_groups
        for place in positions.tolist()
        for row in range(own.size)
    ]
    found = [(each[0], each[1] + each[4], each[3] + each[6]) for each in found]
    wanted = [
        (taps, place[0] + 7 * row, place[2] + 5 * row)
        for taps, positions in groups
        for place in positions.tolist()
        for row in range(6)
    ]
    assert sorted(found) == sorted(wanted)
    if sum(sizes) >= parts:
        counts = [sum(len(positions) for _, positions in own) for _, own in made]
        assert max(counts) - min(counts) <= 1


def run(op: Contract, *shapes: tuple[int, ...]) -> tuple[tuple[int, ...], int, int]:
    """What runs along the result of a product of weights and a value, which lie in C order."""
    maps = ((op.left, shapes[0], "w"), (op.right, shapes[1], "x"), (op.out, op.shape, "out"))
    return run_of(
        op, [Linear(map_, Operand(c_strides(shape), False), name) for map_, shape, name in maps]
    )


def convolution(out: Map, shape: tuple[int, ...], step: int = 1) -> Contract:
    """[k, i, j] += [k, u, v] * [step i + u, step j + v]"""
    k, u, v, i, j = range(5)
    left = (index(k), index(u), index(v))
    right = (Affine(((i, step), (u, 1))), Affine(((j, step), (v, 1))))
    return Contract((4, 3, 3, 6, 5), out, left, right, shape)


ROW, UP, ALONG = index(0), index(3), index(4)


@pytest.mark.parametrize("step", [1, 2, 3])
def test_the_last_axis_of_an_image_runs_through_the_image_by_its_step(step):
    op = convolution((ROW, UP, ALONG), (4, 6, 5), step)
    assert run(op, (4, 3, 3), (20, 20)) == ((4,), 5, step)


def test_an_axis_of_the_result_that_lies_otherwise_runs_by_its_own_step():
    assert run(convolution((ROW, ALONG, UP), (4, 5, 6), 2), (4, 3, 3), (20, 20)) == ((3,), 6, 40)


@pytest.mark.parametrize(
    ("out", "shape"),
    [
        ((UP, ALONG, ROW), (6, 5, 4)),  # the rows of the weights are next to each other
        ((ROW, UP, Affine(((4, 1),), 1)), (4, 6, 6)),  # it begins after a border
        ((ROW, UP, ALONG), (4, 6, 7)),  # it ends before a border
        ((ROW, UP, Affine(((4, 2),))), (4, 6, 10)),  # it leaves out every second place
    ],
)
def test_otherwise_nothing_runs(out, shape):
    assert run(convolution(out, shape), (4, 3, 3), (20, 20)) == ((), 1, 1)


def test_what_is_shared_by_both_operands_does_not_run():
    op = Contract((4, 5), (index(0), index(1)), (index(0), index(1)), (index(1),), (4, 5))
    assert run(op, (4, 5), (5,)) == ((), 1, 1)


def test_what_no_operand_has_does_not_run():
    op = Contract((4, 3, 5), (index(0), index(2)), (index(0), index(1)), (index(1),), (4, 5))
    assert run(op, (4, 3), (3,)) == ((), 1, 1)


def test_of_two_axes_without_a_gap_the_first_runs():
    op = Contract((4, 3, 5, 1), (index(0), index(2), index(3)), (index(0), index(1)),
                  (index(1), index(2), index(3)), (4, 5, 1))  # fmt: skip
    assert run(op, (4, 3), (3, 5, 1)) == ((2,), 5, 1)
