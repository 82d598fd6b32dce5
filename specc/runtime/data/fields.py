"""Makes the fields of ports from a table, by column names or by the formulas of a recipe.

    examples = read(request, table)
    fields, statistics = examples.fields(statistics=None, rows=training)

A port without a formula takes the column of its name, or several columns (see `match`). Statistics
of formulas are learned from the rows of the training part, or given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import field, replace

import numpy as np

from specc.recipe import Port
from specc.recipe.binding import port_type
from specc.runtime.data import cells, match, tokens
from specc.runtime.data.columns.evaluate import Needed, Statistics, evaluate, needed
from specc.runtime.data.columns.values import Value
from specc.runtime.data.field import Field, Rows, Texts, is_sequence, takes_texts
from specc.runtime.data.readers import table_of_source
from specc.runtime.data.request import Request, listed
from specc.runtime.data.series import is_series, series
from specc.runtime.data.table import Columns, Raw, Table
from specc.runtime.errors import AllMissing, DataError, NoColumns
from specc.system.records import dataclass

PIECE = 2**14  # number of rows that are copied at once when columns are joined


@dataclass(frozen=True, eq=False)
class Examples:
    """The columns of a source, with the fields of the ports that have no formula.

    `by` has the columns that a split depends on. `rows` says which rows were left out.
    """

    request: Request
    table: Table
    columns: Columns
    direct: dict[str, Field]
    plan: Needed
    rows: Rows | None = None
    by: dict[str, Raw] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """The number of examples that were read."""
        return self.columns.examples

    @property
    def is_part(self) -> bool:
        """Whether the source has more examples than were read."""
        return self.columns.count is not None

    @property
    def total(self) -> int:
        """The number of examples in the source; -1 if it is not known."""
        return self.count if self.columns.count is None else self.columns.count

    def first(self, count: int) -> Examples:
        """Return only the first `count` examples."""
        rows = np.arange(count)
        direct = {
            name: replace(
                each,
                array=each.array[:count],
                texts=each.texts and replace(each.texts, parts=each.texts.parts[:count]),
            )
            for name, each in self.direct.items()
        }
        by = {name: each.rows(rows) for name, each in self.by.items()}
        return replace(self, columns=self.columns.rows(rows), direct=direct, by=by)

    def fields(
        self, statistics: Statistics | None = None, rows: np.ndarray | None = None
    ) -> tuple[dict[str, Field], Statistics]:
        """Return the field of each port by name, and the statistics of the formulas.

        With `rows` the statistics are learned from these rows. Raises `DataError` if a value does
        not fit.
        """
        if not self.plan.rules:
            return self.direct, {}
        done = evaluate(self.request, self.plan, self.columns, statistics, rows)
        found, wrong = {}, []
        for port in self.request.ports:
            if port.name in self.direct:
                found[port.name] = self.direct[port.name]
                continue
            try:
                found[port.name] = self._made(port, done.values[port.name])
            except DataError as error:
                wrong += error.diagnostics
        if wrong:
            raise DataError(wrong)
        return found, done.statistics

    def _made(self, port: Port, value: Value) -> Field:
        """Return the field of a port with a formula."""
        rule = next(each for each in self.plan.rules if each.name == port.name)
        origins = value.origins or (port.name,)
        title = f"`{port.name}`, made of {listed(dict.fromkeys(origins), 3)},"

        def location(row: int, element: int) -> str:
            at = element if len(origins) > element else 0
            if origins[at] not in self.columns.raw:
                return f"{self.table.title}, row {row}"
            return f"{self.columns.location(row, origins[at])}: `{port.name}`"

        request = replace(self.request, call=replace(self.request.call, span=rule.span))
        made = _Maker(request, self.table, self.columns)
        raw = Raw(value.array, value.words, value.missing, title)
        if value.kind == "numbers" and port.kind != "float":
            raw = cells.whole(raw)
        if value.kind == "symbols":
            assert value.texts is not None, "symbols have texts; please report this"
            return made.texts(port, value.texts, title, location)
        found = made.field(port, [raw], [origins[0]], location, True, origins)
        is_numbered = value.kind == "classes" and value.words is not None
        return replace(found, classes=value.count, is_numbered=is_numbered)


def read(
    request: Request,
    table: Table,
    by: Iterable[str] = (),
    statistics: Statistics | None = None,
    table_of: Callable[[Request], Table] = table_of_source,
) -> Examples:
    """Read the columns that the ports of a request need, and the columns `by` which it is split.

    `table_of` opens the source of a request again if too little was read. Raises `DataError` with
    the first error of each port.
    """
    settings = request.settings()
    ports = [
        port for port in request.ports if port.name not in {each.name for each in request.rules}
    ]
    lacking: list[NoColumns] = []
    names: dict[str, list[str]] = {}
    try:
        names = match.names(replace(request, ports=tuple(ports)), table, settings)
    except NoColumns as error:
        lacking.append(error)
    used = [name for each in names.values() for name in each]
    by = [name for name in by if name in table.names]
    try:
        plan = needed(request, table, [*used, *by], statistics)
    except NoColumns as error:
        lacking.append(error)
    if lacking:
        raise match.no_columns(
            request,
            table,
            [name for each in lacking for name in each.names],
            [found for each in lacking for found in each.diagnostics],
        )
    texts = {
        names[port.name][0] for port in ports if takes_texts(port) and len(names[port.name]) == 1
    }
    vectors = [
        names[port.name] for port in ports if port.kind == "float" and len(names[port.name]) > 1
    ]
    columns = table.read([*used, *plan.names, *by], texts | plan.texts, vectors)
    if columns.examples == 0 and columns.count is None:
        raise request.error(f"{_first_title(columns, table)} has no examples", argument=0)
    steps = {
        name
        for port in ports
        if is_sequence(port)
        for name in names[port.name]
        if columns.raw[name].shape
    }
    wide = [
        names[port.name]
        for port in ports
        if is_series(request, table, port, [columns.raw[name] for name in names[port.name]])
    ]
    steps |= {name for each in wide for name in each}
    required = [[name] for name in used if name not in steps]
    strict = [[name] for name in plan.names if name not in plan.may_be_missing]
    try:
        columns, rows = _without_gaps(
            request, table, columns, [*required, *strict, *wide], settings
        )
    except AllMissing:
        if columns.count is None:
            raise
        whole = replace(request, limit=None)  # the beginning of the data is not representative
        return read(whole, table_of(whole), by, statistics, table_of)
    maker = _Maker(request, table, columns)
    direct: dict[str, Field] = {}
    wrong: list[DataError] = []
    for port in ports:
        each = names[port.name]
        raws = [columns.raw[name] for name in each]
        try:
            if takes_texts(port) and len(raws) == 1 and _are_texts(raws[0]):
                cut = _symbols(raws[0], settings)
                direct[port.name] = maker.texts(port, cut, raws[0].title, maker.locations(each))
            elif is_series(request, table, port, raws):
                at = maker.locations(each)
                direct[port.name] = series(request, table, columns, port, each, at)
            else:
                direct[port.name] = maker.field(port, raws, each, maker.locations(each))
        except DataError as error:
            wrong.append(error)
    if wrong:
        raise DataError([each for error in wrong for each in error.diagnostics])
    direct = {name: replace(each, rows=rows) for name, each in direct.items()}
    found = {name: columns.raw[name] for name in by}
    return Examples(request, table, columns, direct, plan, rows, found)


def _are_texts(raw: Raw) -> bool:
    return raw.kind == "words" and not raw.shape


def _side_by_side(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Join columns `[N]` into one array `[N, columns]`, in pieces that fit in the cache.

    Columns that are views of such an array are not copied.
    """
    whole = arrays[0].base
    if whole is not None and whole.shape == (len(arrays[0]), len(arrays)):
        places = [whole[:, place] for place in range(len(arrays))]
        if all(
            each.base is whole and each.__array_interface__ == own.__array_interface__
            for each, own in zip(arrays, places, strict=True)
        ):
            return whole
    found = np.empty((len(arrays[0]), len(arrays)), np.result_type(*arrays))
    for start in range(0, len(found), PIECE):
        for place, each in enumerate(arrays):
            found[start : start + PIECE, place] = each[start : start + PIECE]
    return found


