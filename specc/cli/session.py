"""Steps that the commands share: check the program of a file or a run, and print messages.

program = checked(read_source("lenet.dl"), {"classes": "10"})     # warnings printed; or SpecError
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from specc.cli.render import render
from specc.diagnostics import Diagnostic, SpecError
from specc.reading import read_source
from specc.source import Source

if TYPE_CHECKING:
    from specc.ir.program import Program
    from specc.runtime.data import Data
    from specc.runtime.run import Run

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FILE_OR_INPUT = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
STANDARD_INPUT = Path("-")
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
THREADS_HELP = "Number of threads  [default: one per CPU, fewer for small models]"


def report(diagnostics: Iterable[Diagnostic]) -> None:
    """Print diagnostics in full on stderr."""
    click.echo(render(diagnostics, "full", is_coloured(sys.stderr)), err=True, nl=False)


def read_input() -> Source:
    """Return the source on standard input. Raises a usage error if it is not UTF-8."""
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"standard input is not UTF-8 (byte {error.start})"
        raise click.UsageError(message) from None
    return Source("standard input", text.replace("\r\n", "\n").replace("\r", "\n"))


def is_coloured(stream: TextIO) -> bool:
    """Return whether to use colors: on a terminal without NO_COLOR (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def overrides(arguments: Sequence[str]) -> dict[str, str]:
    """Return `key=value` arguments as a dictionary. Raises a usage error for others."""
    found: dict[str, str] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or not key.isidentifier() or not value:
            raise click.UsageError(f"`{argument}` is neither an option nor of the form KEY=VALUE")
        if key in found:
            raise click.UsageError(f"`{key}` is given twice")
        found[key] = value
    return found


def checked(source: Source, changes: Mapping[str, str | int], comes_again: bool = False) -> Program:
    """Return the program of a source, and print its warnings. Raises SpecError with all errors.

    With `comes_again`, the caller checks a program with symbolic dimensions again when their sizes
    are known, so its warnings are not printed yet.
    """
    from specc import driver

    program, found = driver.check(source, changes)
    if program is None:
        if found:
            raise SpecError(found)
        return driver.load(source, changes)  # raises: there is no model
    if found and not (comes_again and program.open_sizes):
        report(found)
    return program


def look_at_data(
    source: Source, program: Program, folder: Path, changes: Mapping[str, str]
) -> None:
    """Compare a sample of the data with the program, and print warnings. Raises SpecError."""
    from specc.cli.verdict import data_verdict

    found = data_verdict(source, program, folder, changes).found
    if any(each.severity == "error" for each in found):
        raise SpecError(found)
    if found:
        report(found)


def run_program(run: Run, changes: Mapping[str, str | int], threads: int | None = None) -> Program:
    """Return the program of a run, with the changes that it was trained with and new `changes`.

    Raises `RunError` if its files were edited. A different machine or different versions of
    packages are a warning. `threads` is the number of threads with which a training is resumed.
    """
    from specc.cli.provenance import compare_model

    compare_model(run, threads)
    known: dict[str, str | int] = {**run.record.sizes, **run.record.overrides}
    return checked(read_source(run.folder / "model.dl"), {**known, **changes})


def tell_left_out(data: Data) -> None:
    """Print on stderr how many rows of the data are left out."""
    for each in data.left_out:
        click.echo(each, err=True)


def warn_of_crowd(threads: int | None) -> None:
    """Print a warning if there are fewer processors than requested threads."""
    from specc import driver

    if threads is not None and threads > driver.processors():
        there = driver.processors()
        click.echo(
            f"warning: {threads} threads share {there} CPU{'s' * (there > 1)}, which is slower than"
            " one thread per CPU",
            err=True,
        )


def used_files(source: Source) -> dict[str, Source]:
    """Return the files that a checked source imports with `use`, by relative path."""
    from specc.frontend.syntax import ast
    from specc.frontend.syntax.parse import parse

    root = Path(source.name).parent
    found: dict[str, Source] = {}
    waiting = [source]
    while waiting:
        user = waiting.pop()
        for definition in parse(user)[0].definitions:
            if isinstance(definition, ast.Use):
                path = Path(os.path.normpath(Path(user.name).parent / definition.path.value))
                relative = os.path.relpath(path, root)
                if relative not in found:
                    found[relative] = read_source(path)
                    waiting.append(found[relative])
    return found
