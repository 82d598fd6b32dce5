"""Errors that may only be consequences of a syntax error, and statements that it may affect.

file = doubted(file, report.errors)            # unread statements are `Broken`
drop_consequences(file, report, syntax)
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from specc.diagnostics import About, Diagnostic, Report
from specc.frontend.syntax import ast
from specc.frontend.syntax.build import broken
from specc.source import Span

ABSENT = ("no-parameter", "no-optimizer", "no-model", "no-loss", "no-input")
"""Errors about something missing, which may be in a part that could not be read."""
VALUES = ("dim", "seq", "const", "input", "stream", "target", "let", "param", "state")
NAMED_WORDS = ("use", "fn", "block", "cell", "optimizer", "layer")


def doubted(file: ast.File, syntax: Iterable[Diagnostic]) -> ast.File:
    """Return the file with a `Broken` in place of every statement with a syntax error.

    A statement is kept if the error has a safe fix: it was parsed as if it was fixed.
    """
    doubtful = [
        each.span for each in syntax if not each.fixes or each.about is About.MISSING_BETWEEN
    ]

    def within(node: Any) -> Any:
        if isinstance(node, ast.Broken) or not any(overlap(each, node.span) for each in doubtful):
            return node
        if isinstance(body := getattr(node, "body", None), tuple):
            return replace(node, body=tuple(map(within, body)))
        return broken(node)

    return replace(file, definitions=tuple(map(within, file.definitions))) if doubtful else file


def follows_a_bracket(each: Diagnostic, syntax: list[Diagnostic]) -> bool:
    """Return whether an operator is missing only because of an unmatched bracket before it."""
    return (
        each.about is About.MISSING_BETWEEN
        and each.span.source.text[: each.span.start].rstrip().endswith(")")
        and any(
            other.about is About.CLOSES_NOTHING
            and other.span.text == ")"
            and other.span.line == each.span.line
            and other.span.start < each.span.start
            for other in syntax
        )
    )


def drop_consequences(file: ast.File, report: Report, syntax: list[Diagnostic]) -> None:
    """Drop errors that may only be consequences of a syntax error."""
    if not syntax:
        return
    # what could not be parsed, and where its names would have been visible
    unread: list[tuple[ast.Broken, Span | None]] = [
        (each, None) for each in file.definitions if isinstance(each, ast.Broken)
    ]
    for definition in file.definitions:
        body = getattr(definition, "body", None) or ()
        unread += [(each, definition.span) for each in body if isinstance(each, ast.Broken)]

    def follows(found: Diagnostic) -> bool:
        if found.name in ABSENT:
            return True
        if found.name != "unknown-name":
            return False
        declaring = NAMED_WORDS if found.about is About.FUNCTION else VALUES
        for each, within in unread:
            if within is None or overlap(within, found.span):
                if each.keyword in declaring and not each.names:
                    return True
                if not each.names and found.span.text in re.findall(r"\w+", each.span.text):
                    return True
        return False

    report.keep([each for each in report.diagnostics if not follows(each)])


def overlap(a: Span, b: Span) -> bool:
    return a.source is b.source and a.start < b.end and b.start < a.end
