"""A diagram: boxes, arrows and frames, before they have places.

Diagram("net", [a, b], [Arrow(a, b, "[64]")], frames=[], summary="4,810 parameters")
"""

from __future__ import annotations

from dataclasses import field
from typing import NamedTuple

from specc.system.records import dataclass


@dataclass(eq=False)
class Box:
    """`title` is its first line, `detail` a second one; `shape` is that of its value.

    `word` is the path of the block or layer that it is a part of, `sequence` the name of the
    sequence that has one such box for each step; "" if there is a single one for an example.
    `has_skip`: a way within leads around its layers. `looks_around`: at each step it sees others.
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
    """A value of one box that another reads, and its shape.

    `is_initial`: it is where a state starts. `is_last`: it is what a sequence leaves at its end.
    Of a state that comes back at the next step, `shape` has the names of the states, and
    `is_backward` says that the steps run from the last to the first.
    """

    start: Box
    end: Box
    shape: str = ""
    is_initial: bool = False
    is_last: bool = False
    is_backward: bool = False


@dataclass(eq=False)
class BlockFrame:
    """Boxes that one use of a block or shared layer is made of; `level` counts the frames in it.

    `times` are the uses in a row that it stands for.
    """

    title: str
    path: str
    boxes: list[Box] = field(default_factory=list)
    level: int = 0
    times: int = 1


@dataclass
class Diagram:
    """`returns` are the states that come back at the next step."""

    title: str
    boxes: list[Box]
    arrows: list[Arrow]
    frames: list[BlockFrame]
    summary: str
    returns: list[Arrow] = field(default_factory=list)
