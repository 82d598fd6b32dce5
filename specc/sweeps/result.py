"""The result of a sweep: its trials, the best of them, and the importance of searches.

result = result_of(plan)
result.trials[0].values          # {"lr": "0.003", "hidden": "64"}
result.best.run                  # Path("runs/digits/17")
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from specc.frontend.search.fill import written
from specc.sweeps.plan import SweepPlan, optuna_module, study_of
from specc.sweeps.values import PROBLEM, RUN, VALUES, counted
from specc.system.records import dataclass

if TYPE_CHECKING:
    import optuna

    from specc.frontend.search.space import Chosen
    from specc.runs.run import Run

STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running"}


@dataclass(frozen=True)
class Tried:
    """One trial, with the values of its searches.

    `value` is the value of its best epoch, or None before the first epoch is complete; for a pruned
    or running trial it is the best value reported so far. `problem` says why a trial failed.
    """

    number: int
    state: str
    values: dict[str, Chosen]
    value: float | None
    run: Path | None
    seconds: float | None
    problem: str = ""

    @property
    def is_finite(self) -> bool:
        return self.value is not None and math.isfinite(self.value)


@dataclass(frozen=True)
class Result:
    """A sweep at a glance: its `trials` in order, numbered from 1."""

    plan: SweepPlan
    trials: tuple[Tried, ...]

    @property
    def best(self) -> Tried | None:
        """The complete trial with the best value; None if there is none.

        >>> import tempfile
        >>> from pathlib import Path
        >>> text = Path("models/linear.dl").read_text().replace("lr = 0.5", "lr = search(0.1, 0.5)")
        >>> result = specc.sweep(text, sampler="grid", epochs=1, runs=tempfile.mkdtemp())
        >>> result.best.state, result.best.value == min(each.value for each in result.trials)
        ('complete', True)
        """
        found = [each for each in self.trials if each.state == "complete" and each.is_finite]
        return min(found, key=self._rank) if found else None

    def ranked(self) -> list[Tried]:
        """Return the trials that have a value, best first; complete trials come before others.

        >>> import tempfile
        >>> from pathlib import Path
        >>> text = Path("models/linear.dl").read_text().replace("lr = 0.5", "lr = search(0.1, 0.5)")
        >>> result = specc.sweep(text, sampler="grid", epochs=1, runs=tempfile.mkdtemp())
        >>> result.ranked()[0] == result.best
        True
        """
        found = [each for each in self.trials if each.value is not None]
        return sorted(found, key=lambda each: (each.state != "complete", self._rank(each)))

    @property
    def run(self) -> Run:
        """The best run, like the result of `specc.train`. Raises ValueError if no trial is
        complete.

        >>> import tempfile
        >>> from pathlib import Path
        >>> text = Path("models/linear.dl").read_text().replace("lr = 0.5", "lr = search(0.1, 0.5)")
        >>> result = specc.sweep(text, sampler="grid", epochs=1, runs=tempfile.mkdtemp())
        >>> result.run.metrics["epoch"]
        [1]
        """
        from specc.runs.run import Run

        best = self.best
        if best is None or best.run is None:
            raise ValueError("no trial of this sweep is complete")
        return Run(best.run)

    def _rank(self, each: Tried) -> tuple[float, int]:
        value = each.value if each.value is not None else math.inf
        return (-value if self.plan.is_max else value), each.number

    def text(self) -> str:
        """Return the text of the file with the best values in place of its searches.

        Raises ValueError if no trial is complete.

        >>> import tempfile
        >>> from pathlib import Path
        >>> text = Path("models/linear.dl").read_text().replace("lr = 0.5", "lr = search(0.1, 0.5)")
        >>> result = specc.sweep(text, sampler="grid", epochs=1, runs=tempfile.mkdtemp())
        >>> "search" in result.text()
        False
        """
        best = self.best
        if best is None:
            raise ValueError("no trial of this sweep is complete")
        return written(self.plan.space(), best.values)

    def importance(self) -> dict[str, float]:
        """Return the importance of each search for the value of trials, largest first.

        It is computed by Optuna with PED-ANOVA (Watanabe et al., 2023) and sums to 1. The result is
        empty with fewer than ten complete trials. Searches that do not occur in every trial are
        left out.

        >>> import tempfile
        >>> from pathlib import Path
        >>> text = Path("models/linear.dl").read_text().replace("lr = 0.5", "lr = search(0.1, 0.5)")
        >>> result = specc.sweep(text, sampler="grid", epochs=1, runs=tempfile.mkdtemp())
        >>> result.importance()  # of two trials
        {}
        """
        return importance(self.plan, self.trials)

    def _repr_html_(self) -> str:
        from html import escape

        space = self.plan.space()
        names = [each.name for each in space.searches]
        head = "".join(f"<th>{escape(name)}</th>" for name in ("trial", "value", *names))
        rows = []
        for each in self.ranked():
            cells = [
                str(each.number),
                f"{each.value:.4g}",
                *(space[n].label(each.values[n]) if n in each.values else "" for n in names),
            ]
            rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        return f"<p>{escape(repr(self)[1:-1])}</p>{table}"

    def __repr__(self) -> str:
        best = self.best
        values = self.plan.space().described(best.values) if best else ""
        found = f", best {best.value:.4g} with {values}" if best else ""
        return f"<Sweep {self.plan.study}: {len(self.trials)} trials{found}>"


LEAST = 10
"""Smallest number of complete trials for which the importance of searches is computed."""


def result_of(plan: SweepPlan, study: optuna.Study | None = None) -> Result:
    """Return the result of a sweep so far."""
    study = study or study_of(plan)
    found = counted(study.get_trials(deepcopy=False))
    return Result(plan, tuple(_tried(each, place, plan) for place, each in enumerate(found, 1)))


def _tried(trial: optuna.trial.FrozenTrial, number: int, plan: SweepPlan) -> Tried:
    reported = [value for value in trial.intermediate_values.values() if math.isfinite(value)]
    value = trial.value if trial.state.name == "COMPLETE" else None
    if value is None and reported:
        value = max(reported) if plan.is_max else min(reported)
    folder = trial.user_attrs.get(RUN)
    duration = trial.duration
    return Tried(
        number,
        STATES[trial.state.name],
        json.loads(trial.user_attrs.get(VALUES, "{}")),
        value,
        Path(folder) if folder else None,
        None if duration is None else duration.total_seconds(),
        trial.user_attrs.get(PROBLEM, ""),
    )


def importance(plan: SweepPlan, trials: tuple[Tried, ...]) -> dict[str, float]:
    """Return the importance of each search, largest first; empty for few trials."""
    complete = [each for each in trials if each.state == "complete" and each.is_finite]
    if len(complete) < LEAST:
        return {}
    optuna = optuna_module()
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    found = optuna.importance.get_param_importances(study_of(plan), evaluator=evaluator)
    return dict(sorted(found.items(), key=lambda each: -each[1]))


def heading(result: Result) -> str:
    """Return the comment at the top of the best text, which says where its values come from."""
    best = result.best
    assert best is not None
    lines = [
        f"# The best of {len(result.trials)} trials of {Path(result.plan.name).name},"
        f" with the value {best.value:.6g}:",
        f"# {result.plan.space().described(best.values)}.",
    ]
    changes = " ".join(f"{name}={value}" for name, value in result.plan.overrides.items())
    return "\n".join(lines) + (f"\n# All were trained with {changes}." if changes else "") + "\n"
