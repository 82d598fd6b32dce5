"""A worker process, which runs the trials of a sweep one after the other.

A worker holds a lock on its own folder as long as it is alive. A trial whose worker has died is
taken over by another worker, which resumes its run from the last checkpoint.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING
from uuid import uuid4

from specc.runtime.errors import RunError
from specc.runtime.lock import Lock
from specc.sweeps.plan import SweepPlan, optuna_module, study_of
from specc.sweeps.trial import INTERRUPTED, carried_out, run_of
from specc.sweeps.values import (
    VALUES,
    WITHDRAWN,
    WORKER,
    counted,
    drawn,
    key_of,
    untried,
)

if TYPE_CHECKING:
    import optuna

TRIES = 100
"""Number of successive repeated draws after which the search space counts as exhausted."""
HOST = "host"
NAMELESS = 60.0  # seconds after which a trial without a worker has lost it
OFTEN = 0.5  # seconds between two looks at such a trial


def work(
    plan: SweepPlan,
    number: int = 0,
    should_stop: Callable[[], bool] = lambda: False,
    told: Callable[[], object] = lambda: None,
) -> str:
    """Run trials until there are `plan.trials` of them.

    Returns "done", "empty" if no values are left to try, or "interrupted". `told` is called after
    each trial.
    """
    study = study_of(plan, number + len(study_of(plan).get_trials(deepcopy=False)))
    folder = plan.own_folder / f"worker-{uuid4().hex[:12]}"
    folder.mkdir(parents=True)
    lock = Lock.take(folder)
    try:
        while not should_stop():
            trial = _taken_over(plan, study, folder) or _new(plan, study, folder)
            if trial is None and any(map(_is_without_worker, study.get_trials(deepcopy=False))):
                time.sleep(OFTEN)  # until it has one, or is known to have lost it
                continue
            if trial is None:
                return "done" if _is_full(plan, study) else "empty"
            if carried_out(plan, study, trial, should_stop) == INTERRUPTED:
                return INTERRUPTED
            told()
        return INTERRUPTED
    finally:
        lock.release()
        rmtree(folder, ignore_errors=True)


def _is_full(plan: SweepPlan, study: optuna.Study) -> bool:
    return len(counted(study.get_trials(deepcopy=False))) >= plan.trials


def _new(plan: SweepPlan, study: optuna.Study, folder: Path) -> optuna.trial.Trial | None:
    """Start a trial with new values; return None if there are enough trials or no more values."""
    space = plan.space()
    for attempt in range(TRIES):
        if _is_full(plan, study):
            return None
        if plan.sampler == "grid" and not _has_waiting(study):
            return None
        if attempt:  # the sampler repeats itself: choose among untried values
            every = untried(space, study.get_trials(deepcopy=False))
            if every == []:
                return None
            if every:
                study.enqueue_trial(random.Random(plan.seed + attempt).choice(every))
        trial = study.ask()
        trial.set_user_attr(WORKER, str(folder.resolve()))
        trial.set_user_attr(HOST, socket.gethostname())
        values = drawn(space, trial)
        trial.set_user_attr(VALUES, key_of(values))
        if not _is_one_of_many(plan, study, trial):
            return trial
        _withdraw(study, trial)
    return None


def _has_waiting(study: optuna.Study) -> bool:
    return any(each.state.name == "WAITING" for each in study.get_trials(deepcopy=False))


def _is_one_of_many(plan: SweepPlan, study: optuna.Study, trial: optuna.trial.Trial) -> bool:
    """Return whether a trial is superfluous: a repetition, or beyond the number of trials.

    A trial stores its values before this check, so of two concurrent trials at least one sees the
    other.
    """
    known = counted(study.get_trials(deepcopy=False))
    others = [each for each in known if each.number != trial.number]
    values = trial.user_attrs[VALUES]
    if any(each.user_attrs.get(VALUES) == values for each in others):
        return True
    return sum(each.number < trial.number for each in others) >= plan.trials


def _withdraw(study: optuna.Study, trial: optuna.trial.Trial) -> None:
    trial.set_user_attr(WITHDRAWN, True)
    study.tell(trial, state=optuna_module().trial.TrialState.FAIL)


def _taken_over(plan: SweepPlan, study: optuna.Study, folder: Path) -> optuna.trial.Trial | None:
    """Take over a trial whose worker is gone; None if there is none."""
    optuna = optuna_module()
    states = (optuna.trial.TrialState.RUNNING,)
    if not study.get_trials(deepcopy=False, states=states):
        return None
    with suppress(RunError):
        lock = Lock.taken(plan.own_folder)
        if lock is None:
            return None  # another worker is looking for such trials
        try:
            # read again: the previous holder of the lock may have taken one of them
            running = study.get_trials(deepcopy=False, states=states)
            for each in running:
                if not _is_orphan(each):
                    continue
                trial = optuna.trial.Trial(study, each._trial_id)
                trial.set_user_attr(WORKER, str(folder.resolve()))
                if _is_accepted(plan, study, each, trial):
                    return trial
                _withdraw(study, trial)
        finally:
            lock.release()
    return None


def _is_accepted(
    plan: SweepPlan,
    study: optuna.Study,
    found: optuna.trial.FrozenTrial,
    trial: optuna.trial.Trial,
) -> bool:
    """Return whether a trial whose worker has died is one of the sweep's.

    A worker may also die before it has drawn all values of a trial, or between storing them and
    withdrawing the trial as superfluous.
    """
    if VALUES not in found.user_attrs:
        return False
    return run_of(plan, trial) is not None or not _is_one_of_many(plan, study, trial)


def _is_without_worker(trial: optuna.trial.FrozenTrial) -> bool:
    """Return whether a trial was just created, or its process was killed right afterwards."""
    return trial.state.name == "RUNNING" and WORKER not in trial.user_attrs


def _is_orphan(trial: optuna.trial.FrozenTrial) -> bool:
    """Return whether the worker of a running trial has died.

    A worker on another machine is known only by its folder, if both machines can see it.
    """
    if _is_without_worker(trial):
        begun = trial.datetime_start
        return begun is not None and time.time() - begun.timestamp() > NAMELESS
    folder = Path(trial.user_attrs[WORKER])
    if not folder.is_dir():
        return trial.user_attrs.get(HOST) == socket.gethostname()
    lock = Lock.taken(folder)
    if lock is None:
        return False
    lock.release()
    rmtree(folder, ignore_errors=True)
    return True
