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
    help="Draw the model to a file, .svg, .png or .pdf, instead of printing the table.",
)
@click.option(
    "--unroll",
    type=click.IntRange(min=2, max=12),
    metavar="STEPS",
    help="With --graph: draw sequences unrolled, with this number of time steps.",
)
def show(
    file: Path,
    changes: tuple[str, ...],
    stage: str | None,
    graph: Path | None,
    unroll: int | None,
) -> None:
    """Show a model's layers, shapes and memory."""
    from specc import driver

    if unroll is not None and graph is None:
        raise click.UsageError("--unroll needs --graph OUT.svg")
    if graph is not None:
        if stage is not None:
            raise click.UsageError("--stage and --graph cannot be combined")
        _draw(file, changes, graph, unroll)
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


def _draw(file: Path, changes: tuple[str, ...], path: Path, unroll: int | None) -> None:
    """Write the drawing of a model to a file."""
    from specc import driver
    from specc.cli.figure import check
    from specc.cli.whole import write_whole
    from specc.drawing.diagram import diagram
    from specc.drawing.placed import placed
    from specc.drawing.unrolled import unrolled

    check(path, "drawing")
    program = checked(driver.read(file), overrides(changes))
    if unroll is None:
        made = diagram(program)
        scene = placed(made)
    else:
        made = diagram(program, is_whole=True)
        try:
            scene = unrolled(made, program, unroll)
        except LookupError as error:
            raise click.UsageError(f"`{file}` cannot be unrolled: {error.args[0]}") from None
    if path.suffix.lower() == ".svg":
        from specc.drawing.svg import printed

        write_whole(path, printed(scene))
    else:
        from specc.drawing.paper import drawn

        write_whole(path, drawn(scene, path.suffix.lower().removeprefix(".")))
    click.echo(f"wrote {path} ({len(made.boxes)} boxes)")
