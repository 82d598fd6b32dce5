"""Copies of a model's arrays, to be restored later.

They are taken before a step that may diverge, or before a run that is only timed.

kept = Snapshot(net.params.items())
...                       # something changes the arrays
kept.restore(net.params)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np


class Snapshot:
    """Copies of named arrays."""

    def __init__(self, arrays: Iterable[tuple[str, np.ndarray]] = ()) -> None:
        self._copies: dict[str, np.ndarray] = {}
        self.take(arrays)

    def __bool__(self) -> bool:
        return bool(self._copies)

    def take(self, arrays: Iterable[tuple[str, np.ndarray]]) -> None:
        """Copy the arrays, reusing the memory of earlier copies of the same names."""
        for name, array in arrays:
            if name in self._copies:
                np.copyto(self._copies[name], array)
            else:
                self._copies[name] = array.copy()

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Write the copies into the arrays of the same names."""
        for name, copy in self._copies.items():
            arrays[name][...] = copy


def is_sound(array: np.ndarray, is_state: bool) -> bool:
    """Return whether weights are finite, or a state has no NaN (a state may be infinite)."""
    return not np.isnan(array).any() if is_state else bool(np.isfinite(array).all())
