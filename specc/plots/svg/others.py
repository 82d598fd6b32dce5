"""Parts that are not panels: images, weighted words, plain text."""

from __future__ import annotations

from html import escape

import numpy as np

from specc.plots import colours
from specc.plots.marks import Gallery, Passage, Picture, Text
from specc.plots.svg.elements import LINE, PICTURE, bitmap, label, straight


def gallery(part: Gallery, top: float) -> list[str]:
    out: list[str] = []
    tall = PICTURE + 10 + LINE * max((len(lines(p.text)) for p in part.pictures), default=0)
    for number, each in enumerate(part.pictures):
        row, column = divmod(number, part.columns)
        out += picture(each, 12 + column * (PICTURE + 12), top + row * tall)
    return out


def picture(part: Picture, left: float, top: float) -> list[str]:
    """Return an image in a square, with its frame and its text below it."""
    rows, columns = part.pixels.shape[:2]
    side = PICTURE / max(rows, columns)
    wide, high = columns * side, rows * side
    at, up = left + (PICTURE - wide) / 2, top + (PICTURE - high) / 2
    frame = 'class="axis"'
    if part.mark is not None:
        frame = f'fill="none" stroke-width="2" stroke="{colours.rgb(part.mark)}"'
    out = [
        bitmap(part.pixels, at, up, wide, high),
        f'<rect {frame} x="{at:.1f}" y="{up:.1f}" width="{wide:.1f}" height="{high:.1f}"/>',
    ]
    for k, line in enumerate(lines(part.text)):
        under = top + PICTURE + 14 + LINE * k
        out.append(label(left + PICTURE / 2, under, line[:15], "quiet", "middle"))
    return out


def lines(text: str) -> list[str]:
    return text.split("\n") if text else []


def wrapped(part: Passage, most: int = 90) -> list[list[tuple[str, float]]]:
    rows: list[list[tuple[str, float]]] = [[]]
    used = 0
    for text, weight in zip(part.texts, part.weights, strict=True):
        if text == "\n" or (used + len(text) > most and rows[-1]):
            rows.append([])
            used = 0
        rows[-1].append((text.replace("\n", "⏎"), weight))
        used += len(text)
    return rows


def passage(part: Passage, top: float) -> list[str]:
    out = []
    for number, row in enumerate(wrapped(part)):
        left, y = 12.0, top + 24 * number
        for text, weight in row:
            wide = 7.9 * len(text)
            colour = colours.signed(np.array(weight))
            ink = "#fff" if colours.is_dark(colour) else "#111"
            out.append(
                f'<rect x="{left:.1f}" y="{y:g}" width="{wide:.1f}" height="21"'
                f' fill="{colours.hexadecimal(colour)}"><title>{escape(text)}:'
                f" {weight:.3g}</title></rect>"
            )
            out.append(label(left + 1, y + 15, text, "letters", "start", f' style="fill:{ink}"'))
            left += wide
    return out


def folded(line: str, most: int = 94) -> list[str]:
    found = []
    for part in line.split("\n"):
        found += [part[k : k + most] for k in range(0, max(len(part), 1), most)]
    return found


def plain(part: Text, top: float, width: float) -> list[str]:
    out, y = [], top
    for heading, line in part.lines:
        out.append(label(12, y + 13, heading, "quiet"))
        y += LINE
        for each in folded(line):
            out.append(label(12, y + 13, each, "letters"))
            y += LINE
        out.append(straight(12, y + 4, width - 12, y + 4, "grid"))
        y += 10
    return out
