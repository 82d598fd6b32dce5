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
from specc.ir.program import Program
from specc.net.bucketing import Sizes, shorter, steps_of, stretches
from specc.net.programs import Programs
from specc.net.ready import Ready
from specc.net.rollback import Rollback
from specc.net.schedule import Schedule
from specc.ops.flops import flops
from specc.pipeline import Kind
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

    def __init__(self, programs: Programs) -> None:
        self.programs, self.weights = programs, programs.weights
        self.program = programs.program
        self.steps_done = 0
        self.buckets: dict[Sizes, Programs] = {}  # programs over fewer time steps
        self._ready = Ready(programs, Kind.TRAIN)
        self._is_trainable = untrainable(self.program) is None

    @cached_property
    def schedule(self) -> Schedule:
        """The optimizer's settings by step."""
        return Schedule(self.program.limits, self.programs.settings_graph)

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
        batch = self.programs.batch
        steps = -(-len(order) // batch)
        settings = self.schedule(first_step, steps, steps_per_epoch, total_steps, stale)
        parts: list[tuple[Sizes, int, int]] = [((), 0, len(order))]
        if self.lengths(data, total_steps) is not None:
            parts = list(stretches(self.program.ports, data, order, batch))
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
        program = self.programs.ready(Kind.TRAIN, data, rows)
        with weights.lock.writing:
            settings = self.schedule(self.steps_done, 1)
            if not self._rollback.keep(self.steps_done, weights.params.version):
                raise self._diverged(None, data, rows, diagnose)
            records, _ = self.programs.run(
                program, data, np.arange(rows), rows, settings, self.steps_done, weights.slots
            )
            self._rollback.stepped(weights.params.version)
            loss = float(records[0, 0])
            if not math.isfinite(loss):
                raise self._diverged(loss, data, rows, diagnose)
            self.steps_done += 1
        return loss

    def quick(
        self, arrays: Mapping[str, np.ndarray], columns: Columns, diagnose: Diagnose
    ) -> float | None:
        """Do one step on arrays that need no conversion; None if only `step` can do it.

        `columns` converts the arrays to the columns that `step` takes.
        """
        is_alone = self.programs.ranks is None
        call = self._ready.call(arrays) if self._is_trainable and is_alone else None
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
