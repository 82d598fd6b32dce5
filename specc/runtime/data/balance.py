"""Classes that weigh alike: examples of rare classes are repeated.

balanced(labels, rows)       # the rows, those of rare classes several times
"""

from __future__ import annotations

import numpy as np


def balanced(labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return rows so that each class has as many as the largest one.

    The rows of a class are repeated as often as goes, and its first ones once more.
    """
    own = labels[rows].reshape(-1)
    most = int(np.bincount(own).max())
    found = []
    for label in np.unique(own):
        members = rows[own == label]
        found.append(np.resize(members, most))
    return np.sort(np.concatenate(found))
