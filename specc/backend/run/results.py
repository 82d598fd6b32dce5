"""Arrays to write results into, which are used again when no caller holds them any more.

results = Results((64, 10), "float32")
array, address = results.next()
"""

from __future__ import annotations

import sys

import numpy as np

from specc.backend.run.storage import aligned

HANDED_OUT = 4  # arrays of results that are known, of those that callers may still hold


class Results:
    """Arrays of one shape to write results into.

    An array that no caller holds any more, nor a view of it, is written again: fresh memory costs a
    page fault for every 4 KB.
    """

    def __init__(self, shape: tuple[int, ...], dtype):
        self._shape, self._dtype = shape, np.dtype(dtype)
        self._known: list[tuple[np.ndarray, np.ndarray, int]] = []
        self._free = self._holders(*self._made())

    def next(self) -> tuple[np.ndarray, int]:
        """An array, and its address."""
        for known in self._known:
            if self._holders(*known) == self._free:
                return known[1:]
        made = self._made()
        self._known = [made, *self._known[: HANDED_OUT - 1]]
        return made[1:]

    def _made(self) -> tuple[np.ndarray, np.ndarray, int]:
        store = aligned(int(np.prod(self._shape)) * self._dtype.itemsize)
        array = store.view(self._dtype).reshape(self._shape)
        return array.base, array, array.ctypes.data

    @staticmethod
    def _holders(store: np.ndarray, array: np.ndarray, address: int) -> tuple[int, int]:
        """How often the array is referred to, and its memory: views of it refer to that."""
        return sys.getrefcount(store), sys.getrefcount(array)
