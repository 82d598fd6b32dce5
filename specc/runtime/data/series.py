"""Variable-length sequences whose elements each have a column: `x_1`, `x_2`, .. `x_6`.

    is_series(request, table, port, raws)      # True for `x: float[<= time]` and several columns
    field = series(request, table, columns, port, names, location)

The columns have the steps in order, and the elements of each step row by row. An example ends
before the first step from which on all its cells are empty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from specc.recipe import Port
from specc.recipe.binding import port_type
from specc.runtime.data.bind import varies
from specc.runtime.data.cells import Cells
from specc.runtime.data.field import Field, Texts, is_sequence
from specc.runtime.data.request import Request, listed
from specc.runtime.data.table import Columns, Raw, Table


def is_series(request: Request, table: Table, port: Port, raws: Sequence[Raw]) -> bool:
    """Return whether columns of single values are the steps of a variable-length sequence."""
    is_wide = table.noun == "column" and len(raws) > 1 and not any(raw.shape for raw in raws)
    return is_wide and is_sequence(port) and varies(request, port)


def series(
    request: Request,
    table: Table,
    columns: Columns,
    port: Port,
    names: Sequence[str],
    location: Callable[[int, int], str],
) -> Field:
    """Return the field of a variable-length sequence from one column per element.

    Raises `DataError` for a cell that does not fit, or that is missing before the end.
    """
    raws = [columns.raw[name] for name in names]

    def converted(name: str, raw: Raw) -> Raw:
        def at(row: int, element: int) -> str:
            return columns.location(row, name)

        return Cells(request, port, raw, at, name).converted()

    checked = [converted(name, raw) for name, raw in zip(names, raws, strict=True)]
    width = _elements_of_step(request, table, port, names)
    there = np.stack([~each.gaps() for each in checked], axis=1)
    lengths = _lengths(there, width)
    _require_no_gap(request, port, there, lengths * width, location)
    settings = request.settings()
    if any(each.words is not None for each in checked):
        parts = _parts(checked, lengths * width)
        texts = Texts(parts, "word", settings.get("limit"), settings.get("unknown"))
        array = np.zeros(columns.examples)
        return Field(table.title, array, location, texts=texts, count=columns.count)
    array = np.stack([each.array for each in checked], axis=1)
    if not there.all():
        array = np.where(there, array, np.nan)
    array = array.reshape(len(array), -1, *port.shape[1:])
    if port.role != "input" or port.kind != "float":
        settings = {}
    return Field(
        table.title,
        array,
        location,
        settings.get("scale", 1.0),
        settings.get("shift", 0.0),
        argument=raws[0].argument,
        count=columns.count,
    )


def _elements_of_step(request: Request, table: Table, port: Port, names: Sequence[str]) -> int:
    """Return how many columns one step has. Raises `DataError` if they cannot be divided so."""
    width = 1
    for size in port.shape[1:]:
        if not isinstance(size, int):
            raise request.error(
                f"the sizes of `{port.name}: {port_type(port)}` cannot be determined from"
                f" {len(names)} columns",
                port=port,
                help=f"set `{size}` on the command line",
            )
        width *= size
    if len(names) % width:
        raise request.error(
            f"`{port.name}: {port_type(port)}` needs {width:,} columns for each step, but"
            f" {table.title} has {len(names):,} for it: {listed(names)}",
            argument=0,
            port=port,
            help="change the declaration or name other columns",
        )
    return width


def _lengths(there: np.ndarray, width: int) -> np.ndarray:
    """Return the number of steps of each example, up to the last one that has a value."""
    steps = np.any(there.reshape(len(there), -1, width), axis=2)
    lengths: np.ndarray = steps.shape[1] - np.argmax(steps[:, ::-1], axis=1)
    return np.where(np.any(steps, axis=1), lengths, 0)


def _require_no_gap(
    request: Request,
    port: Port,
    there: np.ndarray,
    lengths: np.ndarray,
    location: Callable[[int, int], str],
) -> None:
    """Raise `DataError` at the first element that is missing within the length of its example."""
    gaps = (np.arange(there.shape[1]) < lengths[:, None]) & ~there
    if gaps.any():
        row = int(np.argmax(np.any(gaps, axis=1)))
        raise request.error(
            f"{location(row, int(np.argmax(gaps[row])))}: the value is missing",
            argument=0,
            port=port,
            help="only whole steps at the end of a sequence may be left out",
        )


def _parts(checked: Sequence[Raw], lengths: np.ndarray) -> list[list[str]]:
    """Return the words of each example."""
    texts = [
        each.texts() if each.words is not None else list(map(str, each.array.tolist()))
        for each in checked
    ]
    rows = zip(zip(*texts, strict=True), lengths.tolist(), strict=True)
    return [list(row[:length]) for row, length in rows]
