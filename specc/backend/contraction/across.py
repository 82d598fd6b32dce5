"""What `across` tiles cost, and their plans: their vectors lie across the rows of the weights.

across = Across(target, rows, classes, names, run=14, step=1)
across.cycles((14, 2))               # 14 positions, 2 vectors of rows
across.plan((14, 2))
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from specc.backend.contraction.cost import Cost
from specc.backend.contraction.loops.single import across_kernel, pack_across_kernel
from specc.backend.contraction.target import Target
from specc.backend.contraction.tiled import LINE
from specc.backend.contraction.tiling import ContractionPlan, LoopAxis, runs_from
from specc.system.lazy import cached_property
from specc.system.records import dataclass

# Not every number: each is one more kernel to compile.
_POSITIONS = (1, 2, 4, 7, 8, 10, 12, 14)
_MOST_VECTORS = 8


def shapes(target: Target) -> list[tuple[int, int]]:
    """The positions and vectors of tiles whose sums, weights and one value fit the registers."""
    registers = target.machine.registers
    return [
        (q, v) for q in _POSITIONS for v in range(1, _MOST_VECTORS + 1) if (q + 1) * v < registers
    ]


@dataclass(frozen=True, eq=False)
class Across:
    """Tiles over `rows` of weights, and lists of taps, each with the positions that use it.

    At a position, `run` results lie side by side, whose values are `step` elements of the batched
    operand apart. The weights are packed once for so many `calls`, or are there (`kept`). If the
    tiles are `padded`, the last result of a run is written up to the end of a vector.
    """

    target: Target
    rows: LoopAxis
    classes: list
    names: Mapping[str, str]
    run: int
    step: int
    calls: int
    kept: bool
    padded: bool = False

    @cached_property
    def cost(self) -> Cost:
        """The target's figures."""
        return Cost(self.target)

    @property
    def bytes(self) -> int:
        """Bytes of the weights."""
        return self.rows.size * sum(len(taps) for taps, _ in self.classes) * self.target.bytes

    def cycles(self, shape: tuple[int, int]) -> float:
        """Cycles of all tiles, and of this call's part of the packing."""
        cost, width = self.cost, self.target.width
        q, v = shape
        blocks = -(-self.rows.size // (v * width))
        total = 0.0
        for taps, positions in self.classes:
            # the values, the weights, the lines of these that are prefetched, and an offset
            loads = q + v + v * cost.vector / LINE + 1
            moving = cost.moving(v * cost.vector, self.bytes, in_sequence=True)
            tile = len(taps) * cost.round(q * v, loads, moving)
            tile += v * cost.turned(width * (width if self.padded else q), width)
            tile += v * width / cost.stores + cost.ends(0)
            total += len(positions) * -(-self.run // q) * blocks * tile
            if not self.kept:
                weights = blocks * v * width * len(taps)
                total += cost.turned(weights, width) / self.calls
        return total

    def plan(self, shape: tuple[int, int], prefetches: bool = False) -> ContractionPlan:
        """The plan, whose tiles may prefetch what other threads have written."""
        target, rows, classes = self.target, self.rows, self.classes
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
        w, x = self.names["w"], self.names["x"]
        packing = ContractionPlan(
            pack_across_kernel(target, shape[1]),
            (w, "packed", "classes", len(classes), "w_at", "runs", rows.size, w_row),
            tables,
            copied=packed * target.bytes,
        )
        # fmt: off
        parameters = (
            x, "packed", "out", "classes", len(classes), "x_at", "positions", rows.size, out_row,
            self.run,
        )
        # fmt: on
        return ContractionPlan(
            across_kernel(target, shape, self.step, prefetches, self.padded),
            parameters,
            tables,
            0,
            packing,
            packed * target.bytes,
            prefetches,
        )
