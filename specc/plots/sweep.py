"""Plots of a sweep: the value of each trial, by number and by each search."""

from __future__ import annotations

import math
from collections.abc import Sequence

from specc.plots.marks import Axis, Figure, Line, Mark, Panel, Points
from specc.plots.subject import Subject
from specc.runs.trials import TrialRun, trials_of

LEAST = 2
"""Smallest number of trials for a plot."""
FEW = 8
"""Up to this many distinct values, a search is plotted with names instead of numbers."""
SPREAD = 20
"""Ratio of the largest to the smallest value above which an axis is logarithmic."""


def trials(subject: Subject) -> list[TrialRun]:
    """Return the trials with a value. Raises LookupError if the run is not part of a sweep."""
    found = [] if subject.folder is None else trials_of(subject.folder)
    if not found:
        raise LookupError("the run is not a trial of a sweep (`specc sweep FILE`)")
    known = [each for each in found if each.value is not None and math.isfinite(each.value)]
    if len(known) < LEAST:
        raise LookupError("the sweep has fewer than two complete trials")
    return known


def sweep(subject: Subject) -> Figure:
    """Plot the values of all trials of a sweep, by number and by each search."""
    known = trials(subject)
    monitor = subject.program.recipe.monitor
    is_max = monitor is not None and monitor.is_max
    label = "validation loss" if monitor is None else monitor.column.rpartition(".")[2]
    values = [each.value for each in known if each.value is not None]
    is_log = not is_max and min(values) > 0 and max(values) > SPREAD * min(values)
    axis = Axis(label, log=is_log)
    own = [k for k, each in enumerate(known) if each.folder.name == _name(subject)]
    best = max(values) if is_max else min(values)
    panels = [_history(known, values, own, axis, is_max)]
    names = list(dict.fromkeys(name for each in known for name in each.values))
    panels += [_of_search(name, known, values, own, axis) for name in names]
    caption = f"{len(known)} trials; the best has {label} {best:.4g}."
    return Figure("sweep", "Sweep", tuple(panels), caption, columns=2, figures={"best": best})


def _name(subject: Subject) -> str:
    return "" if subject.folder is None else subject.folder.name


def _titles(known: Sequence[TrialRun]) -> tuple[str, ...]:
    return tuple(
        f"run {each.folder.name}: {each.value:.4g} with "
        + ", ".join(f"{name} = {value}" for name, value in each.values.items())
        for each in known
    )


def _history(
    known: Sequence[TrialRun],
    values: Sequence[float],
    own: Sequence[int],
    axis: Axis,
    is_max: bool,
) -> Panel:
    """Return the panel of the trials by number, with the best value so far as a step line."""
    numbers = [each.number for each in known]
    x: list[float] = []
    y: list[float] = []
    best = values[0]
    for number, value in zip(numbers, values, strict=True):
        if y:
            x.append(number)
            y.append(best)
        best = max(best, value) if is_max else min(best, value)
        x.append(number)
        y.append(best)
    marks: list[Mark] = [
        Points(numbers, values, "trial", 0, _titles(known)),
        Line(x, y, "best so far", 1),
        *(Points([numbers[k]], [values[k]], "this run", 2, radius=5.0) for k in own),
    ]
    return Panel(tuple(marks), "trials", Axis("trial"), axis)


def _of_search(
    name: str,
    known: Sequence[TrialRun],
    values: Sequence[float],
    own: Sequence[int],
    axis: Axis,
) -> Panel:
    """Return the panel of the trials by the value of one search.

    Trials without a value of this search are left out.
    """
    asked = [k for k, each in enumerate(known) if name in each.values]
    texts = [known[k].values[name] for k in asked]
    numbers = [_number(text) for text in texts]
    places: list[float]
    if len(set(texts)) <= FEW or any(number is None for number in numbers):
        words = tuple(sorted(set(texts), key=lambda text: (_number(text) or 0.0, text)))
        places = [float(words.index(text)) for text in texts]
        across = Axis(names=words)
    else:
        places = [number for number in numbers if number is not None]
        is_log = min(places) > 0 and max(places) > SPREAD * min(places)
        across = Axis(log=is_log)
    titles = _titles([known[k] for k in asked])
    marks: list[Mark] = [Points(places, [values[k] for k in asked], "", 0, titles)]
    marks += [
        Points([places[at]], [values[k]], "", 2, radius=5.0)
        for at, k in enumerate(asked)
        if k in own
    ]
    return Panel(tuple(marks), name, across, axis)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
