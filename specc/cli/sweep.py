"""`specc sweep FILE`: many runs of a file with different values for its searches."""

from __future__ import annotations

import math
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from specc.cli.session import FILE, FOLDER, THREADS_HELP, overrides

if TYPE_CHECKING:
    from specc.sweeps.result import Result, Tried

SHOWN = 10
"""Number of trials in the table."""
MARK = "# The best of "
"""The start of a file written by a sweep."""


@click.command("sweep")
@click.argument("file", type=FILE)
@click.argument("changes", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    help="Number of trials, including those of earlier calls  [default: 40; for a grid, all]",
)
@click.option(
    "--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Number of processes."
)
@click.option(
    "--sampler",
    type=click.Choice(["tpe", "random", "grid"]),
    default="tpe",
    show_default=True,
    help="How values are chosen: from the results of earlier trials, at random, or all.",
)
@click.option("--prune", is_flag=True, help="Stop trials that are worse than the median.")
@click.option(
    "--storage",
    metavar="URL",
    help="Database that several machines share  [default: a file beside the runs]",
)
@click.option("--data", type=FOLDER, help="Folder for relative data paths.")
@click.option(
    "--run",
    "runs",
    type=click.Path(file_okay=False, path_type=Path),
    default="runs",
    show_default=True,
    help="Folder for runs.",
)
@click.option("--threads", type=click.IntRange(min=1), help=THREADS_HELP)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for the best values  [default: best.dl in the folder of FILE]",
)
@click.option("-q", "--quiet", is_flag=True, help="Print only the result.")
def sweep(
    file: Path,
    changes: tuple[str, ...],
    trials: int | None,
    jobs: int,
    sampler: str,
    prune: bool,
    storage: str | None,
    data: Path | None,
    runs: Path,
    threads: int | None,
    output: Path | None,
    quiet: bool,
) -> int:
    """Train a model with many values, and keep the best ones.

    FILE declares the values to try: `hidden = search(64, 128)`, `lr = search(1e-4, 0.1; log)`. Each
    trial is a run. Ctrl-C stops the sweep, and the same command continues it.
    """
    from specc import driver
    from specc.cli.whole import write_whole
    from specc.sweeps.result import heading
    from specc.sweeps.run import finished, planned, searched
    from specc.sweeps.run import sweep as carried_out

    output = output or file.parent / "best.dl"
    _require_own(output)
    source = driver.read(file)
    values = overrides(changes)
    program, checked = searched(source, values)
    plan = planned(
        source,
        program,
        data or file.parent,
        values,
        runs=runs,
        trials=trials,
        storage=storage,
        sampler=sampler,
        is_pruned=prune,
        threads=threads or (None if jobs == 1 else max(1, driver.processors() // jobs)),
    )
    before = finished(plan)
    if not quiet:
        click.echo(f"{checked} checked; sweep {plan.study}, {plan.trials} trials")
        if before:
            click.echo(f"{before} trials exist already")
    with ExitStack() as stack:
        seen = stack.enter_context(_Display(plan.trials, before, quiet))
        result, outcome = carried_out(plan, jobs, seen)
        seen(result)
    for line in table(result):
        click.echo(line)
    if outcome == "interrupted":
        click.echo("interrupted; the same command continues the sweep")
        return 130
    if outcome == "empty" and len(result.trials) < plan.trials:
        click.echo(f"all {len(result.trials)} combinations have been tried")
    if result.best is None:
        click.echo("no trial is complete, so there are no best values", err=True)
        return 1
    write_whole(output, heading(result) + result.text())
    click.echo(f"wrote {output}; to train it, use `specc train {output}`")
    if not quiet:
        from specc.report.sweep import sweep_page

        page = plan.own_folder / "report.html"
        write_whole(page, sweep_page(result))
        click.echo(f"report: {page}")
    return 0


def _require_own(output: Path) -> None:
    """Raise a usage error if the output file exists and was not written by a sweep."""
    if output.is_file() and not output.read_text("utf-8", errors="replace").startswith(MARK):
        raise click.UsageError(
            f"`{output}` exists and was not written by a sweep; use -o to name another file"
        )


def table(result: Result) -> list[str]:
    """Return the best trials and the importance of searches, as lines of text."""
    from specc.cli.runs import aligned, duration
    from specc.runs.names import name_of

    found = result.ranked()[:SHOWN]
    space = result.plan.space()
    names = [each.name for each in space.searches]
    rows = [["trial", "run", "value", "time", *names]]
    for each in found:
        value = "-" if each.value is None else f"{each.value:.4g}"
        rows.append(
            [
                f"{each.number}" + _sign(each),
                name_of(each.run, Path(result.plan.runs).resolve()) if each.run else "-",
                value,
                "-" if each.seconds is None else duration(each.seconds),
                *(space[n].label(each.values[n]) if n in each.values else "-" for n in names),
            ]
        )
    lines = aligned(rows, left=2)
    states = [each.state for each in result.trials]
    counts = ", ".join(
        f"{states.count(state)} {state}"
        for state in ("complete", "pruned", "failed", "running")
        if state in states
    )
    lines += ["", counts]
    lines += [f"trial {e.number} {e.state}: {e.problem}" for e in result.trials if e.problem][
        :SHOWN
    ]
    if shares := result.importance():
        lines.append("importance: " + ", ".join(f"{k} {100 * v:.0f}%" for k, v in shares.items()))
    return lines


def _sign(each: Tried) -> str:
    return {"pruned": " (pruned)", "running": " (running)"}.get(each.state, "")


class _Display:
    """Shows the progress of a sweep: a table on a terminal, otherwise one line per trial."""

    def __init__(self, trials: int, before: int, is_quiet: bool) -> None:
        self.trials, self.before, self.is_quiet = trials, before, is_quiet
        self.begun = time.monotonic()
        self.told: set[int] = set()
        self.live: Any = None

    def __enter__(self) -> _Display:
        if not self.is_quiet and sys.stdout.isatty():
            from rich.live import Live

            self.live = Live(auto_refresh=False, transient=True)
            self.live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self.live is not None:
            self.live.__exit__(None, None, None)

    def __call__(self, result: Result) -> None:
        if self.live is not None:
            from rich.text import Text

            lines = [*table(result), self._left(result)]
            self.live.update(
                Text("\n".join(lines), no_wrap=True, overflow="ellipsis"), refresh=True
            )
        elif not self.is_quiet:
            for each in result.trials:
                if each.state != "running" and each.number not in self.told:
                    self.told.add(each.number)
                    if each.number > self.before:
                        click.echo(self._line(each, result))

    def _line(self, each: Tried, result: Result) -> str:
        value = "" if each.value is None else f" {each.value:.4g}"
        best = result.best
        star = " *" if best is not None and best.number == each.number else ""
        width = len(str(self.trials))
        place = f"trial {each.number:>{width}}/{self.trials}"
        return f"{place} {each.state}{value}{star}  {result.plan.space().described(each.values)}"

    def _left(self, result: Result) -> str:
        from specc.runs.display import clock

        done = sum(each.state != "running" for each in result.trials)
        new = done - self.before
        if new <= 0:
            return f"{done} of {self.trials} trials"
        passed = time.monotonic() - self.begun
        left = math.ceil(passed / new * (self.trials - done))
        return f"{done} of {self.trials} trials, {clock(max(0, left))} left"
