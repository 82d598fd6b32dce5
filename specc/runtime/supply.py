"""The examples of an epoch in random order, from memory or in windows from the disk.

    supply = supply_of(data.training, recipe, batch)
    supply.begin(epoch=3)
    columns, rows = supply.take(first=120, steps=40)      # at most 40 batches from batch 120 on

**In windows.** The stored rows form a ring, which starts at a different row in each epoch. The ring
is cut into blocks, and the blocks are put in random order. As many blocks as memory allows form a
window, whose rows are shuffled. A window has whole batches, so the order depends only on the seed,
the epoch and the step, and training that stops within an epoch continues with the same batches.
While one window is used, a thread loads the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from specc.recipe import Column, Recipe
from specc.runtime.data import DataPart
from specc.runtime.data.stream.store import Stored
from specc.runtime.order import numbers_of_rows, permutation

WINDOWS = 4
"""The memory limit divided by this is the size of a window: there are two windows of training data,
one of validation data, and room for everything else."""
BLOCKS = 256
"""The largest number of blocks in a window."""
ORDER, WITHIN, START = 2**62, 2**32, 2**60
"""Random streams that order the blocks, shuffle the rows of a window, and choose the first row."""

Batches = tuple[Mapping[str, Column], np.ndarray]


class FromMemory:
    """All examples, in one `order` for each epoch."""

    def __init__(self, part: DataPart, batch: int) -> None:
        self.part, self.batch = part, batch
        self.order = part.numbers

    def begin(self, epoch: int) -> None:
        """Go to an epoch, counted from 0."""

    def go_in(self, order: np.ndarray, first: int = 0) -> None:
        """Go through the rows in an order, from batch `first` on."""
        self.order = order
        self.part.prefer(order[first * self.batch :])

    def take(self, first: int, steps: int) -> Batches:
        """Return columns, and the rows in them of up to `steps` batches from batch `first` on.

        At least one batch is returned, and fewer than `steps` at the end of a window.
        """
        rows = self.order[first * self.batch :][: steps * self.batch]
        self.part.require(rows)
        return self.part.columns, rows

    def close(self) -> None:
        """Stop threads and release memory."""


class FromDisk:
    """Windows of stored columns, with the methods of `FromMemory`."""

    def __init__(self, stored: Stored, seed: int, batch: int, window_bytes: int) -> None:
        self.stored, self.seed, self.batch = stored, seed, batch
        self.rows = _window_rows(stored, batch, window_bytes)
        self.block = self.rows // _divisor(self.rows, BLOCKS)
        self.epoch = 0
        self._pool = ThreadPoolExecutor(1, "specc-load")
        self._rooms = [stored.room(min(self.rows, stored.count)) for _ in range(2)]
        self._ahead: tuple[int, int, Future[dict[str, Column]]] | None = None
        self._now: tuple[int, int, dict[str, Column]] | None = None

    @property
    def windows(self) -> int:
        return -(-self.stored.count // self.rows)

    def begin(self, epoch: int) -> None:
        self.epoch = epoch

    def take(self, first: int, steps: int) -> Batches:
        window, at = divmod(first * self.batch, self.rows)
        columns = self._window(window)
        count = self._count(window)
        order = permutation(self.seed, (window + 1) * WITHIN + self.epoch, count)
        return columns, order[at : at + steps * self.batch]

    def _window(self, window: int) -> dict[str, Column]:
        """Return the columns of a window, and start loading the next one."""
        if self._now is None or self._now[:2] != (self.epoch, window):
            if self._ahead is None or self._ahead[:2] != (self.epoch, window):
                self._load(self.epoch, window)
            assert self._ahead is not None, "a window is being loaded; please report this"
            self._now = (self.epoch, window, self._ahead[2].result())
            self._rooms.reverse()
            following = window + 1
            if following < self.windows:
                self._load(self.epoch, following)
            else:
                self._load(self.epoch + 1, 0)
        return self._now[2]

    def _load(self, epoch: int, window: int) -> None:
        """Start loading a window into the buffer that is not in use."""
        if self._ahead is not None:
            self._ahead[2].exception()  # wait until the thread no longer uses the buffer
        pieces = self._pieces(epoch, window)
        room = self._rooms[0]
        self._ahead = (epoch, window, self._pool.submit(self.stored.read, pieces, room))

    def _count(self, window: int) -> int:
        return min(self.rows, self.stored.count - window * self.rows)

    def _pieces(self, epoch: int, window: int) -> list[tuple[int, int]]:
        """Return the stored rows of a window as ranges (start, stop)."""
        count = self.stored.count
        start = int(numbers_of_rows(self.seed, START + epoch, np.zeros(1, np.int64))[0] % count)
        whole = count // self.block
        order = permutation(self.seed, ORDER + epoch, whole)
        blocks = order[window * (self.rows // self.block) :][: self.rows // self.block].tolist()
        is_last = (window + 1) * self.rows >= count
        if is_last and count % self.block:
            blocks.append(whole)  # the last, partial block
        found = []
        for each in blocks:
            first = each * self.block
            last = min(first + self.block, count)
            found += _on_ring(start + first, start + last, count)
        return found

    def close(self) -> None:
        """End the thread that loads."""
        self._pool.shutdown(cancel_futures=True)


def _on_ring(first: int, last: int, count: int) -> list[tuple[int, int]]:
    """Map a range of rows on a ring of `count` rows to ranges of rows in the file."""
    if first >= count:
        return [(first - count, last - count)]
    return [(first, last)] if last <= count else [(first, count), (0, last - count)]


def _window_rows(stored: Stored, batch: int, window_bytes: int) -> int:
    """Return the number of rows of a window: a power of two of batches, at least one batch."""
    batches = max(1, window_bytes // (stored.row_bytes * batch))
    return int(batch * 2 ** (batches.bit_length() - 1))


def _divisor(number: int, most: int) -> int:
    """Return the largest divisor of `number` that is at most `most`."""
    return next(each for each in range(min(most, number), 0, -1) if number % each == 0)


def window_bytes(recipe: Recipe) -> int:
    """Return the size of a window in bytes, from the recipe's memory limit."""
    assert recipe.memory is not None, "windows are for a bound on memory; please report this"
    return int(recipe.memory * 1e6 / WINDOWS)


def windows_of(part: DataPart, recipe: Recipe, batch: int) -> list[tuple[int, int]]:
    """Return the ranges of rows (start, stop) that are evaluated together: whole batches."""
    assert part.stored is not None, "windows are for stored columns; please report this"
    size = _window_rows(part.stored, batch, window_bytes(recipe))
    return [(at, min(at + size, len(part))) for at in range(0, len(part), size)]
