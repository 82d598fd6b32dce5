"""Values in the cache folder, stored under all facts that they follow from.

    stored = StoredValues("checked", name, text)    # a dict of what was stored under these facts
    stored.keep(program=program)              # for later processes

The facts must be all that the values follow from. The files of specc and the version of Python are
always among them.
"""

from __future__ import annotations

import hashlib
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from specc.ir.pickled import packed, unpacked
from specc.system.folders import private, read, write
from specc.system.software import fingerprint

MOST_BYTES = 128 << 20
"""The most bytes of all files of a folder: the oldest ones are removed."""

_MAGIC = b"specc program 1\n"


class StoredValues(dict[str, Any]):
    """The values that are stored under some facts, by name, in the private folder `folder`.

    Without a cache folder, it is empty in each new process.
    """

    def __init__(self, folder: str, *facts: object) -> None:
        whole = (*facts, fingerprint(), sys.version)
        name = hashlib.sha256(repr(whole).encode()).hexdigest()[:32]
        place = private(folder)
        self._path = None if place is None else place / name
        super().__init__(_read(self._path) if self._path is not None else {})

    def keep(self, **values: object) -> None:
        """Add values, and write all of them to the cache folder."""
        self.update(values)
        if self._path is not None:
            with suppress(RecursionError):  # of values that are too deep for a pickle
                content = packed(self)
                write(self._path, _MAGIC + hashlib.sha256(content).digest() + content)
                _remove_oldest(self._path.parent)

    def forget(self) -> None:
        """Remove all values, also from the cache folder."""
        self.clear()
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()


def _read(path: Path) -> dict[str, Any]:
    """Return the values of a file; none if it is missing, damaged or not this user's."""
    stored = read(path)
    start = len(_MAGIC) + 32
    if stored is None or stored[:start] != _MAGIC + hashlib.sha256(stored[start:]).digest():
        return {}
    return unpacked(stored[start:])


def _remove_oldest(folder: Path) -> None:
    """Remove the oldest files of a folder if all together have more than `MOST_BYTES`."""
    with suppress(OSError):
        found = [(each.stat(), each.path) for each in os.scandir(folder)]
        most = MOST_BYTES
        for stat, path in sorted(found, key=lambda each: -each[0].st_mtime_ns):
            most -= stat.st_size
            if most < 0:
                with suppress(OSError):  # another process has removed it
                    os.unlink(path)
