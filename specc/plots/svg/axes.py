"""The axes of a panel: its size, the ticks, and the scales from values to pixels."""

from __future__ import annotations

import math

from specc.plots import colours, ticks
from specc.plots.marks import Axis, Bars, Diagonal, Heatmap, Line, Named, Panel, Points, Rule
from specc.plots.svg.elements import (
    HIGH,
    LEGEND,
    LETTER,
    RIGHT,
    SQUARE,
    TITLE,
    WIDE,
    label,
    straight,
)

NAMED_CELL = 14  # side of a cell that leaves room for its name
MOST_NAMED = 44  # largest number of rows or columns that all have their names
LEGEND_LETTER = 7.8  # width of a letter in a legend; above the mean, because names are short


def inner(panel: Panel) -> tuple[float, float]:
    """Return the width and height of the area between the axes, in pixels."""
    tables = panel.tables
    if tables and tables[0].extent is None:
        rows, columns = tables[0].values.shape
        longest = max((len(text) for row in tables[0].texts for text in row), default=0)
        named = max(len(panel.x.names), len(panel.y.names))
        least = NAMED_CELL if named <= MOST_NAMED else 2
        cell = min(max(220 / max(rows, columns), longest * LETTER + 8, least), 46)
        if panel.is_square or max(rows, columns) * cell <= 620:
            return max(columns * cell, 60), max(rows * min(cell, 46), 24)
        return min(columns * cell, 620), min(max(rows * cell, 60), 420)
    return (SQUARE, SQUARE) if panel.is_square else (WIDE, HIGH)


def colours_of(panel: Panel) -> list[str]:
    """Return the color of each mark: its own, or the next one of the palette."""
    found, number = [], 0
    for mark in panel.marks:
        own = getattr(mark, "colour", None)
        found.append(colours.rgb(number if own is None else own))
        number += isinstance(mark, (Line, Points, Bars)) and own is None
    return found


Entry = tuple[Named, str]
"""A mark of the legend, and its color."""


def legend_rows(panel: Panel) -> list[list[Entry]]:
    """Return the entries of the legend, in as many rows as they need."""
    room, used = inner(panel)[0] + 40, 0.0
    rows: list[list[Entry]] = [[]]
    for mark, colour in zip(panel.marks, colours_of(panel), strict=True):
        if isinstance(mark, Heatmap) or not mark.name:
            continue
        wide = 36 + LEGEND_LETTER * len(mark.name)
        if rows[-1] and used + wide > room:
            rows.append([])
            used = 0.0
        rows[-1].append((mark, colour))
        used += wide
    return rows if rows[0] else []


def above(panel: Panel) -> float:
    return (TITLE if panel.title else 10) + LEGEND * len(legend_rows(panel)) + 6


def is_slanted(panel: Panel) -> bool:
    """Return whether the names below the x axis are slanted, because they would overlap."""
    if not panel.x.names:
        return False
    room = inner(panel)[0] / len(panel.x.names)
    return max(len(name) for name in panel.x.names) * LETTER > room - 4


def below(panel: Panel) -> float:
    name = 18 if panel.x.label else 0
    if is_slanted(panel):
        longest = min(max(len(each) for each in panel.x.names), 24)
        return 14 + longest * LETTER * 0.72 + name + 8
    return 26 + name


def left_of(panel: Panel) -> float:
    texts = [text for _, text in places(panel, "y")]
    widest = max((min(len(each), 24) for each in texts), default=0)
    left = 16 + LETTER * widest + (20 if panel.y.label else 0)
    if is_slanted(panel):
        left = max(left, LETTER * min(len(panel.x.names[0]), 24) * 0.75)
    return left


def right_of(panel: Panel) -> float:
    return 74 if panel.tables and panel.tables[0].has_bar else RIGHT + 4


def places(panel: Panel, axis: str) -> list[tuple[float, str]]:
    """Return the positions and texts of the ticks of axis "x" or "y"."""
    given: Axis = getattr(panel, axis)
    if given.names:
        room = 14 if axis == "y" else 13
        length = inner(panel)[axis == "y"]
        every = max(1, math.ceil(len(given.names) * room / max(length, 1)))
        return [(k, visible(given.names[k])[:24]) for k in range(0, len(given.names), every)]
    low, high = panel.ends(axis)
    found = ticks.log_ticks(low, high) if given.log else ticks.ticks(low, high)
    if given.is_whole:
        found = [each for each in found if each == int(each)] or found
    return [(each, ticks.written(each)) for each in found]


def visible(name: str) -> str:
    """A name, with signs for a space or a line break that is all of it."""
    return {" ": "␣", "\n": "⏎", "\t": "⇥"}.get(name, name)


class Scale:
    """Converts values in the units of an axis to pixels."""

    def __init__(self, axis: Axis, ends: tuple[float, float], start: float, stop: float) -> None:
        low, high = self.low, self.high = ends
        self._log = axis.log
        self._low = math.log10(low) if axis.log else low
        high = math.log10(high) if axis.log else high
        self._start = start
        self._slope = (stop - start) / (high - self._low if high != self._low else 1.0)

    def __call__(self, value: float) -> float:
        if self._log:
            value = math.log10(value) if value > 0 else math.nan
        return self._start + (value - self._low) * self._slope


def roomy(panel: Panel, ends: tuple[float, float]) -> tuple[float, float]:
    """Return the ends of the y axis with some space above, and below unless it starts at 0."""
    low, high = ends
    room = (high - low) * 0.05
    has_extent = any(table.extent is not None for table in panel.tables)
    if has_extent:
        return ends
    if panel.y.log:
        factor = (high / low) ** 0.05
        return (
            low / factor if panel.y.low is None else low,
            high * factor if panel.y.high is None else high,
        )
    if panel.y.low is None and low != 0:
        low -= room
    if panel.y.high is None:
        high += room
    return low, high


def roomy_x(panel: Panel) -> tuple[float, float]:
    """Return the ends of the x axis, with some space if there are points at its ends."""
    low, high = panel.ends("x")
    if panel.tables or panel.x.names:
        return low, high
    if not any(isinstance(mark, Points) for mark in panel.marks):
        return low, high
    if panel.x.log:
        factor = (high / low) ** 0.04
        return (
            low / factor if panel.x.low is None else low,
            high * factor if panel.x.high is None else high,
        )
    room = (high - low) * 0.04
    return (
        low - room if panel.x.low is None else low,
        high + room if panel.x.high is None else high,
    )


def legend(panel: Panel, left: float, top: float) -> list[str]:
    """Return the legend: the names of marks, each with a sample of its line or point."""
    out: list[str] = []
    for number, row in enumerate(legend_rows(panel)):
        at, y = left, top + LEGEND * number + 6
        for mark, colour in row:
            if isinstance(mark, Line):
                dash = ' stroke-dasharray="6 4"' if mark.is_dashed else ""
                out.append(
                    f'<line x1="{at:.1f}" y1="{y:g}" x2="{at + 18:.1f}" y2="{y:g}"'
                    f' class="line" stroke="{colour}"{dash}/>'
                )
            elif isinstance(mark, (Rule, Diagonal)):
                out.append(straight(at, y, at + 18, y, "rule"))
            else:
                out.append(f'<circle cx="{at + 9:.1f}" cy="{y:g}" r="4.5" fill="{colour}"/>')
            out.append(label(at + 23, y + 4, mark.name))
            at += 36 + LEGEND_LETTER * len(mark.name)
    return out
