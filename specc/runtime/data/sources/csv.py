"""`csv(file; ...)`: a table with a header, whose columns are matched to ports by name.

    csv("iris.csv"; x = "sepal_length, sepal_width", species = "kind", missing = "drop")

A port of one value takes the column of its name. A port with axes takes the numbered columns `x_1`,
`x_2`, .. (`match.by_name`), the last of which may be empty for a variable-length sequence. A
setting with the name of a port names its columns; `columns` does so for the only "float" input with
axes. The text is UTF-8, plain or compressed (gzip, zip).

- `separator`: by default detected in the header: a comma, semicolon, tab or `|`.
- `missing`: how an empty cell (or NA, ?, nan, null) is treated: by default as an error; a number
replaces it in "float" columns; "drop" leaves out the line.
- `scale`, `shift`: applied to "float" inputs, not to targets.

A column has integers, numbers or words: the first of these that fits all its cells. A "class" port
takes integers from 0, or words; see `bind` for the class indices of words. A port that is a
sequence of classes takes a column of texts. `level=char` or `level=word` sets the kind of symbols;
`limit` and `unknown` work as for `text`. `tsv` is a table separated by tabs.
"""

from __future__ import annotations

import csv
import io
from array import array as compact
from collections.abc import Collection, Iterator, Sequence
from dataclasses import field, replace
from itertools import islice
from pathlib import Path

import numpy as np

from specc.runtime.data.cells import is_number, is_strange
from specc.runtime.data.request import Request
from specc.runtime.data.sources import delimited
from specc.runtime.data.table import MISSING, Columns, Raw, Table, coded
from specc.runtime.errors import DataError
from specc.system.records import dataclass

SEPARATORS = ",;\t|"
LINES_AT_ONCE, CELLS_AT_ONCE = 4096, 2**18
LARGE = 2**22  # files of at least this many bytes are read with pyarrow, if it is installed


def table(request: Request) -> Table:
    """Return the table in a file. Raises `DataError` if it cannot be read."""
    (path,) = request.files()
    return Delimited(request, path).table()


