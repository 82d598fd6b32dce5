"""Parts that wrap to the width of a page: images, weighted words, plain text.

flowing(part, "Filters")       # HTML; the page has the style of `specc.report`
"""

from __future__ import annotations

from html import escape

import numpy as np

from specc.plots import colours
from specc.plots.marks import Gallery, Passage, Text
from specc.plots.svg.elements import LINE, PICTURE
from specc.plots.svg.others import lines, picture


def flowing(part: Gallery | Passage | Text, name: str) -> str:
    """Return a part as HTML; `name` is what a screen reader calls it."""
    if isinstance(part, Gallery):
        inside = _gallery(part, name)
    elif isinstance(part, Passage):
        inside = _passage(part)
    else:
        inside = _text(part)
    title = f"<h3>{escape(part.title)}</h3>" if part.title else ""
    return f'<div class="flowing">{title}{inside}</div>'


def _gallery(part: Gallery, name: str) -> str:
    """Return the images in a grid, each with its text below it."""
    text = max((len(lines(each.text)) for each in part.pictures), default=0)
    high = PICTURE + 2 + LINE * text + 4 * bool(text)
    drawn = []
    for number, each in enumerate(part.pictures, 1):
        told = escape(", ".join(lines(each.text)) or f"picture {number}")
        drawn.append(
            f'<svg class="plot picture" role="img" aria-label="{told}" viewBox="-1 -1'
            f' {PICTURE + 2} {high}" width="{PICTURE + 2}" height="{high}">'
            + "".join(picture(each, 0, 0))
            + "</svg>"
        )
    return (
        f'<div class="gallery" role="group" aria-label="{escape(name)}"'
        f' style="--columns:{part.columns}">' + "\n".join(drawn) + "</div>"
    )


def _passage(part: Passage) -> str:
    """Return the words, each on its color; a line break is shown as a sign and as a break."""
    out = []
    for text, weight in zip(part.texts, part.weights, strict=True):
        colour = colours.signed(np.array(weight))
        ink = "#fff" if colours.is_dark(colour) else "#111"
        shown = escape(text.replace("\n", "⏎")) + ("<br/>" if text == "\n" else "")
        out.append(
            f'<span style="background:{colours.hexadecimal(colour)};color:{ink}"'
            f' title="{weight:.3g}">{shown}</span>'
        )
    return f'<p class="passage">{"".join(out)}</p>'


def _text(part: Text) -> str:
    rows = (f"<dt>{escape(head)}</dt><dd>{escape(line)}</dd>" for head, line in part.lines)
    return f'<dl class="lines">{"".join(rows)}</dl>'
