"""A drawing as SVG: `specc show FILE --graph out.svg`.

drawing(diagram(program))       # "<svg xmlns=...>"
printed(scene)                  # the SVG of a scene with positions

Colors follow the reader's light or dark theme. Texts can be searched and copied.
"""

from __future__ import annotations

from xml.sax.saxutils import escape

from specc.drawing.boxes import Diagram
from specc.drawing.placed import EDGE, placed
from specc.drawing.scene import (
    ARROW,
    COLOURS,
    FAINT,
    FRAME,
    INK,
    PAGE,
    STATE,
    Curve,
    Item,
    Rect,
    Scene,
)

NARROW = 480
"""Largest width of a drawing that shrinks on a narrow page, in pixels."""


def drawing(diagram: Diagram, in_page: bool = False) -> str:
    """Return the drawing of a diagram as the text of an SVG file, or for a page that can switch its
    theme."""
    return printed(placed(diagram), in_page)


def printed(scene: Scene, in_page: bool = False) -> str:
    """Return a scene as the text of an SVG file.

    In a page, an element around it has `data-theme` "light" or "dark" if the reader chose one.
    """
    body = "".join(map(_item, scene.items))
    width, height = scene.width, scene.height
    kind = "drawing narrow" if in_page and width <= NARROW else "drawing"
    style = f' style="--wide:{width:.0f}px"' if in_page else ""
    heads = "".join(
        f'<marker id="{name}-head" viewBox="0 0 8 8" refX="3" refY="4" markerWidth="7"'
        f' markerHeight="7" orient="auto"><path class="{name}-tip" d="M0 0L8 4L0 8Z"/></marker>'
        for name in ("arrow", "state")
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}"'
        f' viewBox="0 0 {width:.0f} {height:.0f}" role="img" class="{kind}"{style}>\n'
        f"<title>{escape(scene.title)}: {escape(scene.summary)}</title>\n"
        f"<style>{_style(in_page)}</style>\n<defs>{heads}</defs>\n"
        f'<rect class="page" width="100%" height="100%"/>\n'
        f'<text class="name" x="{EDGE:.0f}" y="36">{escape(scene.title)}</text>\n'
        f'<text class="faint" x="{EDGE:.0f}" y="54">{escape(scene.summary)}</text>\n'
        f"{body}</svg>\n"
    )


def _item(item: Item) -> str:
    if isinstance(item, Rect):
        return (
            f'<rect class="{item.style}" x="{item.left:.1f}" y="{item.top:.1f}"'
            f' width="{item.width:.1f}" height="{item.height:.1f}" rx="{item.radius:.1f}"/>\n'
        )
    if isinstance(item, Curve):
        return _curve(item)
    names = f"{item.style} {item.halo}".strip()
    anchor = "" if item.anchor == "start" else f' text-anchor="{item.anchor}"'
    return (
        f'<text class="{names}" x="{item.x:.1f}" y="{item.y:.1f}"{anchor}>'
        f"{escape(item.text)}</text>\n"
    )


def _curve(item: Curve) -> str:
    path = f"M{item.start[0]:.1f} {item.start[1]:.1f}"
    for part in item.parts:
        sign = "C" if len(part) == 3 else "L"
        path += sign + " ".join(f"{x:.1f} {y:.1f}" for x, y in part)
    head = f' marker-end="url(#{item.style}-head)"' if item.has_head else ""
    return f'<path class="{item.style}" d="{path}"{head}/>\n'


def _style(in_page: bool) -> str:
    def theme(night: int) -> dict[str, str]:
        rules = {
            "rect.page": f"fill:{PAGE[night]}",
            ".name": f"fill:{INK[night]}",
            ".faint,.edge": f"fill:{FAINT[night]}",
            ".arrow": f"stroke:{ARROW[night]}",
            ".arrow-tip": f"fill:{ARROW[night]}",
            "path.state": f"stroke:{STATE[night]}",
            ".state-tip,text.state,.dots": f"fill:{STATE[night]}",
            ".frame": f"fill:{FRAME[2 * night]};stroke:{FRAME[2 * night + 1]}",
            "text.page": f"stroke:{PAGE[night]}",
            "text.framed": f"stroke:{FRAME[2 * night]}",
        }
        for kind, colours in COLOURS.items():
            fill, line, text = colours[3 * night : 3 * night + 3]
            rules[f"rect.{kind}"] = f"fill:{fill};stroke:{line}"
            rules[f"text.{kind}"] = f"fill:{text}"
        return rules

    plain = {
        "text": "font:13px ui-sans-serif,system-ui,'Segoe UI',Roboto,'DejaVu Sans',sans-serif",
        ".title": "font-weight:600",
        ".detail": "font-size:11px;opacity:.85",
        ".faint,.edge,text.state": "font-size:11px",
        ".dots": "font-size:18px;font-weight:700",
        ".name": "font-size:18px;font-weight:700",
        "rect": "stroke-width:1.2",
        "rect.page": "stroke:none",
        ".arrow,path.state": "fill:none;stroke-width:1.4",
        ".frame": "stroke-dasharray:4 3",
        "text.page,text.framed": "stroke-width:4px;stroke-linejoin:round;paint-order:stroke",
    }
    day, night = theme(0), theme(1)
    dark = _rules(night)
    chosen = ""
    if in_page:
        dark = _rules(night, ':not([data-theme="light"] *)')
        chosen = _rules(night, ':is([data-theme="dark"] *)')
    return f"{_rules(plain)}{_rules(day)}@media (prefers-color-scheme:dark){{{dark}}}{chosen}"


def _rules(rules: dict[str, str], where: str = "") -> str:
    """Return CSS rules restricted to drawings, because a page may have other SVGs."""
    return "".join(
        ",".join(f".drawing{where} {each}" for each in names.split(",")) + f"{{{value}}}"
        for names, value in rules.items()
    )
