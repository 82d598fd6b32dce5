"""`specc new DIR`: creates a project that trains at once, from a template or the user's data."""

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
    help="Kind of project, with example data.",
)
@click.option(
    "--from",
    "given",
    type=click.Path(exists=True, path_type=Path),
    metavar="FILE|FOLDER",
    help="Your own data: a table (.csv, .tsv, .parquet, ..), a text (.txt), or a folder with one"
    " folder of images per class.",
)
@click.option(
    "--target", metavar="COLUMN", help="Column of the table to predict  [default: chosen by name]"
)
def new(folder: Path, template: str, given: Path | None, target: str | None) -> None:
    """Create a project that trains at once.

    new writes a model, its data and a README into the new folder DIR. With --from, the model is for
    your data: it predicts one column of a table from the others, classifies images, or generates
    text. Comments in the model explain how the data is used.
    """
    from specc.projects.table import identifier
    from specc.projects.templates import TEMPLATES, readme

    name = identifier(folder.resolve().name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise click.UsageError(f"`{folder}` exists and is not an empty folder")
    kind = template if given is None else _kind_of(given)
    if target is not None and (given is None or kind != "table"):
        raise click.UsageError("--target needs a table given with --from")
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
    """Return the kind of project for the user's data."""
    if given.is_dir():
        return "images"
    return "text" if given.suffix.lower() in TEXTS else "table"


def _model(kind: str, given: Path, name: str, path: str, target: str | None) -> str:
    """Return the text of the model. Raises ValueError if the data is not suitable."""
    from specc.projects.look import looked_at
    from specc.projects.own import pictures, writing
    from specc.projects.table import model_for

    if kind == "images":
        return pictures(given, name, path)
    if kind == "text":
        return writing(given, name, path)
    return model_for(looked_at(given), name, path, target)


def laid_out(text: bytes, name: str) -> bytes:
    """Return the text of a model, formatted by `specc fmt`."""
    from specc.frontend.layout.format import formatted
    from specc.source import Source

    return formatted(Source(name, text.decode())).encode()
