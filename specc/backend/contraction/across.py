"""The cycles and plans of `across` tiles, whose vectors are across the rows of the weights.

across = Across(target, rows, groups, names, run=14, step=1)
across.cycles((14, 2))               # 14 positions, 2 vectors of rows
across.plan((14, 2))
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from specc.backend.contraction.cost import LINE, Cost
from specc.backend.contraction.loops.single import across_kernel, pack_across_kernel
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
    def _in_runs(self) -> list[int]:
        """The taps of each group that are packed in squares: they are contiguous in the weights."""
        width, found = self.target.width, []
        for taps, _ in self.groups:
            runs, at, count = runs_from(taps[:, 0], width).tolist(), 0, 0
            while at < len(runs):
                step = width if runs[at] else 1
                count += width if runs[at] else 0
                at += step
            found.append(count)
        return found

    def cycles(self, shape: tuple[int, int]) -> float:
        """Return the estimated cycles of all tiles, and of this call's part of the packing."""
        cost, width = self.cost, self.target.width
        q, v = shape
        blocks = -(-self.rows.size // (v * width))
        total = 0.0
        for (taps, positions), in_runs in zip(self.groups, self._in_runs, strict=True):
            # loads: the values, the weights, the weights' lines to prefetch, and an offset
            loads = q + v + v * cost.vector / LINE + 1
            moving = cost.moving(v * cost.vector, self.bytes, in_sequence=True)
            tile = len(taps) * cost.iteration(q * v, loads, moving)
            tile += v * cost.transposed(width * (width if self.padded else q), width)
            tile += v * width / cost.stores + cost.start(len(taps))
            total += len(positions) * -(-self.run // q) * blocks * tile
            if not self.kept:
                whole = self.rows.size // width * width * in_runs
                single = self.rows.size * len(taps) - whole
                packing = cost.transposed(whole, width) + cost.copied(single)
                total += packing / self.calls
        return total

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
            "w_at": np.concatenate([taps[:, 0] + positions[0, 0] for taps, positions in groups]),
            "positions": np.concatenate([positions[:, 1:] for _, positions in groups]),
        }
        tables["runs"] = runs_from(tables["w_at"], target.width)
        kept = shape[0] * line * target.bytes
        longest = max(len(taps) for taps, _ in groups)
        # a sum that has to come in slices comes in short ones, and keeps more digits
        most = LONGEST_RUN if longest <= LONGEST_RUN else LONGEST_RUN // 8
        w_row, _, out_row = rows.steps
        w, x = self.names["w"], self.names["x"]
        packing = ContractionPlan(
            pack_across_kernel(target, shape[1]),
            (w, "packed", "groups", len(groups), "w_at", "runs", rows.size, w_row),
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
