"""The examples of an epoch in random order, from memory or in windows from the disk.

    supply = supply_of(data.training, recipe, net)
    supply.begin(epoch=3)
    columns, rows = supply.take(first=120, steps=40)      # at most 40 steps from step 120 on

**In windows.** The stored rows form a ring, which starts at a different row in each epoch. The ring
is cut into blocks, and the blocks are put in random order. As many blocks as memory allows form a
window, which has whole batches. Each shard gets a range of a window's rows, shuffled, for its
examples of all batches. So the order depends only on the seed, the epoch, the step and the shards,
and training that stops within an epoch continues with the same batches. While one window is used, a
thread loads the next one.

**Together.** A machine reads only the rows of its own shards. Its processes read them into memory
that they have in common, each of them a part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from specc.recipe import Column, Recipe
from specc.runtime.compiled import CompiledModel, Divided
from specc.runtime.data import DataPart
from specc.runtime.data.stream.store import Stored
from specc.runtime.order import numbers_of_rows, permutation, permutation_by_shard
from specc.runtime.together import Alone, Together
from specc.system.records import dataclass

WINDOWS = 4
"""The memory limit divided by this is the size of a window: there are two windows of training data,
one of validation data, and room for everything else."""
BLOCKS = 256
"""The largest number of blocks in a window."""
ORDER, WITHIN, START = 2**62, 2**32, 2**60
"""Random streams that order the blocks, shuffle the rows of a window, and choose the first row."""

Batches = tuple[Mapping[str, Column], np.ndarray]
Ranges = list[tuple[int, int]]
"""Rows from the first number of each pair to before the second one."""
Division = Callable[[int], Divided]
"""How a batch of so many examples is divided."""


def supply_of(
    part: DataPart, recipe: Recipe, net: CompiledModel, total_steps: int, together: Together
) -> FromMemory | FromDisk:
    """Return the training examples of a training of so many steps."""
    if part.stored is None:
        return FromMemory(part, net.examples_per_step)
    # programs for short sequences may divide a batch in another way
    is_whole = net.lengths(part.columns, total_steps) is not None
    return FromDisk(
        part.stored,
        recipe.seed,
        net.examples_per_step,
        window_bytes(recipe),
        net.batch,
        lambda examples: whole_of(net.divided(examples)) if is_whole else net.divided(examples),
        together,
    )


def undivided(examples: int) -> Divided:
    """Return that one shard computes a whole batch."""
    return Divided(max(examples, 1), range(examples))


def whole_of(divided: Divided) -> Divided:
    """Return the same shards, all of which this machine computes or may compute."""
    return Divided(divided.size, range(max(divided.own.stop, 2**31)))


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

        At least one batch is returned, and fewer than `steps` at the end of a window. Of several
        machines, each gets the values of its own shards' rows; other rows may have any values.
        """
        rows = self.order[first * self.batch :][: steps * self.batch]
        self.part.require(rows)
        return self.part.columns, rows

    def whole(self, step: int) -> Batches:
        """Return columns, and all rows of one step, on every machine."""
        return self.take(step, 1)

    def close(self) -> None:
        """Stop threads and release memory."""


