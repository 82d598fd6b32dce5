"""`specc flow FILE|RUN`: how gradients flow through a model, on one batch of training data."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from specc.cli.figure import check, write
from specc.cli.session import FILE_OR_RUN, FOLDER, checked, overrides, run_program
from specc.frontend.syntax.reading import read_source

if TYPE_CHECKING:
    from specc.flow import Flow

BLAS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
"""Environment variables for the number of threads, which NumPy reads when it is imported.

The matrix products of one batch are small: on a busy machine, waiting for a second thread took five
times as long as the work.
"""


@click.command()
@click.argument("target", metavar="FILE|RUN", type=FILE_OR_RUN)
@click.argument("changes", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--data", type=FOLDER, help="Folder for relative data paths  [default: as in training]"
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="OUT",
    help="Also draw a plot, as .svg, .png or .pdf.",
)
@click.option(
    "--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Number of threads."
)
def flow(
    target: Path,
    changes: tuple[str, ...],
    data: Path | None,
    as_json: bool,
    plot: Path | None,
    threads: int,
) -> None:
    """Show how gradients flow through a model.

    One batch runs forward and backward, through the model in FILE with initial weights or through
    RUN with its best weights. For each layer, flow shows the RMS of the output and of its gradient;
    for each cell, the gradient for its state at each time step. KEY=VALUE changes the model as in
    `train`.
    """
    if plot is not None:
        check(plot)
    os.environ.update(dict.fromkeys(BLAS, str(threads)))
    found = measured(target, overrides(changes), data, threads)
    if as_json:
        click.echo(json.dumps({"source": str(target), **found.to_record()}))
    else:
        from specc.cli.gradients import print_flow

        print_flow(found)
    if plot is not None:
        from specc.plots.through_time import of_flow

        try:
            write(of_flow(found), plot)
        except LookupError as error:
            raise click.UsageError(f"there is nothing to draw: {error.args[0]}") from None
        click.echo(f"wrote {plot}", err=as_json)


def measured(target: Path, changes: dict[str, str], data: Path | None, threads: int) -> Flow:
    """Return the flow on the first batch that training draws."""
    from specc import driver
    from specc.diagnostics import SpecError
    from specc.runtime.checkpoint import restore
    from specc.runtime.data import load, open_sizes
    from specc.runtime.errors import diagnostic, start_of
    from specc.runtime.order import permutation
    from specc.runtime.run import open_run

    run = open_run(target) if target.is_dir() else None
    if run is not None:
        program = run_program(run, changes)
        folder = data or Path(run.record.data)
        words = {name: tuple(each) for name, each in run.record.vocabularies.items()}
    else:
        source, words = read_source(target), {}
        program, folder = checked(source, changes, comes_again=True), data or target.parent
        if program.open_sizes and program.recipe.data is not None:
            sizes = open_sizes(program.recipe, program.ports, folder)
            program = checked(source, {**sizes, **changes})
    if not program.losses:
        raise SpecError(
            [
                diagnostic(
                    "no-loss",
                    f"{program.name} has no loss, so there are no gradients",
                    start_of(target),
                    help="add one: `loss cross_entropy(scores, label)`",
                )
            ]
        )
    net = driver.compile(program, dtype=run.record.dtype if run else "float32", threads=threads)
    loaded = load(
        program.recipe,
        net.ports,
        folder,
        parts=("training",),
        vocabularies=words,
        statistics=run.record.statistics if run else None,
    )
    if run is not None:
        restore(run.best, net)
    part = loaded.training
    rows = part.numbers[permutation(program.recipe.seed, 0, len(part))][: net.batch]
    return net.flow(**{port.name: part.columns[port.name].values(rows) for port in net.ports})
