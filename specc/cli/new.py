"""`specc new DIR`: a project that trains at once, from a template or from a file of one's own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click

KINDS = ("table", "images", "text", "sequence")
TEXTS = (".txt", ".md", ".text")


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
    "given",
    type=click.Path(exists=True, path_type=Path),
    metavar="FILE|FOLDER",
    help="Data of your own: a table (.csv, .tsv, .parquet, ..), a text (.txt), or a folder with a"
    " folder of pictures for each class.",
)
@click.option(
    "--target", metavar="COLUMN", help="Column of the table to predict  [default: guessed]"
)
def new(folder: Path, template: str, given: Path | None, target: str | None) -> None:
    """Make a project that trains at once.

    new writes a model, its data and a README into the new folder DIR. With --from, the model is
    for your data: it predicts one column of a table from the others, tells the pictures of a folder
    apart, or writes like a text. Comments say how the data is used.
    """
    from specc.projects.table import identifier
    from specc.projects.templates import TEMPLATES, readme

    name = identifier(folder.resolve().name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise click.UsageError(f"`{folder}` exists and is not an empty folder")
    kind = template if given is None else _kind_of(given)
    if target is not None and (given is None or kind != "table"):
        raise click.UsageError("--target names a column of the table that --from gives")
    if given is None:
        files = TEMPLATES[template](name)
        files["README.md"] = readme(name, template).encode()
    else:
        path = os.path.relpath(given, folder) if kind == "images" else given.name
        try:
            text = _model(kind, given, name, Path(path).as_posix(), target)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        files = {f"{name}.dl": text.encode()}
        files["README.md"] = readme(name, kind, Path(path).as_posix()).encode()
    files[f"{name}.dl"] = laid_out(files[f"{name}.dl"], f"{name}.dl")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for each, content in files.items():
            (folder / each).write_bytes(content)
        if given is not None and kind != "images":
            shutil.copyfile(given, folder / given.name)
    except OSError as error:
        raise click.UsageError(f"cannot write `{folder}`: {error.strerror}") from None
    click.echo(f"wrote {', '.join(sorted(files))} to {folder}")
    click.echo(f"next: cd {folder} && specc train {name}.dl")


def _kind_of(given: Path) -> str:
    """Return which kind of project data of one's own makes."""
    if given.is_dir():
        return "images"
    return "text" if given.suffix.lower() in TEXTS else "table"


def _model(kind: str, given: Path, name: str, path: str, target: str | None) -> str:
    """Return the text of the model; raises ValueError for data that makes none."""
    from specc.projects.own import pictures, writing
    from specc.projects.table import looked_at, model_for

    if kind == "images":
        return pictures(given, name, path)
    if kind == "text":
        return writing(given, name, path)
    return model_for(looked_at(given), name, path, target)


def laid_out(text: bytes, name: str) -> bytes:
    """Return the text of a model as `specc fmt` lays it out."""
    from specc.frontend.layout.format import formatted
    from specc.source import Source

    return formatted(Source(name, text.decode())).encode()
