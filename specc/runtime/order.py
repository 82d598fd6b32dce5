"""The order of examples, from the seed and the epoch alone.

    permutation(seed=0, stream=3, count=60000)     # the order of epoch 3

The keys are raw numbers of a counter-based generator (Philox: Salmon et al. 2011), which NumPy
keeps the same for good; the methods of `Generator` may change between versions.
"""

from __future__ import annotations

import numpy as np

POOL = 8  # batches within which examples are sorted by length
SAVED = 0.25  # the share of the steps that must be saved: batches that are less alike learn better
BATCHES = 2**63  # added to an epoch's number: the stream that puts its batches in order
SPLIT = 2**64 - 1
"""The stream that cuts the validation part off; epochs are streams 0, 1, 2, .."""


def permutation(seed: int, stream: int, count: int) -> np.ndarray:
    """The numbers 0 .. count - 1 in a random order: int64 `[count]`."""
    bits = np.random.Philox(key=np.array([seed % 2**64, stream], np.uint64))
    return np.argsort(bits.random_raw(count), kind="stable")


def numbers_of_rows(seed: int, stream: int, rows: np.ndarray) -> np.ndarray:
    """A random number for each of some rows, by their numbers: uint64 `[count]`.

    They are those that `permutation(seed, stream, ...)` sorts by, whatever the number of rows.
    """
    if not len(rows):
        return np.zeros(0, np.uint64)
    first = int(rows.min()) // 4  # a counter gives four numbers
    key = np.array([seed % 2**64, stream], np.uint64)
    bits = np.random.Philox(key=key, counter=np.array([first, 0, 0, 0], np.uint64))
    drawn = bits.random_raw(int(rows.max()) + 1 - 4 * first)
    return np.asarray(drawn[rows - 4 * first])


def grouped(
    order: np.ndarray, lengths: np.ndarray, batch: int, seed: int, stream: int
) -> np.ndarray:
    """The order with examples of like length in one batch, and the batches at random; unchanged
    where that saves few steps.

    `lengths[row]` are the steps of an example. What is left over for a last, partial batch stays
    the last.
    """
    whole = len(order) // batch * batch
    found = order[:whole].copy()
    for start in range(0, whole, POOL * batch):
        pool = found[start : start + POOL * batch]
        pool[:] = pool[np.argsort(lengths[pool], kind="stable")]
    batches = found.reshape(-1, batch)
    before = lengths[order[:whole]].reshape(-1, batch).max(axis=1, initial=0)
    after = lengths[batches].max(axis=1, initial=0)
    if after.sum() > (1 - SAVED) * before.sum():
        return order
    batches = batches[permutation(seed, BATCHES + stream, len(batches))]
    return np.concatenate([batches.reshape(-1), order[whole:]])
