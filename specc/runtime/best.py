"""The best evaluation of a run: at the end of an epoch, or within one.

best = best_of(run)
best.metrics         # {"loss": 0.18, "accuracy": 0.958}
str(best)            # "epoch 3", or "step 250, in epoch 3"
"""

from __future__ import annotations

from specc.runtime import checkpoint, evaluations, metrics
from specc.runtime.run import RunFolder
from specc.system.records import dataclass


@dataclass(frozen=True)
class Best:
    """The evaluation that chose the best weights; `part` is "val", or "train" without validation.

    `epoch` counts from 1; with `is_within` the evaluation was made before its end.
    """

    epoch: int
    step: int
    is_within: bool
    part: str
    metrics: dict[str, float]

    def __str__(self) -> str:
        epoch = f"epoch {self.epoch}"
        return f"step {self.step:,}, in {epoch}" if self.is_within else epoch


def best_of(run: RunFolder) -> Best | None:
    """Return the best evaluation of a run; None if there was none, or its metrics are gone."""
    progress = checkpoint.progress_of(run.best)
    if progress is None:
        return None
    if progress.step:
        values = evaluations.values_of(run.folder, progress.best_step)
        found = None if values is None else ("val", values)
    else:
        found = metrics.values_of(run.metrics, progress.epoch)
    if found is None:
        return None
    epoch = progress.epoch + bool(progress.step)
    return Best(epoch, progress.best_step, bool(progress.step), *found)
