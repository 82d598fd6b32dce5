"""`specc build FILE [-o model.py]`: the Python source that a model compiles to, for reading."""

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
    help="Python file to write; without it specc prints the source.",
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float64"]),
    default="float32",
    show_default=True,
    help="Type of weights and activations.",
)
@click.option(
    "--shards",
    type=click.IntRange(min=1),
    help="Number of parts of a batch  [default: depends on the model]",
)
def build(
    file: Path, changes: tuple[str, ...], output: Path | None, dtype: str, shards: int | None
) -> None:
    """Print the Python source that a model compiles to."""
    from specc import driver
    from specc.runtime.files import replace

    program = checked(driver.read(file), overrides(changes))
    text = driver.build(program, dtype=dtype, shards=shards)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        replace(output, text.encode())
    except OSError as error:
        raise click.UsageError(f"cannot write `{output}`: {error.strerror}") from None
    click.echo(f"wrote {output} ({len(text.splitlines()):,} lines)")
