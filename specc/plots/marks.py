"""The content of a figure, independent of how it is drawn.

    Figure("curves", "Loss", (Panel((Line(epochs, loss, "training"),), x=Axis("epoch")),))

Everything is in units of the data; the drawing converts to pixels. Colors are indices into a
palette, so that a page can have a light and a dark theme.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import field
from typing import Literal

import numpy as np

from specc.system.records import dataclass


@dataclass(frozen=True)
class Axis:
    """An axis of a panel.

    `low` and `high` are its ends; by default they follow from the marks. `names` are written at 0,
    1, 2, ... instead of numbers. An axis of counts `is_whole`: it has no ticks between integers.
    """

    label: str = ""
    log: bool = False
    low: float | None = None
    high: float | None = None
    names: tuple[str, ...] = ()
    is_whole: bool = False


@dataclass(frozen=True, eq=False)
class Line:
    """A line through points, `x` and `y` [n]; a value that is not finite interrupts it.

    With `seconds`, an SVG animates the line: it is drawn from start to end, repeatedly. `width` is
    in pixels.
    """

    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray
    name: str = ""
    colour: int | None = None
    is_dashed: bool = False
    seconds: float = 0.0
    width: float = 2.0


@dataclass(frozen=True, eq=False)
class Points:
    """Single points, `x` and `y` [n]; `titles` are shown on hover.

    `labels` are written beside the points, in order, as long as there is room; a point with an
    empty label has none.
    """

    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray
    name: str = ""
    colour: int | None = None
    titles: tuple[str, ...] = ()
    radius: float = 3.0
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Bars:
    """Bars from 0 to `heights`, [n], centered at `x`, [n], with a `width` in units of x."""

    x: Sequence[float] | np.ndarray
    heights: Sequence[float] | np.ndarray
    width: float = 0.8
    name: str = ""
    colour: int | None = None
    titles: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Heatmap:
    """A color for each cell of `values`, [rows, columns], with row 0 at the top.

    `values` may also be the colors themselves, uint8 [rows, columns, 3].

    `texts` are written into the cells. `scale` is "heat", "counts" (pale to dark; 0 stays empty) or
    "signed" (the middle color means 0). `extent` is (left, right, bottom, top) in units of the
    axes, if the cells are positions in a plane.
    """

    values: np.ndarray
    texts: tuple[tuple[str, ...], ...] = ()
    scale: Literal["heat", "counts", "signed"] = "heat"
    low: float | None = None
    high: float | None = None
    extent: tuple[float, float, float, float] | None = None

    @property
    def has_bar(self) -> bool:
        """Whether the heatmap needs a color bar."""
        return not self.texts and self.values.ndim == 2

    @property
    def range(self) -> tuple[float, float]:
        """The values of the first and the last color."""
        finite = self.values[np.isfinite(self.values)]
        low = self.low if self.low is not None else float(finite.min(initial=0))
        high = self.high if self.high is not None else float(finite.max(initial=0))
        if self.scale == "signed":
            high = max(abs(low), abs(high)) or 1.0
            low = -high
        return low, high if high > low else low + 1.0


@dataclass(frozen=True, eq=False)
class Rule:
    """A straight line across the panel, at an `x` or a `y`."""

    x: float | None = None
    y: float | None = None
    name: str = ""


@dataclass(frozen=True, eq=False)
class Diagonal:
    """The line y = x."""

    name: str = ""


Named = Line | Points | Bars | Rule | Diagonal
"""Marks that can be in a legend."""
Mark = Named | Heatmap


@dataclass(frozen=True, eq=False)
class Panel:
    """One pair of axes with marks; `is_square` gives both axes the same length."""

    marks: tuple[Mark, ...]
    title: str = ""
    x: Axis = Axis()
    y: Axis = Axis()
    is_square: bool = False

    def ends(self, axis: str) -> tuple[float, float]:
        """Return the ends of the axis "x" or "y"."""
        given: Axis = getattr(self, axis)
        low, high = _range(list(self._values(axis)), given)
        return (
            low if given.low is None else given.low,
            high if given.high is None else given.high,
        )

    def _values(self, axis: str) -> Iterable[float]:
        for mark in self.marks:
            if isinstance(mark, (Line, Points)):
                yield from map(float, mark.x if axis == "x" else mark.y)
            elif isinstance(mark, Bars):
                if axis == "x":
                    for each in mark.x:
                        yield from (float(each) - mark.width / 2, float(each) + mark.width / 2)
                else:
                    yield 0.0
                    yield from map(float, mark.heights)
            elif isinstance(mark, Heatmap) and mark.extent is not None:
                yield from mark.extent[:2] if axis == "x" else mark.extent[2:]
            elif isinstance(mark, Heatmap):
                yield from (-0.5, mark.values.shape[axis == "x"] - 0.5)
            elif isinstance(mark, Rule):
                value = mark.x if axis == "x" else mark.y
                if value is not None:
                    yield float(value)

    @property
    def tables(self) -> list[Heatmap]:
        return [mark for mark in self.marks if isinstance(mark, Heatmap)]


def _range(values: list[float], axis: Axis) -> tuple[float, float]:
    if axis.names:
        return -0.5, len(axis.names) - 0.5
    usable = [each for each in values if math.isfinite(each) and (each > 0 or not axis.log)]
    if not usable:
        return (0.1, 1.0) if axis.log else (0.0, 1.0)
    low, high = min(usable), max(usable)
    if low == high:
        if axis.log:
            return low / 2, high * 2
        room = abs(low) / 2 or 0.5
        return low - room, high + room
    return low, high


@dataclass(frozen=True, eq=False)
class Picture:
    """An image, uint8 [h, w] or [h, w, 3], with a line of text; `mark` is the color of a frame."""

    pixels: np.ndarray
    text: str = ""
    mark: int | None = None


@dataclass(frozen=True, eq=False)
class Gallery:
    """Images in rows of `columns`."""

    pictures: tuple[Picture, ...]
    title: str = ""
    columns: int = 8


@dataclass(frozen=True, eq=False)
class Passage:
    """Words or letters, each colored by a weight from -1 to 1."""

    texts: tuple[str, ...]
    weights: tuple[float, ...]
    title: str = ""


@dataclass(frozen=True, eq=False)
class Text:
    """Lines of plain text, each with a heading."""

    lines: tuple[tuple[str, str], ...]
    title: str = ""


Part = Panel | Gallery | Passage | Text


@dataclass(frozen=True, eq=False)
class Figure:
    """Parts in rows of `columns`; `caption` explains the figure in one or two sentences."""

    kind: str
    title: str
    parts: tuple[Part, ...]
    caption: str = ""
    columns: int = 1
    figures: dict[str, float] = field(default_factory=dict)
    """Numbers that the figure shows, such as an area under a curve."""


def roomy_labels(
    places: Sequence[tuple[float, float, str]], letter: float, line: float
) -> list[int]:
    """Return the indices of labels (x, y, text) that do not overlap an earlier label.

    A text starts at x and has its middle at y; a letter is `letter` wide, and a line `line` high.
    """
    taken: list[tuple[float, float, float]] = []  # left, right, middle
    found = []
    for number, (x, y, text) in enumerate(places):
        right = x + letter * len(text)
        if not text or not math.isfinite(x + y):
            continue
        if all(right < a or x > b or abs(y - c) >= line for a, b, c in taken):
            taken.append((x, right, y))
            found.append(number)
    return found
