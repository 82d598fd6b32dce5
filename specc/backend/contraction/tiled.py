"""The cycles and plans of `contract` and `packed` tiles, which most forms use.

Tiles(target, 512, 784, 784, x_bytes, loaded, step, out_bytes).cycles((6, 4), vectors=4)
plan = contract_plan(target, shape, groups, rows, lanes=64, names={"x": "right", "w": "left"})

`groups` are tap groups (see `tiling`): pairs of taps and of the positions that use them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from specc.backend.contraction.cost import LINE, Cost
from specc.backend.contraction.loops.contract import (
    contract_kernel,
    pack_kernel,
    pack_lines_kernel,
    packed_kernel,
)
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

# The most taps that are added up in one sum: longer float32 sums lose digits, and come in slices.
LONGEST_RUN = 1024
_FIRST = 16  # cycles until the first of several cache lines can be written
_ADDRESSES = 3  # cycles for the addresses of a few contiguous weights that are copied
# The shapes that suit many layers, by the number of registers.
USUAL = {32: ((6, 4), (5, 4), (8, 2), (12, 1)), 16: ((6, 2), (4, 3), (12, 1))}
USUAL_PACKED = {32: ((12, 2), (8, 2), (6, 4), (16, 1)), 16: ((6, 2), (4, 3), (12, 1))}


@dataclass(frozen=True)
class Tiles:
    """Estimates of the cycles of tiles over `rows` rows.

    `taps` is the number of taps of a position, `w_row` the elements from one row of the weights to
    the next. The batched operand has `x_bytes`. For one row of the weights, `loaded` bytes are
    loaded from it, which are more if windows overlap. Taps are multiples of `step` bytes apart, in
    the weights of `w_step`. The result has `out_bytes`. With `copied`, the columns of a slice are
    copied first.
    """

    target: Target
    rows: int
    taps: int
    w_row: int
    x_bytes: float
    loaded: float
    step: int
    out_bytes: float
    w_step: int = 0
    copied: bool = False

    @cached_property
    def cost(self) -> Cost:
        """The estimates of the target."""
        return Cost(self.target)

    def candidates(
        self,
        lanes: int,
        cycles: Callable[[float], float],
        plan: Callable[[tuple[int, int]], ContractionPlan],
    ) -> Iterator[Candidate]:
        """Yield the `contract` tiles along `lanes` lanes.

        `cycles` turns the cycles of the tiles at one position into those of all tiles.
        """
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
        """Yield the `packed` tiles for tap groups with `vectors` vectors each.

        The weights are packed `packing` times per call; it is a fraction if several calls reuse
        them.
        """
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
        """Return the cycles to copy the weights of tap groups in the order of `packed` tiles."""
        taps = sum(len(taps) for taps, _ in lists)
        weights = taps * self.rows
        if self.w_row == 1:  # the rows of a block are copied for each tap
            vectors = -(-shape[0] // self.target.width)
            line = vectors * (1 / self.cost.loads + 1 / self.cost.stores) + _ADDRESSES
            return taps * -(-self.rows // shape[0]) * line
        return self.cost.transposed(weights, shape[0])

    def cycles(self, shape: tuple[int, int], vectors: int) -> float:
        """Return the estimated cycles of `contract` tiles over `vectors` vectors."""
        r, v = shape
        if not self.taps:
            return self.rows * self._zeros(vectors)
        slice_ = contract_slice(self.target, shape, self.rows, self.w_row, self.taps)
        # a tap also loads its two offsets, and prefetches a line
        moving = self._moving(shape, slice_) + self._weights(r, slice_)
        tap = self.cost.iteration(r * v, r + v + 3, moving)
        tiles = self._blocks(shape, vectors)
        slices = -(-self.taps // slice_)
        ends = slices * self.cost.ends(r * v, self.taps / slices) + self._leaving(shape)
        copies = -(-vectors // v) * self._copying(v, self.taps) if self.copied else 0.0
        return tiles * (self.taps * tap + ends) + copies

    def _copying(self, vectors: int, taps: int) -> float:
        """Return the cycles to copy `taps` taps of `vectors` vectors."""
        size = vectors * self.cost.vector
        spread = self.cost.spread(size, self.step)
        far = self.cost.moving(size, self.x_bytes, size >= self.step, spread)
        return taps * (vectors * (1 / self.cost.loads + 1 / self.cost.stores) + far)

    def packed(self, shape: tuple[int, int], taps: int, vectors: int) -> float:
        """Return the estimated cycles of `packed` tiles over `taps` taps and `vectors` vectors."""
        r, v = shape
        if not taps:
            return self.rows * self._zeros(v) * vectors / v
        slice_ = packed_slice(self.target, shape, self.rows, taps)
        tap = self.cost.iteration(r * v, r + v + 1.5, self._moving(shape, slice_))
        tiles = self._blocks(shape, vectors)
        slices = -(-taps // slice_)
        ends = slices * self.cost.ends(r * v, taps / slices) + self._leaving(shape)
        copies = -(-vectors // v) * self._copying(v, taps) if self.copied else 0.0
        return tiles * (taps * tap + ends) + copies

    def _leaving(self, shape: tuple[int, int]) -> float:
        """Return the cycles to load the cache lines that a tile writes its results to."""
        lines = shape[0] * -(-shape[1] * self.cost.vector // LINE)
        return self.cost.moving(lines * LINE, self.out_bytes)

    def _zeros(self, vectors: int) -> float:
        """Return the cycles to store zeros in contiguous vectors, whose first line is not in L1."""
        return _FIRST + vectors / self.cost.stores

    def _moving(self, shape: tuple[int, int], taps: int) -> float:
        """Return the cycles per tap to load the vectors of a slice into the L1 cache."""
        size = shape[1] * self.cost.vector
        if self.x_bytes <= self.cost.l1 and size >= self.step:
            return 0.0
        if self.copied:
            return self.cost.moving(size, taps * size, True)
        whole, spread = size >= self.step, self.cost.spread(size, self.step)
        lines = size if whole else max(size, LINE)
        # the first rows load new data of the whole operand, the other rows load the slice again
        first = 1 / -(-self.rows // shape[0])
        new = min(1.0, self.x_bytes / self.loaded)
        load = self.cost.moving(lines, self.x_bytes, whole, spread)
        reload = self.cost.moving(lines, taps * lines, whole, spread)
        return first * new * load + (1 - first) * reload

    def _weights(self, rows: int, taps: int) -> float:
        """Return the cycles to load a tap's weights.

        Strided weights take a cache line for a few rows. The next rows find the rest of the line in
        the L1 cache if the lines of a slice fit there. Weights that are contiguous along the taps
        are in as many lines as rows; these are loaded again if they leave the sets they map to.
        """
        if not in_columns(self.target, self.w_row):
            size = self.target.bytes
            once = self.cost.moving(rows * size, self.rows * self.taps * size, True)
            spread = self.cost.spread(LINE, self.w_row * size)
            return once + self.cost.moving(rows * LINE, rows * LINE, True, spread)
        spread = self.cost.spread(LINE, self.w_step)
        first = min(1.0, rows * self.target.bytes / LINE)  # the part of the uses of a line
        load = self.cost.moving(LINE, self.taps * self.w_step, spread=spread)
        reload = self.cost.moving(LINE, taps * LINE, spread=spread)
        return first * load + (1 - first) * reload

    def _blocks(self, shape: tuple[int, int], vectors: int) -> int:
        return -(-self.rows // shape[0]) * -(-vectors // shape[1])


def step_of(groups: list, target: Target, operand: int = 1) -> int:
    """Return the greatest common divisor of the distances between taps in x, in bytes.

    With `operand=0`, of those in the weights.
    """
    steps = [np.gcd.reduce(np.diff(taps[:, operand])) for taps, _ in groups if len(taps) > 1]
    return int(np.gcd.reduce(steps)) * target.bytes if steps else 0


def in_columns(target: Target, w_row: int) -> bool:
    """Return whether a cache line holds weights of several rows."""
    return w_row * target.bytes < LINE


def contract_slice(target: Target, shape: tuple[int, int], rows: int, w_row: int, taps: int) -> int:
    """Return the taps that a `contract` tile processes before moving to the next rows.

    Weights that are contiguous along the taps are best read in long slices, whose x fills up to
    half of the L2 cache. Strided weights need short slices, whose x stays in the L1 cache.
    """
    size = target.profile.l1 // 3 if in_columns(target, w_row) else target.profile.l2 // 2
    return _slice(size, target, shape, rows, taps, 2)


def packed_slice(target: Target, shape: tuple[int, int], rows: int, taps: int) -> int:
    """Return the taps that a `packed` tile processes before moving to the next rows."""
    return _slice(3 * target.profile.l2 // 16, target, shape, rows, taps, 1.5)


def _slice(
    size: int, target: Target, shape: tuple[int, int], rows: int, taps: int, whole: float
) -> int:
    """Return the taps of a slice of at most `size` bytes, and at most `LONGEST_RUN`.

    All taps are one slice if they are at most `whole` times as many as fit.
    """
    most = max(size // (shape[1] * target.width * target.bytes), 1)
    if rows <= shape[0] or taps <= whole * most:
        most = max(taps, 1)
    slices = -(-most // LONGEST_RUN)
    return -(-most // slices)


def contract_plan(
    target: Target,
    shape,
    groups: list,
    rows: LoopAxis,
    lanes: int,
    names: dict,
    copied: bool = False,
) -> ContractionPlan:
    """Return the plan of `contract` tiles, whose columns may be `copied` first."""
    r, v = shape
    step = v * target.width
    taps = np.concatenate([taps for taps, _ in groups])
    positions = np.concatenate([positions for _, positions in groups])
    counts = np.array([(len(taps), len(positions)) for taps, positions in groups], np.int64)
    ends = np.cumsum(counts, 0)
    table = np.stack(
        [ends[:, 0] - counts[:, 0], counts[:, 0], ends[:, 1] - counts[:, 1], ends[:, 1]], 1
    )

    row_blocks = -(-rows.size // r)
    longest = int(counts[:, 0].max())
    most = contract_slice(target, shape, rows.size, rows.steps[0], longest)
    kept = row_blocks * r * step * target.bytes if longest > most else 0
    copy = min(most, longest) * step * target.bytes if copied else 0
    lines = {"line_at": np.arange(min(most, longest)) * step} if copied else {}
    w_row, _, out_row = rows.steps
    # fmt: off
    parameters = (
        names["x"], names["w"], "out", "scratch", "groups", len(groups), "x_at", "w_at",
        "positions", rows.size, w_row, out_row, lanes, most, *PREFETCHED,
        "line_at" if copied else "x_at", kept,
    )
    # fmt: on
    return ContractionPlan(
        contract_kernel(target, shape, copied=copied),
        parameters,
        {
            "groups": table,
            "positions": positions,
            "x_at": np.ascontiguousarray(taps[:, 1]),
            "w_at": np.ascontiguousarray(taps[:, 0]),
            **lines,
        },
        kept + copy,
        updating=contract_kernel(target, shape, True, copied),
    )


def packed_plan(
    target: Target,
    shape,
    lists: list,
    rows: LoopAxis,
    lanes: int,
    names: dict,
    prefetches: bool = False,
    copied: bool = False,
) -> ContractionPlan:
    """Return the plan of `packed` tiles for tap groups, each of which uses the same weights.

    The columns may be `copied` first.
    """
    r, v = shape
    blocks = -(-rows.size // r)
    longest = max(len(taps) for taps, _ in lists)
    most = packed_slice(target, shape, rows.size, longest)
    steps = np.minimum(np.arange(0, lanes, target.width), lanes - target.width)[:, None]
    groups, columns, w_at, packed, at = [], [], [], 0, 0
    first = 0
    for taps, positions in lists:
        own = (positions[:, None, 1:] + steps).reshape(-1, 2)
        own = np.concatenate([own, np.tile(own[-1:], (-len(own) % v, 1))])  # fill the last tile
        groups.append((first, len(taps), packed, at, at + len(own)))
        columns.append(own)
        w_at.append(taps[:, 0] + positions[0, 0])
        packed += blocks * r * len(taps)
        first, at = first + len(taps), at + len(own)
    tables = {
        "groups": np.array(groups, np.int64),
        "columns": np.concatenate(columns),
        "x_at": np.concatenate([taps[:, 1] for taps, _ in lists]),
        "w_at": np.concatenate(w_at),
    }
    tables["runs"] = runs_from(tables["w_at"], target.width)
    lines = ("x_at", "columns")
    if copied:
        lines = ("line_at", "own")
        step = v * target.width
        beside = np.arange(len(tables["columns"])) % v * target.width
        tables["line_at"] = np.arange(min(most, longest)) * step
        tables["own"] = np.stack([beside, tables["columns"][:, 1]], 1)
    w_row, _, out_row = rows.steps
    size = (packed + target.width) * target.bytes  # a vector more, see `pack_kernel`
    names_of = names["w"], "packed", "groups", len(groups), "w_at"
    if w_row == 1:
        packing = ContractionPlan(
            pack_lines_kernel(target), (*names_of, rows.size, most, r), tables, copied=size
        )
    else:
        packing = ContractionPlan(
            pack_kernel(target), (*names_of, "runs", rows.size, w_row, most, r), tables, copied=size
        )
    kept = blocks * r * v * target.width * target.bytes if longest > most else 0
    copy = min(most, longest) * v * target.width * target.bytes if copied else 0
    # fmt: off
    parameters = (
        names["x"], "packed", "out", "scratch", "groups", len(groups), "x_at", "columns",
        rows.size, out_row, most, *lines, kept,
    )
    # fmt: on
    return ContractionPlan(
        packed_kernel(target, shape, prefetches, copied),
        parameters,
        tables,
        kept + copy,
        packing,
        size,
        prefetches,
    )
