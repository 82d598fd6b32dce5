"""The cycles and plans of `across` tiles, whose vectors are across the rows of the weights.

across = Across(target, rows, groups, names, run=14, step=1)
across.cycles((14, 2))               # 14 positions, 2 vectors of rows
across.plan((14, 2))
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from specc.backend.contraction.cost import LINE, Cost
from specc.backend.contraction.loops.single import (
    across_kernel,
    copy_across_kernel,
    pack_across_kernel,
)
from specc.backend.contraction.target import Target
from specc.backend.contraction.tiled import LONGEST_RUN
from specc.backend.contraction.tiling import ContractionPlan, LoopAxis, runs_from
from specc.system.lazy import cached_property
from specc.system.records import dataclass

# The positions of a tile. Some are left out, because each is one more kernel to compile.
_POSITIONS = (1, 2, 4, 7, 8, 10, 12, 14)
_MOST_VECTORS = 8


def shapes(target: Target) -> list[tuple[int, int]]:
    """Return the positions and vectors of the tiles that fit in the registers.

    A tile needs registers for its accumulators, its weights and one value.
    """
    registers = target.machine.registers
    return [
        (q, v) for q in _POSITIONS for v in range(1, _MOST_VECTORS + 1) if (q + 1) * v < registers
    ]


@dataclass(frozen=True, eq=False)
class Across:
    """`across` tiles over `rows` of weights and tap groups.

    At a position, `run` results are contiguous; the values that they read are `step` elements of
    the batched operand apart. The weights are packed once for `calls` calls, or are packed already
    (`kept`). With `padded`, the last result of a run is repeated up to the end of a vector.
    """

    target: Target
    rows: LoopAxis
    groups: list
    names: Mapping[str, str]
    run: int
    step: int
    calls: int
    kept: bool
    padded: bool = False

    @cached_property
    def cost(self) -> Cost:
        """The estimates of the target."""
        return Cost(self.target)

    @property
    def bytes(self) -> int:
        """The bytes of the weights."""
        return self.rows.size * sum(len(taps) for taps, _ in self.groups) * self.target.bytes

    @cached_property
    def _w_at(self) -> np.ndarray:
        """The offsets of all taps in the weights."""
        return np.concatenate([taps[:, 0] + positions[0, 0] for taps, positions in self.groups])

    @cached_property
    def _earlier(self) -> np.ndarray:
        """For each tap the first one with the same weights; -1 if it is itself the first one."""
        firsts: dict[int, int] = {}
        found = [firsts.setdefault(at, n) for n, at in enumerate(self._w_at.tolist())]
        return np.where(np.array(found, np.int64) < np.arange(len(found)), found, -1)

    @cached_property
    def _packed(self) -> tuple[int, int, int]:
        """The taps that are packed in squares, one by one, and as a copy of an earlier tap.

        Those in squares are contiguous in the weights.
        """
        width, start, squares, copies = self.target.width, 0, 0, 0
        runs, earlier = runs_from(self._w_at, width).tolist(), self._earlier.tolist()
        for taps, _ in self.groups:
            end, at = start + len(taps), start
            while at < end:
                is_copy = earlier[at] >= 0
                is_square = not is_copy and at + width <= end and runs[at]
                copies, squares = copies + is_copy, squares + (width if is_square else 0)
                at += width if is_square else 1
            start = end
        return squares, len(earlier) - squares - copies, copies

    def cycles(self, shape: tuple[int, int]) -> float:
        """Return the estimated cycles of all tiles, and of this call's part of the packing."""
        cost, width = self.cost, self.target.width
        q, v = shape
        blocks = -(-self.rows.size // (v * width))
        total = 0.0
        for taps, positions in self.groups:
            # loads: the values, the weights, the weights' lines to prefetch, and an offset
            loads = q + v + v * cost.vector / LINE + 1
            moving = cost.moving(v * cost.vector, self.bytes, in_sequence=True)
            tile = len(taps) * cost.iteration(q * v, loads, moving)
            tile += v * cost.transposed(width * (width if self.padded else q), width)
            tile += v * width / cost.stores + cost.start(len(taps))
            total += len(positions) * -(-self.run // q) * blocks * tile
        if not self.kept:
            total += self._packing(v) / self.calls
        return total

    def _packing(self, vectors: int) -> float:
        """Return the estimated cycles of packing weights for tiles of so many vectors."""
        cost, rows, width = self.cost, self.rows.size, self.target.width
        squares, single, copies = self._packed
        lines = -(-rows // (vectors * width)) * vectors  # whole vectors of a tap's rows
        if self.rows.steps[0] == 1:
            return cost.copied(lines * (squares + single + copies))
        whole = rows // width * width
        elements = rows * single + (rows - whole) * squares
        return cost.transposed(whole * squares, width) + cost.copied(elements + lines * copies)

    def plan(self, shape: tuple[int, int], prefetches: bool = False) -> ContractionPlan:
        """Return the plan; with `prefetches`, tiles prefetch data written by other threads."""
        target, rows, groups = self.target, self.rows, self.groups
        line = shape[1] * target.width
        table, first, packed, at = [], 0, 0, 0
        for taps, positions in groups:
            table.append((first, len(taps), packed, at, at + len(positions)))
            first, at = first + len(taps), at + len(positions)
            packed += -(-rows.size // line) * line * len(taps)
        tables = {
            "groups": np.array(table, np.int64),
            "x_at": np.concatenate([taps[:, 1] for taps, _ in groups]),
            "w_at": self._w_at,
            "positions": np.concatenate([positions[:, 1:] for _, positions in groups]),
        }
        kept = shape[0] * line * target.bytes
        longest = max(len(taps) for taps, _ in groups)
        # a sum that has to come in slices comes in short ones, and keeps more digits
        most = LONGEST_RUN if longest <= LONGEST_RUN else LONGEST_RUN // 8
        w_row, _, out_row = rows.steps
        w, x = self.names["w"], self.names["x"]
        more: tuple[str | int, ...] = (rows.size,)
        if w_row == 1:
            kernel = copy_across_kernel(target, shape[1])
        else:
            of_tap = np.repeat(tables["groups"], tables["groups"][:, 1], axis=0)
            # the start of each tap's weights, and the step to the next block of rows
            starts = of_tap[:, 2] + line * (np.arange(first) - of_tap[:, 0])
            packed_at = np.stack([starts, line * of_tap[:, 1]], 1)[self._earlier]
            packed_at[self._earlier < 0] = -1
            tables |= {"runs": runs_from(self._w_at, target.width), "packed_at": packed_at}
            kernel = pack_across_kernel(target, shape[1], bool((self._earlier >= 0).any()))
            more = ("runs", "packed_at", rows.size, w_row)
        packing = ContractionPlan(
            kernel,
            (w, "packed", "groups", len(groups), "w_at", *more),
            tables,
            copied=packed * target.bytes,
        )
        # fmt: off
        parameters = (
            x, "packed", "out", "groups", len(groups), "x_at", "positions", rows.size, out_row,
            self.run, most, "scratch",
        )
        # fmt: on
        return ContractionPlan(
            across_kernel(target, shape, self.step, prefetches, self.padded),
            parameters,
            tables,
            kept if longest > most else 0,
            packing,
            packed * target.bytes,
            prefetches,
        )
