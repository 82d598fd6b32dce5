"""The weights' gradient for few lanes: transpose one operand, then use `contract` tiles."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import numpy as np

from specc.backend.contraction.cost import LINE, Cost
from specc.backend.contraction.gradient import Sums, sums_of
from specc.backend.contraction.loops.contract import contract_kernel, transpose_kernel
from specc.backend.contraction.problem import Candidate, ContractionKind, KernelForm, Problem
from specc.backend.contraction.target import Target
from specc.backend.contraction.tiled import USUAL
from specc.backend.contraction.tiling import PREFETCHED, ContractionPlan, runs_from
from specc.system.lazy import cached_property
from specc.system.records import dataclass

_MOST = 8 << 20  # the largest operand, in bytes, that is transposed


@dataclass(frozen=True, eq=False)
class Transposed:
    """Sums for which the operand of the taps is transposed: [term, tap], taps contiguous."""

    target: Target
    sums: Sums

    @property
    def taps(self) -> int:
        """The number of taps."""
        return self.sums.tap_axes[0].size

    @property
    def total(self) -> int:
        """The number of terms of a sum."""
        return len(self.sums.runs) * self.sums.used

    @property
    def row(self) -> int:
        """The elements from one term to the next.

        They are an odd number of cache lines, because rows a power of two apart map to the same
        cache sets, and because vectors within a line are loaded together.
        """
        line = LINE // self.target.bytes
        return line * (-(-self.taps // line) | 1)

    @cached_property
    def x_at(self) -> np.ndarray:
        """The offsets of the terms in the transposed operand."""
        return np.arange(self.total, dtype=np.int64) * self.row

    @cached_property
    def w_at(self) -> np.ndarray:
        """The offsets of the terms in a row of the other operand."""
        lanes = np.arange(self.sums.used, dtype=np.int64)
        return (self.sums.runs[:, :1] + self.sums.dy.constant + lanes).reshape(-1)

    @property
    def in_runs(self) -> int:
        """The number of terms that are contiguous in a row by whole vectors."""
        starts, count, width = runs_from(self.w_at, self.target.width), 0, self.target.width
        at = 0
        while at < len(starts):
            count += width if starts[at] else 0
            at += width if starts[at] else 1
        return count

    def waiting(self, cost: Cost, elements: int) -> float:
        """Return the cycles to wait for so many elements of the operand that is not transposed.

        Runs of lanes are apart, and no processor foresees where the next one starts. It foresees
        the rest of a run after two cache lines.
        """
        if len(self.sums.runs) == 1:
            return 0.0
        size = self.target.bytes
        unforeseen = min(1.0, 2 * LINE / (self.sums.used * size))
        return unforeseen * cost.moving(elements * size, self.sums.rows.size * self.total * size)

    def transposing(self, to: str) -> ContractionPlan:
        """Return the plan that transposes the operand into the memory `to`."""
        target, x, ends = self.target, self.sums.x, self.sums.runs
        step = self.sums.tap_axes[0].steps[1]
        # whole vectors are transposed, so the copy has some lanes beyond the last one
        size = (self.total + target.width) * self.row * target.bytes
        return ContractionPlan(
            transpose_kernel(target),
            (x.name, to, "ends", len(ends), self.sums.used, self.taps, step, self.row),
            {"ends": np.ascontiguousarray(ends[:, 1] + x.constant)},
            copied=size,
        )


def transposed_of(target: Target, sums: Sums) -> Transposed | None:
    """Return sums with a transposed operand; None if the taps are not an axis of the result."""
    if len(sums.tap_axes) != 1 or sums.tap_axes[0].steps[2] != 1 or len(sums.positions) != 1:
        return None
    found = Transposed(target, sums)
    is_small = found.taps * found.total * target.bytes <= _MOST
    return found if is_small and found.taps >= target.width else None


def _candidates(problem: Problem) -> Iterator[Candidate]:
    """Yield the candidates for both roles of the operands: rows from one, taps from the other."""
    for sums in sums_of(problem):
        if (found := transposed_of(problem.target, sums)) is not None:
            yield from _of(problem.target, found)


def _of(target: Target, given: Transposed) -> Iterator[Candidate]:
    rows, taps, total = given.sums.rows.size, given.taps, given.total
    cost = Cost(target)
    for shape in target.shapes(rows, taps // target.width):
        r, v = shape
        blocks = -(-rows // r) * -(-taps // (v * target.width))
        slice_ = _slice(cost, v, given)
        moving = cost.moving(v * cost.vector, slice_ * _touched(target, v))
        tile = total * cost.iteration(r * v, r + v + 3, moving)
        slices = -(-total // slice_)
        tile += slices * cost.ends(r * v, total / slices)
        cycles = blocks * tile + cost.transposed(taps * total, target.width)
        usual = shape in USUAL[target.machine.registers]
        yield Candidate(shape, cycles, partial(_plan, target, shape, given), usual)


def _touched(target: Target, vectors: int) -> int:
    """Return the bytes of the cache lines that a term's vectors are in."""
    size = vectors * target.width * target.bytes
    return size + LINE - math.gcd(size, LINE)


def _slice(cost: Cost, vectors: int, given: Transposed) -> int:
    """Return the terms of a slice; all slices are about equally long.

    The transposed operand takes half of the L1 cache. The rows' lines, which are apart, stay in the
    sets that they map to, so the next rows find what was prefetched.
    """
    target, runs = cost.target, given.sums.runs[:, 0]
    most = target.profile.l1 // 2 // _touched(target, vectors)
    if len(runs) > 1:
        step = int(np.gcd.reduce(np.diff(runs))) * target.bytes
        lines = int(target.profile.l1 * cost.spread(LINE, step)) // LINE
        most = min(most, lines * given.sums.used)
    wholes = -(-given.total // target.width)
    return -(-wholes // -(-wholes // max(1, most // target.width))) * target.width


def _plan(target: Target, shape: tuple[int, int], given: Transposed) -> ContractionPlan:
    dy, rows = given.sums.dy, given.sums.rows
    r, v = shape
    total, step = given.total, v * target.width
    most = _slice(Cost(target), v, given)
    transposing = given.transposing("packed")
    # fmt: off
    parameters = (
        "packed", dy.name, "out", "scratch", "groups", 1, "x_at", "w_at", "positions",
        rows.size, rows.steps[0], rows.steps[2], given.taps, most, *PREFETCHED, "x_at", 0,
    )
    # fmt: on
    return ContractionPlan(
        contract_kernel(target, shape),
        parameters,
        {
            "groups": np.array([[0, total, 0, 1]], np.int64),
            "positions": np.zeros((1, 3), np.int64),
            "x_at": given.x_at,
            "w_at": given.w_at,
        },
        -(-rows.size // r) * r * step * target.bytes if total > most else 0,
        transposing,
        transposing.copied,
        updating=contract_kernel(target, shape, True),
    )


FORM = KernelForm("transposed", ContractionKind.GRADIENT, _candidates)
