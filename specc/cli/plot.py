"""`specc plot RUN|FILE KIND -o FILE`: plots a run or a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from specc.cli.figure import METHOD_HELP, METHODS, check, write
from specc.cli.session import LISTENER, RunName
from specc.diagnostics import closest

if TYPE_CHECKING:
    from specc.plots.kinds import FigureKind
    from specc.plots.subject import Subject


@click.command()
@click.argument("source", metavar="RUN|FILE", type=RunName(or_file=True), required=False)
@click.argument("kind", required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write, .svg, .png or .pdf  [default: KIND.svg]",
)
@click.option(
    "--part",
    type=click.Choice(["training", "validation", "test"]),
    help="Examples to use  [default: test data if there is any, else validation]",
)
@click.option("--layer", metavar="PATH", help="Layer for `features`.")
@click.option(
    "--example",
    type=click.IntRange(min=1),
    help="Number of the example for `maps`, `states` and `attention`  [default: 1]",
)
@click.option("--method", type=click.Choice(METHODS), help=METHOD_HELP)
def plot(
    source: Path | None,
    kind: str | None,
    output: Path | None,
    part: str | None,
    layer: str | None,
    example: int | None,
    method: str | None,
) -> None:
    """Plot a run or a model.

    KIND is the kind of plot: `curves`, `confusion`, `filters`, ... Without KIND, all kinds are
    listed, with the reason if RUN or FILE cannot be plotted that way.

    A run is plotted with its best weights, a file with its initial weights.
    """
    from specc.plots.kinds import KINDS, find

    if kind is not None and kind not in [each.name for each in KINDS]:
        near = closest(kind, [each.name for each in KINDS])
        hint = f"; did you mean `{near}`?" if near else ": `specc plot` lists them"
        raise click.UsageError(f"unknown plot `{kind}`{hint}")
    if kind is None:
        _list(None if source is None else _subject(source, part))
        return
    assert source is not None
    path = output or Path(f"{kind}.svg")
    check(path)
    chosen, subject = find(kind), _subject(source, part)
    if why := chosen.why_not(subject):
        raise click.UsageError(f"cannot plot `{kind}` for `{source}`: {why}")
    _draw(chosen, subject, path, _options(chosen, layer, example, method, subject))


def _subject(source: Path, part: str | None) -> Subject:
    from specc.plots.subject import of_file, of_run

    if source.is_file():
        return of_file(source, LISTENER, part=part)
    return of_run(source, LISTENER, part)


def _options(
    kind: FigureKind, layer: str | None, example: int | None, method: str | None, subject: Subject
) -> dict[str, object]:
    """Return the options of a plot. Raises a usage error for options that it does not have."""
    given: dict[str, object] = {}
    if layer is not None:
        paths = [each.path for each in subject.program.layers]
        if layer not in paths:
            near = closest(layer, paths)
            hint = f"; did you mean `{near}`?" if near else f"; it has {', '.join(paths)}"
            raise click.UsageError(f"{subject.name} has no layer `{layer}`{hint}")
        given["layer"] = layer
    if example is not None:
        if example > subject.count:
            raise click.UsageError(f"--example must be 1 to {subject.count:,}, not {example:,}")
        given["example"] = example - 1
    if method is not None:
        given["method"] = method
    if extra := [name for name in given if name not in kind.options]:
        raise click.UsageError(f"`{kind.name}` has no option --{extra[0]}")
    return given


def _list(subject: Subject | None) -> None:
    """Print all kinds of plots; with a subject, also what it lacks for each."""
    from specc.plots.kinds import KINDS

    wide = max(len(each.name) for each in KINDS)
    for each in KINDS:
        why = "" if subject is None else each.why_not(subject)
        click.echo(
            f"  {each.name:<{wide}}  {each.summary}" + (f"  (not here: {why})" if why else "")
        )


def _draw(kind: FigureKind, subject: Subject, path: Path, options: dict[str, object]) -> None:
    try:
        figure = kind.draw(subject, **options)
    except (LookupError, ImportError) as error:
        raise click.UsageError(f"cannot plot `{kind.name}`: {error.args[0]}") from None
    write(figure, path)
    click.echo(figure.caption)
    click.echo(f"wrote {path}")
