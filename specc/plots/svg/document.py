"""A whole figure as SVG."""

from __future__ import annotations

from html import escape

from specc.plots.marks import Figure, Gallery, Panel, Part, Passage
from specc.plots.svg.axes import above, below, inner, left_of, right_of
from specc.plots.svg.elements import LINE, PICTURE, TITLE, label, numbers
from specc.plots.svg.flowing import flowing
from specc.plots.svg.others import folded, gallery, lines, passage, plain, wrapped
from specc.plots.svg.panel import draw_panel

STYLE = """
.plot text{font:12px system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;fill:var(--ink)}
.plot .title{font-size:14px;font-weight:600}
.plot .quiet{fill:var(--muted)}
.plot .name{paint-order:stroke;stroke:var(--page);stroke-width:3px;stroke-linejoin:round}
.plot .grid{stroke:var(--grid);stroke-width:1}
.plot .axis{stroke:var(--muted);stroke-width:1;fill:none}
.plot .rule{stroke:var(--muted);stroke-dasharray:4 3;fill:none}
.plot .line{fill:none;stroke-width:2;stroke-linejoin:round}
.plot .pixels{image-rendering:pixelated}
.plot .letters{font:13px ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;white-space:pre}
""".strip()
LIGHT = "--ink:#1b1f24;--muted:#59636e;--grid:#e3e6ea;--page:#ffffff"
DARK = "--ink:#e8eaed;--muted:#9aa4af;--grid:#343a42;--page:#15181c"

TITLE_LETTER = 8.0  # mean width of a letter in a title, in pixels


NARROW = 480
"""Largest width of a part that may shrink on a narrow page."""


def inline(figure: Figure) -> str:
    """Return the parts of a figure in a <div>, side by side or stacked: panels as <svg> elements,
    and others as HTML that wraps to the width of the page.

    The page must define the style and the colors.
    """
    out = []
    for place, part in enumerate(figure.parts):
        title = part.title or figure.title
        name = f"{title}, part {place + 1}" if len(figure.parts) > 1 and not part.title else title
        if not isinstance(part, Panel):
            out.append(flowing(part, name))
            continue
        wide, high = _size(part)
        kind = "plot narrow" if wide <= NARROW else "plot"
        out.append(
            f'<svg class="{kind}" role="img" aria-label="{escape(name)}"'
            f' viewBox="0 0 {wide:g} {high:g}" width="{wide:g}" height="{high:g}">'
        )
        out += [*_part(part, wide), "</svg>"]
    kind = "parts stacked" if figure.columns == 1 else "parts"
    widths = {inner(part)[0] if isinstance(part, Panel) else 0 for part in figure.parts}
    if figure.columns == 2 and len(widths) == 1:  # their axes end at the same place
        kind += " aligned"
    return f'<div class="{kind}">' + "\n".join(out) + "</div>"


def svg(figure: Figure) -> str:
    """Return the figure as one <svg> element with its own colors and a white background."""
    drawn = [(_size(part), part) for part in figure.parts]
    rows = [drawn[k : k + figure.columns] for k in range(0, len(drawn), figure.columns)]
    body: list[str] = []
    top = wide = 0.0
    for row in rows:
        left = 0.0
        for (width, _), part in row:
            body.append(f'<g transform="translate({left:g} {top:g})">')
            body += _part(part, width)
            body.append("</g>")
            left += width
        wide = max(wide, left)
        top += max(height for (_, height), _ in row)
    number = next(numbers)
    named = f'aria-labelledby="t{number} d{number}"'
    head = f'<title id="t{number}">{escape(figure.title)}</title>'
    head += f'<desc id="d{number}">{escape(figure.caption)}</desc>'
    size = f'viewBox="0 0 {wide:g} {top:g}" width="{wide:g}" height="{top:g}"'
    ground = f'<rect width="{wide:g}" height="{top:g}" fill="#fff"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" role="img" {named} {size}'
        f' style="{LIGHT}">{head}\n<style>{STYLE}</style>{ground}\n'
        + "\n".join(body)
        + "\n</svg>\n"
    )


def _size(part: Part) -> tuple[float, float]:
    """Return the width and height of a part, in pixels."""
    if isinstance(part, Panel):
        wide, high = inner(part)
        title = left_of(part) + TITLE_LETTER * len(part.title) + 12
        return (
            max(left_of(part) + wide + right_of(part), title),
            above(part) + high + below(part),
        )
    title = TITLE if part.title else 6
    if isinstance(part, Gallery):
        rows = -(-len(part.pictures) // part.columns)
        text = max((len(lines(each.text)) for each in part.pictures), default=0)
        return (
            part.columns * (PICTURE + 12) + 12,
            title + rows * (PICTURE + 10 + LINE * text) + 6,
        )
    if isinstance(part, Passage):
        return 760, title + 24 * len(wrapped(part)) + 12
    high = sum(LINE * (1 + len(folded(line))) + 10 for _, line in part.lines)
    return 760, title + high


def _part(part: Part, width: float) -> list[str]:
    if isinstance(part, Panel):
        return draw_panel(part)
    out = []
    if part.title:
        out.append(label(12, 18, part.title, "title"))
    top = TITLE if part.title else 6
    if isinstance(part, Gallery):
        return out + gallery(part, top)
    if isinstance(part, Passage):
        return out + passage(part, top)
    return out + plain(part, top, width)
