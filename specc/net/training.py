"""Training steps: all steps of an epoch for the training loop, or one for `net.step`.

training = Training(programs)
records = training.run(data, order, first_step=0, steps_per_epoch=50, total_steps=500)
loss = training.step(data, rows)            # if it diverges, restores weights and raises Diverged
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from specc.diagnostics import Diagnostic, Diverged, Label
from specc.ir import sizes
from specc.ir.graph import topological
from specc.ir.kind import Kind
from specc.ir.program import Program
from specc.net.accumulation import Accumulation
from specc.net.bucketing import Sizes, shorter, steps_of, stretches
from specc.net.programs import Programs
from specc.net.ready import Ready
from specc.net.rollback import Rollback
from specc.net.schedule import Schedule
from specc.ops.flops import flops
from specc.recipe import Column
from specc.system.lazy import cached_property
from specc.system.locks import COMPILER

# Bucketing compiles further programs, so it is used only in a training of at least this many steps.
STEPS_WORTH_PROGRAMS = 1000

if TYPE_CHECKING:
    from specc.net.divergence import WordedCause

    Diagnose = Callable[[Mapping[str, Column], np.ndarray, int], WordedCause | None]
    Columns = Callable[[Mapping[str, np.ndarray]], Mapping[str, Column]]


class Training:
    """The steps of a model's optimizer. `steps_done` counts them."""

    def __init__(self, programs: Programs, accumulate: int = 1) -> None:
        self.programs, self.weights = programs, programs.weights
        self.program = programs.program
        self.steps_done = 0
        self.accumulate = accumulate  # batches of a step
        self.buckets: dict[Sizes, Programs] = {}  # programs over fewer time steps
        self._ready = Ready(programs, Kind.TRAIN)
        self._is_trainable = untrainable(self.program) is None

    @cached_property
    def schedule(self) -> Schedule:
        """The optimizer's settings by step."""
        return Schedule(self.program.limits, self.programs.settings_graph)

    @cached_property
    def accumulation(self) -> Accumulation:
        """The steps of several batches."""
        return Accumulation(self.programs, self.accumulate, self._over)

    def leave(self) -> None:
        """Share nothing with other processes any more; all that share call this."""
        self.programs.leave()
        self.buckets.clear()

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The programs that run over the examples of a step."""
        if self.accumulate == 1:
            return (Kind.TRAIN,)
        again = (Kind.AGAIN,) if self.accumulation.evaluates_again else ()
        return (Kind.ACCUMULATE, *again)

    def link(self, data: Mapping[str, Column]) -> None:
        """Compile all that steps on data like this need."""
        if self.accumulate > 1:
            self.accumulation.ready(data, np.arange(0), [((), 0, self.programs.batch)])
        else:
            self.programs.ready(Kind.TRAIN, data, self.programs.batch)

    def run(
        self,
        data: Mapping[str, Column],
        order: np.ndarray,
        first_step: int,
        steps_per_epoch: int,
        total_steps: int,
        stale: float = 0,
    ) -> np.ndarray:
        """Run steps over the rows `order`, a batch at a time; the last may be partial.

        Returns float64 [steps, record_width]: the means over each batch, before its update.
        """
        assert self.program.updates, "a model without an optimizer cannot be trained"
        if self.accumulate > 1:
            return self._in_batches(data, order, first_step, steps_per_epoch, total_steps, stale)
        batch = self.programs.batch
        steps = -(-len(order) // batch)
        settings = self.schedule(first_step, steps, steps_per_epoch, total_steps, stale)
        parts = self._parts(data, order, total_steps)
        ready = [
            self._over(sizes).all_ready(Kind.TRAIN, data, batch, stop - start)
            for sizes, start, stop in parts
        ]
        records = []
        with self.weights.lock.writing:
            for each, (_, start, stop) in zip(ready, parts, strict=True):
                first, rows = start // batch, order[start:stop]
                found, _ = self.programs.run_all(
                    each, data, rows, settings[first:], first_step + first, self.weights.slots
                )
                records.append(found)
            self.steps_done = first_step + steps
        return np.concatenate(records)

    def _parts(
        self, data: Mapping[str, Column], order: np.ndarray, total_steps: int
    ) -> list[tuple[Sizes, int, int]]:
        """Return adjacent batches that run on one program: its sizes, and the rows from and to."""
        if self.lengths(data, total_steps) is None:
            return [((), 0, len(order))]
        return list(stretches(self.program.ports, data, order, self.programs.batch))

    def _in_batches(
        self,
        data: Mapping[str, Column],
        order: np.ndarray,
        first_step: int,
        steps_per_epoch: int,
        total_steps: int,
        stale: float,
    ) -> np.ndarray:
        """Run steps of several batches each."""
        accumulation, size = self.accumulation, self.accumulate * self.programs.batch
        groups = [order[start : start + size] for start in range(0, len(order), size)]
        moment = steps_per_epoch, total_steps, stale
        settings = accumulation.settings(first_step, len(groups), *moment)
        ready = [
            accumulation.ready(data, rows, self._parts(data, rows, total_steps)) for rows in groups
        ]
        with self.weights.lock.writing:
            records = [
                accumulation.step(each, data, settings[i : i + 1], first_step + i)
                for i, each in enumerate(ready)
            ]
            self.steps_done = first_step + len(groups)
        return np.stack(records)

    def lengths(self, data: Mapping[str, Column], total_steps: int) -> np.ndarray | None:
        """Return the time steps of each example, if a training of `total_steps` uses bucketing.

        Batches of examples of like length then run on programs over fewer time steps. None if it
        does not.
        """
        is_long = total_steps >= STEPS_WORTH_PROGRAMS and not self.weights.slots
        return steps_of(self.program.ports, data) if is_long else None

    def _over(self, sizes: Sizes) -> Programs:
        """Return the programs over fewer time steps.

        If their results would differ, return the programs over all time steps.
        """
        if not sizes:
            return self.programs
        if sizes not in self.buckets:
            with COMPILER, self.programs.clock.running():
                program, own = shorter(self.program, sizes), self.programs
                if program is not None:
                    own = Programs(
                        program,
                        self.weights,
                        own.batch,
                        own.threads,
                        own.clock,
                        own.shards,
                        own.ranks,
                    )
                    own.graph(Kind.TRAIN)
                self.buckets[sizes] = own
        return self.buckets[sizes]

    def step(self, data: Mapping[str, Column], rows: int, diagnose: Diagnose) -> float:
        """Do one step on `rows` examples; return the loss before it.

        If the loss is not finite, the last copy of the weights is restored, and `StepDiverged` is
        raised with the loss.
        """
        weights = self.weights
        run = self._one(data, rows)
        with weights.lock.writing:
            if not self._rollback.keep(self.steps_done, weights.params.version):
                raise self._diverged(None, data, rows, diagnose)
            loss = run()
            self._rollback.stepped(weights.params.version)
            if not math.isfinite(loss):
                raise self._diverged(loss, data, rows, diagnose)
            self.steps_done += 1
        return loss

    def _one(self, data: Mapping[str, Column], rows: int) -> Callable[[], float]:
        """Return a call that does one step and returns its loss, with all code compiled."""
        order, weights = np.arange(rows), self.weights
        if self.accumulate > 1:
            accumulation = self.accumulation
            ready = accumulation.ready(data, order, [((), 0, rows)])

            def in_batches() -> float:
                settings = accumulation.settings(self.steps_done, 1)
                return float(accumulation.step(ready, data, settings, self.steps_done)[0])

            return in_batches
        program = self.programs.ready(Kind.TRAIN, data, rows)

        def at_once() -> float:
            settings = self.schedule(self.steps_done, 1)
            records, _ = self.programs.run(
                program, data, order, rows, settings, self.steps_done, weights.slots
            )
            return float(records[0, 0])

        return at_once

    def quick(
        self, arrays: Mapping[str, np.ndarray], columns: Columns, diagnose: Diagnose
    ) -> float | None:
        """Do one step on arrays that need no conversion; None if only `step` can do it.

        `columns` converts the arrays to the columns that `step` takes.
        """
        is_plain = self._is_trainable and self.accumulate == 1 and self.programs.ranks is None
        call = self._ready.call(arrays) if is_plain else None
        if call is None:
            return None
        weights, params = self.weights, self.weights.params
        weights.lock.open_for_writing()
        try:
            step, rollback = self.steps_done, self._rollback
            settings = self.schedule.address(step)
            if settings is None or not rollback.keep(step, params.version):
                return None
            try:
                loss = call(arrays, step, settings)
            except BaseException:
                params.written()
                raise
            if loss is None:
                return None
            params.written()
            rollback.stepped(params.version)
            if not math.isfinite(loss):
                data = columns(arrays)
                raise self._diverged(loss, data, len(next(iter(arrays.values()))), diagnose)
            self.steps_done = step + 1
            return loss
        finally:
            weights.lock.close_for_writing()

    @cached_property
    def _rollback(self) -> Rollback:
        nodes = [term.node for term in (*self.program.losses, *self.program.outputs)]
        batch = self.programs.batch
        of_example = sizes.bound(sizes.bind(flops(topological(nodes)), {"the batch": batch}))
        return Rollback(self.weights.lasting, 3 * batch * of_example)

    def _diverged(
        self, loss: float | None, data: Mapping[str, Column], rows: int, diagnose: Diagnose
    ) -> StepDiverged:
        """Put back the last copy of the weights, and find the cause.

        `loss` is that of the step, or None if the weights were not finite before it.
        """
        step = self.steps_done
        self.steps_done = self._rollback.restore()
        self.weights.params.written()
        found = diagnose(data, np.arange(rows), step)
        back = step - self.steps_done
        kept = (
            "the weights are again those from before it"
            if not back
            else (f"the weights are again those from before step {self.steps_done + 1}")
        )
        losses = [term.span for term in self.program.losses]
        spans = [found.span if found else None, self.program.recipe.span, *losses]
        diagnostic = Diagnostic(
            "diverged",
            "error",
            f"the weights are not finite before step {step + 1}"
            if loss is None
            else f"the loss is {loss:g} at step {step + 1}",
            next(each for each in spans if each is not None),
            (Label(found.span, found.what),) if found and found.span else (),
            (*(found.notes if found else ()), kept),
            Diverged.HELP,
        )
        return StepDiverged(Diverged([diagnostic], step + 1), math.nan if loss is None else loss)


class StepDiverged(Exception):
    """A step whose loss is not finite: the error to report, and the loss."""

    def __init__(self, error: Diverged, loss: float) -> None:
        super().__init__(str(error))
        self.error, self.loss = error, loss


def untrainable(program: Program) -> str | None:
    """Return why a model cannot be trained; None if it can."""
    if not program.ports:
        return "it has no inputs"
    if not program.losses:
        return "it has no `loss`"
    if not program.parameters:
        return "it has no parameters"
    if program.recipe.span is None:
        return "its file has no `train` block that names an optimizer"
    if not program.updates:
        return "all of its parameters are frozen"
    return None
