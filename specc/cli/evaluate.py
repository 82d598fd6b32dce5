"""`specc eval RUN`: losses and metrics of a run's best weights on held-out data."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from specc.cli.session import (
    FOLDER,
    LISTENER,
    PRECISION,
    PRECISION_HELP,
    RUN,
    THREADS_HELP,
    run_program,
    tell_left_out,
)

if TYPE_CHECKING:
    import numpy as np


@click.command("eval")
@click.argument("folder", metavar="RUN", type=RUN)
@click.option(
    "--data", type=FOLDER, help="Folder for relative data paths  [default: as in training]"
)
@click.option("--threads", type=click.IntRange(min=1), help=THREADS_HELP)
@click.option("--precision", type=PRECISION, help=f"{PRECISION_HELP}  [default: as in training]")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def evaluate(
    folder: Path,
    data: Path | None,
    threads: int | None,
    precision: str | None,
    as_json: bool,
) -> None:
    """Evaluate a trained run on test or validation data.

    The best weights of RUN are evaluated on the test data, or on the validation data if there is no
    test data. The validation examples are those of the training: eval skips examples that were
    added to the data since, and refuses examples that have changed. If the test data has changed,
    eval prints a warning.
    """
    import numpy as np

    from specc import driver
    from specc.recipe import DataCall
    from specc.runs.programs import warn_of_rounding
    from specc.runs.provenance import counts_then, require_rows
    from specc.runtime.checkpoint import restore
    from specc.runtime.data import load
    from specc.runtime.errors import data_error, run_error
    from specc.runtime.metrics import short_names
    from specc.runtime.run import open_run

    run = open_run(folder)
    program = run_program(run, {})
    recipe = program.recipe
    part = "validation" if recipe.test is None else "test"
    if part == "validation" and recipe.validate is None and recipe.folds is None:
        raise data_error(
            "there is no data to evaluate on",
            program.recipe.span,
            help="add a `test` or `validate` to `train`, and train again",
        )
    net = driver.compile(program, dtype=run.record.dtype, threads=threads, precision=precision)
    warn_of_rounding(net, LISTENER)
    where = data or Path(run.record.data)
    loaded = load(
        program.recipe,
        net.ports,
        where,
        parts=(part,),
        counts=None if isinstance(recipe.test, DataCall) else counts_then(run, recipe),
        vocabularies={name: tuple(words) for name, words in run.record.vocabularies.items()},
        statistics=run.record.statistics,
    )
    tell_left_out(loaded)
    require_rows(run, program.recipe, loaded, part, where, LISTENER.warn)
    progress = restore(run.best, net)
    rows = loaded.parts[part]
    found = net.evaluate_rows(rows.columns, rows.rows)
    values = {short: float(found[name]) for name, short in short_names(net.columns).items()}
    tables = {
        name.removeprefix("metric."): value
        for name, value in found.items()
        if isinstance(value, np.ndarray)
    }
    _print(folder, part, len(rows), progress.epoch, values, tables, as_json)
    if not math.isfinite(values["loss"]):
        raise run_error(
            f"the loss is {values['loss']} on the {part} part, although all weights are finite",
            folder,
            help="look for inputs that are far from the training inputs",
        )


def _print(
    folder: Path,
    part: str,
    examples: int,
    epoch: int,
    values: dict[str, float],
    tables: dict[str, np.ndarray],
    as_json: bool,
) -> None:
    """Print the values by name, and a table for each metric that is an array."""
    if as_json:
        values.update({name: value.tolist() for name, value in tables.items()})
        click.echo(
            json.dumps(
                {
                    "run": str(folder),
                    "part": part,
                    "examples": examples,
                    "epoch": epoch,
                    **values,
                }
            )
        )
        return
    click.echo(f"{folder}, best weights (epoch {epoch}), {part}, {examples:,} examples")
    width = max(map(len, values))
    for name, value in values.items():
        click.echo(f"  {name:<{width}}  {value:.6g}")
    for name, table in tables.items():
        click.echo(f"  {name} (rows: axis 0)")
        for row in table.reshape(len(table), -1):
            click.echo("    " + "  ".join(f"{each:9.4g}" for each in row))
