"""Tables from Python objects, which can be used instead of a data source.

    table_of({"age": [31, None], "city": ["Ulm", "Bern"]})
    table_of(pandas.read_csv("houses.csv"))

A table is one of these:

- a dict of columns, each an array `[N, *shape]` or a list with one value per row;
- a DataFrame of pandas, polars or another library that narwhals supports, or a table of pyarrow;
- a structured array of NumPy, or a list of dicts, one per row;
- an iterable, such as a generator, of any of these; its batches are concatenated in order.

Numbers, booleans, strings and dates keep their kind. `None`, NaN, NaT and the nulls of a frame are
missing values. Rows of different lengths, `[steps, ..]` each, become one array that is padded with
NaN. Column names must be strings. Anything else raises `TypeError`; columns with different numbers
of rows raise `ValueError`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from specc.recipe.call_errors import call_errors
from specc.runtime.data.request import Request
from specc.runtime.data.table import Columns, Raw, Table, coded

TAKEN = (
    "a dict of columns, a frame of pandas or polars, a table of pyarrow, a list of dicts, or a"
    " generator of these"
)


def table_of(data: object, title: str = "the data") -> Table:
    """Return a table from a Python object; the module's docstring lists what is accepted.

    `title` is the name of the object in messages. A `Table` is returned unchanged.
    """
    if isinstance(data, Table):
        return data
    raw = _columns(data, title)
    lengths = {name: len(each) for name, each in raw.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{length:,} in `{name}`" for name, length in lengths.items())
        raise ValueError(
            f"the columns of {title} must have equal numbers of rows, but there are {said}"
        )
    rows = next(iter(lengths.values()), 0)
    if not rows:
        raise ValueError(f"{title} has no rows")

    def read(names: Sequence[str], texts: Collection[str]) -> Columns:
        found = {name: _as_text(raw[name]) if name in texts else raw[name] for name in names}
        return Columns(
            found, rows, lambda row, name, at=0: _location(title, raw[name], row, name, at)
        )

    return Table(title, list(raw), read)


def table(request: Request) -> Table:
    """Return the table that Python code passed as the argument of a call."""
    for wrong in call_errors(request.call, request.ports):
        raise request.error(wrong.message, help=wrong.help)
    return table_of(request.call.arguments[0])


def _location(title: str, raw: Raw, row: int, name: str, at: int) -> str:
    inner = ""
    if raw.shape:
        inner = ", value [" + ", ".join(str(int(i)) for i in np.unravel_index(at, raw.shape)) + "]"
    return f"{title}, row {row}, column `{name}`{inner}"


def _as_text(raw: Raw) -> Raw:
    """Return the column as words."""
    if raw.words is not None or raw.shape:
        return raw
    return coded([str(each) for each in raw.array.tolist()], raw.missing, raw.title)


def _columns(data: object, title: str) -> dict[str, Raw]:
    """Return the columns of an object by name."""
    if isinstance(data, Mapping):
        found = {_name(name): column_of(each, _name(name)) for name, each in data.items()}
    elif isinstance(data, np.ndarray):
        if data.dtype.names is None:
            raise TypeError(
                f"{title} is an array without names: give a dict, such as {{'x': array}}"
            )
        found = {name: column_of(data[name], name) for name in data.dtype.names}
    elif _is_records(data):
        found = _records(data)  # type: ignore[arg-type]
    elif (frame := _frame(data)) is not None:
        found = {name: _series(frame[name], name) for name in frame.columns}
    elif isinstance(data, Iterable) and not isinstance(data, str | bytes):
        return _joined([_columns(each, title) for each in data], title)
    else:
        raise TypeError(f"{title} must be {TAKEN}, not {type(data).__name__}")
    if not found:
        raise ValueError(f"{title} has no columns")
    return found


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"the name of a column must be a string, not {name!r}")
    return name


def is_table(data: object) -> bool:
    """Return whether an object is one table, and not an iterable of tables."""
    is_own = isinstance(data, Mapping | Table | np.ndarray) or _is_records(data)
    return is_own or _frame(data) is not None


def _is_records(data: object) -> bool:
    """Return whether the object is a list of dicts, one per row.

    At least one of the values must be a single value: dicts that have only lists are batches.
    """
    if not isinstance(data, list | tuple) or not data:
        return False
    if not all(isinstance(each, Mapping) for each in data):
        return False
    first = data[0].values()
    return not first or any(
        isinstance(each, str) or not (isinstance(each, list | tuple) or np.ndim(each))
        for each in first
    )


def _records(data: Sequence[Mapping[str, Any]]) -> dict[str, Raw]:
    names = list(dict.fromkeys(_name(name) for row in data for name in row))
    return {name: column_of([row.get(name) for row in data], name) for name in names}


def column_of(values: object, name: str) -> Raw:
    """Return a column from an array or a list of values, some of which may be None.

    Raises `TypeError` for values that are not numbers, booleans, strings or dates.
    """
    if (series := _frame(values, is_series=True)) is not None:
        return _series(series, name)
    title = f"column `{name}`"
    if isinstance(values, Iterator | range):
        values = list(values)
    array = values if isinstance(values, np.ndarray) else _array(values, name)
    if array.ndim == 0:
        raise ValueError(f"{title} is a single value: a column needs one value per row")
    kind = array.dtype.kind
    if kind in "iub":
        return Raw(array, title=title)
    if kind == "f":
        gaps = np.asarray(np.isnan(array).any(axis=tuple(range(1, array.ndim))))
        return Raw(array, None, gaps if gaps.any() else None, title)
    if kind == "M":
        missing: np.ndarray = np.isnat(array)
        return Raw(array.astype("datetime64[us]"), None, missing if missing.any() else None, title)
    if kind == "U" and array.ndim == 1:
        return coded(array.tolist(), title=title)
    if kind == "O" and array.ndim == 1 and _are_rows(array):
        return column_of(_array([np.asarray(each) for each in array], name), name)
    if kind == "O" and array.ndim == 1:
        return _objects(array.tolist(), name)
    raise TypeError(f"{title} has values of the unsupported type {array.dtype}")


def _array(values: object, name: str) -> np.ndarray:
    if isinstance(values, list | tuple) and any(
        each is None or isinstance(each, str) for each in values
    ):
        array = np.empty(len(values), object)
        array[:] = values
        return array
    try:
        return np.asarray(values)
    except ValueError:
        return _ragged(values, name)


def _ragged(values: Any, name: str) -> np.ndarray:
    """Return rows of different lengths as one array of floats, padded with NaN."""
    try:
        rows = [np.asarray(each) for each in values]
        kind = np.result_type(np.float32, *{each.dtype for each in rows if each.size})
        inner = {each.shape[1:] for each in rows if each.size}
        if len(inner) != 1 or kind.kind != "f" or not all(each.ndim for each in rows):
            raise ValueError
    except (TypeError, ValueError):
        raise ValueError(
            f"the rows of column `{name}` differ in length, and are not lists of numbers or of"
            " equally long vectors"
        ) from None
    found = np.full((len(rows), max(map(len, rows)), *inner.pop()), np.nan, kind)
    for row, each in zip(found, rows, strict=True):
        if each.size:
            row[: len(each)] = each
    return found


def _are_rows(array: np.ndarray) -> bool:
    return bool(len(array)) and all(isinstance(each, list | tuple | np.ndarray) for each in array)


def _objects(values: list[Any], name: str) -> Raw:
    """Return a column from Python's own values, some of which may be missing."""
    import datetime

    missing = np.array([each is None or each != each for each in values], bool)
    gaps = missing if missing.any() else None
    there = [each for each, gap in zip(values, missing.tolist(), strict=True) if not gap]
    title = f"column `{name}`"
    if not there:
        return Raw(np.full(len(values), np.nan), None, gaps, title)
    if all(isinstance(each, str) for each in there):
        return coded([each if isinstance(each, str) else "" for each in values], gaps, title)
    if all(isinstance(each, bool | np.bool_) for each in there):
        return Raw(np.array([each is True or each == 1 for each in values]), None, gaps, title)
    if all(isinstance(each, datetime.date | np.datetime64) for each in there):
        dates = [None if gap else each for each, gap in zip(values, missing, strict=True)]
        return Raw(np.array(dates, "datetime64[us]"), None, gaps, title)
    try:
        numbers = [
            np.nan if gap else float(each) for each, gap in zip(values, missing, strict=True)
        ]
    except (TypeError, ValueError):
        kinds = ", ".join(sorted({type(each).__name__ for each in there})[:5])
        raise TypeError(
            f"{title} mixes values of the types {kinds}: make all of them numbers or strings"
        ) from None
    return Raw(np.array(numbers), None, gaps, title)


