"""The elements of a drawing, with positions in pixels: rectangles, curves and text.

A scene is written as SVG (`svg`) or drawn with matplotlib (`paper`). The colors follow from an
item's style, in a light and a dark theme.
"""

from __future__ import annotations

from dataclasses import field, replace

from specc.system.records import dataclass

Point = tuple[float, float]
SMALL = 6.2
"""Mean width of a letter in small text."""


@dataclass(frozen=True)
class Rect:
    """A rectangle with rounded corners; `style` is a kind of box, or "frame"."""

    left: float
    top: float
    width: float
    height: float
    radius: float
    style: str


@dataclass(frozen=True)
class Curve:
    """A line that starts at `start` and consists of `parts`, with an arrowhead if `has_head`.

    Each part is the end point of a straight line, or two control points and the end point of a
    Bezier curve.
    """

    start: Point
    parts: tuple[tuple[Point, ...], ...]
    style: str = "arrow"
    has_head: bool = True

    @property
    def end(self) -> Point:
        return self.parts[-1][-1]

    @property
    def direction(self) -> Point:
        """The direction of the line at its end, as a unit vector."""
        before = self.parts[-1][-2] if len(self.parts[-1]) > 1 else None
        if before is None:
            before = self.parts[-2][-1] if len(self.parts) > 1 else self.start
        x, y = self.end[0] - before[0], self.end[1] - before[1]
        size = (x * x + y * y) ** 0.5 or 1.0
        return x / size, y / size


@dataclass(frozen=True)
class Words:
    """One line of text; (x, y) is on its base line, `most` is its largest width.

    `style` is "name", "faint", "edge", or "title" or "detail" followed by a kind of box. With
    `halo`, the text has an outline in the color of the page or of a frame, which hides lines below
    it.
    """

    x: float
    y: float
    text: str
    style: str
    anchor: str = "middle"  # "start", "middle" or "end"
    halo: str = ""  # "", "page" or "framed"
    most: float = float("inf")


Item = Rect | Curve | Words


def moved(item: Item, by: float) -> Item:
    """Return an item moved to the right."""
    if isinstance(item, Rect):
        return replace(item, left=item.left + by)
    if isinstance(item, Words):
        return replace(item, x=item.x + by)
    parts = tuple(tuple((x + by, y) for x, y in part) for part in item.parts)
    return replace(item, start=(item.start[0] + by, item.start[1]), parts=parts)


def span(item: Item) -> tuple[float, float]:
    """Return the left and the right end of an item."""
    if isinstance(item, Rect):
        return item.left, item.left + item.width
    if isinstance(item, Words):
        wide = min(SMALL * len(item.text), item.most)
        left = item.x - wide * {"start": 0.0, "middle": 0.5, "end": 1.0}[item.anchor]
        return left, left + wide
    places = [item.start[0], *(x for part in item.parts for x, _ in part)]
    return min(places), max(places)


@dataclass
class Scene:
    """A drawing; items are drawn in order, so later ones cover earlier ones."""

    title: str
    summary: str
    width: float
    height: float
    items: list[Item] = field(default_factory=list)


# The colors of each kind of box: fill, line and text in the light theme, then in the dark theme.
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
FAINT = ("#5f6672", "#9aa1ad")
ARROW = ("#8a919d", "#858c98")
STATE = ("#8a5cc0", "#a982da")
FRAME = ("#f6f7f9", "#d5d9e0", "#1e2127", "#3a3f49")
