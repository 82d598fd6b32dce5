"""Diagnostics as text.

In: diagnostics. Out: one string, in one of the `FORMATS`:

    full        the message, the source lines with marks below, notes and help; for people
    concise     file:line:column: error[name]: message
    json        a list of records (`Diagnostic.to_record`)
    sarif       SARIF 2.1.0, which code hosts and editors read
    github      workflow commands, which GitHub shows beside the lines of a pull request

    render(diagnostics, "concise")      # "a.dl:1:7: error[syntax]: expected a value ...\n"
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from specc.diagnostics import Diagnostic
from specc.source import Span

STYLES = {"error": "1;31", "warning": "1;33", "label": "1;34", "frame": "34", "strong": "1"}


def render(diagnostics: Iterable[Diagnostic], format: str = "full", colour: bool = False) -> str:
    """Return the diagnostics as text, empty if there are none; only `full` uses `colour`."""
    return FORMATS[format](list(diagnostics), colour)


def summary(diagnostics: Iterable[Diagnostic]) -> str:
    """Return the number of diagnostics as text: `2 errors, 1 warning`; empty if there are none."""
    counts = {"error": 0, "warning": 0}
    for diagnostic in diagnostics:
        counts[diagnostic.severity] += 1
    return ", ".join(f"{n} {word}{'s' * (n > 1)}" for word, n in counts.items() if n)


# Full


def full(diagnostics: Sequence[Diagnostic], colour: bool = False) -> str:
    def paint(style: str, text: str) -> str:
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if colour and text else text

    return "\n".join(diagnostic.page(paint) for diagnostic in diagnostics)


# For programs


def concise(diagnostics: Sequence[Diagnostic], colour: bool = False) -> str:
    return "".join(f"{' '.join(str(diagnostic).splitlines())}\n" for diagnostic in diagnostics)


def as_json(diagnostics: Sequence[Diagnostic], colour: bool = False) -> str:
    records = [diagnostic.to_record() for diagnostic in diagnostics]
    return json.dumps(records, indent=2, ensure_ascii=False) + "\n"


def sarif(diagnostics: Sequence[Diagnostic], colour: bool = False) -> str:
    from specc import __version__

    names = sorted({diagnostic.name for diagnostic in diagnostics})
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "specc",
                        "version": __version__,
                        "rules": [_rule(name) for name in names],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(diagnostic, names) for diagnostic in diagnostics],
            }
        ],
    }
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


def _rule(name: str) -> dict[str, Any]:
    """Return the SARIF rule of an error or warning, with the first sentence of its page."""
    from specc.frontend.explain.topics import page_summary, pages

    if name not in pages():
        return {"id": name}
    return {"id": name, "shortDescription": {"text": page_summary(name)}}


def _result(diagnostic: Diagnostic, names: list[str]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": diagnostic.name,
        "ruleIndex": names.index(diagnostic.name),
        "level": diagnostic.severity,
        "message": {"text": _whole_message(diagnostic)},
        "locations": [{"physicalLocation": _location(diagnostic.span)}],
    }
    if diagnostic.labels:
        result["relatedLocations"] = [
            {
                "id": number,
                "message": {"text": label.message},
                "physicalLocation": _location(label.span),
            }
            for number, label in enumerate(diagnostic.labels)
        ]
    if diagnostic.fixes:
        result["fixes"] = [
            {
                "description": {"text": fix.message},
                "artifactChanges": [
                    {
                        "artifactLocation": _location(edit.span)["artifactLocation"],
                        "replacements": [
                            {
                                "deletedRegion": _location(edit.span)["region"],
                                "insertedContent": {"text": edit.replacement},
                            }
                        ],
                    }
                    for edit in fix.edits
                ],
            }
            for fix in diagnostic.fixes
        ]
    return result


def _location(span: Span) -> dict[str, Any]:
    from urllib.parse import quote

    return {
        "artifactLocation": {"uri": quote(span.source.name.replace("\\", "/"))},
        "region": {
            "startLine": span.line,
            "startColumn": span.column,
            "endLine": span.end_line,
            "endColumn": span.end_column,
        },
    }


def github(diagnostics: Sequence[Diagnostic], colour: bool = False) -> str:
    def escaped(text: str) -> str:
        return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

    out = []
    for diagnostic in diagnostics:
        span = diagnostic.span
        fields = {
            "file": span.source.name,
            "line": span.line,
            "endLine": span.end_line,
            "col": span.column,
            "endColumn": span.end_column,
            "title": diagnostic.name,
        }
        given = ",".join(
            f"{key}={escaped(str(value)).replace(':', '%3A').replace(',', '%2C')}"
            for key, value in fields.items()
        )
        out.append(f"::{diagnostic.severity} {given}::{escaped(_whole_message(diagnostic))}\n")
    return "".join(out)


def _whole_message(diagnostic: Diagnostic) -> str:
    parts = [diagnostic.message, *diagnostic.notes]
    if diagnostic.help:
        parts.append(f"help: {diagnostic.help}")
    return "\n".join(parts)


FORMATS: dict[str, Callable[[Sequence[Diagnostic], bool], str]] = {
    "full": full,
    "concise": concise,
    "json": as_json,
    "sarif": sarif,
    "github": github,
}
