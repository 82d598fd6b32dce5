"""A diagram as an SVG picture: `specc show FILE --graph out.svg`.

drawing(diagram(program))       # "<svg xmlns=...>"

Colours follow the reader's light or dark theme; text is text, and can be searched and copied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from xml.sax.saxutils import escape

from specc.drawing.diagram import BlockFrame, Box, Diagram
from specc.drawing.layered import Placement, layered

SIGN, SMALL = 7.3, 6.1
"""The mean widths of a letter of a title, and of a detail."""
TALL, FLAT = 44.0, 27.0
GAP = 20.0
HEAD = 19.0
"""Room above a frame's boxes, for its title."""
EDGE = 28.0
INSET = 12.0

# Of each kind: fill, line and text by day, then by night.
COLOURS = {
    "input": ("#e8eaf6", "#5c6bc0", "#1a237e", "#252b52", "#7986cb", "#dfe3fb"),
    "target": ("#fce4ec", "#c2577c", "#6d1435", "#451b2c", "#d77a9a", "#fbdfe8"),
    "conv": ("#e1f0fb", "#3b8fc9", "#0b3c5d", "#123247", "#56a6dc", "#dceefb"),
    "dense": ("#e3f4e6", "#4c9f5b", "#153f1d", "#173620", "#6bbb79", "#def3e2"),
    "cell": ("#efe6f8", "#8a5cc0", "#38155f", "#332047", "#a982da", "#eee2fb"),
    "block": ("#e0f3f3", "#3c9a9a", "#0b4141", "#123939", "#5cb8b8", "#daf3f3"),
    "norm": ("#f2f2f4", "#a3a7b0", "#3c4048", "#2a2d33", "#7c818c", "#e3e5ea"),
    "activation": ("#fdf2dc", "#d69f32", "#5b3d00", "#40320f", "#d9ab4d", "#fbeccc"),
    "pool": ("#f1ebfa", "#a58bd0", "#3f2a63", "#302742", "#a893cf", "#ece4f9"),
    "formula": ("#ffffff", "#b0b5bf", "#2b2f36", "#1d2026", "#6d737f", "#e6e8ec"),
    "output": ("#dff5ee", "#2f9e7a", "#064633", "#0f3b2e", "#4fc09b", "#d8f6ec"),
    "loss": ("#fde7e4", "#d0574a", "#6a1710", "#471c18", "#e17b6f", "#fde0dc"),
}  # fmt: skip
PAGE = ("#ffffff", "#16181d")
INK = ("#2b2f36", "#e6e8ec")
FAINT = ("#6b717d", "#9aa1ad")
ARROW = ("#9097a3", "#7d8490")
FRAME = ("#f6f7f9", "#d5d9e0", "#1e2127", "#3a3f49")
ROUND = ("input", "target", "output", "loss")


Places = Mapping[Box, tuple[float, float]]
"""The x of the center and the y of the upper edge of boxes."""


def drawing(diagram: Diagram) -> str:
    """The picture, as the text of an SVG file."""
    width = max((_width(box) for box in diagram.boxes), default=100.0)
    widths = {box: min(width, _width(box)) if box.kind in ROUND else width for box in diagram.boxes}
    joined = {box for arrow in diagram.arrows for box in arrow}
    layout = layered(widths, diagram.arrows, [box for box in diagram.boxes if box not in joined])
    tops, heights, bottom = _heights(diagram, layout)
    left = min((x - widths[box] / 2 for box, (x, _) in layout.places.items()), default=0.0)
    right = max((x + widths[box] / 2 for box, (x, _) in layout.places.items()), default=0.0)
    for line in layout.lines.values():
        left = min(left, *(x for _, x in line))
        right = max(right, *(x for _, x in line))
    edge = EDGE + INSET + 7 * max((frame.level for frame in diagram.frames), default=0)
    shift = edge - left
    page_width = max(right - left + 2 * edge, len(diagram.summary) * SMALL + 2 * EDGE, 220.0)
    shift += max(0.0, (page_width - (right - left + 2 * edge)) / 2)
    places = {
        box: (x + shift, tops[row] + (heights[row] - _height(box)) / 2)
        for box, (x, row) in layout.places.items()
    }
    parts = [_frame(frame, places, widths, diagram) for frame in diagram.frames]
    for (start, end), line in layout.lines.items():
        parts.append(_arrow(start, end, line, places, tops, heights, shift))
    parts += [_box(box, *places[box], widths[box]) for box in diagram.boxes]
    return _page(diagram, page_width, bottom + EDGE, "".join(parts))


def _width(box: Box) -> float:
    first = (len(box.title) + len(box.shape) + 3 * bool(box.shape)) * SIGN
    return max(first, len(box.detail) * SMALL) + 26


def _height(box: Box) -> float:
    return TALL if box.detail else FLAT


def _heights(diagram: Diagram, layout: Placement[Box]) -> tuple[list[float], list[float], float]:
    """Where each row starts, how high it is, and where the last one ends."""
    starts: dict[int, int] = {}
    ends: dict[int, int] = {}
    for frame in diagram.frames:
        rows = [layout.places[box][1] for box in frame.boxes]
        for edges, row in ((starts, min(rows)), (ends, max(rows))):
            edges[row] = max(edges.get(row, 0), frame.level + 1)
    top, tops, heights = 74.0, [], []
    for number, boxes in enumerate(layout.rows):
        top += HEAD * starts.get(number, 0)
        tops.append(top)
        heights.append(max((_height(box) for box in boxes), default=FLAT))
        top += heights[-1] + GAP + INSET / 2 * ends.get(number, 0)
    return tops, heights, top - GAP


