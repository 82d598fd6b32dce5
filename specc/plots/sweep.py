"""Plots of a sweep: the value of each trial, by number and by each search."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from specc.plots.curves import thinned
from specc.plots.marks import Axis, Bars, Figure, Line, Mark, Panel, Points
from specc.plots.subject import Subject
from specc.runs.summary import curves
from specc.runs.trials import TrialRun, trials_of

LEAST = 2
"""Smallest number of trials for a plot."""
FEW = 8
"""Up to this many distinct values, a search is plotted with names instead of numbers."""
GRAY = 7
MOST_CURVES, MOST_POINTS = 100, 200
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
    own = [k for k, each in enumerate(known) if each.folder.name == _name(subject)]
    return of_trials(known, label_of("" if monitor is None else monitor.column), is_max, own)


def label_of(column: str) -> str:
    """What the value of a trial is, by the column that `monitor` names; empty if it names none."""
    return column.rpartition(".")[2] if column else "validation loss"


def of_trials(
    known: Sequence[TrialRun], label: str, is_max: bool, own: Sequence[int] = ()
) -> Figure:
    """The figure of trials that have finite values; those at the places `own` are marked."""
    values = [each.value for each in known if each.value is not None]
    is_log = not is_max and min(values) > 0 and max(values) > SPREAD * min(values)
    axis = Axis(label, log=is_log)
    whole = [value for each, value in zip(known, values, strict=True) if each.is_whole] or values
    best = max(whole) if is_max else min(whole)
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
    for each, value in zip(known, values, strict=True):
        if not each.is_whole:
            continue
        if y:
            x.append(each.number)
            y.append(y[-1])
        x.append(each.number)
        y.append(value if not y else max(y[-1], value) if is_max else min(y[-1], value))
    marks: list[Mark] = [
        *_points(known, numbers, values, ("trial", "stopped early")),
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
    marks = _points([known[k] for k in asked], places, [values[k] for k in asked])
    marks += [
        Points([places[at]], [values[k]], "", 2, radius=5.0)
        for at, k in enumerate(asked)
        if k in own
    ]
    return Panel(tuple(marks), name, across, axis)


def _points(
    known: Sequence[TrialRun],
    places: Sequence[float],
    values: Sequence[float],
    names: tuple[str, str] = ("", ""),
) -> list[Mark]:
    """The trials that are whole, and in gray those that were stopped on their way."""
    marks: list[Mark] = []
    titles = _titles(known)
    for is_whole, name, colour in ((True, names[0], 0), (False, names[1], GRAY)):
        chosen = [k for k, each in enumerate(known) if each.is_whole == is_whole]
        if chosen:
            x, y = ([each[k] for k in chosen] for each in (places, values))
            marks.append(Points(x, y, name, colour, tuple(titles[k] for k in chosen)))
    return marks


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def histories(known: Sequence[TrialRun], column: str, label: str, best: int) -> Figure | None:
    """The curves of all trials, that of number `best` in colour; None if no trial has one.

    `column` is what metrics.csv calls the value, without "val_" or "train_".
    """
    chosen = [each for each in known if each.number == best]
    others = [each for each in known if each.number != best][: MOST_CURVES - 1]
    lines: list[Mark] = []
    for each in (*others, *chosen):
        table = curves(each.folder) if each.folder.is_dir() else {}
        values = table.get(f"val_{column}", [])
        if not any(map(math.isfinite, values)):
            values = table.get(f"train_{column}", [])
        if not any(map(math.isfinite, values)):
            continue
        x, y = thinned(table["epoch"], values, MOST_POINTS)
        if each.number == best:
            lines.append(Line(x, y, f"trial {best}, the best", 1))
        else:
            lines.append(Line(x, y, "", GRAY, width=1.0))
    if not lines:
        return None
    known_y = [v for line in lines if isinstance(line, Line) for v in line.y if math.isfinite(v)]
    low, high = min(known_y), max(known_y)
    axis = Axis(label, log="loss" in label and low > 0 and high > SPREAD * low)
    panel = Panel(tuple(lines), label, Axis("epoch"), axis)
    caption = f"The {label} of {len(lines)} trials, epoch by epoch."
    return Figure("sweep", "Curves of the trials", (panel,), caption)


def importance(shares: Mapping[str, float]) -> Figure:
    """How much each search has to do with how good the best trials are."""
    names = tuple(shares)
    heights = [100 * each for each in shares.values()]
    titles = tuple(f"{name}: {each:.1f} %" for name, each in zip(names, heights, strict=True))
    marks = (Bars(range(len(names)), heights, 0.6, titles=titles),)
    panel = Panel(marks, "", Axis(names=names), Axis("importance in %"))
    caption = (
        "How much each search has to do with how good the best trials are: PED-ANOVA (Watanabe et"
        " al., 2023). Searches that are not asked in each trial are left out."
    )
    return Figure("sweep", "Importance", (panel,), caption)
