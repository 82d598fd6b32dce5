"""How raw values become the numbers of a model: learned from the training part, and kept with it.

encoding = Encoding.of(data)
encoding.names("kind", 3)        # ("aster", "rose", "tulip"), or ("0", "1", "2")
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any

from specc.system.records import dataclass

if TYPE_CHECKING:
    from specc.runtime.data import Data


@dataclass(frozen=True)
class Encoding:
    """The words of ports of classes, by port, in the order of their numbers.

    `ends` has the symbol by which generated texts end. `statistics` are those of the formulas of
    columns.
    """

    vocabularies: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)
    statistics: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Data) -> Encoding:
        """Return what the training part of some data has taught."""
        return cls(dict(data.vocabularies), dict(data.ends), dict(getattr(data, "statistics", {})))

    def names(self, port: str, classes: int) -> tuple[str, ...]:
        """Return the names of a port's classes: its words, or numbers."""
        words = self.vocabularies.get(port, ())
        return words if len(words) == classes else tuple(map(str, range(classes)))
