"""`specc lr FILE`: a learning rate range test, with a suggested rate."""

from __future__ import annotations

import json
from pathlib import Path

import click

from specc.cli.session import FILE, FOLDER, LISTENER, THREADS_HELP, overrides


@click.command("lr")
@click.argument("file", type=FILE)
@click.argument("changes", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--data", type=FOLDER, help="Folder for relative data paths.")
@click.option("--from", "low", default=1e-5, show_default=True, help="Smallest learning rate.")
@click.option("--to", "high", default=10.0, show_default=True, help="Largest learning rate.")
@click.option(
    "--steps",
    default=200,
    show_default=True,
    type=click.IntRange(min=10),
    help="Number of training steps, each with a larger rate.",
)
@click.option("--threads", type=click.IntRange(min=1), help=THREADS_HELP)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def lr(
    file: Path,
    changes: tuple[str, ...],
    data: Path | None,
    low: float,
    high: float,
    steps: int,
    threads: int | None,
    as_json: bool,
) -> None:
    """Find an initial learning rate.

    lr trains the model in FILE for some steps, while the learning rate grows with each step (Smith,
    Cyclical learning rates, 2017). It shows the loss for each rate, and suggests the rate at which
    the loss falls fastest. No run is created.
    """
    from specc.runs.rates import sweep

    if not 0 < low < high:
        raise click.UsageError("--from must be above 0 and below --to")
    found = sweep(file, overrides(changes), data, low, high, steps, LISTENER, threads)
    if as_json:
        points = [{"lr": rate, "loss": loss} for rate, loss in found.points]
        click.echo(json.dumps({"suggestion": found.suggestion, "points": points}))
        return
    for line in found.lines():
        click.echo(line)
