"""The identity of the files that shape machine code: this folder, and what it imports of specc.

    identity()         # a hash of their texts

The hash is part of every kernel's key. Reading some forty files takes 20 ms on a slow file system,
so the cache folder keeps the hash with the sizes and times of the files.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from functools import lru_cache

from specc.system.folders import private, read, write

_PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_HERE = os.path.join("backend", "llvm")
_IMPORT = re.compile(r"from specc\.([\w.]+) import ([\w, ]*)")

Stamps = dict[str, list[int]]  # file -> its size and time of change


@lru_cache
def identity() -> str:
    """Return the hash of the files, read anew only if one of them has changed."""
    names = sorted(name for name in os.listdir(os.path.join(_PACKAGE, _HERE)) if name[-3:] == ".py")
    folder = private("sources")
    known = None
    if folder is not None:
        # the name has the path of the package, as several installations may share the cache folder
        place = hashlib.sha256(_PACKAGE.encode()).hexdigest()[:16]
        known = folder / f"{place}.json"
        found = _unchanged(read(known), names)
        if found is not None:
            return found
    stamps, texts = _texts(names)
    hashed = hashlib.sha256()
    for file, text in sorted(texts.items()):
        hashed.update(f"{file} {len(text)}\n{text}".encode())
    if known is not None:
        record = {"names": names, "stamps": stamps, "hash": hashed.hexdigest()}
        write(known, json.dumps(record).encode())
    return hashed.hexdigest()


def _unchanged(record: bytes | None, names: list[str]) -> str | None:
    """Return the hash of a record if all files are as they were."""
    try:
        known = json.loads(record or b"")
        is_same = known["names"] == names and all(
            _stamp(file) == stamp for file, stamp in known["stamps"].items()
        )
        return str(known["hash"]) if is_same else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _texts(names: list[str]) -> tuple[Stamps, dict[str, str]]:
    """Return the texts of the files of this folder, and of all that they import of specc."""
    files = [os.path.join(_HERE, name) for name in names]
    stamps: Stamps = {}
    texts: dict[str, str] = {}
    while files:
        file = files.pop()
        stamp = _stamp(file)
        if file in stamps or stamp is None:  # an imported name need not be a file
            continue
        stamps[file] = stamp
        with open(os.path.join(_PACKAGE, file), encoding="utf-8") as opened:
            texts[file] = opened.read()
        for module, imported in _IMPORT.findall(texts[file]):
            folder = os.path.join(*module.split("."))
            files += [f"{folder}.py", os.path.join(folder, "__init__.py")]
            files += [os.path.join(folder, f"{name.strip()}.py") for name in imported.split(",")]
    return stamps, texts


def _stamp(file: str) -> list[int] | None:
    try:
        found = os.stat(os.path.join(_PACKAGE, file))
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]
