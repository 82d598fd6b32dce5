"""Splits the examples of a source into training, validation and test parts.

    rows = parts(request, recipe, count, raw)        # {"training": rows, "validation": rows, ..}

The split depends only on the recipe's seed: it is the same in each run and on each machine.
"""

from __future__ import annotations

import numpy as np

from specc.recipe import Recipe
from specc.runtime.data.columns.steps import StepError, as_dates
from specc.runtime.data.columns.values import Value, value_of
from specc.runtime.data.request import Request
from specc.runtime.data.table import Raw
from specc.runtime.errors import DataError, data_error
from specc.runtime.order import SPLIT, permutation

NAMES = ("training", "validation", "test")


def parts(
    request: Request, recipe: Recipe, count: int, by: Raw | None = None
) -> dict[str, np.ndarray]:
    """Return the sorted rows of each part; parts that the recipe does not hold out are empty.

    `by` is the column that the split depends on. Raises `DataError` if a part would be empty.
    """
    shares = {
        name: share
        for name, share in (("validation", recipe.validate), ("test", recipe.test))
        if isinstance(share, float)
    }
    empty = {name: np.arange(0) for name in NAMES}
    if recipe.folds is None and not shares:
        return empty | {"training": np.arange(count)}
    order, places = _ordered(request, recipe, count, by)
    found = dict(empty)
    rest = order
    if "test" in shares:
        found["test"], rest = _held_out(rest, places, shares["test"] * count, count)
    if recipe.folds is not None:
        is_own = _folds(recipe, rest, places, by) == (recipe.fold or 1) - 1
        found["validation"], rest = rest[is_own], rest[~is_own]
    elif "validation" in shares:
        found["validation"], rest = _held_out(rest, places, shares["validation"] * count, count)
    found["training"] = rest
    wanted = {"training", *shares} | ({"validation"} if recipe.folds else set())
    if any(not len(found[name]) for name in wanted):
        what = "group" if recipe.split.by == "group" else "example"
        number = len(np.unique(places)) if recipe.split.by == "group" else count
        what += "s" * (number != 1)
        raise request.error(
            f"{number:,} {what} cannot be split: one of the parts would be empty"
            if len(wanted) > 2
            else f"{number:,} {what} cannot be split: one of the two parts would be empty"
        )
    return {name: np.sort(rows) for name, rows in found.items()}


def _ordered(
    request: Request, recipe: Recipe, count: int, by: Raw | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return all rows, with the held-out ones last, and the unit that each row belongs to.

    The rows of a unit, which are a group or have equal times, stay in the same part.
    """
    order = permutation(recipe.seed, SPLIT, count)
    units = np.arange(count)
    rule = recipe.split
    if rule.by == "random" or by is None:
        return order, units
    _require_values(request, recipe, by)
    if rule.by == "time":
        moments = _moments(request, recipe, by)
        _, units = np.unique(moments, return_inverse=True)
        return np.lexsort((order.argsort(), units)), units
    codes = _codes(by)
    if rule.by == "group":
        shuffled = permutation(recipe.seed, SPLIT, int(codes.max(initial=-1)) + 1)
        ranks = np.argsort(shuffled)
        return np.argsort(ranks[codes], kind="stable"), codes
    # stratify: spread the rows of each value evenly over the order
    sizes = np.bincount(codes)
    within = np.empty(count)
    grouped = order[np.argsort(codes[order], kind="stable")]
    starts = np.cumsum(sizes) - sizes
    within[grouped] = np.arange(count) - starts[codes[grouped]]
    return np.lexsort((order.argsort(), (within + 0.5) / sizes[codes])), units


def _held_out(
    order: np.ndarray, units: np.ndarray, size: float, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Split off the last rows, about `size` of them in whole units; return them and the rest."""
    cut = len(order) - round(size)
    if len(np.unique(units)) < count:  # cut at the nearest boundary between units
        ends = np.nonzero(units[order[1:]] != units[order[:-1]])[0] + 1
        if not len(ends):
            return order[:0], order
        cut = int(ends[np.argmin(np.abs(ends - cut))])
    return order[cut:], order[:cut]


def _folds(recipe: Recipe, order: np.ndarray, units: np.ndarray, by: Raw | None) -> np.ndarray:
    """Return the fold of each row of `order`, counted from 0: int64 `[len(order)]`."""
    folds = recipe.folds or 1
    if recipe.split.by == "stratify" and by is not None:
        labels = _codes(by)[order]
        found = np.empty(len(order), np.int64)
        found[np.argsort(labels, kind="stable")] = np.arange(len(order)) % folds
        return found
    if recipe.split.by != "group":
        return np.arange(len(order)) % folds
    _, first, sizes = np.unique(units[order], return_index=True, return_counts=True)
    where = np.empty(len(sizes), np.int64)
    totals = np.zeros(folds, np.int64)
    for group in np.lexsort((first, -sizes)):  # largest first, each into the smallest fold
        where[group] = np.argmin(totals)
        totals[where[group]] += sizes[group]
    _, inverse = np.unique(units[order], return_inverse=True)
    return where[inverse.reshape(-1)]


def _codes(by: Raw) -> np.ndarray:
    """Return an integer code for each row of a column; equal values have equal codes."""
    _, codes = np.unique(by.array.reshape(len(by), -1), axis=0, return_inverse=True)
    return codes.reshape(-1)


def _require_values(request: Request, recipe: Recipe, by: Raw) -> None:
    gaps = by.gaps()
    if gaps.any() and recipe.split.by != "stratify":
        row = int(np.argmax(gaps))
        raise _at_split(
            request,
            recipe,
            f"row {row + 1} has no value in the column `{recipe.split.column}`, by which the data"
            " is split",
        )


def _moments(request: Request, recipe: Recipe, by: Raw) -> np.ndarray:
    """Return the values of the time column in a form that can be sorted."""
    value: Value = value_of(by, recipe.split.column)
    if value.kind == "words":
        try:
            value = as_dates(value)
        except StepError as error:
            raise _at_split(
                request,
                recipe,
                f"the column `{recipe.split.column}`, row {(error.row or 0) + 1}: {error.message}",
                error.help,
            ) from None
    return value.array


def _at_split(request: Request, recipe: Recipe, message: str, help: str | None = None) -> DataError:
    return data_error(message, recipe.split.span or request.call.span, help=help)


def require_no_leak(
    request: Request, recipe: Recipe, training: Raw | None, name: str, other: Raw
) -> None:
    """Raise `DataError` if a separate part shares a group with the training part, or is too old.

    `training` and `other` are the column that the split depends on, in the training part and in the
    part `name`.
    """
    rule = recipe.split
    if training is None:
        return
    if rule.by == "group":
        known, own = (
            set(value_of(each, rule.column).as_words().texts_present())
            for each in (training, other)
        )
        shared = sorted(known & own)
        if not shared:
            return
        which = f"{len(shared):,} values of `{rule.column}` are"
        if len(shared) == 1:
            which = f"the value `{shared[0]}` of `{rule.column}` is"
        raise _at_split(
            request,
            recipe,
            f"{which} in both the training and the {name} data",
            "remove these examples from one part, so that the result holds for new data",
        )
    latest = _moments(request, recipe, training).max()
    earliest = _moments(request, recipe, other).min()
    if rule.by == "time" and earliest <= latest:
        raise _at_split(
            request,
            recipe,
            f"the {name} data starts at {_shown(earliest)}, but the training data ends at"
            f" {_shown(latest)}",
            f"the {name} data must be later than the training data",
        )


def _shown(moment: object) -> str:
    return str(moment).removesuffix("T00:00:00.000000")
