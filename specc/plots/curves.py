"""The history of a run: loss and metrics, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from specc.plots.marks import Axis, Figure, Line, Mark, Panel, Rule
from specc.plots.subject import Subject

MOST_POINTS = 1_000
"""Largest number of points of a line; a longer history is thinned out."""


def curves(subject: Subject) -> Figure:
    """Plot the loss and metrics of training and validation over the epochs."""
    return of_history(subject.name, subject.curves, subject.best_epoch)


def of_history(name: str, columns: Mapping[str, Sequence[float]], best_epoch: int) -> Figure:
    """Plot the curves of a run with the columns of its metrics.csv."""
    epochs = columns["epoch"]
    names = [name.removeprefix("train_") for name in columns if name.startswith("train_")]
    panels = []
    for short in names:
        pair = [
            (title, columns[f"{part}_{short}"])
            for part, title in (("train", "training"), ("val", "validation"))
            if f"{part}_{short}" in columns and any(map(math.isfinite, columns[f"{part}_{short}"]))
        ]
        lines: list[Mark] = [Line(*thinned(epochs, values), title) for title, values in pair]
        if best_epoch and len(epochs) > 1:
            lines.append(Rule(x=best_epoch, name=f"best epoch, {best_epoch}"))
        values = [each for _, line in pair for each in line if math.isfinite(each)]
        is_log = short == "loss" and bool(values) and min(values) > 0
        is_log = is_log and max(values) > 20 * min(values)
        axis = Axis("epoch", is_whole=True)
        panels.append(Panel(tuple(lines), short, axis, Axis(log=is_log)))
    last = "; ".join(
        f"{short} {columns[f'val_{short}'][-1]:.4g}"
        for short in names
        if f"val_{short}" in columns and math.isfinite(columns[f"val_{short}"][-1])
    )
    caption = f"{len(epochs)} epoch{'s' * (len(epochs) != 1)} of {name}."
    caption += f" At the end, in validation: {last}." if last else ""
    return Figure("curves", "Curves", tuple(panels), caption, columns=min(2, len(panels)))


def thinned(
    x: Sequence[float], y: Sequence[float], most: int = MOST_POINTS
) -> tuple[list[float], list[float]]:
    """Thin out a line to about `most` points, keeping local minima and maxima."""
    if len(x) <= most:
        return list(x), list(y)
    every = -(-2 * len(x) // most)
    kept: list[int] = []
    for start in range(0, len(x), every):
        inside = [k for k in range(start, min(start + every, len(x))) if math.isfinite(y[k])]
        if inside:
            low, high = min(inside, key=y.__getitem__), max(inside, key=y.__getitem__)
            kept += sorted({low, high})
    if kept and kept[-1] != len(x) - 1:
        kept.append(len(x) - 1)
    return [x[k] for k in kept], [y[k] for k in kept]
