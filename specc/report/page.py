"""The report of a run: one self-contained HTML file.

page(subject)      # "<!doctype html>...", with all plots that are possible
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from html import escape
from importlib.resources import files

from specc import __version__
from specc.drawing.diagram import diagram
from specc.drawing.shapes import over, port_shape
from specc.drawing.svg import drawing
from specc.plots import answers, classes
from specc.plots.kinds import KINDS, FigureKind
from specc.plots.marks import Figure
from specc.plots.subject import Subject
from specc.plots.svg.document import STYLE, inline
from specc.plots.ticks import written
from specc.report.highlight import highlighted
from specc.source import Source

MOST_PARAMETERS = 3_000_000
"""Largest model whose slow plots are part of the report; for others use `specc plot`."""

Section = tuple[str, str, str]
"""An id, a title, and the HTML below it."""


class NoTime(Exception):
    """Raised if a report takes longer than allowed."""


def page(
    subject: Subject,
    tell: Callable[[str], None] = lambda text: None,
    method: str = "pca",
    until: float = math.inf,
) -> str:
    """Return the report as HTML; `method` projects embeddings to the plane.

    Raises NoTime after `until`, a time of `time.monotonic`, and ImportError if the package of a
    method is missing.
    """
    made = [_model(subject), *_figures(subject, tell, method, until)]
    links = "".join(f'<a href="#{name}">{escape(title)}</a>' for name, title, _ in made)
    body = "\n".join(
        f'<section id="{name}" aria-labelledby="h-{name}"><h2 id="h-{name}">{escape(title)}</h2>'
        f"\n{inside}\n</section>"
        for name, title, inside in made
    )
    title = escape(subject.name)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} - specc</title>
<link rel="icon" href="data:,">
<style>
{_resource("style.css")}{STYLE}
</style>
</head>
<body>
<a class="skip" href="#main">Skip to the figures</a>
<header><div>
<h1>{title}</h1>
<p class="quiet">{escape(_summary(subject))}</p>
{_facts(subject)}
</div></header>
<nav aria-label="Sections"><div>{links}<button id="theme" type="button">Dark</button></div></nav>
<main id="main">
{body}
</main>
<footer>Made by specc {escape(__version__)} on {datetime.now():%Y-%m-%d, %H:%M}.</footer>
<div id="tip" role="status" hidden></div>
<script>
{_resource("ticks.js")}{_resource("script.js")}</script>
</body>
</html>
"""


def _resource(name: str) -> str:
    return files("specc.report").joinpath(name).read_text(encoding="utf-8")


def _summary(subject: Subject) -> str:
    epochs = len(subject.curves.get("epoch", ()))
    told = ["not trained"]
    if epochs:
        told = [f"{epochs} epoch{'s' * (epochs > 1)}, the best is epoch {subject.best_epoch}"]
    if subject.count:
        told.append(f"plots of {subject.count:,} {subject.part} examples")
    return "; ".join(told)


def _facts(subject: Subject) -> str:
    """Return the metrics of the best epoch and the size of the model as HTML."""
    rows = subject.curves
    facts = []
    if rows.get("epoch"):
        numbers = [int(each) for each in rows["epoch"]]
        at = numbers.index(subject.best_epoch) if subject.best_epoch in numbers else -1
        part = "val" if math.isfinite(rows["val_loss"][at]) else "train"
        known = {"val": "validation", "train": "training"}[part]
        for name, values in rows.items():
            if name.startswith(f"{part}_") and math.isfinite(values[at]):
                short = name.removeprefix(f"{part}_")
                facts.append((f"{known} {short}", written(values[at])))
        facts.append(("time", _duration(rows["seconds"][-1])))
    size = sum(int(array.size) for array in subject.net.params.values())
    facts.append(("parameters", f"{size:,}"))
    inside = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts
    )
    return f'<dl class="facts">{inside}</dl>'


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _model(subject: Subject) -> Section:
    """Return the section with the model's text, its drawing, and the table of its layers."""
    program = subject.program
    parts = []
    if subject.folder is not None and (subject.folder / "model.dl").is_file():
        text = (subject.folder / "model.dl").read_text(encoding="utf-8")
        shown = highlighted(Source("model.dl", text))
        parts.append(f'<pre tabindex="0" aria-label="The text of the model">{shown}</pre>')
    picture = drawing(diagram(program))
    parts.append(
        '<details open><summary>Drawing</summary><figure tabindex="0" role="group"'
        f' aria-label="The drawing of the model">{picture}</figure></details>'
    )
    rows: list[Iterable[str]] = [
        (escape(port.name), port.role, escape(port_shape(port)), "") for port in program.ports
    ]
    for layer in program.layers:
        count = sum(int(subject.net.params[path].size) for path in layer.parameters)
        shape = over(layer.output.shape, layer.sequence)
        call = f"<code>{escape(layer.text)}</code>"
        rows.append((escape(layer.path), call, escape(shape), f"{count:,}" if count else ""))
    table = _table(("layer", "call", "shape", "parameters"), rows, left=2)
    parts.append(f"<details><summary>Layers</summary>{table}</details>")
    return "model", "Model", "\n".join(parts)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]], left: int = 1) -> str:
    def line(tag: str, cells: Iterable[str]) -> str:
        kinds = (' class="left"' if k < left else "" for k in range(1_000))
        inside = "".join(
            f"<{tag}{kind}>{cell}</{tag}>" for cell, kind in zip(cells, kinds, strict=False)
        )
        return f"<tr>{inside}</tr>"

    body = "".join(line("td", row) for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="Table"><table><thead>'
        f"{line('th', head)}</thead><tbody>{body}</tbody></table></div>"
    )


def _figures(
    subject: Subject, tell: Callable[[str], None], method: str, until: float
) -> list[Section]:
    """Return a section for each plot that is possible for the subject."""
    size = sum(int(array.size) for array in subject.net.params.values())
    found = []
    for kind in KINDS:
        if time.monotonic() > until:
            raise NoTime
        if kind.why_not(subject):
            continue
        if kind.is_slow and size > MOST_PARAMETERS:
            tell(f"`{kind.name}` is left out because it takes some seconds; use `specc plot`")
            continue
        options = {"method": method} if "method" in kind.options else {}
        try:
            figure = kind.draw(subject, **options)
        except LookupError as error:
            tell(f"`{kind.name}` is left out: {error.args[0]}")
            continue
        found.append((kind.name, figure.title, _figure(figure) + _beside(kind, subject)))
    return found


def _figure(figure: Figure) -> str:
    caption = f"<p>{_with_code(figure.caption)}</p>" if figure.caption else ""
    return (
        f'{caption}\n<figure tabindex="0" role="group" aria-label="{escape(figure.title)}">'
        f"{inline(figure)}</figure>"
    )


def _with_code(text: str) -> str:
    """Return text as HTML, with text between backticks as <code>."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{each}</code>" if k % 2 else each for k, each in enumerate(pieces))


def _beside(kind: FigureKind, subject: Subject) -> str:
    """Return a table of numbers that belongs to a plot, or an empty string."""
    if kind.name != "classes":
        return ""
    out = []
    for head in classes.classifiers(subject):
        names = subject.names(head.port)
        rows = [
            (escape(name), f"{count:,}", *(f"{each:.3f}" for each in rates))
            for name, (count, *rates) in zip(
                names, answers.answers(subject, head).by_class, strict=True
            )
        ]
        shown = _table((head.port.name, "examples", "precision", "recall", "F1"), rows)
        out.append(f"<details><summary>As a table</summary>{shown}</details>")
    return "\n".join(out)