def _frame(frame: BlockFrame, places: Places, widths: Mapping[Box, float], diagram: Diagram) -> str:
    """Return a frame around boxes, or nothing if another box would be inside it."""
    inset = INSET + 7 * frame.level
    left = min(places[box][0] - widths[box] / 2 for box in frame.boxes) - inset
    right = max(places[box][0] + widths[box] / 2 for box in frame.boxes) + inset
    top = min(places[box][1] for box in frame.boxes) - HEAD * (frame.level + 1) - 4
    bottom = max(places[box][1] + _height(box) for box in frame.boxes) + inset - 2
    for box in diagram.boxes:
        x, y = places[box]
        is_apart = (
            x + widths[box] / 2 <= left
            or x - widths[box] / 2 >= right
            or y + _height(box) <= top
            or y >= bottom
        )
        if box not in frame.boxes and not is_apart:
            return ""
    return (
        f'<rect class="frame" x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}"'
        f' height="{bottom - top:.1f}" rx="10"/>\n'
        f'<text class="faint" x="{left + 10:.1f}" y="{top + 15:.1f}">{escape(frame.title)}</text>\n'
    )


def _arrow(
    start: Box,
    end: Box,
    line: Sequence[tuple[int, float]],
    places: Places,
    tops: Sequence[float],
    heights: Sequence[float],
    shift: float,
) -> str:
    """Return a line from the lower edge of one box to the upper edge of another."""
    points = [(places[start][0], places[start][1] + _height(start))]
    for row, x in line[1:-1]:
        points += [(x + shift, tops[row]), (x + shift, tops[row] + heights[row])]
    points.append((places[end][0], places[end][1] - 5))
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x0, y0), (x1, y1) in pairwise(points):
        if abs(x0 - x1) < 0.5:
            path += f"V{y1:.1f}"
        else:
            half = (y0 + y1) / 2
            path += f"C{x0:.1f} {half:.1f} {x1:.1f} {half:.1f} {x1:.1f} {y1:.1f}"
    return f'<path class="arrow" d="{path}" marker-end="url(#head)"/>\n'


def _box(box: Box, x: float, y: float, width: float) -> str:
    height = _height(box)
    radius = height / 2 if box.kind in ROUND else 7
    left, right = x - width / 2, x + width / 2
    inset = 13
    base = y + (18.5 if box.detail else height / 2 + 4.6)
    parts = [
        f'<g class="{box.kind}"><rect x="{left:.1f}" y="{y:.1f}" width="{width:.1f}"'
        f' height="{height:.1f}" rx="{radius:.1f}"/>'
    ]
    if box.shape:
        parts.append(
            f'<text class="title" x="{left + inset:.1f}" y="{base:.1f}">{escape(box.title)}</text>'
        )
        parts.append(
            f'<text class="shape" x="{right - inset:.1f}" y="{base:.1f}">{escape(box.shape)}</text>'
        )
        at = f'x="{left + inset:.1f}"'
    else:
        parts.append(
            f'<text class="title middle" x="{x:.1f}" y="{base:.1f}">{escape(box.title)}</text>'
        )
        at = f'class="middle" x="{x:.1f}"'
    if box.detail:
        detail = (
            at.replace('class="middle', 'class="detail middle')
            if "class" in at
            else f'class="detail" {at}'
        )
        parts.append(f'<text {detail} y="{base + 16:.1f}">{escape(box.detail)}</text>')
    return "".join(parts) + "</g>\n"


def _page(diagram: Diagram, width: float, height: float, content: str) -> str:
    def theme(night: int) -> str:
        rules = [
            f".page{{fill:{PAGE[night]}}}.ink{{fill:{INK[night]}}}.faint{{fill:{FAINT[night]}}}",
            f".arrow{{stroke:{ARROW[night]}}}.tip{{fill:{ARROW[night]}}}",
            f".frame{{fill:{FRAME[2 * night]};stroke:{FRAME[2 * night + 1]}}}",
        ]
        for kind, colours in COLOURS.items():
            fill, line, text = colours[3 * night : 3 * night + 3]
            rules.append(f".{kind} rect{{fill:{fill};stroke:{line}}}.{kind} text{{fill:{text}}}")
        return "".join(rules)

    style = (
        "text{font:13px ui-sans-serif,system-ui,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}"
        ".title{font-weight:600}.shape{text-anchor:end}.middle{text-anchor:middle}"
        ".detail{font-size:11px;opacity:.8}.faint{font-size:11px}.name{font-size:18px;font-weight:700}"
        "rect{stroke-width:1.2}.page{stroke:none}.arrow{fill:none;stroke-width:1.4}"
        ".frame{stroke-dasharray:4 3}"
        + theme(0)
        + f"@media (prefers-color-scheme:dark){{{theme(1)}}}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}"'
        f' viewBox="0 0 {width:.0f} {height:.0f}" role="img">\n'
        f"<title>{escape(diagram.title)}: {escape(diagram.summary)}</title>\n"
        f"<style>{style}</style>\n"
        '<defs><marker id="head" viewBox="0 0 8 8" refX="3" refY="4" markerWidth="7"'
        ' markerHeight="7" orient="auto"><path class="tip" d="M0 0L8 4L0 8Z"/></marker></defs>\n'
        f'<rect class="page" width="100%" height="100%"/>\n'
        f'<text class="name ink" x="{EDGE:.0f}" y="36">{escape(diagram.title)}</text>\n'
        f'<text class="faint" x="{EDGE:.0f}" y="54">{escape(diagram.summary)}</text>\n'
        f"{content}</svg>\n"
    )
