"""What identifies the files of specc that are installed.

fingerprint()          # a hash, which changes with any source file
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import lru_cache

_SOURCES = (".py", ".dl", ".lark", ".messages")


@lru_cache
def fingerprint() -> str:
    """Return a hash of the sizes and times of all files of specc."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    stamps = [*_stamps(package)]
    if not os.path.isdir(os.path.join(package, "grammars")):  # not installed: they are beside it
        stamps += _stamps(os.path.join(os.path.dirname(package), "grammars"))
    return hashlib.sha256(repr(sorted(stamps)).encode()).hexdigest()


def _stamps(folder: str) -> Iterator[tuple[str, int, int]]:
    """Yield the path, the size and the time of change of each source file in a folder."""
    for each in os.scandir(folder):
        if each.is_dir():
            if each.name != "__pycache__":
                yield from _stamps(each.path)
        elif each.name.endswith(_SOURCES):
            found = each.stat()
            yield each.path, found.st_size, found.st_mtime_ns