class FromDisk:
    """Windows of stored columns, with the methods of `FromMemory`.

    A step has `batch` examples, which are divided in batches of `examples`, by default all.
    """

    def __init__(
        self,
        stored: Stored,
        seed: int,
        batch: int,
        window_bytes: int,
        examples: int | None = None,
        divided: Division = undivided,
        together: Together | None = None,
    ) -> None:
        self.stored, self.seed, self.batch = stored, seed, batch
        self.examples, self.divided = examples or batch, divided
        self.together = together or Alone()
        self.rows = _window_rows(stored, batch, window_bytes)
        self.block = self.rows // _divisor(self.rows, BLOCKS)
        self.epoch = 0
        self._pool = ThreadPoolExecutor(1, "specc-load")
        most = max(len(self._ordered(0, each).needed) for each in {0, self.windows - 1})
        self._rooms = [Room(stored, most, self.together) for _ in range(2)]
        self._ahead: _Window | None = None
        self._now: _Window | None = None

    @property
    def windows(self) -> int:
        return -(-self.stored.count // self.rows)

    def begin(self, epoch: int) -> None:
        self.epoch = epoch

    def take(self, first: int, steps: int) -> Batches:
        number, at = divmod(first * self.batch, self.rows)
        window = self._window(number)
        return window.loading.result(), window.order.local[at : at + steps * self.batch]

    def whole(self, step: int) -> Batches:
        number, at = divmod(step * self.batch, self.rows)
        stored = _numbers(self._pieces(self.epoch, number))
        rows = stored[self._ordered(self.epoch, number).order[at : at + self.batch]]
        columns = {
            name: Column(np.array(each.array[rows]), each.scale, each.shift)
            for name, each in self.stored.mapped().items()
        }
        return columns, np.arange(len(rows))

    def _window(self, number: int) -> _Window:
        """Return a window that all have read, and start loading the next one."""
        place = self.epoch, number
        if self._now is None or self._now.place != place:
            if self._ahead is None or self._ahead.place != place:
                if self._ahead is not None:
                    self._ahead.loading.exception()
                    self.together.wait()  # until nobody reads into the buffer
                self._load(*place)
            assert self._ahead is not None, "a window is being loaded; please report this"
            self._now = self._ahead
            self._now.loading.result()
            self.together.wait()  # until the others have read their parts, and used the one before
            self._rooms.reverse()
            following = number + 1
            if following < self.windows:
                self._load(self.epoch, following)
            else:
                self._load(self.epoch + 1, 0)
        return self._now

    def _load(self, epoch: int, number: int) -> None:
        """Start loading a window into the buffer that is not in use."""
        if self._ahead is not None:
            self._ahead.loading.exception()  # wait until the thread no longer uses the buffer
        order = self._ordered(epoch, number)
        pieces = chosen(self._pieces(epoch, number), ranges_of(order.needed))
        loading = self._pool.submit(self._rooms[0].read, pieces)
        self._ahead = _Window((epoch, number), order, loading)

    def _ordered(self, epoch: int, number: int) -> WindowOrder:
        """Return the order of the rows of a window."""
        count = min(self.rows, self.stored.count - number * self.rows)
        stream = (number + 1) * WITHIN + epoch
        order = permutation_by_shard(
            self.seed, stream, count, self.examples, lambda examples: self.divided(examples).size
        )
        return needed(order, self.examples, self.divided)

    def _pieces(self, epoch: int, number: int) -> Ranges:
        """Return the stored rows of a window."""
        count = self.stored.count
        start = int(numbers_of_rows(self.seed, START + epoch, np.zeros(1, np.int64))[0] % count)
        whole = count // self.block
        order = permutation(self.seed, ORDER + epoch, whole)
        blocks = order[number * (self.rows // self.block) :][: self.rows // self.block].tolist()
        is_last = (number + 1) * self.rows >= count
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


@dataclass(frozen=True, eq=False)
class WindowOrder:
    """The rows of a window in the order of their use: int64 `[count]`.

    `needed` are those that this machine reads, sorted; `local` has the index in `needed` of each
    row of `order`, or 0.
    """

    order: np.ndarray
    needed: np.ndarray
    local: np.ndarray


@dataclass(eq=False)
class _Window:
    """A window that is loaded: its epoch and number, its order, and its columns to come."""

    place: tuple[int, int]
    order: WindowOrder
    loading: Future[dict[str, Column]]


def needed(order: np.ndarray, batch: int, divided: Division) -> WindowOrder:
    """Return which rows this machine needs, if batches use them in an order."""
    count = len(order)
    is_own = np.zeros(count, bool)
    whole = count // batch * batch
    for start, stop, examples in ((0, whole, batch), (whole, count, count - whole)):
        if start == stop:
            continue
        own = divided(examples).own
        batches = is_own[start:stop].reshape(-1, examples)
        batches[:, own.start : own.stop] = True
        if len(own) and own.stop > examples:
            batches[:, -1] = True  # shards without examples repeat the last one
    rows = np.sort(order[is_own])
    local = np.zeros(count, np.int64)
    local[rows] = np.arange(len(rows))
    return WindowOrder(order, rows, local[order])


def ranges_of(rows: np.ndarray) -> Ranges:
    """Return sorted numbers as ranges."""
    parts = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
    return [(int(each[0]), int(each[-1]) + 1) for each in parts if len(each)]


def chosen(pieces: Ranges, wanted: Ranges) -> Ranges:
    """Return the wanted parts of pieces; `wanted` are numbers of rows of all pieces in turn."""
    found, at, left = [], 0, list(reversed(wanted))
    for start, stop in pieces:
        end = at + stop - start
        while left and left[-1][0] < end:
            first, last = left.pop()
            found.append((start + first - at, start + min(last, end) - at))
            if last > end:
                left.append((end, last))
        at = end
    return found


def _numbers(pieces: Ranges) -> np.ndarray:
    """Return the row numbers of all pieces in turn."""
    return np.concatenate([np.arange(start, stop) for start, stop in pieces])


class Room:
    """Memory for rows that the processes of a machine read together."""

    def __init__(self, stored: Stored, rows: int, together: Together) -> None:
        self.stored, neighbours = stored, together.neighbours
        self.columns = stored.room(max(rows, 1), together.allocate)
        self.part = (0, 1) if neighbours is None else (neighbours.number, neighbours.count)

    def read(self, pieces: Ranges) -> dict[str, Column]:
        """Read this process's part of some rows; return the columns with the rows of all."""
        total = sum(stop - start for start, stop in pieces)
        number, count = self.part
        first, last = total * number // count, total * (number + 1) // count
        self.stored.read(
            chosen(pieces, [(first, last)] if first < last else []), self.columns, first
        )
        return {
            name: Column(each.array[: max(total, 1)], each.scale, each.shift)
            for name, each in self.columns.items()
        }


class HeldOut:
    """A stored part that is evaluated in windows of whole batches, in its own order."""

    def __init__(
        self, stored: Stored, recipe: Recipe, batch: int, divided: Division, together: Together
    ) -> None:
        self.stored, self.batch, self.divided, self.together = stored, batch, divided, together
        self.rows = min(_window_rows(stored, batch, window_bytes(recipe)), stored.count)
        starts = {0, (stored.count - 1) // self.rows * self.rows}
        most = max(len(self._needed(each).needed) for each in starts)
        self._room = Room(stored, most, together)

    def _needed(self, start: int) -> WindowOrder:
        order = np.arange(min(self.rows, self.stored.count - start))
        return needed(order, self.batch, self.divided)

    def windows(self) -> Iterator[Batches]:
        """Yield the columns of each window, and its rows in them."""
        for start in range(0, self.stored.count, self.rows):
            each = self._needed(start)
            pieces = chosen([(start, start + len(each.order))], ranges_of(each.needed))
            self.together.wait()  # until the others have used the one before
            columns = self._room.read(pieces)
            self.together.wait()
            yield columns, each.local


def _on_ring(first: int, last: int, count: int) -> Ranges:
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
