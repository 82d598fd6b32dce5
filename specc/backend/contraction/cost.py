"""Estimated cycles of the loops of tiles, derived from the machine's profile.

    cost = Cost(target)
    moving = cost.moving(256, of=200 << 10)                # cycles to load 256 bytes of 200 KB
    cost.iteration(products=24, loads=13, moving=moving)   # cycles of an iteration of a tile's loop

The units of a core work in parallel. An iteration takes as long as the busiest unit, and a little
longer if another unit is nearly as busy.
"""

from __future__ import annotations

import math

from specc.backend.contraction.target import Target
from specc.backend.machine.profile import APART
from specc.system.lazy import cached_property
from specc.system.records import dataclass

# The sharpness of the maximum over the units: with 8, two equally busy units take 9% longer than
# one.
_SHARPNESS = 8
# The bytes of a way of the L1 cache; on nearly all processors, the size of a page of memory.
_WAY = 4096
LINE = 64  # bytes of a cache line
# The fraction of the L1 cache that is available for data that is used repeatedly.
_OWN = 0.75
# The factor on the multiply-adds' latency, because dependent chains never hide it completely.
_LATENCY = 1.15
# The iterations of a loop that a core executes ahead, a few hundred instructions.
_AHEAD = 64
# The cycles before a tile's first multiply-add: computing addresses, and a mispredicted branch.
_START = 20


@dataclass(frozen=True)
class Cost:
    """Estimates of cycles for the tiles of a target."""

    target: Target

    @property
    def _bits(self) -> int:
        return self.target.machine.vector_bits

    @cached_property
    def products(self) -> float:
        """The multiply-adds of vectors per cycle."""
        return self.target.profile.products(self._bits)

    @cached_property
    def loads(self) -> float:
        """The vectors, or numbers broadcast to vectors, that are loaded per cycle."""
        return self.target.profile.loads(self._bits)

    @cached_property
    def stores(self) -> float:
        """The vectors that are stored per cycle."""
        return self.target.profile.stores(self._bits)

    @property
    def vector(self) -> int:
        """The bytes of a vector."""
        return self._bits // 8

    @property
    def l1(self) -> int:
        """The bytes of the L1 cache."""
        return self.target.profile.l1

    @property
    def l2(self) -> int:
        """The bytes of the L2 cache."""
        return self.target.profile.l2

    def moving(
        self, moved: float, of: float, in_sequence: bool = False, spread: float = 1.0
    ) -> float:
        """Return the cycles to load `moved` bytes of an array of `of` bytes into the L1 cache.

        They are 0 if the array stays in the L1 cache. `spread` is the fraction of the caches' sets
        that the array maps to.
        """
        far = max(of / spread, self.l1 + 1)
        cycles = self._missing(of, spread) * moved / self.target.profile.rate(far, in_sequence)
        return cycles if in_sequence else cycles * self._crowded(spread)

    def _missing(self, of: float, spread: float) -> float:
        """Return the fraction of `of` bytes that is no longer in the L1 cache."""
        own = _OWN * self.l1 * spread
        return min(1.0, max(0.0, of / own - 1))

    def _crowded(self, spread: float) -> float:
        """Return how many times as long lines take that map to fewer sets than those measured.

        The time grows with the root. Lines that are 2,048 bytes apart take 1.4 times as long as
        those 1,024 bytes apart on Zen 5, and 2.1 times on Zen 4; 4,096 bytes apart 2.4 times there.
        """
        return max(1.0, math.sqrt(LINE / APART / spread))

    def moving_runs(self, moved: float, of: float, run: int, step: int = 0) -> float:
        """Return the cycles to load `moved` bytes in runs of `run` bytes, as `moving` does.

        The runs are `step` bytes apart. The first line of a run is apart from other lines, the next
        lines are prefetched.
        """
        missing = self._missing(of, self.spread(run, step)) * moved
        apart = min(1.0, LINE / run)
        far, rate = max(of, self.l1 + 1), self.target.profile.rate
        first = self._crowded(self.spread(LINE, step)) / rate(far, in_sequence=False)
        return missing * (apart * first + (1 - apart) / rate(far))

    def spread(self, size: int, step: int) -> float:
        """Return the fraction of the L1 cache's sets that runs of `size` bytes map to.

        The runs are `step` bytes apart. A line's set is its address modulo the size of a way.
        """
        return min(1.0, max(size, LINE) / math.gcd(step, _WAY)) if step else 1.0

    def iteration(
        self, products: float, loads: float, moving: float = 0.0, iterations: float = math.inf
    ) -> float:
        """Return the cycles of an iteration with independent multiply-adds, loads, and `moving`.

        `moving` are the cycles of data from beyond the L1 cache. In a loop of few iterations the
        latency of the multiply-adds is hidden, because the next tile starts meanwhile.
        """
        latency = self.target.profile.latency * _LATENCY * min(1.0, iterations / _AHEAD)
        return _busiest(products / self.products, latency, loads / self.loads, moving)

    def start(self, iterations: float = math.inf) -> float:
        """Return the cycles before the first multiply-add of a loop.

        A processor foresees the end of a loop of few iterations, and starts the next one meanwhile.
        """
        return _START * min(1.0, iterations / _AHEAD)

    def ends(self, sums: int, iterations: float = math.inf) -> float:
        """Return the cycles of a tile outside of its loop: starting, and storing `sums` vectors."""
        return self.start(iterations) + sums / self.stores

    def added_up(self, vectors: int) -> float:
        """Return the cycles to add up the elements of each of `vectors` vectors."""
        return 0.4 * math.log2(self.target.width) * vectors

    def transposed(self, elements: float, rows: int) -> float:
        """Return the cycles to transpose elements in squares, each with `rows` used rows."""
        width = self.target.width
        shuffles = width * (math.log2(width) + 2)  # of one square, including loads and stores
        return elements * -(-rows // width) * shuffles / (rows * width)

    def copied(self, elements: int) -> float:
        """Return the cycles to copy elements one by one."""
        return elements * (1 / self.loads + 1 / self.stores)

    def gathered(self, elements: int) -> float:
        """Return the cycles to load elements one by one into vectors: a load and two shuffles."""
        return elements * (1 / self.loads + 2)

    def transformed(self, loads: int, sums: int, stores: int, of: float = 0.0) -> float:
        """Return the cycles of loads and additions of vectors, and of storing the results.

        The results are a part of `of` bytes, which are at best in the L2 cache.
        """
        store = max(1 / self.stores, self.moving(self.vector, max(of, self.l2), True))
        return loads / self.loads + sums / self.products + stores * store


def _busiest(*cycles: float) -> float:
    """Return the maximum, or slightly more if others are close to it."""
    most = max(cycles)
    return most * sum((each / most) ** _SHARPNESS for each in cycles) ** (1 / _SHARPNESS)
