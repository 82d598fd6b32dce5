"""What the loops of tiles cost, derived from the machine's profile.

    cost = Cost(target)
    moving = cost.moving(256, of=200 << 10)              # cycles to bring 256 bytes of 200 KB
    cost.round(products=24, loads=13, moving=moving)     # cycles of one round of a tile's loop

The units of a core work side by side, so a round takes as long as the busiest of them, and a little
longer if another one is nearly as busy.
"""

from __future__ import annotations

import math

from specc.backend.contraction.target import Target
from specc.system.lazy import cached_property
from specc.system.records import dataclass

# How sharp the maximum over the units is: with 6, two equally busy ones take 12 % longer than one.
_SHARPNESS = 6
# Data that come from anywhere but the L1 cache in steps of some lines come so much slower than in
# sequence, as the L2 cache is asked for each line when it is needed.
_STRIDED = 3
# Bytes of a way of the L1 cache, on nearly all processors a page of memory.
_WAY = 4096
# The part of the L1 cache that what is used again and again finds room in.
_OWN = 0.75
# The chains of sums that hide a product's latency are never quite full.
_LATENCY = 1.15
# Rounds of a loop that a core looks ahead, some hundreds of instructions.
_AHEAD = 64
# Cycles until the first product of a tile can begin: its addresses, and a branch that was not
# foreseen.
START = 20


@dataclass(frozen=True)
class Cost:
    """Estimates of cycles for the tiles of a target."""

    target: Target

    @property
    def _bits(self) -> int:
        return self.target.machine.vector_bits

    @cached_property
    def products(self) -> float:
        """Products of vectors in a cycle."""
        return self.target.profile.products(self._bits)

    @cached_property
    def loads(self) -> float:
        """Vectors, or numbers that become vectors, loaded in a cycle."""
        return self.target.profile.loads(self._bits)

    @cached_property
    def stores(self) -> float:
        """Vectors stored in a cycle."""
        return self.target.profile.stores(self._bits)

    @property
    def vector(self) -> int:
        """Bytes of a vector."""
        return self._bits // 8

    @property
    def l1(self) -> int:
        """Bytes of the L1 cache."""
        return self.target.profile.l1

    @property
    def l2(self) -> int:
        """Bytes of the L2 cache."""
        return self.target.profile.l2

    def moving(
        self, moved: float, of: float, in_sequence: bool = False, spread: float = 1.0
    ) -> float:
        """Cycles to bring so many bytes of data that take `of` bytes; none from the L1 cache.

        The data can be in a part of that cache's sets alone, which `spread` says."""
        own = _OWN * self.l1 * spread
        afar = min(1.0, max(0.0, of / own - 1))  # the part that has been displaced meanwhile
        rate = self.target.profile.rate(max(of, self.l1 + 1))
        return afar * moved * (1 if in_sequence else _STRIDED) / rate

    def spread(self, size: int, step: int) -> float:
        """The part of the L1 cache's sets that runs of `size` bytes fall on, `step` bytes apart.

        A line's set is the rest of its address after a division by the size of a way."""
        return min(1.0, size / math.gcd(step, _WAY)) if step else 1.0

    def round(
        self, products: float, loads: float, moving: float = 0.0, rounds: float = math.inf
    ) -> float:
        """Cycles of a round: products into sums of their own, loads, and what comes from afar.

        In a loop of few rounds the latency of sums does not show: the next tile begins meanwhile.
        """
        latency = self.target.profile.latency * _LATENCY * min(1.0, rounds / _AHEAD)
        return _busiest(products / self.products, latency, loads / self.loads, moving)

    def ends(self, sums: int) -> float:
        """Cycles of a tile beside its rounds: it starts, and stores its sums."""
        return START + sums / self.stores

    def added_up(self, vectors: int) -> float:
        """Cycles to add up the elements of each of so many vectors."""
        return 0.4 * math.log2(self.target.width) * vectors

    def turned(self, elements: float, rows: int) -> float:
        """Cycles to transpose elements in squares, of which each has so many rows that count."""
        width = self.target.width
        shuffles = width * (math.log2(width) + 2)  # those of a square, with its loads and stores
        return elements * -(-rows // width) * shuffles / (rows * width)

    def gathered(self, elements: int) -> float:
        """Cycles to load elements one by one into vectors: a load and two shuffles each."""
        return elements * (1 / self.loads + 2)

    def transformed(self, loads: int, sums: int, stores: int, of: float = 0.0) -> float:
        """Cycles to make vectors from others, and to store them among `of` bytes.

        At the least they go to the L2 cache."""
        far = max(1 / self.stores, self.moving(self.vector, max(of, self.l2)))
        return loads / self.loads + sums / self.products + stores * far


def _busiest(*cycles: float) -> float:
    """The maximum, and somewhat more where others come close to it."""
    most = max(cycles)
    return most * sum((each / most) ** _SHARPNESS for each in cycles) ** (1 / _SHARPNESS)
