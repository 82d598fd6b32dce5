"""Line breaks in a statement that does not fit on one line.

In: the tokens of a statement as `Piece`s, with nested brackets. Out: its lines.

    let scores = image
      -> conv(6, kernel=5, pad=2) -> relu -> maxpool(2)
      -> conv(16, kernel=5)       -> relu -> maxpool(2)

A pipeline is broken before `->`, where the author broke it, or else where lines are full; a
conditional before `else`; a formula before its operator of lowest precedence; a call after its
opening parenthesis.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import field

from specc.system.records import dataclass

WIDTH = 100
"""The most columns of a line that can be broken."""
STEP = 2
MOST_SPACE = 12
"""The most spaces that are added to align an arrow with another one."""

# Where a formula is broken, lowest precedence first; the first two always start a line.
LEVELS = (
    ("else",),
    ("then",),
    ("or",),
    ("and",),
    ("==", "!=", "<", "<=", ">", ">="),
    ("+", "-"),
    ("*", "/", "//", "%", "@"),
    ("^",),
)


@dataclass(slots=True)
class Piece:
    """A token, or a bracket with its content.

    `space` is the number of spaces before it; `is_broken` is true if the author put it on a new
    line.
    """

    kind: str
    text: str
    start: int
    space: int = 0
    is_broken: bool = False
    is_unary: bool = False
    inside: list[Piece] | None = None
    close: str = ""
    flat: str = field(default="")

    def __post_init__(self) -> None:
        self.flat = self.text


def flat(pieces: Iterable[Piece]) -> str:
    """Return the pieces on one line."""
    return "".join(" " * p.space * (number > 0) + p.flat for number, p in enumerate(pieces))


def lay(
    pieces: Sequence[Piece],
    column: int,
    indent: int,
    room: int = 0,
    *,
    is_statement: bool = False,
    is_stage: bool = False,
) -> list[str]:
    """Return the lines of some pieces: the first starts at `column`, the others are indented.

    `room` is the number of columns that the last line needs for what follows. In a whole statement,
    a pipeline
    is broken where the author broke it.
    """
    arrows = [i for i, p in enumerate(pieces) if i and p.kind == "->"]
    kept = is_statement and any(pieces[i].is_broken for i in arrows)
    text = flat(pieces)
    if not kept and column + len(text) + room <= WIDTH:
        return [text]
    if arrows:
        return _pipeline(_split(pieces, arrows), column, indent, room, kept)
    for signs in () if is_stage else LEVELS:
        cuts = [i for i, p in enumerate(pieces) if i and p.kind in signs and not p.is_unary]
        if cuts:
            return _filled(_split(pieces, cuts), column, indent, room, signs in LEVELS[:2])
    brackets = [i for i, p in enumerate(pieces) if p.inside]
    if not brackets:
        commas = [i + 1 for i, p in enumerate(pieces) if p.kind == ","]
        if commas:
            return _filled(_split(pieces, commas), column, indent, room, False)
        return [text]
    return _opened(pieces, max(brackets, key=lambda i: len(pieces[i].flat)), column, indent, room)


def _split(pieces: Sequence[Piece], cuts: Sequence[int]) -> list[Sequence[Piece]]:
    ends = [*cuts[1:], len(pieces)]
    parts = [pieces[: cuts[0]], *(pieces[a:b] for a, b in zip(cuts, ends, strict=True))]
    return [part for part in parts if part]


def _filled(
    parts: Sequence[Sequence[Piece]],
    column: int,
    indent: int,
    room: int,
    is_each_alone: bool,
) -> list[str]:
    """Return the lines of parts: the first at `column`, the others filling lines or one each."""
    lines = lay(parts[0], column, indent)
    for number, part in enumerate(parts[1:], start=2):
        after = room if number == len(parts) else 0
        at = len(lines[-1]) + (column if len(lines) == 1 else 0) + 1
        text = flat(part)
        if not is_each_alone and at + len(text) + after <= WIDTH:
            lines[-1] += f" {text}"
        else:
            first, *rest = lay(part, indent, indent + STEP, after)
            lines += [" " * indent + first, *rest]
    return lines


def _opened(pieces: Sequence[Piece], at: int, column: int, indent: int, room: int) -> list[str]:
    """Return the lines with a break after an opening bracket, whose content fills lines."""
    bracket = pieces[at]
    assert bracket.inside
    before = flat(pieces[:at]) + " " * bracket.space * (at > 0) + bracket.text
    lines = [before, *fill(bracket.inside, indent, len(bracket.close) + room)]
    lines[-1] += bracket.close
    rest = pieces[at + 1 :]
    if rest:
        first, *others = lay(rest, len(lines[-1]) + rest[0].space, indent, room)
        lines[-1] += " " * rest[0].space + first
        lines += others
    return lines


def fill(pieces: Sequence[Piece], indent: int, room: int = 0) -> list[str]:
    """Return arguments in as few lines as possible."""
    cuts = [i + 1 for i, p in enumerate(pieces) if p.kind in (",", ";") and i + 1 < len(pieces)]
    parts = _split(pieces, cuts) if cuts else [pieces]
    lines: list[str] = []
    for number, part in enumerate(parts, start=1):
        after = room if number == len(parts) else 0
        text = flat(part)
        if lines and len(lines[-1]) + 1 + len(text) + after <= WIDTH:
            lines[-1] += f" {text}"
        else:
            first, *rest = lay(part, indent, indent + STEP, after)
            lines += [" " * indent + first, *rest]
    return lines


# Pipelines


def _pipeline(
    parts: Sequence[Sequence[Piece]], column: int, indent: int, room: int, kept: bool
) -> list[str]:
    """Return the lines of stages; each of `parts` but the first starts with its arrow."""
    if kept:
        rows: list[list[Sequence[Piece]]] = [[parts[0]]]
        for part in parts[1:]:
            if part[0].is_broken:
                rows.append([part])
            else:
                rows[-1].append(part)
    else:
        rows = [[parts[0]], list(parts[1:])]
    lines: list[str | list[Sequence[Piece]]] = []
    for number, row in enumerate(rows):
        after = room if number == len(rows) - 1 else 0
        if number == 0:
            lines += _first_row(row, column, indent, after)
        else:
            lines += _full_rows(row, indent, after)
    return _aligned(lines, indent)


def _first_row(row: list[Sequence[Piece]], column: int, indent: int, room: int) -> list:
    whole = [piece for part in row for piece in part]
    if column + len(flat(whole)) + room <= WIDTH:
        return [flat(whole)]
    return [*lay(row[0], column, indent), *(_full_rows(row[1:], indent, room) if row[1:] else [])]


def _full_rows(row: list[Sequence[Piece]], indent: int, room: int) -> list:
    """Return a row of stages in as few lines as possible; a line starts with a stage with
    settings."""
    groups: list[list[Sequence[Piece]]] = []
    for part in row:
        if groups and not any(piece.inside for piece in part):
            groups[-1].append(part)
        else:
            groups.append([part])
    lines: list[str | list[Sequence[Piece]]] = []
    for group in groups:
        last = lines[-1] if lines else None
        if isinstance(last, list) and indent + _width([*last, *group]) + room <= WIDTH:
            last += group
        elif indent + _width(group) + room <= WIDTH:
            lines.append(list(group))
        else:
            for part in group:
                last = lines[-1] if lines and part is not group[0] else None
                if isinstance(last, list) and indent + _width([*last, part]) + room <= WIDTH:
                    last.append(part)
                elif indent + _width([part]) + room <= WIDTH:
                    lines.append([part])
                else:
                    first, *rest = lay(part, indent, indent + STEP, room, is_stage=True)
                    lines += [" " * indent + first, *rest]
    return lines


def _width(row: Iterable[Sequence[Piece]]) -> int:
    return len(" ".join(map(flat, row)))


def _aligned(lines: list[str | list[Sequence[Piece]]], indent: int) -> list[str]:
    """Return the lines as text, with arrows aligned where lines start with the same names."""
    texts = [[flat(part) for part in line] if isinstance(line, list) else [] for line in lines]
    words = [[_word(part) for part in line] if isinstance(line, list) else [] for line in lines]
    _align(texts, words, 0, len(lines), 0, indent)
    return [
        line if isinstance(line, str) else " " * indent + " ".join(text)
        for line, text in zip(lines, texts, strict=True)
    ]


def _align(
    texts: list[list[str]], words: list[list[str]], start: int, end: int, column: int, indent: int
) -> None:
    at = start
    while at < end:
        stop = at + 1
        if len(texts[at]) > column + 1:
            while (
                stop < end
                and len(texts[stop]) > column + 1
                and words[stop][column] == words[at][column]
            ):
                stop += 1
        if stop - at > 1:
            rows = texts[at:stop]
            width = max(len(row[column]) for row in rows)
            wide = [[*row[:column], row[column].ljust(width), *row[column + 1 :]] for row in rows]
            is_near = width - min(len(row[column]) for row in rows) <= MOST_SPACE
            if is_near and all(indent + len(" ".join(row)) <= WIDTH for row in wide):
                texts[at:stop] = wide
                _align(texts, words, at, stop, column + 1, indent)
        at = stop


def _word(part: Sequence[Piece]) -> str:
    """Return the name of a stage, with its arrow."""
    return flat(piece for piece in part if piece.inside is None)
