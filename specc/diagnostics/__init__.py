"""Errors and warnings of the compiler as data.

In: a name, a message and a span. Out: a `Diagnostic`; a `Report` collects them, and a `SpecError`
is raised with them.

    report = Report()
    report.error("unknown-name", "`y` is not defined", span, help="did you mean `x`?")
    report.raise_errors()
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, Literal

from specc.diagnostics.excerpt import Paint, page, plain
from specc.source import Span
from specc.system.records import dataclass

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Label:
    """A message at a further location related to the error."""

    span: Span
    message: str


@dataclass(frozen=True, slots=True)
class Edit:
    """A replacement of the text at `span`."""

    span: Span
    replacement: str


@dataclass(frozen=True, slots=True)
class Fix:
    """A way to fix the error; applying all edits fixes it.

    If the message `explains`, it also serves as the help of a diagnostic without one.
    """

    message: str
    edits: tuple[Edit, ...]
    explains: bool = False


class About(Enum):
    """The kind of an error, for code that decides which other errors are its consequences."""

    MISSING_BETWEEN = "an operator or a comma between two values"
    CLOSES_NOTHING = "a bracket that closes nothing"
    FUNCTION = "a layer or function, and not a value"
    INDEX = "an index, and so all names in the formula that is marked"


def spelled(name: str | None, span: Span) -> list[Fix]:
    """Return the fix that replaces the text at `span` with `name`; no fix if `name` is None."""
    return [Fix(f"write `{name}`", (Edit(span, name),))] if name else []


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """An error or warning at its location.

    `name` is its kind, with a page in `specc explain`. The spans of `labels` may be in other files.
    A note is a line or a block of lines, of which the first is the title.
    """

    name: str
    severity: Severity
    message: str
    span: Span
    labels: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    help: str | None = None
    fixes: tuple[Fix, ...] = ()
    about: About | None = None

    def to_record(self) -> dict[str, Any]:
        """Return the diagnostic as plain data for JSON; lines and columns count from 1."""
        return {
            "name": self.name,
            "severity": self.severity,
            "message": self.message,
            **_location(self.span),
            "labels": [
                {"message": label.message, **_location(label.span)} for label in self.labels
            ],
            "notes": list(self.notes),
            "help": self.help,
            "fixes": [
                {
                    "message": fix.message,
                    "edits": [
                        {**_location(edit.span), "replacement": edit.replacement}
                        for edit in fix.edits
                    ],
                }
                for fix in self.fixes
            ],
        }

    def page(self, paint: Paint = plain) -> str:
        """Return the diagnostic as a terminal shows it: its source lines, with marks below."""
        helps = [self.help] if self.help else [fix.message for fix in self.fixes]
        labels = [(label.span, label.message) for label in self.labels]
        return page(
            self.severity, self.name, self.message, self.span, labels, self.notes, helps, paint
        )

    def __str__(self) -> str:
        return (
            f"{self.span.source.name}:{self.span.line}:{self.span.column}:"
            f" {self.severity}[{self.name}]: {self.message}"
        )


def _location(span: Span) -> dict[str, Any]:
    (line, column), (end_line, end_column) = map(span.source.position, (span.start, span.end))
    return {
        "file": span.source.name,
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
    }


class SpecError(Exception):
    """An error in a model file or its data; `.diagnostics` has the errors with their locations.

    Its text is that of the terminal, without colours: every diagnostic with its source lines.
    """

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = list(diagnostics)
        super().__init__(self.diagnostics)

    def __str__(self) -> str:
        return "\n".join(each.page() for each in self.diagnostics).rstrip("\n")


class SpecWarning(UserWarning):
    """The category of the warnings that `specc.load` issues."""


class Diverged(SpecError):
    """The loss or a weight is no longer a finite number; `step` counts from 1."""

    HELP = (
        "use a smaller learning rate, or look for unscaled inputs, a division by 0, or a"
        " `log` or `sqrt` of 0 or less"
    )

    def __init__(self, diagnostics: Iterable[Diagnostic], step: int) -> None:
        super().__init__(diagnostics)
        self.step = step

    def __reduce__(self):
        return type(self), (self.diagnostics, self.step)


LONGEST_QUOTE = 300
"""The most characters of a name or string that a message quotes in full."""

_QUOTE = re.compile(
    rf"(?P<sign>[`\"])(?P<start>[^`\"\n]{{40}})[^`\"\n]{{{LONGEST_QUOTE - 40},}}(?P=sign)"
)


def brief(message: str) -> str:
    """Return a message in which very long names and strings are shortened."""
    if len(message) <= LONGEST_QUOTE:
        return message
    return _QUOTE.sub(r"\g<sign>\g<start>…\g<sign>", message)


class Report:
    """A collection of diagnostics; duplicates with the same name and location are dropped."""

    def __init__(self, diagnostics: Iterable[Diagnostic] = ()) -> None:
        self._diagnostics: dict[tuple[str, int, int, int], Diagnostic] = {}
        self.told = 0  # the number of reports, including dropped ones
        for diagnostic in diagnostics:
            self.add(diagnostic)

    def add(self, diagnostic: Diagnostic) -> None:
        span = diagnostic.span
        key = (diagnostic.name, id(span.source), span.start, span.end)
        self._diagnostics.setdefault(key, diagnostic)
        self.told += 1

    def keep(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Drop all diagnostics except these."""
        kept = {id(each) for each in diagnostics}
        found = self._diagnostics.items()
        self._diagnostics = {key: each for key, each in found if id(each) in kept}

    def replace(self, old: Diagnostic, new: Diagnostic) -> None:
        """Replace `old` by `new`, which has the same name and location."""
        for key, diagnostic in self._diagnostics.items():
            if diagnostic is old:
                self._diagnostics[key] = new

    def error(
        self,
        name: str,
        message: str,
        span: Span,
        *,
        labels: Iterable[Label] = (),
        notes: Iterable[str] = (),
        help: str | None = None,
        fixes: Iterable[Fix] = (),
        about: About | None = None,
    ) -> None:
        self.add(
            Diagnostic(
                name,
                "error",
                brief(message),
                span,
                tuple(labels),
                tuple(notes),
                help and brief(help),
                tuple(fixes),
                about,
            )
        )

    def warning(
        self,
        name: str,
        message: str,
        span: Span,
        *,
        labels: Iterable[Label] = (),
        notes: Iterable[str] = (),
        help: str | None = None,
        fixes: Iterable[Fix] = (),
    ) -> None:
        self.add(
            Diagnostic(
                name, "warning", message, span, tuple(labels), tuple(notes), help, tuple(fixes)
            )
        )

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self._diagnostics.values())

    def __len__(self) -> int:
        return len(self._diagnostics)

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """Return all diagnostics: by file, in the order of first diagnostics, and by location."""
        files: dict[int, int] = {}
        for diagnostic in self:
            files.setdefault(id(diagnostic.span.source), len(files))
        return sorted(self, key=lambda d: (files[id(d.span.source)], d.span.start, d.span.end))

    @property
    def errors(self) -> list[Diagnostic]:
        return [d for d in self.diagnostics if d.severity == "error"]

    @property
    def warnings(self) -> list[Diagnostic]:
        return [d for d in self.diagnostics if d.severity == "warning"]

    def raise_errors(self) -> None:
        """Raise SpecError with all diagnostics if one of them is an error."""
        if self.errors:
            raise SpecError(self.diagnostics)


def closest(
    word: str, candidates: Iterable[str], synonyms: Mapping[str, str] | None = None
) -> str | None:
    """Return the candidate that `word` was probably meant to be, for "did you mean".

    `synonyms` maps names in other tools to names here (`fc` -> `dense`), and has precedence. Case
    and underscores are ignored: `BatchNorm` is `batchnorm`.
    """

    def plain(name: str) -> str:
        return name.casefold().replace("_", "")

    known = set(candidates)
    meant = (synonyms or {}).get(word) or (synonyms or {}).get(word.casefold())
    if meant in known:
        return meant
    own = {plain(name): name for name in sorted(known)}
    others = {plain(name): meant for name, meant in (synonyms or {}).items() if meant in known}
    if (same := own.get(plain(word)) or others.get(plain(word))) is not None:
        return same
    if len(word) > 100:
        return None
    import difflib  # takes 5 ms to import, and is needed only for errors

    found = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.7)
    return found[0] if found else None
