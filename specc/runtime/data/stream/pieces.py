"""Reads a source as a sequence of tables, piece by piece.

    for table in pieces(request, words={"city"}):      # tables of some thousand rows
        table.read(["city", "age"])

Several files are read one after the other. The columns in `words` are read as words in every piece,
even if they look like numbers in some pieces.
"""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from specc.recipe.sources import FRAME
from specc.runtime.data import frames
from specc.runtime.data.request import Request
from specc.runtime.data.shards import of_file
from specc.runtime.data.sources import arrow, csv, delimited, images, jsonl, npz
from specc.runtime.data.table import Columns, Raw, Table
from specc.system.records import dataclass

BYTES = 2**23
"""Approximate size of a piece of text or of arrays, in bytes."""
ROWS = 2**16
"""Largest number of rows in a piece of a Parquet or Feather file."""


def is_streamable(word: str) -> bool:
    """Return whether a source can be read in pieces."""
    return word in _PIECES


def pieces(request: Request, words: Collection[str] = ()) -> Iterator[Table]:
    """Yield the tables of a source. Raises `DataError` if it cannot be read in pieces."""
    word = request.call.word
    if word not in _PIECES:
        known = ", ".join(f"`{each}`" for each in _PIECES if each != FRAME)
        raise request.error(
            f"`{word}` cannot be read in pieces, which `memory` requires",
            help=f"these sources can: {known}",
        )
    return _PIECES[word](request, words)


def _delimited(request: Request, words: Collection[str]) -> Iterator[Table]:
    header: list[str] | None = None
    for own in of_file(request):
        (path,) = own.files()
        whole = csv.Delimited(own, path)
        names = whole.table().names
        header = _same_names(own, header, names)
        line = 1
        with _opened(own, path) as file:
            for content in _records(file):
                if line == 1:
                    content, skipped = _without_header(content, whole)
                    line += skipped
                if content.strip():
                    yield _Text(whole, content, line, frozenset(words)).table()
                line += content.count(b"\n")


def _without_header(content: bytes, whole: csv.Delimited) -> tuple[bytes, int]:
    """Return the first piece of a file without its header, and the header's number of lines."""
    content = content.removeprefix(b"\xef\xbb\xbf")
    end = content.find(b"\n") + 1
    while end and content.count(b'"', 0, end) % 2:
        end = content.find(b"\n", end) + 1
    end = end or len(content)
    if not content[:end].strip():  # blank lines before it
        rest, skipped = _without_header(content[end:], whole)
        return rest, skipped + content.count(b"\n", 0, end)
    return content[end:], content.count(b"\n", 0, end)


def _records(file: BinaryIO) -> Iterator[bytes]:
    """Yield a text in pieces that end at line breaks outside of quotes."""
    left = b""
    while read := file.read(BYTES):
        content = left + read
        end = content.rfind(b"\n")
        while end >= 0 and content.count(b'"', 0, end) % 2:
            end = content.rfind(b"\n", 0, end)
        if end < 0:
            left = content
            continue
        yield content[: end + 1]
        left = content[end + 1 :]
    if left:
        yield left


def _opened(request: Request, path: Path) -> Any:
    """Open a file for reading, decompressing it if necessary."""
    with path.open("rb") as file:
        start = file.read(4)
    if start[:2] == b"\x1f\x8b":
        return gzip.open(path, "rb")
    if start == b"PK\x03\x04":
        archive = zipfile.ZipFile(path)
        return archive.open(request.only_file(archive, path))
    return path.open("rb", buffering=0)


def _same_names(request: Request, before: list[str] | None, names: list[str]) -> list[str]:
    """Return a file's column names. Raises `DataError` if the file before has others."""
    if before is not None and set(before) != set(names):
        other = sorted({*before} ^ {*names})
        raise request.error(
            f"`{request.call.arguments[0]}` has other columns than the file before:"
            f" `{other[0]}` is in only one of them",
            argument=0,
        )
    return names


@dataclass(frozen=True)
class _Text:
    """Some lines of a delimited file, starting at line `first`."""

    whole: csv.Delimited
    content: bytes
    first: int
    words: frozenset[str]

    def table(self) -> Table:
        return Table(f"`{self.whole.path.name}`", self.whole.header, self.read)

    def read(self, names: Sequence[str], texts: Collection[str]) -> Columns:
        header, separator = self.whole.header, self.whole.separator
        if len(set(header)) == len(header):
            found = delimited.read_bytes(
                self.content, separator, header, names, texts, self.words, self.whole.path.name
            )
            if found is not None:
                rows = len(next(iter(found.values()))) if found else 0
                return Columns(found, rows, self._location)
        lines = csv.TableLines(self.whole, self.content, self.first)
        return lines.read(names, texts, self.words)

    def _location(self, row: int, name: str, element: int = 0) -> str:
        return csv.TableLines(self.whole, self.content, self.first).location(row, name)


def _json_lines(request: Request, words: Collection[str]) -> Iterator[Table]:
    for own in of_file(request):
        (path,) = own.files()
        line = 1
        with _opened(own, path) as file:
            for content in _records_of_lines(file):
                yield _forced(jsonl.table_of(own, path, content, line), words)
                line += content.count(b"\n")


