"""`csv(file; ...)`: a table with a header, bound to ports by the names of its columns.

    csv("iris.csv"; x = "sepal_length, sepal_width", species = "kind", missing = "drop")

A port of one value takes the column of its name. A port with axes takes the numbered columns `x_1`,
`x_2`, .. (`match.by_name`). A setting called like a port names the columns itself; `columns` does
so for the only "float" input with axes. The text is UTF-8, plain or gzip.

- `separator`: found in the header where it is not given: a comma, semicolon, tab or `|`.
- `missing`: what an empty cell (or NA, ?, nan, null) means: an error, a number for "float" columns,
  or "drop" to leave out the line.
- `scale`, `shift`: for "float" inputs, not for targets.

A "class" column holds integers from 0, or words; see `bind` for the numbers that words get. A port
that is a sequence of classes takes a column of texts: `level=char` or `level=word` says what its
symbols are, `limit` and `unknown` are those of `text`.
"""

from __future__ import annotations

import csv
import io
from array import array as compact
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specc.recipe import Port
from specc.runtime.data import tokens
from specc.runtime.data.field import Field, Rows, Texts, takes_texts
from specc.runtime.data.match import by_name
from specc.runtime.data.request import Request, listed
from specc.runtime.errors import AllMissing, DataError
from specc.sources import port_type

if TYPE_CHECKING:
    from _csv import Reader

SEPARATORS = ",;\t|"
MISSING = {"", "na", "n/a", "?", "nan", "null"}
TRUTH = {"0": False, "1": True, "false": False, "true": True}
LINES_AT_ONCE, CELLS_AT_ONCE = 4096, 2**18

Lines = list[tuple[int, list[str]]]
"""Numbers and cells of lines."""


