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
from click.shell_completion import CompletionItem

from specc.cli.render import render
from specc.diagnostics import Diagnostic, SpecError
from specc.recipe import PRECISIONS
from specc.runs import programs
from specc.source import Source

if TYPE_CHECKING:
    from specc.ir.program import Program
    from specc.runtime.data import Data
    from specc.runtime.run import RunFolder

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FILE_OR_INPUT = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
STANDARD_INPUT = Path("-")
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


class RunName(click.ParamType):
    """A run, given by its folder or its name: `runs/digits/3`, `digits/3`, `@last`, `@best`.

    With `or_file`, the path of a file is accepted too.
    """

    name = "run"

    def __init__(self, or_file: bool = False) -> None:
        self.or_file = or_file

    def convert(
        self, value: object, param: click.Parameter | None, context: click.Context | None
    ) -> Path:
        from specc.runs.names import folder_of

        path = Path(str(value))
        if self.or_file and path.is_file():
            return path
        try:
            return folder_of(path)
        except SpecError as error:
            (found,) = error.diagnostics
            message = f"there is no file or run `{value}`" if self.or_file else found.message
            help_ = f"; {found.help}" if found.help else ""
            raise click.UsageError(message + help_, context) from None

    def shell_complete(
        self, context: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from specc.runs.names import WORDS, folders, name_of

        names = [*WORDS, *map(name_of, folders())]
        found = [CompletionItem(each) for each in names if each.startswith(incomplete)]
        return [*found, CompletionItem(incomplete, type="file" if self.or_file else "dir")]


RUN = RunName()
FILE_OR_RUN = RunName(or_file=True)
PRECISION = click.Choice(PRECISIONS)
PRECISION_HELP = "Format that operands of matrix products are rounded to"
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
        if not equals or not value or not all(map(str.isidentifier, key.split("."))):
            raise click.UsageError(f"`{argument}` is neither an option nor of the form KEY=VALUE")
        if key in found:
            raise click.UsageError(f"`{key}` is given twice")
        found[key] = value
    return found


def with_precision(values: dict[str, str], precision: str | None) -> dict[str, str]:
    """Add the value of the option `--precision` to the overrides, as a setting of `train`."""
    if precision is None:
        return values
    if values.get("precision", precision) != precision:
        raise click.UsageError(
            f"`--precision {precision}` and `precision={values['precision']}` differ"
        )
    return {**values, "precision": precision}


class OnStderr:
    """Prints warnings and notes on stderr: the commands' `Listener`."""

    def diagnostics(self, found: Iterable[Diagnostic]) -> None:
        report(found)

    def warn(self, message: str) -> None:
        click.echo(f"warning: {message}", err=True)

    def note(self, message: str) -> None:
        click.echo(message, err=True)


LISTENER = OnStderr()


def checked(source: Source, changes: Mapping[str, str | int], comes_again: bool = False) -> Program:
    """Return the program of a source, and print its warnings: see `specc.runs.programs`."""
    return programs.checked(source, changes, LISTENER, comes_again)


def run_program(run: RunFolder, changes: Mapping[str, str | int]) -> Program:
    """Return the program of a run, and print warnings: see `specc.runs.programs`."""
    return programs.run_program(run, changes, LISTENER)


def tell_left_out(data: Data) -> None:
    """Print on stderr how many rows of the data were left out."""
    for each in data.left_out:
        LISTENER.note(each)