def _first_title(columns: Columns, table: Table) -> str:
    return next(iter(columns.raw.values())).title if columns.raw else table.title


def _symbols(raw: Raw, settings: dict) -> Texts:
    level = settings.get("level", "char")
    cut = [tokens.symbols(each, level) for each in (raw.words if raw.words is not None else ())]
    parts = [cut[each] for each in raw.array.tolist()]
    return Texts(parts, level, settings.get("limit"), settings.get("unknown"))


def _without_gaps(
    request: Request,
    table: Table,
    columns: Columns,
    groups: Sequence[Sequence[str]],
    settings: dict,
) -> tuple[Columns, Rows | None]:
    """Return the rows without missing values if `missing = "drop"`, otherwise all rows.

    A row has a missing value if all columns of a group are empty.
    """
    if settings.get("missing") != "drop":
        return columns, None
    gaps = np.zeros(columns.examples, bool)
    for names in groups:
        gaps |= np.logical_and.reduce([columns.raw[name].gaps() for name in names])
    if not gaps.any():
        return columns, None
    if gaps.all():
        diagnostics = request.error(
            f"{table.title}: all {len(gaps):,} rows have missing values",
            argument=0,
            help='`missing = "drop"` leaves out all of them',
        ).diagnostics
        raise AllMissing(diagnostics, len(gaps))
    kept = np.nonzero(~gaps)[0]
    return columns.rows(kept), Rows(kept, len(gaps))


