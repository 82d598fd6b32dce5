"""What `contract` and `packed` tiles cost, and their plans: the two that most forms end in.

Tiles(target, 512, 784, 784, x_bytes, loaded, step, out_bytes).cycles((6, 4), vectors=4)
plan = contract_plan(target, shape, classes, rows, lanes=64, names={"x": "right", "w": "left"})
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from specc.backend.contraction.cost import Cost
from specc.backend.contraction.loops.contract import contract_kernel, pack_kernel, packed_kernel
from specc.backend.contraction.problem import Candidate
from specc.backend.contraction.target import Target
from specc.backend.contraction.tiling import (
    PREFETCHED,
    ContractionPlan,
    LoopAxis,
    runs_from,
)
from specc.system.lazy import cached_property
from specc.system.records import dataclass

# Products that one block of rows adds up without a break; more in slices, as a long float32 sum
# loses digits.
_LONGEST_RUN = 4096
LINE = 64  # bytes of a cache line
_FIRST = 16  # cycles until the first of several lines is there to be written
_PACKING = 1.5  # to copy weights, times the transposition of their squares
_COPY = 10  # cycles to copy a few weights that lie side by side
# Shapes that many layers want, by the number of registers.
USUAL = {32: ((6, 4), (5, 4), (8, 2), (12, 1)), 16: ((6, 2), (4, 3), (12, 1))}
USUAL_PACKED = {32: ((12, 2), (8, 2), (6, 4), (16, 1)), 16: ((6, 2), (4, 3), (12, 1))}


@dataclass(frozen=True)
class Tiles:
    """Estimates of the cycles of tiles over `rows` rows.

    `taps` are those of a position, `w_row` elements from one row of the weights to the next; the
    batched operand has `x_bytes`, and `loaded` bytes are loaded from it for one row of the weights:
    more, where windows overlap. Taps are multiples of `step` bytes apart. The
    result has `out_bytes`."""

    target: Target
    rows: int
    taps: int
    w_row: int
    x_bytes: float
    loaded: float
    step: int
    out_bytes: float

    @cached_property
    def cost(self) -> Cost:
        """The target's figures."""
        return Cost(self.target)

    def candidates(
        self,
        lanes: int,
        cycles: Callable[[float], float],
        plan: Callable[[tuple[int, int]], ContractionPlan],
    ) -> Iterator[Candidate]:
        """`contract` tiles along so many lanes.

        `cycles` makes the cycles of all of them from those of one set of rows."""
        vectors = -(-lanes // self.target.width)
        for shape in self.target.shapes(self.rows, lanes // self.target.width):
            usual = shape in USUAL[self.target.machine.registers]
            yield Candidate(shape, cycles(self.cycles(shape, vectors)), partial(plan, shape), usual)

    def candidates_packed(
        self,
        lists: list,
        vectors: list[int],
        packing: float,
        plan: Callable[[tuple[int, int]], ContractionPlan],
        prefetches: bool = False,
    ) -> Iterator[Candidate]:
        """`packed` tiles, of lists of taps with so many vectors each; the weights are packed
        `packing` times."""
        alike = Counter((len(taps), count) for (taps, _), count in zip(lists, vectors, strict=True))
        for shape in self.target.packed_shapes(self.rows, max(vectors, default=1), prefetches):
            cycles = sum(
                number * self.packed(shape, taps, count) for (taps, count), number in alike.items()
            )
            usual = shape in USUAL_PACKED[self.target.machine.registers]
            if packing:
                cycles += packing * self.packing(shape, lists)
            yield Candidate(shape, cycles, partial(plan, shape), usual)

    def packing(self, shape: tuple[int, int], lists: list) -> float:
        """Cycles to copy the weights of lists of taps in the order of `packed` tiles."""
        taps = sum(len(taps) for taps, _ in lists)
        weights = taps * self.rows
        if self.w_row == 1:  # the rows of a block are copied for each tap
            return taps * -(-self.rows // shape[0]) * _COPY
        return _PACKING * self.cost.turned(weights, shape[0])

    def cycles(self, shape: tuple[int, int], vectors: int) -> float:
        """Cycles of `contract` tiles along so many vectors."""
        r, v = shape
        if not self.taps:
            return self.rows * self._zeros(vectors)
        slice_ = contract_slice(self.target, shape, self.rows, self.w_row, self.taps)
        # of each tap also its two offsets, and what is prefetched
        tap = self.cost.round(r * v, r + v + 3, self._moving(shape, slice_))
        tiles = self._blocks(shape, vectors)
        ends = -(-self.taps // slice_) * self.cost.ends(r * v) + self._leaving(shape)
        return tiles * (self.taps * tap + ends)

    def packed(self, shape: tuple[int, int], taps: int, vectors: int) -> float:
        """Cycles of `packed` tiles over so many vectors and taps."""
        r, v = shape
        if not taps:
            return self.rows * self._zeros(v) * vectors / v
        slice_ = packed_slice(self.target, shape, self.rows, taps)
        tap = self.cost.round(r * v, r + v + 1.5, self._moving(shape, slice_))
        tiles = self._blocks(shape, vectors)
        ends = -(-taps // slice_) * self.cost.ends(r * v) + self._leaving(shape)
        return tiles * (taps * tap + ends)

    def _leaving(self, shape: tuple[int, int]) -> float:
        """Cycles in which the lines come that a tile writes its results to."""
        lines = shape[0] * -(-shape[1] * self.cost.vector // LINE)
        return self.cost.moving(lines * LINE, self.out_bytes)

    def _zeros(self, vectors: int) -> float:
        """Cycles to store zeros in so many vectors side by side: the first line comes from afar."""
        return _FIRST + vectors / self.cost.stores

    def _moving(self, shape: tuple[int, int], taps: int) -> float:
        """Cycles of a tap in which vectors of a slice come, from wherever it is held."""
        size = shape[1] * self.cost.vector
        if self.x_bytes <= self.cost.l1 and size >= self.step:
            return 0.0
        whole, spread = size >= self.step, self.cost.spread(size, self.step)
        # the first rows find what is new where the whole operand is, the others where it is held
        first = 1 / -(-self.rows // shape[0])
        new = min(1.0, self.x_bytes / self.loaded)
        afar = self.cost.moving(size, self.x_bytes, whole, spread)
        near = self.cost.moving(size, taps * size, whole, spread)
        return first * new * afar + (1 - first) * near

    def _blocks(self, shape: tuple[int, int], vectors: int) -> int:
        return -(-self.rows // shape[0]) * -(-vectors // shape[1])


def step_of(classes: list, target: Target) -> int:
    """The bytes that taps of the batched operand are multiples of apart."""
    steps = [np.gcd.reduce(np.diff(taps[:, 1])) for taps, _ in classes if len(taps) > 1]
    return int(np.gcd.reduce(steps)) * target.bytes if steps else 0


def contract_slice(target: Target, shape: tuple[int, int], rows: int, w_row: int, taps: int) -> int:
    """The taps that a `contract` tile runs over before the next rows have their turn.

    Weights that lie in rows are read best in long runs, up to half of the L2 cache; in columns,
    what is read again should stay in the L1 cache."""
    in_columns = w_row * target.bytes < LINE
    size = target.profile.l1 // 3 if in_columns else target.profile.l2 // 2
    return _slice(size, target, shape, rows, taps, 2)


def packed_slice(target: Target, shape: tuple[int, int], rows: int, taps: int) -> int:
    """The same of a `packed` tile, whose weights come in sequence."""
    return _slice(3 * target.profile.l2 // 16, target, shape, rows, taps, 1.5)


def _slice(
    size: int, target: Target, shape: tuple[int, int], rows: int, taps: int, whole: float
) -> int:
    """The taps of a slice of at most `size` bytes; all, if they are at most so much more."""
    most = max(size // (shape[1] * target.width * target.bytes), 1)
    if (rows <= shape[0] and taps <= _LONGEST_RUN) or taps <= whole * most:
        return max(taps, 1)
    return most


def contract_plan(
    target: Target, shape, classes: list, rows: LoopAxis, lanes: int, names: dict
) -> ContractionPlan:
    """The plan of `contract` tiles."""
    r, v = shape
    step = v * target.width
    taps = np.concatenate([taps for taps, _ in classes])
    positions = np.concatenate([positions for _, positions in classes])
    counts = np.array([(len(taps), len(positions)) for taps, positions in classes], np.int64)
    ends = np.cumsum(counts, 0)
    table = np.stack(
        [ends[:, 0] - counts[:, 0], counts[:, 0], ends[:, 1] - counts[:, 1], ends[:, 1]], 1
    )

    row_blocks = -(-rows.size // r)
    longest = int(counts[:, 0].max())
    most = contract_slice(target, shape, rows.size, rows.steps[0], longest)
    scratch = row_blocks * r * step * target.bytes if longest > most else 0
    w_row, _, out_row = rows.steps
    # fmt: off
    parameters = (
        names["x"], names["w"], "out", "scratch", "classes", len(classes), "x_at", "w_at",
        "positions", rows.size, w_row, out_row, lanes, most, *PREFETCHED,
    )
    # fmt: on
    return ContractionPlan(
        contract_kernel(target, shape),
        parameters,
        {
            "classes": table,
            "positions": positions,
            "x_at": np.ascontiguousarray(taps[:, 1]),
            "w_at": np.ascontiguousarray(taps[:, 0]),
        },
        scratch,
        updating=contract_kernel(target, shape, True),
    )


def packed_plan(
    target: Target,
    shape,
    lists: list,
    rows: LoopAxis,
    lanes: int,
    names: dict,
    prefetches: bool = False,
) -> ContractionPlan:
    """The plan of `packed` tiles; `lists` has taps, and the positions that use the same weights."""
    r, v = shape
    blocks = -(-rows.size // r)
    longest = max(len(taps) for taps, _ in lists)
    most = packed_slice(target, shape, rows.size, longest)
    steps = np.minimum(np.arange(0, lanes, target.width), lanes - target.width)[:, None]
    classes, columns, w_at, packed, at = [], [], [], 0, 0
    first = 0
    for taps, positions in lists:
        own = (positions[:, None, 1:] + steps).reshape(-1, 2)
        own = np.concatenate([own, np.tile(own[-1:], (-len(own) % v, 1))])  # whole tiles
        classes.append((first, len(taps), packed, at, at + len(own)))
        columns.append(own)
        w_at.append(taps[:, 0] + positions[0, 0])
        packed += blocks * r * len(taps)
        first, at = first + len(taps), at + len(own)
    tables = {
        "classes": np.array(classes, np.int64),
        "columns": np.concatenate(columns),
        "x_at": np.concatenate([taps[:, 1] for taps, _ in lists]),
        "w_at": np.concatenate(w_at),
    }
    tables["runs"] = runs_from(tables["w_at"], target.width)
    w_row, _, out_row = rows.steps
    packing = ContractionPlan(
        pack_kernel(target),
        (names["w"], "packed", "classes", len(classes), "w_at", "runs", rows.size, w_row, most, r),
        tables,
        copied=packed * target.bytes,
    )
    # fmt: off
    parameters = (
        names["x"], "packed", "out", "scratch", "classes", len(classes), "x_at", "columns",
        rows.size, out_row, most,
    )
    # fmt: on
    scratch = blocks * r * v * target.width * target.bytes if longest > most else 0
    return ContractionPlan(
        packed_kernel(target, shape, prefetches),
        parameters,
        tables,
        scratch,
        packing,
        packed * target.bytes,
        prefetches,
    )
