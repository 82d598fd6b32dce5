"""The page of a sweep: its trials, what mattered, and the text with the best values.

sweep_page(result)      # "<!doctype html>..."
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from specc.plots.sweep import LEAST, histories, importance, label_of, of_trials
from specc.report.document import Section, document, duration, program_text, shown, table
from specc.runs.names import name_of
from specc.runs.trials import TrialRun
from specc.sweeps.result import Result, Tried, heading

MOST_TRIALS = 500
"""Rows of the table of trials: the best ones."""


def sweep_page(result: Result) -> str:
    """Return the page of a sweep as one HTML text."""
    sections = [_trials(result), *_figures(result), *_best(result), _text(result)]
    return document(result.plan.study, _summary(result), _facts(result), sections)


def _summary(result: Result) -> str:
    states = [each.state for each in result.trials]
    told = [
        f"{states.count(state)} {state}"
        for state in ("complete", "pruned", "failed", "running")
        if state in states
    ]
    return f"{len(states)} trials of {Path(result.plan.name).name}: {', '.join(told) or 'none'}"


def _facts(result: Result) -> list[tuple[str, str]]:
    best, facts = result.best, []
    if best is not None and best.value is not None:
        facts.append((f"best {_label(result)}", f"{best.value:.4g}"))
        facts.append(("trial", str(best.number)))
    facts.append(("trials", str(len(result.trials))))
    seconds = sum(each.seconds or 0.0 for each in result.trials)
    facts.append(("time of all", duration(seconds)))
    return facts


def _label(result: Result) -> str:
    return label_of(result.plan.monitor)


def _trials(result: Result) -> Section:
    space = result.plan.space()
    names = [each.name for each in space.searches]
    ranked = result.ranked()
    left = [each for each in result.trials if each.value is None]
    rows = []
    for each in (*ranked, *left)[:MOST_TRIALS]:
        value = "" if each.value is None else f"{each.value:.4g}"
        values = (space[n].label(each.values[n]) if n in each.values else "" for n in names)
        rows.append(
            (
                str(each.number),
                escape(name_of(each.run, Path(result.plan.runs).resolve()) if each.run else ""),
                value,
                each.state,
                "" if each.seconds is None else duration(each.seconds),
                *map(escape, values),
            )
        )
    head = ("trial", "run", "value", "state", "time", *map(escape, names))
    inside = table(head, rows, left=2)
    more = len(result.trials) - len(rows)
    inside += f"<p>and {more:,} more</p>" if more else ""
    problems = "".join(
        f"<li>trial {each.number}: {escape(each.problem)}</li>"
        for each in result.trials
        if each.problem
    )
    inside += f"<p>What went wrong:</p><ul>{problems}</ul>" if problems else ""
    return Section("trials", "Trials", inside)


def _figures(result: Result) -> list[Section]:
    known = [_run(each, result) for each in result.trials if each.is_finite]
    found = []
    label = _label(result)
    if len(known) >= LEAST:
        values = of_trials(known, label, result.plan.is_max)
        found.append(Section("values", "Values", shown(values)))
    if shares := result.importance():
        found.append(Section("importance", "Importance", shown(importance(shares))))
    column = result.plan.monitor.rpartition(".")[2] or "loss"
    best = result.best.number if result.best is not None else 0
    if (figure := histories(known, column, label, best)) is not None:
        found.append(Section("curves", figure.title, shown(figure)))
    return found


def _run(each: Tried, result: Result) -> TrialRun:
    space = result.plan.space()
    values = {name: space[name].label(value) for name, value in each.values.items()}
    folder = each.run or Path()
    return TrialRun(each.number, folder, values, each.value, each.state == "complete")


def _best(result: Result) -> list[Section]:
    if result.best is None:
        return []
    text = heading(result) + result.text()
    inside = program_text(text, "The text with the best values")
    return [Section("best", "The best text", inside)]


def _text(result: Result) -> Section:
    inside = program_text(result.plan.text, "The text with its searches")
    return Section("text", "What was searched", inside)
