"""Diagnostics as plain text, for the files of expected messages."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from specc.diagnostics import Diagnostic
from specc.source import Span


def transcript(diagnostics: Iterable[Diagnostic]) -> str:
    """Return the full text of diagnostics, with the source lines that they mark."""
    return "\n".join(_one(each) for each in diagnostics)


def _one(diagnostic: Diagnostic) -> str:
    lines = [f"{diagnostic.severity}[{diagnostic.name}]: {diagnostic.message}"]
    lines += _place(diagnostic.span, "")
    for label in diagnostic.labels:
        lines += _place(label.span, label.message)
    for note in diagnostic.notes:
        lines += [f"  = {note}".replace("\n", "\n    ")]
    if diagnostic.help:
        lines.append(f"  help: {diagnostic.help}")
    for fix in diagnostic.fixes:
        edits = ", ".join(
            f"{each.span.line}:{each.span.column} `{each.span.text}` -> `{each.replacement}`"
            for each in fix.edits
        )
        lines.append(f"  fix: {fix.message}: {edits}")
    return "\n".join(lines) + "\n"


def _place(span: Span, message: str) -> list[str]:
    """The line of a span, and carets under its characters."""
    line, column = span.line, span.column
    text = span.source.line(line)
    end = span.end_column if span.end_line == line else len(text) + 1
    number = f"{Path(span.source.name).name}:{line} | "
    marks = " " * (len(number) + column - 1) + "^" * max(1, end - column)
    return [f"  {number}{text}", f"  {marks} {message}".rstrip()]
