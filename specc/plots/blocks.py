"""Draws the lines of a figure with braille characters, for a terminal.

print(drawn(figure, width=80, height=14, is_coloured=True))

A braille character has 2 x 4 dots, so a line is finer than with letters.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from specc.plots import ticks
from specc.plots.marks import Figure, Line, Panel

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # bits, [row][column]
EMPTY = 0x2800
COLOURS = (34, 33, 32, 35, 36)  # ANSI color codes, one for each line
MARKS = ("●", "○", "◆", "◇", "■")


def drawn(figure: Figure, width: int = 80, height: int = 12, is_coloured: bool = False) -> str:
    """Return the line panels of a figure as text, one below the other."""
    parts = [part for part in figure.parts if isinstance(part, Panel)]
    return "\n".join("\n".join(_panel(part, width, height, is_coloured)) for part in parts)


def _panel(panel: Panel, width: int, height: int, is_coloured: bool) -> Iterator[str]:
    lines = [mark for mark in panel.marks if isinstance(mark, Line)]
    (x_low, x_high), (low, high) = panel.ends("x"), panel.ends("y")
    scale = math.log10 if panel.y.log else float
    bottom, top = scale(low), scale(high)
    places = ticks.log_ticks(low, high) if panel.y.log else ticks.ticks(low, high, 4)
    room = max(len(ticks.written(each)) for each in places) + 1
    columns = width - room - 2
    cells: dict[tuple[int, int], tuple[int, int]] = {}  # (row, column) to dots and last line
    for number, line in enumerate(lines):
        for x, y in _dots(line, columns, height, (x_low, x_high), (bottom, top), panel.y.log):
            row, column = y // 4, x // 2
            dots, _ = cells.get((row, column), (0, 0))
            cells[row, column] = dots | DOTS[y % 4][x % 2], number
    names = (f"{_mark(k, is_coloured)} {line.name}" for k, line in enumerate(lines) if line.name)
    yield f"{panel.title or panel.y.label}  {'  '.join(names)}".rstrip()
    sides = {_row(scale(each), bottom, top, height): ticks.written(each) for each in places}
    for row in range(height):
        text = "".join(_cell(cells.get((row, k)), is_coloured) for k in range(columns))
        yield f"{sides.get(row, ''):>{room}} ┤{text}".rstrip()
    yield f"{'':{room}} └{'─' * columns}"
    first, last = ticks.written(x_low), ticks.written(x_high)
    gap = columns - len(first) - len(last)
    yield f"{'':{room}}  {first}{panel.x.label:^{max(gap, 0)}}{last}"


def _row(value: float, bottom: float, top: float, height: int) -> int:
    return min(int((top - value) / (top - bottom) * height), height - 1)


def _dots(
    line: Line,
    columns: int,
    height: int,
    across: tuple[float, float],
    along: tuple[float, float],
    is_log: bool,
) -> Iterable[tuple[int, int]]:
    """Yield the dots (x, y) of a line, connecting each point to the next."""
    before: tuple[int, int] | None = None
    for a, b in zip(line.x, line.y, strict=True):
        value = float(b)
        if not math.isfinite(value) or (is_log and value <= 0):
            before = None
            continue
        value = math.log10(value) if is_log else value
        x = round((float(a) - across[0]) / (across[1] - across[0]) * (2 * columns - 1))
        y = round((along[1] - value) / (along[1] - along[0]) * (4 * height - 1))
        yield from _between(before or (x, y), (x, y))
        before = x, y


def _between(one: tuple[int, int], other: tuple[int, int]) -> Iterable[tuple[int, int]]:
    steps = max(abs(other[0] - one[0]), abs(other[1] - one[1]), 1)
    for k in range(steps + 1):
        yield (
            round(one[0] + (other[0] - one[0]) * k / steps),
            round(one[1] + (other[1] - one[1]) * k / steps),
        )


def _cell(cell: tuple[int, int] | None, is_coloured: bool) -> str:
    if cell is None:
        return " "
    dots, number = cell
    return _coloured(chr(EMPTY + dots), number, is_coloured)


def _mark(number: int, is_coloured: bool) -> str:
    return _coloured(MARKS[number % len(MARKS)], number, is_coloured)


def _coloured(text: str, number: int, is_coloured: bool) -> str:
    return f"\x1b[{COLOURS[number % len(COLOURS)]}m{text}\x1b[0m" if is_coloured else text
