"""Draws the values of a file's searches, and lists the trials of a study that count.

A trial is withdrawn if another one has the same values, or if there are enough trials without it.
It has no run and does not count.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from specc.frontend.search.decide import combinations, decide
from specc.frontend.search.space import Chosen, Search, Space, size_of
from specc.sweeps.plan import POINTS

if TYPE_CHECKING:
    import optuna

VALUES, RUN, WORKER, WITHDRAWN, PROBLEM = "values", "run", "worker", "withdrawn", "problem"
"""Names of the attributes of a trial in the storage."""
DIGITS = 4
"""Number of significant digits of values drawn from a range of real numbers."""


def drawn(space: Space, trial: optuna.trial.Trial) -> dict[str, Chosen]:
    """Return the values of a trial, drawn by the study's sampler."""
    return decide(space, lambda search: _drawn(search, trial))


def _drawn(search: Search, trial: optuna.trial.Trial) -> Chosen:
    found = search.range
    if found is None:
        return str(trial.suggest_categorical(search.name, search.texts))
    if found.is_whole and (found.step is None or isinstance(found.step, int)):
        step = found.step or 1
        return trial.suggest_int(
            search.name, int(found.low), int(found.high), step=int(step), log=found.is_log
        )
    value = trial.suggest_float(
        search.name, found.low, found.high, step=found.step, log=found.is_log
    )
    return rounded(value, found.low, found.high)


def rounded(value: float, low: float, high: float) -> float:
    """Round a value to `DIGITS` significant digits, within its range."""
    return min(max(float(f"{value:.{DIGITS}g}"), low), high)


def grid(space: Space) -> Iterator[dict[str, Chosen]]:
    """Return all combinations; a range of real numbers gives some points, including its ends."""
    return combinations(space, points_of)


def every_value(search: Search) -> Sequence[Chosen] | None:
    """Return all values of a search, in order; None for a range of real numbers without a step."""
    found, size = search.range, size_of(search)
    if found is None:
        return search.texts
    if size is None:
        return None
    if found.is_whole and (found.step is None or isinstance(found.step, int)):
        return range(int(found.low), int(found.high) + 1, int(found.step or 1))
    return [float(f"{found.low + k * (found.step or 1):.12g}") for k in range(size)]


def points_of(search: Search) -> Sequence[Chosen]:
    """Return the values of a search on a grid: all of them, or some points of a long range."""
    every, found = every_value(search), search.range
    if found is None or (every is not None and (found.step is not None or len(every) <= POINTS)):
        return every or ()
    low, high = found.low, found.high
    shares = [k / (POINTS - 1) for k in range(POINTS)]
    if found.is_log:
        values = [low * math.exp(share * math.log(high / low)) for share in shares]
    else:
        values = [low + share * (high - low) for share in shares]
    if found.is_whole:
        return list(dict.fromkeys(round(value) for value in values))
    return [rounded(value, low, high) for value in values]


MOST = 10_000
"""Largest number of combinations that are listed."""


def untried(space: Space, trials: list[optuna.trial.FrozenTrial]) -> list[dict[str, Chosen]] | None:
    """Return the combinations that no trial has; None if they are infinite or too many to list."""
    if any(size_of(each) is None for each in space.searches):
        return None
    every = list(islice(combinations(space, lambda each: every_value(each) or ()), MOST + 1))
    if len(every) > MOST:
        return None
    known = {each.user_attrs.get(VALUES) for each in counted(trials)}
    return [each for each in every if key_of(each) not in known]


def key_of(values: dict[str, Chosen]) -> str:
    """Return a key that is equal for two trials with the same values."""
    return json.dumps(values)  # in the order of the file


def counted(trials: list[optuna.trial.FrozenTrial]) -> list[optuna.trial.FrozenTrial]:
    """Return the trials that count: those that were not withdrawn, by number."""
    return [each for each in trials if not each.user_attrs.get(WITHDRAWN) and not _waits(each)]


def _waits(trial: optuna.trial.FrozenTrial) -> bool:
    return trial.state.name == "WAITING"
