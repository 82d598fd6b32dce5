"""`specc predict RUN INPUT -o OUT`: outputs of a run's best weights for new examples."""

from __future__ import annotations

import io
import zipfile
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from specc.cli.session import (
    FILE,
    LISTENER,
    PRECISION,
    PRECISION_HELP,
    RUN,
    THREADS_HELP,
    run_program,
)

if TYPE_CHECKING:
    import numpy as np

    from specc.columns import Column
    from specc.ir.program import Program
    from specc.net.net import Net
    from specc.recipe import Port
    from specc.runtime.data.field import Rows
    from specc.runtime.data.load import Part
    from specc.runtime.run import Run


@click.command()
@click.argument("folder", metavar="RUN", type=RUN)
@click.argument("source", metavar="INPUT", type=FILE)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="File to write, .npz or .csv.",
)
@click.option(
    "--temperature",
    default=0.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Sampling temperature of a decoder; 0 always picks the most likely symbol.",
)
@click.option("--seed", default=0, show_default=True, help="Random seed.")
@click.option("--threads", type=click.IntRange(min=1), help=THREADS_HELP)
@click.option("--precision", type=PRECISION, help=f"{PRECISION_HELP}  [default: as in training]")
def predict(
    folder: Path,
    source: Path,
    output: Path,
    temperature: float,
    seed: int,
    threads: int | None,
    precision: str | None,
) -> None:
    """Predict outputs for new examples.

    predict runs the best weights of RUN on the examples in INPUT. INPUT is .npz (an array for each
    input, by name), .npy (for a model with one input), .csv, or IDX. The scale and shift of the
    training data apply to it.

    For a model with a decoder (`previous(words)`), predict generates the target sequences and
    writes them to OUT. If all training texts end with the same symbol, each generated text ends at
    its first occurrence.

    OUT has a line for each row of INPUT. The line is empty (NaN, -1 for integers, or an empty
    string in an .npz) for a row that `missing = "drop"` leaves out.
    """
    import numpy as np

    from specc import driver
    from specc.runs.programs import warn_of_rounding
    from specc.runtime.checkpoint import restore
    from specc.runtime.data.field import Rows
    from specc.runtime.errors import AllMissing
    from specc.runtime.run import open_run

    if output.suffix not in (".npz", ".csv"):
        raise click.UsageError(
            f"cannot write `{output.name}`: use a name that ends in .npz or .csv"
        )
    run = open_run(folder)
    program = run_program(run, {})
    net = driver.compile(program, dtype=run.record.dtype, threads=threads, precision=precision)
    warn_of_rounding(net, LISTENER)
    restore(run.best, net)
    try:
        part = _examples(program, _ports(net), run, source)
        columns, left_out = part.columns, part.source
        outputs = (
            _written(net, run, columns, temperature, seed)
            if net.written
            else net.predict_rows(columns)
        )
    except AllMissing as error:
        left_out = Rows(np.empty(0, np.int64), error.count)
        outputs = _nothing(net, run)
    if left_out is not None:
        outputs = {name: _spread(array, left_out) for name, array in outputs.items()}
    try:
        _write(output, outputs, left_out)
    except OSError as error:
        raise click.UsageError(f"cannot write `{output}`: {error.strerror}") from None
    rows = len(next(iter(outputs.values())))
    if left_out is not None:
        click.echo(
            f"`{source.name}`: {left_out.left_out:,} of {rows:,} rows have missing values, so"
            f" nothing is predicted for them",
            err=True,
        )
        rows = len(left_out.kept)
    click.echo(f"wrote {', '.join(outputs)} of {rows:,} examples to {output}")


def _nothing(net: Net, run: Run) -> dict[str, np.ndarray]:
    """Return the outputs for no examples, [0, *shape] each."""
    import numpy as np

    if net.written:
        return {
            port.name: np.empty(0, np.str_)
            if port.name in run.record.vocabularies
            else np.empty((0, *port.shape), np.int64)
            for port in net.written
        }
    kinds = {"bool": bool, "int": np.int64}
    return {
        term.name: np.empty((0, *term.node.type.shape), kinds.get(term.node.type.kind, net.dtype))
        for term in net.program.outputs
    }


def _spread(array: np.ndarray, rows: Rows) -> np.ndarray:
    """Return the outputs in all rows; NaN, -1 or an empty string in rows that are left out."""
    import numpy as np

    nothing = {"f": np.nan, "U": "", "b": False}.get(array.dtype.kind, -1)
    found = np.full((rows.count, *array.shape[1:]), nothing, array.dtype)
    found[rows.kept] = array
    return found


