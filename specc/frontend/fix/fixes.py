"""Verify fixes by checking the fixed file, so that only fixes that help are offered.

verify_fixes(source, report, errors)    # drops the fixes of `report` that fix nothing
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from specc.diagnostics import Diagnostic, Edit, Fix, Report
from specc.source import Source, Span

MOST_TRIES = 8
"""The most fixes of one file that are tried; each takes a check of the whole file."""
LONGEST = 100_000
"""The most characters of a file that fixes are tried on."""


def wrapped(span: Span, opening: str, closing: str = ")") -> tuple[Edit, ...]:
    """Return the edits that put one text before `span`, and another after it."""
    start, end = Span(span.source, span.start, span.start), Span(span.source, span.end, span.end)
    return Edit(start, opening), Edit(end, closing)


def verify_fixes(
    source: Source, report: Report, errors: Callable[[Source], list[Diagnostic]]
) -> None:
    """Keep the first fix of each diagnostic that fixes it, and drop all others."""
    tries = 0
    for diagnostic in list(report):
        good: tuple[Fix, ...] = ()
        for fix in diagnostic.fixes:
            if tries >= MOST_TRIES or len(source.text) > LONGEST:
                break
            tries += 1
            if removes_error(fix, diagnostic, source, errors):
                good = (fix,)
                break
        if good != diagnostic.fixes:
            report.replace(diagnostic, replace(diagnostic, fixes=good))
    for diagnostic in list(report):
        if diagnostic.help is None and diagnostic.fixes and diagnostic.fixes[0].explains:
            report.replace(diagnostic, replace(diagnostic, help=diagnostic.fixes[0].message))


def removes_error(
    fix: Fix, diagnostic: Diagnostic, source: Source, errors: Callable[[Source], list[Diagnostic]]
) -> bool:
    """Return whether the error is gone from the fixed file, and none is at what the fix
    wrote."""
    if any(edit.span.source is not source for edit in fix.edits):
        return False
    place = moved(diagnostic.span.start, fix.edits)
    for each in errors(Source(source.name, edited(source.text, fix.edits))):
        if each.name == diagnostic.name and each.span.start == place:
            return False
        for edit in fix.edits:
            start = moved(edit.span.start, [e for e in fix.edits if e.span.start < edit.span.start])
            if start <= each.span.start < each.span.end <= start + len(edit.replacement):
                return False
    return True


def edited(text: str, edits: Iterable[Edit]) -> str:
    """Return the text with all edits applied."""
    for edit in sorted(edits, key=lambda edit: edit.span.start, reverse=True):
        text = text[: edit.span.start] + edit.replacement + text[edit.span.end :]
    return text


def moved(offset: int, edits: Iterable[Edit]) -> int:
    """Return an offset as it is after the edits before it."""
    return offset + sum(
        len(edit.replacement) - (edit.span.end - edit.span.start)
        for edit in edits
        if edit.span.end <= offset
    )
