"""`specc convert FILE` and `specc schema`: models as JSON, for programs that write models."""

from __future__ import annotations

import json
from pathlib import Path

import click

from specc.cli.session import FILE
from specc.cli.whole import write_whole
from specc.diagnostics import SpecError
from specc.frontend.syntax.reading import read_source
from specc.source import Source


@click.command()
@click.argument("file", type=FILE)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; without it specc prints the result.",
)
def convert(file: Path, output: Path | None) -> None:
    """Convert a model between .dl and JSON.

    A .dl FILE becomes JSON, and a .json FILE becomes .dl text. Converting to JSON and back gives
    the same file, in the layout of `specc fmt`. Every command also accepts models in JSON form.
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
    """Return the JSON form of a source. Raises SpecError for syntax errors."""
    from specc.frontend.jsonform.write import to_json
    from specc.frontend.layout.format import formatted
    from specc.frontend.syntax.parse import parse

    file, diagnostics = parse(Source(source.name, formatted(source)))
    if diagnostics:
        raise SpecError(diagnostics)
    return to_json(file)


@click.command()
def schema() -> None:
    """Print the JSON Schema for models in JSON form."""
    from specc.frontend.jsonform import shapes

    click.echo(json.dumps(shapes.schema(), indent=2))
