"""`specc cache`: shows and deletes the cache of compiled code."""

from __future__ import annotations

import shutil
from pathlib import Path

import click


@click.group("cache", invoke_without_command=True)
@click.pass_context
def cache(context: click.Context) -> None:
    """Show or delete the cache of compiled code."""
    if context.invoked_subcommand is None:
        from specc.system.folders import cache_folder

        folder = cache_folder()
        click.echo(f"{folder}: {_size(folder)}")


@cache.command("clean")
@click.option("--yes", is_flag=True, help="Delete without asking.")
def clean(yes: bool) -> None:
    """Delete all compiled code.

    The next run of each model compiles again. This also deletes the machine's profile, which
    kernels were the fastest, and decoded images. specc makes all of it again when it needs it. Runs
    and data sets are not deleted.
    """
    from specc.system.folders import cache_folder

    folder = cache_folder()
    if not folder.is_dir() or not any(folder.iterdir()):
        click.echo(f"{folder} is empty")
        return
    size = _size(folder)
    if not yes and not click.confirm(f"delete {size} in {folder}?"):
        return
    for each in folder.iterdir():
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each, ignore_errors=True)
        else:
            each.unlink(missing_ok=True)
    click.echo(f"deleted {size} in {folder}")


def _size(folder: Path) -> str:
    files = [each for each in folder.rglob("*") if each.is_file()] if folder.is_dir() else []
    total = sum(each.stat().st_size for each in files)
    return f"{len(files):,} file{'s' * (len(files) != 1)}, {total / 1e6:,.1f} MB"
