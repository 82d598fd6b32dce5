"""The parts of the data, such as training and validation, as columns for the ports of a model.

data.training.columns["image"]       # Column(uint8 [60000, 1, 28, 28], scale=1/255)
len(data.validation)                 # the number of its examples
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

import numpy as np

from specc.recipe import Column
from specc.runtime.data.columns.evaluate import Statistics
from specc.runtime.data.field import Field, Rows
from specc.runtime.data.pending import PendingRows
from specc.runtime.data.stream.store import Stored
from specc.system.records import dataclass


@dataclass(frozen=True, eq=False)
class DataPart:
    """Some rows of columns; `columns` has the names of their ports as keys.

    The columns of a `stored` part are memory-mapped, and its rows are a range.
    """

    columns: dict[str, Column]
    rows: np.ndarray | range
    is_stream: bool = False  # whether rows are ordered and carry state from batch to batch
    fields: dict[str, Field] = field(default_factory=dict)  # of a sample, to locate its values
    source: Rows | None = None  # set if rows of the file were left out
    stored: Stored | None = None  # set if the columns are on the disk and are read in windows
    waiting: tuple[PendingRows, ...] = ()  # what fills rows of the columns in the background

    @property
    def numbers(self) -> np.ndarray:
        """The numbers of its rows in the columns: int64 `[len(part)]`."""
        if isinstance(self.rows, range):
            return np.arange(self.rows.start, self.rows.stop)
        return np.asarray(self.rows, np.int64)

    def require(self, rows: np.ndarray) -> None:
        """Return once some rows of the columns are there."""
        for each in self.waiting:
            each.require(rows)

    def prefer(self, rows: np.ndarray) -> None:
        """Let these rows be there first."""
        for each in self.waiting:
            each.prefer(rows)

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class Data:
    """The requested parts of the data: "training", "validation" and "test".

    `vocabularies` has the words of "class" ports, in order. `ends` has the last symbol of the
    training texts of a port, if it is the same in all texts and occurs nowhere else. `partial` has
    a description of each file that was read only in part because of a `limit`. `counts` has the
    number of examples in each source ("data", "validate", "test"), or of symbols in each of its
    texts. `left_out` describes the rows of each file that were left out. `statistics` has what the
    formulas of columns learned from the training part, as JSON.
    """

    parts: Mapping[str, DataPart]
    vocabularies: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)
    partial: tuple[str, ...] = ()
    counts: dict[str, list[int]] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    statistics: Statistics = field(default_factory=dict)

    @property
    def training(self) -> DataPart:
        """The training part, which must be among the requested parts."""
        return self.parts["training"]

    @property
    def waiting(self) -> list[PendingRows]:
        """What fills rows of the parts in the background."""
        return list(dict.fromkeys(each for part in self.parts.values() for each in part.waiting))

    def complete(self) -> None:
        """Return once all values are there. Raises `DataError`."""
        for each in self.waiting:
            each.complete()

    def close(self) -> None:
        """End what goes on in the background."""
        for each in self.waiting:
            each.close()

    @property
    def validation(self) -> DataPart | None:
        return self.parts.get("validation")


def without_gaps(names: str, left_out: int, count: int) -> str:
    """Describe rows left out: "`a.csv`: left out 2 of 150 rows, which have missing values"."""
    verb = "has" if left_out == 1 else "have"
    return f"{names}: left out {left_out:,} of {count:,} rows, which {verb} missing values"
