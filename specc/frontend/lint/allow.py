"""Comments that silence a warning: `# allow: double-softmax (a reason)`.

    loss penalty = 1e-4 * l2(weights)   # allow: penalty-with-adam

A comment on the line of the warning counts, or one on lines of its own above it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from specc.diagnostics import Diagnostic, Report, closest
from specc.frontend.syntax import ast
from specc.frontend.words.messages import WARNINGS
from specc.source import Span

ALLOW = re.compile(r"#+\s*allow:\s*(.*)")


def silence(file: ast.File, report: Report) -> list[Diagnostic]:
    """Return the diagnostics of a report, without the warnings that comments of the file allow."""
    return _without(file, report, _allowed(file, report))


def without_allowed(file: ast.File, diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Return the diagnostics without the warnings that comments of the file allow."""
    return _without(file, diagnostics, _allowed(file, Report()))


def _without(
    file: ast.File, diagnostics: Iterable[Diagnostic], allowed: dict[int, set[str]]
) -> list[Diagnostic]:
    return [
        each
        for each in diagnostics
        if each.severity == "error"
        or each.span.source is not file.source
        or each.name not in allowed.get(each.span.line, ())
    ]


def _allowed(file: ast.File, report: Report) -> dict[int, set[str]]:
    """Return the names that are allowed on each line; reports those that name no warning."""
    found: dict[int, set[str]] = {}
    own_line: set[int] = set()
    text = file.source.text
    for comment in file.comments:
        line = comment.span.line
        start = file.source.starts[line - 1]
        if not text[start : comment.span.start].strip():
            own_line.add(line)
        if (match := ALLOW.match(comment.text)) is None:
            continue
        for name in re.findall(r"[\w-]+", match[1].split("(")[0].split(":")[0]):
            if name in WARNINGS:
                found.setdefault(line, set()).add(name)
                continue
            at = comment.text.index(name, match.start(1))
            near = closest(name, WARNINGS)
            span = Span(file.source, comment.span.start + at, comment.span.start + at + len(name))
            report.warning(
                "unknown-allow",
                f"unknown warning `{name}`",
                span,
                help=(
                    f"did you mean `{near}`?"
                    if near
                    else f"there are {', '.join(f'`{each}`' for each in WARNINGS)}"
                ),
            )
    for line in sorted(own_line):
        if line in found:
            below = line + 1
            while below in own_line:
                below += 1
            found.setdefault(below, set()).update(found[line])
    return found
