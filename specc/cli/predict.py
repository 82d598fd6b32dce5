"""`specc predict RUN INPUT -o OUT`: predictions of a run's best weights for new examples."""

from __future__ import annotations

import io
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from specc.cli.ranks import among_ranks
from specc.cli.session import (
    LISTENER,
    PRECISION,
    PRECISION_HELP,
    RUN,
    THREADS_HELP,
)

if TYPE_CHECKING:
    import numpy as np

    from specc.backend.run.ranks import Ranks
    from specc.net.net import Net
    from specc.runtime.data.field import Rows

FORMATS = ("csv", "npz")
STANDARD = Path("-")


@click.command()
@click.argument("folder", metavar="RUN", type=RUN)
@click.argument(
    "source", metavar="INPUT", type=click.Path(exists=True, allow_dash=True, path_type=Path)
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    default="-",
    show_default=True,
    help="File to write, .csv or .npz; `-` is standard output.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(FORMATS),
    help="Output format  [default: by the suffix of the file, or csv]",
)
@click.option("--keep", metavar="NAMES", help="Columns of INPUT to copy, separated by commas.")
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
@among_ranks
def predict(
    folder: Path,
    source: Path,
    output: Path,
    kind: str | None,
    keep: str | None,
    temperature: float,
    seed: int,
    threads: int | None,
    precision: str | None,
    ranks: Ranks | None,
) -> None:
    """Predict outputs for new examples.

    predict runs the best weights of RUN on the examples in INPUT. INPUT is a table (.csv, .tsv,
    .jsonl, .parquet, .feather; columns are found by name), .npz (an array for each input), .npy
    (for a model with one input), IDX, or a folder of images; `-` reads .csv from standard input.
    Values are encoded as in training.

    For an output that scores the classes of a target, the result has the name of the most likely
    class, in a column with the name of the target's column in the training data, and the
    probability of each class, followed by the output itself.

    For a model with a decoder (`previous(words)`), predict generates the target sequences. If all
    training texts end with the same symbol, each generated text ends at its first occurrence.

    The result has one row for each row of INPUT. For a row that `missing = "drop"` leaves out, it
    is empty (in an .npz: NaN, -1 for integers, or an empty string).
    """
    from specc.net.answers import answers
    from specc.net.tables import outputs as outputs_of
    from specc.net.tables import spread
    from specc.runs.opened import open_net
    from specc.runs.reading import by_first
    from specc.runs.together import opened_together, threads_each

    kind = kind or (output.suffix.removeprefix(".") if output != STANDARD else "csv")
    if kind not in FORMATS:
        raise click.UsageError(
            f"cannot write `{output.name}`: use a name that ends in .npz or .csv"
        )
    if ranks is not None and source == STANDARD:
        raise click.UsageError("a launcher gives standard input to one process: use a file")
    threads = threads or (None if ranks is None else threads_each(ranks))
    net = opened_together(
        ranks,
        lambda: open_net(folder, threads=threads, listener=LISTENER, precision=precision),
    )
    with _file(source) as path:
        _require_examples(net, path)
        try:
            found, kept = outputs_of(net, path, temperature, seed)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        copied = by_first(ranks, lambda: _copied(net, path, keep), dict[str, list[str]]())
    raw = dict(found)
    if not net.written:
        found = answers(net.program, net.encoding, found)
        found |= {name: array for name, array in raw.items() if name not in found}
    if kept is not None:
        found = {name: spread(array, kept) for name, array in found.items()}
    try:
        if ranks is None or ranks.is_first:
            _write(output, kind, found, copied, kept)
    except OSError as error:
        raise click.UsageError(f"cannot write `{output}`: {error.strerror}") from None
    rows = len(next(iter(found.values())))
    if kept is not None:
        name = "standard input" if source == STANDARD else source.name
        click.echo(
            f"`{name}`: {kept.left_out:,} of {rows:,} rows have missing values, so"
            f" nothing is predicted for them",
            err=True,
        )
        rows = len(kept.kept)
    if output != STANDARD:
        click.echo(f"wrote {', '.join(raw)} of {rows:,} example{'s' * (rows != 1)} to {output}")


@contextmanager
def _file(source: Path) -> Iterator[Path]:
    """Yield the file to read; standard input is copied to a temporary file."""
    if source != STANDARD:
        if source.exists() and not (source.is_file() or source.is_dir()):
            raise click.UsageError(f"`{source}` is a pipe or a device, not a file")
        yield source
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "standard-input.csv"
        path.write_bytes(sys.stdin.buffer.read())
        yield path


