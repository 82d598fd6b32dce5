"""`specc check FILE...`: all errors and warnings of model files, in one of several formats."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import click

from specc.cli.render import FORMATS, render, summary
from specc.cli.session import FILE_OR_INPUT, FOLDER, STANDARD_INPUT, is_coloured, read_input
from specc.diagnostics import Diagnostic, SpecError
from specc.frontend.syntax.reading import read_source
from specc.source import Source


@click.command()
@click.argument("files", nargs=-1, required=True, type=FILE_OR_INPUT, metavar="FILE...")
@click.option(
    "--format",
    "format_",
    type=click.Choice(list(FORMATS)),
    default="full",
    show_default=True,
    help="Output format.",
)
@click.option(
    "--data",
    type=FOLDER,
    help="Folder for relative data paths  [default: the folder of FILE]",
)
@click.option("--no-data", is_flag=True, help="Check only the model files, not their data.")
@click.option(
    "--fix",
    is_flag=True,
    help="Apply safe fixes, such as spelling and syntax, to the files in place.",
)
@click.option("--watch", is_flag=True, help="Check again whenever a file changes.")
def check(
    files: tuple[Path, ...], format_: str, data: Path | None, no_data: bool, fix: bool, watch: bool
) -> int:
    """Check model files and their data for errors.

    FILE may be `-` for standard input. Data files named in a model are checked too: their columns,
    shapes, types and values. A missing data file is an error; --no-data skips the data.

    The exit status is 1 if there are errors, else 0.
    """
    if STANDARD_INPUT in files and (fix or watch):
        raise click.UsageError(f"cannot {'fix' if fix else 'watch'} standard input (`-`)")
    if data is not None and no_data:
        raise click.UsageError("--data and --no-data cannot be combined")

    def run() -> int:
        return _check(files, format_, fix, data, not no_data)

    if not watch:
        return run()
    from specc.cli.watch import watch as watch_files

    watch_files(lambda: _with_used(files, data), run)
    return 0


def _check(
    files: tuple[Path, ...], format_: str, fix: bool, data: Path | None, looks_at_data: bool
) -> int:
    # syntax trees and graphs are not garbage: collecting it took 1/3 of the time for a long file
    gc.set_threshold(1_000_000, 50, 100)
    if fix:
        for file in files:
            _fix(file)
    found = []
    for file in files:
        found += _found(file, data, looks_at_data)
    click.echo(render(found, format_, is_coloured(sys.stdout)), nl=False)
    if format_ == "full":
        count = f"{len(files)} file{'s' * (len(files) > 1)}"
        count += " checked" + ("" if looks_at_data else ", without data")
        click.echo(f"{chr(10) if found else ''}{count}: {summary(found) or 'no errors'}")
    return int(any(each.severity == "error" for each in found))


def _found(file: Path, data: Path | None, looks_at_data: bool) -> list[Diagnostic]:
    """Return the diagnostics of a file and of its data."""
    from specc import driver
    from specc.runs.verdict import SECONDS, data_verdict, drafted

    try:
        source = read_input() if file == STANDARD_INPUT else driver.read(file)
    except SpecError as error:
        return error.diagnostics
    program, found, searched = driver.check_all(source)
    if searched is not None:
        click.echo(f"{source.name}: {searched} checked", err=True)
    drawn = program or drafted(source, found) if looks_at_data else None
    if drawn is None:
        return found
    verdict = data_verdict(source, drawn, data or file.parent, seconds=SECONDS)
    for each in verdict.partial:
        click.echo(f"{source.name}: the data was read in part: {each}", err=True)
    # warnings about the data are left out if errors of the file may have caused them
    told = [each for each in verdict.found if program is not None or each.severity == "error"]
    return list(dict.fromkeys([*found, *told]))


def _fix(file: Path) -> None:
    """Apply the safe fixes to a file, and report them on stderr."""
    from specc import driver
    from specc.cli.whole import write_whole
    from specc.frontend.fix.apply import fixed_source

    if file.suffix == ".json":
        return  # fixes apply only to .dl files
    try:
        source = read_source(file)
    except SpecError:
        return  # the check reports the reason
    fixed, fixes = fixed_source(source, lambda each: driver.check(each, {})[1])
    if fixes:
        write_whole(file, fixed.text)
        what = "; ".join(each.message for each in fixes)
        click.echo(f"fixed {file} ({len(fixes)}): {what}", err=True)


def _with_used(files: tuple[Path, ...], data: Path | None = None) -> list[Path]:
    """Return the files, those that they import with `use`, and their data files."""
    from specc import driver
    from specc.driver import used_files

    found = list(files)
    for file in files:
        try:
            source = driver.read(file)
            found += [file.parent / name for name in used_files(source)]
        except SpecError:
            continue
        found += [(data or file.parent) / name for name in _data_files(source)]
    return found


def _data_files(source: Source) -> list[str]:
    """Return the data files that a source names."""
    from specc.frontend.syntax import ast
    from specc.frontend.syntax.parse import parse

    nodes = [node for each in parse(source)[0].definitions for node in ast.walk(each)]
    calls = [each.source for each in nodes if isinstance(each, (ast.Data, ast.Validate, ast.Test))]
    values = [each.value for call in calls if call is not None for each in call.inputs]
    return [each.value for each in values if isinstance(each, ast.String)]
