"""Whether the model is valid for every combination of a file's searches.

verdict = checked_corners(file, overrides)
verdict.diagnostics     # each with a note: with `hidden = 64`
verdict.checked         # 48, of all 48 corners
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from specc.diagnostics import Diagnostic, Report
from specc.frontend.program.check import check
from specc.frontend.search.decide import corners, count_of_corners
from specc.frontend.search.fill import filled
from specc.frontend.search.space import Chosen, Space
from specc.system.records import dataclass

MOST = 512
"""The most corners that are checked."""

Corner: TypeAlias = dict[str, Chosen]


@dataclass(frozen=True)
class CornerVerdict:
    """The diagnostics of the corners of a space; `good` is a corner without errors.

    `count` is the number of corners; `is_whole` tells that all of them were checked.
    """

    diagnostics: list[Diagnostic]
    checked: int
    is_whole: bool
    good: Corner | None

    def __str__(self) -> str:
        """Return the number of checked combinations as text."""
        if self.is_whole:
            return f"all {self.checked:,} combinations of the searches"
        return f"{self.checked:,} combinations of the searches, not all of them"


def checked_corners(space: Space, most: int = MOST) -> CornerVerdict:
    """Check a file with the values at the corners of its searches."""
    found: dict[tuple[str, int, int], tuple[Diagnostic, list[Corner]]] = {}
    every: list[Corner] = []
    good = None
    for values in corners(space, most):
        report = Report()
        check(filled(space, values), space.overrides, report)
        every.append(values)
        if good is None and not report.errors:
            good = values
        for each in report.diagnostics:
            key = each.name, each.span.start, each.span.end
            found.setdefault(key, (each, []))[1].append(values)
    # the ends of a range may be unusual values: a warning is reported if all corners have it
    told = [
        _with_values(space, each, where, every)
        for each, where in found.values()
        if each.severity == "error" or len(where) == len(every)
    ]
    return CornerVerdict(told, len(every), count_of_corners(space) <= most, good)


def _with_values(
    space: Space, each: Diagnostic, where: list[Corner], every: list[Corner]
) -> Diagnostic:
    """Return a diagnostic with a note of its values, unless all corners have it."""
    if len(where) == len(every):
        return each
    first = where[0]
    told = {name: value for name, value in first.items() if _matters(name, first, where, every)}
    return replace(each, notes=(*each.notes, f"with {space.described(told or first)}"))


def _matters(name: str, first: Corner, where: list[Corner], every: list[Corner]) -> bool:
    """Return whether the diagnostic is absent for another value of one search."""
    rest = {key: value for key, value in first.items() if key != name}
    alike = [each for each in every if {k: v for k, v in each.items() if k != name} == rest]
    return len(alike) < 2 or any(each not in where for each in alike)
