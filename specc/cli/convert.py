"""`specc convert FILE` and `specc schema`: the JSON form of a model, for programs that write models."""

from __future__ import annotations

import json
from pathlib import Path

import click

from specc.cli.session import FILE
from specc.cli.whole import write_whole
from specc.diagnostics import SpecError
from specc.reading import read_source
from specc.source import Source


@click.command()
@click.argument("file", type=FILE)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; without it the result is printed.",
)
def convert(file: Path, output: Path | None) -> None:
    """Turn a .dl FILE into its JSON form, and a .json FILE into .dl text.

    There and back gives the same file, in the layout of `specc fmt`. All commands that take a .dl file
    take its JSON form, too.
    """
    from specc import driver

    if file.suffix == ".json":
        text = driver.read(file).text
    else:
        text = json.dumps(_record(read_source(file)), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        click.echo(text, nl=False)
    else:
        write_whole(output, text)


def _record(source: Source) -> dict:
    """The JSON form of a source. Raises SpecError for mistakes in its syntax."""
    from specc.frontend.jsonform.write import to_json
    from specc.frontend.layout.format import formatted
    from specc.frontend.syntax.parse import parse

    file, diagnostics = parse(Source(source.name, formatted(source)))
    if diagnostics:
        raise SpecError(diagnostics)
    return to_json(file)


@click.command()
def schema() -> None:
    """Print the JSON Schema of the JSON form of a model (see `specc convert`)."""
    from specc.frontend.jsonform import shapes

    click.echo(json.dumps(shapes.schema(), indent=2))