@dataclass
class Delimited:
    """A text table whose first line has the column names."""

    request: Request
    path: Path
    is_part: bool = False
    text: str | None = None
    separator: str = ","
    header: list[str] = field(default_factory=list)
    vectors: Sequence[Sequence[str]] = ()

    def table(self) -> Table:
        beginning = self.text_of(replace(self.request, limit=delimited.HEAD))
        given = self.request.settings()["separator"]
        given = "\t" if self.request.call.word == "tsv" and given is None else given
        self.separator = given or _separator(beginning)
        first = next(self.lines(beginning), (0, []))[1]
        self.header = [cell.strip() for cell in first]
        self._check_header()
        return Table(f"`{self.path.name}`", self.header, self.read, arrange=self.arrange)

    def arrange(self, vectors: Sequence[Sequence[str]]) -> None:
        """Set the groups of columns whose values should be adjacent in memory."""
        self.vectors = vectors

    def _check_header(self) -> None:
        if not self.header:
            raise self.error("the file is empty", help="the first line names the columns")
        if all(is_number(cell) for cell in self.header):
            raise self.error(
                "there is no header: the first line has numbers",
                help="add a first line with the names of the columns",
            )
        other = _separator(self.header[0])
        is_alone = len(self.header) == 1 and other in self.header[0]
        if is_alone and self.request.settings()["separator"]:
            raise self.error(
                f"there is only one column, `{self.header[0]}`",
                help=f"remove `separator`, or set it to `{other}`",
                line=1,
            )

    def error(self, message: str, help: str | None = None, line: int | None = None) -> DataError:
        place = f"`{self.path.name}`" + (f", line {line}" if line else "")
        return self.request.error(f"{place}: {message}", argument=0, help=help)

    def read(self, names: Sequence[str], texts: Collection[str]) -> Columns:
        """Read some columns, with pyarrow if the file is large and otherwise line by line."""
        is_unique = len(set(self.header)) == len(self.header)
        if is_unique and self.request.limit is None and self.path.stat().st_size >= LARGE:
            found = delimited.read(
                self.path, self.separator, self.header, names, texts, self.vectors
            )
            if found is not None:
                rows = len(next(iter(found.values())))
                locations = _Locations(self)
                return Columns(found, rows, locations.location)
        return self._read_lines(names, texts)

    def _read_lines(self, names: Sequence[str], texts: Collection[str]) -> Columns:
        """Read some columns line by line. Raises `DataError` at the first invalid line."""
        text = self.text_of(self.request)
        columns = TableLines(self, text).read(names, texts)
        if not columns.examples:
            raise self.error("there are no examples under the header")
        return replace(columns, count=-1) if self.is_part else columns

    def lines(self, text: str, first: int = 1, width: int = 0) -> Iterator[tuple[int, list[str]]]:
        """Yield (line number, cells) for each line that is not blank, starting with the header.

        The text may be part of a file, starting at line `first`, with `width` cells per line.
        """
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=self.separator)
        line = first
        try:
            for row in reader:
                if row:
                    width = width or len(row)
                    if len(row) != width:
                        raise self.error(
                            f"there are {len(row)} cells, but the header has {width}",
                            line=line,
                            help="quote cells that contain the separator",
                        )
                    yield line, row
                line = reader.line_num + first
        except csv.Error as error:
            raise self.error(str(error), line=line) from None

    def text_of(self, request: Request) -> str:
        """Return the text of the file, or its beginning up to the end of a line."""
        content = request.read(self.path)
        self.is_part = request.is_part(content)
        if self.is_part:
            end = content.rfind(b"\n")
            while end > 0 and content.count(b'"', 0, end) % 2:  # the line break is within quotes
                end = content.rfind(b"\n", 0, end)
            if content.find(b"\n") >= end:  # not even one row after the header fits
                return self.text_of(replace(request, limit=None))
            del content[end + 1 :]
        return self.decoded(content)

    def decoded(self, content: bytes | bytearray, first: int = 1) -> str:
        """Decode the file, or part of it that starts at line `first`. Raises `DataError`."""
        request = self.request
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + first
            raise request.error(
                f"`{self.path.name}`, line {line}: this is not UTF-8 text",
                argument=0,
                help=f'read arrays with `npz("{self.path.name}")`'
                if self.path.suffix in (".npz", ".npy")
                else "save the table as UTF-8; if a spreadsheet saved it:"
                f" `iconv -f WINDOWS-1252 -t UTF-8 {self.path.name} > utf8.csv`",
            ) from None


