"""Several lanes: windows that move over each channel separately, and their image's gradient.

If weights have no rows, as in depthwise convolutions, a `packed` tile multiplies each vector of the
image by a single weight. A tile of this form is a piece of a row of the result: a vector is loaded
once for all taps of a line, and the weights of the line stay in registers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import numpy as np

from specc.backend.contraction.cost import Cost
from specc.backend.contraction.loops.window import TapLine, window_edges_kernel, window_kernel
from specc.backend.contraction.problem import Candidate, ContractionKind, KernelForm, Problem
from specc.backend.contraction.target import Target
from specc.backend.contraction.tiling import ContractionPlan, exact, rows_of
from specc.backend.llvm.windows import Piece, row_products
from specc.ir.sizes import bound
from specc.system.records import dataclass

# The positions of a tile. Some are left out, because each is one more kernel to compile.
_POSITIONS = (4, 5, 6, 7, 8, 10, 12, 14)
_USUAL = (8, 14)
_OUTSIDE = 1 << 20  # a bound that no piece reaches


def positions_of(target: Target, taps: int, row: int) -> list[int]:
    """Return the numbers of positions for which a tile fits in the registers.

    It needs registers for its accumulators, its weights and one vector.
    """
    most = target.machine.registers - taps - 1
    found = {each for each in _POSITIONS if each <= min(most, row)}
    return sorted(found | ({row} if 1 < row <= min(most, _POSITIONS[-1]) else set()))


@dataclass(frozen=True)
class RowsOfResult:
    """The rows of a result along the index `along`, whose windows have the taps `tap`.

    If the taps spread over the result, as in an image's gradient, `start` is the first position of
    a row, and x has `places` entries along it.
    """

    along: int
    tap: int
    line: TapLine
    size: int
    start: int = 0
    places: int = 0

    def pieces(self, positions: int) -> list[Piece] | None:
        """Return the pieces of a row: one for all of it, or the first, a middle and the last one.

        None if pieces of `positions` positions cannot make up the row.
        """
        if not self.line.spread:
            return [(positions, 0, 0, 0)]
        if positions == self.size:
            return [self._piece(0, positions)]
        count = -(-self.size // positions)
        if positions % self.line.step:
            return None
        middles = [self._piece(n * positions, positions) for n in range(1, count - 1)]
        if any(each != (positions, middles[0][1], -_OUTSIDE, _OUTSIDE) for each in middles):
            return None
        first, last = self._piece(0, positions), self._piece(self.size - positions, positions)
        return [first, *(middles[:1] or [last]), last]

    def _piece(self, at: int, positions: int) -> Piece:
        """Return the piece from a position on, with the bounds of x that it would cross."""
        place, phase = divmod(self.start + at, self.line.step)
        reach = row_products(*self._relation, (positions, phase, -_OUTSIDE, _OUTSIDE))
        low, high = -place, self.places - 1 - place
        within = all(low <= n for n in reach), all(n <= high for n in reach)
        return positions, phase, -_OUTSIDE if within[0] else low, _OUTSIDE if within[1] else high

    @property
    def _relation(self) -> tuple[int, int, int, bool]:
        return self.line.taps, self.line.step, self.line.apart, self.line.spread

    def products(self, piece: Piece) -> dict[int, list[tuple[int, int]]]:
        """Return the products of a piece (see `row_products`)."""
        return row_products(*self._relation, piece)

    def x_of(self, at: int) -> int:
        """Return the offset in x of a piece of a spread row that starts at position `at`."""
        return (self.start + at) // self.line.step * self.line.x_step


def _rows(problem: Problem) -> Iterator[RowsOfResult]:
    """Yield the ways to divide the result into rows, in the order of the stride in x."""
    weights, batched, out = problem.operands
    along = [i for i in problem.indices if i in batched and i in out and i not in weights]
    for i in sorted(along, key=batched.step):
        for t in problem.indices:
            if t in weights and (t in batched) != (t in out):
                found = (_forward if t in batched else _spread)(problem, i, t)
                if found is not None:
                    yield found


def _forward(problem: Problem, i: int, t: int) -> RowsOfResult | None:
    op = problem.op
    weights, batched, out = problem.operands
    steps = batched.step(i), batched.step(t)
    if not exact(op, i) or min(steps) <= 0:
        return None
    unit = math.gcd(*steps)
    extents = op.bound_extents
    line = TapLine(
        extents[t], steps[0] // unit, steps[1] // unit, False, unit, weights.step(t), out.step(i)
    )
    return RowsOfResult(i, t, line, extents[i])


def _spread(problem: Problem, i: int, t: int) -> RowsOfResult | None:
    op = problem.op
    weights, batched, out = problem.operands
    axes = [n for n, each in enumerate(op.out) if {i, t} & {index for index, _ in each.terms}]
    if len(axes) != 1 or len(op.out[axes[0]].terms) != 2:
        return None
    expression = op.out[axes[0]]
    steps = dict(expression.bound_terms)
    stride = out.step(i) // steps[i]
    start, end = problem.read.get(expression, (0, bound(op.shape[axes[0]])))
    extents = op.bound_extents
    line = TapLine(extents[t], steps[i], steps[t], True, batched.step(i), weights.step(t), stride)
    if end - start < 1:
        return None
    return RowsOfResult(i, t, line, end - start, start - expression.constant, extents[i])


def _candidates(problem: Problem) -> Iterator[Candidate]:
    op, target = problem.op, problem.target
    operands = problem.operands
    if problem.part.parts > 1 or target.pairs:
        return
    high = rows_of(op, operands).size
    for rows in _rows(problem):
        if high > rows.line.taps:  # tiles that load a vector once for all rows are faster
            continue
        groups = _groups(problem, rows)
        for positions in positions_of(target, rows.line.taps, rows.size):
            pieces = rows.pieces(positions)
            if pieces is not None:
                cycles = _cycles(problem, rows, pieces, groups)
                plan = partial(_plan, problem, rows, pieces, groups)
                usual = positions in _USUAL or positions == rows.size
                yield Candidate((positions, 1), cycles, plan, usual)


def _groups(problem: Problem, rows: RowsOfResult) -> list:
    """Return the tap groups of the rows that are read, with the starts of these rows."""
    groups = problem.groups_read((rows.along, rows.tap))
    if not rows.line.spread:
        return groups
    op, out = problem.op, problem.operands[2]
    (first,) = (
        problem.read.get(expression, (0, 0))[0] * stride
        for expression, stride in zip(op.out, out.strides, strict=True)
        if any(i == rows.along for i, _ in expression.terms)
    )
    start = np.array([0, rows.x_of(0), first])
    return [(taps, positions + start) for taps, positions in groups]


def _cycles(problem: Problem, rows: RowsOfResult, pieces: list[Piece], groups: list) -> float:
    cost = Cost(problem.target)
    vectors = problem.lanes // problem.target.width
    positions, taps = pieces[0][0], rows.line.taps
    tiles = -(-rows.size // positions)
    lines = sum(len(own) * len(at) for own, at in groups) * vectors
    most = max((len(own) for own, _ in groups), default=0)
    ends = sum(len(at) for _, at in groups) * vectors * tiles * cost.ends(positions)
    moving = cost.moving(problem.x_bytes, problem.x_bytes, in_sequence=True)
    moving += cost.moving(problem.out_bytes, problem.out_bytes, in_sequence=True)
    share = moving / max(lines * tiles * taps, 1)
    cycles = 0.0
    for number, piece in zip(_numbers(len(pieces), tiles), pieces, strict=True):
        products = rows.products(piece)
        count = sum(map(len, products.values()))
        # an iteration is one tap: a multiply-add for each sum, and its part of the loads
        loads = (len(products) + taps + 2) / taps
        cycles += number * taps * cost.iteration(count / taps, loads, share, iterations=most * taps)
    return lines * cycles + ends


def _numbers(pieces: int, tiles: int) -> tuple[int, ...]:
    """Return the number of tiles that each piece stands for."""
    return (tiles,) if pieces == 1 else (1, tiles - 2, 1)


def _plan(
    problem: Problem, rows: RowsOfResult, pieces: list[Piece], groups: list
) -> ContractionPlan:
    target, names = problem.target, problem.names
    counts = np.array([(len(lines), len(at)) for lines, at in groups], np.int64)
    ends = np.cumsum(counts, 0)
    lines = np.concatenate([each for each, _ in groups])
    tables = {
        "groups": np.stack(
            [ends[:, 0] - counts[:, 0], counts[:, 0], ends[:, 1] - counts[:, 1], ends[:, 1]], 1
        ),
        "x_at": np.ascontiguousarray(lines[:, 1]),
        "w_at": np.ascontiguousarray(lines[:, 0]),
        "positions": np.concatenate([at for _, at in groups]),
    }
    # fmt: off
    parameters = (
        names["x"], names["w"], "out", "groups", len(groups), "x_at", "w_at", "positions",
        problem.lanes,
    )
    # fmt: on
    if len(pieces) == 1:
        return ContractionPlan(
            window_kernel(target, rows.line, pieces[0]), (*parameters, rows.size), tables
        )
    first, middle, last = pieces
    positions = first[0]
    out_last = rows.size - positions
    x_middle, x_last = (rows.x_of(at) - rows.x_of(0) for at in (positions, out_last))
    kernel = window_edges_kernel(target, rows.line, (first, middle, last))
    middles = -(-rows.size // positions) - 2
    return ContractionPlan(kernel, (*parameters, middles, x_middle, x_last, out_last), tables)


FORM = KernelForm("window", ContractionKind.LANES, _candidates)
