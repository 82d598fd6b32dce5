"""The fastest of several calls that return the same bits, found by timing them.

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
    """Choose the fastest of several equivalent calls by timing them.

    Extra threads gain nothing on busy processors, so no choice is the fastest forever. Each
    candidate is timed over TRIED consecutive calls, and the fastest then makes RESTING calls that
    are not timed, as a call may take little longer than reading the clock. Slower ones are retried
    after an interval that doubles each time they lose, or at once if the fastest becomes much
    slower.
    """

    TRIED = 10  # consecutive calls over which a candidate is timed
    RESTING = 40  # calls between two timings of the fastest
    AGAIN, MOST = 200, 6400  # calls until the slower candidates are retried, at first and at most
    LONGER = 1.3  # the fastest has become much slower if its time grew by this factor

    def __init__(self, calls: Sequence[PreparedPrediction]):
        self._calls = list(calls)
        self._seconds = [0.0] * len(self._calls)
        self._schedule = _schedule(
            self._seconds, self.TRIED, self.RESTING, self.AGAIN, self.MOST, self.LONGER
        )
        self._chosen, self._resting = next(self._schedule)
        self._number = 0
        self._choosing = threading.Lock()  # only tried: a thread never waits for it

    def __call__(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        chosen = self._chosen
        if self._resting:
            self._resting -= 1
            return self._calls[chosen](arrays)
        start = time.perf_counter()
        found = self._calls[chosen](arrays)
        took = time.perf_counter() - start
        if found is None:
            return None
        # the minimum of the consecutive calls, because the first of them has to wake threads
        self._seconds[chosen] = min(self._seconds[chosen], took) if self._number else took
        self._number += 1
        if self._number >= self.TRIED and self._choosing.acquire(blocking=False):
            try:
                self._chosen, self._resting = next(self._schedule)
                self._number = 0
            finally:
                self._choosing.release()
        return found


def _schedule(
    seconds: Sequence[float], tried: int, resting: int, again: int, most: int, longer: float
) -> Iterator[tuple[int, int]]:
    """Yield the number of the call to use next, and for how many times before it is timed.

    `seconds` holds the shortest time of each call when it was used last.
    """
    every = range(len(seconds))
    yield from ((each, 0) for each in every)
    best, wait = min(every, key=seconds.__getitem__), again
    while True:
        before = seconds[best]
        for _ in range(tried, wait, tried + resting):
            yield best, resting
            if seconds[best] > longer * before:
                wait = again // 2
                break
        yield from ((each, 0) for each in every if each != best)
        fastest = min(every, key=seconds.__getitem__)
        wait = min(2 * wait, most) if fastest == best else again
        best = fastest
