"""Runs of a program one after the other, whose slots stay in its memory from run to run.

    steps = Stepping(program, {"text": Column(symbols)}, batch=1)
    outputs = steps.run(rows=1)                # reads symbols[:1]
    outputs = steps.run(rows=1, steps=5)       # reads symbols[:5], one after the other

The columns are arrays that the caller writes to between two runs.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from specc.backend.emit import feed
from specc.backend.run.program import CompiledProgram
from specc.ir.names import label_of
from specc.recipe import Column


class Stepping:
    """A program with a storage of its own, for one thread at a time."""

    def __init__(
        self, program: CompiledProgram, columns: Mapping[str, Column], batch: int, seed: int = 0
    ):
        """The columns have a row for each of at most `batch` examples, for one or more steps."""
        self.program = program
        self._storage = program.new_storage()
        own = program.columns(columns)
        assert all(own[name].array is columns[name].array for name in own), "columns are read as is"
        self._linked = self._storage.linked(program.code(own))
        rows = min((len(each.array) for each in own.values()), default=batch)
        order = np.arange(rows)
        self._kept = order, own
        self._buffers = program.set_up(self._linked, own, order, batch, None, seed, 0)

    @property
    def slots(self) -> dict[str, np.ndarray]:
        """What the last run left, by label: [shards, elements, lanes], live."""
        return {label_of(name): array for name, array in self._storage.slots.items()}

    def fill(self, label: str, values: np.ndarray) -> None:
        """Write a value of each example, [n, *shape], to a slot."""
        self._storage.fill_slot(f"slot.{label}", values.reshape(len(values), -1))

    def run(self, rows: int, steps: int = 1) -> dict[str, np.ndarray]:
        """Run some steps of `rows` examples; return the outputs of the last, [rows, *shape].

        They are valid until the next run.
        """
        frame = self._linked.frame
        frame[feed.TOTAL], frame[feed.BATCH] = rows * steps, rows
        self.program.pack(self._storage, self._linked)
        self._storage.executor.run(self._linked.program, steps)
        last = slice(rows * (steps - 1), rows * steps)
        return {name: array[last] for name, array in self._buffers.outputs.items()}