def _frame(data: object, is_series: bool = False) -> Any:
    """Return a narwhals view of a frame or a series, or None if the object is neither."""
    module = type(data).__module__.partition(".")[0]
    if module in ("builtins", "numpy"):
        return None
    try:
        import narwhals as nw
    except ImportError:  # pragma: no cover: narwhals is installed with specc
        return None
    view: Any = nw.from_native  # Any, because each of its overloads accepts only one kind of frame
    try:
        if is_series:
            return view(data, series_only=True)
        frame = view(data)
    except TypeError:
        return None
    return frame.collect() if isinstance(frame, nw.LazyFrame) else frame


def _series(series: Any, name: str) -> Raw:
    """Return a column from a series of narwhals."""
    import narwhals as nw

    dtype, title = series.dtype, f"column `{_name(name)}`"
    missing = series.is_null().to_numpy().astype(bool)
    gaps = missing if missing.any() else None
    if dtype == nw.Boolean:
        values = series.to_numpy() if gaps is None else series.fill_null(False).to_numpy()
        return Raw(values.astype(bool), None, gaps, title)
    if dtype.is_integer() and gaps is None:
        return Raw(series.to_numpy(), title=title)
    if dtype.is_numeric():
        return column_of(series.cast(nw.Float64).to_numpy().astype(np.float64), name)
    if dtype in (nw.Datetime, nw.Date):
        return column_of(series.to_numpy().astype("datetime64[us]"), name)
    if dtype in (nw.String, nw.Categorical, nw.Enum):
        texts = series.cast(nw.String).to_list()
        return coded([each if isinstance(each, str) else "" for each in texts], gaps, title)
    values = series.to_list()
    if dtype in (nw.List, nw.Array):
        return column_of(_array([np.asarray(each) for each in values], name), name)
    array = np.empty(len(values), object)
    array[:] = values
    return _objects(array.tolist(), name)


