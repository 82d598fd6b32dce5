"""The frame of a page: one HTML file that needs nothing else, made of sections.

document("digits/3", "20 epochs", [("parameters", "1,200")], [Section("model", "Model", "<pre>..")])
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from importlib.resources import files
from typing import NamedTuple

from specc import __version__
from specc.plots.marks import Figure
from specc.plots.svg.document import STYLE, inline
from specc.report.highlight import highlighted
from specc.source import Source


class Section(NamedTuple):
    """A part of a page: an id, a title, and the HTML below it."""

    name: str
    title: str
    inside: str


def document(
    title: str, summary: str, facts: Iterable[tuple[str, str]], sections: Sequence[Section]
) -> str:
    """Return a page with a line of facts on top and a link to each section."""
    links = "".join(f'<a href="#{each.name}">{escape(_short(each))}</a>' for each in sections)
    body = "\n".join(
        f'<section id="{name}" aria-labelledby="h-{name}"><h2 id="h-{name}">{escape(head)}</h2>'
        f"\n{inside}\n</section>"
        for name, head, inside in sections
    )
    told = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} - specc</title>
<link rel="icon" href="data:,">
<style>
{_resource("style.css")}{STYLE}
</style>
</head>
<body>
<a class="skip" href="#main">Skip to the figures</a>
<header><div>
<h1>{escape(title)}</h1>
<p class="quiet">{escape(summary)}</p>
<dl class="facts">{told}</dl>
</div></header>
<nav aria-label="Sections"><div><div class="links">{links}</div>\
<button id="theme" type="button">Dark</button></div></nav>
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


def _short(section: Section) -> str:
    """What a link to a section says: the name of the figure, as `specc plot` takes it."""
    return section.name.upper() if section.name == "roc" else section.name.capitalize()


def _resource(name: str) -> str:
    return files("specc.report").joinpath(name).read_text(encoding="utf-8")


def duration(seconds: float) -> str:
    """Return a time for people: `3.2 s`, `4 min`, `2 h 5 min`."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def program_text(text: str, label: str) -> str:
    """Return the text of a model as HTML, its parts in colours."""
    shown = highlighted(Source("model.dl", text))
    return f'<pre tabindex="0" aria-label="{escape(label)}">{shown}</pre>'


def table(head: Iterable[str], rows: Iterable[Iterable[str]], left: int = 1) -> str:
    """Return a table of cells that are HTML; the first `left` columns are aligned to the left."""

    def line(tag: str, cells: Iterable[str]) -> str:
        inside = "".join(f"<{tag}{_side(k < left)}>{cell}</{tag}>" for k, cell in enumerate(cells))
        return f"<tr>{inside}</tr>"

    body = "".join(line("td", row) for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="Table"><table><thead>'
        f"{line('th', head)}</thead><tbody>{body}</tbody></table></div>"
    )


def _side(is_left: bool) -> str:
    return ' class="left"' if is_left else ""


def shown(figure: Figure) -> str:
    """Return a figure as HTML, with its caption above it."""
    caption = f"<p>{with_code(figure.caption)}</p>" if figure.caption else ""
    return (
        f'{caption}\n<figure tabindex="0" role="group" aria-label="{escape(figure.title)}">'
        f"{inline(figure)}</figure>"
    )


def with_code(text: str) -> str:
    """Return text as HTML, with parts between ` signs as code."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{each}</code>" if k % 2 else each for k, each in enumerate(pieces))
