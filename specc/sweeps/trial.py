"""One trial of a sweep: a run of the file with its values written into it.

outcome = carried_out(plan, study, trial, should_stop)     # "complete", "pruned", "failed", ...
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specc.diagnostics import Diverged, SpecError
from specc.frontend.search.fill import shown, written
from specc.runs.listener import Silent
from specc.runs.start import RunTraining, prepare
from specc.runs.start import resume as resumed
from specc.runtime.train import Watch
from specc.source import Source
from specc.sweeps.plan import SweepPlan, optuna_module
from specc.sweeps.values import PROBLEM, RUN, VALUES

if TYPE_CHECKING:
    import optuna

    from specc.runtime.metrics import Epoch, Evaluation

INTERRUPTED = "interrupted"


def carried_out(
    plan: SweepPlan,
    study: optuna.Study,
    trial: optuna.trial.Trial,
    should_stop: Callable[[], bool] = lambda: False,
) -> str:
    """Train the run of a trial, and report the result to the study.

    Returns "complete", "pruned", "failed" or "interrupted". The run of an interrupted trial is
    saved, and continues with the sweep. A trial that diverged is complete, with an infinitely bad
    value.
    """
    states = optuna_module().trial.TrialState
    try:
        training = _training(plan, trial)
    except SpecError as error:
        return _failed(study, trial, error)
    trial.set_user_attr(RUN, str(training.run.folder.resolve()))
    reports = _Reports(trial, training, plan)
    try:
        outcome = training.carry_out(reports, should_stop)
    except Diverged as error:
        trial.set_user_attr(PROBLEM, error.diagnostics[0].message)
        study.tell(trial, -math.inf if plan.is_max else math.inf)
        return "complete"
    except SpecError as error:
        return _failed(study, trial, error)
    finally:
        training.release()
    if outcome == INTERRUPTED:
        return INTERRUPTED
    if reports.is_pruned:
        study.tell(trial, state=states.PRUNED)
        return "pruned"
    value = best_of(training)
    if value is None:
        return _failed(study, trial, None)
    study.tell(trial, value)
    return "complete"


def best_of(training: RunTraining) -> float | None:
    """Return the value of a run's best epoch; None if none is complete."""
    from specc.runtime.checkpoint import progress_of

    found = progress_of(training.run.best)
    return None if found is None else found.best


def text_of(plan: SweepPlan, values: dict[str, Any]) -> str:
    """Return the text of the file with the values of a trial."""
    return written(plan.space(), values)


def _training(plan: SweepPlan, trial: optuna.trial.Trial) -> RunTraining:
    """Create the run of a trial, or reopen its existing run. Raises SpecError."""
    folder = run_of(plan, trial)
    if folder is not None:
        return resumed(folder, {}, Silent(), threads=plan.threads)
    values = json.loads(trial.user_attrs[VALUES])
    source = Source(plan.name, text_of(plan, values))
    prepared = prepare(
        source,
        source.text.encode(),
        Path(plan.folder),
        plan.overrides,
        Silent(),
        plan.threads,
        plan.dtype,
        plan.given,
    )
    tried = {name: shown(value) for name, value in values.items()}
    record = replace(prepared.record, sweep=tried, trial=_mark(plan, trial))
    return replace(prepared, record=record).begun(Path(plan.runs))


def run_of(plan: SweepPlan, trial: optuna.trial.Trial) -> Path | None:
    """Return the folder of a trial's run; None if the run was never begun."""
    folder = trial.user_attrs.get(RUN) or _unrecorded(plan, _mark(plan, trial))
    return Path(folder) if folder is not None and (Path(folder) / "run.json").is_file() else None


def _mark(plan: SweepPlan, trial: optuna.trial.Trial) -> str:
    """Return what ties a run to its trial, in `run.json`."""
    return f"{plan.study}/{trial.number}"


def _unrecorded(plan: SweepPlan, mark: str) -> Path | None:
    """Return the run of a trial whose worker was killed before it recorded the run."""
    for path in plan.own_folder.parents[1].glob("*/run.json"):
        try:
            if json.loads(path.read_bytes()).get("trial") == mark:
                return path.parent
        except (OSError, ValueError, AttributeError):
            continue  # a damaged run cannot belong to this trial
    return None


def _failed(study: optuna.Study, trial: optuna.trial.Trial, error: SpecError | None) -> str:
    message = error.diagnostics[0].message if error is not None else "no epoch is complete"
    trial.set_user_attr(PROBLEM, message)
    study.tell(trial, state=optuna_module().trial.TrialState.FAIL)
    return "failed"


class _Reports(Watch):
    """Reports each epoch to the study, which may end the trial."""

    def __init__(self, trial: optuna.trial.Trial, training: RunTraining, plan: SweepPlan) -> None:
        self.trial, self.training, self.plan = trial, training, plan
        self.is_pruned = False

    def steps(self, epoch: int, step: int, loss: float, examples_per_second: float) -> None:
        """Do nothing: only whole epochs are reported."""

    def evaluation(self, evaluation: Evaluation) -> None:
        """Trials are compared at the end of epochs."""

    def epoch(self, epoch: Epoch) -> bool | None:
        self.trial.report(epoch.watched, epoch.epoch)
        self.is_pruned = self.plan.is_pruned and self.trial.should_prune()
        return self.is_pruned
