"""What `contract` and `packed` tiles cost, and their plans: the two that most forms end in.

Tiles(target, rows=512, taps=784).cycles((6, 4), vectors=4)
plan = contract_plan(target, shape, classes, rows, lanes=64, names={"x": "right", "w": "left"})
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from specc.backend.contraction.loops.contract import contract_kernel, pack_kernel, packed_kernel
from specc.backend.contraction.problem import Candidate
from specc.backend.contraction.target import Target
from specc.backend.contraction.tiling import SOON, Axis, ContractionPlan, runs_from

# Bytes of the batched operand that a tile runs over before the next rows have their turn. Weights
# that lie in rows are read best in long runs; in columns, they should stay in the nearest cache.
_LONG_SLICE, _SHORT_SLICE = 512 << 10, 16 << 10
# The same of packed weights, and cycles that it takes to pack one.
_PACKED_SLICE, _PACKING = 192 << 10, 1.5
# Products that one block of rows adds up without a break; more in slices, as a long float32 sum
# loses digits.
_LONGEST_RUN = 4096
# Shapes that many layers want, by the number of registers.
USUAL = {32: ((6, 4), (7, 3), (8, 2), (12, 1)), 16: ((4, 2), (7, 1))}
USUAL_PACKED = {32: ((8, 3), (6, 4), (12, 2), (16, 1)), 16: ((6, 2), (12, 1))}


@dataclass(frozen=True)
class Tiles:
    """Estimates of the cycles of tiles over `rows` rows, with constants fitted to measurements."""

    target: Target
    rows: int
    taps: int

    def candidates(
        self,
        vectors: int,
        cycles: Callable[[float], float],
        plan: Callable[[tuple[int, int]], ContractionPlan],
    ) -> Iterator[Candidate]:
        """`contract` tiles along so many vectors.

        `cycles` makes the cycles of all of them from those of one set of rows."""
        for shape in self.target.shapes(self.rows, vectors):
            usual = shape in USUAL[self.target.machine.registers]
            yield Candidate(shape, cycles(self.cycles(shape, vectors)), partial(plan, shape), usual)

    def candidates_packed(
        self,
        lists: list,
        vectors: list[int],
        more: float,
        plan: Callable[[tuple[int, int]], ContractionPlan],
        asks: bool = False,
    ) -> Iterator[Candidate]:
        """`packed` tiles, of lists of taps with so many vectors each; it takes `more` cycles."""
        for shape in self.target.packed_shapes(self.rows, max(vectors, default=1), asks):
            cycles = sum(
                self.packed(shape, len(taps), count)
                for (taps, _), count in zip(lists, vectors, strict=True)
            )
            usual = shape in USUAL_PACKED[self.target.machine.registers]
            yield Candidate(shape, cycles + more, partial(plan, shape), usual)

    def packing(self, lists: list) -> float:
        """Cycles to copy the weights of lists of taps in the order of `packed` tiles."""
        return _PACKING * sum(len(taps) for taps, _ in lists) * self.rows

    def cycles(self, shape: tuple[int, int], vectors: int) -> float:
        """Of `contract` tiles along so many vectors."""
        r, v = shape
        # Two products a cycle, each of which takes four; two loads a cycle. Few sums cannot quite
        # hide the latency, few rows load the columns often.
        tap = max(r * v / 2, 4.6, (r + v + 3) / 2) + max(24 - r * v, 0) / 24 + v / 20
        return self._blocks(shape, vectors) * (self.taps * 1.25 * tap + r * v + 20)

    def packed(self, shape: tuple[int, int], taps: int, vectors: int) -> float:
        """Of `packed` tiles over so many vectors and taps."""
        r, v = shape
        tap = max(r * v / 2, 4.6) * 1.12 + 0.08 * r + 0.15 * v
        return self._blocks(shape, vectors) * (taps * tap + r * v + 25)

    def _blocks(self, shape: tuple[int, int], vectors: int) -> int:
        return -(-self.rows // shape[0]) * -(-vectors // shape[1])


def contract_plan(
    target: Target, shape, classes: list, rows: Axis, lanes: int, names: dict
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
    size = target.bytes
    most = (_SHORT_SLICE if rows.steps[0] * size < 64 else _LONG_SLICE) // (step * size)
    if (row_blocks == 1 and longest <= _LONGEST_RUN) or longest <= 2 * most:
        most = max(longest, 1)
    scratch = row_blocks * r * step * size if longest > most else 0
    w_row, _, out_row = rows.steps
    # fmt: off
    parameters = (
        names["x"], names["w"], "out", "scratch", "classes", len(classes), "x_at", "w_at",
        "positions", rows.size, w_row, out_row, lanes, most, *SOON,
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
    target: Target, shape, lists: list, rows: Axis, lanes: int, names: dict, asks: bool = False
) -> ContractionPlan:
    """The plan of `packed` tiles; `lists` has taps, and the positions that use the same weights."""
    r, v = shape
    blocks = -(-rows.size // r)
    longest = max(len(taps) for taps, _ in lists)
    most = max(_PACKED_SLICE // (v * target.width * target.bytes), 1)
    if (blocks == 1 and longest <= _LONGEST_RUN) or longest <= 1.5 * most:
        most = max(longest, 1)
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
    )
    # fmt: off
    parameters = (
        names["x"], "packed", "out", "scratch", "classes", len(classes), "x_at", "columns",
        rows.size, out_row, most,
    )
    # fmt: on
    scratch = blocks * r * v * target.width * target.bytes if longest > most else 0
    return ContractionPlan(
        packed_kernel(target, shape, asks),
        parameters,
        tables,
        scratch,
        packing,
        packed * target.bytes,
        asks,
    )
