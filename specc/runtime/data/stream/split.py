"""Splits rows that arrive in pieces into training, validation and test parts.

    split = Split(request, recipe)
    parts = split.parts(rows, by)        # {"training": places, "validation": places, "test": ..}

The part of a row depends only on its number and the seed, or on its group, so no list of all rows
is kept. The size of a part is therefore only approximate. With `stratify`, the rows of each value
are distributed evenly over the parts, in order.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter

import numpy as np

from specc.recipe import Recipe
from specc.runtime.data.columns.values import value_of
from specc.runtime.data.request import Request
from specc.runtime.data.table import Raw
from specc.runtime.errors import data_error
from specc.runtime.order import SPLIT, numbers_of_rows


class RowSplit:
    """Splits the rows of one source. Raises `DataError` for a split that needs all rows."""

    def __init__(self, request: Request, recipe: Recipe) -> None:
        self.recipe = recipe
        self.shares = {
            name: share
            for name, share in (("test", recipe.test), ("validation", recipe.validate))
            if isinstance(share, float)
        }
        self._seen: Counter[str] = Counter()
        if recipe.split.by == "time" and (self.shares or recipe.folds):
            raise data_error(
                "`time` cannot be used with `memory`, because it sorts all rows",
                recipe.split.span or request.call.span,
                help="move the latest rows to a separate file: `validate csv(..)`",
            )

    def parts(self, rows: np.ndarray, by: Raw | None) -> dict[str, np.ndarray]:
        """Return the positions in `rows` of each part's rows; `rows` has numbers in the source.

        `by` is the column that the split depends on.
        """
        places = np.arange(len(rows))
        if not self.shares and self.recipe.folds is None:
            return {"training": places}
        drawn = self._drawn(rows, by)
        found: dict[str, np.ndarray] = {}
        left = np.ones(len(rows), bool)
        bound = 1.0
        for name in ("test", "validation"):
            if name in self.shares:
                found[name] = (drawn < bound) & (drawn >= bound - self.shares[name])
                bound -= self.shares[name]
                left &= ~found[name]
        if self.recipe.folds is not None:
            fold = np.floor(drawn / bound * self.recipe.folds).astype(np.int64)
            found["validation"] = left & (fold == (self.recipe.fold or 1) - 1)
            left &= ~found["validation"]
        found["training"] = left
        return {name: np.flatnonzero(each) for name, each in found.items()}

    def _drawn(self, rows: np.ndarray, by: Raw | None) -> np.ndarray:
        """Return a number in [0, 1) for each row, the same for all rows of a group."""
        rule = self.recipe.split.by
        if rule == "random" or by is None:
            return numbers_of_rows(self.recipe.seed, SPLIT, rows) / 2.0**64
        words = value_of(by, self.recipe.split.column).as_words()
        assert words.words is not None, "words have words; please report this"
        names = [str(each) for each in words.words.tolist()]
        codes = words.array.reshape(-1)
        if rule == "group":
            drawn = [_of_group(self.recipe.seed, each) for each in names]
            return np.array(drawn)[codes] if names else np.zeros(len(rows))
        found = np.empty(len(rows))
        for code in np.unique(codes).tolist():
            members = np.flatnonzero(codes == code)
            first = self._seen[names[code]]
            self._seen[names[code]] += len(members)
            # the multiples of the golden ratio are spread evenly (Weyl, 1916)
            at = np.arange(first, first + len(members)) + zlib.crc32(names[code].encode()) % 997
            found[members] = (at * 0.6180339887498949) % 1.0
        return found


def _of_group(seed: int, name: str) -> float:
    """Return a number in [0, 1) for a group, the same in every piece."""
    found = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return int.from_bytes(found[:7], "big") / 2.0**56
