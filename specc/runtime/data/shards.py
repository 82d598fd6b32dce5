"""Several files as one source: `csv("part-1.csv", "part-2.csv")`, or `csv("part-*.csv")`.

expanded(call, folder)             # the call with patterns replaced by the files they match
of_file(request)                   # a request for each file
joined(request, table_of)          # one table with the rows of all files
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from specc.recipe import DataCall
from specc.runtime.data.frames import joined as joined_column
from specc.runtime.data.request import Request, listed
from specc.runtime.data.table import Columns, Table
from specc.source import Span

WORDS = ("csv", "tsv", "jsonl", "parquet", "feather")
"""The sources that can read several files with the same columns."""


def expanded(call: DataCall, folder: Path) -> DataCall:
    """Replace the patterns in a call by the files that they match, sorted by name.

    A pattern that matches nothing is kept as the name of a file, which does not exist.
    """
    if call.word not in WORDS or not any("*" in str(each) for each in call.arguments):
        return call
    arguments: list[Any] = []
    spans: list[Span] = []
    for place, each in enumerate(call.arguments):
        given = Path(str(each)).expanduser()
        found = [each]
        if "*" in str(each) and not (folder / given).exists():
            base = Path(given.anchor) if given.is_absolute() else folder
            pattern = str(given.relative_to(given.anchor)) if given.is_absolute() else str(given)
            paths = sorted(path for path in base.glob(pattern) if path.is_file())
            own = [path if given.is_absolute() else path.relative_to(folder) for path in paths]
            found = [str(path) for path in own] or found
        arguments += found
        spans += call.argument_spans[place : place + 1] * len(found)
    return replace(call, arguments=tuple(arguments), argument_spans=tuple(spans))


def of_file(request: Request) -> Iterator[Request]:
    """Yield a request for each file of a request, which must name at least one."""
    request.files()  # report all missing files at once
    call = request.call
    for place, each in enumerate(call.arguments):
        spans = call.argument_spans[place : place + 1]
        yield replace(request, call=replace(call, arguments=(each,), argument_spans=spans))


def joined(request: Request, table_of: Callable[[Request], Table]) -> Table:
    """Return one table with the rows of all files, in order. Raises `DataError`."""
    tables = [table_of(each) for each in of_file(request)]
    first = tables[0]
    for table in tables[1:]:
        if set(table.names) != set(first.names):
            other = sorted({*table.names} ^ {*first.names})
            raise request.error(
                f"{table.title} has other columns than {first.title}:"
                f" {listed(other, 3)} in only one of them",
                argument=0,
                help="files that are read together must have the same columns",
            )

    def read(names: Sequence[str], texts: Collection[str]) -> Columns:
        if request.limit is not None:
            return replace(first.read(names, texts), count=-1)
        parts = [table.read(names, texts) for table in tables]
        mixed = {
            name for name in names if len({each.raw[name].kind == "words" for each in parts}) == 2
        }
        if mixed:
            parts = [table.read(names, {*texts, *mixed}) for table in tables]
        ends = np.cumsum([each.examples for each in parts])

        def location(row: int, *rest: object) -> str:
            at = int(np.searchsorted(ends, row, side="right"))
            return parts[at].location(row - (int(ends[at - 1]) if at else 0), *rest)

        raw = {name: joined_column([each.raw[name] for each in parts]) for name in names}
        return Columns(raw, int(ends[-1]), location)

    return Table(listed((path.name for path in request.files()), 3), first.names, read)
