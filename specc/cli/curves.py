"""`specc curves RUN`: draws the history of a run with characters."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from specc.cli.session import RUN, is_coloured


@click.command()
@click.argument("folder", metavar="RUN", type=RUN)
@click.option("--height", default=12, show_default=True, type=click.IntRange(4, 100),
              help="Height of a plot, in lines.")  # fmt: skip
def curves(folder: Path, height: int) -> None:
    """Draw the loss and metrics of a run in the terminal.

    `specc plot RUN curves` writes the same plot to a file.
    """
    from specc.plots import blocks
    from specc.plots.curves import of_history
    from specc.runs.names import name_of
    from specc.runs.summary import best_epoch
    from specc.runs.summary import curves as history

    columns = history(folder)
    if not columns.get("epoch"):
        raise click.UsageError(f"`{folder}` has no finished epoch yet")
    figure = of_history(name_of(folder), columns, best_epoch(folder))
    width = min(shutil.get_terminal_size((80, 24)).columns, 120)
    click.echo(blocks.drawn(figure, width, height, is_coloured(sys.stdout)))
    click.echo(figure.caption)
