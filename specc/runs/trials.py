"""The trials of a sweep, found by their runs.

trials = trials_of(Path("runs/digits/7"))      # all trials of the sweep that run 7 belongs to
trials[0].values, trials[0].value              # {"lr": "0.003"}, 0.18
"""

from __future__ import annotations

from pathlib import Path

from specc.system.records import dataclass


@dataclass(frozen=True)
class TrialRun:
    """A trial of a sweep: `number` counts from 1, `values` has the values of its searches.

    `value` is the value of its best epoch, or None before an epoch is complete. `is_whole` is
    False for a trial that was stopped early.
    """

    number: int
    folder: Path
    values: dict[str, str]
    value: float | None
    is_whole: bool = True


def trials_of(folder: Path) -> list[TrialRun]:
    """Return the trials of the sweep that a run belongs to, in order; empty for other runs.

    Raises `RunError` if the folder is not a run.
    """
    from specc.diagnostics import SpecError
    from specc.runtime.checkpoint import progress_of
    from specc.runtime.run import open_run

    study = open_run(folder).record.trial.rpartition("/")[0]
    if not study:
        return []
    found = []
    for each in folder.resolve().parent.iterdir():
        if not each.name.isdigit() or not (each / "run.json").is_file():
            continue
        try:
            run = open_run(each)
        except SpecError:
            continue  # a damaged run cannot be read
        own, _, number = run.record.trial.rpartition("/")
        if own == study:
            progress = progress_of(run.best)
            value = None if progress is None else progress.best
            found.append((int(number), each, run.record.sweep, value))
    found.sort(key=lambda each: each[0])
    return [TrialRun(place, *each[1:]) for place, each in enumerate(found, 1)]
