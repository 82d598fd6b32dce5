"""Values of each example times other values of the same example, as in attention.

out[k, c, lane] = sum_p w[k, p, lane] * x[c, p, lane]. Lanes are independent, so a tile of rows k
and columns c has a vector of lanes for each sum, and both operands are read without packing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from specc.backend.contraction.cost import Cost
from specc.backend.contraction.gradient import LONGEST, Runs, runs_of
from specc.backend.contraction.loops.batched import batched_kernel
from specc.backend.contraction.problem import Candidate, ContractionKind, KernelForm, Problem
from specc.backend.contraction.target import Target
from specc.backend.contraction.tiling import (
    ContractionPlan,
    LoopAxis,
    Part,
    even_part,
    merged,
    offsets,
)

# The most rows and columns of a tile are few, because each shape is one more kernel to compile.
_SIZES = (1, 2, 3, 4)


def shapes(target: Target) -> list[tuple[int, int]]:
    """Return the rows and columns of tiles whose accumulators and operands fit in registers."""
    return [(r, c) for r in _SIZES for c in _SIZES if r * c + r + c <= target.machine.registers]


def _candidates(problem: Problem) -> Iterator[Candidate]:
    op, target = problem.op, problem.target
    operands = left, right, out = problem.operands
    kept = set(out.steps)
    if not problem.is_plain:
        return
    rows = _longest(merged(op, [i for i in kept if i not in right], operands))
    columns = _longest(merged(op, [i for i in kept if i not in left], operands))
    others = [i for i in kept if i not in rows.indices and i not in columns.indices]
    start = np.array([left.constant, right.constant, 0])
    positions = offsets(merged(op, others, operands), 3) + start
    taps = offsets(merged(op, [i for i in problem.indices if i not in kept], operands), 3)
    vectors, cost = problem.lanes // target.width, Cost(target)
    all_bytes = problem.bytes_of("left") + problem.bytes_of("right")
    # the parts differ by a row, but the same tiles must fit all of them
    fewest = _part_of(rows, columns, positions, replace(problem.part, number=0))

    def read(operand: int, axis: LoopAxis, count: int) -> Runs:
        """Return the runs that a tile reads of an operand, for a number of rows or columns."""
        starts, lengths = taps[:, operand], np.full(len(taps), target.width)
        return runs_of(starts, lengths, count, axis.steps[operand], target.bytes)

    def tiles(shape: tuple[int, int]) -> int:
        blocks = -(-rows.size // shape[0]) * -(-columns.size // shape[1])
        return len(positions) * vectors * blocks

    def moving(shape: tuple[int, int]) -> float:
        """Return the cycles to load a tile's operands into the L1 cache."""
        blocks = -(-columns.size // shape[1])
        left, right = read(0, rows, shape[0]), read(1, columns, shape[1])
        # the first columns load the rows, the next ones load them again; all rows load all columns
        first = cost.moving_runs(left.bytes, all_bytes, left.size)
        again = cost.moving_runs(left.bytes, left.bytes, left.size, left.step)
        used = left.bytes + blocks * right.bytes
        every = cost.moving_runs(right.bytes, used, right.size, right.step)
        return (first + (blocks - 1) * again) / blocks + every

    def cycles(shape: tuple[int, int]) -> float:
        r, c = shape
        # a tap also loads its two offsets
        share = moving(shape) / len(taps)
        tap = cost.iteration(r * c, r + c + 2, share, iterations=len(taps))
        leaving = cost.moving(r * c * cost.vector, problem.out_bytes)
        return tiles(shape) * (len(taps) * tap + cost.ends(r * c) + leaving)

    def build(shape: tuple[int, int]) -> ContractionPlan:
        own_rows, own_columns, own = _part_of(rows, columns, positions, problem.part)
        # fmt: off
        parameters = (
            left.name, right.name, "out", "left_at", "right_at", len(taps), "positions",
            len(own), own_rows.size, rows.steps[0], rows.steps[2], own_columns.size,
            columns.steps[1], columns.steps[2], problem.lanes, LONGEST,
        )
        # fmt: on
        tables = {
            "left_at": np.ascontiguousarray(taps[:, 0]),
            "right_at": np.ascontiguousarray(taps[:, 1]),
            "positions": np.ascontiguousarray(own),
        }
        return ContractionPlan(batched_kernel(target, shape), parameters, tables)

    # a multiply-add of plain loops, whose sums are in memory, loads three vectors and stores one
    products = vectors * len(positions) * rows.size * columns.size * len(taps)
    in_loops = products * (3 / cost.loads + 1 / cost.stores) + tiles((1, 1)) * moving((1, 1))
    for shape in shapes(target):
        fits = shape[0] <= fewest[0].size and shape[1] <= fewest[1].size
        if fits and cycles(shape) <= in_loops:
            yield Candidate(shape, cycles(shape), partial(build, shape))


def _part_of(
    rows: LoopAxis, columns: LoopAxis, positions: np.ndarray, part: Part
) -> tuple[LoopAxis, LoopAxis, np.ndarray]:
    """Return one part of the result, which is divided along its longest axis."""
    axis = rows if rows.size >= columns.size else columns
    if axis.size < len(positions):
        return rows, columns, positions[slice(*even_part(len(positions), part))]
    first, last = even_part(axis.size, part)
    own, shifted = replace(axis, size=last - first), positions + first * np.array(axis.steps)
    return (own, columns, shifted) if axis is rows else (rows, own, shifted)


def _longest(axes: list[LoopAxis]) -> LoopAxis:
    return max(axes, key=lambda axis: axis.size, default=LoopAxis(1, (0, 0, 0)))


FORM = KernelForm("batched", ContractionKind.BATCHED, _candidates)
