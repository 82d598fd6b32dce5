"""What the cache folder keeps of a program besides machine code: its plan, and its kernels' calls.

    kept = Kept(digest, "train", 64)     # a dict of what was kept under these facts
    kept.keep(plan=plan)                 # for later processes

So a warm start neither transforms graphs nor emits calls. The facts must be all that the values
follow from. The version of specc and of its compiler, and the processor, are always among them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from specc.backend.llvm.kernel import toolchain
from specc.backend.machine import this_machine
from specc.ir.graph import Node, topological
from specc.ir.pickled import packed, unpacked
from specc.system.folders import private, read, write
from specc.system.software import fingerprint

MOST_BYTES = 128 << 20
"""The most bytes of all files: the oldest ones are removed."""

_MAGIC = b"specc program 1\n"


class Kept(dict[str, Any]):
    """The values that are kept under some facts, by name.

    Without a cache folder, it is empty in each new process.
    """

    def __init__(self, *facts: object) -> None:
        machine = this_machine()
        whole = (*facts, toolchain(machine.vector_bits), machine, fingerprint(), np.__version__)
        name = hashlib.sha256(repr(whole).encode()).hexdigest()[:32]
        folder = private("programs")
        self._path = None if folder is None else folder / name
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


def digest(values: Mapping[str, Any]) -> str:
    """Return a hash of values over nodes: the same in each process, for values that are equal."""
    return hashlib.sha256(repr(_Plain()(values)).encode()).hexdigest()


class _Plain:
    """Turns values into tuples of texts. A value that comes again becomes its number."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}  # by the identity of an object
        self._equal: dict[object, int] = {}  # by the tuple of a data class, which nodes are not
        self._kept: list[object] = []  # so that no other object gets the identity of one of these

    def __call__(self, value: Any) -> object:
        if type(value) in _LEAVES:
            return repr(value)
        if isinstance(value, tuple):
            return tuple([self(each) for each in value])
        known = self._numbers.get(id(value))
        if known is not None:
            return known
        if isinstance(value, Node):
            nodes = [each for each in topological([value]) if id(each) not in self._numbers]
            return tuple([self._object(each) for each in nodes])
        if isinstance(value, Enum):
            return str(value)
        if isinstance(value, dict | list):
            return tuple([self(each) for each in _items(value)])
        return self._object(value)

    def _object(self, value: Any) -> object:
        """Return the class and the fields of a data class."""
        if not is_dataclass(value):
            raise TypeError(f"a {type(value).__name__} cannot be hashed (a bug of specc)")
        names = _names(value.__class__)
        made = (type(value).__qualname__, *[self(getattr(value, name)) for name in names])
        number = len(self._kept)
        self._kept.append(value)
        if not isinstance(value, Node):
            self._numbers[id(value)] = self._equal.setdefault(made, number)
            return made if self._equal[made] == number else self._equal[made]
        self._numbers[id(value)] = number
        return made


_LEAVES = (str, int, float, bool, type(None))


def _items(value: dict[Any, Any] | list[Any]) -> Iterable[Any]:
    return value.items() if isinstance(value, dict) else value


@cache
def _names(cls: Any) -> tuple[str, ...]:
    """Return the names of the fields of a data class by which its instances are compared."""
    return tuple(each.name for each in fields(cls) if each.compare)


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
