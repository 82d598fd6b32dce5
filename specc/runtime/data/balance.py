"""Class balancing: examples of rare classes are repeated, or get a higher weight in the loss.

balanced(labels, rows)             # the rows, with those of rare classes repeated
class_weights(part, "label", 3)    # [1.0, 0.6, 4.1]: n / (classes * examples of the class)
"""

from __future__ import annotations

import numpy as np

from specc.runtime.data.part import DataPart

PIECE = 2**20  # number of labels that are counted at once


def balanced(labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return rows in which every class occurs as often as the largest one.

    The rows of a class are repeated as a whole as often as they fit; its first rows fill the rest.
    """
    own = labels[rows].reshape(-1)
    most = int(np.bincount(own).max())
    found = []
    for label in np.unique(own):
        members = rows[own == label]
        found.append(np.resize(members, most))
    return np.sort(np.concatenate(found))


def class_weights(part: DataPart, target: str, classes: int) -> np.ndarray:
    """Return the weight of each class of a target: float64 `[classes]`.

    The mean weight over all examples is 1. A class without examples has the weight 1.

    King and Zeng, Logistic regression in rare events data, 2001.
    """
    labels = part.columns[target].array
    counts = np.zeros(classes, np.int64)
    for start in range(0, len(part), PIECE):
        rows = np.asarray(part.rows[start : start + PIECE])
        counts += np.bincount(labels[rows].astype(np.int64).reshape(-1), minlength=classes)
    there = counts > 0
    found = np.ones(classes)
    found[there] = len(part) / (there.sum() * counts[there])
    return found
