"""`specc report RUN|SWEEP`: writes one HTML page about a run or a sweep."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from specc.cli.figure import METHOD_HELP, METHODS
from specc.cli.session import LISTENER, RunName


class _RunOrSweep(RunName):
    """A run, or a sweep by its folder or its name."""

    name = "run or sweep"

    def convert(
        self, value: object, param: click.Parameter | None, context: click.Context | None
    ) -> Path:
        from specc.sweeps.kept import folder_of

        return folder_of(str(value)) or super().convert(value, param, context)

    def shell_complete(
        self, context: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from specc.sweeps.kept import names

        found = [CompletionItem(each) for each in names() if each.startswith(incomplete)]
        return [*found, *super().shell_complete(context, param, incomplete)]


@click.command()
@click.argument("folder", metavar="RUN|SWEEP", type=_RunOrSweep())
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write  [default: report.html in the folder of RUN or SWEEP]",
)
@click.option(
    "--part",
    type=click.Choice(["training", "validation", "test"]),
    help="Examples to use  [default: test data if there is any, else validation]",
)
@click.option("--method", type=click.Choice(METHODS), help=METHOD_HELP)
@click.option("--open", "opens", is_flag=True, help="Open the report in a browser.")
def report(
    folder: Path, output: Path | None, part: str | None, method: str | None, opens: bool
) -> None:
    """Write a report of a run or a sweep as one HTML file.

    The report of a run has the model's text and drawing, the training curves, and every plot that
    is possible: confusion matrix, mistakes, filters, states along a text, ... The report of a sweep
    has its trials, the importance of each search, and the text with the best values. The file is
    self-contained.
    """
    from specc.cli.whole import write_whole

    path = output or folder / "report.html"
    if not path.absolute().parent.is_dir():
        raise click.UsageError(f"there is no folder `{path.parent}` for the report")
    if (folder / "run.json").is_file():
        text = _of_run(folder, part, method or "pca")
    else:
        text = _of_sweep(folder, part, method)
    write_whole(path, text)
    click.echo(f"wrote {path}")
    if opens:
        click.launch(path.absolute().as_uri())


def _of_run(folder: Path, part: str | None, method: str) -> str:
    from specc.plots.subject import of_run
    from specc.report.page import page

    subject = of_run(folder, LISTENER, part)
    try:
        return page(subject, lambda what: click.echo(what, err=True), method)
    except ImportError as error:
        raise click.UsageError(str(error)) from None


def _of_sweep(folder: Path, part: str | None, method: str | None) -> str:
    from specc.report.sweep import sweep_page
    from specc.sweeps.kept import kept
    from specc.sweeps.result import result_of

    if part is not None or method is not None:
        raise click.UsageError(f"the report of a sweep takes no --{'method' if method else 'part'}")
    return sweep_page(result_of(kept(folder)))
