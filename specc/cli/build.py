"""`specc build FILE [-o model.py]`: the code that a model is compiled from, written to be read."""

from __future__ import annotations

from pathlib import Path

import click

from specc.cli.session import FILE, checked, overrides


@click.command()
@click.argument("file", type=FILE)
@click.argument("changes", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The Python file to write; without it the code is printed.",
)
@click.option(
    "--dtype", type=click.Choice(["float32", "float64"]), default="float32", show_default=True
)
@click.option("--threads", type=click.IntRange(min=1), help="By default 1.")
def build(
    file: Path, changes: tuple[str, ...], output: Path | None, dtype: str, threads: int | None
) -> None:
    """Write the Python that the model in FILE is compiled from."""
    from specc import driver
    from specc.runtime.files import replace

    program = checked(driver.read(file), overrides(changes))
    text = driver.build(program, dtype=dtype, threads=threads)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        replace(output, text.encode())
    except OSError as error:
        raise click.UsageError(f"`{output}` cannot be written: {error.strerror}") from None
    click.echo(f"wrote {output} ({len(text.splitlines()):,} lines)")
