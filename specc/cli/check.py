"""`specc check FILE...`: every mistake of some files, in one of several formats."""

from __future__ import annotations

import gc
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
@click.option(
    "--fix", is_flag=True, help="Mend what can be mended without changing what is meant, in the files."
)
@click.option("--watch", is_flag=True, help="Check again whenever a file changes.")
def check(files: tuple[Path, ...], format_: str, fix: bool, watch: bool) -> int:
    """Report every mistake in FILEs, at its place.

    Exits with 0 if there are only warnings or nothing, with 1 if there are errors.
    """
    if not watch:
        return _check(files, format_, fix)
    from specc.cli.watch import watch as watch_files

    watch_files(lambda: _with_used(files), lambda: _check(files, format_, fix))
    return 0


def _check(files: tuple[Path, ...], format_: str, fix: bool) -> int:
    from specc import driver

    # trees and graphs are no garbage: looking for it took a third of the time of a long file
    gc.set_threshold(100_000, 50, 100)
    if fix:
        for file in files:
            _mend(file)
    found = []
    for file in files:
        found += driver.check(file, {})[1]
    click.echo(render(found, format_, is_coloured(sys.stdout)), nl=False)
    if format_ == "full":
        count = f"{len(files)} file{'s' * (len(files) > 1)}"
        click.echo(f"{chr(10) if found else ''}{count} checked: {summary(found) or 'no mistakes'}")
    return int(any(each.severity == "error" for each in found))


def _mend(file: Path) -> None:
    """Applies the safe fixes to a file, and says so on the side."""
    from specc import driver
    from specc.cli.whole import write_whole
    from specc.diagnostics import SpecError
    from specc.frontend.mend import mended_source
    from specc.source import Source

    if file.suffix == ".json":
        return  # its text is not what the fixes are of
    try:
        source = Source.read(file)
    except SpecError:
        return  # the check says why
    mended, fixes = mended_source(source, lambda each: driver.check(each, {})[1])
    if fixes:
        write_whole(file, mended.text)
        what = "; ".join(each.message for each in fixes)
        click.echo(f"mended {file} ({len(fixes)}): {what}", err=True)


def _with_used(files: tuple[Path, ...]) -> list[Path]:
    """The files, and those that they bring in with `use`."""
    from specc import driver
    from specc.cli.session import used_files
    from specc.diagnostics import SpecError

    found = list(files)
    for file in files:
        try:
            found += [file.parent / name for name in used_files(driver.read(file))]
        except SpecError:
            continue
    return found
