"""`specc report RUN`: writes one HTML page about a run."""

from __future__ import annotations

from pathlib import Path

import click

from specc.cli.figure import METHOD_HELP, METHODS
from specc.cli.session import LISTENER, RUN


@click.command()
@click.argument("folder", metavar="RUN", type=RUN)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write  [default: report.html in the folder of RUN]",
)
@click.option(
    "--part",
    type=click.Choice(["training", "validation", "test"]),
    help="Examples to use  [default: test data if there is any, else validation]",
)
@click.option("--method", type=click.Choice(METHODS), default="pca", help=METHOD_HELP)
@click.option("--open", "opens", is_flag=True, help="Open the report in a browser.")
def report(folder: Path, output: Path | None, part: str | None, method: str, opens: bool) -> None:
    """Write a report of a run as one HTML file.

    The report has the model's text and drawing, the training curves, and every plot that is
    possible: confusion matrix, mistakes, filters, states along a text, ... The file is
    self-contained.
    """
    from specc.cli.whole import write_whole
    from specc.plots.subject import of_run
    from specc.report.page import page

    path = output or folder / "report.html"
    if not path.absolute().parent.is_dir():
        raise click.UsageError(f"there is no folder `{path.parent}` for the report")
    subject = of_run(folder, LISTENER, part)
    try:
        text = page(subject, lambda what: click.echo(what, err=True), method)
    except ImportError as error:
        raise click.UsageError(str(error)) from None
    write_whole(path, text)
    click.echo(f"wrote {path}")
    if opens:
        click.launch(path.absolute().as_uri())
