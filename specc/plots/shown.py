"""Plots for Python and notebooks: `specc.plot(run, "confusion")`.

figure = plot(net, "confusion", frame, None, {})
figure.save("confusion.pdf")
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specc.diagnostics import closest
from specc.plots.kinds import KINDS, FigureKind, find
from specc.plots.marks import Figure
from specc.plots.subject import Subject, of_file, of_net, of_run
from specc.plots.svg.document import svg
from specc.runs.listener import AsWarnings

if TYPE_CHECKING:
    from specc.net.net import Net
    from specc.runs.run import Run


class ShownFigure:
    """A plot: a notebook shows it, `save` writes it, and `figure` has its content as data."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure

    @property
    def caption(self) -> str:
        """An explanation of the figure in one or two sentences."""
        return self.figure.caption

    def _repr_html_(self) -> str:
        return svg(self.figure)

    def __repr__(self) -> str:
        return f"<Figure {self.figure.kind}: {self.figure.title}>"

    def save(self, path: str | Path) -> Path:
        """Write the figure as .svg, .png or .pdf, and return the path.

        Raises ValueError for another suffix, and ImportError for .png and .pdf without matplotlib.
        """
        path = Path(path)
        kind = path.suffix.lower().removeprefix(".")
        if kind not in ("svg", "png", "pdf"):
            raise ValueError(f"cannot draw to `{path}`: use a name in .svg, .png or .pdf")
        if kind == "svg":
            path.write_text(svg(self.figure), encoding="utf-8")
        else:
            from specc.plots.paper import drawn

            path.write_bytes(drawn(self.figure, kind))
        return path


def plot(
    source: Net | Run | str | Path,
    kind: str,
    data: object,
    part: str | None,
    options: Mapping[str, Any],
) -> ShownFigure:
    """Plot a net, a run or a file; see `specc.plot`."""
    names = [each.name for each in KINDS]
    if kind not in names:
        near = closest(kind, names)
        hint = f"; did you mean `{near}`?" if near else f": there are {', '.join(names)}"
        raise ValueError(f"unknown plot `{kind}`{hint}")
    chosen = find(kind)
    if unknown := [name for name in options if name not in chosen.options]:
        raise ValueError(f"`{kind}` has no option `{unknown[0]}`")
    subject = _subject(source, chosen, data, part)
    if why := chosen.why_not(subject):
        raise ValueError(f"cannot plot `{kind}` for {subject.name}: {why}")
    given = dict(options)
    if "example" in given:
        if not 1 <= given["example"] <= subject.count:
            raise ValueError(f"`example` must be 1 to {subject.count:,}, not {given['example']}")
        given["example"] -= 1
    try:
        return ShownFigure(chosen.draw(subject, **given))
    except LookupError as error:
        raise ValueError(f"cannot plot `{kind}`: {error.args[0]}") from None


def _subject(
    source: Net | Run | str | Path, kind: FigureKind, data: object, part: str | None
) -> Subject:
    from specc.net.net import Net
    from specc.runs.names import folder_of
    from specc.runs.run import Run

    listener = AsWarnings()
    if isinstance(source, Net):
        subject = of_net(source, data)
        if data is None and kind.why_not(subject):
            return of_net(source, data, part, reads_file=True)
        return subject
    if data is not None:
        raise ValueError("`data` is only for a net: a run or a file has its own examples")
    if isinstance(source, Run):
        return of_run(source.folder, listener, part)
    if Path(source).is_file():
        return of_file(Path(source), listener, part=part)
    return of_run(folder_of(source), listener, part)
