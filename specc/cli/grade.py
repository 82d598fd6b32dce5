"""`specc grade ANSWER --against REFERENCE`: compares a model with a reference solution."""

from __future__ import annotations

import json
from pathlib import Path

import click

from specc.cli.session import FILE, overrides
from specc.runs.grading import CHECKS, MARGIN, TOLERANCE, Grade, Wanted
from specc.runs.grading import grade as graded

SIGNS = {True: "ok", False: "WRONG", None: "-"}


@click.command()
@click.argument("answer", type=FILE)
@click.argument("changes", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--against", "reference", required=True, type=FILE, help="The reference model.")
@click.option(
    "--check",
    "checks",
    multiple=True,
    type=click.Choice(CHECKS),
    help="Make only this check; may be given several times  [default: all]",
)
@click.option(
    "--tolerance",
    default=TOLERANCE,
    show_default=True,
    help="Largest relative difference of outputs, losses and gradients.",
)
@click.option(
    "--margin",
    default=MARGIN,
    show_default=True,
    help="How much worse a metric may be than that of the reference.",
)
@click.option("--seed", default=0, show_default=True, help="Seed for the random examples.")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder for relative data paths  [default: the folder of the reference]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def grade(
    answer: Path,
    changes: tuple[str, ...],
    reference: Path,
    checks: tuple[str, ...],
    tolerance: float,
    margin: float,
    seed: int,
    data: Path | None,
    as_json: bool,
) -> int:
    """Compare a model with a reference model.

    grade first compares the inputs, targets, outputs and parameters of ANSWER with those of the
    reference. Then it compares the outputs, the loss and the gradients for equal parameters, and
    finally the metrics after training. KEY=VALUE changes both files: `epochs=5` shortens the
    training. The exit status is 0 if nothing differs, else 1. A check that cannot be made is
    reported, but does not change the exit status.
    """
    wanted = Wanted(checks or CHECKS, tolerance, margin, seed)
    report = graded(answer, reference, wanted, overrides(changes), data)
    if as_json:
        click.echo(json.dumps(report.to_record(), indent=2, ensure_ascii=False))
    else:
        width = max(map(len, CHECKS))
        for check in report.checks:
            click.echo(f"  {SIGNS[check.passed]:<5}  {check.name:<{width}}  {check.message}")
        click.echo(_said(report))
    return 0 if report.passed else 1


def _said(report: Grade) -> str:
    """Return the verdict as one line."""
    if not report.passed:
        return "the answer differs from the reference"
    skipped = report.skipped
    return f"no difference, but not compared: {', '.join(skipped)}" if skipped else "no difference"
