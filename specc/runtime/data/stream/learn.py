"""Learns the statistics of column formulas from data that arrives in pieces.

    learner = Learning(seed=0)
    evaluate(request, plan, piece, statistics, rows, learner)      # for each piece
    learner.finished(statistics)        # {"age": {"standardize1": {"mean": [..], ..}}}

A function can learn only after the functions inside it have: `standardize(fill(x; mean))` takes two
passes over the data. Means, deviations, bounds and counts use all rows. Medians and quantiles use a
sample of up to `SAMPLE` rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, Protocol

import numpy as np

from specc.runtime.data.columns import whole
from specc.runtime.data.columns.dates import part as part_of_date
from specc.runtime.data.columns.evaluate import Statistics, Unlearned
from specc.runtime.data.columns.steps import ColumnStep, StepError
from specc.runtime.data.columns.values import Value
from specc.runtime.order import numbers_of_rows
from specc.system.records import dataclass

SAMPLE = 2**17
"""Number of rows in the sample for medians and quantiles."""
MOST_WORDS = 2**20
"""Largest number of distinct words of a column that are counted."""
QUANTILES = 2**61
"""The random stream that chooses the sample."""


class Moments:
    """The mean and the deviation of each element, over pieces (Chan, Golub and LeVeque, 1983)."""

    def __init__(self) -> None:
        self.count: np.ndarray = np.zeros(0)
        self.mean: np.ndarray = np.zeros(0)
        self.squares: np.ndarray = np.zeros(0)
        self.rows = 0

    def add(self, values: np.ndarray) -> None:
        """Add rows `[n, width]`; NaN is a missing value."""
        there = ~np.isnan(values)
        count = there.sum(axis=0).astype(np.float64)
        filled = np.where(there, values, 0.0)
        mean = filled.sum(axis=0) / np.maximum(count, 1)
        squares = (np.where(there, values - mean, 0.0) ** 2).sum(axis=0)
        if not self.rows:
            self.count, self.mean, self.squares = count, mean, squares
        else:
            total = self.count + count
            share = count / np.maximum(total, 1)
            apart = mean - self.mean
            self.mean = self.mean + apart * share
            self.squares = self.squares + squares + apart**2 * self.count * share
            self.count = total
        self.rows += len(values)

    def deviation(self, rows: int | None = None) -> np.ndarray:
        """Return the standard deviation; with `rows`, missing values count as the mean."""
        return np.asarray(np.sqrt(self.squares / (self.count if rows is None else rows)))


class Sample:
    """A random sample of rows, chosen by their row numbers; all rows if there are few."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.keys = np.zeros(0, np.uint64)
        self.values: np.ndarray | None = None

    def add(self, values: np.ndarray, rows: np.ndarray) -> None:
        """Add the values `[n, width]` of the rows with the numbers `rows`."""
        keys = numbers_of_rows(self.seed, QUANTILES, rows)
        self.keys = np.concatenate([self.keys, keys])
        self.values = values if self.values is None else np.concatenate([self.values, values])
        if len(self.keys) > 2 * SAMPLE:
            self._thin()

    def taken(self) -> np.ndarray:
        """Return the values of the sample: `[count, width]`."""
        assert self.values is not None, "a sample of no piece; please report this"
        self._thin()
        return self.values

    def _thin(self) -> None:
        assert self.values is not None, "a sample of no piece; please report this"
        if len(self.keys) > SAMPLE:
            kept = np.sort(np.argpartition(self.keys, SAMPLE)[:SAMPLE])
            self.keys, self.values = self.keys[kept], self.values[kept]


class LearnedWord(Protocol):
    """Learns the statistics of one function call."""

    def add(self, step: ColumnStep, x: Value, rows: np.ndarray) -> None:
        """Process the training rows of one piece; `rows` are their numbers in the whole data."""

    def finished(self) -> dict[str, Any]:
        """Return the statistics in the form of `ColumnStep.learned`. Raises `StepError`."""


class _Standardize:
    def __init__(self, step: ColumnStep, seed: int) -> None:
        self.moments = Moments()

    def add(self, step: ColumnStep, x: Value, rows: np.ndarray) -> None:
        self.moments.add(_flat(step, x.numbers()))

    def finished(self) -> dict[str, Any]:
        _require(self.moments.count)
        found = self.moments
        return {"mean": found.mean.tolist(), "deviation": found.deviation().tolist()}


