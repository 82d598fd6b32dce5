"""How raw values are encoded as numbers; learned from the training part and stored in the run.

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
    """The vocabulary of each class port: its words in the order of their class indices.

    `ends` has the symbol that ends generated texts, by port. `statistics` has what the formulas of
    columns learned, such as means.
    """

    vocabularies: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)
    statistics: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Data) -> Encoding:
        """Return the encoding that was learned from the training part of `data`."""
        return cls(dict(data.vocabularies), dict(data.ends), dict(getattr(data, "statistics", {})))

    def names(self, port: str, classes: int) -> tuple[str, ...]:
        """Return the names of a port's classes: its words, or numbers."""
        words = self.vocabularies.get(port, ())
        return words if len(words) == classes else tuple(map(str, range(classes)))
