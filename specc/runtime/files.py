"""Files that are written whole or not at all.

    write(run.folder / "run.json", text.encode())      # RunError: "... No space left on device"

The content goes into a new file in the same folder: write, fsync, rename, fsync of the folder. A
reader sees either the old file or the new one, even after a crash or a power failure.
Every call that changes a run's files goes through `disk`, so tests can record each call and make it
fail.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import sys
from contextlib import suppress
from pathlib import Path

from specc.runtime.errors import run_error


class Disk:
    """The system calls that write files; each raises `OSError`."""

    BINARY = getattr(os, "O_BINARY", 0)  # Windows translates line ends without it

    def create(self, path: Path) -> int:
        """Open a new file for writing; fail if it exists."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | self.BINARY, 0o666)

    def open_end(self, path: Path) -> int:
        """Open an existing file to write at its end."""
        return os.open(path, os.O_WRONLY | os.O_APPEND | self.BINARY)

    def write(self, handle: int, content: memoryview) -> int:
        """Write some bytes from the start of the content, and return how many."""
        return os.write(handle, content)

    def truncate(self, handle: int, size: int) -> None:
        os.ftruncate(handle, size)

    def sync(self, handle: int) -> None:
        """Wait until the file's content is on the disk."""
        if sys.platform == "darwin":  # its fsync does not flush the drive's cache
            import fcntl

            with suppress(OSError):  # some file systems do not have it
                fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
                return
        os.fsync(handle)

    def close(self, handle: int) -> None:
        os.close(handle)

    def rename(self, path: Path, to: Path) -> None:
        """Rename a file, replacing a file of the new name."""
        os.replace(path, to)

    def remove(self, path: Path) -> None:
        os.unlink(path)

    def make_folder(self, path: Path) -> None:
        os.mkdir(path)

    def sync_folder(self, path: Path) -> None:
        """Wait until the folder's list of files is on the disk."""
        if os.name == "nt":  # Windows cannot open a folder
            return
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            # some network file systems cannot do it
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
                raise
        finally:
            os.close(handle)


disk = Disk()


def write(path: Path, content: bytes | memoryview) -> None:
    """Write a file whole. Raises `RunError`, leaving an existing file unchanged."""
    try:
        replace(path, content)
    except OSError as error:
        raise run_error(f"cannot write `{path}`: {reason(error)}", path) from None


def replace(path: Path, content: bytes | memoryview) -> None:
    """Write a file whole, like `write`, but raise `OSError`.

    A pipe or device is written to directly.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    path = path.resolve()  # a symbolic link stays a link
    beside = _beside(path)
    try:
        handle = disk.create(beside)
        try:
            write_all(handle, content)
            disk.sync(handle)
        finally:
            disk.close(handle)
        disk.rename(beside, path)
    except BaseException:
        with suppress(OSError):
            disk.remove(beside)
        raise
    disk.sync_folder(path.parent)


def write_all(handle: int, content: bytes | memoryview) -> None:
    """Write all bytes of the content to an open file."""
    left = memoryview(content).cast("B")
    while left:
        written = disk.write(handle, left)
        if not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left = left[written:]


def make_folders(path: Path) -> None:
    """Make a folder and those above it, durably. Raises `OSError`."""
    if path.is_dir():
        return
    make_folders(path.parent)
    with suppress(FileExistsError):
        disk.make_folder(path)
    disk.sync_folder(path.parent)


def remove_leftovers(folder: Path, names: tuple[str, ...]) -> None:
    """Remove the partial files that killed processes left in a folder, of the files `names`.

    The caller makes sure that no writer of these files is alive.
    """
    own = "|".join(map(re.escape, names))
    pattern = re.compile(rf"\.({own})\.([0-9a-f]{{16}}\.part|\d+)")  # a process id in older runs
    for each in folder.iterdir():
        if pattern.fullmatch(each.name):
            with suppress(OSError):
                disk.remove(each)


def _beside(path: Path) -> Path:
    """Return a new random name in the folder of `path`; process ids repeat between containers."""
    shown = path.name.encode()[:100].decode(errors="ignore")
    return path.with_name(f".{shown}.{secrets.token_hex(8)}.part")


def reason(error: OSError) -> str:
    """Return the system's message of an error, such as "No space left on device"."""
    return error.strerror or type(error).__name__
