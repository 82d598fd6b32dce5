"""Functions of many columns: `columns("pixel*")`, `numbers()`, `rest()`, `concat(a, b)`.

matching(["pixel*"], ["pixel1", "pixel2", "kind"])      # ["pixel1", "pixel2"]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from specc.runtime.data.columns.steps import ColumnStep, StepError, as_dates, boolean
from specc.runtime.data.columns.values import Value, as_boolean
from specc.runtime.data.table import coded

MOST_WORDS = 64  # size limit of the one-hot vectors that `rest` makes


def matching(patterns: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the names that match one of the patterns, in the order of the table."""
    return [
        name
        for name in names
        if any(name == each or ("*" in each and fnmatchcase(name, each)) for each in patterns)
    ]


def concatenated(values: Sequence[Value], is_vector: bool = True) -> Value:
    """Concatenate numeric values into one vector per example."""
    for each in values:
        if each.kind in ("words", "dates", "symbols"):
            names = ", ".join(f"`{name}`" for name in each.origins[:1])
            help_ = "`onehot` turns words into numbers, and `days` dates"
            raise StepError(f"{names} holds {each.kind}, not numbers", help=help_)
    if len(values) == 1 and not is_vector:
        return values[0]
    parts = [each.numbers().reshape(len(each.array), -1) for each in values]
    origins = tuple(
        name
        for each, part in zip(values, parts, strict=True)
        for name in (each.origins if len(each.origins) == part.shape[1] else
                     each.origins[:1] * part.shape[1])
    )  # fmt: skip
    return Value("numbers", np.concatenate(parts, axis=1), origins=origins)


def rest(step: ColumnStep, values: Mapping[str, Value]) -> Value:
    """Combine all given columns into one standardized vector without gaps."""
    if "columns" not in step.learned:
        columns = {name: _learned(step, each) for name, each in values.items()}
        step.learned = {"columns": {name: each for name, each in columns.items() if each}}
    learned = step.learned["columns"]
    if not learned:
        raise StepError("no column is left for `rest`")
    parts = [_part(step, values[name], learned[name]) for name in learned]
    origins = tuple(
        name for name, part in zip(learned, parts, strict=True) for _ in range(part.shape[1])
    )
    return Value("numbers", np.concatenate(parts, axis=1), origins=origins)


def _learned(step: ColumnStep, x: Value) -> dict[str, Any] | None:
    """Return how `rest` turns a column into numbers; None if it leaves the column out."""
    if x.kind == "words":
        assert x.words is not None, "words have words; please report this"
        if _are_dates(x):
            return _numbers(step, as_dates(x)) | {"kind": "dates"}
        if (found_boolean := as_boolean(x)) is not None:
            return _numbers(step, found_boolean) | {"kind": "truth"}
        codes = step.training(x.array)[~step.training(x.gaps())]
        counts = np.bincount(codes, minlength=len(x.words))
        found = [str(word) for word, count in zip(x.words, counts, strict=True) if count]
        if len(found) < 2 or len(found) > max(MOST_WORDS, len(codes) // 2):
            return None
        order = np.argsort(-counts, kind="stable")[: min(MOST_WORDS, len(found))]
        return {"kind": "words", "words": sorted(str(x.words[each]) for each in order)}
    if x.kind == "symbols":
        return None
    return _numbers(step, x)


def of_counts(name: str, counts: Mapping[str, int], rows: int) -> dict[str, Any] | None:
    """Return what `rest` learns about a column of words, from each word's count in `rows` rows."""
    raw, weights = coded(list(counts)), np.array(list(counts.values()), np.float64)
    x = Value("words", raw.array, raw.words, origins=(name,))
    kind, values = "words", x
    if _are_dates(x):
        kind, values = "dates", as_dates(x)
    elif (found_boolean := as_boolean(x)) is not None:
        kind, values = "truth", found_boolean
    if kind != "words":
        numbers = plain(values)[:, 0]
        mean = float(weights @ numbers / weights.sum())
        deviation = float(np.sqrt(weights @ (numbers - mean) ** 2 / rows))
        return {"kind": kind, "mean": [mean], "deviation": [deviation if deviation > 0 else 1.0]}
    if len(counts) < 2 or len(counts) > max(MOST_WORDS, int(weights.sum()) // 2):
        return None
    names = list(counts)
    order = np.argsort(-weights, kind="stable")[:MOST_WORDS]
    return {"kind": "words", "words": sorted(names[each] for each in order)}


def _are_dates(x: Value) -> bool:
    try:
        as_dates(x)
    except StepError:
        return False
    return not bool(x.gaps().all())


def _numbers(step: ColumnStep, x: Value) -> dict[str, Any]:
    values = plain(x)
    known = step.training(values)
    if np.isnan(known).all(axis=0).any():
        return {}
    deviation = np.nanstd(np.where(np.isnan(known), np.nanmean(known, axis=0), known), axis=0)
    return {
        "kind": "numbers",
        "mean": np.nanmean(known, axis=0).tolist(),
        "deviation": np.where(deviation > 0, deviation, 1.0).tolist(),
    }


def plain(x: Value) -> np.ndarray:
    """Return numbers, booleans or dates as float64 `[N, width]`."""
    if x.kind == "dates":
        from specc.runtime.data.columns.dates import part

        return np.where(x.gaps(), np.nan, part("days", x.array)).reshape(-1, 1)
    return x.numbers().reshape(len(x.array), -1)


def _part(step: ColumnStep, x: Value, learned: Mapping[str, Any]) -> np.ndarray:
    """Return a column as numbers `[N, width]`, using what was learned about it."""
    if learned["kind"] == "words":
        x = x.as_words()
        assert x.words is not None, "words have words; please report this"
        at = {word: place for place, word in enumerate(learned["words"])}
        places = np.array([at.get(word, -1) for word in x.words], np.int64)[x.array]
        places[x.gaps()] = -1
        found = np.zeros((len(places), len(at)))
        rows = np.nonzero(places >= 0)[0]
        found[rows, places[rows]] = 1.0
        return found
    if x.kind == "words" and learned["kind"] == "truth":
        x = boolean(step, x)
    elif x.kind == "words" and learned["kind"] == "dates":
        x = as_dates(x)
    elif x.kind == "words":
        raise StepError(f"`{x.origins[0]}` has words here, but had numbers in the training part")
    values, mean = plain(x), np.array(learned["mean"])
    return (np.where(np.isnan(values), mean, values) - mean) / np.array(learned["deviation"])
