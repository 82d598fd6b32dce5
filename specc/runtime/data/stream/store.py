"""The columns of a part, stored as binary files in the user's cache folder.

    with ColumnWriter(folder) as writer:
        writer.append("training", {"x": Column(array)})
    stored = Stored(folder, "training", count, columns)
    stored.read([(0, 1000)])           # {"x": Column [1000, ...]}, read into memory
    stored.mapped()                    # the whole columns, memory-mapped

A file holds the values of one column, row after row, without a header.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import field
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from specc.recipe import Column
from specc.system.records import dataclass


class OtherType(Exception):
    """Raised for a piece that needs a wider type: all pieces must then be written again."""

    def __init__(self, port: str, dtype: str) -> None:
        super().__init__(port)
        self.port, self.dtype = port, dtype


def new_bytes(size: int) -> np.ndarray:
    """Return new memory of so many bytes: uint8 [size]."""
    return np.empty(size, np.uint8)


@dataclass(frozen=True)
class ColumnForm:
    """How the values of a column are stored: type, shape, scale and shift."""

    dtype: str
    shape: tuple[int, ...]
    scale: float = 1.0
    shift: float = 0.0

    @property
    def row_bytes(self) -> int:
        return int(np.dtype(self.dtype).itemsize * prod(self.shape))


@dataclass(frozen=True)
class Stored:
    """The columns of one part on the disk, each with `count` rows."""

    folder: Path
    part: str
    count: int
    forms: dict[str, ColumnForm]
    hashes: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def row_bytes(self) -> int:
        """The size of one example in all columns, in bytes."""
        return max(1, sum(each.row_bytes for each in self.forms.values()))

    def room(
        self, rows: int, allocate: Callable[[int], np.ndarray] = new_bytes
    ) -> dict[str, Column]:
        """Return columns of `rows` rows to read into, in memory that `allocate` makes."""

        def empty(form: ColumnForm) -> np.ndarray:
            found = allocate(rows * form.row_bytes).view(form.dtype)
            return found.reshape(rows, *form.shape)

        return {
            name: Column(empty(form), form.scale, form.shift) for name, form in self.forms.items()
        }

    def read(
        self,
        pieces: Iterable[tuple[int, int]],
        room: Mapping[str, Column] | None = None,
        first: int = 0,
    ) -> dict[str, Column]:
        """Read rows `start` to `stop` - 1 of each piece, in order, into `room` from row `first` on.

        Returns the columns up to the last row that was read.
        """
        pieces = list(pieces)
        count = sum(stop - start for start, stop in pieces)
        total = first + count
        room = self.room(total) if room is None else room
        for name, form in self.forms.items():
            array = room[name].array[first:total].reshape(-1).view(np.uint8)
            size = form.row_bytes
            with self._path(name).open("rb", buffering=0) as file:
                at = 0
                for start, stop in pieces:
                    file.seek(start * size)
                    _read_all(file, array[at : at + (stop - start) * size].data)
                    at += (stop - start) * size
        return {name: Column(each.array[:total], each.scale, each.shift)
                for name, each in room.items()}  # fmt: skip

    def mapped(self) -> dict[str, Column]:
        """Return the whole columns, memory-mapped."""
        return {
            name: Column(
                np.memmap(self._path(name), form.dtype, "r", shape=(self.count, *form.shape)),
                form.scale,
                form.shift,
            )
            for name, form in self.forms.items()
        }

    def is_whole(self) -> bool:
        """Return whether all files exist and have the right size."""
        try:
            return all(
                self._path(name).stat().st_size == self.count * form.row_bytes
                for name, form in self.forms.items()
            )
        except OSError:
            return False

    def _path(self, name: str) -> Path:
        return self.folder / f"{self.part}.{name}"


def _read_all(file: BinaryIO, room: memoryview) -> None:
    while room:
        count = file.readinto(room)  # type: ignore[attr-defined]
        if not count:
            raise OSError("a file of the cache is shorter than it was")
        room = room[count:]


class ColumnWriter:
    """Files that columns are appended to, piece by piece.

    `types` has types of ports that are wider than the first piece requires.
    """

    def __init__(self, folder: Path, types: Mapping[str, str]) -> None:
        self.folder, self.types = folder, types
        self.counts: dict[str, int] = {}
        self.forms: dict[str, dict[str, ColumnForm]] = {}
        self._files: dict[tuple[str, str], BinaryIO] = {}
        self._hashes: dict[tuple[str, str], Any] = {}
        self._stack = ExitStack()

    def __enter__(self) -> ColumnWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def append(self, part: str, columns: Mapping[str, Column], rows: np.ndarray) -> None:
        """Append some rows of columns to a part. Raises `OtherType` if a wider type is needed."""
        forms = self.forms.setdefault(part, {})
        self.counts[part] = self.counts.get(part, 0) + len(rows)
        for name, column in columns.items():
            array = column.array if len(rows) == len(column.array) else column.array[rows]
            form = self._form(forms, name, column)
            if array.dtype.str != form.dtype:
                wider = np.result_type(array.dtype, form.dtype)
                if wider.str != form.dtype:
                    raise OtherType(name, wider.str)
                array = array.astype(form.dtype)
            file = self._files.get((part, name))
            if file is None:
                path = self.folder / f"{part}.{name}"
                file = self._stack.enter_context(path.open("wb", buffering=0))
                self._files[part, name] = file
                self._hashes[part, name] = hashlib.sha256()
            content = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
            self._hashes[part, name].update(content)
            while content:
                content = content[file.write(content) :]

    def _form(self, forms: dict[str, ColumnForm], name: str, column: Column) -> ColumnForm:
        if name not in forms:
            dtype = self.types.get(name, column.array.dtype.str)
            forms[name] = ColumnForm(dtype, column.array.shape[1:], column.scale, column.shift)
        return forms[name]

    def hashes(self, part: str) -> dict[str, str]:
        """Return the SHA-256 of the values of each column of a part."""
        return {name: each.hexdigest() for (own, name), each in self._hashes.items() if own == part}

    def stored(self) -> dict[str, Stored]:
        """Return the parts that were written and are not empty."""
        return {
            part: Stored(self.folder, part, self.counts[part], forms)
            for part, forms in self.forms.items()
            if self.counts[part]
        }
