"""Errors that need data, training or a run to show up; all are `SpecError`s.

raise data_error("`a.npz` has no array `x`", span, help="it has `y`")
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from specc.diagnostics import Diagnostic, Diverged, Label, SpecError
from specc.source import Source, Span

__all__ = ["DataError", "Diverged", "RunError", "data_error", "diagnostic", "run_error", "start_of"]


class DataError(SpecError):
    """A data file is missing, damaged, or does not fit the model; raised before training starts."""


class AllMissing(DataError):
    """Every row of a file has missing values; `count` is their number."""

    def __init__(self, diagnostics: Iterable[Diagnostic], count: int) -> None:
        super().__init__(diagnostics)
        self.count = count

    def __reduce__(self):
        return type(self), (self.diagnostics, self.count)


class NoColumns(DataError):
    """A table lacks columns; `names` are those."""

    def __init__(self, diagnostics: Iterable[Diagnostic], names: Iterable[str]) -> None:
        super().__init__(diagnostics)
        self.names = tuple(dict.fromkeys(names))

    def __reduce__(self):
        return type(self), (self.diagnostics, self.names)


class RunError(SpecError):
    """A run's folder or one of its checkpoints cannot be used."""


def data_error(
    message: str,
    span: Span | None,
    *,
    labels: Sequence[Label] = (),
    help: str | None = None,
    notes: Sequence[str] = (),
    file: str | Path = "data",
) -> DataError:
    """Return a `DataError` located at `span` in the model file, or at the start of `file`."""
    place = span or start_of(file)
    return DataError([diagnostic("data", message, place, labels=labels, help=help, notes=notes)])


def run_error(message: str, file: str | Path, *, help: str | None = None) -> RunError:
    """Return a `RunError` about a file or folder of a run."""
    return RunError([diagnostic("bad-run", message, start_of(file), help=help)])


def diagnostic(
    name: str,
    message: str,
    span: Span,
    *,
    labels: Sequence[Label] = (),
    help: str | None = None,
    notes: Sequence[str] = (),
) -> Diagnostic:
    return Diagnostic(name, "error", message, span, tuple(labels), tuple(notes), help)


def start_of(file: str | Path) -> Span:
    """Return a location that names only the file, for messages that show no source text."""
    return Span(Source(str(file), ""), 0, 0)
