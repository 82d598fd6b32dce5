"""`specc new DIR`: a project that trains at once, from a template or from a file of one's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from specc.cli.session import FILE

KINDS = ("table", "images", "text", "sequence")


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--template",
    type=click.Choice(KINDS),
    default="table",
    show_default=True,
    help="Kind of project, with made-up data.",
)
@click.option(
    "--from",
    "table",
    type=FILE,
    metavar="FILE",
    help="Table of your own (.csv, .tsv, .parquet, ..): the model follows from its columns.",
)
@click.option(
    "--target", metavar="COLUMN", help="Column of the table to predict  [default: guessed]"
)
def new(folder: Path, template: str, table: Path | None, target: str | None) -> None:
    """Make a project that trains at once.

    new writes a model, its data and a README into the new folder DIR. With --from, the model
    predicts one column of your table from the others; comments say how each column is used.
    """
    from specc.projects.table import identifier, looked_at, model_for
    from specc.projects.templates import TEMPLATES, readme

    name = identifier(folder.resolve().name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise click.UsageError(f"`{folder}` exists and is not an empty folder")
    if target is not None and table is None:
        raise click.UsageError("--target names a column of the table that --from gives")
    if table is None:
        files = TEMPLATES[template](name)
        files["README.md"] = readme(name, template).encode()
    else:
        try:
            text = model_for(looked_at(table), name, table.name, target)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        files = {f"{name}.dl": text.encode()}
        files["README.md"] = readme(name, "table", table.name).encode()
    files[f"{name}.dl"] = laid_out(files[f"{name}.dl"], f"{name}.dl")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for each, content in files.items():
            (folder / each).write_bytes(content)
        if table is not None:
            shutil.copyfile(table, folder / table.name)
    except OSError as error:
        raise click.UsageError(f"cannot write `{folder}`: {error.strerror}") from None
    click.echo(f"wrote {', '.join(sorted(files))} to {folder}")
    click.echo(f"next: cd {folder} && specc train {name}.dl")


def laid_out(text: bytes, name: str) -> bytes:
    """Return the text of a model as `specc fmt` lays it out."""
    from specc.frontend.layout.format import formatted
    from specc.source import Source

    return formatted(Source(name, text.decode())).encode()
