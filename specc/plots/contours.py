"""Lines of equal height through a grid of values: marching squares, joined.

contours(x, y, heights, 0.5)      # [array [n, 2], ...]: each a line through points (x, y)
"""

from __future__ import annotations

import numpy as np

Edge = tuple[int, int, int]
"""A side of a cell: 0 for the one from (row, column) to the right, 1 for the one upwards."""
SIDES = {
    1: [(0, 3)], 2: [(0, 1)], 3: [(3, 1)], 4: [(1, 2)], 6: [(0, 2)], 7: [(3, 2)], 8: [(2, 3)],
    9: [(0, 2)], 11: [(1, 2)], 12: [(1, 3)], 13: [(0, 1)], 14: [(0, 3)],
}  # fmt: skip
"""Which sides (below, right, above, left) a line joins, by the corners that are higher: 1 below
left, 2 below right, 4 above right, 8 above left."""


def contours(x: np.ndarray, y: np.ndarray, heights: np.ndarray, level: float) -> list[np.ndarray]:
    """The lines at a level, [n, 2] each; heights [rows, columns] are at (x[column], y[row]).

    Cells with a corner that is not finite have no line. A line that is closed ends where it began.
    """
    links: dict[Edge, list[Edge]] = {}
    for row in range(len(y) - 1):
        for column in range(len(x) - 1):
            for one, other in _within(heights[row : row + 2, column : column + 2], level):
                a, b = _edge(row, column, one), _edge(row, column, other)
                links.setdefault(a, []).append(b)
                links.setdefault(b, []).append(a)
    lines = []
    while links:
        # an open line is followed from one of its ends
        start = next(
            (edge for edge, others in links.items() if len(others) == 1), next(iter(links))
        )
        lines.append(
            np.array([_crossing(edge, x, y, heights, level) for edge in _walk(links, start)])
        )
    return lines


def _within(cell: np.ndarray, level: float) -> list[tuple[int, int]]:
    """The sides that lines join in a cell [2, 2], whose row 0 is below."""
    if not np.isfinite(cell).all():
        return []
    (a, b), (d, c) = cell > level
    kind = int(a) + 2 * int(b) + 4 * int(c) + 8 * int(d)
    if kind in (5, 10):  # a saddle: its mean says which corners belong together
        joins = (kind == 5) == bool(cell.mean() > level)
        return [(0, 1), (2, 3)] if joins else [(0, 3), (1, 2)]
    return SIDES.get(kind, [])


def _edge(row: int, column: int, side: int) -> Edge:
    return [(0, row, column), (1, row, column + 1), (0, row + 1, column), (1, row, column)][side]


def _walk(links: dict[Edge, list[Edge]], start: Edge) -> list[Edge]:
    """The edges of a line from one of them on; they are taken out of `links`."""
    found, at = [start], start
    while links.get(at):
        following = links[at].pop()
        links[following].remove(at)
        for edge in (at, following):
            if not links[edge]:
                del links[edge]
        found.append(following)
        at = following
    return found


def _crossing(
    edge: Edge, x: np.ndarray, y: np.ndarray, heights: np.ndarray, level: float
) -> tuple[float, float]:
    """Where the level is on an edge, by linear interpolation."""
    upwards, row, column = edge
    first = float(heights[row, column])
    last = float(heights[row + upwards, column + 1 - upwards])
    share = (level - first) / (last - first)
    if upwards:
        return float(x[column]), float(y[row] + share * (y[row + 1] - y[row]))
    return float(x[column] + share * (x[column + 1] - x[column])), float(y[row])
