"""A pool of objects that are made as they are needed, each used by one thread at a time.

    pool = Pool(make, most=4, kept=2)
    item = pool.take()
    try: ...
    finally: pool.give(item)

`most` exist at once: a thread that finds all of them taken waits. `kept` of them stay while nobody
uses them. To save the calls, `free.pop()` may be tried before `take`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from specc.system.locks import remade_after_fork

Item = TypeVar("Item")


class Pool(Generic[Item]):
    """See the module's docstring."""

    def __init__(self, make: Callable[[], Item], most: int, kept: int):
        self._make, self.most, self.kept = make, most, kept
        self.free: list[Item] = []
        self.made = 0  # that exist, in use or not
        self.waiting = 0  # threads that look for a free one
        self._changed = threading.Condition()
        remade_after_fork(self)

    def take(self) -> Item:
        """An object that nobody else uses until `give`."""
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
        """Hand back what was taken."""
        if len(self.free) < self.kept or self.waiting:
            self.free.append(item)
            if self.waiting:
                self.tell()
        else:
            self._forget()

    def tell(self) -> None:
        """Let a thread that waits know that there is a free object."""
        with self._changed:
            self._changed.notify()

    def _forget(self) -> None:
        with self._changed:
            self.made -= 1
            self._changed.notify()

    def after_fork(self) -> None:
        """The threads that hold the other objects are not in the child."""
        self._changed = threading.Condition()
        self.made, self.waiting = len(self.free), 0