def _written(
    net: Net, run: Run, columns: dict[str, Column], temperature: float, seed: int
) -> dict[str, np.ndarray]:
    """Return generated sequences: strings `[n]` if the run has a vocabulary, else `[n, steps]`."""
    import numpy as np

    from specc.runtime.data import tokens

    words, found = run.record.vocabularies, {}
    ends = {
        name: words[name].index(end) for name, end in run.record.ends.items() if end in words[name]
    }
    data = net.program.recipe.data
    level = "char" if data is None else data.settings.get("level", "char")
    try:
        written = net.write(columns, temperature, seed, ends)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    for name, rows in written.items():
        if name not in words:
            found[name] = rows
            continue
        texts = []
        for row in rows.tolist():
            end = row.index(ends[name]) + 1 if name in ends and ends[name] in row else len(row)
            texts.append(tokens.joined((words[name][each] for each in row[:end]), level))
        found[name] = np.array(texts, np.str_)
    return found


def _ports(net: Net) -> tuple[Port, ...]:
    """Return the inputs, and the targets that outputs read and the model does not generate."""
    from specc.pipeline import Kind

    own = {port.name for port in net.written}
    needed = set(net.compiled(Kind.PREDICT).ports) - own
    return tuple(
        port
        for port in net.ports
        if port.role == "input" or (port.name in needed and port.length_of not in own)
    )


def _examples(program: Program, ports: tuple[Port, ...], run: Run, path: Path) -> Part:
    """Return the ports' values in a file; raises DataError if they do not fit the model."""
    from dataclasses import replace

    from specc.recipe import DataCall
    from specc.runtime.data import load
    from specc.runtime.errors import start_of
    from specc.sources import TEXT

    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    word = {".npz": "npz", ".npy": "npz", ".csv": "csv"}.get(suffix, "idx")
    trained = program.recipe.data
    if word == "idx" and trained is not None and trained.word == "text":
        raise click.UsageError(
            f"`{program.name}` reads texts: give them as the column"
            f" `{ports[0].name}` of a .csv, each as long as a window"
        )
    if not path.is_file():
        raise click.UsageError(f"`{path}` is a pipe or a device, not a file")
    if word == "idx" and not _may_be_idx(path):
        raise click.UsageError(f"`{path}` is not .npz, .npy, .csv or IDX")
    settings = dict(trained.settings) if trained is not None else {}
    kept = {"scale", "shift"} | {each.name for each in TEXT if word != "idx"}
    if trained is not None and trained.word == word:
        kept = set(settings) - {port.name for port in program.ports if port not in ports}
    elif trained is not None and trained.word == "digits":
        settings.setdefault("scale", 1 / 16)
    call = DataCall(
        word,
        (str(path.resolve()),),
        {name: settings[name] for name in kept & set(settings)},
        span=start_of(path),
    )
    recipe = replace(program.recipe, data=call, validate=None, test=None)
    words = {name: tuple(each) for name, each in run.record.vocabularies.items()}
    return load(recipe, ports, path.parent, parts=("training",), vocabularies=words).training


def _may_be_idx(path: Path) -> bool:
    """Return whether a file starts like IDX, or is gzip, which `Request.read` unpacks."""
    try:
        with path.open("rb") as file:
            return file.read(2) in (b"\0\0", b"\x1f\x8b", b"")
    except OSError as error:
        raise click.UsageError(f"cannot read `{path}`: {error.strerror}") from None


def _write(path: Path, outputs: dict[str, np.ndarray], source: Rows | None = None) -> None:
    """Write the outputs as arrays by name, or as a table with the columns name_1, name_2, ...

    Rows that `source` leaves out get empty cells.
    """
    import csv

    import numpy as np

    from specc.runtime.files import replace

    if path.suffix == ".npz":
        content = io.BytesIO()  # as `numpy.savez` makes it, which takes no array called `file`
        with zipfile.ZipFile(content, "w") as archive:
            for name, array in outputs.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.ascontiguousarray(array))
        replace(path, content.getbuffer())
        return
    names: list[str] = []
    tables: list[list[list[str]]] = []
    for name, array in outputs.items():
        table = array.reshape(len(array), -1)
        names += [name] if array.ndim == 1 else [f"{name}_{i + 1}" for i in range(table.shape[1])]
        tables.append(
            [
                [each if isinstance(each, str) else f"{each:.8g}" for each in row]
                for row in table.tolist()
            ]
        )
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(names)
    rows = [list(chain.from_iterable(row)) for row in zip(*tables, strict=True)]
    if source is not None:
        for place in set(range(source.count)) - set(source.kept.tolist()):
            rows[place] = [""] * len(names)
    lines.writerows(rows)
    replace(path, text.getvalue().encode())
