"""Checks and converts the cells of a column for its port: numbers, booleans or classes.

    Cells(request, port, raw, location, name).values(missing=None)     # a Raw without gaps

Words that mean yes and no become booleans for a "float" or "bool" port. Anything else that does not
fit raises a `DataError` at the first such cell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from specc.recipe import Port
from specc.runtime.data.columns.values import boolean_of
from specc.runtime.data.field import is_sequence
from specc.runtime.data.request import Request
from specc.runtime.data.table import Raw
from specc.runtime.errors import DataError
from specc.system.records import dataclass


@dataclass(frozen=True)
class Cells:
    """One column that is converted for a port. `is_made` says that a formula computed it."""

    request: Request
    port: Port
    raw: Raw
    location: Callable[[int, int], str]
    name: str
    is_made: bool = False
    noun: str = "column"
    origins: Sequence[str] = ()  # the column that each element of a formula's result comes from

    def values(self, missing: float | None = None) -> Raw:
        """Return numbers, booleans or words without gaps; `missing` fills the gaps of floats.

        Raises `DataError` at the first cell that is missing or does not fit.
        """
        raw = self.converted()
        gaps = raw.missing
        if gaps is None and raw.array.dtype.kind == "f" and self.is_made:
            gaps = np.isnan(raw.array.reshape(len(raw.array), -1)).any(axis=1)
        if gaps is None or not gaps.any():
            return raw
        if missing is None and self._has_steps():
            return replace(raw, missing=None)  # `bind` distinguishes gaps from padding
        if missing is None or self.port.kind != "float":
            raise self._missing(int(np.argmax(gaps)))
        array = raw.array.astype(np.float64)
        if raw.shape:
            array[np.isnan(array)] = missing
        else:
            array[gaps] = missing
        return replace(raw, array=array, missing=None)

    def converted(self) -> Raw:
        """Return numbers, booleans or words, still with gaps.

        Raises `DataError` at the first cell that does not fit.
        """
        return {"float": self._floats, "bool": self._boolean}.get(self.port.kind, self._classes)()

    def _has_steps(self) -> bool:
        return bool(self.raw.shape) and is_sequence(self.port)

    def error(self, row: int, message: str, help: str | None = None, element: int = 0) -> DataError:
        """Return the error of a cell."""
        return self.request.error(
            f"{self.location(row, element)}: {message}",
            argument=self.raw.argument,
            port=self.port,
            help=help,
        )

    def _missing(self, row: int) -> DataError:
        array = self.raw.array
        element = 0
        if array.dtype.kind == "f" and array.ndim > 1:
            element = int(np.argmax(np.isnan(array[row].reshape(-1))))
        ways = []
        if not self.is_made and self.request.has_setting("missing"):
            ways.append('`missing = "drop"` leaves out such lines')
            if self.port.kind == "float":
                ways.append("`missing = 0` puts a number there")
        if self.port.kind == "float" or not ways:
            way = "most" if self.port.kind != "float" else "median"
            name = self.origins[element] if element < len(self.origins) else self.name
            ways.append(f"`fill({name}; {way})` in a `column` formula fills it")
        return self.error(row, "the value is missing", ", ".join(ways), element)

    def _floats(self) -> Raw:
        raw = self.raw
        if raw.kind == "dates":
            raise self.error(
                0,
                "this is a date, not a number",
                f"`column {self.port.name} = days({self.name})` counts the days",
            )
        if raw.words is None:
            return raw
        boolean = boolean_of(raw.words.tolist())[raw.array]
        if (boolean[~raw.gaps()] >= 0).all():
            return replace(raw, array=boolean > 0, words=None)
        if all(map(is_number, raw.words[np.unique(raw.array[~raw.gaps()])].tolist())):
            numbers = np.array([float(each) if is_number(each) else 0.0 for each in raw.words])
            return replace(raw, array=numbers[raw.array], words=None)
        return self._bad(lambda cell: is_number(cell), "a number")

    def _boolean(self) -> Raw:
        raw = self.raw
        if raw.kind == "dates":
            raise self.error(0, "this is a date, neither yes nor no")
        if raw.words is None:
            return raw
        boolean = boolean_of(raw.words.tolist())[raw.array]
        if (boolean[~raw.gaps()] >= 0).all():
            return replace(raw, array=boolean > 0, words=None)
        return self._bad(lambda cell: boolean_of([cell])[0] >= 0, "true, false, yes, no, 1 or 0")

    def _classes(self) -> Raw:
        raw = self.raw
        if raw.kind == "dates":
            raise self.error(
                0, "this is a date, not a class", "`weekday`, `month` and `hour` make classes"
            )
        if raw.words is not None:
            if not self.is_made and not raw.are_names:
                self._check_words()
            return raw
        if raw.array.dtype.kind == "f" and raw.missing is not None and not self._has_steps():
            raw = whole(raw)
        if raw.array.dtype.kind == "f" and not raw.shape and self.noun == "column":
            row = int(np.argmax(~raw.gaps()))
            value = raw.array[row]
            raise self.error(
                row,
                f"`{value!s}` is not an integer, or is mixed with words",
                "write classes as integers from 0 (3 rather than 3.0), or all as words",
            )
        return raw

    def _check_words(self) -> None:
        """Raise `DataError` for words that look like numbers.

        The values 1, 2, x are probably an error, and 1.0, 2.0 are not classes.
        """
        raw = self.raw
        assert raw.words is not None, "a column of words; please report this"
        for is_wrong, what, help_ in (
            (is_strange, "not a class", "write numbers with the digits 0 to 9 and without `_`"),
            (
                is_number,
                "not an integer, or is mixed with words",
                "write classes as integers from 0 (3 rather than 3.0), or all as words",
            ),
        ):
            wrong = np.array([is_wrong(each) for each in raw.words.tolist()], bool)
            found = (wrong[raw.array] & ~_wide(raw.gaps(), raw)).reshape(len(raw), -1)
            if found.any():
                row = int(np.argmax(found.any(axis=1)))
                element = int(np.argmax(found[row]))
                word = raw.words[raw.array.reshape(len(raw), -1)[row, element]]
                raise self.error(row, f"`{word}` is {what}", help_, element)

    def _bad(self, is_good: Callable[[str], bool], what: str) -> Raw:
        """Raise the error of the first cell that is not `what`."""
        raw = self.raw
        assert raw.words is not None, "a column of words; please report this"
        good = np.array([is_good(each) for each in raw.words.tolist()], bool)
        wrong = (~good[raw.array] & ~_wide(raw.gaps(), raw)).reshape(len(raw), -1)
        row = int(np.argmax(wrong.any(axis=1)))
        element = int(np.argmax(wrong[row]))
        cell = raw.words[raw.array.reshape(len(raw), -1)[row, element]]
        if what == "a number" and "," in cell and is_number(cell.replace(",", ".", 1)):
            help_ = "use a point as the decimal sign"
        elif is_strange(cell):
            help_ = "write numbers with the digits 0 to 9 and without `_`"
        elif what == "a number" and _is_float(cell):
            help_ = "only finite numbers are allowed"
        elif what != "a number":
            help_ = "declare a `class(2)` to use other words"
        else:
            help_ = (
                f"`column {self.name} = onehot({self.name})` turns words into numbers; or declare"
                " a `class`"
                if self.name == self.port.name
                else "declare a `class` to use a column of words"
            )
        raise self.error(row, f"`{cell}` is not {what}", help_, element)


def _wide(gaps: np.ndarray, raw: Raw) -> np.ndarray:
    """Return the gaps, bool `[N]`, reshaped to broadcast over the axes of a column."""
    return gaps.reshape(-1, *[1] * len(raw.shape))


def whole(raw: Raw) -> Raw:
    """Convert floats to integers if all values are integral; otherwise return `raw`."""
    if raw.array.dtype.kind != "f":
        return raw
    gaps = np.isnan(raw.array)
    filled = np.where(gaps, 0, raw.array)
    if not (np.isfinite(filled).all() and (filled == np.floor(filled)).all()):
        return raw
    missing = gaps.reshape(len(gaps), -1).any(axis=1)
    return replace(raw, array=filled.astype(np.int64), missing=missing if missing.any() else None)


def with_one_vocabulary(raws: Sequence[Raw]) -> tuple[list[Raw], np.ndarray]:
    """Return columns of words recoded with one shared vocabulary, and that vocabulary."""
    if len(raws) == 1 and raws[0].words is not None:
        return list(raws), raws[0].words
    texts = [_texts(each) for each in raws]
    known = sorted({word for words, _ in texts for word in words})
    at = {word: place for place, word in enumerate(known)}
    vocabulary = np.empty(len(known), object)
    vocabulary[:] = known
    found = []
    for raw, (words, codes) in zip(raws, texts, strict=True):
        places = np.array([at[word] for word in words], np.int32)
        found.append(replace(raw, array=places[codes], words=vocabulary))
    return found, vocabulary


def _texts(raw: Raw) -> tuple[list[str], np.ndarray]:
    if raw.words is not None:
        return raw.words.tolist(), raw.array
    values, codes = np.unique(raw.array, return_inverse=True)
    return [str(each) for each in values.tolist()], codes.reshape(raw.array.shape)


def _is_float(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def is_number(cell: str) -> bool:
    """Return whether a cell is a finite number, written with the digits 0 to 9."""
    if is_strange(cell):
        return False
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False


def is_strange(cell: str) -> bool:
    """Return whether a cell is a number to Python but not to other tools: `1_0`, Arabic digits."""
    if cell.isascii() and "_" not in cell:
        return False
    try:
        float(cell)
    except ValueError:
        return False
    return True
