"""Whether weights and states are still numbers that a training can go on from."""

from __future__ import annotations

import numpy as np


def is_sound(array: np.ndarray, is_state: bool) -> bool:
    """Return whether weights are finite, or a state is not NaN (a state may start as inf)."""
    return not np.isnan(array).any() if is_state else bool(np.isfinite(array).all())