class _Scale:
    def __init__(self, step: ColumnStep, seed: int) -> None:
        self.least: np.ndarray | None = None
        self.most: np.ndarray | None = None

    def add(self, step: ColumnStep, x: Value, rows: np.ndarray) -> None:
        values = _flat(step, x.numbers())
        if not len(values):
            return
        least, most = np.fmin.reduce(values, axis=0), np.fmax.reduce(values, axis=0)
        self.least = least if self.least is None else np.fmin(self.least, least)
        self.most = most if self.most is None else np.fmax(self.most, most)

    def finished(self) -> dict[str, Any]:
        if self.least is None or self.most is None or np.isnan(self.least).any():
            raise StepError("every value of the training part is missing")
        return {"least": self.least.tolist(), "most": self.most.tolist()}


class _Fill:
    def __init__(self, step: ColumnStep, seed: int) -> None:
        self.by = step.settings["by"]
        self.words: Counter[str] = Counter()
        self.sample, self.moments = Sample(seed), Moments()

    def add(self, step: ColumnStep, x: Value, rows: np.ndarray) -> None:
        if x.kind == "words":
            _count(self.words, step, x)
            return
        values = x.numbers()
        if x.kind == "dates":
            values = np.where(x.gaps(), np.nan, part_of_date("days", x.array))
        values = _flat(step, values)
        if self.by == "mean":
            self.moments.add(values)
        else:
            self.sample.add(values, rows)

    def finished(self) -> dict[str, Any]:
        if self.words:
            return {"word": max(sorted(self.words), key=lambda each: self.words[each])}
        if self.by == "mean":
            _require(self.moments.count)
            return {"value": self.moments.mean.tolist()}
        if self.sample.values is None:
            raise StepError("every value of the training part is missing")
        values = self.sample.taken()
        _require((~np.isnan(values)).sum(axis=0))
        if self.by == "median":
            return {"value": np.nanmedian(values, axis=0).tolist()}
        most = []
        for column in values.T:
            each, counts = np.unique(column[~np.isnan(column)], return_counts=True)
            most.append(float(each[np.argmax(counts)]))
        return {"value": most}


class _Words:
    def __init__(self, step: ColumnStep, seed: int) -> None:
        self.least = step.settings["least"]
        self.words: Counter[str] = Counter()

    def add(self, step: ColumnStep, x: Value, rows: np.ndarray) -> None:
        _count(self.words, step, x.as_words())

    def finished(self) -> dict[str, Any]:
        return {"words": sorted(word for word, n in self.words.items() if n >= self.least)}


class _Bucket:
    def __init__(self, step: ColumnStep, seed: int) -> None:
        self.count, self.sample = int(step.settings["count"]), Sample(seed)

    def add(self, step: ColumnStep, x: Value, rows: np.ndarray) -> None:
        if x.numbers().ndim > 1:
            raise StepError("`bucket` takes one column, not a vector")
        self.sample.add(_flat(step, x.numbers()), rows)

    def finished(self) -> dict[str, Any]:
        values = self.sample.taken()[:, 0] if self.sample.values is not None else np.zeros(0)
        _require(np.array([(~np.isnan(values)).sum()]))
        return {"edges": np.nanquantile(values, np.arange(1, self.count) / self.count).tolist()}


LEARNED: dict[str, Callable[[ColumnStep, int], LearnedWord]] = {
    "standardize": _Standardize, "scale": _Scale, "fill": _Fill, "class": _Words,
    "onehot": _Words, "bucket": _Bucket,
}  # fmt: skip


