"""A lock on a run's folder, so that only one process trains it at a time.

    lock = Lock.take(folder)        # RunError: "`runs/a/1` is being trained by process 71 .."
    lock.release()

The operating system holds the lock on the open file `.lock` and frees it when the process ends,
even if it is killed. The file's text names the process. A child process made by `fork` does not
keep the lock.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import time
import weakref
from contextlib import suppress
from io import FileIO
from pathlib import Path

from specc.runtime.errors import run_error
from specc.runtime.files import reason

NAME = ".lock"
FAR = 2**30
"""Offset of the byte that Windows locks: far after the text, which others must be able to read."""
TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


class Lock:
    """A lock that is held until `release`, or until the object or its process ends."""

    def __init__(self, path: Path, file: FileIO) -> None:
        self.path, self._file = path, file
        _held.add(self)

    @classmethod
    def take(cls, folder: Path) -> Lock:
        """Lock a folder. Raises `RunError` if it is locked or cannot be written to."""
        lock = cls.taken(folder)
        if lock is None:
            raise run_error(
                f"`{folder}` is being trained by {_holder(folder / NAME)}",
                folder,
                help="wait until that training ends, or stop it first",
            )
        return lock

    @classmethod
    def taken(cls, folder: Path) -> Lock | None:
        """Lock a folder; return None if it is locked. Raises `RunError` if it is not writable."""
        path = folder / NAME
        while True:
            try:
                file = path.open("a+b", buffering=0)
            except OSError as error:
                raise run_error(f"cannot write `{path}`: {reason(error)}", path) from None
            if not _try(file):
                file.close()
                return None
            # the last holder may have removed the file after this process opened it
            with suppress(OSError):
                if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                    break
            file.close()
        lock = cls(path, file)
        with suppress(OSError):  # on a full disk the lock has no text
            file.truncate(0)
            since = time.strftime("%Y-%m-%d %H:%M:%S")
            file.write(f"process {os.getpid()} on {socket.gethostname()} since {since}\n".encode())
        return lock

    def release(self) -> None:
        """Unlock the folder and remove the lock file."""
        if self._file.closed:
            return
        if os.name != "nt":  # remove it while it is still locked; Windows cannot
            with suppress(OSError):
                self.path.unlink()
        self._file.close()
        if os.name == "nt":
            with suppress(OSError):
                self.path.unlink()

    def forget(self) -> None:
        """Close the file in a forked child; the parent's lock stays."""
        self._file.close()


def _try(file: FileIO) -> bool:
    """Lock an open file; return whether no other process holds the lock.

    On a file system without locks the result is True.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(FAR)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in TAKEN
    return True


def _holder(path: Path) -> str:
    """Return the process that holds a lock, according to the lock file."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        text = ""
    return text[:200] or "another process"


_held: weakref.WeakSet[Lock] = weakref.WeakSet()


def _forget_all() -> None:
    for lock in list(_held):
        lock.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
