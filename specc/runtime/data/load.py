"""Loads the data that a recipe names: reads it, checks it, and splits it into parts.

    data = load(recipe, ports, folder)
    data.training, data.validation       # DataPart(columns, rows)

`validate split = 0.9` keeps 90% of the examples for training. They are chosen at random from the
recipe's seed, so they are the same in each run and on each machine. A part only has row numbers;
the parts share their arrays. One `DataError` has the errors of all sources.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path

import numpy as np

from specc.diagnostics import Diagnostic
from specc.recipe import DataCall, Port, Recipe
from specc.runtime.data import bind
from specc.runtime.data import fields as fields_of
from specc.runtime.data.balance import balanced
from specc.runtime.data.bound import collected, columns_of
from specc.runtime.data.columns.evaluate import Statistics
from specc.runtime.data.field import Field, is_sequence
from specc.runtime.data.fields import Examples
from specc.runtime.data.part import Data, DataPart, without_gaps
from specc.runtime.data.parts import NAMES, require_no_leak
from specc.runtime.data.parts import parts as divided
from specc.runtime.data.readers import (
    request_of,
    split_columns,
    table_of_source,
)
from specc.runtime.data.request import Request, listed
from specc.runtime.data.sources import text
from specc.runtime.data.stream.streamed import streamed
from specc.runtime.data.table import Raw, Table
from specc.runtime.errors import DataError, data_error
from specc.system.records import dataclass

Vocabularies = Mapping[str, tuple[str, ...]]


def load(
    recipe: Recipe,
    ports: Sequence[Port],
    folder: Path,
    *,
    parts: Sequence[str] = ("training", "validation"),
    vocabularies: Vocabularies | None = None,
    limit: int | None = None,
    counts: Mapping[str, Sequence[int]] | None = None,
    statistics: Statistics | None = None,
    is_patient: bool = False,
    is_checked: bool = False,
) -> Data:
    """Return the requested `parts` of the data: "training", "validation" and "test".

    Parts that the recipe does not have are left out. Relative paths start at `folder`.
    `vocabularies` has the vocabularies of the training part if that part is not loaded. Raises
    `DataError` with every error found.

    With a `limit`, only about that many bytes of each file or array are read. Locations in messages
    still refer to the whole file. The parts then have only the first examples of such files.

    `statistics` has what the formulas of columns learned earlier; without it they learn from the
    training part.

    If `is_patient`, images may be decoded in the background: see `Data.waiting`. If the data
    `is_checked`, another process has found that all numbers are finite.

    With `counts` of an earlier `Data`, examples beyond these counts are left out. The parts are
    then the same as before if rows were only appended since.
    """
    job = _Load(recipe, tuple(ports), folder, tuple(parts), limit, dict(counts or {}))
    job.vocabularies = dict(vocabularies or {})
    job.statistics = dict(statistics or {})
    job.is_patient, job.is_checked = is_patient, is_checked
    if recipe.data is None:
        raise data_error(
            "`train` names no data",
            recipe.span,
            help='add `data csv("train.csv")`, `data digits()` or another source',
        )
    if recipe.memory is not None and limit is None:
        return streamed(recipe, ports, folder, parts, job.vocabularies, job.statistics, job.counts)
    if recipe.data.word == "text":
        return _load_text(
            recipe, recipe.data, ports, folder, parts, job.vocabularies, limit, job.counts
        )
    job.read_data()
    job.read_others()
    if job.found:
        raise DataError(job.found)
    return Data(
        {name: part for name, part in job.loaded.items() if name in parts and len(part)},
        vocabularies=job.vocabularies,
        ends=job.ends,
        partial=tuple(job.partial),
        counts=job.held,
        left_out=tuple(job.left_out),
        statistics=job.statistics,
    )


@dataclass
class _Load:
    """The state of loading: what was read so far, and the errors found."""

    recipe: Recipe
    ports: tuple[Port, ...]
    folder: Path
    parts: tuple[str, ...]
    limit: int | None
    counts: dict[str, Sequence[int]]
    vocabularies: dict[str, tuple[str, ...]] = field(default_factory=dict)
    statistics: Statistics = field(default_factory=dict)
    found: list[Diagnostic] = field(default_factory=list)
    loaded: dict[str, DataPart] = field(default_factory=dict)
    held: dict[str, list[int]] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)
    partial: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    by: Raw | None = None  # the column that the split depends on, in the training part
    is_patient: bool = False
    is_checked: bool = False
    is_part: bool = False
    reads_training: bool = False

    def read_data(self) -> None:
        """Read the source `data` and divide it into parts."""
        recipe = self.recipe
        held_out = [
            name
            for name, share in (("validation", recipe.validate), ("test", recipe.test))
            if isinstance(share, float)
        ] + (["validation"] if recipe.folds else [])
        self.reads_training = "training" in self.parts or bool({*held_out} & {*self.parts})
        if not self.reads_training:
            return
        with collected(self.found):
            assert recipe.data is not None, "the data were asked for; please report this"
            read = self.examples("data", recipe.data)
            request, by = read.request, next(iter(read.by.values()), None)
            if read.is_part:
                rows = {name: np.arange(0) for name in NAMES} | {"training": np.arange(read.count)}
            else:
                rows = divided(request, recipe, read.count, by)
            self.is_part = read.is_part
            learns = None if self.statistics else rows["training"]
            fields, statistics = read.fields(self.statistics, learns)
            self.statistics = self.statistics or statistics
            self.by = None if by is None else by.rows(rows["training"])
            for port in request.ports:
                if (words := bind.words(fields[port.name], rows["training"])) is not None:
                    self.vocabularies.setdefault(port.name, words)
                if (end := bind.end(fields[port.name], rows["training"])) is not None:
                    self.ends[port.name] = end
            columns = columns_of(request, self.known(fields), self.vocabularies, self.found)
            sampled = {} if self.limit is None else fields
            if recipe.balance_by == "oversampling" and recipe.balance in columns:
                rows["training"] = balanced(columns[recipe.balance].array, rows["training"])
            waiting = tuple(request.waiting)
            self.loaded = {
                name: DataPart(columns, each, fields=sampled, source=read.rows, waiting=waiting)
                for name, each in rows.items()
            }

    def read_others(self) -> None:
        """Read the validation and test data if they have sources of their own."""
        recipe = self.recipe
        for name, call in (("validation", recipe.validate), ("test", recipe.test)):
            source = "validate" if name == "validation" else name
            if name not in self.parts or not isinstance(call, DataCall):
                continue
            with collected(self.found):
                read = self.examples(source, call)
                fields, _ = read.fields(self.statistics)
                # the words cannot be checked if the training part was not read as a whole
                is_open = self.is_part or (self.reads_training and "training" not in self.loaded)
                known: Vocabularies = self.vocabularies
                if is_open:
                    known = _with_own_words(fields, self.vocabularies)
                columns = columns_of(read.request, self.known(fields), known, self.found)
                waiting = tuple(read.request.waiting)
                self.loaded[name] = DataPart(columns, np.arange(read.count), waiting=waiting)
                for each in read.by.values():
                    require_no_leak(read.request, recipe, self.by, name, each)

    def known(self, fields: Mapping[str, Field]) -> Mapping[str, Field]:
        """Return the fields, marked as finite if that is known; NaN may end a sequence."""
        if not self.is_checked:
            return fields
        ports = {port.name: port for port in self.ports}
        return {
            name: each if is_sequence(ports[name]) else replace(each, is_finite=True)
            for name, each in fields.items()
        }

    def examples(self, source: str, call: DataCall) -> Examples:
        """Read the columns of a source: "data", "validate" or "test"."""
        request = request_of(call, self.ports, self.folder, self.limit, self.recipe.columns)
        request = replace(request, is_patient=self.is_patient, waiting=[])
        table = table_of_source(request)
        is_alone = source != "data" and self.recipe.split.by not in ("group", "time")
        by = [] if is_alone else split_columns(self.recipe, request, table)
        learned = self.statistics or None
        read = fields_of.read(request, table, by, learned)
        names = _names(request, table)
        self.partial += _extents(names, read)
        self.left_out += _left_out(names, read)
        self.held[source] = [read.count]
        return _first(read, self.counts.get(source))


def _load_text(
    recipe: Recipe,
    data: DataCall,
    ports: Sequence[Port],
    folder: Path,
    parts: Sequence[str],
    vocabularies: dict[str, tuple[str, ...]],
    limit: int | None = None,
    counts: Mapping[str, Sequence[int]] | None = None,
) -> Data:
    """Load the parts of text data; a split takes its validation part from the end of the text."""
    found: list[Diagnostic] = []
    loaded: dict[str, DataPart] = {}
    held_out = recipe.validate if isinstance(recipe.validate, float) else None
    own = [port for port in ports if not port.length_of and not port.begin_of]
    names = [port.name for port in own if port.kind == "class"]
    known = next((vocabularies[name] for name in names if name in vocabularies), None)
    partial: list[str] = []
    counts = counts or {}
    held: dict[str, list[int]] = {}

    def read(source: str, call: DataCall) -> text.Documents:
        whole = text.read(request_of(call, ports, folder, limit))
        held[source] = list(map(len, whole.documents))
        return whole.first(counts[source]) if source in counts else whole

    def part(name: str, source: text.Documents, known: tuple[str, ...]) -> None:
        with collected(found):
            if source.is_part:
                what = "characters" if source.level == "char" else "words"
                partial.append(
                    f"{listed(path.name for path in source.paths)}: the first"
                    f" {sum(map(len, source.documents)):,} {what}"
                )
            if source.is_part or is_part:
                text.check_vocabulary(source, known)
                return
            columns, is_stream = text.columns(source, known, recipe.batch)
            loaded[name] = DataPart(
                columns, np.arange(len(next(iter(columns.values())).array)), is_stream
            )

    is_part = False
    if known is None or "training" in parts or ("validation" in parts and held_out is not None):
        with collected(found):
            whole = read("data", data)
            is_part = whole.is_part
            training, validation = whole.cut(held_out) if held_out else (whole, None)
            known = known or training.vocabulary()
            if "training" in parts:
                part("training", training, known)
            if "validation" in parts and validation is not None:
                part("validation", validation, known)
    for name, call in (("validation", recipe.validate), ("test", recipe.test)):
        if name in parts and isinstance(call, DataCall) and known is not None:
            with collected(found):
                part(name, read("validate" if name == "validation" else name, call), known)
    if found:
        raise DataError(found)
    assert known is not None, "the text of the training part was read, or its symbols are given"
    return Data(
        loaded,
        vocabularies=dict.fromkeys(names, known),
        partial=tuple(partial),
        counts=held,
    )


def _first(read: Examples, count: Sequence[int] | None) -> Examples:
    """Return the first `count` examples. Raises `DataError` if there are fewer."""
    if count is None or list(count) == [read.count]:
        return read
    (before,) = count
    if read.count < before:
        raise read.request.error(
            f"{_title(read)} has {read.count:,} examples, but had {before:,} when the run was made",
            argument=0,
            help="restore the file",
        )
    return read.first(before)


def _title(read: Examples) -> str:
    """Return the name of the source in messages."""
    first = next(iter(read.direct.values()), None)
    return read.table.title if first is None else first.name


def _names(request: Request, table: Table) -> str:
    """Return the names of a source's files for messages."""
    names = [Path(each).name for each in request.call.arguments if isinstance(each, str)]
    return listed(names) if names else table.title


def _extents(names: str, read: Examples) -> list[str]:
    """Describe a partial read: "`a.csv`: the first 9,000 of 60,000 examples"."""
    if not read.is_part:
        return []
    count = f" of {read.total:,}" if read.total >= 0 else ""
    return [f"{names}: the first {read.count:,}{count} examples"]


def _left_out(names: str, read: Examples) -> list[str]:
    rows = read.rows
    return [] if rows is None else [without_gaps(names, rows.left_out, rows.count)]


def _with_own_words(fields: dict[str, Field], vocabularies: Vocabularies) -> Vocabularies:
    """Return the vocabularies extended by the words of `fields`.

    This is used if the training part was read only in part, so that not all its words are known.
    """
    found = dict(vocabularies)
    for name, each in fields.items():
        own = bind.words(each, np.arange(len(each.array)))
        if own is None:
            continue
        known, texts = vocabularies.get(name, ()), each.texts
        is_limited = texts is not None and texts.limit is not None
        found[name] = own if is_limited else tuple(sorted({*known, *own}))
    return found
