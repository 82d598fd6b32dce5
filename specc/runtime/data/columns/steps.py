"""The functions of column formulas. Each takes a value and returns one, and may learn statistics.

    step = Step(formula, settings, learned, rows)
    value = STEPS["standardize"](step, value)      # learns from `rows`, if nothing is learned yet

The run stores `step.learned` as plain JSON.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import field, replace
from typing import Any

import numpy as np

from specc.recipe import Formula
from specc.runtime.data import tokens
from specc.runtime.data.columns import dates
from specc.runtime.data.columns.numerals import NumberForm
from specc.runtime.data.columns.values import Value, boolean_of
from specc.runtime.data.field import Texts
from specc.system.records import dataclass


class StepError(Exception):
    """A value that a function cannot take; `row` and `element` locate a single bad value."""

    def __init__(
        self,
        message: str,
        row: int | None = None,
        help: str | None = None,
        value: Value | None = None,
        element: int = 0,
    ) -> None:
        super().__init__(message)
        self.message, self.row, self.help = message, row, help
        self.value, self.element = value, element


@dataclass
class ColumnStep:
    """A function call during evaluation: its `formula`, `settings` and `learned` statistics.

    `rows` are the rows of the training part, from which it learns; None if it may not learn.
    """

    formula: Formula
    settings: dict[str, Any]
    rows: np.ndarray | None
    learned: dict[str, Any] = field(default_factory=dict)

    def training(self, array: np.ndarray) -> np.ndarray:
        """Return the rows of the training part."""
        if self.rows is None:
            raise StepError(f"the run has not kept the statistics of `{self.formula.word}`")
        return array[self.rows]

    def numbers(self, name: str, width: tuple[int, ...]) -> np.ndarray:
        """Return a learned statistic as an array of the shape of one example."""
        return np.array(self.learned[name], np.float64).reshape(width)


def standardize(step: ColumnStep, x: Value) -> Value:
    """Return (x - mean) / deviation; a deviation of 0 counts as 1."""
    values = x.numbers()
    if not step.learned:
        known = _known(step, values)
        mean = np.nanmean(known, axis=0)
        deviation = np.nanstd(known, axis=0)
        step.learned = {"mean": mean.reshape(-1).tolist()}
        step.learned["deviation"] = deviation.reshape(-1).tolist()
    shape = values.shape[1:]
    mean, deviation = step.numbers("mean", shape), step.numbers("deviation", shape)
    return _numbers(x, (values - mean) / np.where(deviation > 0, deviation, 1.0))


def scale(step: ColumnStep, x: Value) -> Value:
    """Return low + (x - least) / (most - least) * (high - low)."""
    values = x.numbers()
    low, high = float(step.settings["low"]), float(step.settings["high"])
    if not step.learned:
        known = _known(step, values)
        step.learned = {"least": np.nanmin(known, axis=0).reshape(-1).tolist()}
        step.learned["most"] = np.nanmax(known, axis=0).reshape(-1).tolist()
    shape = values.shape[1:]
    least, most = step.numbers("least", shape), step.numbers("most", shape)
    width = np.where(most > least, most - least, 1.0)
    return _numbers(x, low + (values - least) / width * (high - low))


def fill(step: ColumnStep, x: Value) -> Value:
    """Replace missing values."""
    by = step.settings["by"]
    if x.kind == "words":
        return _fill_words(step, x, by)
    if isinstance(by, str) and by not in ("mean", "median", "most"):
        raise StepError(f"{_kind(x)} cannot be filled with the string {by!r}", help="give a number")
    values = x.numbers() if x.kind != "dates" else dates.part("days", x.array)
    if x.kind == "dates":
        values = np.where(x.gaps(), np.nan, values)
    if not isinstance(by, str):
        filled = np.full(values.shape[1:], float(by))
    else:
        if not step.learned:
            known = _known(step, values)
            step.learned = {"value": _middle(known, by).reshape(-1).tolist()}
        filled = step.numbers("value", values.shape[1:])
    found = np.where(np.isnan(values), filled, values)
    if x.kind == "dates":
        moments = (found * 86_400e6).astype("datetime64[us]")
        return replace(x, array=np.where(x.gaps(), moments, x.array), missing=None)
    return _numbers(x, found)


def _middle(values: np.ndarray, by: str) -> np.ndarray:
    """Return the mean, the median or the most frequent value of each element."""
    if by == "mean":
        return np.asarray(np.nanmean(values, axis=0))
    if by == "median":
        return np.asarray(np.nanmedian(values, axis=0))
    flat = values.reshape(len(values), -1)
    found = np.empty(flat.shape[1])
    for place, column in enumerate(flat.T):
        each, counts = np.unique(column[~np.isnan(column)], return_counts=True)
        found[place] = each[np.argmax(counts)]
    return found


def _fill_words(step: ColumnStep, x: Value, by: Any) -> Value:
    assert x.words is not None, "words have words; please report this"
    if by in ("mean", "median"):
        raise StepError(
            f"words have no {by}", help="use `most`, the most frequent word, or give a string"
        )
    if by == "most":
        if not step.learned:
            rows = step.training(x.array)[~step.training(x.gaps())]
            if not len(rows):
                raise StepError("every value of the training part is missing")
            step.learned = {"word": str(x.words[np.argmax(np.bincount(rows))])}
        by = step.learned["word"]
    words = np.array(sorted({*x.words.tolist(), str(by)}), object)
    places = np.searchsorted(words, x.words).astype(np.int32)
    array = np.where(x.gaps(), np.int32(np.searchsorted(words, str(by))), places[x.array])
    return replace(x, array=array, words=words, missing=None)


def missing(step: ColumnStep, x: Value) -> Value:
    """Return true where a value is missing."""
    if x.kind == "numbers":
        return Value("truth", np.isnan(x.array), origins=x.origins)
    return Value("truth", x.gaps(), origins=x.origins)


def classes(step: ColumnStep, x: Value) -> Value:
    """Return the class index of each word among the words of the training part."""
    x = x.as_words()
    has_others = bool(step.settings["unknown"]) or step.settings["least"] > 1
    if "words" not in step.learned:
        step.learned = {"words": _frequent(step, x, step.settings["least"])}
    known = [*([tokens.UNKNOWN] if has_others else []), *step.learned["words"]]
    codes = _places(x, known, 0 if has_others else -1)
    array, gaps = codes[x.array], x.gaps()
    if has_others:
        array = np.where(gaps, np.int32(0), array)
        gaps = np.zeros_like(gaps)
    strange = (array < 0) & ~gaps
    if strange.any():
        _refuse_new(x, strange, known)
    words = np.empty(len(known), object)
    words[:] = known
    return Value("classes", array, words, gaps if gaps.any() else None, len(known), None, x.origins)


def _refuse_new(x: Value, strange: np.ndarray, known: list[str]) -> None:
    row = int(np.argmax(strange.reshape(len(strange), -1).any(axis=1)))
    element = int(np.argmax(strange[row].reshape(-1)))
    assert x.words is not None, "words have words; please report this"
    word = x.words[x.array[row].reshape(-1)[element]]
    raise StepError(
        f"`{word}` does not occur in the training part",
        row,
        "`unknown = true` puts all such words into one class",
        x,
        element,
    )


def onehot(step: ColumnStep, x: Value) -> Value:
    """Return one-hot vectors over the words of the training part."""
    x = x.as_words()
    if "words" not in step.learned:
        step.learned = {"words": _frequent(step, x, step.settings["least"])}
    known = step.learned["words"]
    array = np.where(
        x.gaps().reshape(-1, *[1] * (x.array.ndim - 1)), -1, _places(x, known)[x.array]
    )
    found = np.zeros((*array.shape, len(known)))
    at = np.nonzero(array >= 0)
    found[(*at, array[at])] = 1.0
    return Value("numbers", found.reshape(len(found), -1), origins=x.origins)


def _frequent(step: ColumnStep, x: Value, least: int) -> list[str]:
    """Return the words that occur at least `least` times in the training part, sorted."""
    assert x.words is not None, "words have words; please report this"
    codes = step.training(x.array)
    codes = codes[~step.training(x.gaps())].reshape(-1)
    counts = np.bincount(codes, minlength=len(x.words))
    return [str(word) for word, count in zip(x.words, counts, strict=True) if count >= least]


def _places(x: Value, known: list[str], other: int = -1) -> np.ndarray:
    """Return the index of each word of `x` in `known`, or `other`: int32 `[len(x.words)]`."""
    assert x.words is not None, "words have words; please report this"
    at = {word: place for place, word in enumerate(known)}
    return np.array([at.get(word, other) for word in x.words], np.int32)


def bucket(step: ColumnStep, x: Value) -> Value:
    """Return the index of the bucket, by quantiles of the training part."""
    values, count = x.numbers(), int(step.settings["count"])
    if values.ndim > 1:
        raise StepError("`bucket` takes one column, not a vector")
    if not step.learned:
        known = _known(step, values)
        edges = np.nanquantile(known, np.arange(1, count) / count)
        step.learned = {"edges": edges.tolist()}
    gaps = np.isnan(values)
    edges = np.array(step.learned["edges"])
    array = np.searchsorted(edges, np.where(gaps, 0, values), side="right").astype(np.int32)
    return Value("classes", array, None, gaps if gaps.any() else None, count, None, x.origins)


def hashed(step: ColumnStep, x: Value) -> Value:
    """Return the CRC-32 of the text, modulo the number of classes."""
    x, count = x.as_words(), int(step.settings["count"])
    assert x.words is not None, "words have words; please report this"
    numbers = np.array([zlib.crc32(word.encode()) % count for word in x.words], np.int32)
    return Value("classes", numbers[x.array], None, x.missing, count, None, x.origins)


def boolean(step: ColumnStep, x: Value) -> Value:
    """Return true for words that mean yes, and false for words that mean no."""
    x = x.as_words()
    assert x.words is not None, "words have words; please report this"
    found = boolean_of(x.words.tolist())[x.array]
    wrong = (found < 0) & ~x.gaps()
    if wrong.any():
        row = int(np.argmax(wrong))
        word = x.words[x.array[row]]
        raise StepError(f"`{word}` is neither yes nor no", row, value=x)
    return Value("truth", found > 0, None, x.missing, None, None, x.origins)


def number(step: ColumnStep, x: Value) -> Value:
    """Parse each text as a number."""
    if x.kind == "numbers":
        return x
    assert x.words is not None, "words have words; please report this"
    form = NumberForm(*(step.settings[name] for name in ("decimal", "thousands", "empty")))
    found = [form.parsed(word) for word in x.words.tolist()]
    is_empty = np.array([word == form.empty for word in x.words.tolist()], bool)
    gaps = x.gaps() | is_empty[x.array]
    is_wrong = np.array([each is None for each in found], bool)
    wrong = is_wrong[x.array] & ~gaps
    if wrong.any():
        row = int(np.argmax(wrong))
        word = x.words[x.array[row]]
        raise StepError(
            f"`{word}` is not a number with the decimal sign `{form.decimal}`",
            row,
            "set the signs of such numbers with `decimal` and `thousands`, or the text of missing"
            " ones with `empty`",
            x,
        )
    values = np.array([np.nan if each is None else each for each in found], np.float64)
    return _numbers(x, np.where(gaps, np.nan, values[x.array]))


def symbols(step: ColumnStep, x: Value) -> Value:
    """Split texts into characters or words."""
    x = x.as_words()
    assert x.words is not None, "words have words; please report this"
    level, limit, unknown = (step.settings[name] for name in ("level", "limit", "unknown"))
    split = [tokens.symbols(word, level) for word in x.words.tolist()]
    texts = Texts([split[each] for each in x.array.tolist()], level, limit, unknown)
    return Value("symbols", np.zeros(len(x.array)), None, x.missing, None, texts, x.origins)


def clip(step: ColumnStep, x: Value) -> Value:
    """Return the value limited to [low, high]."""
    low, high = step.settings["low"], step.settings["high"]
    if low > high:
        raise StepError(f"`low` is {low}, which is above `high`, {high}")
    return _numbers(x, np.clip(x.numbers(), low, high))


def date_part(step: ColumnStep, x: Value) -> Value:
    """Return the `days`, `year`, `month`, `weekday` or `hour` of dates."""
    x = as_dates(x, step.settings["format"])
    word = step.formula.word
    found = dates.part(word, x.array)
    if word in dates.CLASSES:
        count = dates.CLASSES[word]
        return Value("classes", found.astype(np.int32), None, x.missing, count, None, x.origins)
    return Value("numbers", np.where(x.gaps(), np.nan, found), origins=x.origins)


def as_dates(x: Value, form: str | None = None) -> Value:
    """Parse words as dates. Raises `StepError` for a word that is not a date."""
    if x.kind == "dates":
        return x
    assert x.words is not None, "words have words; please report this"
    gaps = x.gaps()
    found = [dates.parsed(word, form) for word in x.words.tolist()]
    is_wrong = np.array([each is None for each in found], bool)
    wrong = is_wrong[x.array] & ~gaps
    if wrong.any():
        row = int(np.argmax(wrong))
        word = x.words[x.array[row]]
        raise StepError(
            f"`{word}` is not a date"
            if form is None
            else f"`{word}` is not of the format {form!r}",
            row,
            'dates are written 2024-01-31; other forms need `format`, such as `format = "%d.%m.%Y"`'
            if form is None
            else None,
            x,
        )
    moments = np.array([None if each is None else each for each in found], "datetime64[us]")
    array = np.where(gaps, np.datetime64("NaT"), moments[x.array])
    return Value("dates", array, None, x.missing, None, None, x.origins)


def _known(step: ColumnStep, values: np.ndarray) -> np.ndarray:
    """Return the training rows. Raises `StepError` if all values of an element are missing."""
    known = step.training(values)
    empty = np.isnan(known).all(axis=0)
    if not len(known) or empty.any():
        raise StepError("every value of the training part is missing")
    return known


def _numbers(x: Value, array: np.ndarray) -> Value:
    return Value("numbers", array, origins=x.origins)


def _kind(x: Value) -> str:
    return {"truth": "a boolean", "dates": "a date"}.get(x.kind, "a number")


STEPS: dict[str, Callable[[ColumnStep, Value], Value]] = {
    "standardize": standardize, "scale": scale, "fill": fill, "missing": missing, "class": classes,
    "onehot": onehot, "bucket": bucket, "hash": hashed, "number": number, "truth": boolean,
    "symbols": symbols, "clip": clip, "days": date_part, "year": date_part, "month": date_part,
    "weekday": date_part, "hour": date_part,
}  # fmt: skip
