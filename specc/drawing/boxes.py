"""A diagram: boxes, arrows and frames without positions.

Diagram("net", [a, b], [Arrow(a, b, "[64]")], frames=[], summary="4,810 parameters")
"""

from __future__ import annotations

from dataclasses import field
from typing import NamedTuple

from specc.system.records import dataclass


@dataclass(eq=False)
class Box:
    """A box: `title` is its first line, `detail` a second one, `shape` the shape of its value.

    `word` is the path of the block or layer that it belongs to. `sequence` is the sequence for
    whose time steps the box stands; "" if it occurs once per example. `has_skip` says that it
    contains a skip connection, `looks_around` that each time step reads other steps, as in
    attention.
    """

    kind: str
    title: str
    shape: str
    detail: str = ""
    word: str = ""
    sequence: str = ""
    has_skip: bool = False
    looks_around: bool = False


class Arrow(NamedTuple):
    """A value of box `start` that box `end` reads, with its shape.

    `is_initial` marks the initial value of a state, `is_last` the value at the end of a sequence.
    If the arrow carries states to the next time step, `shape` has their names, and `is_backward`
    says that the steps run from the last to the first.
    """

    start: Box
    end: Box
    shape: str = ""
    is_initial: bool = False
    is_last: bool = False
    is_backward: bool = False


@dataclass(eq=False)
class BlockFrame:
    """A frame around the boxes of one use of a block or shared layer.

    `level` is the depth of the frames inside it, `times` the number of consecutive uses it stands
    for.
    """

    title: str
    path: str
    boxes: list[Box] = field(default_factory=list)
    level: int = 0
    times: int = 1


@dataclass
class Diagram:
    """Boxes, arrows and frames; `returns` has the arrows of states to the next time step."""

    title: str
    boxes: list[Box]
    arrows: list[Arrow]
    frames: list[BlockFrame]
    summary: str
    returns: list[Arrow] = field(default_factory=list)
