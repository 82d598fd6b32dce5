"""`specc fmt FILE...`: format model files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from specc.cli.session import FILE_OR_INPUT, STANDARD_INPUT, is_coloured, read_input, report
from specc.cli.whole import write_whole
from specc.diagnostics import SpecError
from specc.frontend.syntax.reading import read_source
from specc.source import Source


@click.command()
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=FILE_OR_INPUT,
    metavar="FILE...",
)
@click.option("--check", is_flag=True, help="Write nothing; list the files that would change.")
@click.option("--diff", is_flag=True, help="Write nothing; print the changes as a diff.")
def fmt(files: tuple[Path, ...], check: bool, diff: bool) -> int:
    """Format model files.

    Only spaces and line breaks change. If FILE is `-`, fmt reads standard input and writes the
    result to standard output. The exit status is 1 if a file has syntax errors, or with --check or
    --diff if a file would change.
    """
    from specc.frontend.layout.format import formatted

    for path in files:
        if path.suffix == ".json":
            raise click.UsageError(f"`{path}` is not a .dl file; convert it with `specc convert`")
    is_bad, changed = False, 0
    for path in files:
        try:
            source = _read(path)
            text = formatted(source)
        except SpecError as error:
            report(error.diagnostics)
            is_bad = True
            continue
        is_same = text == source.text and (
            path == STANDARD_INPUT or path.read_bytes() == text.encode()
        )
        changed += not is_same
        if diff:
            lines = _difference(source, text)
            click.echo("".join(_coloured(lines) if is_coloured(sys.stdout) else lines), nl=False)
        elif check:
            if not is_same:
                click.echo(f"would change {source.name}")
        elif path == STANDARD_INPUT:
            click.echo(text, nl=False)
        elif not is_same:
            write_whole(path, text)
            click.echo(f"wrote {path}")
    return int(is_bad or ((check or diff) and changed > 0))


def _read(path: Path) -> Source:
    return read_input() if path == STANDARD_INPUT else read_source(path)


def _difference(source: Source, text: str) -> list[str]:
    import difflib

    lines = difflib.unified_diff(
        source.text.splitlines(keepends=True),
        text.splitlines(keepends=True),
        source.name,
        source.name,
    )
    return [
        line if line.endswith("\n") else f"{line}\n\\ no newline at the end of the file\n"
        for line in lines
    ]


def _coloured(lines: list[str]) -> Iterator[str]:
    colours = {"+": "32", "-": "31", "@": "36"}
    for line in lines:
        colour = colours.get(line[0]) if not line.startswith(("+++", "---")) else "1"
        yield f"\x1b[{colour}m{line.rstrip()}\x1b[0m\n" if colour else line
