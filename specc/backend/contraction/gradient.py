"""The weights' gradient as a sum over lanes, for the forms that compute it.

sums = Sums.of(problem, dy, x)       # rows of the tiles from dy, taps from x
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from specc.backend.contraction.cost import LINE, Cost
from specc.backend.contraction.problem import Problem
from specc.backend.contraction.target import Target
from specc.backend.contraction.tiling import Linear, LoopAxis, merged, offsets
from specc.system.records import dataclass

# The most terms of a slice in each lane: the error of a float32 sum grows with its terms. The sums
# of slices are added up in float64.
LONGEST = 128
_SEGMENT_VECTORS = 64  # the most vectors of a segment


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over lanes, with the rows of the tiles from dy and the taps from x.

    `taps` [n, 2] holds offsets in x and the result, `positions` [n, 3] offsets in dy, x and the
    result. `segments` [n, 3] holds offsets in dy and x, and the number of vectors, which are
    `stride` vectors apart in x. `runs` [n, 2] holds the offsets where runs of `used` lanes start.
    """

    dy: Linear
    x: Linear
    rows: LoopAxis
    tap_axes: list[LoopAxis]
    taps: np.ndarray
    positions: np.ndarray
    segments: np.ndarray
    stride: int
    runs: np.ndarray
    used: int
    steps: int  # iterations of an `outer` tile, one for each vector
    x_bytes: int
    dy_bytes: int

    def cycles(self, target: Target, shape: tuple[int, int]) -> float:
        """Return the estimated cycles of `outer` tiles."""
        r, t = shape
        cost = Cost(target)
        row_blocks, tap_blocks = -(-self.rows.size // r), -(-len(self.taps) // t)
        segments = len(self.segments)
        moving = self._moving_x(cost, t, row_blocks) + self._moving_dy(cost, r, tap_blocks)
        moving = moving / self.steps + self._again(cost, r)
        step = cost.iteration(r * t, r + t + 1, moving)
        # a segment loads three numbers of a table, and computes the addresses of all rows and taps
        segment = cost.start(self.steps / segments) + (3 + r + t) / cost.loads
        tile = self.steps * step + segments * segment
        tile += cost.added_up(r * t) + cost.ends(r * t, segments)
        return len(self.positions) * row_blocks * tap_blocks * tile

    def most(self, target: Target, rows: int) -> int:
        """Return the most segments of a slice: a tile's rows stay in the L1 cache for all taps."""
        total, vector = int(self.segments[:, 2].sum()), target.width * target.bytes
        most = 2 * target.profile.l1 // 3 * len(self.segments) // (rows * total * vector)
        return max(1, min(most, LONGEST * len(self.segments) // total))

    def _moving_x(self, cost: Cost, taps: int, row_blocks: int) -> float:
        """Return the cycles to load the vectors of a tile's taps into the L1 cache."""
        apart = self.tap_axes[0].steps[1] if len(self.tap_axes) == 1 else 0
        runs = self._runs(cost, 1, taps, apart)
        # the taps of a convolution overlap: one loads mostly data that another has loaded before
        new = min(runs.bytes, self.x_bytes / -(-len(self.taps) // taps))
        # every block of rows loads all of x, and its own part of dy
        return cost.moving_runs(new, self.x_bytes + self.dy_bytes / row_blocks, runs.size)

    def _moving_dy(self, cost: Cost, rows: int, tap_blocks: int) -> float:
        """Return the cycles to load the vectors of a tile's rows into the L1 cache.

        The first taps load them from dy, the other taps load those of a slice again.
        """
        runs = self._runs(cost, 0, rows, self.rows.steps[0])
        first = cost.moving_runs(runs.bytes, self.x_bytes + self.dy_bytes, runs.size)
        slice_ = min(1.0, self.most(cost.target, rows) / len(self.segments)) * runs.bytes
        again = cost.moving_runs(runs.bytes, slice_, runs.size, runs.step)
        return (first + (tap_blocks - 1) * again) / tap_blocks

    def _again(self, cost: Cost, rows: int) -> float:
        """Return the cycles per vector to load lines of a tile's rows again.

        A line has several vectors. It leaves the L1 cache between them if the lines of all rows map
        to too few sets.
        """
        spread = cost.spread(LINE, self.rows.steps[0] * cost.target.bytes)
        again = max(0.0, 1 - cost.vector / LINE)
        return again * cost.moving(rows * LINE, rows * LINE, True, spread)

    def _runs(self, cost: Cost, operand: int, count: int, apart: int) -> Runs:
        width = cost.target.width
        starts, lengths = self.segments[:, operand], self.segments[:, 2] * width
        if operand == 1 and self.stride > 1:  # each vector is apart from the next one
            counts = self.segments[:, 2]
            first = np.repeat(np.cumsum(counts) - counts, counts)
            within = np.arange(counts.sum()) - first
            starts = np.repeat(starts, counts) + within * self.stride * width
            lengths = np.full(len(starts), width)
        return runs_of(starts, lengths, count, apart, cost.target.bytes)

    @classmethod
    def of(cls, problem: Problem, dy: Linear, x: Linear) -> Sums:
        """Return the sums of a problem."""
        op, target, out = problem.op, problem.target, problem.operands[2]
        lanes, examples = problem.lanes, problem.examples
        kept = set(out.steps)
        own = merged(op, [i for i in kept if i not in x], (dy, x, out))
        rows = max(own, key=lambda axis: axis.size, default=LoopAxis(1, (0, 0, 0)))
        tap_axes = merged(op, [i for i in kept if i not in dy], (dy, x, out))
        shared = merged(op, [i for i in kept if i in dy and i in x], (dy, x, out))
        others = [axis for axis in own if axis is not rows] + shared
        summed = merged(op, [i for i in problem.indices if i not in kept], (dy, x))
        positions = offsets(others, 3) + np.array([dy.constant, x.constant, 0])
        taps = offsets(tap_axes[::-1], 3)[:, 1:]

        # runs of lanes, of which only the examples count
        runs, used = offsets(summed[::-1], 2), examples
        # a summed axis that continues where the contiguous lanes end lengthens the segments
        length = lanes
        for axis in sorted(summed, key=lambda axis: axis.steps):
            if axis.steps == (length, length):
                length *= axis.size
                summed = [each for each in summed if each is not axis]
        ends = offsets(summed[::-1], 2)
        if examples == lanes:
            runs, used = ends, length
        # so does one that continues in dy and skips in x, as in convolutions with a stride
        stride = 1
        for axis in summed if length == target.width else ():
            if axis.steps[0] == length and axis.steps[1] % length == 0 < axis.steps[1]:
                stride = axis.steps[1] // length
                length *= axis.size
                ends = offsets([each for each in summed[::-1] if each is not axis], 2)
                break
        segments = _cut(ends, length, target.width, stride)
        steps = len(ends) * length // target.width
        # fmt: off
        return cls(
            dy, x, rows, tap_axes, taps, positions, segments, stride, runs, used, steps,
            problem.bytes_of(x.name), problem.bytes_of(dy.name),
        )
        # fmt: on


@dataclass(frozen=True)
class Runs:
    """Runs of whole cache lines that a tile reads: their number, and the bytes of each.

    They are multiples of `step` bytes apart.
    """

    number: int
    size: int
    step: int

    @property
    def bytes(self) -> int:
        """The bytes of all runs."""
        return self.number * self.size


def runs_of(starts: np.ndarray, lengths: np.ndarray, count: int, apart: int, item: int) -> Runs:
    """Return the runs of contiguous pieces of memory, in each of `count` rows.

    The pieces and the distance of the rows, `apart`, are in elements of `item` bytes.
    """
    breaks = np.flatnonzero(np.diff(starts) != lengths[:-1]) + 1
    number = len(breaks) + 1
    run = int(lengths.sum()) // number
    together = count if run == apart else 1  # the runs of several rows may be one
    size = -(-together * run * item // LINE) * LINE
    steps = np.diff(starts[np.concatenate([[0], breaks])])
    return Runs(number * count // together, size, int(np.gcd.reduce(steps)) * item)


@lru_cache(maxsize=8)
def sums_of(problem: Problem) -> tuple[Sums, Sums]:
    """Return the sums for both orders of the operands."""
    first, second = problem.pairs
    return Sums.of(problem, *first), Sums.of(problem, *second)


def _cut(ends: np.ndarray, length: int, width: int, stride: int) -> np.ndarray:
    """Return segments of at most `_SEGMENT_VECTORS` vectors, int64 [n, 3].

    A segment is its offsets in both operands, and the number of its vectors.
    """
    starts = np.arange(0, length, _SEGMENT_VECTORS * width)
    counts = np.minimum(_SEGMENT_VECTORS, (length - starts) // width)
    places = starts[:, None] * np.array([1, stride])
    cut = (ends[:, None, :] + places[None]).reshape(-1, 2)
    return np.concatenate([cut, np.tile(counts, len(ends))[:, None]], 1)
