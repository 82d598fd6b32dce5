"""What must be learned from all the data before the first piece can be written.

    found = learned(request, recipe, statistics={}, vocabularies={})
    found.vocabularies["city"]           # ("Bern", "Ulm")
    found.statistics["age"]              # {"standardize1": {"mean": [..], "deviation": [..]}}

The result is kept in the user's cache folder. If nothing has to be learned, only the first piece is
read.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import field
from pathlib import Path
from typing import Any

import numpy as np

from specc.recipe import Formula, Port, Recipe
from specc.recipe.sources import FRAME
from specc.runtime.data import bind
from specc.runtime.data.columns.evaluate import Statistics, evaluate
from specc.runtime.data.field import Field, Texts
from specc.runtime.data.request import Request
from specc.runtime.data.stream.learn import Learning
from specc.runtime.data.stream.rows import Mixed, Pieces
from specc.runtime.data.stream.split import RowSplit
from specc.runtime.errors import DataError, data_error
from specc.system.folders import cache_folder, write
from specc.system.records import dataclass


@dataclass
class SeenPort:
    """What is known of a port from all examples: shape, number of classes, longest text."""

    shape: list[int] = field(default_factory=list)
    is_image: bool = False
    classes: int = 0
    longest: int = 0
    is_text: bool = False


@dataclass
class Learned:
    """What was learned from the training part. `words` has the names of the columns of words."""

    vocabularies: dict[str, tuple[str, ...]] = field(default_factory=dict)
    statistics: Statistics = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    shapes: dict[str, SeenPort] = field(default_factory=dict)


def learned(
    request: Request,
    recipe: Recipe,
    statistics: Statistics,
    vocabularies: Mapping[str, tuple[str, ...]],
    is_whole: bool = False,
) -> Learned:
    """Learn from the pieces of a source; with `is_whole`, always from all of them."""
    place = None
    if request.call.word != FRAME:
        request.files()
        place = cache_folder() / "data" / _key(request, recipe, is_whole)
        if (found := _kept(place)) is not None:
            return found
    words: set[str] = set()
    while True:
        try:
            found = _Lesson(request, recipe, statistics, vocabularies, words, is_whole).taken()
            break
        except Mixed as mixed:
            words.add(mixed.name)
    if place is not None and not statistics and not vocabularies:
        with suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            write(place, json.dumps(found, default=vars).encode())
    return found


class _Lesson:
    """The passes over a source that learn from it."""

    def __init__(
        self,
        request: Request,
        recipe: Recipe,
        statistics: Statistics,
        vocabularies: Mapping[str, tuple[str, ...]],
        words: set[str],
        is_whole: bool,
    ) -> None:
        self.request, self.recipe, self.is_whole = request, recipe, is_whole
        self.given = vocabularies
        self.statistics: Statistics = {name: dict(each) for name, each in statistics.items()}
        self.words = words
        self.symbols: dict[str, set[str]] = {}
        self.ends: dict[str, set[str | None]] = {}
        self.shapes: dict[str, SeenPort] = {}
        self.done: set[str] = set()  # ports whose words are all known

    def taken(self) -> Learned:
        pieces = Pieces(self.request, self.recipe, self.words)
        while not self._pass(pieces):
            pass
        pieces.require_some()
        words = {name for name, kind in pieces.kinds.items() if kind == "words"}
        return Learned(
            {name: tuple(sorted(each)) if name not in self.numbered else self.numbered[name]
             for name, each in self.symbols.items()},
            self.statistics,
            {name: str(next(iter(each))) for name, each in self.ends.items()
             if len(each) == 1 and None not in each},
            sorted(self.words | words),
            self.shapes,
        )  # fmt: skip

    def _pass(self, pieces: Pieces) -> bool:
        """Process all pieces once; return whether everything is learned."""
        split = RowSplit(self.request, self.recipe)
        learning = Learning(self.recipe.seed)
        self.numbered: dict[str, tuple[str, ...]] = {}
        is_last = False
        seen: set[str] = set()
        for read, first in pieces.read(self.statistics):
            by = next(iter(read.by.values()), None)
            numbers = np.arange(first, first + read.count)
            rows = split.parts(numbers, by)["training"]
            if not is_last and read.plan.rules:
                learning.rows = numbers[rows]
                evaluate(self.request, read.plan, read.columns, self.statistics, rows, learning)
            is_last = not learning.found
            fields = read.fields(self.statistics)[0] if is_last else read.direct
            for name, each in fields.items():
                if name not in self.done:
                    self._see(name, each, rows)
                    seen.add(name)
            if is_last and not self.is_whole and not self._has_more(fields):
                break
        self._finish(learning)
        self.done |= seen - {rule.name for rule in self.request.rules}
        return is_last or not pieces.count

    def _has_more(self, fields: Mapping[str, Field]) -> bool:
        """Return whether later pieces can have words that are not known yet."""
        return any(
            name not in self.done
            and name not in self.given
            and (each.texts is not None or (each.words is not None and not each.is_numbered))
            for name, each in fields.items()
        )

    def _finish(self, learning: Learning) -> None:
        wrong = learning.finished(self.statistics)
        if not wrong:
            return
        found = []
        for rule in self.request.rules:
            for each in rule.formula.walk():
                if (error := wrong.get((rule.name, each.key))) is not None:
                    found += data_error(
                        error.message, each.span or self.request.call.span, help=error.help
                    ).diagnostics
        raise DataError(found)

    def _see(self, name: str, field: Field, rows: np.ndarray) -> None:
        """Record the words, the shape and the classes of a port in one piece."""
        shape = self.shapes.setdefault(name, SeenPort())
        shape.shape, shape.is_image = list(field.shape), field.is_image
        words = bind.words(field, rows)
        if field.is_numbered and words is not None:
            self.numbered[name] = words
        if words is not None:
            self.symbols.setdefault(name, set()).update(words)
        if field.texts is not None:
            self._see_texts(name, field.texts, field, rows, shape)
        elif field.array.dtype.kind in "uib" and field.array.size:
            shape.classes = max(shape.classes, int(field.array.max()) + 1)
        if field.words is not None:
            shape.classes = len(self.symbols[name])
        shape.classes = field.classes or shape.classes

    def _see_texts(
        self, name: str, texts: Texts, field: Field, rows: np.ndarray, shape: SeenPort
    ) -> None:
        if texts.limit is not None:
            raise self.request.error(
                "`limit` cannot be used with `memory`, because it counts the symbols of all texts",
                setting="limit",
                help="remove `limit`",
            )
        shape.is_text = True
        shape.classes = len(self.symbols[name])
        shape.longest = max(shape.longest, max(map(len, texts.parts), default=0))
        if len(rows):
            self.ends.setdefault(name, set()).add(bind.end(field, rows))


def example_of(port: Port, shape: SeenPort) -> Field:
    """Return a field with one example from which a port's symbolic dimensions can be read."""

    def location(row: int, element: int) -> str:
        return f"row {row + 1}"

    if shape.is_text:
        symbols = [str(each) for each in range(shape.classes)]
        step = max(1, shape.longest)
        parts = [symbols[at : at + step] for at in range(0, len(symbols), step)]
        texts = Texts([*parts, symbols[:1] * step], "word")
        return Field(port.name, np.zeros(len(texts.parts)), location, texts=texts)
    kind = np.int64 if port.kind == "class" else np.float64
    array = np.full((1, *shape.shape), max(shape.classes - 1, 0), kind)
    classes = shape.classes or None
    return Field(port.name, array, location, is_image=shape.is_image, classes=classes)


