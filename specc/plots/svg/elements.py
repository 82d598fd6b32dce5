"""Elements of an SVG, and the sizes that all parts share. Sizes are in pixels."""

from __future__ import annotations

import itertools
from html import escape

import numpy as np

from specc.plots.png import data_uri

WIDE, HIGH = 380, 240  # size of the area between the axes of a panel
SQUARE = 300
LEFT, RIGHT, TOP, BOTTOM = 58, 18, 22, 46
TITLE, LEGEND, LINE = 26, 22, 17
LETTER = 6.6  # mean width of a letter at a font size of 12
PICTURE = 84  # side of an image in a gallery

numbers = itertools.count()
"""Numbers for ids that are unique within a page."""


def label(
    x: float, y: float, words: str, kind: str = "", anchor: str = "start", more: str = ""
) -> str:
    named = f' class="{kind}"' if kind else ""
    place = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{named}{place}{more}>{escape(words)}</text>'


def straight(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def bitmap(
    values: np.ndarray, x: float, y: float, wide: float, high: float, drawn: str = "pixels"
) -> str:
    kind = f' class="{drawn}"' if drawn == "pixels" else ""
    return (
        f'<image{kind} x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}"'
        f' preserveAspectRatio="none" href="{data_uri(values)}"/>'
    )
