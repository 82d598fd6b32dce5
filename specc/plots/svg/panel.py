"""Draws a panel with its marks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape

import numpy as np

from specc.plots import colours, ticks
from specc.plots.marks import Bars, Heatmap, Line, Mark, Panel, Points, Rule, roomy_labels
from specc.plots.svg.axes import (
    Scale,
    above,
    below,
    colours_of,
    inner,
    is_slanted,
    left_of,
    legend,
    places,
    roomy,
    roomy_x,
)
from specc.plots.svg.elements import LINE, TITLE, bitmap, label, numbers, straight

LETTER = 6.6
"""Mean width of a letter in a label, in pixels."""
WIDTH = 2.0
"""Width of a line by default, as in STYLE, in pixels."""
MOST_CELLS = 900
"""Largest number of cells that are drawn one by one; larger heatmaps are bitmaps."""


def draw_panel(panel: Panel) -> list[str]:
    wide, high = inner(panel)
    left, top = left_of(panel), above(panel)
    downwards = bool(panel.tables) and panel.tables[0].extent is None
    ends = panel.ends("y")
    ends = ends if panel.y.names or downwards else roomy(panel, ends)
    x = Scale(panel.x, roomy_x(panel), left, left + wide)
    y = Scale(panel.y, ends, *((top, top + high) if downwards else (top + high, top)))
    out = [label(left, 18, panel.title, "title")] if panel.title else []
    out += legend(panel, left, TITLE + 4 if panel.title else 12)
    grid = not panel.tables
    for value, text in places(panel, "y"):
        at = y(value)
        if not top - 1 <= at <= top + high + 1:
            continue
        if grid:
            out.append(straight(left, at, left + wide, at, "grid"))
        out.append(label(left - 8, at + 4, text, "quiet", "end"))
    slanted = is_slanted(panel)
    out.append('<g class="x-axis">')
    for value, text in places(panel, "x"):
        at, under = x(value), top + high + 16
        if grid and not panel.x.names:
            out.append(straight(at, top, at, top + high, "grid"))
        turn = f' transform="rotate(-45 {at:.1f} {under:.1f})"' if slanted else ""
        out.append(label(at, under, text, "quiet", "end" if slanted else "middle", turn))
    out.append("</g>")
    if panel.x.label:
        at = top + high + below(panel) - 8
        out.append(label(left + wide / 2, at, panel.x.label, "", "middle"))
    if panel.y.label:
        middle = top + high / 2
        turn = f' transform="rotate(-90 12 {middle:.1f})"'
        out.append(label(12, middle, panel.y.label, "", "middle", turn))
    clip = f"c{next(numbers)}"
    out.append(
        f'<clipPath id="{clip}"><rect x="{left - 4:g}" y="{top - 4:g}" width="{wide + 8:g}"'
        f' height="{high + 8:g}"/></clipPath><g clip-path="url(#{clip})"><g class="marks">'
    )
    for mark, colour in zip(panel.marks, colours_of(panel), strict=True):
        out += _mark(mark, x, y, (left, top, wide, high), colour)
    out.append("</g></g>")
    if panel.tables and panel.tables[0].has_bar:
        out += _colour_bar(panel.tables[0], left + wide + 10, top, high)
    out.append(f'<rect class="axis" x="{left:g}" y="{top:g}" width="{wide:g}" height="{high:g}"/>')
    return [_group(panel, x, y, (left, top, wide, high)), *out, "</g>"]


def _group(panel: Panel, x: Scale, y: Scale, box: tuple[float, float, float, float]) -> str:
    """Return the tag around a panel; a line panel has the data for the page's script.

    The script needs the box in pixels and the ends of the axes for hover and zoom.
    """
    only_lines = all(isinstance(mark, (Line, Rule)) for mark in panel.marks)
    if not only_lines or panel.x.names or panel.x.log:
        return "<g>"
    place = " ".join(f"{each:g}" for each in box)
    whole = ' data-whole=""' if panel.x.is_whole else ""
    return (
        f'<g class="panel" data-box="{place}" data-x="{x.low:.10g} {x.high:.10g}"'
        f' data-y="{y.low:.10g} {y.high:.10g} {int(panel.y.log)}"'
        f' data-label="{escape(panel.x.label)}" data-title="{escape(panel.title)}"{whole}>'
    )


def _mark(
    mark: Mark, x: Scale, y: Scale, box: tuple[float, float, float, float], colour: str
) -> list[str]:
    left, top, wide, high = box
    if isinstance(mark, Line):
        return [_line(mark, points, colour) for points in _stretches(mark, x, y)]
    if isinstance(mark, Points):
        return list(_points(mark, x, y, colour))
    if isinstance(mark, Bars):
        return list(_bars(mark, x, y, colour))
    if isinstance(mark, Heatmap):
        return _table(mark, x, y, box)
    if isinstance(mark, Rule):
        if mark.x is not None:
            return [straight(x(mark.x), top, x(mark.x), top + high, "rule")]
        assert mark.y is not None
        return [straight(left, y(mark.y), left + wide, y(mark.y), "rule")]
    # a Diagonal: draw y = x over the range of both axes
    low, last = min(x.low, y.low), max(x.high, y.high)
    return [straight(x(low), y(low), x(last), y(last), "rule")]


def _line(mark: Line, points: str, colour: str) -> str:
    """Return one uninterrupted stretch of a line; a single point becomes a dot."""
    if " " not in points:
        at, up = points.split(",")
        return f'<circle cx="{at}" cy="{up}" r="3" fill="{colour}"/>'
    start = f'<polyline class="line" stroke="{colour}" data-name="{escape(mark.name)}"'
    if mark.width != WIDTH:
        start += f' style="stroke-width:{mark.width:g}"'
    if not mark.seconds:
        dash = ' stroke-dasharray="6 4"' if mark.is_dashed else ""
        return f'{start}{dash} points="{points}"/>'
    return (
        f'{start} points="{points}" pathLength="1" stroke-dasharray="1 1">'
        f'<animate attributeName="stroke-dashoffset" values="1;0;0" keyTimes="0;0.8;1"'
        f' dur="{mark.seconds:g}s" repeatCount="indefinite"/></polyline>'
    )


def _stretches(line: Line, x: Scale, y: Scale) -> list[str]:
    """Return the points of each stretch of a line between values that are not finite."""
    found: list[list[str]] = [[]]
    for a, b in zip(line.x, line.y, strict=True):
        at, up = x(float(a)), y(float(b))
        if math.isfinite(at) and math.isfinite(up):
            # limit values far outside the panel, where browsers no longer clip exactly
            found[-1].append(f"{at:.1f},{max(min(up, 1e5), -1e5):.1f}")
        elif found[-1]:
            found.append([])
    return [" ".join(each) for each in found if each]


def _points(mark: Points, x: Scale, y: Scale, colour: str) -> Iterable[str]:
    for number, (a, b) in enumerate(zip(mark.x, mark.y, strict=True) if mark.radius else ()):
        at, up = x(float(a)), y(float(b))
        if not (math.isfinite(at) and math.isfinite(up)):
            continue
        title = f"<title>{escape(mark.titles[number])}</title>" if mark.titles else ""
        yield (
            f'<circle cx="{at:.1f}" cy="{up:.1f}" r="{mark.radius:g}" fill="{colour}"'
            f' fill-opacity="0.75">{title}</circle>'
        )
    named = zip(mark.x, mark.y, mark.labels, strict=False)
    spots = [(_beside(x, float(a), mark.radius + 3, text), y(float(b)), text)
             for a, b, text in named]  # fmt: skip
    for number in roomy_labels(spots, LETTER, LINE):
        at, up, text = spots[number]
        yield label(at, up + 4, text, "name")


def _beside(x: Scale, value: float, away: float, text: str) -> float:
    """Return where a label starts: right of its point, or left of it near the panel's edge."""
    wide = LETTER * len(text)
    return x(value) + away if x(value) + away + wide < x(x.high) else x(value) - away - wide