def _joined(batches: list[dict[str, Raw]], title: str) -> dict[str, Raw]:
    """Concatenate the rows of all batches, which must have the same columns."""
    if not batches:
        raise ValueError(f"{title} gives no batches")
    names = list(batches[0])
    for number, batch in enumerate(batches):
        if set(batch) != set(names):
            listed = ", ".join(f"`{name}`" for name in batch)
            raise ValueError(f"batch {number} of {title} has other columns: {listed}")
    return {name: joined([batch[name] for batch in batches]) for name in names}


def joined(parts: Sequence[Raw]) -> Raw:
    """Concatenate columns of the same kind. Raises `TypeError` if kinds differ."""
    first = parts[0]
    if len(parts) == 1:
        return first
    gaps = np.concatenate([each.gaps() for each in parts])
    missing = gaps if gaps.any() else None
    if any(each.kind == "words" for each in parts):
        if not all(each.kind == "words" for each in parts):
            raise TypeError(f"{first.title} has strings in some batches and numbers in others")
        known = sorted({word for each in parts for word in _words(each)})
        words = np.empty(len(known), object)
        words[:] = known
        places = {word: place for place, word in enumerate(known)}
        own = [np.array([places[word] for word in _words(each)], np.int32) for each in parts]
        codes = [at[each.array] for at, each in zip(own, parts, strict=True) if len(each)]
        array = np.concatenate(codes) if codes else first.array
        return Raw(array, words, missing, first.title, first.argument, False, first.are_names)
    array = np.concatenate([each.array for each in parts])
    return Raw(array, None, missing, first.title, first.argument, first.is_image)


def _words(raw: Raw) -> list[str]:
    return [] if raw.words is None else raw.words.tolist()
