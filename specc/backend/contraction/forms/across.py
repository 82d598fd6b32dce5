"""One example: vectors across the rows of the weights, which are packed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from specc.backend.contraction.cost import Cost
from specc.backend.contraction.loops.single import across_kernel, pack_across_kernel
from specc.backend.contraction.problem import Candidate, ContractionKind, KernelForm, Problem
from specc.backend.contraction.target import Target
from specc.backend.contraction.tiled import LINE
from specc.backend.contraction.tiling import (
    ContractionPlan,
    by_weights,
    part_of,
    rows_of,
    run_of,
    runs_from,
    taps_and_positions,
)

# Not every number: each is one more kernel to compile.
_POSITIONS = (1, 2, 4, 7, 8, 10, 12, 14)
# Vectors of a tile at most; more where lines of weights come from afar time and again.
_VECTORS, _MOST_VECTORS = 4, 8


def shapes(target: Target) -> list[tuple[int, int]]:
    """The positions and vectors of tiles whose sums, weights and one value fit the registers."""
    registers = target.machine.registers
    return [
        (q, v) for q in _POSITIONS for v in range(1, _MOST_VECTORS + 1) if (q + 1) * v < registers
    ]


def _candidates(problem: Problem) -> Iterator[Candidate]:
    op, target, part = problem.op, problem.target, problem.part
    operands = weights, batched, _ = problem.operands
    rows = rows_of(op, operands)
    runs, run, step = run_of(op, operands)
    classes = by_weights(taps_and_positions(op, (*rows.indices, *runs), operands))
    rows, classes = part_of(rows, classes, part)
    if not rows.size or not any(len(positions) for _, positions in classes):
        return

    cost = Cost(target)
    size = rows.size * sum(len(taps) for taps, _ in classes) * target.bytes

    def cycles(shape: tuple[int, int]) -> float:
        q, v = shape
        blocks = -(-rows.size // (v * target.width))
        total = 0.0
        for taps, positions in classes:
            # the values, the weights, the lines of these that are prefetched, and an offset
            loads = q + v + v * cost.vector / LINE + 1
            moving = cost.moving(v * cost.vector, size, in_sequence=True)
            tile = len(taps) * cost.round(q * v, loads, moving)
            tile += v * cost.turned(target.width * q, target.width)
            tile += v * target.width / cost.stores + cost.ends(0)
            total += len(positions) * -(-run // q) * blocks * tile
            if not problem.kept:
                weights = blocks * v * target.width * len(taps)
                total += cost.turned(weights, target.width) / problem.calls
        return total

    most = -(-rows.size // target.width)
    if problem.calls <= 1 or size <= cost.l2 // 2:
        most = min(most, _VECTORS)
    runs_each = max(len(positions) for _, positions in classes)
    prefetches = part.parts > 1 and runs_each > 1

    def build(shape: tuple[int, int]) -> ContractionPlan:
        line = shape[1] * target.width
        table, first, packed, at = [], 0, 0, 0
        for taps, positions in classes:
            table.append((first, len(taps), packed, at, at + len(positions)))
            first, at = first + len(taps), at + len(positions)
            packed += -(-rows.size // line) * line * len(taps)
        tables = {
            "classes": np.array(table, np.int64),
            "x_at": np.concatenate([taps[:, 1] for taps, _ in classes]),
            "w_at": np.concatenate([taps[:, 0] + positions[0, 0] for taps, positions in classes]),
            "positions": np.concatenate([positions[:, 1:] for _, positions in classes]),
        }
        tables["runs"] = runs_from(tables["w_at"], target.width)
        w_row, _, out_row = rows.steps
        packing = ContractionPlan(
            pack_across_kernel(target, shape[1]),
            (weights.name, "packed", "classes", len(classes), "w_at", "runs", rows.size, w_row),
            tables,
        )
        # fmt: off
        parameters = (
            batched.name, "packed", "out", "classes", len(classes), "x_at", "positions",
            rows.size, out_row, run,
        )
        # fmt: on
        return ContractionPlan(
            across_kernel(target, shape, step, prefetches),
            parameters,
            tables,
            0,
            packing,
            packed * target.bytes,
            prefetches,
        )

    for shape in shapes(target):
        if shape[0] <= run and shape[1] <= most:
            yield Candidate(shape, cycles(shape), partial(build, shape))


FORM = KernelForm("across", ContractionKind.SINGLE, _candidates)
