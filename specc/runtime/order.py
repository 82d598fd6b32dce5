"""The order of examples, from the seed and the epoch alone.

    permutation(seed=0, stream=3, count=60000)     # the order of epoch 3

The keys are raw numbers of a counter-based generator (Philox: Salmon et al. 2011), which NumPy
keeps the same for good; the methods of `Generator` may change between versions.
"""

from __future__ import annotations

import numpy as np

SPLIT = 2**64 - 1
"""The stream that cuts the validation part off; epochs are streams 0, 1, 2, .."""


def permutation(seed: int, stream: int, count: int) -> np.ndarray:
    """The numbers 0 .. count - 1 in a random order: int64 `[count]`."""
    bits = np.random.Philox(key=np.array([seed % 2**64, stream], np.uint64))
    return np.argsort(bits.random_raw(count), kind="stable")
