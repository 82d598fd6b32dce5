"""Loads data larger than memory into files that training reads in windows.

    data = streamed(recipe, ports, folder, ("training", "validation"))
    data.training.stored               # a `Stored`, from which windows are read

The source is read piece by piece: at least once to learn from it (`learned`), and once to check
every value and to write the columns into the user's cache folder. The files are named by a hash of
everything that they depend on, so later training starts at once.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from specc.diagnostics import Diagnostic
from specc.recipe import DataCall, Port, Recipe
from specc.recipe.sources import FRAME
from specc.runtime.data.bound import columns_of
from specc.runtime.data.columns.evaluate import Statistics
from specc.runtime.data.fields import Examples
from specc.runtime.data.part import Data, DataPart, without_gaps
from specc.runtime.data.readers import request_of
from specc.runtime.data.request import Request, listed
from specc.runtime.data.stream.learned import Learned, learned, said
from specc.runtime.data.stream.rows import Mixed, Pieces
from specc.runtime.data.stream.split import RowSplit
from specc.runtime.data.stream.store import ColumnForm, ColumnWriter, OtherType, Stored
from specc.runtime.errors import DataError, data_error
from specc.system.folders import cache_folder
from specc.system.records import dataclass

VERSION = 1  # version of the format of the files
PARTS = ("training", "validation", "test")


def streamed(
    recipe: Recipe,
    ports: Sequence[Port],
    folder: Path,
    parts: Sequence[str],
    vocabularies: Mapping[str, tuple[str, ...]] | None = None,
    statistics: Statistics | None = None,
    counts: Mapping[str, Sequence[int]] | None = None,
) -> Data:
    """Return the requested parts of the data; see `specc.runtime.data.load.load`."""
    _require_streamable(recipe)
    job = _Job(recipe, tuple(ports), folder, dict(vocabularies or {}), dict(statistics or {}))
    assert recipe.data is not None, "the data were asked for; please report this"
    own = [
        name
        for name, share in (("validation", recipe.validate), ("test", recipe.test))
        if isinstance(share, float)
    ] + (["validation"] if recipe.folds else [])
    found: dict[str, Stored] = {}
    known = Learned(dict(job.vocabularies), dict(job.statistics))
    if "training" in parts or {*own} & {*parts}:
        known = job.known(recipe.data)
        found |= job.parts("data", recipe.data, known, (counts or {}).get("data"))
    for name, call in (("validation", recipe.validate), ("test", recipe.test)):
        if name in parts and isinstance(call, DataCall):
            source = "validate" if name == "validation" else name
            stored = job.parts(source, call, known, (counts or {}).get(source))
            found[name] = stored["training"]
    return Data(
        {
            name: DataPart(each.mapped(), range(each.count), stored=each)
            for name, each in found.items()
            if name in parts
        },
        vocabularies=known.vocabularies,
        ends=known.ends,
        counts=job.counts,
        left_out=tuple(job.left_out),
        statistics=known.statistics,
    )


def _require_streamable(recipe: Recipe) -> None:
    """Raise `DataError` for settings that need all examples at once."""
    place = recipe.spans.get("memory")
    if recipe.balance is not None and recipe.balance_by == "oversampling":
        raise data_error(
            "`balance_by = oversampling` cannot be used with `memory`, because it repeats examples"
            " of the whole data",
            recipe.spans.get("balance_by") or place,
            help="use `balance_by = weights`, which weights the loss instead",
        )
    has_own = any(isinstance(each, DataCall) for each in (recipe.validate, recipe.test))
    if has_own and recipe.split.by in ("group", "time"):
        raise data_error(
            f"`{recipe.split.by}` cannot be used with `memory`, because it compares all examples",
            recipe.split.span or place,
            help="remove it if the data is already split into files",
        )


@dataclass
class _Job:
    """The passes over the sources of a recipe."""

    recipe: Recipe
    ports: tuple[Port, ...]
    folder: Path
    vocabularies: dict[str, tuple[str, ...]]
    statistics: Statistics

    def __post_init__(self) -> None:
        self.counts: dict[str, list[int]] = {}
        self.left_out: list[str] = []

    def request(self, call: DataCall) -> Request:
        return request_of(call, self.ports, self.folder, None, self.recipe.columns)

    def known(self, call: DataCall) -> Learned:
        """Return the vocabularies and statistics of the training part, given or learned."""
        found = learned(self.request(call), self.recipe, self.statistics, self.vocabularies)
        return replace(
            found,
            vocabularies={**found.vocabularies, **self.vocabularies},
            statistics=self.statistics or found.statistics,
        )

    def parts(
        self, source: str, call: DataCall, known: Learned, count: Sequence[int] | None
    ) -> dict[str, Stored]:
        """Return the stored parts of a source, writing them if they are not in the cache."""
        request = self.request(call)
        request.files() if call.word != FRAME else None
        key = self._key(source, request, known, count)
        place = cache_folder() / "data" / key
        stored = _kept(place)
        if stored is None:
            self._write(source, request, known, count, place)
            stored = _kept(place)
            assert stored is not None, "the columns were written; please report this"
        if call.word == FRAME:
            atexit.register(shutil.rmtree, place, ignore_errors=True)
        self.counts[source] = [stored.total]
        if stored.left_out:
            title = "the data"
            if call.word != FRAME:
                title = listed((each.name for each in request.files()), 3)
            self.left_out.append(without_gaps(title, stored.left_out, stored.seen))
        return stored.parts

    def _key(
        self, source: str, request: Request, known: Learned, count: Sequence[int] | None
    ) -> str:
        """Return the hash of everything that the files depend on."""
        recipe = self.recipe
        split = [recipe.seed, recipe.folds, recipe.fold, recipe.split.by, recipe.split.column]
        shares = [each if isinstance(each, float) else None
                  for each in (recipe.validate, recipe.test)]  # fmt: skip
        ports = [(each.name, each.kind, each.shape, each.classes) for each in self.ports]
        text = json.dumps(
            [VERSION, source == "data", said(request), split, shares, ports, known.vocabularies,
             known.statistics, list(count or [])],
            default=str,
        )  # fmt: skip
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def _write(
        self,
        source: str,
        request: Request,
        known: Learned,
        count: Sequence[int] | None,
        place: Path,
    ) -> None:
        """Write the parts of a source into a folder, whole or not at all."""
        types: dict[str, str] = {}
        words = set(known.words)
        beside = place.with_name(f".{place.name}.{secrets.token_hex(8)}.part")
        try:
            while True:
                beside.mkdir(parents=True, exist_ok=True)
                try:
                    index = self._written(source, request, known, count, beside, types, words)
                    break
                except OtherType as wider:
                    types[wider.port] = wider.dtype
                except Mixed as mixed:
                    words.add(mixed.name)
                shutil.rmtree(beside)
            (beside / "index.json").write_text(json.dumps(index))
            try:
                os.replace(beside, place)
            except OSError:  # another process may have written the folder
                if not (place / "index.json").is_file():
                    raise
        except OSError as error:
            raise request.error(
                f"cannot store the examples in `{place.parent}`: {error.strerror or error}",
                help="set `SPECC_CACHE_DIR` to a folder with enough space",
            ) from None
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def _written(
        self,
        source: str,
        request: Request,
        known: Learned,
        count: Sequence[int] | None,
        folder: Path,
        types: Mapping[str, str],
        words: set[str],
    ) -> dict[str, Any]:
        """Check and write all pieces; return the index of the files."""
        is_data = source == "data"
        split = RowSplit(request, self.recipe) if is_data else None
        pieces = Pieces(request, self.recipe, words, is_data, count)
        with ColumnWriter(folder, types) as writer:
            for read, first in pieces.read(known.statistics):
                by = next(iter(read.by.values()), None)
                rows = {"training": np.arange(read.count)}
                if split is not None:
                    rows = split.parts(np.arange(first, first + read.count), by)
                columns = _columns(read, known)
                for part, places in rows.items():
                    writer.append(part, columns, places)
            stored = writer.stored()
        pieces.require_some()
        wanted = {"training"}
        if is_data:
            wanted |= {name for name in ("validation", "test")
                       if isinstance(getattr(self.recipe, NAMED[name]), float)}  # fmt: skip
            wanted |= {"validation"} if self.recipe.folds else set()
        if not wanted <= set(stored):
            some = f"{pieces.count:,} example{'s' * (pieces.count != 1)}"
            raise request.error(f"{some} cannot be split: one of the parts would be empty")
        return {
            "total": pieces.count,
            "seen": pieces.seen,
            "parts": {
                name: {
                    "count": each.count,
                    "forms": {port: asdict(form) for port, form in each.forms.items()},
                    "hashes": writer.hashes(name),
                }
                for name, each in stored.items()
            },
        }


NAMED = {"validation": "validate", "test": "test"}
"""The recipe's attribute of each part that is held out."""


def _columns(read: Examples, known: Learned) -> dict[str, Any]:
    """Return the columns of one piece. Raises `DataError` with all errors in it."""
    fields, _ = read.fields(known.statistics)
    found: list[Diagnostic] = []
    columns = columns_of(read.request, fields, known.vocabularies, found)
    if found:
        raise DataError(found)
    return columns


@dataclass(frozen=True)
class _Kept:
    """The parts of a source in the cache."""

    parts: dict[str, Stored]
    total: int
    seen: int

    @property
    def left_out(self) -> int:
        return self.seen - self.total


def _kept(place: Path) -> _Kept | None:
    """Return the parts that are stored in a folder; None if it is not complete."""
    try:
        index = json.loads((place / "index.json").read_text())
    except (OSError, ValueError):
        return None
    parts = {}
    for name, each in index["parts"].items():
        forms = {
            port: ColumnForm(form["dtype"], tuple(form["shape"]), form["scale"], form["shift"])
            for port, form in each["forms"].items()
        }
        parts[name] = Stored(place, name, each["count"], forms, each["hashes"])
        if not parts[name].is_whole():
            return None
    return _Kept(parts, index["total"], index["seen"])
