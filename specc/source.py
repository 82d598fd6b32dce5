"""Source text, and locations in it.

In: the text of a file. Out: a `Source` that converts offsets to lines and columns, and `Span`s, the
half-open ranges of offsets of syntax nodes and diagnostics.

    source = Source("a.dl", "dim n = 3\n")
    source.position(4)                  # (1, 5)
    Span(source, 4, 5).text             # "n"
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import field

from specc.system.records import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A named text. Lines and columns count from 1; offsets and columns count characters."""

    name: str
    text: str = field(repr=False)
    starts: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        text, starts, at = self.text, [0], 0
        while at := text.find("\n", at) + 1:
            starts.append(at)
        object.__setattr__(self, "starts", tuple(starts))

    def position(self, offset: int) -> tuple[int, int]:
        """Return the line and column of an offset."""
        line = bisect_right(self.starts, offset)
        return line, offset - self.starts[line - 1] + 1

    def line(self, number: int) -> str:
        """Return the text of a line, without its line end; empty past the end of the file."""
        if not 1 <= number <= len(self.starts):
            return ""
        start = self.starts[number - 1]
        end = self.starts[number] - 1 if number < len(self.starts) else len(self.text)
        return self.text[start:end]

    @property
    def end(self) -> Span:
        """Return the empty span after the last character."""
        return Span(self, len(self.text), len(self.text))


@dataclass(frozen=True, slots=True)
class Span:
    """The characters of a source from `start` up to, but not including, `end`."""

    source: Source
    start: int
    end: int

    @property
    def line(self) -> int:
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        return self.source.position(self.start)[1]

    @property
    def end_line(self) -> int:
        return self.source.position(self.end)[0]

    @property
    def end_column(self) -> int:
        """Return the column just after the last character."""
        return self.source.position(self.end)[1]

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    def to(self, other: Span) -> Span:
        """Return the span from the start of this one to the end of `other`."""
        assert self.source is other.source, "both spans must be in one source; please report this"
        return Span(self.source, self.start, other.end)
