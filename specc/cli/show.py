"""`specc show FILE`: the layers of a model as a table, or a stage of its compilation."""

from __future__ import annotations

from pathlib import Path

import click

from specc.cli.session import FILE, checked, overrides


@click.command()
@click.argument("file", type=FILE)
@click.argument("changes", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--stage",
    metavar="NAME",
    help="Print a stage of the compilation (`plan`), or the result of a pass (`simplify`).",
)
@click.option(
    "--graph",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="OUT.svg",
    help="Draw the model as an SVG file instead of printing the table.",
)
def show(file: Path, changes: tuple[str, ...], stage: str | None, graph: Path | None) -> None:
    """Show a model's layers, shapes and memory."""
    from specc import driver

    if graph is not None:
        from specc.cli.whole import write_whole
        from specc.drawing.diagram import diagram
        from specc.drawing.svg import drawing

        if stage is not None:
            raise click.UsageError("--stage and --graph cannot be combined")
        if graph.suffix.lower() != ".svg":
            raise click.UsageError(f"cannot draw to `{graph}`: use a name that ends in .svg")
        made = diagram(checked(driver.read(file), overrides(changes)))
        write_whole(graph, drawing(made))
        click.echo(f"wrote {graph} ({len(made.boxes)} boxes)")
        return
    if stage is None:
        from specc.drawing.table import layer_table

        program = checked(driver.read(file), overrides(changes))
        click.echo(layer_table(program), nl=False)
        return
    if stage not in driver.stages():
        raise click.UsageError(f"unknown stage `{stage}`: use one of {', '.join(driver.stages())}")
    text = driver.show(file, stage, overrides(changes))
    click.echo(text.rstrip("\n"))
