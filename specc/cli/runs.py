"""`specc runs`: lists, compares and deletes runs."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from specc.cli.session import LISTENER, RUN

if TYPE_CHECKING:
    from specc.runs.compare import Comparison, Difference
    from specc.runs.summary import Summary

RUNS_OPTION = click.option(
    "--run",
    "runs",
    type=click.Path(file_okay=False, path_type=Path),
    default="runs",
    show_default=True,
    help="Folder of the runs.",
)
MOST_METRICS = 3  # largest number of metrics in the table; more would not fit into 80 columns


@click.group("runs", invoke_without_command=True)
@click.pass_context
def runs(context: click.Context) -> None:
    """List, compare and delete runs."""
    if context.invoked_subcommand is None:
        context.invoke(list_runs, runs=Path("runs"))


@runs.command("list")
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@RUNS_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def list_runs(
    models: tuple[str, ...] = (), runs: Path = Path("runs"), as_json: bool = False
) -> None:
    """List the runs with their results.

    The metrics are those of the best epoch, on the validation data if there is any. SPEC is the
    beginning of the model file's hash: runs with equal hashes trained the same file.
    """
    from specc.runs.names import folders, name_of
    from specc.runs.summary import summary

    found = [
        summary(each, name_of(each, runs))
        for each in folders(runs)
        if not models or each.parent.name in models
    ]
    if as_json:
        click.echo(json.dumps([{**asdict(each), "folder": str(each.folder)} for each in found]))
        return
    if not found:
        click.echo(f"there are no runs in {runs}; start one with `specc train FILE`")
        return
    for line in table(found):
        click.echo(line)


def table(found: list[Summary]) -> list[str]:
    """Return the lines of the table."""
    names = list(dict.fromkeys(name for each in found for name in each.metrics))[:MOST_METRICS]
    rows = [["run", "status", "epochs", "best", *names, "time", "spec"]]
    for each in found:
        if each.problem:
            continue
        rows.append(
            [
                each.name,
                each.status,
                f"{each.epochs}/{each.of_epochs}",
                str(each.best_epoch or "-"),
                *(f"{each.metrics[name]:.4g}" if name in each.metrics else "-" for name in names),
                duration(each.seconds),
                each.spec,
            ]
        )
    lines = aligned(rows, left=2)
    broken = [f"{each.name}: {each.problem}" for each in found if each.problem]
    changed = [
        f"{each.name}: {' '.join(f'{key}={value}' for key, value in each.overrides.items())}"
        for each in found
        if each.overrides
    ]
    return [*lines, *broken, *(["", "with", *(f"  {line}" for line in changed)] if changed else [])]


def aligned(rows: list[list[str]], left: int = 1) -> list[str]:
    """Return rows of cells as aligned lines; the first `left` columns are left-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            f"{cell:<{width}}" if number < left else f"{cell:>{width}}"
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def duration(seconds: float) -> str:
    """Return a duration as text: `0.4 s`, `2 min 5 s`, `3 h 20 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


@runs.command("compare")
@click.argument("first", metavar="A", type=RUN)
@click.argument("second", metavar="B", type=RUN)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def compare_runs(first: Path, second: Path, as_json: bool) -> None:
    """Show what differs between two runs.

    compare prints the metrics of the best epochs, the settings that differ, and the layers that
    were added, removed or changed.
    """
    from specc.runs.compare import compare
    from specc.runs.names import name_of

    found = compare(first, second, (name_of(first), name_of(second)), LISTENER)
    if as_json:
        record = asdict(found)
        for each in record["runs"]:
            each["folder"] = str(each["folder"])
        click.echo(json.dumps(record))
        return
    for line in comparison(found):
        click.echo(line)


def comparison(found: Comparison) -> list[str]:
    """Return the lines of a comparison."""
    first, second = found.runs
    lines = aligned(
        [
            ["", first.name, second.name],
            *(["metrics of the best epoch", "", ""] for _ in found.metrics[:1]),
            *([f"  {each.name}", each.first or "-", each.second or "-"] for each in found.metrics),
            ["best epoch", f"{first.best_epoch}", f"{second.best_epoch}"],
            ["time", duration(first.seconds), duration(second.seconds)],
            ["parameters", *(f"{count:,}" for count in found.parameters)],
        ]
    )
    lines += ["", "settings that differ" if found.settings else "all settings are equal"]
    unset = "(as in the file)"
    lines += [
        f"  {each.name}: {each.first or unset} -> {each.second or unset}" for each in found.settings
    ]
    lines += ["", "layers that differ" if found.layers else "all layers are equal"]
    return [*lines, *map(_layer_line, found.layers)]


def _layer_line(each: Difference) -> str:
    sign = {"added": "+", "removed": "-", "changed": "~"}[each.kind]
    if each.kind == "changed":
        return f"  ~ {each.name}: {each.first} -> {each.second}"
    return f"  {sign} {each.name}: {each.first or each.second}"


@runs.command("clean")
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@RUNS_OPTION
@click.option(
    "--keep",
    default=1,
    show_default=True,
    type=click.IntRange(min=0),
    help="Number of newest runs of each model to keep; the best run is always kept.",
)
@click.option(
    "--failed", is_flag=True, help="Delete only runs that failed or have no complete epoch."
)
@click.option("--yes", is_flag=True, help="Delete without asking.")
def clean(models: tuple[str, ...], runs: Path, keep: int, failed: bool, yes: bool) -> None:
    """Delete old runs.

    clean deletes the runs of each MODEL (by default, of all models) except the best and the newest.
    Runs that are being trained are not deleted.
    """
    from specc.runs.clean import old_runs

    found = old_runs(runs, models, keep, failed)
    if not found:
        click.echo("there is nothing to delete")
        return
    size = sum(file.stat().st_size for each in found for file in each.rglob("*") if file.is_file())
    for each in found:
        click.echo(f"  {each}")
    what = f"{len(found)} run{'s' * (len(found) > 1)}, {size / 1e6:,.1f} MB"
    if not yes and not click.confirm(f"delete {what}?"):
        return
    for each in found:
        shutil.rmtree(each)
    click.echo(f"deleted {what}")