def _bars(mark: Bars, x: Scale, y: Scale, colour: str) -> Iterable[str]:
    ground = y(0.0)
    for number, (a, height) in enumerate(zip(mark.x, mark.heights, strict=True)):
        if not math.isfinite(float(height)):
            continue
        start, stop = x(float(a) - mark.width / 2), x(float(a) + mark.width / 2)
        end = y(float(height))
        title = f"<title>{escape(mark.titles[number])}</title>" if mark.titles else ""
        yield (
            f'<rect x="{start:.1f}" y="{min(end, ground):.1f}" width="{stop - start:.1f}"'
            f' height="{abs(end - ground):.1f}" fill="{colour}" fill-opacity="0.85">{title}</rect>'
        )


def _table(mark: Heatmap, x: Scale, y: Scale, box: tuple[float, float, float, float]) -> list[str]:
    rows, columns = mark.values.shape[:2]
    low, high = mark.range
    colour = colours.of_table(mark.values, low, high, mark.scale)
    if mark.extent is not None:
        left, right, bottom, top = mark.extent
        return [bitmap(colour, x(left), y(top), x(right) - x(left), y(bottom) - y(top))]
    if rows * columns > MOST_CELLS:
        left_, top_, wide, tall = box
        return [bitmap(colour, left_, top_, wide, tall)]
    out = []
    for i in range(rows):
        for j in range(columns):
            if mark.scale == "counts" and not mark.values[i, j]:
                continue
            a, b, c, d = x(j - 0.5), y(i - 0.5), x(j + 0.5), y(i + 0.5)
            value = mark.texts[i][j] if mark.texts else ticks.written(float(mark.values[i, j]))
            out.append(
                f'<rect x="{a:.1f}" y="{b:.1f}" width="{c - a:.1f}" height="{d - b:.1f}"'
                f' fill="{colours.hexadecimal(colour[i, j])}"><title>{value}</title></rect>'
            )
            if mark.texts and mark.texts[i][j]:
                ink = "#fff" if colours.is_dark(colour[i, j]) else "#111"
                style = f' style="fill:{ink}"'
                text = mark.texts[i][j]
                out.append(label((a + c) / 2, (b + d) / 2 + 4, text, "", "middle", style))
    return out


def _colour_bar(table: Heatmap, left: float, top: float, high: float) -> list[str]:
    low, last = table.range
    steps = np.linspace(1, 0, 64)[:, None] * (last - low) + low
    out = [bitmap(colours.of_table(steps, low, last, table.scale), left, top, 10, high, "auto")]
    middle = (low + last) / 2
    out += [
        label(left + 14, top + 8, ticks.written(float(f"{last:.3g}")), "quiet"),
        label(left + 14, top + high / 2 + 4, ticks.written(float(f"{middle:.3g}")), "quiet"),
        label(left + 14, top + high, ticks.written(float(f"{low:.3g}")), "quiet"),
    ]
    return out