@dataclass(frozen=True)
class _Maker:
    """Makes the fields of ports from columns."""

    request: Request
    table: Table
    columns: Columns

    def locations(self, names: Sequence[str]) -> Callable[[int, int], str]:
        """Return a function that describes the location of a port's value (row, element)."""
        if len(names) == 1:
            return lambda row, element: self.columns.location(row, names[0], element)
        return lambda row, element: self.columns.location(row, names[element])

    def texts(
        self, port: Port, texts: Texts, title: str, location: Callable[[int, int], str]
    ) -> Field:
        """Return the field of a port that is a sequence of classes."""
        array = np.zeros(self.columns.examples)
        return Field(title, array, location, texts=texts, count=self.columns.count)

    def field(
        self,
        port: Port,
        raws: Sequence[Raw],
        names: Sequence[str],
        location: Callable[[int, int], str],
        is_made: bool = False,
        origins: Sequence[str] = (),
    ) -> Field:
        """Return the field of a port from its columns. Raises `DataError` at the first bad cell."""
        settings = self.request.settings()
        self._check_count(port, raws, names)
        missing = settings.get("missing")
        checked = []
        for raw, name in zip(raws, names, strict=True):
            at = location if is_made or len(raws) == 1 else self.locations([name])
            cell = cells.Cells(self.request, port, raw, at, name, is_made, self.table.noun, origins)
            checked.append(cell.values(None if isinstance(missing, str) else missing))
        words = None
        if any(each.words is not None for each in checked):
            checked, words = cells.with_one_vocabulary(checked)
        array = (
            checked[0].array
            if len(checked) == 1
            else _side_by_side([each.array for each in checked])
        )
        if len(raws) > 1:
            array = array.reshape(len(array), *self._sizes(port, names))
        # an image that is a target is scaled like an input, because a model may learn to draw it
        is_counted = port.role == "input" or raws[0].is_image
        scaled = port.kind == "float" and is_counted and not is_made
        return Field(
            raws[0].title if len(raws) == 1 else self.table.title,
            array,
            location,
            settings.get("scale", 1.0) if scaled else 1.0,
            settings.get("shift", 0.0) if scaled else 0.0,
            is_image=raws[0].is_image,
            argument=raws[0].argument,
            count=self.columns.count,
            words=words,
            is_finite=all(each.is_finite for each in checked),
        )

    def _sizes(self, port: Port, names: Sequence[str]) -> list[int]:
        sizes = [size if isinstance(size, int) else -1 for size in port.shape]
        if sizes.count(-1) > 1:
            raise self.request.error(
                f"the sizes of `{port.name}: {port_type(port)}` cannot be determined from"
                f" {len(names)} columns",
                help="set them on the command line",
            )
        return sizes

    def _check_count(self, port: Port, raws: Sequence[Raw], names: Sequence[str]) -> None:
        """Raise `DataError` unless the port has exactly one column per element."""
        if len(raws) == 1 and (raws[0].shape or self.table.noun != "column"):
            return
        if any(raw.shape for raw in raws):
            raise self.request.error(
                f"`{port.name}: {port_type(port)}` needs one {self.table.noun} of"
                f" {self.table.title}",
                argument=0,
                help="join the arrays into one `[examples, ...]`",
            )
        wanted = 1
        for size in port.shape:
            if not isinstance(size, int):
                return
            wanted *= size
        if wanted != len(names):
            raise self.request.error(
                f"`{port.name}: {port_type(port)}` needs {wanted:,} columns, but"
                f" {self.table.title} has {len(names):,} for it: {listed(names)}",
                argument=0,
                port=port,
                help="each element needs one column: change the declaration or name other columns",
            )
