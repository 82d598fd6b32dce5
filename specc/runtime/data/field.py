"""A column as it was read from a file, before it is checked against a port.

Field("the labels of `t10k-labels`", labels, location=lambda row, element: f"label {row + 1}")
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from specc.recipe import Port
from specc.runtime.data import tokens
from specc.system.records import dataclass


@dataclass(frozen=True, eq=False)
class Texts:
    """The text of each example, split into symbols."""

    parts: list[list[str]]
    level: str
    limit: int | None = None
    unknown: str | None = None

    @property
    def what(self) -> str:
        """The noun for symbols in messages."""
        return "characters" if self.level == "char" else "words"

    def vocabulary(self, rows: Iterable[int]) -> tuple[str, ...]:
        """Return the sorted symbols of the given examples."""
        chosen = (symbol for row in rows for symbol in self.parts[row])
        return tokens.alphabet(chosen, self.level, self.limit, self.unknown)


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a file that are examples: `kept` (int64, from 0) of `count` rows."""

    kept: np.ndarray
    count: int

    @property
    def left_out(self) -> int:
        return self.count - len(self.kept)


@dataclass(frozen=True, eq=False)
class Field:
    """Values of all examples, `[N, *shape]`: numbers, booleans, or indices into `words`.

    `name` names it in messages. `location(row, element)` describes the location of a value in its
    file; both arguments count from 0. An image may be flattened to fit a port of rank 1.
    """

    name: str
    array: np.ndarray
    location: Callable[[int, int], str]
    scale: float = 1.0
    shift: float = 0.0
    is_image: bool = False
    argument: int = 0  # which argument of the call names its file
    texts: Texts | None = None  # used instead of values; `array` then only has the right length
    count: int | None = None  # examples in the file if `array` is a sample; -1 if not known
    rows: Rows | None = None  # set if rows of the file were left out
    words: np.ndarray | None = None  # the words that `array` has indices into
    is_numbered: bool = False  # whether the indices are final, because a formula computed them
    classes: int | None = None  # the number of classes, if a formula defines it
    is_finite: bool = False  # whether all numbers are known to be finite

    @property
    def is_part(self) -> bool:
        """Whether the file has more examples than were read."""
        return self.count is not None

    @property
    def examples(self) -> int:
        """The number of examples in the file; -1 if it is not known."""
        return len(self.array) if self.count is None else self.count

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return self.array.shape[1:]


def is_sequence(port: Port) -> bool:
    """Return whether an example of a port is a sequence of numbers, arrays or classes."""
    return port.kind in ("float", "class") and port.sequence is not None and bool(port.shape)


def takes_texts(port: Port) -> bool:
    """Return whether a text can be an example of a port: a sequence of classes."""
    return port.kind == "class" and port.sequence is not None and len(port.shape) == 1
