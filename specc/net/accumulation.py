"""Training steps of several batches, whose gradients are averaged before the weights change.

accumulation = Accumulation(programs, batches=4)
ready = accumulation.ready(data, rows, whole)          # compiles what a step over these rows needs
record = accumulation.step(ready, data, settings, step=7)

One program adds the gradients of a batch to what is in their arrays, another one updates the
weights from there. All batches of a step run in one call of the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from specc.backend.run.program import CompiledProgram
from specc.ir.kind import Kind
from specc.net.bucketing import Sizes
from specc.net.programs import Programs, Sequence
from specc.net.schedule import Schedule
from specc.recipe import Column
from specc.system.lazy import cached_property

Parts = Iterable[tuple[Sizes, int, int]]
"""The batches that run on a program over fewer time steps, from and to."""


class ReadyStep(NamedTuple):
    """The rows of a step, and the programs that run over their parts, from and to."""

    rows: np.ndarray
    parts: tuple[tuple[Sequence, int, int], ...]
    update: CompiledProgram


class Accumulation:
    """The steps of a model in several batches; `over` gives the programs over fewer time steps."""

    def __init__(self, programs: Programs, batches: int, over: Callable[[Sizes], Programs]) -> None:
        self._programs, self._batches, self._over = programs, batches, over

    @cached_property
    def schedule(self) -> Schedule:
        """The settings of the optimizer's update by step."""
        return Schedule(self._programs.program.limits, self._programs.settings_of(Kind.UPDATE))

    def ready(self, data: Mapping[str, Column], rows: np.ndarray, parts: Parts) -> ReadyStep:
        """Return what a step over some rows runs, with all code compiled."""
        batch = self._programs.batch
        found = tuple(
            (self._over(sizes).all_ready(Kind.ACCUMULATE, data, batch, stop - start), start, stop)
            for sizes, start, stop in parts
        )
        return ReadyStep(rows, found, self._programs.ready(Kind.UPDATE, {}, batch))

    def step(
        self, ready: ReadyStep, data: Mapping[str, Column], settings: np.ndarray, step: int
    ) -> np.ndarray:
        """Do a step, and return its record: means over its examples, before its update.

        `settings` is float64 [1, settings]. The caller holds the lock of the weights.
        """
        programs, rows = self._programs, ready.rows
        batch, slots = programs.batch, programs.weights.slots
        starts = np.arange(0, len(rows), batch)
        shares = np.minimum(batch, len(rows) - starts) / len(rows)
        of_batches = np.stack([shares, starts > 0], axis=1)
        first = step * self._batches  # the number of the first batch, for random numbers
        records = []
        for programs_of_part, start, stop in ready.parts:
            at = start // batch
            found, _ = programs.run_all(
                programs_of_part, data, rows[start:stop], of_batches[at:], first + at, slots
            )
            records.append(found)
        programs.run(ready.update, {}, np.zeros(1, np.int64), 1, settings, step, slots)
        return np.asarray(shares @ np.concatenate(records))
