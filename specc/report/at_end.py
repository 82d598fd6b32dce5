"""Writes the report at the end of training if that is quick.

    path = quick_report(training, 1.0)      # runs/digits/3/report.html, or None

The time is estimated in advance from the time of an epoch. A report that takes longer than allowed
is abandoned between two plots.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from specc.plots.space import MOST_POINTS
from specc.plots.subject import MOST, Subject
from specc.plots.through_time import FLOW_EXAMPLES
from specc.report.page import MOST_PARAMETERS, NoTime, page
from specc.runs.summary import best_epoch, curves
from specc.runtime.checkpoint import restore

if TYPE_CHECKING:
    from specc.runs.start import RunTraining

NAME = "report.html"
INTERPRETED = 30.0
"""Approximate ratio of the interpreter's time per example to that of compiled code."""


def quick_report(training: RunTraining, seconds: float) -> Path | None:
    """Write the report of a run and return its path; None if it takes more than `seconds`.

    Afterwards the net has the weights of the best epoch. The examples are the validation data if
    there is any, otherwise the training data.
    """
    start = time.monotonic()
    run, net = training.run, training.net
    history = curves(run.folder)
    if not history.get("epoch") or not run.best.is_file():
        return None
    part = "training" if training.data.validation is None else "validation"
    found = training.data.parts[part]
    rows = np.asarray(found.rows)[:MOST]
    if _guessed(history["seconds"], len(training.data.training), len(rows)) > seconds:
        return None
    found.require(rows)
    restore(run.best, net)
    subject = Subject(
        training.program,
        net,
        f"{run.record.model}/{run.folder.name}",
        part,
        found.columns,
        rows,
        run.record.vocabularies,
        history,
        best_epoch(run.folder),
        run.folder,
    )
    size = sum(int(array.size) for array in net.params.values())
    if size > MOST_PARAMETERS:
        return None
    try:
        text = page(subject, until=start + seconds)
    except NoTime:
        return None
    path = run.folder / NAME
    path.write_text(text, encoding="utf-8")
    return path


def _guessed(times: list[float], trained: int, shown: int) -> float:
    """Estimate the time of the report in seconds, from the time per example in training."""
    epoch = min(np.diff([0.0, *times]))
    interpreted = INTERPRETED * (min(shown, MOST_POINTS) + FLOW_EXAMPLES)
    return float(epoch / trained * (shown + interpreted))
