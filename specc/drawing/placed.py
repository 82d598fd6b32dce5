"""Computes the positions of the boxes, arrows and frames of a diagram.

    placed(diagram(program))        # Scene(items=[Rect(..), Curve(..), Words(..), ..])

The shape of a value is written beside its arrow, only once if all arrows of a box have the same
shape. The arrow of a state returns to its cell on the right. All sizes are in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from specc.drawing.boxes import BlockFrame, Box, Diagram
from specc.drawing.layered import Placement, layered
from specc.drawing.scene import SMALL, Curve, Item, Point, Rect, Scene, Words, moved, span

SIGN = 7.4
"""Mean width of a letter in a title."""
TALL, FLAT = 44.0, 28.0
GAP = 33.0
"""Space between rows, with room for a shape beside each arrow."""
HEAD = 19.0
"""Space above a frame's boxes for its title."""
EDGE = 28.0
INSET = 12.0
LOOP = 17.0
"""How far the returning arrow of a state extends to the right."""
TIP = 6.0
"""Length of an arrowhead."""
SHEET = 4.0
"""Offset of the frames drawn below a frame that stands for several blocks."""
ROUND = ("input", "target", "output", "loss")

Places = Mapping[Box, Point]
"""The x of the center and the y of the upper edge of each box."""


def placed(diagram: Diagram) -> Scene:
    """Return the scene of a diagram, drawn from top to bottom."""
    widths = _widths(diagram)
    reach = {box: 2 * LOOP + 8 for box in diagram.boxes if box.has_skip}
    reach |= {a.start: 2 * (LOOP + 8 + SMALL * len(a.shape)) for a in diagram.returns}
    room = {box: width + reach.get(box, 0.0) for box, width in widths.items()}
    pairs = list(dict.fromkeys((a.start, a.end) for a in diagram.arrows))
    joined = {box for pair in pairs for box in pair}
    layout = layered(room, pairs, [box for box in diagram.boxes if box not in joined])
    tops, heights, bottom = _heights(diagram, layout)
    places = {
        box: (x, tops[row] + (heights[row] - height(box)) / 2)
        for box, (x, row) in layout.places.items()
    }
    items: list[Item] = []
    framed: set[Box] = set()
    for frame in diagram.frames:
        drawn = _frame(frame, places, widths, diagram)
        items += drawn
        framed |= set(frame.boxes) if drawn else set()
    lines = {pair: _line(pair, line, places, tops, heights) for pair, line in layout.lines.items()}
    items += lines.values()
    items += _returns(diagram, places, widths)
    items += [
        _skip(*places[box], widths[box], height(box)) for box in diagram.boxes if box.has_skip
    ]
    items += _shapes(diagram, lines, framed)
    for box in diagram.boxes:
        items += boxed(box, *places[box], widths[box])
    return page(diagram, items, bottom)


def page(diagram: Diagram, items: Sequence[Item], bottom: float) -> Scene:
    """Return a scene that is wide enough for the items and for the title above them."""
    spans = [span(item) for item in items] or [(0.0, 0.0)]
    left, right = min(low for low, _ in spans), max(high for _, high in spans)
    least = max(len(diagram.summary) * SMALL, 164.0)
    wide = max(right - left, least)
    shift = EDGE - left + (wide - (right - left)) / 2
    inside = [moved(item, shift) for item in items]
    return Scene(diagram.title, diagram.summary, wide + 2 * EDGE, bottom + EDGE, inside)


def _widths(diagram: Diagram) -> dict[Box, float]:
    """Return the width of each box: the same for all except round boxes."""
    plain = sorted(width(box) for box in diagram.boxes if box.kind not in ROUND)
    common = plain[-1] if plain else 100.0
    return {box: width(box) if box.kind in ROUND else common for box in diagram.boxes}


def width(box: Box) -> float:
    """Return the width that the text of a box needs."""
    return max(len(box.title) * SIGN, len(box.detail) * SMALL) + 26


def height(box: Box) -> float:
    return TALL if box.detail else FLAT


def _heights(diagram: Diagram, layout: Placement[Box]) -> tuple[list[float], list[float], float]:
    """Return the top and the height of each row, and the bottom of the last row."""
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
        heights.append(max((height(box) for box in boxes), default=FLAT))
        top += heights[-1] + GAP + INSET / 2 * ends.get(number, 0)
    return tops, heights, top - GAP


def _frame(
    frame: BlockFrame, places: Places, widths: Mapping[Box, float], diagram: Diagram
) -> list[Item]:
    """Return a frame around boxes, or nothing if another box would be inside it."""
    inset = INSET + 7 * frame.level
    back = any(a.start in frame.boxes and a.start is not a.end for a in diagram.returns)
    left = min(places[box][0] - widths[box] / 2 for box in frame.boxes) - inset
    right = max(places[box][0] + widths[box] / 2 for box in frame.boxes) + inset
    right += (LOOP + 12) * back + (LOOP - 2) * any(box.has_skip for box in frame.boxes)
    top = min(places[box][1] for box in frame.boxes) - HEAD * (frame.level + 1) - 4
    bottom = max(places[box][1] + height(box) for box in frame.boxes) + inset - 2
    for box in diagram.boxes:
        x, y = places[box]
        is_apart = (
            x + widths[box] / 2 <= left
            or x - widths[box] / 2 >= right
            or y + height(box) <= top
            or y >= bottom
        )
        if box not in frame.boxes and not is_apart:
            return []
    items: list[Item] = []
    for sheet in range(min(frame.times - 1, 2), 0, -1):
        away = SHEET * sheet
        items.append(Rect(left + away, top + away, right - left, bottom - top, 10, "frame"))
    items.append(Rect(left, top, right - left, bottom - top, 10, "frame"))
    many = f" \N{MULTIPLICATION SIGN} {frame.times}" if frame.times > 1 else ""
    title = frame.title if len(frame.boxes) > 1 else ""  # a single box has the same title
    items.append(Words(left + 10, top + 15, f"{title}{many}".strip(), "faint", "start", "framed"))
    return items


