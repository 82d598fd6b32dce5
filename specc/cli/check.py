"""`specc check FILE...`: every mistake of some files, in one of several formats."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import click

from specc.cli.render import FORMATS, render, summary
from specc.cli.session import FILE_OR_INPUT, FOLDER, STANDARD_INPUT, is_coloured, read_input
from specc.diagnostics import Diagnostic, SpecError
from specc.reading import read_source
from specc.source import Source


@click.command()
@click.argument("files", nargs=-1, required=True, type=FILE_OR_INPUT, metavar="FILE...")
@click.option(
    "--format",
    "format_",
    type=click.Choice(list(FORMATS)),
    default="full",
    show_default=True,
    help="How mistakes are printed.",
)
@click.option(
    "--data",
    type=FOLDER,
    help="The folder where relative paths of data start; by default FILE's.",
)
@click.option("--no-data", is_flag=True, help="Leave the data out: check only the model files.")
@click.option(
    "--fix",
    is_flag=True,
    help="Mend what can be mended without changing what is meant, in the files.",
)
@click.option("--watch", is_flag=True, help="Check again whenever a file changes.")
def check(
    files: tuple[Path, ...], format_: str, data: Path | None, no_data: bool, fix: bool, watch: bool
) -> int:
    """Report every mistake in FILEs, at its place. `-` is the standard input.

    The data that a file names is checked, too: its columns, shapes, types and values. A data file
    that does not exist is an error; --no-data leaves the data out.

    Exits with 0 if there are only warnings or nothing, with 1 if there are errors.
    """
    if STANDARD_INPUT in files and (fix or watch):
        raise click.UsageError(f"`-` is no file to {'mend' if fix else 'watch'}")
    if data is not None and no_data:
        raise click.UsageError("--data says where the data are, --no-data that they are left out")

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
    # trees and graphs are no garbage: looking for it took a third of the time of a long file
    gc.set_threshold(1_000_000, 50, 100)
    if fix:
        for file in files:
            _mend(file)
    found = []
    for file in files:
        found += _found(file, data, looks_at_data)
    click.echo(render(found, format_, is_coloured(sys.stdout)), nl=False)
    if format_ == "full":
        count = f"{len(files)} file{'s' * (len(files) > 1)}"
        count += " checked" + ("" if looks_at_data else ", data left out")
        click.echo(f"{chr(10) if found else ''}{count}: {summary(found) or 'no mistakes'}")
    return int(any(each.severity == "error" for each in found))


def _found(file: Path, data: Path | None, looks_at_data: bool) -> list[Diagnostic]:
    """What is wrong with a file and with its data."""
    from specc import driver
    from specc.cli.verdict import SECONDS, data_verdict, drafted

    try:
        source = read_input() if file == STANDARD_INPUT else driver.read(file)
    except SpecError as error:
        return error.diagnostics
    program, found = driver.check(source, {})
    drawn = program or drafted(source, found) if looks_at_data else None
    if drawn is None:
        return found
    verdict = data_verdict(source, drawn, data or file.parent, seconds=SECONDS)
    for each in verdict.partial:
        click.echo(f"{source.name}: the data was read in part: {each}", err=True)
    # beside errors no warnings that may follow from them
    told = [each for each in verdict.found if program is not None or each.severity == "error"]
    return list(dict.fromkeys([*found, *told]))


def _mend(file: Path) -> None:
    """Applies the safe fixes to a file, and says so on the side."""
    from specc import driver
    from specc.cli.whole import write_whole
    from specc.frontend.fix.apply import mended_source

    if file.suffix == ".json":
        return  # its text is not what the fixes are of
    try:
        source = read_source(file)
    except SpecError:
        return  # the check says why
    mended, fixes = mended_source(source, lambda each: driver.check(each, {})[1])
    if fixes:
        write_whole(file, mended.text)
        what = "; ".join(each.message for each in fixes)
        click.echo(f"mended {file} ({len(fixes)}): {what}", err=True)


def _with_used(files: tuple[Path, ...], data: Path | None = None) -> list[Path]:
    """The files, those that they bring in with `use`, and their data."""
    from specc import driver
    from specc.cli.session import used_files

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
    """The files of data that a source names."""
    from specc.frontend.syntax import ast
    from specc.frontend.syntax.parse import parse

    nodes = [node for each in parse(source)[0].definitions for node in ast.walk(each)]
    calls = [each.source for each in nodes if isinstance(each, (ast.Data, ast.Validate, ast.Test))]
    values = [each.value for call in calls if call is not None for each in call.inputs]
    return [each.value for each in values if isinstance(each, ast.String)]
