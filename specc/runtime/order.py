"""The order of examples, which depends only on the seed and the epoch.

    permutation(seed=0, stream=3, count=60000)     # the order of epoch 3

The sort keys are the raw output of a counter-based generator (Philox: Salmon et al. 2011), which is
the same in every version of NumPy; the methods of `Generator` may change between versions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

POOL = 8  # number of batches within which examples are sorted by length
SAVED = 0.25  # bucket only if this share of time steps is saved: mixed batches train better
BATCHES = 2**63  # added to an epoch's number: the random stream that orders its batches
SPLIT = 2**64 - 1
"""The random stream that selects the validation part; epochs use streams 0, 1, 2, .."""


def permutation(seed: int, stream: int, count: int) -> np.ndarray:
    """Return the numbers 0 .. count - 1 in a random order: int64 `[count]`."""
    return np.argsort(_keys(seed, stream, count), kind="stable")


def permutation_by_shard(
    seed: int, stream: int, count: int, batch: int, shard: Callable[[int], int]
) -> np.ndarray:
    """Return the numbers 0 .. count - 1 in a random order, in which each shard has a range of them.

    They are used in batches, and a batch of n examples is divided into shards of `shard(n)`. The
    examples that a shard gets of all whole batches are adjacent numbers; so are those that a shard
    of the last, partial batch gets.
    """
    keys, found = _keys(seed, stream, count), np.empty(count, np.int64)
    whole, first = count // batch * batch, 0
    for start, stop, examples in ((0, whole, batch), (whole, count, count - whole)):
        if start == stop:
            continue
        batches, size = found[start:stop].reshape(-1, examples), shard(examples)
        for at in range(0, examples, size):
            own = batches[:, at : at + size]
            order = np.argsort(keys[first : first + own.size], kind="stable")
            own[...] = (first + order).reshape(own.shape)
            first += own.size
    return found


def _keys(seed: int, stream: int, count: int) -> np.ndarray:
    """Return the random keys by which `count` numbers are sorted: uint64 `[count]`."""
    bits = np.random.Philox(key=np.array([seed % 2**64, stream], np.uint64))
    return np.asarray(bits.random_raw(count))


def numbers_of_rows(seed: int, stream: int, rows: np.ndarray) -> np.ndarray:
    """Return the random sort key of each of the given rows: uint64 `[count]`.

    They are the keys that `permutation(seed, stream, ...)` sorts by; they do not depend on the
    total number of rows.
    """
    if not len(rows):
        return np.zeros(0, np.uint64)
    first = int(rows.min()) // 4  # each counter value gives four numbers
    key = np.array([seed % 2**64, stream], np.uint64)
    bits = np.random.Philox(key=key, counter=np.array([first, 0, 0, 0], np.uint64))
    drawn = bits.random_raw(int(rows.max()) + 1 - 4 * first)
    return np.asarray(drawn[rows - 4 * first])


def grouped(
    order: np.ndarray, lengths: np.ndarray, batch: int, seed: int, stream: int
) -> np.ndarray:
    """Return the order with examples of similar length in the same batch, and batches shuffled.

    `lengths[row]` is the number of time steps of an example. A partial batch at the end stays last.
    The order is returned unchanged if this would save less than `SAVED` of the time steps.
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
