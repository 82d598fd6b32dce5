"""The words of the standard library, `specc/std/*.dl`.

In: the name of a word. Out: its definition, parsed when it is asked for, with its places in its
file.

    lookup("relu")        # Fn(name=Name(text='relu'), ...), or None if there is no such word
    words()               # ("abs", "accuracy", ...)

In the library every definition starts in the first column, and nothing else does but comments and
closing braces; so a regular expression finds all of them, and a check parses only the words that a
file uses.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from specc.frontend.syntax import ast
from specc.frontend.syntax.parse import parse
from specc.source import Source
from specc.system.records import dataclass

FOLDER = Path(__file__).parents[2] / "std"

_START = re.compile(
    r"^(?P<doc>(?:##.*\n)*)(?P<kind>fn|block|cell|optimizer|dim|seq|const|use|model|train)\b["
    r" \t]*(?P<name>\w*)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a definition stands: its text from its doc comment up to the next definition."""

    source: Source
    kind: str
    start: int
    end: int


def lookup(name: str) -> ast.WordDefinition | None:
    """Return the definition of a word; always the same node for the same word."""
    return _definition(name) if name in index() else None


def words() -> tuple[str, ...]:
    """Return the names of all words, in the order of the alphabet."""
    return tuple(sorted(index()))


def source_of(name: str) -> Source:
    """Return the file that defines a word. Raises KeyError if there is no such word."""
    return index()[name].source


@cache
def index() -> dict[str, Entry]:
    """Where each word is defined."""
    found: dict[str, Entry] = {}
    for path in sorted(FOLDER.glob("*.dl")):
        source = Source(f"std/{path.name}", path.read_text(encoding="utf-8"))
        starts = list(_START.finditer(source.text))
        ends = [start.start() for start in starts[1:]] + [len(source.text)]
        for start, end in zip(starts, ends, strict=True):
            kind, name = start["kind"], start["name"]
            assert kind in (
                "fn",
                "block",
                "cell",
                "optimizer",
            ), f"{source.name} may define words only, not a `{kind}`; please report this"
            assert name not in found, f"std defines `{name}` twice; please report this"
            found[name] = Entry(source, kind, start.start(), end)
    return found


@cache
def _definition(name: str) -> ast.WordDefinition:
    entry = index()[name]
    file, diagnostics = parse(entry.source, entry.start, entry.end)
    assert not diagnostics, (
        f"the standard library has a mistake: {diagnostics[0]}; please report this"
    )
    (definition,) = file.definitions
    assert isinstance(definition, ast.Fn | ast.Block | ast.Cell | ast.Optimizer)
    return definition
