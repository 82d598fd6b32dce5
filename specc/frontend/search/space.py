"""A search, and the search space of a file.

search.name         "lr": the setting, size or constant that contains it
search.options      the values to choose from; none for a range
search.corners      the values at its ends, or all of its options
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from specc.frontend.syntax import ast
from specc.system.records import dataclass

WORD = "search"
Chosen: TypeAlias = "str | int | float"
"""A value of a search: a number in its range, or the text of an option."""


@dataclass(frozen=True, eq=False)
class Interval:
    """The numbers from `low` to `high`, inclusive; integers if both are written as such."""

    low: int | float
    high: int | float
    is_log: bool = False
    step: int | float | None = None

    @property
    def is_whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)


@dataclass(frozen=True, eq=False)
class Branch:
    """A search is active only if a condition of the file holds, or does not hold."""

    condition: ast.Expression
    holds: bool


@dataclass(frozen=True, eq=False)
class Option:
    """A search is active only if another one has this option as its value."""

    search: str
    text: str


@dataclass(frozen=True, eq=False)
class Search:
    """A `search(...)` in a file.

    `key` is the override (`lr=0.1`) that replaces it; a search in a formula of a model has none.
    `is_alone` tells that the search is a whole value, so its replacement needs no parentheses.
    """

    name: str
    call: ast.Call
    options: tuple[ast.Expression, ...]
    range: Interval | None
    conditions: tuple[Branch | Option, ...]
    key: str | None
    is_alone: bool

    @property
    def corners(self) -> tuple[Chosen, ...]:
        if self.range is not None:
            return self.range.low, self.range.high
        return self.texts

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(each.span.text for each in self.options)

    def option(self, text: Chosen) -> ast.Expression:
        """Return the option with a text."""
        return self.options[self.texts.index(str(text))]

    def label(self, value: Chosen) -> str:
        """Return the label of a value in tables: a function's name if its settings are searched."""
        if self.range is not None:
            return repr(value)
        option = self.option(value)
        is_nested = any(isinstance(e, ast.Call) and e.word.text == WORD for e in ast.walk(option))
        return option.word.text if is_nested and isinstance(option, ast.Call) else str(value)

    def __str__(self) -> str:
        return self.call.span.text if not self.call.options else f"{WORD}({', '.join(self.texts)})"


@dataclass(frozen=True, eq=False)
class Space:
    """The searches of a file, in the order of the text.

    `overridden` are the searches that overrides replace: they are never active.
    """

    file: ast.File
    searches: tuple[Search, ...]
    overridden: tuple[Search, ...]
    overrides: Mapping[str, str | int | float]

    def described(self, values: Mapping[str, Chosen]) -> str:
        """Return values as `hidden = 64, lr = 0.01`."""
        return ", ".join(f"{name} = {self[name].label(value)}" for name, value in values.items())

    def __bool__(self) -> bool:
        return bool(self.searches)

    def __getitem__(self, name: str) -> Search:
        return next(each for each in self.searches if each.name == name)


def size_of(search: Search) -> int | None:
    """Return the number of values of a search; None if there is no end of them."""
    found = search.range
    if found is None:
        return len(search.options)
    if found.step is not None:
        return int((found.high - found.low) / found.step + 1e-9) + 1
    return int(found.high - found.low) + 1 if found.is_whole else None
