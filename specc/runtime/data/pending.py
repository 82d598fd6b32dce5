"""Rows of an array that threads fill in the background, and callers that wait for some of them.

    pending = PendingRows(array, decode, finish, discard)    # decode(row) returns the row's values
    pending.prefer(order)         # the rows to decode next
    pending.require(rows)         # returns once these rows are there
    pending.complete()            # decodes the rest, and calls `finish`

A training on pictures begins while most of them are still to be decoded. The first error of a
thread is raised by the next call that waits.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import numpy as np

CHUNK = 8  # rows that a thread takes at once


class PendingRows:
    """An array `[N, ...]`, and which of its rows are there."""

    def __init__(
        self,
        array: np.ndarray,
        decode: Callable[[int], np.ndarray],
        finish: Callable[[], None],
        discard: Callable[[], None],
    ) -> None:
        self.array = array
        self._decode, self._finish, self._discard = decode, finish, discard
        self._changed = threading.Condition()
        self._is_taken = np.zeros(len(array), bool)
        self._is_there = np.zeros(len(array), bool)
        self._order, self._at = np.arange(len(array)), 0
        self._left = len(array)
        self._error: BaseException | None = None
        self._is_closed = self._is_finished = False
        self._threads = [
            threading.Thread(target=self._work, name="specc-decode", daemon=True)
            for _ in range(_processors())
        ]
        for each in self._threads:
            each.start()

    @property
    def is_complete(self) -> bool:
        """Return whether all rows are there."""
        return not self._left

    def is_source_of(self, array: np.ndarray) -> bool:
        """Return whether an array is a view of this one."""
        return np.may_share_memory(array, self.array)

    def prefer(self, rows: np.ndarray) -> None:
        """Decode these rows next, in their order, and then all others."""
        if self.is_complete:
            return
        with self._changed:
            rest = np.ones(len(self.array), bool)
            rest[rows] = False
            order = np.concatenate([np.asarray(rows, np.int64), np.flatnonzero(rest)])
            self._order, self._at = order[~self._is_taken[order]], 0

    def require(self, rows: np.ndarray) -> None:
        """Return once these rows are there; the caller decodes as well. Raises their error."""
        if self.is_complete:
            return
        while chunk := self._taken(rows):
            self._fill(chunk)
        with self._changed:
            self._changed.wait_for(lambda: self._error is not None or self._is_there[rows].all())
            self._raise()

    def complete(self) -> None:
        """Decode all rows, and finish. Raises the error of a row, and then discards the array."""
        try:
            self.require(np.arange(len(self.array)))
        finally:
            self.close()
        self._raise()

    def close(self) -> None:
        """End the threads; an array that is not complete is discarded."""
        with self._changed:
            self._is_closed = True
        for each in self._threads:
            each.join()
        self._threads = []
        self._end()

    def _end(self) -> None:
        with self._changed:
            is_first, self._is_finished = not self._is_finished, True
        if is_first:
            (self._finish if self.is_complete and self._error is None else self._discard)()

    def _work(self) -> None:
        while chunk := self._taken():
            self._fill(chunk)
        if self.is_complete:
            try:
                self._end()
            except BaseException as error:
                self._fail(error)

    def _taken(self, rows: np.ndarray | None = None) -> list[int]:
        """Take some rows that nobody has taken, of the given ones or of the next ones."""
        with self._changed:
            if self._error is not None or (self._is_closed and rows is None):
                return []
            if rows is not None:
                found = rows[~self._is_taken[rows]][:CHUNK].tolist()
            else:
                found = []
                while len(found) < CHUNK and self._at < len(self._order):
                    row = int(self._order[self._at])
                    self._at += 1
                    if not self._is_taken[row]:
                        found.append(row)
            self._is_taken[found] = True
            return found

    def _fill(self, rows: list[int]) -> None:
        try:
            for row in rows:
                self.array[row] = self._decode(row)
        except BaseException as error:
            self._fail(error)
            return
        with self._changed:
            self._is_there[rows] = True
            self._left -= len(rows)
            self._changed.notify_all()

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error


def _processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
