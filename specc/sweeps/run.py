"""Runs a whole sweep: its study and its processes.

program, verdict = searched(source, overrides)
result, outcome = sweep(planned(source, program, folder, overrides, runs=runs), jobs=2)
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from specc.driver import used_files
from specc.runtime.errors import RunError, run_error
from specc.sweeps.kept import keep
from specc.sweeps.plan import DIGITS, TRIALS, SweepPlan, own_storage, study_name, study_of
from specc.sweeps.result import Result, result_of
from specc.sweeps.values import MOST, counted, grid, key_of
from specc.sweeps.worker import work

if TYPE_CHECKING:
    from specc.frontend.search.verdict import CornerVerdict
    from specc.ir.program import Program
    from specc.source import Source

OFTEN = 0.5
"""Time between two reads of the study, in seconds."""


def searched(source: Source, overrides: Mapping[str, str]) -> tuple[Program, CornerVerdict]:
    """Check a file at the corners of its searches; return the program of one of them.

    Raises SpecError if a corner does not check, or the file has no search.
    """
    from specc import driver
    from specc.diagnostics import SpecError

    program, found, verdict = driver.check_all(source, overrides)
    if program is None and found:
        raise SpecError(found)
    if program is None or verdict is None:
        driver.load(source, overrides)  # raises if there is no model
        raise run_error(
            f"`{source.name}` has no `search`, so there is nothing to sweep",
            Path(source.name),
            help="add one, such as `dim hidden = search(64, 128)` or `lr = search(1e-4, 0.1; log)`",
        )
    return program, verdict


def planned(
    source: Source,
    program: Program,
    folder: Path,
    overrides: Mapping[str, str],
    *,
    runs: Path,
    trials: int | None = None,
    storage: str | None = None,
    sampler: str = "tpe",
    is_pruned: bool = False,
    threads: int | None = None,
    dtype: str = "float32",
    given: Mapping[str, Any] | None = None,
) -> SweepPlan:
    """Return the plan of a file's sweep; `program` is the program of one of its combinations.

    Data objects in `given` have no name, so each call with them creates a new study. Raises
    `RunError` if the storage cannot be opened.
    """
    from specc.runtime.pins import files_meanwhile

    if given:
        name = f"{program.name}-{uuid4().hex[:DIGITS]}"
    else:
        texts = {"model.dl": source.text}
        texts |= {name: each.text for name, each in used_files(source).items()}
        texts |= files_meanwhile(program.recipe, folder).result()
        name = study_name(program.name, texts, overrides)
    monitor = program.recipe.monitor
    plan = SweepPlan(
        source.name,
        source.text,
        str(folder.resolve()),
        dict(overrides),
        str(runs),
        storage or own_storage(runs, program.name, name),
        name,
        sampler,
        is_pruned,
        TRIALS if trials is None else trials,
        threads,
        dtype,
        program.recipe.seed,
        monitor is not None and monitor.is_max,
        given or {},
        "" if monitor is None else monitor.column,
    )
    return _with_grid(plan, trials) if sampler == "grid" else plan


def _with_grid(plan: SweepPlan, trials: int | None) -> SweepPlan:
    """Add all combinations of the grid to the study; `trials` limits how many are tried."""
    combinations = list(islice(grid(plan.space()), MOST + 1))
    if len(combinations) > MOST:
        raise run_error(
            f"the grid has more than {MOST:,} combinations",
            Path(plan.name),
            help="use `--sampler tpe`, or ranges with a larger `step`",
        )
    study = study_of(plan)
    known = {each.user_attrs.get("grid") for each in study.get_trials(deepcopy=False)}
    for each in combinations:
        if (key := key_of(each)) not in known:
            study.enqueue_trial(each, user_attrs={"grid": key})
    return replace(plan, trials=len(combinations) if trials is None else trials)


def sweep(
    plan: SweepPlan,
    jobs: int = 1,
    seen: Callable[[Result], object] = lambda result: None,
) -> tuple[Result, str]:
    """Run a sweep in `jobs` processes; return its result and outcome.

    The outcome is "done", "empty" (no values are left to try) or "interrupted".

    `seen` is called with the result so far: about twice per second with several processes,
    otherwise after each trial. Ctrl-C stops the trials and saves their runs; the next call for the
    same plan continues them.
    """
    keep(plan)
    if jobs == 1:
        return _alone(plan, seen)
    return _shared(plan, jobs, seen)


class _Stop:
    """A context manager that records whether SIGINT or SIGTERM arrived."""

    SIGNALS = ("SIGINT", "SIGTERM")

    def __init__(self) -> None:
        self.is_asked = False

    def __enter__(self) -> _Stop:
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            for name in self.SIGNALS:
                number = getattr(signal, name)
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, *_: object) -> None:
        self.is_asked = True


def _alone(plan: SweepPlan, seen: Callable[[Result], object]) -> tuple[Result, str]:
    study = study_of(plan)
    with _Stop() as stop:
        outcome = work(plan, 0, lambda: stop.is_asked, lambda: seen(result_of(plan, study)))
    return result_of(plan, study), outcome


def _shared(plan: SweepPlan, jobs: int, seen: Callable[[Result], object]) -> tuple[Result, str]:
    if plan.given:
        raise ValueError("data from Python can be swept only in one process: jobs=1")
    study = study_of(plan)
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    workers = [
        context.Process(target=_worker, args=(plan, number, answers), daemon=False)
        for number in range(jobs)
    ]
    with _Stop() as stop:
        for each in workers:
            each.start()
        is_told = False
        while any(each.is_alive() for each in workers):
            time.sleep(OFTEN)
            seen(result_of(plan, study))
            if stop.is_asked and not is_told:
                is_told = True
                for each in workers:
                    if each.pid is not None and each.is_alive():
                        os.kill(each.pid, signal.SIGTERM)
    outcomes = []
    while not answers.empty():
        outcomes.append(answers.get())
    result = result_of(plan, study)
    for kind, text in outcomes:
        if kind == "error":
            raise run_error(text, Path(plan.name))
    if stop.is_asked or any(each.state == "running" for each in result.trials):
        return result, "interrupted"
    return result, "done" if len(result.trials) >= plan.trials else "empty"


def _worker(plan: SweepPlan, number: int, answers: Any) -> None:
    """Run trials in a process, and send the outcome or the error to the parent process."""
    parent = multiprocessing.parent_process()

    def should_stop() -> bool:
        return stop.is_asked or (parent is not None and not parent.is_alive())

    with _Stop() as stop:
        try:
            answers.put(("outcome", work(plan, number, should_stop)))
        except RunError as error:
            answers.put(("error", error.diagnostics[0].message))


def finished(plan: SweepPlan) -> int:
    """Return the number of trials that a plan already has."""
    return len(counted(study_of(plan).get_trials(deepcopy=False)))
