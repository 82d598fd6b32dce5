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
    """A piece of memory, and when it is taken and given back."""

    size: int
    start: int
    end: float = math.inf


class Layout:
    """Gives out memory as values come: shared memory for good, the arena by lifetime."""

    def __init__(self, bytes_of_float: int, lanes: int):
        self.float, self.lanes = bytes_of_float, lanes
        self.shared = 0
        self.arena = 0
        self.holes: list[tuple[int, int]] = []  # free (offset, bytes), by offset, none adjacent
        self.sizes: list[tuple[int, int]] = []  # free (bytes, offset), by size
        self.spans: list[HeldMemory] = []  # all memory that was taken, in this order
        self.clock = 0
        self._held: dict[int, int] = {}  # offset of held memory -> its number in `spans`

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

    def take(self, size: int) -> int:
        """Take memory: the smallest hole that fits, or new memory at the end. Return its offset."""
        offset = self._taken(size)
        self.clock += 1
        self._held[offset] = len(self.spans)
        self.spans.append(HeldMemory(size, self.clock))
        return offset

    def _taken(self, size: int) -> int:
        fitting = bisect_left(self.sizes, (size, 0))
        if fitting < len(self.sizes):
            length, offset = self.sizes[fitting]
            self._close(offset, length)
            if length > size:
                self._open(offset + size, length - size)
            return offset
        offset = self.arena
        if self.holes and sum(self.holes[-1]) == self.arena:
            offset = self.holes[-1][0]
            self._close(*self.holes[-1])
        self.arena = offset + size
        return offset

    def give(self, offset: int, size: int) -> None:
        """Take memory back, joined with the holes beside it."""
        self.clock += 1
        self.spans[self._held.pop(offset)].end = self.clock
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


class Packed(Layout):
    """Offsets that are known in advance, for the values of another layout in the same order.

    The largest value gets the lowest offset, and every smaller one the lowest at which it overlaps
    no value that is held at the same time (Pisarchyk and Lee, Efficient memory management for deep
    neural net inference, 2020).
    """

    def __init__(self, first: Layout):
        super().__init__(first.float, first.lanes)
        offsets = packed(first.spans) if len(first.spans) <= MOST_PACKED else []
        ends = [offset + span.size for offset, span in zip(offsets, first.spans, strict=False)]
        self.arena = max(ends, default=first.arena)
        self.offsets = iter(offsets)

    def take(self, size: int) -> int:
        return next(self.offsets)

    def give(self, offset: int, size: int) -> None:
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
