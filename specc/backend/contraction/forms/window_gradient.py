"""The weights' gradient of windows that move over each channel separately.

A tile has the accumulators of some lines of taps. For some positions of a row, it loads each vector
of the image once, whereas `outer` tiles load it once for each tap.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import numpy as np

from specc.backend.contraction.cost import Cost
from specc.backend.contraction.gradient import LONGEST
from specc.backend.contraction.loops.window import TapLine, window_gradient_kernel
from specc.backend.contraction.problem import Candidate, ContractionKind, KernelForm, Problem
from specc.backend.contraction.target import Target
from specc.backend.contraction.tiling import ContractionPlan, Linear, LoopAxis, merged, offsets
from specc.backend.llvm.windows import chains_of, row_products

# The positions of a tile. Some are left out, because each is one more kernel to compile.
_POSITIONS = (2, 3, 4, 6, 7, 8)
_SEGMENT = 8  # cycles to start a segment
# The registers left for vectors of x, by the number of all registers. With 32 registers, LLVM loads
# several vectors in advance.
_FREE = {32: 7, 16: 1}


def shapes(target: Target, lines: int, taps: int, row: int) -> Iterator[tuple[int, int]]:
    """Yield the lines and positions of tiles whose accumulators and factors fit in registers."""
    for count in range(1, lines + 1):
        for positions in _POSITIONS:
            sums = chains_of(count, taps) * count * taps
            free = target.machine.registers - sums - positions
            if free >= _FREE[target.machine.registers] and positions <= row:
                yield count, positions


def _candidates(problem: Problem) -> Iterator[Candidate]:
    if problem.target.pairs or problem.lanes % problem.target.width:
        return
    for dy, x in problem.pairs:
        out = problem.operands[2]
        for tap in problem.indices:
            if tap not in out or tap not in x or tap in dy:
                continue
            for along in problem.indices:
                if along in dy and along in x and along not in out:
                    yield from _of(problem, dy, x, tap, along)


def _of(problem: Problem, dy: Linear, x: Linear, tap: int, along: int) -> Iterator[Candidate]:
    """Yield the candidates for an index of taps, and an index along which positions run."""
    op, target, out = problem.op, problem.target, problem.operands[2]
    extents = op.bound_extents
    kept = [i for i in problem.indices if i in out and i != tap]
    own = merged(op, [i for i in kept if i not in x], (dy, x, out))
    taps, row = extents[tap], extents[along]
    rows = max((axis.size for axis in own), default=1)
    steps = x.step(along), x.step(tap)
    if rows > taps or min(steps) <= 0:  # other tiles load a vector once for all rows
        return
    unit = math.gcd(*steps)
    line = TapLine(taps, steps[0] // unit, steps[1] // unit, False, unit, 0, dy.step(along))
    line_axes = merged(op, [i for i in kept if i not in dy], (dy, x, out))
    shared = merged(op, [i for i in kept if i in dy and i in x], (dy, x, out))
    summed = merged(op, [i for i in problem.indices if i not in out and i != along], (dy, x, out))
    tables = {
        "lines": offsets(line_axes, 3)[:, 1:],
        "positions": offsets([*own, *shared], 3) + np.array([dy.constant, x.constant, 0]),
        "segments": _segments(problem, summed),
    }
    for shape in shapes(target, len(tables["lines"]), taps, row):
        relation = (line.taps, line.step, line.apart, False)
        if len(row_products(*relation, (shape[1], 0, 0, 0))) == shape[1] * taps:
            continue  # no vector serves more than one tap
        cycles = _cycles(problem, line, shape, row, tables)
        plan = partial(_plan, problem, (dy, x), line, shape, row, out.step(tap), tables)
        yield Candidate((shape[0], taps), cycles, plan)


def _segments(problem: Problem, summed: list[LoopAxis]) -> np.ndarray:
    """Return the offsets in dy and x at which rows start, for each vector of lanes."""
    lanes = np.arange(0, problem.lanes, problem.target.width)
    found = offsets(summed, 3)[:, None, :2] + lanes[None, :, None]
    return np.ascontiguousarray(found.reshape(-1, 2))


def _cycles(
    problem: Problem, line: TapLine, shape: tuple[int, int], row: int, tables: dict
) -> float:
    cost = Cost(problem.target)
    lines, positions = shape
    sums = lines * line.taps

    def loads(count: int) -> int:
        found = row_products(line.taps, line.step, line.apart, False, (count, 0, 0, 0))
        return count + lines * len(found)

    segments = len(tables["segments"])
    blocks = len(tables["positions"]) * -(-len(tables["lines"]) // lines)
    moving = sum(
        cost.moving(size, size, in_sequence=True)
        for size in (problem.bytes_of("left"), problem.bytes_of("right"))
    )
    share = moving / max(1, blocks * segments * row)
    chains = chains_of(lines, line.taps)

    def cycles_of(count: int) -> float:
        """Return the cycles of `count` positions, one in `chains` of which adds to each sum."""
        deep = max(1, count / chains)
        iterations = segments * row / chains
        return deep * cost.iteration(
            count * sums / deep, loads(count) / deep, share * count / deep, iterations=iterations
        )

    segment = row // positions * cycles_of(positions)
    segment += row % positions * cycles_of(1) + _SEGMENT
    return blocks * (segments * segment + cost.added_up(sums) + cost.ends(sums))


def _plan(
    problem: Problem,
    pair: tuple[Linear, Linear],
    line: TapLine,
    shape: tuple[int, int],
    row: int,
    out_step: int,
    tables: dict,
) -> ContractionPlan:
    dy, x = pair
    lines, segments = tables["lines"], len(tables["segments"])
    piece = LONGEST * chains_of(shape[0], line.taps)
    group = max(1, piece // row)
    whole = group >= segments and piece >= row
    kept = shape[0] * line.taps * problem.target.width * problem.target.bytes
    # fmt: off
    parameters = (
        x.name, dy.name, "out", "x_at", "out_at", len(lines), "segments",
        segments, "positions", len(tables["positions"]), row, out_step, group, piece,
        "scratch",
    )
    # fmt: on
    return ContractionPlan(
        window_gradient_kernel(problem.target, shape, line),
        parameters,
        {
            "x_at": np.ascontiguousarray(lines[:, 0]),
            "out_at": np.ascontiguousarray(lines[:, 1]),
            "segments": tables["segments"],
            "positions": np.ascontiguousarray(tables["positions"]),
        },
        0 if whole else kept,
    )


FORM = KernelForm("window gradient", ContractionKind.GRADIENT, _candidates)
