"""`specc eval RUN`: losses and metrics of a run's best weights on held-out data."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from specc.cli.ranks import among_ranks
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

    from specc.backend.run.ranks import Ranks

MOST_CLASSES = 30  # largest number of classes that are printed


@click.command("eval")
@click.argument("folder", metavar="RUN", type=RUN)
@click.option(
    "--data", type=FOLDER, help="Folder for relative data paths  [default: as in training]"
)
@click.option("--threads", type=click.IntRange(min=1), help=THREADS_HELP)
@click.option("--precision", type=PRECISION, help=f"{PRECISION_HELP}  [default: as in training]")
@click.option("--by", metavar="COLUMN", help="Also show the metrics for each value of a column.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "csv"]),
    default="text",
    show_default=True,
    help="Output format; csv has only the losses and metrics.",
)
@click.option("--json", "as_json", is_flag=True, help="Same as --format json.")
@among_ranks
def evaluate(
    folder: Path,
    data: Path | None,
    threads: int | None,
    precision: str | None,
    by: str | None,
    form: str,
    as_json: bool,
    ranks: Ranks | None,
) -> None:
    """Evaluate a trained run on test or validation data.

    The best weights of RUN are evaluated on the test data, or on the validation data if there is no
    test data. The validation examples are the same as in training: examples that were added to the
    data since are skipped, and changed examples are an error. If the test data has changed, eval
    prints a warning.

    For a target of classes, eval also prints the number of examples, the recall and the precision
    of each class, and compares the predicted probabilities with the accuracy. COLUMN is an input or
    target of classes, or any column of the table.
    """
    import numpy as np

    from specc import driver
    from specc.recipe import DataCall
    from specc.runs import detail
    from specc.runs.opened import encoding_of
    from specc.runs.programs import warn_of_rounding
    from specc.runs.provenance import counts_then, require_rows
    from specc.runs.reading import by_first
    from specc.runs.start import require_files
    from specc.runs.together import opened_together, threads_each
    from specc.runtime.checkpoint import restore
    from specc.runtime.data import load
    from specc.runtime.data.handed import read_once
    from specc.runtime.errors import data_error, run_error
    from specc.runtime.metrics import short_names
    from specc.runtime.run import open_run

    run = open_run(folder)
    require_files(run)
    program = run_program(run, {})
    recipe = program.recipe
    part = "validation" if recipe.test is None else "test"
    if part == "validation" and recipe.validate is None and recipe.folds is None:
        raise data_error(
            "there is no data to evaluate on",
            program.recipe.span,
            help="add a `test` or `validate` to `train`, and train again",
        )
    threads = threads or (None if ranks is None else threads_each(ranks))
    dtype = run.record.dtype
    net = opened_together(
        ranks, lambda: driver.compile(program, dtype=dtype, threads=threads, precision=precision)
    )
    warn_of_rounding(net, LISTENER)
    where = data or Path(run.record.data)
    loaded = read_once(
        None if ranks is None else ranks.neighbours,
        lambda: load(
            program.recipe,
            net.ports,
            where,
            parts=(part,),
            counts=None if isinstance(recipe.test, DataCall) else counts_then(run, recipe),
            vocabularies={name: tuple(words) for name, words in run.record.vocabularies.items()},
            statistics=run.record.statistics,
        ),
    )
    tell_left_out(loaded)
    by_first(
        ranks,
        lambda: require_rows(run, program.recipe, loaded, part, where, LISTENER.warn),
        None,
    )
    progress = restore(run.best, net)
    rows = loaded.parts[part]
    found = net.evaluate_rows(rows.columns, rows.numbers)
    values = {short: float(found[name]) for name, short in short_names(net.columns).items()}
    tables = {
        name.removeprefix("metric."): value
        for name, value in found.items()
        if isinstance(value, np.ndarray)
    }
    net.encoding = encoding_of(run.record)
    own = recipe.test if part == "test" else recipe.validate
    call = own if isinstance(own, DataCall) else recipe.data
    groups: dict[str, tuple[int, dict[str, float]]] = {}
    if by is not None:
        try:
            texts = by_first(
                ranks, lambda: detail.column_texts(net, rows, by, call, where), list[str]()
            )
            texts = texts if ranks is None else ranks.agreed(texts)
            groups = detail.slices(net, rows, texts)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
    more: dict[str, Any] = {}
    if net.meanings and not net.written:
        more = {"classes": detail.classes(net, rows), "calibration": detail.calibration(net, rows)}
    form = "json" if as_json else form
    if form == "csv":
        _print_csv(values, by, groups)
    else:
        is_json = form == "json"
        _print(folder, part, len(rows), progress.epoch, values, tables, is_json, more, by, groups)
    if not math.isfinite(values["loss"]):
        raise run_error(
            f"the loss is {values['loss']} on the {part} part, although all weights are finite",
            folder,
            help="look for inputs that are far from the training inputs",
        )


def _print_csv(
    values: dict[str, float], by: str | None, groups: dict[str, tuple[int, dict[str, float]]]
) -> None:
    """Print a line with the values, or a line for each group."""
    import csv
    import sys

    out = csv.writer(sys.stdout, lineterminator="\n")
    if by is None:
        out.writerows([values, (f"{each:.9g}" for each in values.values())])
        return
    out.writerow([by, "examples", *values])
    for group, (count, own) in groups.items():
        out.writerow(
            [group, count, *(f"{own[name]:.9g}" if name in own else "" for name in values)]
        )


def _print(
    folder: Path,
    part: str,
    examples: int,
    epoch: int,
    values: dict[str, float],
    tables: dict[str, np.ndarray],
    as_json: bool,
    more: dict[str, Any],
    by: str | None,
    groups: dict[str, tuple[int, dict[str, float]]],
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
                    **_records(more, by, groups),
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
    for lines in (_of_classes(more), _of_slices(by, groups)):
        for line in lines:
            click.echo(line)


def _records(
    more: dict[str, Any], by: str | None, groups: dict[str, tuple[int, dict[str, float]]]
) -> dict[str, Any]:
    """Return the details by class and by slice for a JSON object."""
    found: dict[str, Any] = {}
    for target, counts in more.get("classes", {}).items():
        own = {each.name: asdict(each) for each in counts}
        found.setdefault("by_class", {})[target] = own
    for target, each in more.get("calibration", {}).items():
        found.setdefault("calibration", {})[target] = asdict(each)
    if by is not None:
        found["by"] = {
            by: {name: {"examples": count, **own} for name, (count, own) in groups.items()}
        }
    return found


def _of_classes(more: dict[str, Any]) -> list[str]:
    """Return the counts of each class and the calibration, as lines of text."""
    from specc.cli.runs import aligned

    lines: list[str] = []
    for target, counts in more.get("classes", {}).items():
        rows = [[target, "examples", "found", "", "predicted", "right"]]
        for each in counts[:MOST_CLASSES]:
            rows.append(
                [
                    each.name,
                    f"{each.examples:,}",
                    f"{each.found:,}",
                    _percent(each.recall),
                    f"{each.predicted:,}",
                    _percent(each.precision),
                ]
            )
        lines += ["", *(f"  {line}" for line in aligned(rows))]
        if len(counts) > MOST_CLASSES:
            lines.append(f"  and {len(counts) - MOST_CLASSES} more classes (--json has them all)")
    for target, each in more.get("calibration", {}).items():
        lines.append(
            f"  {target}: probability of the predicted class {each.confidence:.1%} on average,"
            f" right {each.accuracy:.1%} (calibration error {each.error:.1%})"
        )
    return lines


def _of_slices(by: str | None, groups: dict[str, tuple[int, dict[str, float]]]) -> list[str]:
    from specc.cli.runs import aligned

    if by is None or not groups:
        return []
    names = list(next(iter(groups.values()))[1])
    rows = [[by, "examples", *names]]
    for name, (count, own) in groups.items():
        rows.append([name, f"{count:,}", *(f"{own[each]:.4g}" for each in names)])
    return ["", *(f"  {line}" for line in aligned(rows))]


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{share:.1%}"