def _require_examples(net: Net, path: Path) -> None:
    """Raise a usage error for a file that no source can read."""
    from specc.runtime.given import source

    trained = net.program.recipe.data
    word = source(path, trained).word
    if word not in ("idx", "text"):
        return
    if trained is not None and trained.word == "text":
        raise click.UsageError(
            f"`{net.name}` reads texts: put them into the column"
            f" `{net.ports[0].name}` of a .csv, each as long as a window"
        )
    if not _may_be_idx(path):
        raise click.UsageError(
            f"`{path}` is not .npz, .npy, .csv or IDX, nor .tsv, .jsonl, .parquet or .feather"
        )


def _may_be_idx(path: Path) -> bool:
    """Return whether a file starts like IDX, or like gzip, which may contain IDX."""
    try:
        with path.open("rb") as file:
            return file.read(2) in (b"\0\0", b"\x1f\x8b", b"")
    except OSError as error:
        raise click.UsageError(f"cannot read `{path}`: {error.strerror}") from None


def _copied(net: Net, path: Path, keep: str | None) -> dict[str, list[str]]:
    """Return columns of the input as strings, by name. Raise a usage error for unknown names."""
    from specc.diagnostics import closest
    from specc.runtime.data.readers import request_of, table_of_source
    from specc.runtime.given import source

    if keep is None:
        return {}
    names = [each.strip() for each in keep.split(",")]
    call = source(path, net.program.recipe.data, {port.name for port in net.ports})
    table = table_of_source(request_of(call, (), Path()))
    for name in names:
        if name not in table.names:
            near = closest(name, table.names)
            hint = f"did you mean `{near}`?" if near else f"it has {', '.join(table.names)}"
            raise click.UsageError(f"{table.title} has no column `{name}` to keep; {hint}")
    raw = table.read(names, names).raw
    found = {}
    for name in names:
        each = raw[name]
        texts = each.texts() if each.words is not None else list(map(str, each.array.tolist()))
        gaps = each.gaps().tolist()
        found[name] = ["" if gap else text for text, gap in zip(texts, gaps, strict=True)]
    return found


def _write(
    path: Path,
    kind: str,
    outputs: dict[str, np.ndarray],
    copied: dict[str, list[str]],
    source: Rows | None = None,
) -> None:
    """Write the outputs as arrays by name, or as a table with columns name_1, name_2, ...

    Rows that `source` leaves out get empty cells.
    """
    from specc.runtime.files import replace

    if kind == "npz":
        content = _archive(outputs, copied)
    else:
        content = _table(outputs, copied, source).encode()
    if path == STANDARD:
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
    else:
        replace(path, content)


def _archive(outputs: dict[str, np.ndarray], copied: dict[str, list[str]]) -> bytes:
    """Return an .npz file; unlike `numpy.savez`, it may have an array called `file`."""
    import numpy as np

    content = io.BytesIO()
    arrays: dict[str, Any] = {**{name: np.array(each) for name, each in copied.items()}, **outputs}
    with zipfile.ZipFile(content, "w") as archive:
        for name, array in arrays.items():
            if array.dtype == object:  # names of classes; None for rows left out
                array = np.array(["" if each is None else each for each in array.tolist()], np.str_)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array))
    return content.getvalue()


def _table(
    outputs: dict[str, np.ndarray], copied: dict[str, list[str]], source: Rows | None
) -> str:
    import csv

    names: list[str] = []
    tables: list[list[list[str]]] = []
    for name, array in outputs.items():
        table = array.reshape(len(array), -1)
        names += [name] if array.ndim == 1 else [f"{name}_{i + 1}" for i in range(table.shape[1])]
        tables.append([[_cell(each) for each in row] for row in table.tolist()])
    rows = [list(chain.from_iterable(row)) for row in zip(*tables, strict=True)]
    if source is not None:
        for place in set(range(source.count)) - set(source.kept.tolist()):
            rows[place] = [""] * len(names)
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow([*copied, *names])
    if copied:
        rows = [[*own, *row] for *own, row in zip(*copied.values(), rows, strict=True)]
    lines.writerows(rows)
    return text.getvalue()


def _cell(value: object) -> str:
    if isinstance(value, str) or value is None:
        return value or ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.8g}"
