"""The types of settings in calls of data sources and in formulas of columns.

Setting("scale", "number", 1.0).wrong("a")      # "a number"
"""

from __future__ import annotations

import math
from typing import Any

from specc.recipe.recipe import LARGEST_FLOAT
from specc.system.records import dataclass

REQUIRED = object()
"""The default of a required setting."""


@dataclass(frozen=True)
class Setting:
    """A setting of a source or a function. `words` are strings that it takes besides numbers.

    A "count" is an integer above 1, a "size" above 0; a "value" is a number or a string.
    """

    name: str
    kind: str  # "number", "count", "size", "truth", "text", "value", "character" or "choice"
    default: Any
    words: tuple[str, ...] = ()
    doc: str = ""  # its description, for `specc explain`

    def __str__(self) -> str:
        """Return the declaration: `separator: character`, `scale: number = 1`."""
        kinds = self.words if self.kind == "choice" else (self.kind, *self.words)
        if self.kind == "value":
            kinds = ("number", "text", *self.words)
        shown = f"{self.default:g}" if isinstance(self.default, float) else str(self.default)
        if isinstance(self.default, bool):
            shown = shown.lower()
        has_default = self.default is not None and self.default is not REQUIRED
        return f"{self.name}: {' or '.join(kinds)}" + (f" = {shown}" if has_default else "")

    def wrong(self, value: Any) -> str | None:
        """Return a description of the right type; None if the value has it."""
        if self.kind == "text":
            return None if isinstance(value, str) and value.strip() else "a string"
        if self.kind == "character":
            return None if isinstance(value, str) and len(value) == 1 else "one character"
        if isinstance(value, str) and value in self.words:
            return None
        if self.kind == "value" and isinstance(value, str):
            return None if value else "a string that is not empty"
        if self.kind == "choice":
            return " or ".join(f"`{each}`" for each in self.words)
        if self.kind == "truth":
            return None if isinstance(value, bool) else "`true` or `false`"
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if self.kind in ("count", "size"):
            least = 2 if self.kind == "count" else 1
            is_whole = is_number and math.isfinite(value) and value == int(value)
            wanted = f"an integer above {least - 1}"
            return None if is_whole and least <= value <= 10**9 else wanted
        if is_number and math.isfinite(value) and abs(value) <= LARGEST_FLOAT:
            return None
        needed = "a number" if not is_number else "a number that float32 can hold"
        return " or ".join([needed, *(f'"{each}"' for each in self.words)])
