"""Lays out a graph in rows from top to bottom, with few crossings and short arrows.

    layered({"a": 80.0, ...}, [("a", "b"), ...])      # centers of boxes, and a line per arrow

After Sugiyama, Tagawa and Toda, Methods for visual understanding of hierarchical system structures,
1981: rows by the longest path, dummy nodes where an arrow passes a row, and an order by the mean of
the neighbors. The longest paths are straight, after Gansner, Koutsofios, North and Vo, A technique
for drawing directed graphs, 1993.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import field
from itertools import pairwise
from typing import Generic, TypeVar

from specc.system.records import dataclass

Key = TypeVar("Key", bound=Hashable)

SWEEPS = 12
SPACE = 28.0
"""Least space between neighbors in a row, in pixels."""
NARROW = 10.0
"""Width reserved for an arrow that passes a row, in pixels."""


@dataclass(eq=False)
class Spot(Generic[Key]):
    """A box in a row, or an arrow that passes the row (then `key` is None)."""

    key: Key | None
    row: int
    width: float
    x: float = 0.0
    above: list[Spot[Key]] = field(default_factory=list)
    below: list[Spot[Key]] = field(default_factory=list)


@dataclass(frozen=True)
class Placement(Generic[Key]):
    """The layout: `places` has the center (x) and the row of each key.

    `lines` has the rows and x positions that each arrow passes.
    """

    places: dict[Key, tuple[float, int]]
    lines: dict[tuple[Key, Key], list[tuple[int, float]]]
    rows: list[list[Key]]


def layered(
    widths: Mapping[Key, float], arrows: Sequence[tuple[Key, Key]], last: Collection[Key] = ()
) -> Placement[Key]:
    """Return the layout of boxes with the given widths; keys in `last` are in the last row."""
    rows = _rows(list(widths), arrows)
    rows |= dict.fromkeys(last, max(rows.values(), default=0))
    spots = {key: Spot(key, rows[key], width) for key, width in widths.items()}
    table: list[list[Spot[Key]]] = [[] for _ in range(max(rows.values(), default=-1) + 1)]
    for spot in spots.values():
        table[spot.row].append(spot)
    chains = {}
    for start, end in arrows:
        chain = [spots[start]]
        for row in range(rows[start] + 1, rows[end]):
            passing: Spot[Key] = Spot(None, row, NARROW)
            table[row].append(passing)
            chain.append(passing)
        chain.append(spots[end])
        for one, other in pairwise(chain):
            one.below.append(other)
            other.above.append(one)
        chains[start, end] = chain
    _order(table)
    _place(table, _ways(list(widths), arrows, chains))
    lines = {arrow: [(spot.row, spot.x) for spot in chain] for arrow, chain in chains.items()}
    places = {key: (spot.x, spot.row) for key, spot in spots.items()}
    return Placement(places, lines, [[s.key for s in row if s.key is not None] for row in table])


def _rows(keys: Sequence[Key], arrows: Sequence[tuple[Key, Key]]) -> dict[Key, int]:
    """Return the row of each key: below its sources, or just above its first user if none."""
    before: dict[Key, list[Key]] = {key: [] for key in keys}
    after: dict[Key, list[Key]] = {key: [] for key in keys}
    for start, end in arrows:
        before[end].append(start)
        after[start].append(end)
    rows = dict.fromkeys(keys, 0)
    waiting = [key for key in keys if not before[key]]
    left = {key: len(before[key]) for key in keys}
    for key in waiting:
        for each in after[key]:
            rows[each] = max(rows[each], rows[key] + 1)
            left[each] -= 1
            if not left[each]:
                waiting.append(each)
    assert len(waiting) == len(keys), "the arrows of a drawing go in a circle; please report this"
    for key in reversed(waiting):
        if not before[key] and after[key]:
            rows[key] = min(rows[each] for each in after[key]) - 1
    first = min(rows.values(), default=0)
    return {key: row - first for key, row in rows.items()}


def _order(table: list[list[Spot[Key]]]) -> None:
    for row in table:
        for number, spot in enumerate(row):
            spot.x = number
    best, fewest = [list(row) for row in table], _crossings(table)
    for sweep in range(SWEEPS):
        is_down = sweep % 2 == 0
        for row in table if is_down else reversed(table):
            for spot in row:
                near = spot.above if is_down else spot.below
                if near:
                    spot.x = sum(each.x for each in near) / len(near)
            row.sort(key=lambda spot: spot.x)
            for number, spot in enumerate(row):
                spot.x = number
        if (count := _crossings(table)) < fewest:
            best, fewest = [list(row) for row in table], count
    for row, ordered in zip(table, best, strict=True):
        # boxes without arrows go to the right of all others
        row[:] = sorted(ordered, key=lambda spot: not (spot.above or spot.below))


def _crossings(table: list[list[Spot[Key]]]) -> int:
    count = 0
    for row in table:
        place = {spot: number for number, spot in enumerate(row)}
        following = {
            spot: number for number, spot in enumerate({b: None for s in row for b in s.below})
        }
        ends = [(place[s], b.x, following[b]) for s in row for b in s.below]
        count += sum(
            (a[0] - b[0]) * (a[1] - b[1]) < 0
            for number, a in enumerate(ends)
            for b in ends[:number]
        )
    return count


def _ways(
    keys: Sequence[Key],
    arrows: Sequence[tuple[Key, Key]],
    chains: Mapping[tuple[Key, Key], Sequence[Spot[Key]]],
) -> list[list[Spot[Key]]]:
    """Return groups of spots that should share an x: the longest paths, and long arrows."""
    after: dict[Key, list[Key]] = {key: [] for key in keys}
    before: dict[Key, list[Key]] = {key: [] for key in keys}
    for start, end in arrows:
        after[start].append(end)
        before[end].append(start)
    down, up = _depths(keys, after), _depths(keys, before)
    follows: dict[Key, Key] = {}
    for start in keys:
        main = _main(after[start], down, before)
        if main is not None and _main(before[main], up, after) == start:
            follows[start] = main
    ways = []
    joined = set()
    for key in keys:
        if key not in follows or key in follows.values():
            continue
        way: list[Spot[Key]] = []
        while key in follows:
            chain = chains[key, follows[key]]
            joined.add((key, follows[key]))
            way += chain[bool(way) :]
            key = follows[key]
        ways.append(way)
    rest = [list(chain[1:-1]) for arrow, chain in chains.items() if arrow not in joined]
    return sorted([*ways, *(chain for chain in rest if chain)], key=len)


def _depths(keys: Sequence[Key], after: Mapping[Key, Sequence[Key]]) -> dict[Key, int]:
    """Return the length of the longest path that starts at each key."""
    depths: dict[Key, int] = {}
    for key in keys:
        waiting = [key]
        while waiting:
            here = waiting[-1]
            left = [each for each in after[here] if each not in depths]
            if left:
                waiting += left
                continue
            depths[here] = 1 + max((depths[each] for each in after[here]), default=0)
            waiting.pop()
    return depths


def _main(
    near: Sequence[Key], depths: Mapping[Key, int], others: Mapping[Key, Sequence[Key]]
) -> Key | None:
    """Return the neighbor that continues a path: the one with the longest path, if unique.

    Among several, the one without other neighbors on that side is chosen.
    """
    most = max((depths[key] for key in near), default=0)
    found = [key for key in near if depths[key] == most]
    if len(found) > 1:
        found = [key for key in found if len(others[key]) == 1]
    return found[0] if len(found) == 1 else None


def _place(table: list[list[Spot[Key]]], ways: Sequence[Sequence[Spot[Key]]]) -> None:
    """Set the x of every spot: close to its neighbors, with enough space within its row."""
    for row in table:
        x = 0.0
        for spot in row:
            spot.x = x + spot.width / 2
            x += spot.width + SPACE
        middle = (x - SPACE) / 2
        for spot in row:
            spot.x -= middle
    for sweep in range(10 * SWEEPS):
        is_down = sweep % 2 == 0
        for row in table if is_down else reversed(table):
            wanted, weights = [], []
            for spot in row:
                near = [
                    (each, _weight(each, spot)) for each in spot.above if is_down or sweep >= SWEEPS
                ]
                near += [
                    (each, _weight(spot, each))
                    for each in spot.below
                    if not is_down or sweep >= SWEEPS
                ]
                near = near or [(spot, 0.1)]
                weight = sum(w for _, w in near)
                wanted.append(sum(each.x * w for each, w in near) / weight)
                weights.append(weight)
            _separate(row, wanted, weights)
        if sweep >= SWEEPS:
            for way in ways:
                _straighten(way, table, pushes=True)
    for way in [*reversed(ways), *ways]:
        _straighten(way, table, pushes=False)


def _straighten(way: Sequence[Spot[Key]], table: list[list[Spot[Key]]], pushes: bool) -> None:
    """Move the spots of a path to the same x, near their neighbors outside of the path.

    With `pushes`, other spots are moved aside; otherwise nothing happens if there is no room.
    """
    low, high = float("-inf"), float("inf")
    for spot in way:
        row = table[spot.row]
        at = row.index(spot)
        if at:
            low = max(low, row[at - 1].x + _distance(row[at - 1], spot))
        if at + 1 < len(row):
            high = min(high, row[at + 1].x - _distance(spot, row[at + 1]))
    if low > high and not pushes:
        return
    inside = set(way)
    pulls = [
        (each.x, _weight(*((each, spot) if each in spot.above else (spot, each))))
        for spot in way
        for each in (*spot.above, *spot.below)
        if each not in inside
    ]
    total = sum(weight for _, weight in pulls)
    mean = sum(spot.x for spot in way) / len(way)
    x = sum(x * weight for x, weight in pulls) / total if total else mean
    x = min(max(x, low), high) if low <= high else (low + high) / 2
    for spot in way:
        spot.x = x
        row = table[spot.row]
        at = row.index(spot)
        for one, other in pairwise(row[at:]):
            other.x = max(other.x, one.x + _distance(one, other))
        for other, one in pairwise(row[at::-1]):
            one.x = min(one.x, other.x - _distance(one, other))


def _distance(one: Spot[Key], other: Spot[Key]) -> float:
    """Return the least distance between the centers of two neighbors in a row."""
    return (one.width + other.width) / 2 + SPACE


def _weight(one: Spot[Key], other: Spot[Key]) -> float:
    """Return the weight of an arrow: how important it is that it is straight."""
    if one.key is None or other.key is None:
        return 8 if one.key is other.key else 2
    ways = len(one.below), len(other.above)
    return 6 if ways == (1, 1) else 2 if 1 in ways else 1


def _separate(row: list[Spot[Key]], wanted: list[float], weights: list[float]) -> None:
    """Set positions close to `wanted` (weighted least squares) that keep order and distance."""
    # Without the distances, this is isotonic regression: falling neighbors are pooled.
    offsets, at = [], 0.0
    for number, spot in enumerate(row):
        if number:
            at += (row[number - 1].width + spot.width) / 2 + SPACE
        offsets.append(at)
    pools: list[tuple[float, float, int]] = []  # weighted sum, weight, count
    for want, offset, weight in zip(wanted, offsets, weights, strict=True):
        pools.append((weight * (want - offset), weight, 1))
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
            one, other = pools.pop(), pools.pop()
            pools.append((one[0] + other[0], one[1] + other[1], one[2] + other[2]))
    values = [total / weight for total, weight, count in pools for _ in range(count)]
    for spot, value, offset in zip(row, values, offsets, strict=True):
        spot.x = value + offset
