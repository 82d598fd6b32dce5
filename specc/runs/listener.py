"""Who is told of what does not stop a training: warnings and notes.

listener.diagnostics(program.warnings)
listener.warn("`runs/a/1` was trained with numpy 1.26 (now 2.1)")
listener.note("`a.csv`: left out 2 of 150 rows, which have missing values")
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from specc.diagnostics import Diagnostic, SpecWarning

PACKAGE = str(Path(__file__).resolve().parents[1])


class Listener(Protocol):
    """The command line's prints on stderr; `AsWarnings` is Python's, `Silent` tells nobody."""

    def diagnostics(self, found: Iterable[Diagnostic]) -> None:
        """Warnings about places in a file."""

    def warn(self, message: str) -> None:
        """A warning without a place."""

    def note(self, message: str) -> None:
        """Something to know that is no warning."""


class AsWarnings:
    """Gives warnings to Python's `warnings`, at the line that called specc; notes, too."""

    def diagnostics(self, found: Iterable[Diagnostic]) -> None:
        for each in found:
            self.warn(each.page().rstrip())

    def warn(self, message: str) -> None:
        warnings.warn(message, SpecWarning, stacklevel=_frames_inside())

    def note(self, message: str) -> None:
        self.warn(message)


class Silent:
    """Tells nobody: for messages that were told already, or that have no place."""

    def diagnostics(self, found: Iterable[Diagnostic]) -> None:
        """Nothing is told."""

    def warn(self, message: str) -> None:
        """Nothing is told."""

    def note(self, message: str) -> None:
        """Nothing is told."""


def _frames_inside() -> int:
    """Return the `stacklevel` of the first frame outside of this package, seen from `warn`."""
    frame, level = sys._getframe(1), 1
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame, level = frame.f_back, level + 1  # type: ignore[assignment]
    return level
