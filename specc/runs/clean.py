"""Finds old runs to delete.

old_runs(Path("runs"), keep=2)      # all but the two newest of each model, and its best
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import groupby
from pathlib import Path

from specc.runs.names import folders
from specc.runs.summary import best_value, summary


def old_runs(
    runs: Path, models: Collection[str] = (), keep: int = 1, failed: bool = False
) -> list[Path]:
    """Return the folders to delete: for each model, all runs except the `keep` newest and the best.

    With `failed`, return only the runs that failed or have no complete epoch. A run that is being
    trained is never returned.
    """
    found = []
    for model, group in groupby(folders(runs), key=lambda each: each.parent.name):
        own = list(group)
        if models and model not in models:
            continue
        if failed:
            chosen = [each for each in own if _has_failed(each)]
        else:
            values = {each: value for each in own if (value := best_value(each)) is not None}
            best = min(values, key=values.__getitem__) if values else None
            kept = {best, *own[len(own) - keep :]} if keep else {best}
            chosen = [each for each in own if each not in kept]
        found += [each for each in chosen if not _is_trained(each)]
    return found


def _has_failed(folder: Path) -> bool:
    found = summary(folder, str(folder))
    return bool(found.problem) or found.status == "failed" or not found.epochs


def _is_trained(folder: Path) -> bool:
    """Return whether a process is training the run."""
    from specc.runtime.errors import RunError
    from specc.runtime.lock import Lock

    try:
        lock = Lock.taken(folder)
    except RunError:
        return True
    if lock is None:
        return True
    lock.release()
    return False
