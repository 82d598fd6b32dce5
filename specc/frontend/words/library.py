"""The definitions of the standard library, `specc/std/*.dl`.

In: the name of a function, layer, cell or optimizer. Out: its definition, which is parsed at the
first use.

    lookup("relu")        # Fn(name=Name(text='relu'), ...), or None for an unknown name
    words()               # ("abs", "accuracy", ...)

In the library only definitions, comments and closing braces start in the first column. So a regular
expression finds all definitions, and a check parses only those that a file uses.
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
    """The location of a definition: its text from its doc comment up to the next definition."""

    source: Source
    kind: str
    start: int
    end: int


def lookup(name: str) -> ast.WordDefinition | None:
    """Return the definition of a name, always the same node; None for an unknown name."""
    return _definition(name) if name in index() else None


def words() -> tuple[str, ...]:
    """Return all names of the library in alphabetical order."""
    return tuple(sorted(index()))


def source_of(name: str) -> Source:
    """Return the file that defines a name. Raises KeyError for an unknown name."""
    return index()[name].source


@cache
def index() -> dict[str, Entry]:
    """Return the location of each definition."""
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
            ), f"{source.name} must not contain a `{kind}`; please report this"
            assert name not in found, f"std defines `{name}` twice; please report this"
            found[name] = Entry(source, kind, start.start(), end)
    return found


@cache
def _definition(name: str) -> ast.WordDefinition:
    entry = index()[name]
    file, diagnostics = parse(entry.source, entry.start, entry.end)
    assert not diagnostics, (
        f"the standard library has an error: {diagnostics[0]}; please report this"
    )
    (definition,) = file.definitions
    assert isinstance(definition, ast.Fn | ast.Block | ast.Cell | ast.Optimizer)
    return definition
