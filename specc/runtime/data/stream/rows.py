"""The examples of a source, piece by piece, with the columns that the ports need.

pieces = Pieces(request, recipe, words=set())
for examples, first in pieces.read(statistics):        # `first` is the number of its first row
    ...
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import numpy as np

from specc.recipe import Recipe
from specc.runtime.data import fields
from specc.runtime.data.columns.evaluate import Statistics
from specc.runtime.data.fields import Examples
from specc.runtime.data.readers import split_columns
from specc.runtime.data.request import Request
from specc.runtime.data.stream.pieces import pieces
from specc.runtime.data.table import Columns, Raw, Table
from specc.runtime.errors import AllMissing


class Mixed(Exception):
    """Raised for a column with words in one piece and numbers in another: all become words."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Pieces:
    """The pieces of a source; `words` has the columns that are known to have words.

    `count` is the number of examples read so far; `seen` includes rows that were left out.
    """

    def __init__(
        self,
        request: Request,
        recipe: Recipe,
        words: Collection[str],
        is_data: bool = True,
        most: Sequence[int] | None = None,
    ) -> None:
        self.request, self.recipe, self.words, self.is_data = request, recipe, words, is_data
        self.most = None if most is None else most[0]
        self.kinds: dict[str, str] = {}
        self.count = self.seen = 0

    def read(self, statistics: Statistics | None) -> Iterator[tuple[Examples, int]]:
        """Yield the examples of each piece, with the number of its first example.

        Raises `Mixed` if the kind of a column changes, and `DataError` for bad data.
        """
        self.count = self.seen = 0
        for table in pieces(self.request, self.words):
            by = split_columns(self.recipe, self.request, table) if self.is_data else []
            settled = self._settled(table)
            try:
                read = fields.read(self.request, settled, by, statistics)
            except AllMissing as error:
                self.seen += error.count
                continue
            self.seen += read.count if read.rows is None else read.rows.count
            if self.most is not None and self.count + read.count > self.most:
                read = read.first(self.most - self.count)
            first = self.count
            self.count += read.count
            if read.count:
                yield read, first
            if self.count == self.most:
                return
        if self.most is not None and self.count < self.most:
            raise self.request.error(
                f"the data has {self.count:,} examples, but had {self.most:,} when the run was"
                " made",
                argument=0,
                help="restore the file",
            )

    def require_some(self) -> None:
        """Raise `DataError` if no piece had an example."""
        if not self.count:
            what = f"all {self.seen:,} rows have missing values"
            raise self.request.error(what if self.seen else "the data has no examples", argument=0)

    def _settled(self, table: Table) -> Table:
        """Return a table that raises `Mixed` if a column's kind differs from earlier pieces."""

        def read(names: Sequence[str], texts: Collection[str]) -> Columns:
            columns = table.reader(names, texts)
            raw = {
                name: each if name in texts or name in self.words else self._one_kind(name, each)
                for name, each in columns.raw.items()
            }
            return replace(columns, raw=raw)

        return replace(table, reader=read)

    def _one_kind(self, name: str, raw: Raw) -> Raw:
        if len(raw) and raw.missing is not None and raw.missing.all() and not raw.shape:
            return Raw(np.full(len(raw), np.nan), None, raw.missing, raw.title, raw.argument)
        kind = "words" if raw.kind == "words" else "others"
        if self.kinds.setdefault(name, kind) != kind:
            raise Mixed(name)
        return raw
