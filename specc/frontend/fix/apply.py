"""Apply the fixes that cannot change the meaning of a file, one after the other.

    fixed_source(source, check)    # the source with its safe fixes, and what they were

A fix is safe if it replaces a spelling by the one of the language (`**` by `^`, a comma before
settings by `;`) or corrects a misspelt name. A fix that changes the model, such as a further
`pad=1`, is offered, never applied.
"""

from __future__ import annotations

from collections.abc import Callable

from specc.diagnostics import Diagnostic, Fix
from specc.frontend.fix.fixes import edited, removes_error
from specc.source import Source

SAFE = ("syntax", "unknown-name", "unknown-setting", "wrong-arguments", "unknown-allow")
"""The errors whose fixes are applied."""
MOST = 200
"""The most fixes of one file that are applied."""


def fixed_source(
    source: Source, check: Callable[[Source], list[Diagnostic]]
) -> tuple[Source, list[Fix]]:
    """Return the fixed source, and the fixes that made it. `check` gives the diagnostics of a
    source.

    Each fix is applied alone, and only if its error is gone from the file as it is by then.
    """
    applied: list[Fix] = []
    while len(applied) < MOST:
        found = check(source)
        if found and all(each.name == "cannot-read" for each in found):
            break
        for diagnostic in found:
            fix = next((f for f in diagnostic.fixes if _is_safe(diagnostic, f, source)), None)
            if fix is not None and removes_error(fix, diagnostic, source, check):
                source = Source(source.name, edited(source.text, fix.edits))
                applied.append(fix)
                break
        else:
            break
    return source, applied


def _is_safe(diagnostic: Diagnostic, fix: Fix, source: Source) -> bool:
    return diagnostic.name in SAFE and all(edit.span.source is source for edit in fix.edits)
