"""Training steps of several batches, whose gradients are averaged before the weights change.

accumulation = Accumulation(programs, batches=4)
ready = accumulation.ready(data, rows, whole)          # compiles what a step over these rows needs
record = accumulation.step(ready, data, settings, step=7)

One program adds the gradients of a batch to what is in their arrays, another one updates the
weights from there. All batches of a step run in one call of the first. For rules with `gradient_at`
a third program runs over them before the update.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from specc.backend.run.program import CompiledProgram
from specc.ir.kind import Kind
from specc.net.bucketing import Sizes
from specc.net.programs import Programs, Sequence
from specc.net.schedule import Schedule
from specc.recipe import Column
from specc.system.lazy import cached_property

Slots = Mapping[str, np.ndarray]
Parts = Iterable[tuple[Sizes, int, int]]
"""The batches that run on a program over fewer time steps, from and to."""


class ReadyStep(NamedTuple):
    """The rows of a step, and the programs that run over their parts, from and to.

    Those in `again` run over them a second time, for rules with `gradient_at`.
    """

    rows: np.ndarray
    parts: tuple[tuple[Sequence, int, int], ...]
    again: tuple[tuple[Sequence, int, int], ...]
    update: CompiledProgram


class Accumulation:
    """The steps of a model in several batches; `over` gives the programs over fewer time steps."""

    def __init__(self, programs: Programs, batches: int, over: Callable[[Sizes], Programs]) -> None:
        self._programs, self._batches, self._over = programs, batches, over
        updates = programs.program.updates
        self.evaluates_again = any(each.again is not None for each in updates)

    @cached_property
    def schedule(self) -> Schedule:
        """The settings of the optimizer's update by step."""
        return Schedule(self._programs.program.limits, self._programs.settings_of(Kind.UPDATE))

    @cached_property
    def schedule_again(self) -> Schedule:
        """The settings of the places at which rules take the gradient a second time."""
        return Schedule((), self._programs.settings_of(Kind.AGAIN))

    def settings(
        self, first: int, steps: int, steps_per_epoch: int = 0, total: int = 0, stale: float = 0
    ) -> np.ndarray:
        """Return the settings of steps, float64 [steps, settings]: first those of the update."""
        moment = steps_per_epoch, total, stale
        found = self.schedule(first, steps, *moment)
        if not self.evaluates_again:
            return found
        return np.hstack([found, self.schedule_again(first, steps, *moment)])

    def ready(self, data: Mapping[str, Column], rows: np.ndarray, parts: Parts) -> ReadyStep:
        """Return what a step over some rows runs, with all code compiled."""
        batch, parts = self._programs.batch, tuple(parts)

        def over_parts(kind: Kind) -> tuple[tuple[Sequence, int, int], ...]:
            return tuple(
                (self._over(sizes).all_ready(kind, data, batch, stop - start), start, stop)
                for sizes, start, stop in parts
            )

        again = over_parts(Kind.AGAIN) if self.evaluates_again else ()
        update = self._programs.ready(Kind.UPDATE, {}, batch)
        return ReadyStep(rows, over_parts(Kind.ACCUMULATE), again, update)

    def step(
        self, ready: ReadyStep, data: Mapping[str, Column], settings: np.ndarray, step: int
    ) -> np.ndarray:
        """Do a step, and return its record: means over its examples, before its update.

        `settings` is float64 [1, settings]. The caller holds the lock of the weights.
        """
        programs, rows = self._programs, ready.rows
        batch, slots = programs.batch, programs.weights.slots
        before = {label: array.copy() for label, array in slots.items()} if ready.again else {}
        starts = np.arange(0, len(rows), batch)
        shares = np.minimum(batch, len(rows) - starts) / len(rows)
        of_batches = np.stack([shares, starts > 0], axis=1)
        first = step * self._batches  # the number of the first batch, for random numbers

        def run(
            parts: Iterable[tuple[Sequence, int, int]], settings: np.ndarray, slots: Slots
        ) -> Iterator[np.ndarray]:
            for programs_of_part, start, stop in parts:
                at, part = start // batch, rows[start:stop]
                yield programs.run_all(
                    programs_of_part, data, part, settings[at:], first + at, slots
                )[0]

        records = np.concatenate(list(run(ready.parts, of_batches, slots)))
        own, of_places = np.split(settings, [ready.update.settings], axis=1)
        if ready.again:
            of_places = np.broadcast_to(of_places, (len(starts), of_places.shape[1]))
            list(run(ready.again, np.hstack([of_batches, of_places]), before))
        programs.run(ready.update, {}, np.zeros(1, np.int64), 1, own, step, slots)
        return np.asarray(shares @ records)