def _records_of_lines(file: BinaryIO) -> Iterator[bytes]:
    left = b""
    while read := file.read(BYTES):
        content, line_end, rest = (left + read).rpartition(b"\n")
        if (content + line_end).strip():
            yield content + line_end
        left = rest
    if left.strip():
        yield left


def _parquet(request: Request, words: Collection[str]) -> Iterator[Table]:
    from pyarrow import parquet

    header: list[str] | None = None
    for own in of_file(request):
        (path,) = own.files()
        table = arrow.table(own)  # raises `DataError` if the file is not valid
        header = _same_names(own, header, table.names)
        with parquet.ParquetFile(path, memory_map=False, pre_buffer=False) as file:
            total, done = file.metadata.num_rows, 0
            batches = _Batches(file)
            while done < total:
                piece = batches.next_piece()
                yield _forced(_typed(own, path, table.names, piece, done), words)
                done += batches.rows_of(piece)


class _Batches:
    """The batches of a Parquet file, with the columns that were requested last."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.names: list[str] | None = None
        self.at = -1
        self.number = -1
        self.batch: Any = None
        self.left: Iterator[Any] = iter(())

    def next_piece(self) -> Callable[[Sequence[str]], Any]:
        """Advance to the next batch and return a function that reads columns of it."""
        self.number += 1
        number = self.number
        return lambda names: self._read(number, list(names))

    def rows_of(self, piece: Callable[[Sequence[str]], Any]) -> int:
        """Return the number of rows of the current batch."""
        if self.at != self.number:
            self._read(self.number, self.names or [])
        return int(self.batch.num_rows)

    def _read(self, number: int, names: list[str]) -> Any:
        if names != self.names or number < self.at:
            self.names, self.at = names, -1
            self.left = self.file.iter_batches(batch_size=ROWS, columns=names)
        while self.at < number:
            self.batch = next(self.left)
            self.at += 1
        return self.batch


def _feather(request: Request, words: Collection[str]) -> Iterator[Table]:
    import pyarrow as pa

    header: list[str] | None = None
    for own in of_file(request):
        (path,) = own.files()
        names = arrow.table(own).names
        header = _same_names(own, header, names)
        with pa.memory_map(str(path)) as source:
            file = pa.ipc.open_file(source)
            done = 0
            for number in range(file.num_record_batches):
                batch = file.get_batch(number)
                for start in range(0, batch.num_rows, ROWS):
                    part = batch.slice(start, ROWS)
                    yield _forced(_typed(own, path, names, part.select, done + start), words)
                done += batch.num_rows


def _typed(
    request: Request,
    path: Path,
    names: list[str],
    select: Callable[[Sequence[str]], Any],
    first: int,
) -> Table:
    """Return a batch of pyarrow as a table; `first` is the number of its first row."""

    def read(wanted: Sequence[str], texts: Collection[str]) -> Columns:
        import pyarrow as pa

        found = pa.Table.from_batches([select(list(wanted))])
        columns = frames.table_of(found, f"`{path.name}`").read(wanted, texts)

        def location(row: int, name: str, element: int = 0) -> str:
            return f"`{path.name}`, row {first + row + 1}, column `{name}`"

        return Columns(columns.raw, columns.examples, location)

    return Table(f"`{path.name}`", names, read)


def _mapped(request: Request, words: Collection[str]) -> Iterator[Table]:
    """Yield slices of memory-mapped arrays."""
    whole = (images if request.call.word == "images" else npz).table(request)
    columns = whole.read()
    sizes = [each.array.nbytes for each in columns.raw.values()]
    step = max(1, BYTES * columns.examples // max(1, sum(sizes)))
    for start in range(0, columns.examples, step):
        yield _slice(whole, columns, start, min(start + step, columns.examples))


def _slice(whole: Table, columns: Columns, start: int, stop: int) -> Table:
    def read(wanted: Sequence[str], texts: Collection[str]) -> Columns:
        raw = {name: _copied(columns.raw[name].rows(slice(start, stop))) for name in wanted}

        def location(row: int, *rest: Any) -> str:
            return columns.location(start + row, *rest)

        return Columns(raw, stop - start, location)

    return replace(whole, reader=read)


def _copied(raw: Raw) -> Raw:
    return replace(raw, array=np.array(raw.array))


def _frame(request: Request, words: Collection[str]) -> Iterator[Table]:
    """Yield the batches of an iterable, or of a function's result; a frame is one piece."""
    data = request.call.arguments[0]
    data = data() if callable(data) else data
    is_batches = isinstance(data, Iterable) and not frames.is_table(data)
    for each in data if is_batches else [data]:
        yield _forced(frames.table_of(each), words)


def _forced(table: Table, words: Collection[str]) -> Table:
    """Return a table that reads the columns `words` as words."""
    if not words:
        return table
    return replace(table, reader=lambda names, texts: table.read(names, {*texts, *words}))


_PIECES: dict[str, Callable[[Request, Collection[str]], Iterator[Table]]] = {
    "csv": _delimited, "tsv": _delimited, "jsonl": _json_lines, "parquet": _parquet,
    "feather": _feather, "npy": _mapped, "images": _mapped, FRAME: _frame,
}  # fmt: skip