@dataclass
class _Column:
    """What `rest` learns about one column."""

    words: Counter[str] = field(default_factory=Counter)
    moments: Moments = field(default_factory=Moments)
    kinds: set[str] = field(default_factory=set)
    rows: int = 0

    def add(self, step: ColumnStep, x: Value) -> None:
        gaps = step.training(x.gaps())
        self.rows += len(gaps)
        if x.kind == "symbols" or gaps.all():
            return
        self.kinds.add(x.kind)
        if x.kind == "words":
            _count(self.words, step, x)
        else:
            self.moments.add(step.training(whole.plain(x)))

    def finished(self, name: str) -> dict[str, Any] | None:
        if not self.kinds:
            return None
        if self.kinds == {"words"}:
            return whole.of_counts(name, dict(sorted(self.words.items())), self.rows)
        moments = self.moments
        if not moments.count.all():
            return None
        deviation = moments.deviation(self.rows)
        return {
            "kind": "numbers",
            "mean": moments.mean.tolist(),
            "deviation": np.where(deviation > 0, deviation, 1.0).tolist(),
        }


class _Wide:
    """The columns of `rest` or `numbers`."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.columns: dict[str, _Column] = {}
        self.others: set[str] = set()

    def add(self, step: ColumnStep, values: Mapping[str, Value]) -> None:
        for name, x in values.items():
            column = self.columns.setdefault(name, _Column())
            if self.word == "rest":
                column.add(step, x)
            elif x.kind not in ("numbers", "truth"):
                self.others.add(name)

    def finished(self) -> dict[str, Any]:
        if self.word == "numbers":
            names = [name for name in self.columns if name not in self.others]
            if not names:
                raise StepError("no column of numbers is left for `numbers`")
            return {"names": names}
        found = {name: each.finished(name) for name, each in self.columns.items()}
        return {"columns": {name: each for name, each in found.items() if each}}


class Learning:
    """Learns the statistics of formulas in one pass, except those that need another pass.

    `rows` has the row numbers, in the whole data, of the training rows of the current piece.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rows = np.zeros(0, np.int64)
        self.found: dict[tuple[str, str], LearnedWord | _Wide] = {}

    def step(self, rule: str, step: ColumnStep, x: Value) -> None:
        """Process a function's input in one piece. Raise `Unlearned` if it has to learn."""
        formula = step.formula
        if formula.word not in LEARNED or step.learned:
            return
        if formula.word == "fill":
            by = step.settings["by"]
            is_word = x.kind == "words"
            if by not in (("most",) if is_word else ("mean", "median", "most")):
                return  # a constant, or a setting for which the function itself raises an error
        own = self.found.get((rule, formula.key))
        if own is None:
            own = self.found[rule, formula.key] = LEARNED[formula.word](step, self.seed)
        assert not isinstance(own, _Wide), "a word of one column; please report this"
        own.add(step, x, self.rows)
        raise Unlearned

    def wide(self, rule: str, step: ColumnStep, values: Mapping[str, Value]) -> None:
        """Process the columns that `rest` or `numbers` may take, like `step`."""
        formula = step.formula
        if step.learned:
            return
        own = self.found.setdefault((rule, formula.key), _Wide(formula.word))
        assert isinstance(own, _Wide), "a word of many columns; please report this"
        own.add(step, values)
        raise Unlearned

    def finished(self, statistics: Statistics) -> dict[tuple[str, str], StepError]:
        """Add what was learned to `statistics`. Return the errors by (rule, function call)."""
        wrong = {}
        for (rule, key), each in self.found.items():
            try:
                statistics.setdefault(rule, {})[key] = each.finished()
            except StepError as error:
                wrong[rule, key] = error
        return wrong


def _flat(step: ColumnStep, values: np.ndarray) -> np.ndarray:
    """Return the training rows as `[n, width]`."""
    known = step.training(values)
    width = int(np.prod(known.shape[1:]))
    return known.reshape(len(known), width)


def _count(words: Counter[str], step: ColumnStep, x: Value) -> None:
    """Count the words of the training rows."""
    assert x.words is not None, "words have words; please report this"
    codes = step.training(x.array)[~step.training(x.gaps())].reshape(-1)
    counts = np.bincount(codes, minlength=len(x.words))
    for place in np.flatnonzero(counts).tolist():
        words[str(x.words[place])] += int(counts[place])
    if len(words) > MOST_WORDS:
        name = x.origins[0] if x.origins else "the column"
        raise StepError(
            f"`{name}` has more than {MOST_WORDS:,} different words",
            help="use `hash(x; 1000)`, and leave the column out of `rest`",
        )


def _require(count: np.ndarray) -> None:
    if not count.size or not count.all():
        raise StepError("every value of the training part is missing")