def read(request: Request) -> dict[str, Field]:
    """The columns for all ports: port -> field."""
    (path,) = request.files()
    settings = request.settings()
    text, is_part = _text(request, path)
    separator = settings["separator"] or _separator(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    return Table(request, path, settings["missing"], reader, is_part).fields(settings)


def _text(request: Request, path: Path) -> tuple[str, bool]:
    """The table, and whether it goes on in the file. A part ends with a whole line."""
    content = request.read(path)
    is_part = request.is_part(content)
    if is_part:
        end = content.rfind(b"\n")
        while end > 0 and content.count(b'"', 0, end) % 2:  # within quotes
            end = content.rfind(b"\n", 0, end)
        if content.find(b"\n") >= end:  # hardly a line fits
            return _text(replace(request, limit=None), path)
        del content[end + 1 :]
    try:
        return content.decode("utf-8-sig"), is_part
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise request.error(
            f"`{path.name}`, line {line}: this is not UTF-8 text",
            argument=0,
            help=f'`npz("{path.name}")` reads arrays'
            if path.suffix in (".npz", ".npy")
            else "save the table as UTF-8",
        ) from None


def _separator(text: str) -> str:
    """The separator that stands most often in the first line, outside of quotes."""
    header = "".join(text.partition("\n")[0].split('"')[::2])
    return max(SEPARATORS, key=header.count)


@dataclass
class Table:
    """The lines of a file on their way into arrays.

    `lines` has the line numbers of the rows that are kept, and `kept` their indices among the
    `count` rows of the table.
    """

    request: Request
    path: Path
    missing: str | float
    reader: Reader
    is_part: bool = False

    def __post_init__(self) -> None:
        self.lines, self.kept, self.count = compact("q"), compact("q"), 0
        self.rows = self._rows()
        self.header = [cell.strip() for cell in next(self.rows, (0, []))[1]]
        if not self.header:
            raise self.error("the file is empty", help="the first line names the columns")
        if all(_is_number(cell) for cell in self.header):
            raise self.error(
                "there is no header, the first line holds numbers",
                help="put a line with the names of the columns first",
            )

    def error(self, message: str, help: str | None = None, line: int | None = None) -> DataError:
        place = f"`{self.path.name}`" + (f", line {line}" if line else "")
        return self.request.error(f"{place}: {message}", argument=0, help=help)

    def fields(self, settings: Mapping[str, Any]) -> dict[str, Field]:
        """Read the lines, and return a field for each port."""
        ports, names = self.request.ports, self._names(settings)
        places: dict[str, int] = {}
        for place, each in enumerate(self.header):
            places.setdefault(each, place)
        at = {name: [places[each] for each in names[name]] for name in names}
        level = settings["level"]
        texts: dict[str, list[list[str]]] = {
            port.name: [] for port in ports if _is_text(port, names[port.name])
        }
        parts: dict[str, list[np.ndarray]] = {port.name: [] for port in ports}
        wrong: dict[str, DataError] = {}
        count = min(LINES_AT_ONCE, CELLS_AT_ONCE // len(self.header) + 1)
        while chunk := list(islice(self.rows, count)):
            chunk = self._without_missing(chunk, at)
            self.lines.extend(line for line, _ in chunk)
            for port in ports:
                if port.name in texts:
                    (column,) = at[port.name]
                    texts[port.name] += [tokens.symbols(row[column], level) for _, row in chunk]
                    continue
                try:
                    parts[port.name].append(self._values(port, chunk, at[port.name]))
                except DataError as error:
                    wrong.setdefault(port.name, error)
        if wrong:
            raise DataError([each for error in wrong.values() for each in error.diagnostics])
        if not self.lines and self.is_part:  # all of them were left out
            return read(replace(self.request, limit=None))
        self._require_examples()
        found = {}
        rows = Rows(np.array(self.kept), self.count) if len(self.kept) < self.count else None
        for port in ports:
            if port.name in texts:
                field = Field(
                    f"`{self.path.name}`",
                    np.zeros(len(self.lines)),
                    self._place(names[port.name]),
                    texts=Texts(texts[port.name], level, settings["limit"], settings["unknown"]),
                    count=-1 if self.is_part else None,
                )
            else:
                field = self._field(port, names[port.name], parts[port.name], settings)
            found[port.name] = replace(field, rows=rows)
        return found

    def _require_examples(self) -> None:
        """Raise `DataError` if the table has no examples."""
        if self.lines:
            return
        if self.count:
            diagnostics = self.error(
                f"all {self.count:,} rows have missing values",
                help='`missing = "drop"` leaves out each of them',
            ).diagnostics
            raise AllMissing(diagnostics, self.count)
        raise self.error("there are no examples under the header")

    def _names(self, settings: Mapping[str, Any]) -> dict[str, list[str]]:
        """Return the columns of each port. Raises `DataError` if they do not fit the port."""
        ports = self.request.ports
        chosen = self.request.columns()
        if columns := settings["columns"]:
            wide = [p for p in ports if p.kind == "float" and p.shape and p.role == "input"]
            if len(wide) != 1:
                raise self.request.error(
                    "`columns` is for a model with one `float` input that has axes; this one has"
                    f" {listed(p.name for p in wide)}",
                    help='name the columns of each: `x = "a, b"`',
                )
            chosen[wide[0].name] = columns
        try:
            names = by_name(self.request, self.path.name, self.header, chosen)
        except DataError:
            other = _separator(self.header[0])
            if len(self.header) > 1 or other not in self.header[0]:
                raise
            message = f"there is one column alone, `{self.header[0]}`"
            help_ = f"leave `separator` out, or make it `{other}`"
            raise self.error(message, help=help_, line=1) from None
        for port in ports:
            self._check_count(port, names[port.name])
        return names

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """(line, cells) for each line that is not blank, the header first."""
        line, width = 1, 0
        try:
            for row in self.reader:
                if row:
                    width = width or len(row)
                    if len(row) != width:
                        raise self.error(
                            f"there are {len(row)} cells, but the header has {width}",
                            line=line,
                            help="put a cell that holds the separator between quotes",
                        )
                    yield line, row
                line = self.reader.line_num + 1
        except csv.Error as error:
            raise self.error(str(error), line=line) from None

    def _check_count(self, port: Port, names: list[str]) -> None:
        if _is_text(port, names):
            return
        wanted = 1
        for size in port.shape:
            if not isinstance(size, int):
                return
            wanted *= size
        if wanted != len(names):
            raise self.request.error(
                f"`{port.name}: {port_type(port)}` needs {wanted:,} columns, but `{self.path.name}`"
                f" has {len(names):,} for it: {listed(names)}",
                argument=0,
                port=port,
                help="each element of a port takes a column: declare it so, or name other columns",
            )

    def _without_missing(self, chunk: Lines, at: Mapping[str, list[int]]) -> Lines:
        """Return the lines with missing cells replaced, or without the lines that have some."""
        first, self.count = self.count, self.count + len(chunk)
        if self.missing == "refuse":
            self.kept.extend(range(first, self.count))
            return chunk
        kept = []
        for place, (line, row) in enumerate(chunk, first):
            whole = True
            for port in self.request.ports:
                for i in at[port.name]:
                    if row[i].strip().lower() not in MISSING:
                        continue
                    if self.missing != "drop" and port.kind != "float":
                        raise self._missing_cell(
                            line, i, '`missing = "drop"` leaves out such lines'
                        )
                    row[i], whole = str(self.missing), False
            if whole or self.missing != "drop":
                kept.append((line, row))
                self.kept.append(place)
        return kept

    def _values(self, port: Port, chunk: Lines, at: list[int]) -> np.ndarray:
        """`[lines, columns]`: float64, bool, int64, or words where a "class" has no integers."""
        cells = [[row[i].strip() for i in at] for _, row in chunk]
        shape = (len(chunk), len(at))
        signs = "".join(map("".join, cells))
        # NumPy, like Python, takes `1_0` and digits of other scripts for numbers
        is_plain = signs.isascii() and "_" not in signs
        if port.kind == "float":
            try:
                values = np.array(cells, np.float64).reshape(shape)
                if np.isfinite(values).all() and (
                    is_plain or all(_is_number(cell) for row in cells for cell in row)
                ):
                    return values
            except ValueError:
                pass
            raise self._bad_cell(chunk, at, "a number", _is_finite)
        words = np.array(cells, np.str_).reshape(shape)
        if port.kind == "bool":
            if np.isin(np.char.lower(words), list(TRUTH)).all():
                return np.isin(np.char.lower(words), ["1", "true"])
            raise self._bad_cell(
                chunk, at, "true, false, 1 or 0", lambda cell: cell.lower() in TRUTH
            )
        if not is_plain and any(_is_strange(cell) for cell in words.flat):
            raise self._bad_cell(chunk, at, "a class", lambda cell: not _is_strange(cell))
        try:
            return words.astype(np.int64)
        except (ValueError, OverflowError):
            if any(cell.lower() in MISSING for cell in words.flat):
                raise self._bad_cell(chunk, at, "a class", lambda cell: True) from None
            return words

    def _field(
        self, port: Port, names: list[str], parts: list[np.ndarray], settings: Mapping[str, Any]
    ) -> Field:
        if len({part.dtype.kind for part in parts}) > 1:  # integers in some lines, words in others
            parts = [part.astype(np.str_) for part in parts]
        values = np.concatenate(parts)
        if values.dtype.kind == "U":
            self._check_words(values, names)
        sizes = [size if isinstance(size, int) else -1 for size in port.shape]
        if sizes.count(-1) > 1:
            raise self.request.error(
                f"the sizes of `{port.name}: {port_type(port)}` do not follow from"
                f" {len(names)} columns",
                help="give them on the command line",
            )
        scaled = port.kind == "float" and port.role == "input"
        return Field(
            f"`{self.path.name}`",
            values.reshape(len(values), *sizes),
            self._place(names),
            settings["scale"] if scaled else 1.0,
            settings["shift"] if scaled else 0.0,
            count=-1 if self.is_part else None,
        )

    def _place(self, names: list[str]) -> Callable[[int, int], str]:
        return lambda row, element: (
            f"`{self.path.name}`, line {self.lines[row]}, column `{names[element]}`"
        )

    def _check_words(self, words: np.ndarray, names: list[str]) -> None:
        """Words may not look like numbers: 1, 2, x is a slip, and 1.0, 2.0 are no classes."""
        for word in np.unique(words):
            if _is_number(str(word)):
                row, column = (int(each[0]) for each in np.nonzero(words == word))
                raise self.error(
                    f"column `{names[column]}`: `{word}` is no integer, or stands among words",
                    line=self.lines[row],
                    help="classes are integers from 0 (3 rather than 3.0), or words throughout",
                )

    def _bad_cell(
        self, chunk: Lines, at: list[int], what: str, is_good: Callable[[str], bool]
    ) -> DataError:
        """Return the error for the first cell that is missing or not `what`."""
        for line, row in chunk:
            for i in at:
                cell = row[i].strip()
                if cell.lower() in MISSING:
                    return self._missing_cell(
                        line,
                        i,
                        '`missing = "drop"` leaves out such lines'
                        + (", `missing = 0` puts a number there" if what == "a number" else ""),
                    )
                if not is_good(cell):
                    help_ = None
                    if what == "a number" and "," in cell and _is_number(cell.replace(",", ".", 1)):
                        help_ = "write decimals with a point"
                    elif _is_strange(cell):
                        help_ = "write numbers with the digits 0 to 9 and without `_`"
                    elif what.startswith("true"):
                        help_ = "other words are for a `class(2)`"
                    elif what == "a number" and not _is_number(cell):
                        help_ = "a column of words is for a `class`"
                    elif what == "a number":
                        help_ = "a float holds finite numbers alone"
                    return self.error(
                        f"column `{self.header[i]}`: `{cell}` is not {what}", line=line, help=help_
                    )
        raise AssertionError("every cell is good, yet the column is not; please report this")

    def _missing_cell(self, line: int, column: int, help: str) -> DataError:
        return self.error(
            f"column `{self.header[column]}`: the value is missing", line=line, help=help
        )


def _is_text(port: Port, names: list[str]) -> bool:
    """Whether a column holds texts, and no numbers of classes."""
    return takes_texts(port) and len(names) == 1


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return cell.strip().lower() not in MISSING and not _is_strange(cell)


def _is_strange(cell: str) -> bool:
    """Return whether only Python reads the cell as a number: `1_0`, Arabic digits."""
    if cell.isascii() and "_" not in cell:
        return False
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _is_finite(cell: str) -> bool:
    return _is_number(cell) and np.isfinite(float(cell))
