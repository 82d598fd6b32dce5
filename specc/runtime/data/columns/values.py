"""The values of a column formula, for all rows.

Value("numbers", array)            # float64 [N, *shape]; NaN is a missing value
Value("words", codes, words)       # codes are indices into words, as in `table.Raw`
Value("classes", numbers, words, count=3)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from specc.runtime.data.field import Texts
from specc.runtime.data.table import TRUTH, Raw, coded
from specc.system.records import dataclass


@dataclass(frozen=True, eq=False)
class Value:
    """The values of a formula: `array` is `[N, *shape]`.

    `kind` is "numbers" (float64, NaN if missing), "words" (indices into the sorted `words`),
    "dates" (datetime64), "truth" (bool), "classes" (0 .. count - 1; `words` has their names, if
    any) or "symbols" (`texts`). `missing`, bool `[N]`, marks missing values of all kinds except
    numbers. `origins` has the source columns that the value was computed from.
    """

    kind: str
    array: np.ndarray
    words: np.ndarray | None = None
    missing: np.ndarray | None = None
    count: int | None = None
    texts: Texts | None = None
    origins: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """The number of elements of an example."""
        return int(np.prod(self.array.shape[1:]))

    def gaps(self) -> np.ndarray:
        """Return a mask of the examples with a missing value: bool `[N]`."""
        if self.kind == "numbers":
            found: np.ndarray = np.isnan(self.array.reshape(len(self.array), -1)).any(axis=1)
            return found
        return np.zeros(len(self.array), bool) if self.missing is None else self.missing

    def numbers(self) -> np.ndarray:
        """Return numbers, booleans or classes as float64, with NaN for missing values."""
        if self.kind == "numbers":
            return self.array
        found = self.array.astype(np.float64)
        if self.missing is not None:
            found[self.missing] = np.nan
        return found

    def as_words(self) -> Value:
        """Convert numbers or booleans to words: `3` for 3 and 3.0, `true` and `false`."""
        if self.kind == "words":
            return self
        gaps = self.gaps()
        flat = self.array.reshape(len(self.array), -1)
        values, places = np.unique(flat, return_inverse=True)
        names = [_written(each) for each in values.tolist()]
        raw = coded([names[place] for place in places.reshape(-1).tolist()])
        missing = gaps if gaps.any() else None
        array = raw.array.reshape(self.array.shape)
        return replace(self, kind="words", array=array, words=raw.words, missing=missing)

    def texts_present(self) -> list[str]:
        """Return the distinct words that occur in a value of words."""
        assert self.words is not None, "only words are texts; please report this"
        codes = self.array[~self.gaps()].reshape(-1)
        return [str(self.words[each]) for each in np.unique(codes).tolist()]


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def value_of(raw: Raw, name: str) -> Value:
    """Return a raw column as a value."""
    if raw.kind != "numbers":
        return Value(raw.kind, raw.array, raw.words, raw.missing, origins=(name,))
    array = raw.array.astype(np.float64)
    if raw.missing is not None:
        array[raw.missing] = np.nan
    return Value("numbers", array, origins=(name,))


def as_boolean(x: Value) -> Value | None:
    """Convert words to booleans; None unless every word means yes or no."""
    assert x.words is not None, "only words can mean yes; please report this"
    found, gaps = boolean_of(x.words.tolist())[x.array], x.gaps()
    if (found[~gaps] < 0).any() or gaps.all():
        return None
    return replace(x, kind="truth", array=found > 0, words=None)


def as_numbers(x: Value) -> Value | None:
    """Convert words to numbers; None unless every word is a number.

    In one piece of a column all words may be numbers, although other pieces have words.
    """
    assert x.words is not None, "only words can be numbers; please report this"
    known = [float(each) if is_number(each) else np.nan for each in x.words.tolist()]
    found, gaps = np.array(known, np.float64)[x.array], x.gaps()
    found = np.where(gaps.reshape(-1, *[1] * (found.ndim - 1)), np.nan, found)
    if np.isnan(found[~gaps]).any() or gaps.all():
        return None
    return replace(x, kind="numbers", array=found, words=None, missing=None)


def is_number(text: str) -> bool:
    """Return whether Python can parse a text as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def boolean_of(words: Sequence[str]) -> np.ndarray:
    """Return 1 for words that mean yes, 0 for those that mean no, and -1 for others: int8."""
    meanings = [TRUTH.get(each.strip().lower()) for each in words]
    return np.array([-1 if each is None else int(each) for each in meanings], np.int8)
