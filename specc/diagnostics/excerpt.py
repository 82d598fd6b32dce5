"""The text of a diagnostic: the message, its source lines with marks below, notes and help.

page("error", "unknown-name", "`labl` is not defined", span, [], [], ["did you mean `label`?"])

error[unknown-name]: `labl` is not defined
  --> residual.dl:10:30
   |
10 |   loss cross_entropy(scores, labl)
   |                              ^^^^
   = help: did you mean `label`?
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from specc.source import Source, Span
from specc.system.records import dataclass

WIDEST = 160
"""The most characters of a line that are shown."""

Paint = Callable[[str, str], str]
"""A function that returns a text in a style: error, warning, label, frame or strong."""


def plain(style: str, text: str) -> str:
    """Return the text without colours."""
    return text


@dataclass(frozen=True, slots=True)
class Mark:
    """A part of a line to mark with `sign`, from one column to another, and its message."""

    start: int
    end: int
    sign: str
    style: str
    message: str


def page(
    severity: str,
    name: str,
    message: str,
    span: Span,
    labels: Sequence[tuple[Span, str]],
    notes: Sequence[str],
    helps: Sequence[str],
    paint: Paint = plain,
) -> str:
    """Return the lines of a diagnostic, with line ends; `labels` are further locations."""
    marks = [(span, "^", severity, "")]
    marks += [(place, "-", "label", text) for place, text in labels]
    gutter = len(str(max(mark[0].line for mark in marks)))
    lines = [paint(severity, f"{severity}[{name}]") + paint("strong", f": {message}")]
    sources: dict[int, Source] = {id(mark[0].source): mark[0].source for mark in marks}
    for source in sources.values():
        here = [mark for mark in marks if mark[0].source is source]
        lines += _excerpt(source, here, gutter, source is span.source, paint)
    bullet = " " * gutter + paint("frame", " = ")
    indent = " " * (gutter + 3)
    for note in notes:
        lines += _block(note, bullet, indent)
    for help in helps:
        lines += _block(help, bullet + paint("strong", "help") + ": ", indent + " " * len("help: "))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _block(text: str, first: str, indent: str) -> list[str]:
    return [(indent if number else first) + line for number, line in enumerate(text.split("\n"))]


def _excerpt(
    source: Source,
    marks: Sequence[tuple[Span, str, str, str]],
    gutter: int,
    is_first: bool,
    paint: Paint,
) -> list[str]:
    """Return the marked lines of a source."""
    arrow = paint("frame", " " * gutter + ("--> " if is_first else "::: "))
    if not source.text and not any(message for *_, message in marks):
        return [arrow + source.name]
    line, column = source.position(marks[0][0].start)
    bar = " " * gutter + paint("frame", " |")
    lines = [f"{arrow}{source.name}:{line}:{column}", bar]
    numbered: dict[int, list[tuple[Span, str, str, str]]] = {}
    for mark in marks:
        numbered.setdefault(mark[0].line, []).append(mark)
    before = None
    for number in sorted(numbered):
        if before is not None and number == before + 2:
            between, _ = _line(source, before + 1, [])
            lines.append(paint("frame", f"{before + 1:>{gutter}} | ") + between)
        elif before is not None and number > before + 1:
            lines.append(paint("frame", "..."))
        text, drawn = _line(source, number, numbered[number])
        lines.append(paint("frame", f"{number:>{gutter}} | ") + text)
        lines += [f"{bar} {row}" for row in _rows(drawn, paint)]
        before = number
    return lines


def _line(
    source: Source, number: int, marks: Sequence[tuple[Span, str, str, str]]
) -> tuple[str, list[Mark]]:
    """Return a line as shown, and its marks in screen columns, which count from 0."""
    text = source.line(number)
    first = source.starts[number - 1]
    places = [
        (
            min(span.start - first, len(text)),
            max(min(span.end - first, len(text)), span.start - first),
        )
        for span, *_ in marks
    ]
    # of a very long line, only the part around the first mark
    cut = max(0, places[0][0] - WIDEST // 2) if places and len(text) > WIDEST else 0
    end = min(len(text), cut + WIDEST)
    head, tail = "…" * (cut > 0), "…" * (end < len(text))
    shown = [_shown(sign) for sign in text[cut:end]]
    columns = [len(head)]  # the column of each character
    for sign in shown:
        columns.append(columns[-1] + _width(sign))

    def column(place: int) -> int:
        return columns[min(max(place - cut, 0), len(shown))]

    drawn = []
    for (start, stop), (_, sign, style, message) in zip(places, marks, strict=True):
        left, right = column(start), column(stop)
        drawn.append(Mark(left, max(right, left + 1), sign, style, message))
    return head + "".join(shown) + tail, drawn


def _shown(sign: str) -> str:
    if sign == "\t":
        return "    "
    return sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}"


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(sign) else 1 + (east_asian_width(sign) in "WF") for sign in text)


def _rows(marks: Sequence[Mark], paint: Paint) -> list[str]:
    """Return the rows below a line: the marks and their messages.

    The last message follows the marks; a `|` connects each of the others with its message.

    - ^ ---- right
    |
    left
    """
    ordered = sorted(marks, key=lambda mark: (mark.start, mark.end))
    # the mark of the error itself is drawn over the others
    canvas = ShownLine()
    for mark in sorted(marks, key=lambda mark: mark.sign == "^"):
        canvas.write(mark.start, mark.sign * (mark.end - mark.start), mark.style)
    waiting = [mark for mark in ordered if mark.message]
    if waiting and waiting[-1] is ordered[-1] and all(m.end <= waiting[-1].end for m in ordered):
        last = waiting.pop()
        canvas.write(last.end + 1, last.message, last.style)
    rows = [canvas]
    if waiting:
        rows.append(ShownLine())
    while waiting:
        last = waiting.pop()
        row = ShownLine()
        row.write(last.start, last.message, last.style)
        for mark in waiting:
            if mark.start < last.start:
                row.write(mark.start, "|", mark.style)
        rows.append(row)
        rows[1].write(last.start, "|", last.style)
    return [row.text(paint) for row in rows]


class ShownLine:
    """A row of styled characters, written in any order."""

    def __init__(self) -> None:
        self.signs: dict[int, tuple[str, str]] = {}

    def write(self, column: int, text: str, style: str) -> None:
        for number, sign in enumerate(text):
            self.signs[column + number] = (sign, style)

    def text(self, paint: Paint) -> str:
        out, run, style = [], "", ""
        for column in range(max(self.signs, default=-1) + 1):
            sign, its = self.signs.get(column, (" ", ""))
            if its != style:
                out.append(paint(style, run) if style else run)
                run, style = "", its
            run += sign
        out.append(paint(style, run) if style else run)
        return "".join(out)
