"""`specc predict RUN INPUT -o OUT`: the outputs of a run's best weights for new examples."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from specc.cli.session import FILE, FOLDER, run_program

if TYPE_CHECKING:
    import numpy as np

    from specc.columns import Column
    from specc.ir.program import Program
    from specc.runtime.run import Run


@click.command()
@click.argument("folder", metavar="RUN", type=FOLDER)
@click.argument("source", metavar="INPUT", type=FILE)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The file to write, .npz or .csv.",
)
@click.option("--threads", type=click.IntRange(min=1), help="By default as many as pay.")
def predict(folder: Path, source: Path, output: Path, threads: int | None) -> None:
    """Run the best weights of RUN on the examples in INPUT.

    INPUT is .npz (an array for each input, by name), .npy (for a model with one input), .csv, or
    IDX. Its values are those of the training data: the same scale and shift apply.
    """
    from specc import driver
    from specc.runtime.checkpoint import restore
    from specc.runtime.run import open_run

    if output.suffix not in (".npz", ".csv"):
        raise click.UsageError(f"the output is a .npz or a .csv, not `{output.name}`")
    run = open_run(folder)
    program = run_program(run, {})
    net = driver.compile(program, dtype=run.record.dtype, threads=threads)
    columns = _columns(program, run, source)
    restore(run.best, net)
    outputs = net.predict(columns)
    try:
        _write(output, outputs)
    except OSError as error:
        raise click.UsageError(f"`{output}` cannot be written: {error.strerror}") from None
    rows = len(next(iter(outputs.values())))
    click.echo(f"wrote {', '.join(outputs)} of {rows:,} examples to {output}")


def _columns(program: Program, run: Run, path: Path) -> dict[str, Column]:
    """The inputs in a file; raises DataError where they do not fit the model."""
    from dataclasses import replace

    from specc.recipe import DataCall
    from specc.runtime.data import load
    from specc.runtime.errors import start_of

    ports = tuple(port for port in program.ports if port.role == "input")
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    word = {".npz": "npz", ".npy": "npz", ".csv": "csv"}.get(suffix, "idx")
    if word == "idx" and not _may_be_idx(path):
        raise click.UsageError(f"`{path}` is none of .npz, .npy, .csv or IDX")
    trained = program.recipe.data
    settings = dict(trained.settings) if trained is not None else {}
    kept = {"scale", "shift"}
    if trained is not None and trained.word == word:
        kept = set(settings) - {port.name for port in program.ports if port.role == "target"}
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
    return load(
        recipe, ports, path.parent, parts=("training",), vocabularies=words
    ).training.columns


def _may_be_idx(path: Path) -> bool:
    """Whether a file starts as IDX does, or is packed (`Request.read` unpacks it)."""
    try:
        with path.open("rb") as file:
            return file.read(2) in (b"\0\0", b"\x1f\x8b", b"")
    except OSError as error:
        raise click.UsageError(f"`{path}` cannot be read: {error.strerror}") from None


def _write(path: Path, outputs: dict[str, np.ndarray]) -> None:
    """The outputs as arrays by name, or as a table with the columns name_1, name_2, .."""
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
    names, tables = [], []
    for name, array in outputs.items():
        table = array.reshape(len(array), -1)
        names += [name] if array.ndim == 1 else [f"{name}_{i + 1}" for i in range(table.shape[1])]
        tables.append(table)
    lines = (",".join(f"{value:.8g}" for value in row) for row in np.concatenate(tables, axis=1))
    replace(path, ("\n".join([",".join(names), *lines]) + "\n").encode())
