"""Offsets of values in the arena: values whose lifetimes do not overlap share memory.

layout = Layout(bytes_of_float=4, lanes=16)
a = layout.take(4096)
layout.give(a, 4096)         # the next value may get this memory
packed = Packed(layout)      # places the same values by size, largest first: often in less memory
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort

import numpy as np

from specc.ir.graph import Node
from specc.ir.plan import ALIGNMENT, Allocation
from specc.ir.types import element_bytes
from specc.system.records import dataclass

MOST_PACKED = 4000  # most values to pack, because packing time is quadratic in their number


@dataclass(eq=False)
class HeldMemory:
    """A piece of memory, and when it is taken and given back.

    `passing` memory is of no use after the phase in which it was taken.
    """

    size: int
    offset: int
    passing: bool
    start: int
    end: float = math.inf


class Heap:
    """Memory that is given out by the smallest hole that fits, and grows at its end."""

    def __init__(self) -> None:
        self.size = 0
        self.holes: list[tuple[int, int]] = []  # free (offset, bytes), by offset, none adjacent
        self.sizes: list[tuple[int, int]] = []  # free (bytes, offset), by size

    def take(self, size: int) -> int:
        """Return the offset of free memory, which is no longer free."""
        fitting = bisect_left(self.sizes, (size, 0))
        if fitting < len(self.sizes):
            length, offset = self.sizes[fitting]
            self._close(offset, length)
            if length > size:
                self._open(offset + size, length - size)
            return offset
        offset = self.size
        if self.holes and sum(self.holes[-1]) == self.size:
            offset = self.holes[-1][0]
            self._close(*self.holes[-1])
        self.size = offset + size
        return offset

    def give(self, offset: int, size: int) -> None:
        """Take memory back, joined with the holes beside it."""
        after = bisect_left(self.holes, (offset, 0))
        if after < len(self.holes) and self.holes[after][0] == offset + size:
            size += self.holes[after][1]
            self._close(*self.holes[after])
        if after and sum(self.holes[after - 1]) == offset:
            offset, length = self.holes[after - 1]
            size += length
            self._close(offset, length)
        self._open(offset, size)

    def _open(self, offset: int, length: int) -> None:
        insort(self.holes, (offset, length))
        insort(self.sizes, (length, offset))

    def _close(self, offset: int, length: int) -> None:
        self.holes.pop(bisect_left(self.holes, (offset, length)))
        self.sizes.pop(bisect_left(self.sizes, (length, offset)))


class Layout:
    """Gives out memory as values come: shared memory for good, the arena by lifetime.

    Memory that is `passing` comes from a heap of its own. The final offsets in the arena, which
    begins with this heap, are those of `Packed`.
    """

    def __init__(self, bytes_of_float: int, lanes: int):
        self.float, self.lanes = bytes_of_float, lanes
        self.shared = 0
        self.spans: list[HeldMemory] = []  # all memory that was taken, in this order
        self.clock = 0
        self._heaps = {True: Heap(), False: Heap()}  # by whether the memory is passing
        self._held: dict[tuple[int, bool], int] = {}  # held memory -> its number in `spans`

    @property
    def passing(self) -> int:
        """The bytes of passing memory."""
        return self._heaps[True].size

    @property
    def arena(self) -> int:
        """The bytes of the arena."""
        return self.passing + self._heaps[False].size

    def step(self, node: Node) -> int:
        """Return the bytes from one element of an example to the next."""
        return element_bytes(node.type.kind, self.float) * (self.lanes if node.type.batched else 1)

    def exact(self, node: Node) -> int:
        return node.type.bound_elements * self.step(node)

    def bytes(self, node: Node) -> int:
        return self.rounded(self.exact(node))

    @staticmethod
    def rounded(size: int) -> int:
        return -(-max(size, 1) // ALIGNMENT) * ALIGNMENT

    def take_shared(self, node: Node) -> Allocation:
        found = Allocation("shared", self.shared)
        self.shared += self.bytes(node)
        return found

    def take(self, size: int, passing: bool = False) -> int:
        """Take memory: the smallest hole that fits, or new memory at the end. Return its offset."""
        offset = self._heaps[passing].take(size)
        self.clock += 1
        self._held[offset, passing] = len(self.spans)
        self.spans.append(HeldMemory(size, offset, passing, self.clock))
        return offset

    def give(self, offset: int, size: int, passing: bool = False) -> None:
        """Take memory back."""
        self.clock += 1
        self.spans[self._held.pop((offset, passing))].end = self.clock
        self._heaps[passing].give(offset, size)


class Packed(Layout):
    """Offsets that are known in advance, for the values of another layout in the same order.

    The largest value gets the lowest offset, and every smaller one the lowest at which it overlaps
    no value that is held at the same time (Pisarchyk and Lee, Efficient memory management for deep
    neural net inference, 2020), if this takes less memory than the other layout.
    """

    def __init__(self, first: Layout):
        super().__init__(first.float, first.lanes)
        offsets: dict[int, int] = {}  # by the number of the span
        for passing in (True, False):
            spans = [(n, each) for n, each in enumerate(first.spans) if each.passing == passing]
            base = self.arena
            own = [each.offset for _, each in spans]
            size = first._heaps[passing].size
            closer = packed([each for _, each in spans]) if len(spans) <= MOST_PACKED else own
            least = max((at + e.size for at, (_, e) in zip(closer, spans, strict=True)), default=0)
            own, size = (closer, least) if least < size else (own, size)
            offsets |= {n: base + at for at, (n, _) in zip(own, spans, strict=True)}
            self._heaps[passing].size = size
        self.offsets = iter([offsets[n] for n in range(len(first.spans))])

    def take(self, size: int, passing: bool = False) -> int:
        return next(self.offsets)

    def give(self, offset: int, size: int, passing: bool = False) -> None:
        pass


def packed(spans: list[HeldMemory]) -> list[int]:
    """Return an offset for each span, so that spans held at the same time do not overlap."""
    size, start, end = (
        np.array([getattr(each, name) for each in spans], float)
        for name in ("size", "start", "end")
    )
    offset = np.zeros(len(spans))
    order = np.lexsort((start, -size))
    for count, i in enumerate(order):
        placed = order[:count]
        beside = placed[(start[placed] < end[i]) & (end[placed] > start[i])]
        beside = beside[np.argsort(offset[beside], kind="stable")]
        ends = np.maximum.accumulate(np.concatenate([[0], offset[beside] + size[beside]]))
        room = np.append(offset[beside], math.inf) - ends
        offset[i] = ends[np.argmax(room >= size[i])]
    return [int(each) for each in offset]
