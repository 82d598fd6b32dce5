"""The user's folders: the one place that knows where they are.

cache_folder()                            # ~/.cache/specc on Linux
folder = private("kernels")               # a folder of it that only this user can write to
write(folder / "relu.o", code)            # whole or not at all
read(folder / "relu.o")                   # None for a file that somebody else may have written
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
    if sys.platform == "linux":  # the next lines do the same, but take 10 ms to import
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
    """Return a folder of the cache folder for this user alone; None where there cannot be one."""
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
    """Return whether only this user, or root, can have written a file: no other code is run."""
    if os.name != "posix":
        return True
    return found.st_uid in (os.geteuid(), 0) and not stat.S_IMODE(found.st_mode) & _OTHERS_WRITE


def read(path: Path) -> bytes | None:
    """Return what is in a file of a private folder; None if it is missing or not this user's."""
    try:
        with path.open("rb") as file:
            return file.read() if _is_trusted(os.fstat(file.fileno())) else None
    except OSError:
        return None


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; a folder that cannot be written is no error."""
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