class TableLines:
    """Reads a text line by line: a whole file, or the part of it that starts at line `first`.

    Only a whole file has a header, which is skipped.
    """

    def __init__(self, file: Delimited, text: str | bytes, first: int = 0) -> None:
        self.file, self.first = file, first
        self.text = text if isinstance(text, str) else file.decoded(text, first)

    def read(
        self, names: Sequence[str], texts: Collection[str], words: Collection[str] = ()
    ) -> Columns:
        """Return some columns; those in `words` are always read as words."""
        kinds = {name: "words" if name in words else "number" for name in names}
        kinds |= {name: "text" for name in names if name in texts}
        while True:
            lines, parts = self._pass(kinds)
            mixed = [name for name in names if {each.kind for each in parts[name]} > {"words"}]
            if not mixed:
                break
            kinds.update(dict.fromkeys(mixed, "words"))
        title = f"`{self.file.path.name}`"
        raw = {name: _joined(parts[name], title) for name in names if parts[name]}
        numbers = np.array(lines, np.int64)

        def location(row: int, name: str, element: int = 0) -> str:
            return f"{title}, line {numbers[row]}, column `{name}`"

        return Columns(raw, len(numbers), location)

    def location(self, row: int, name: str) -> str:
        """Return the location of a value for messages."""
        line = next(islice(self._rows(), row, None))[0]
        return f"`{self.file.path.name}`, line {line}, column `{name}`"

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        if self.first:
            return self.file.lines(self.text, self.first, len(self.file.header))
        rows = self.file.lines(self.text)
        next(rows)
        return rows

    def _pass(self, kinds: dict[str, str]) -> tuple[compact, dict[str, list[Raw]]]:
        """Read all lines once. Return the line numbers, and the pieces of each column."""
        header = self.file.header
        places = {name: place for place, name in reversed([*enumerate(header)])}
        at = {name: places[name] for name in kinds}
        rows = self._rows()
        lines = compact("q")
        parts: dict[str, list[Raw]] = {name: [] for name in kinds}
        count = min(LINES_AT_ONCE, CELLS_AT_ONCE // len(header) + 1)
        while chunk := list(islice(rows, count)):
            lines.extend(line for line, _ in chunk)
            for name, place in at.items():
                parts[name].append(_typed([row[place] for _, row in chunk], kinds[name]))
        return lines, parts


@dataclass
class _Locations:
    """Locations in a file read with pyarrow: its lines are counted only if an error needs them."""

    file: Delimited
    numbers: list[int] | None = None

    def location(self, row: int, name: str, element: int = 0) -> str:
        if self.numbers is None:
            text = self.file.text_of(self.file.request)
            self.numbers = [line for line, _ in self.file.lines(text)][1:]
        return f"`{self.file.path.name}`, line {self.numbers[row]}, column `{name}`"


def _separator(text: str) -> str:
    """Return the separator that occurs most often in the first line, outside of quotes."""
    header = "".join(text.partition("\n")[0].split('"')[::2])
    return max(SEPARATORS, key=header.count)


def _typed(cells: list[str], kind: str) -> Raw:
    """Convert cells to integers, to numbers or to words: the first of these that fits all."""
    if kind == "text":
        return coded(cells, _gaps([each.strip() for each in cells]))
    cells = [each.strip() for each in cells]
    if kind == "words":
        return coded(cells, _gaps(cells))
    found = _numbers(cells)
    if found is not None:
        return Raw(found)
    gaps = np.array([each.lower() in MISSING for each in cells], bool)
    if gaps.any():
        there = [each for each, gap in zip(cells, gaps.tolist(), strict=True) if not gap]
        values = _numbers(there) if there else np.zeros(0)
        if values is not None:
            filled = np.full(len(cells), np.nan)
            filled[~gaps] = values
            return Raw(filled, None, gaps)
    return coded(cells, gaps if gaps.any() else None)


def _gaps(cells: list[str]) -> np.ndarray | None:
    gaps = np.array([each.lower() in MISSING for each in cells], bool)
    return gaps if gaps.any() else None


def _numbers(cells: list[str]) -> np.ndarray | None:
    """Convert cells to int64 or float64; return None if one of them is not a number."""
    signs = "".join(cells)
    # NumPy, like Python, parses `1_0` and digits of other scripts as numbers
    if not (signs.isascii() and "_" not in signs) and any(is_strange(each) for each in cells):
        return None
    words = np.array(cells, np.str_)
    try:
        return words.astype(np.int64)
    except (ValueError, OverflowError):
        pass
    try:
        found = words.astype(np.float64)
    except ValueError:
        return None
    return found if np.isfinite(found).all() else None


def _joined(parts: list[Raw], title: str) -> Raw:
    """Concatenate the pieces of a column. Either all of them are words, or none."""
    missing = np.concatenate([each.gaps() for each in parts])
    gaps = missing if missing.any() else None
    if parts[0].words is not None:
        return replace(coded([text for each in parts for text in each.texts()], gaps), title=title)
    return Raw(np.concatenate([each.array for each in parts]), None, gaps, title)
