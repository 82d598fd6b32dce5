"""Cross-validation: one run per fold, and statistics over their results.

folds = folds_of(recipe)                     # (1, 2, 3, 4, 5), unless `fold` selects one
summary([run.folder for run in runs])        # {"loss": (0.31, 0.02), "accuracy": (0.92, 0.01)}
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from specc.recipe import Recipe


def folds_of(recipe: Recipe) -> tuple[int, ...]:
    """Return the folds to train, one after the other; empty without `folds`."""
    if recipe.folds is None or recipe.fold is not None:
        return ()
    return tuple(range(1, recipe.folds + 1))


def summary(folders: Sequence[Path]) -> dict[str, tuple[float, float]]:
    """Return the mean and the standard deviation of each validation metric over some runs.

    A run's metrics are those of its best epoch. Runs without a complete epoch are left out.
    """
    from specc.runtime.best import best_of
    from specc.runtime.run import open_run

    found: dict[str, list[float]] = {}
    for folder in folders:
        best = best_of(open_run(folder))
        for name, value in (best.metrics if best is not None else {}).items():
            found.setdefault(name, []).append(value)
    return {
        name: (fmean(each), stdev(each) if len(each) > 1 else 0.0) for name, each in found.items()
    }