def _line(
    pair: tuple[Box, Box],
    line: Sequence[tuple[int, float]],
    places: Places,
    tops: Sequence[float],
    heights: Sequence[float],
) -> Curve:
    """Return a line from the lower edge of one box to the upper edge of another."""
    start, end = pair
    points = [(places[start][0], places[start][1] + height(start))]
    for row, x in line[1:-1]:
        points += [(x, tops[row]), (x, tops[row] + heights[row])]
    points.append((places[end][0], places[end][1] - TIP))
    parts: list[tuple[Point, ...]] = []
    for (x0, y0), (x1, y1) in pairwise(points):
        if abs(x0 - x1) < 0.5:
            parts.append(((x1, y1),))
        else:
            half = (y0 + y1) / 2
            parts.append(((x0, half), (x1, half), (x1, y1)))
    return Curve(points[0], tuple(parts))


def _returns(diagram: Diagram, places: Places, widths: Mapping[Box, float]) -> list[Item]:
    """Return the arrows of states back to their cells, with the states' names."""
    items: list[Item] = []
    for arrow in diagram.returns:
        (x0, y0), (x1, y1) = places[arrow.start], places[arrow.end]
        right0, right1 = x0 + widths[arrow.start] / 2, x1 + widths[arrow.end] / 2
        if arrow.start is arrow.end:
            low, high = y0 + height(arrow.start) * 0.72, y1 + height(arrow.end) * 0.28
        else:
            low, high = y0 + height(arrow.start) / 2, y1 + height(arrow.end) / 2
        rights = [
            places[box][0] + widths[box] / 2
            for box in diagram.boxes
            if y1 - 1 <= places[box][1] <= y0 + 1 and places[box][0] >= min(x0, x1) - 1
            and any({box, arrow.start, arrow.end} <= set(f.boxes) for f in diagram.frames)
        ]  # fmt: skip
        out = max(right0, right1, *rights) + LOOP
        start: Point = (right0, low)
        way: list[tuple[Point, ...]] = []
        if rights and max(rights) > right0 + 1:  # start below the boxes in between
            start, low = (x0, y0 + height(arrow.start)), y0 + height(arrow.start) + 12
            way = [((x0, low), (x0, low), (x0 + 12, low)), ((out - 12, low),)]
        half = (low + high) / 2
        way.append(((out, low), (out, low), (out, half)))
        way.append(((out, high), (out, high), (right1 + TIP, high)))
        items.append(Curve(start, tuple(way), "state"))
        items.append(Words(out + 4, half + 4, arrow.shape, "state", "start"))
    return items


def _skip(x: float, y: float, wide: float, high: float) -> Curve:
    """Return the skip connection around a box, from the arrow above it to the one below."""
    top, bottom, out = y - 14, y + high + 8, x + wide / 2 + LOOP
    way = (
        ((x + wide / 2, top),),
        ((out, top), (out, top), (out, y + 6)),
        ((out, y + high - 6),),
        ((out, bottom), (out, bottom), (x + wide / 2, bottom)),
        ((x + TIP, bottom),),
    )
    return Curve((x, top), way)


def _shapes(
    diagram: Diagram, lines: Mapping[tuple[Box, Box], Curve], framed: set[Box]
) -> list[Item]:
    """Return the texts of shapes beside the arrows."""
    items: list[Item] = []
    for box in diagram.boxes:
        out = [a for a in diagram.arrows if a.start is box and a.shape]
        ways = {a: lines[a.start, a.end] for a in out}
        halo = "framed" if box in framed else "page"
        if len({a.shape for a in out}) > 1:
            items += [_beside(way, arrow.shape, halo, False) for arrow, way in ways.items()]
        elif out:
            words = _of_all([*ways.values()], out[0].shape, halo)
            items.append(replace(words, y=words.y + 7) if box.has_skip else words)
    return items


def _beside(way: Curve, text: str, halo: str, at_start: bool) -> Words:
    """Return a text to the right of a line, at its start or end."""
    x, y = way.start if at_start else way.end
    return Words(x + 7, y + (14 if at_start else -6), text, "edge", "start", halo)


def _of_all(ways: Sequence[Curve], text: str, halo: str) -> Words:
    """Return the common shape of a box's arrows, beside the straight arrow or between them."""
    x, y = ways[0].start
    ends = [way.parts[0][-1][0] - x for way in ways]
    rights, lefts = [e for e in ends if e > 0.5], [e for e in ends if e < -0.5]
    is_straight = len(rights) + len(lefts) < len(ways)
    if is_straight or not (rights and lefts):
        if rights and not lefts:
            return Words(x - 7, y + 16, text, "edge", "end", halo)
        return Words(x + 7, y + 16 + (8 if rights else 0), text, "edge", "start", halo)
    return Words(x, y + 25, text, "edge", "middle", halo)


def boxed(box: Box, x: float, y: float, wide: float) -> list[Item]:
    """Return the items of a box and its text; (x, y) is the middle of its upper edge."""
    high = height(box)
    radius = high / 2 if box.kind in ROUND else 7.0
    base = y + (18.5 if box.detail else high / 2 + 4.6)
    items: list[Item] = [Rect(x - wide / 2, y, wide, high, radius, box.kind)]
    items.append(Words(x, base, box.title, f"title {box.kind}", most=wide - 14))
    if box.detail:
        items.append(Words(x, base + 16, box.detail, f"detail {box.kind}", most=wide - 14))
    return items