def _key(request: Request, recipe: Recipe, is_whole: bool) -> str:
    split = [recipe.seed, recipe.folds, recipe.fold, recipe.split.by, recipe.split.column,
             recipe.validate if isinstance(recipe.validate, float) else None,
             recipe.test if isinstance(recipe.test, float) else None]  # fmt: skip
    ports = [(each.name, each.kind, len(each.shape)) for each in request.ports]
    text = json.dumps([said(request), split, ports, is_whole], default=str)
    return f"learned-{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


def _kept(place: Path) -> Learned | None:
    try:
        found = json.loads(place.read_text())
        return Learned(
            {name: tuple(each) for name, each in found["vocabularies"].items()},
            found["statistics"],
            found["ends"],
            found["words"],
            {name: SeenPort(**each) for name, each in found["shapes"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def said(request: Request) -> list[Any]:
    """Return the content of a request and the state of its files as JSON."""
    call = request.call
    if call.word == FRAME:
        files: list[Any] = [id(call.arguments[0]), secrets.token_hex(8)]
    else:
        files = [
            (str(path.resolve()), status.st_size, status.st_mtime_ns)
            for path in request.files()
            for status in (path.stat(),)
        ]
    rules = [[each.name, _formula(each.formula)] for each in request.rules]
    return [call.word, files, call.settings, rules]


def _formula(formula: Formula) -> list[Any]:
    return [
        formula.word,
        formula.value,
        formula.key,
        formula.settings,
        [_formula(each) for each in formula.inputs],
    ]
