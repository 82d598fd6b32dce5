"""Receivers of messages that do not stop training: warnings and notes.

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
    """Receives warnings and notes. The command line's listener prints them on stderr."""

    def diagnostics(self, found: Iterable[Diagnostic]) -> None:
        """Report warnings with locations in a file."""

    def warn(self, message: str) -> None:
        """Report a warning without a location."""

    def note(self, message: str) -> None:
        """Report information that is not a warning."""


class AsWarnings:
    """Issues warnings and notes with Python's `warnings`, at the line that called specc."""

    def diagnostics(self, found: Iterable[Diagnostic]) -> None:
        for each in found:
            self.warn(each.page().rstrip())

    def warn(self, message: str) -> None:
        warnings.warn(message, SpecWarning, stacklevel=_frames_inside())

    def note(self, message: str) -> None:
        self.warn(message)


class Silent:
    """Discards all messages, for example because they were already reported."""

    def diagnostics(self, found: Iterable[Diagnostic]) -> None:
        """Discard the message."""

    def warn(self, message: str) -> None:
        """Discard the message."""

    def note(self, message: str) -> None:
        """Discard the message."""


def _frames_inside() -> int:
    """Return the `stacklevel` for `warn` of the first frame outside of this package."""
    frame, level = sys._getframe(1), 1
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame, level = frame.f_back, level + 1  # type: ignore[assignment]
    return level
