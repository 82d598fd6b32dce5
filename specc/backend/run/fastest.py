"""The fastest of some calls that return the same bits.

fastest = Fastest([alone, together])
found = fastest({"image": image})
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from specc.backend.run.prepared import PreparedPrediction


class Fastest:
    """The fastest of some calls that return the same bits: which one it is shows in their times,
    for threads that share the work gain nothing on processors that are busy with something else.

    Each is tried for some calls in a row; the slower ones again after a while, which is twice as
    long each time that they are slower again, and at once where the fastest takes much longer than
    it did."""

    TRIED, AGAIN, MOST = (
        10,
        200,
        6400,
    )  # calls of each; calls before others are tried again, and at most
    LONGER = 1.3

    def __init__(self, calls: Sequence[PreparedPrediction]):
        self._calls = list(calls)
        self._seconds = [0.0] * len(self._calls)
        self._turns = _in_turn(self._seconds, self.TRIED, self.AGAIN, self.MOST, self.LONGER)
        self._chosen, self._number = next(self._turns), 0
        self._choosing = threading.Lock()  # never waited for

    def __call__(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        if len(self._calls) == 1:
            return self._calls[0](arrays)
        chosen = self._chosen
        start = time.perf_counter()
        found = self._calls[chosen](arrays)
        took = time.perf_counter() - start
        if found is None:
            return None
        # the least of a few calls in a row: the first of them wakes threads
        self._seconds[chosen] = min(self._seconds[chosen], took) if self._number else took
        self._number += 1
        if self._number >= self.TRIED and self._choosing.acquire(blocking=False):
            try:
                self._chosen, self._number = next(self._turns), 0
            finally:
                self._choosing.release()
        return found


def _in_turn(
    seconds: Sequence[float], tried: int, again: int, most: int, longer: float
) -> Iterator[int]:
    """Yield which call is used next; `seconds` has the least time of each in its last use."""
    every = range(len(seconds))
    yield from every
    best, wait = min(every, key=seconds.__getitem__), again
    while True:
        before = seconds[best]
        for _ in range(tried, wait, tried):
            yield best
            if seconds[best] > longer * before:
                wait = again // 2
                break
        yield from (each for each in every if each != best)
        fastest = min(every, key=seconds.__getitem__)
        wait = min(2 * wait, most) if fastest == best else again
        best = fastest
