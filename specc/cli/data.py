"""`specc data`: well-known data sets in the user's data folder."""

from __future__ import annotations

import sys

import click


@click.group("data", invoke_without_command=True)
@click.pass_context
def data(context: click.Context) -> None:
    """List or download well-known data sets."""
    if context.invoked_subcommand is not None:
        return
    from specc.recipe.datasets import DATASETS
    from specc.system.folders import data_folder

    folder = data_folder()
    width = max(map(len, DATASETS))
    for name, each in DATASETS.items():
        is_there = all((folder / name / file.name).is_file() for file in each.files)
        size = sum(file.size for file in each.files) / 1e6
        state = "fetched" if is_there else f"{size:,.0f} MB"
        click.echo(f"{name:<{width}}  {state:>7}  {each.about}")
    click.echo(f"folder: {folder}")


@data.command("fetch")
@click.argument("name")
def fetch(name: str) -> None:
    """Download a data set into the user's data folder.

    Each file is verified. If the connection breaks, run the same command again to resume.
    SPECC_DATA_DIR sets another folder.
    """
    from specc.diagnostics import closest
    from specc.recipe.datasets import DATASETS
    from specc.runtime.fetch import fetch as fetched
    from specc.system.folders import data_folder

    if name not in DATASETS:
        near = closest(name, DATASETS, {"fashion_mnist": "fashion-mnist", "cifar": "cifar10"})
        hint = f"did you mean `{near}`?" if near else f"there are {', '.join(DATASETS)}"
        raise click.UsageError(f"unknown data set `{name}`; {hint}")
    is_terminal = sys.stderr.isatty()

    def progress(file: str, done: int, total: int) -> None:
        if is_terminal:
            end = "\n" if done >= total else ""
            click.echo(
                f"\r{file}  {done / 1e6:.1f} of {total / 1e6:.1f} MB{end}", err=True, nl=False
            )

    for path in fetched(name, data_folder(), progress):
        click.echo(str(path))
    click.echo(f"in a `train` block: {DATASETS[name].usage}")
