"""A pool of objects that are made when they are needed, each used by one thread at a time.

    pool = Pool(make, most=4, kept=2)
    item = pool.take()
    try: ...
    finally: pool.give(item)

At most `most` objects exist at once; if all are taken, `take` waits. At most `kept` unused objects
stay in the pool. To save the time of `take`, callers may try `free.pop()` first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from specc.system.locks import remade_after_fork

Item = TypeVar("Item")


class Pool(Generic[Item]):
    """A pool of at most `most` objects, `kept` of which stay in it when no thread uses them."""

    def __init__(self, make: Callable[[], Item], most: int, kept: int):
        self._make, self.most, self.kept = make, most, kept
        self.free: list[Item] = []
        self.made = 0  # objects that exist, in use or not
        self.waiting = 0  # threads that are in `take`
        self._changed = threading.Condition()
        remade_after_fork(self)

    def take(self) -> Item:
        """Return an object that belongs to this thread until `give`; wait if none is free."""
        with self._changed:
            self.waiting += 1
            try:
                while True:
                    try:
                        return self.free.pop()
                    except IndexError:
                        if self.made < self.most:
                            self.made += 1
                            break
                    self._changed.wait()
            finally:
                self.waiting -= 1
        try:
            return self._make()
        except BaseException:
            self._forget()
            raise

    def give(self, item: Item) -> None:
        """Return an object to the pool."""
        if len(self.free) < self.kept or self.waiting:
            self.free.append(item)
            if self.waiting:
                self.tell()
        else:
            self._forget()

    def tell(self) -> None:
        """Notify a waiting thread that an object is free."""
        with self._changed:
            self._changed.notify()

    def _forget(self) -> None:
        with self._changed:
            self.made -= 1
            self._changed.notify()

    def after_fork(self) -> None:
        """Forget the objects in use: the child process does not have the threads that use them."""
        self._changed = threading.Condition()
        self.made, self.waiting = len(self.free), 0
