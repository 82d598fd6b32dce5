"""Draws consecutive equal blocks once, with a note of how many there are.

    repeated(diagram)       # "residual", "residual", "residual" -> "residual", 3 times

A block follows another if it reads only that one. Two blocks are equal if their boxes have the same
titles, shapes and parameters, and are connected by the same arrows.
"""

from __future__ import annotations

import re

from specc.drawing.boxes import Arrow, BlockFrame, Box, Diagram

Unit = tuple[Box, ...]
"""The boxes of a frame, or the single box of a block."""


def repeated(diagram: Diagram) -> Diagram:
    """Return the diagram with each series of equal units drawn once."""
    outer = [
        frame
        for frame in diagram.frames
        if not any(f is not frame and set(frame.boxes) < set(f.boxes) for f in diagram.frames)
    ]
    inside = {box for frame in outer for box in frame.boxes}
    units: dict[Unit, BlockFrame | None] = {tuple(_ordered(f, diagram)): f for f in outer}
    units |= {(b,): None for b in diagram.boxes if b.kind == "block" and b not in inside}
    following = {one: two for one in units for two in units if _follows(one, two, diagram)}
    firsts = [unit for unit in units if unit in following and unit not in following.values()]
    for unit in firsts:
        row = [unit]
        while row[-1] in following:
            row.append(following[row[-1]])
        diagram = _folded(diagram, row, units[unit])
    return diagram


def _ordered(frame: BlockFrame, diagram: Diagram) -> list[Box]:
    return [box for box in diagram.boxes if box in frame.boxes]


def _follows(one: Unit, two: Unit, diagram: Diagram) -> bool:
    """Return whether the second unit is equal to the first and reads only one value of it."""
    if one is two or _form(one, diagram) != _form(two, diagram):
        return False
    into = {a.start for a in diagram.arrows if a.end in two and a.start not in two}
    out = {a.end for a in diagram.arrows if a.start in one and a.end not in one}
    return len(into) == 1 and into <= set(one) and out <= set(two) and not _returning(one, diagram)


def _returning(unit: Unit, diagram: Diagram) -> bool:
    return any(a.start in unit or a.end in unit for a in diagram.returns)


def _form(unit: Unit, diagram: Diagram) -> object:
    """Return a key that is equal for equal units, which ignores the numbers in layer paths."""
    place = {box: k for k, box in enumerate(unit)}
    boxes = [(b.kind, b.title, b.shape, re.sub(r"^[^,]*", "", b.detail)) for b in unit]
    within = {
        (place[a.start], place[a.end], a.shape)
        for a in diagram.arrows
        if a.start in place and a.end in place
    }
    entries = {place[a.end] for a in diagram.arrows if a.end in place and a.start not in place}
    return boxes, within, entries


def _folded(diagram: Diagram, row: list[Unit], frame: BlockFrame | None) -> Diagram:
    """Return the diagram with the first unit of a series in place of all of them."""
    first, last = row[0], row[-1]
    gone = {box for unit in row[1:] for box in unit}
    back = dict(zip(last, first, strict=True))
    arrows = []
    for each in diagram.arrows:
        if each.end in gone:
            continue
        arrows.append(each._replace(start=back.get(each.start, each.start)))
    frames = [f for f in diagram.frames if not set(f.boxes) <= gone]
    if frame is None:
        frame = BlockFrame(first[0].title, first[0].word, list(first))
        frames.append(frame)
    frame.times = len(row)
    boxes = [box for box in diagram.boxes if box not in gone]
    kept: list[Arrow] = [a for a in arrows if a.start not in gone]
    return Diagram(diagram.title, boxes, kept, frames, diagram.summary, diagram.returns)
