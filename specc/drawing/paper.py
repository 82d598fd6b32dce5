"""Draws a scene as PNG or PDF with matplotlib: `specc show FILE --graph out.pdf`.

drawn(placed(diagram(program)), "png")      # bytes

The colors are those of the light theme. A text that is too wide for its box gets a smaller font.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from specc.drawing.placed import EDGE
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
    Words,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INCH = 96.0
"""Pixels per inch of a scene."""
POINT = 0.75
"""Points per pixel."""
HEAD = 7.0


def drawn(scene: Scene, kind: str, dpi: int = 200) -> bytes:
    """Return the scene as a "png", "pdf" or "svg" file. Raises ImportError without matplotlib."""
    import matplotlib
    from matplotlib.figure import Figure

    fonts: Any = {"pdf.fonttype": 42, "svg.fonttype": "none", "font.family": "sans-serif"}
    with matplotlib.rc_context(rc=fonts):
        sheet = Figure(figsize=(scene.width / INCH, scene.height / INCH), dpi=dpi)
        axes = sheet.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, scene.width)
        axes.set_ylim(scene.height, 0)
        axes.set_axis_off()
        head = (
            Words(EDGE, 36, scene.title, "name", "start"),
            Words(EDGE, 54, scene.summary, "faint", "start"),
        )
        for depth, item in enumerate((*head, *scene.items)):
            _draw(axes, item, depth)
        out = BytesIO()
        about = {"Title": scene.title} if kind in ("pdf", "svg") else {}
        sheet.savefig(out, format=kind, metadata=about)
    return out.getvalue()


def _draw(axes: Axes, item: Item, depth: int) -> None:
    if isinstance(item, Rect):
        _rect(axes, item, depth)
    elif isinstance(item, Curve):
        _curve(axes, item, depth)
    else:
        _words(axes, item, depth)


def _rect(axes: Axes, item: Rect, depth: int) -> None:
    from matplotlib.patches import FancyBboxPatch

    fill, line = (FRAME if item.style == "frame" else COLOURS[item.style])[:2]
    radius = min(item.radius, item.width / 2, item.height / 2)
    style = f"round,pad=0,rounding_size={radius}"
    axes.add_patch(
        FancyBboxPatch(
            (item.left, item.top), item.width, item.height, boxstyle=style, facecolor=fill,
            edgecolor=line, linewidth=1.2 * POINT, zorder=depth,
            linestyle=(0, (4, 3)) if item.style == "frame" else "solid",
        )
    )  # fmt: skip


def _curve(axes: Axes, item: Curve, depth: int) -> None:
    from matplotlib.patches import PathPatch, Polygon
    from matplotlib.path import Path

    points, codes = [item.start], [Path.MOVETO]
    for part in item.parts:
        points += part
        codes += [Path.CURVE4] * 3 if len(part) == 3 else [Path.LINETO]
    colour = (STATE if item.style == "state" else ARROW)[0]
    axes.add_patch(
        PathPatch(
            Path(points, codes), fill=False, edgecolor=colour, linewidth=1.4 * POINT, zorder=depth
        )
    )
    if item.has_head:
        (x, y), (dx, dy) = item.end, item.direction
        tip = (x + 5 * dx, y + 5 * dy)
        base = [(x - 2 * dx - side * 4 * dy, y - 2 * dy + side * 4 * dx) for side in (-1, 1)]
        axes.add_patch(Polygon([tip, *base], facecolor=colour, linewidth=0, zorder=depth))


def _words(axes: Axes, item: Words, depth: int) -> None:
    from matplotlib.font_manager import FontProperties
    from matplotlib.patheffects import withStroke
    from matplotlib.textpath import TextPath

    style, _, kind = item.style.partition(" ")
    size = {"name": 18.0, "title": 13.0, "dots": 18.0}.get(style, 11.0)
    weight = {"name": "bold", "title": "bold", "dots": "bold"}.get(style, "normal")
    colour = (
        COLOURS[kind][2]
        if kind
        else {"name": INK, "state": STATE, "dots": STATE}.get(style, FAINT)[0]
    )
    font = FontProperties(weight=weight)
    wide = float(TextPath((0, 0), item.text, size=size, prop=font, usetex=False).get_extents().x1)
    size *= min(1.0, item.most / wide) if wide > 0 else 1.0
    anchor = {"start": "left", "middle": "center", "end": "right"}[item.anchor]
    text = axes.text(
        item.x, item.y, item.text, fontsize=size * POINT, weight=weight, color=colour, ha=anchor,
        va="baseline", zorder=depth, parse_math=False,
    )  # fmt: skip
    if item.halo:
        ground = FRAME[0] if item.halo == "framed" else PAGE[0]
        text.set_path_effects([withStroke(linewidth=4 * POINT, foreground=ground)])
