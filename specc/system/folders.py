"""The user's folders for compiled code and data.

cache_folder()                            # ~/.cache/specc on Linux
folder = private("kernels")               # a folder in it that only this user can write
write(folder / "relu.o", code)            # atomic
read(folder / "relu.o")                   # None for a file that another user may have written
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

_OTHERS = 0o077  # permissions of other users
_OTHERS_WRITE = 0o022


def cache_folder() -> Path:
    """Return the folder for compiled code: SPECC_CACHE_DIR, or the system's cache folder."""
    if chosen := os.environ.get("SPECC_CACHE_DIR"):
        return Path(chosen)
    if sys.platform == "linux":  # like the next lines, without an import of 10 ms
        given = os.environ.get("XDG_CACHE_HOME", "")
        return Path(given if given.strip() else os.path.expanduser("~/.cache")) / "specc"
    import platformdirs

    return Path(platformdirs.user_cache_dir("specc", appauthor=False))


def data_folder() -> Path:
    """Return the folder for data sets: SPECC_DATA_DIR, or the user's data folder of the system."""
    if chosen := os.environ.get("SPECC_DATA_DIR"):
        return Path(chosen)
    import platformdirs

    return Path(platformdirs.user_data_dir("specc", appauthor=False))


def private(name: str) -> Path | None:
    """Return a private folder in the cache folder; None if it cannot be created."""
    try:
        folder = cache_folder() / name
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        if os.name == "posix":
            found = folder.stat()
            if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & _OTHERS:
                folder.chmod(0o700)
                found = folder.stat()
            if not _is_trusted(found):
                return None
        return folder
    except OSError:
        return None


def _is_trusted(found: os.stat_result) -> bool:
    """Return whether only this user, or root, can have written a file."""
    if os.name != "posix":
        return True
    return found.st_uid in (os.geteuid(), 0) and not stat.S_IMODE(found.st_mode) & _OTHERS_WRITE


def read(path: Path) -> bytes | None:
    """Return the content of a private file; None if it is missing or may be another user's."""
    try:
        with path.open("rb") as file:
            return file.read() if _is_trusted(os.fstat(file.fileno())) else None
    except OSError:
        return None


def write(path: Path, content: bytes) -> None:
    """Write a file atomically; a folder that cannot be written is not an error."""
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
        temporary = None
    except OSError:
        pass
    finally:
        if temporary is not None:  # also after Ctrl-C
            with suppress(OSError):
                os.unlink(temporary)
