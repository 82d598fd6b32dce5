"""`specc check FILE...`: every mistake of some files, in one of several formats."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from specc.cli.render import FORMATS, render, summary
from specc.cli.session import FILE, is_coloured


@click.command()
@click.argument("files", nargs=-1, required=True, type=FILE, metavar="FILE...")
@click.option(
    "--format",
    "format_",
    type=click.Choice(list(FORMATS)),
    default="full",
    show_default=True,
    help="How mistakes are printed.",
)
def check(files: tuple[Path, ...], format_: str) -> int:
    """Report every mistake in FILEs, at its place.

    Exits with 0 if there are only warnings or nothing, with 1 if there are errors.
    """
    from specc import driver

    found = []
    for file in files:
        found += driver.check(file, {})[1]
    click.echo(render(found, format_, is_coloured(sys.stdout)), nl=False)
    if format_ == "full":
        count = f"{len(files)} file{'s' * (len(files) > 1)}"
        click.echo(f"{chr(10) if found else ''}{count} checked: {summary(found) or 'no mistakes'}")
    return int(any(each.severity == "error" for each in found))
