"""Columns by name, as a source provides them, before they are matched to ports.

    table.names                                   # ["city", "age", "price"]
    columns = table.read(["city", "age"])
    columns.raw["age"].array                      # float64 [N]
    columns.raw["city"].words                     # ["Bern", "Ulm"]; `array` has indices into it
    columns.location(3, "age")                    # "`houses.csv`, line 5, column `age`"

Every source provides a `Table`: a file of rows, an archive of arrays, a folder of images, a frame
of pandas. `fields` makes the fields of ports from it and evaluates `column` formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np

from specc.system.records import dataclass

MISSING = frozenset({"", "na", "n/a", "?", "nan", "null", "none", "nat"})
"""Cells that mean a missing value, in lower case."""
TRUTH = {
    "0": False, "1": True, "false": False, "true": True, "no": False, "yes": True,
    "f": False, "t": True, "n": False, "y": True, "off": False, "on": True,
}  # fmt: skip
"""Words for yes and no, in lower case."""


@dataclass(frozen=True, eq=False)
class Raw:
    """One column: `[N, *shape]` numbers, booleans or dates, or indices into `words`.

    `words` has the distinct words of the column, sorted; `array` (int32 `[N]`) then has the index
    of each example's word. `missing` marks missing values; there `array` is 0, or NaN in a column
    of floats.
    """

    array: np.ndarray
    words: np.ndarray | None = None
    missing: np.ndarray | None = None
    title: str = ""
    argument: int = 0
    is_image: bool = False
    are_names: bool = False  # whether words are names, even if they look like numbers
    is_finite: bool = False  # whether all numbers are known to be finite

    def __len__(self) -> int:
        return len(self.array)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return self.array.shape[1:]

    @property
    def kind(self) -> str:
        """The kind of the values: "words", "dates", "truth" or "numbers"."""
        if self.words is not None:
            return "words"
        return {"M": "dates", "b": "truth"}.get(self.array.dtype.kind, "numbers")

    def gaps(self) -> np.ndarray:
        """Return a mask of the examples without a value: bool `[N]`."""
        return np.zeros(len(self), bool) if self.missing is None else self.missing

    def rows(self, rows: np.ndarray | slice) -> Raw:
        """Return some rows of the column."""
        missing = None if self.missing is None else self.missing[rows]
        return replace(self, array=self.array[rows], missing=missing)

    def texts(self) -> list[str]:
        """Return the word of each example; the column must be one of words."""
        assert self.words is not None, "only words are texts; please report this"
        return self.words[self.array].tolist()


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns that were read, each with `examples` rows.

    `location` says where a value is, by its row, its column and its position in the row's array,
    all from 0. `count` is the number of rows in the source if only a sample was read, -1 if
    unknown.
    """

    raw: dict[str, Raw]
    examples: int
    location: Callable[..., str]
    count: int | None = None

    def rows(self, rows: np.ndarray) -> Columns:
        """Return some of the rows; locations in messages still refer to the source."""
        location = self.location
        return replace(
            self,
            raw={name: each.rows(rows) for name, each in self.raw.items()},
            examples=len(rows),
            location=lambda row, *rest: location(int(rows[row]), *rest),
        )


@dataclass(frozen=True, eq=False)
class Table:
    """A source of columns. `read(names, texts)` reads some; those in `texts` as unparsed words.

    `title` is its name in messages. Columns are matched to ports by name, or by kind (images and
    labels) if `by_kind`. `noun` is the word for a column in messages.
    """

    title: str
    names: list[str]
    reader: Callable[[Sequence[str], Collection[str]], Columns]
    by_kind: bool = False
    noun: str = "column"
    arrange: Callable[[Sequence[Sequence[str]]], None] | None = None

    def read(
        self,
        names: Iterable[str] | None = None,
        texts: Collection[str] = (),
        vectors: Sequence[Sequence[str]] = (),
    ) -> Columns:
        """Read the columns `names`, or all columns.

        The columns of each group in `vectors` may be views of one array, with adjacent values.
        """
        if self.arrange is not None:
            self.arrange(vectors)
        return self.reader(self.names if names is None else list(dict.fromkeys(names)), texts)


def coded(texts: Sequence[str], missing: np.ndarray | None = None, title: str = "") -> Raw:
    """Return a column of words from the word of each example."""
    places: dict[str, int] = {}
    codes = np.fromiter(
        (places.setdefault(each, len(places)) for each in texts), np.int32, len(texts)
    )
    words = np.empty(len(places), object)
    words[:] = list(places)
    order = np.array(sorted(range(len(places)), key=words.__getitem__), np.int32)
    ranks = np.empty(len(places), np.int32)
    ranks[order] = np.arange(len(places), dtype=np.int32)
    return Raw(ranks[codes] if len(places) else codes, words[order], missing, title)


def is_missing(cell: str) -> bool:
    """Return whether a cell of a table has no value."""
    return cell.strip().lower() in MISSING
