"""Locks for threads that share a model, and for the compiler, usable after a fork.

    lock = ReadWriteLock()
    with lock.reading: ...      # any number of threads at once; may be nested
    with lock.writing: ...      # one thread at a time; may be nested, and may read
    with COMPILER: ...          # one thread of the process at a time

A forked child has only the thread that forked. A lock that another thread held at that moment would
never be released there, so the child recreates its locks. The data that such a lock protects may be
inconsistent, however. So a fork waits for the kernel that is being compiled or loaded (`NATIVE`),
and up to `WAIT` seconds for threads that change a model. A model that is still being changed then
cannot be used in the child.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

WAIT = 2.0  # seconds that a fork waits for threads that change models

_TORN = -1  # `closed` in a child that was forked while another thread changed the model


def _is_held(lock: Any) -> bool:
    """Return whether this thread holds a re-entrant lock (missing in the stubs of `RLock`)."""
    held: bool = lock._is_owned()
    return held


class Mutex:
    """A re-entrant lock that is free in a forked child, unless the forking thread holds it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        remade_after_fork(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def after_fork(self) -> None:
        if not _is_held(self._lock):
            self._lock = threading.RLock()


class _Native:
    """A re-entrant lock for which a fork waits, with precedence over other threads.

    It must not be held by a thread that waits for a model.
    """

    def __init__(self) -> None:
        self._lock, self._turnstile = threading.RLock(), threading.RLock()

    def __enter__(self) -> None:
        if _is_held(self._lock):
            self._lock.acquire()
        else:
            with self._turnstile:
                self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def acquire(self) -> None:
        """Acquire the lock for a fork; other threads wait at the turnstile."""
        self._turnstile.acquire()
        self._lock.acquire()

    def release(self) -> None:
        self._lock.release()
        self._turnstile.release()


class ReadWriteLock:
    """A lock for many readers or one writer.

    A writer has precedence over later readers, and the readers that waited for it have
    precedence over the next writer.

    Reading is fast enough for a call of a few microseconds if it is inlined:

        me = threading.get_ident()
        try:
            lock.readers.append(me)
            if lock.closed is not None:
                lock.wait(me)
            ...
        finally:
            lock.readers.remove(me)
            if lock.closed is not None:
                lock.tell()

    A thread that is reading must not start to write.
    """

    def __init__(self) -> None:
        self.readers: list[int] = []  # the identifier of a thread, once per time that it entered
        self.closed: int | None = None  # the thread that writes, or waits for readers to leave
        self._waiting = 0  # the number of readers that wait for a writer
        self._first = 0  # the number of these with precedence over the next writer
        self._depth = 0  # how often the writing thread entered
        self._writer, self._changed = threading.RLock(), threading.Condition()
        self._fork = threading.Lock()  # held by a fork that waits for the writing thread
        self._is_forking = False
        self.reading, self.writing = _Reading(self), _Writing(self)
        _write_locks.add(self)

    def wait(self, me: int) -> None:
        """Wait until thread `me`, which is among `readers`, may read.

        Raises RuntimeError in a child that was forked in the midst of a change.
        """
        if self.closed == me or (self.closed != _TORN and self.readers.count(me) > 1):
            return
        with self._changed:
            self.readers.remove(me)
            self._changed.notify_all()
            self._waiting += 1
            try:
                while self.closed is not None:
                    self._check()
                    self._changed.wait()
            finally:
                self._waiting -= 1
                if self._first:
                    self._first -= 1
                    self._changed.notify_all()
                self.readers.append(me)

    def tell(self) -> None:
        """Notify a writer that a reader has left."""
        with self._changed:
            self._changed.notify_all()

    def open_for_writing(self) -> None:
        me = threading.get_ident()
        if self._is_forking and not _is_held(self._writer):
            with self._fork:  # a thread that writes again and again lets the fork go first
                pass
        self._writer.acquire()
        if self._depth == 0:
            try:
                self._check()
                assert me not in self.readers, (
                    "a thread that is reading cannot write; please report this"
                )
                if self._first:
                    with self._changed:
                        while self._first:
                            self._changed.wait()
                self.closed = me
                if self.readers:
                    with self._changed:
                        while self.readers:
                            self._changed.wait()
            except BaseException:
                if self.closed != _TORN:
                    self._reopen()
                self._writer.release()
                raise
        self._depth += 1

    def close_for_writing(self) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._reopen()
        self._writer.release()

    def _reopen(self) -> None:
        self.closed = None
        if self._waiting:
            with self._changed:
                self._first = self._waiting
                self._changed.notify_all()

    def _check(self) -> None:
        if self.closed == _TORN:
            raise RuntimeError(
                "this process was forked while another thread changed the model, so its weights may"
                " be inconsistent here: fork before or after a training step, or pickle the model"
                " instead"
            )

    def hold(self, deadline: float) -> bool:
        """Keep writers away during a fork, waiting until `deadline` at most. Return whether they
        are.
        """
        self._fork.acquire()
        self._is_forking = True
        self._held = self._writer.acquire(timeout=max(deadline - time.monotonic(), 0))
        return self._held

    def free(self) -> None:
        """Undo `hold` in the process that forked."""
        if self._held:
            self._writer.release()
        self._is_forking = False
        self._fork.release()

    def after_fork(self) -> None:
        """Undo `hold` in the child."""
        me, is_whole = threading.get_ident(), self._held
        self._fork, self._is_forking = threading.Lock(), False
        if is_whole:
            self._writer.release()
        self._changed = threading.Condition()
        self.readers[:] = [each for each in self.readers if each == me]
        self._waiting = self._first = 0
        if not is_whole:
            self._writer, self._depth, self.closed = threading.RLock(), 0, _TORN
        elif not self._depth:
            self.closed = None


class _Reading:
    def __init__(self, lock: ReadWriteLock):
        self._lock = weakref.proxy(lock)

    def __enter__(self) -> None:
        me = threading.get_ident()
        self._lock.readers.append(me)
        if self._lock.closed is not None:
            try:
                self._lock.wait(me)
            except BaseException:
                self.__exit__()
                raise

    def __exit__(self, *_: object) -> None:
        self._lock.readers.remove(threading.get_ident())
        if self._lock.closed is not None:
            self._lock.tell()


class _Writing:
    def __init__(self, lock: ReadWriteLock):
        self._lock = weakref.proxy(lock)

    def __enter__(self) -> None:
        self._lock.open_for_writing()

    def __exit__(self, *_: object) -> None:
        self._lock.close_for_writing()


# The state that a fork needs.

_write_locks: weakref.WeakSet[ReadWriteLock] = weakref.WeakSet()
_remade: weakref.WeakSet = weakref.WeakSet()
_natives: list[
    Callable
] = []  # functions that return a lock that a fork acquires, or None, in this order
_taken: list = []  # the locks that the forking thread has acquired
_forking = threading.RLock()


def remade_after_fork(owner) -> None:
    """Call `owner.after_fork()` in every forked child."""
    _remade.add(owner)


def _before_fork() -> None:
    _forking.acquire()
    deadline = time.monotonic() + WAIT
    for each in list(_write_locks):
        each.hold(deadline)
        _taken.append(each.free)
    for find in _natives:
        lock = find()
        if lock is not None:
            lock.acquire()
            _taken.append(lock.release)


def _after_fork_in_parent() -> None:
    while _taken:
        _taken.pop()()
    _forking.release()


def _after_fork_in_child() -> None:
    global _forking
    while _taken:
        give_back = _taken.pop()
        if not isinstance(getattr(give_back, "__self__", None), ReadWriteLock):
            give_back()
    _forking = threading.RLock()
    for each in (*_write_locks, *_remade):
        each.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )


def _lock_in(module: str, *names: str):
    """Return a function that finds a lock of another package, if it is loaded."""
    found = sys.modules.get(module)
    for name in names:
        found = getattr(found, name, None)
    return found if hasattr(found, "acquire") and hasattr(found, "release") else None


NATIVE = _Native()
"""The lock for importing LLVM, compiling and linking, held for one kernel at most."""

_natives += (
    lambda: NATIVE,
    lambda: _lock_in("llvmlite.binding.ffi", "lib", "_lock", "_lock"),
)

COMPILER = Mutex()
"""The lock for checking and compiling models, as passes and the front end have global state.
"""
