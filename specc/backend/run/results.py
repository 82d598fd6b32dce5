"""Arrays to write results into, which are reused when no caller refers to them any more.

results = Results((64, 10), "float32")
array, address = results.next()
"""

from __future__ import annotations

import sys

import numpy as np

from specc.backend.run.storage import aligned

HANDED_OUT = 4  # most arrays that are remembered for reuse while callers still refer to them


class Results:
    """Arrays of one shape to write results into.

    An array is reused if neither it nor a view of it is referred to any more, because new memory
    costs a page fault for every 4 KB.
    """

    def __init__(self, shape: tuple[int, ...], dtype):
        self._shape, self._dtype = shape, np.dtype(dtype)
        self._known: list[tuple[np.ndarray, np.ndarray, int]] = []
        self._free = self._holders(*self._made())

    def next(self) -> tuple[np.ndarray, int]:
        """Return an array that no caller refers to, and its address."""
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
        """Return the reference counts of the memory, which views refer to, and of the array."""
        return sys.getrefcount(store), sys.getrefcount(array)
