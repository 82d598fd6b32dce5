"""The training loop: epochs of compiled steps, with validation, checkpoints and early stopping.

    train(net, data, recipe, run, watch, progress)     # "finished", "early" or "interrupted"
    train(net, data, recipe, InMemory(net), watch)     # without a folder

The steps of an epoch run in stretches. Each is one call of the compiled model that takes about 0.2
s, so that the display and Ctrl-C stay responsive. Training that was interrupted and resumed gives
the same weights, bit for bit, wherever it was interrupted. A long epoch is saved every
`recipe.checkpoint_seconds`, so a killed process loses no more than that.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any, NoReturn, Protocol, TypeVar

import numpy as np

from specc.diagnostics import Label
from specc.recipe import BALANCE, Recipe
from specc.runtime import checkpoint
from specc.runtime.bad_step import bad_step, is_finite
from specc.runtime.checkpoint import Progress
from specc.runtime.compiled import CompiledModel, Finding, Values
from specc.runtime.data import Data, DataPart
from specc.runtime.data.balance import class_weights
from specc.runtime.errors import Diverged, RunError, diagnostic, start_of
from specc.runtime.keeper import InFolder, Keeper
from specc.runtime.metrics import Epoch, Evaluation, short_names
from specc.runtime.order import grouped, permutation
from specc.runtime.run import RunFolder
from specc.runtime.supply import FromMemory, HeldOut, supply_of
from specc.runtime.together import Alone, Together

STRETCH_SECONDS = 0.2
ROUNDING = 1e-6  # relative rounding error of a mean in float32

Result = TypeVar("Result")


class Watch(Protocol):
    """An observer of training, such as the progress display."""

    def steps(self, epoch: int, step: int, loss: float, examples_per_second: float) -> None:
        """Take note that `step` steps of epoch `epoch` are done; both count from 1.

        `loss` is the mean over the epoch so far.
        """

    def evaluation(self, evaluation: Evaluation) -> None:
        """The model was validated within an epoch."""

    def epoch(self, epoch: Epoch) -> bool | None:
        """Take note that an epoch is over and recorded. Return True to end training."""


def train(
    net: CompiledModel,
    data: Data,
    recipe: Recipe,
    run: RunFolder | Keeper,
    watch: Watch,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    together: Together | None = None,
) -> str:
    """Train until `recipe.epochs` are done ("finished") or patience is out ("early").

    Training starts at `progress`, which `checkpoint.restore` returns. `should_stop` is called after
    each stretch of steps; if it returns True, the state is saved and the result is "interrupted".
    After `recipe.max_time` seconds the state is saved and the result is "time". `watch` may end
    training after an epoch ("early"). Processes that train `together` run the same steps.

    Raises `Diverged` if the loss or a weight is not finite; the last checkpoint then has the state
    before that step. Raises `RunError` if a file cannot be written.
    """
    if recipe.balance is not None and recipe.balance_by == "weights":
        weigh_classes(net, data.training, recipe.balance)
    if isinstance(run, RunFolder):
        keeper: Keeper = InFolder(run, net, progress.epoch if progress is not None else 0)
    else:
        keeper = run
    if progress is None:
        keeper.save(Progress())
    loop = _Loop(net, data, recipe, keeper, watch, progress or Progress(), together or Alone())
    try:
        outcome = loop.run_on(should_stop)
    except BaseException:
        with suppress(RunError):  # the first error is the one to report
            keeper.flush()
        raise
    finally:
        loop.supply.close()
    keeper.flush()
    return outcome


def weigh_classes(net: CompiledModel, part: DataPart, target: str) -> None:
    """Set the weights of a target's classes to those of the training part."""
    port = next(each for each in net.ports if each.name == target)
    classes = 2 if port.kind == "bool" else port.class_count
    path = BALANCE.format(target)
    if path in net.states:
        net.states[path][...] = class_weights(part, target, classes)


class _Loop:
    """Training with its progress."""

    def __init__(
        self,
        net: CompiledModel,
        data: Data,
        recipe: Recipe,
        keeper: Keeper,
        watch: Watch,
        progress: Progress,
        together: Together,
    ) -> None:
        self.together = together
        self.net, self.data, self.recipe, self.watch = net, data, recipe, watch
        self.keeper = keeper
        self.progress, self.began = progress, progress.seconds
        self.examples = len(data.training)
        self.steps_per_epoch = -(-self.examples // net.examples_per_step)
        # examples of each step, its weight in the mean over an epoch: the last one may have fewer
        self.sizes = np.full(self.steps_per_epoch, net.examples_per_step)
        self.sizes[-1] = self.examples - net.examples_per_step * (self.steps_per_epoch - 1)
        self.names = short_names(net.columns)
        self.stretch_steps = 1
        total = recipe.epochs * self.steps_per_epoch
        self.supply = supply_of(data.training, recipe, net, total, together)
        self.held_out: HeldOut | None = None
        self._new_epoch()
        if data.validation is not None:  # compile now, so that no epoch has to wait for it
            net.evaluate_rows(data.validation.columns, np.arange(1))

    def run_on(self, should_stop: Callable[[], bool]) -> str:
        """Train to the end or until a reason to stop, and return the outcome."""
        while self.progress.epoch < self.recipe.epochs:
            if _is_stale(self.progress, self.recipe):
                return "early"
            is_over = is_late = False
            while not is_over and self.progress.step < self.steps_per_epoch:
                self.stretch()
                is_late, is_due = self.together.agreed(
                    (self.is_late(), self.keeper.is_due(self.recipe.checkpoint_seconds))
                )
                is_over = self.together.any(should_stop()) or is_late
                is_within = self.progress.step < self.steps_per_epoch
                if is_within:
                    self.look()
                is_stale = _is_stale(self.progress, self.recipe)
                if is_within and (is_due or is_stale):
                    self.keep()
                if is_within and is_stale:
                    return "early"
            if self.progress.step == self.steps_per_epoch and self.end_epoch():
                return "early"
            if is_over and self.progress.epoch < self.recipe.epochs:
                self.keep()
                return "time" if is_late else "interrupted"
        return "finished"

    def is_late(self) -> bool:
        """Return whether `max_time` seconds of training have passed since this start or resume."""
        limit = self.recipe.max_time
        return limit is not None and self.progress.seconds - self.began >= limit

    def _new_epoch(self) -> None:
        """Prepare the order and the counters of the epoch that `progress` is in."""
        supply, epoch = self.supply, self.progress.epoch
        supply.begin(epoch)
        if isinstance(supply, FromMemory) and not self.data.training.is_stream:
            rows = self.data.training.numbers
            order = rows[permutation(self.recipe.seed, epoch, self.examples)]
            total = self.recipe.epochs * self.steps_per_epoch
            lengths = self.net.lengths(self.data.training.columns, total)
            if lengths is not None:
                order = grouped(order, lengths, self.net.batch, self.recipe.seed, epoch)
            supply.go_in(order, self.progress.step)
        self.epoch_examples, self.epoch_seconds = 0, 0.0
        if not self.progress.step:
            self.progress.records = np.zeros((0, self.net.record_width))

    def stretch(self) -> None:
        """Run some steps of the epoch in one call."""
        progress = self.progress
        first = progress.epoch * self.steps_per_epoch + progress.step
        steps = min(self.stretch_steps, self._until_a_look(first))
        columns, rows = self.supply.take(progress.step, steps)
        records, seconds = self._timed(self.net.train, columns, rows, first, *self._counts)
        losses = records[:, 0]
        if not np.isfinite(losses).all():
            bad = int(np.argmin(np.isfinite(losses)))
            before = [*progress.records[:, 0], *losses[: bad + 1]][-5:]
            self._diverged(f"the loss is {losses[bad]}", first + bad + 1, before)
        progress.records = np.concatenate([progress.records, records])
        progress.step += len(records)
        self.epoch_examples += len(rows)
        self.epoch_seconds += seconds
        wanted = int(STRETCH_SECONDS * len(records) / seconds)
        self.stretch_steps = self.together.agreed(max(1, min(wanted, 4 * self.stretch_steps)))
        self.watch.steps(
            progress.epoch + 1, progress.step, float(self._means()[0]), len(rows) / seconds
        )

    def _until_a_look(self, done: int) -> int:
        """Return the steps until the next sample, snapshot or validation within the epoch."""
        until = self._until_a_sample(done)
        for every in (self.recipe.validate_every, snapshot_steps(self.recipe, self._counts[1])):
            if every is not None:
                until = min(until, every - done % every)
        return until

    def _until_a_sample(self, done: int) -> int:
        if self.recipe.sample is None:
            return self.stretch_steps
        power = 100
        while power <= done:
            power *= 10
        return power - done

    def look(self) -> None:
        """Validate within an epoch, after every `validate_every` steps."""
        progress, validation = self.progress, self.data.validation
        done = progress.epoch * self.steps_per_epoch + progress.step
        every = self.recipe.validate_every
        if every is None or validation is None or done % every:
            return
        values, _ = self._timed(self._evaluated, validation)
        if not np.isfinite(values["loss"]):
            what = f"the validation loss is {values['loss']}"
            self._diverged(what, done, progress.records[-5:, 0])
        watched = self.net.watched(values)
        is_best = is_better(watched, progress.best, self.recipe)
        if is_best:
            self._require_finite(done, progress.records[-5:, 0])
        self.progress = replace(
            progress, **self._judged(watched, is_best, progress.epoch + 1, done)
        )
        short = self._short(values)
        self.keeper.evaluated(done, progress.seconds, short)
        if is_best:
            self.keeper.epoch(self.progress, is_best)
        self.watch.evaluation(
            Evaluation(progress.epoch + 1, done, progress.seconds, short, is_best, watched)
        )

    def _judged(self, watched: float, is_best: bool, epoch: int, done: int) -> dict[str, Any]:
        """Return what an evaluation in an epoch, after so many steps, changes in the progress."""
        old = self.progress
        if is_best:
            return {"best": watched, "best_epoch": epoch, "best_step": done, "waited": 0}
        return {"stale": old.stale + 1, "waited": old.waited + 1}

    def keep(self) -> None:
        """Write a checkpoint of the steps done so far."""
        progress = self.progress
        done = progress.epoch * self.steps_per_epoch + progress.step
        self._require_finite(done, progress.records[-5:, 0])
        self.keeper.now(progress)

    def end_epoch(self) -> bool:
        """Validate, record the epoch and keep a checkpoint. Return whether to stop."""
        net, validation, old = self.net, self.data.validation, self.progress
        training = net.report(self._means())
        done = (old.epoch + 1) * self.steps_per_epoch
        held_out: Values | None = None
        if validation is not None:
            held_out, _ = self._timed(self._evaluated, validation)
        what = "loss" if held_out is None else "validation loss"
        metrics = training if held_out is None else held_out
        if not np.isfinite(metrics["loss"]):
            self._diverged(f"the {what} is {metrics['loss']}", done, old.records[-5:, 0])
        self._require_finite(done, old.records[-5:, 0])
        watched = net.watched(metrics)
        is_best = is_better(watched, old.best, self.recipe)
        self.progress = replace(
            old,
            epoch=old.epoch + 1,
            step=0,
            records=np.zeros((0, net.record_width)),
            **self._judged(watched, is_best, old.epoch + 1, done),
        )
        rate = self.epoch_examples / self.epoch_seconds if self.epoch_seconds else 0.0
        epoch = Epoch(
            self.progress.epoch,
            done,
            self.progress.seconds,
            self._short(training),
            self._short(held_out) if held_out else None,
            rate,
            is_best,
            watched,
        )
        self._new_epoch()
        self.keeper.append(epoch)
        self.keeper.epoch(self.progress, is_best)
        return self.together.any(self.watch.epoch(epoch) is True)

    def _evaluated(self, part: DataPart) -> Values:
        """Return the losses and metrics over a part; a part on the disk is read in windows."""
        net = self.net
        if part.stored is None:
            part.require(part.numbers)
            return net.evaluate_rows(part.columns, part.numbers)
        if self.held_out is None:
            self.held_out = HeldOut(
                part.stored,
                self.recipe,
                net.batch,
                lambda examples: net.divided(examples, training=False),
                self.together,
            )
        total = np.zeros(net.record_width)
        for columns, rows in self.held_out.windows():
            total += net.means_of(columns, rows) * len(rows)
        return net.report(total / len(part))

    def _timed(self, function: Callable[..., Result], *arguments: object) -> tuple[Result, float]:
        """Return the result of a call of the model, and its seconds without compiling."""
        start, compiling = time.perf_counter(), self.net.compile_seconds
        result = function(*arguments)
        seconds = time.perf_counter() - start - (self.net.compile_seconds - compiling)
        seconds = max(seconds, 1e-9)
        self.progress.seconds += seconds
        return result, seconds

    def _means(self) -> np.ndarray:
        """Return the mean of each column over the examples seen in this epoch."""
        records = self.progress.records
        sizes = self.sizes[: len(records)]
        return sizes @ records / sizes.sum()

    def _short(self, values: Values) -> dict[str, float]:
        return {short: float(values[name]) for name, short in self.names.items()}

    def _require_finite(self, step: int, losses: Iterable[float]) -> None:
        """Raise `Diverged` if weights or states are not finite: no checkpoint may hold them."""
        bad = checkpoint.not_finite(checkpoint.tensors(self.net))
        if bad is not None:
            self._diverged(f"the {checkpoint.said(bad)} is no longer finite", step, losses)

    def _diverged(self, what: str, step: int, losses: Iterable[float]) -> NoReturn:
        """Raise `Diverged`: `what` was seen at `step`, counted from 1 over all epochs.

        The steps since the last checkpoint are repeated to find the first bad one. The state before
        that step becomes the last checkpoint.
        """
        epoch, done = self.progress.epoch, len(self.progress.records)
        self.keeper.flush()
        # processes may have the weights in common: all have looked at them before they change
        self.together.any(False)
        seen = step - epoch * self.steps_per_epoch
        is_over = done == seen
        self.progress = self.keeper.restore()
        finding: Finding | None = None
        notes: list[str] = []
        if self.progress.epoch == epoch and is_finite(self.net):
            bad = bad_step(
                self.net, self._replay, self.progress.step, seen if is_over else seen - 1
            )
            self.progress.records, self.progress.step = self.progress.records[:bad], bad
            finding = self._finding(bad)
            step, first = epoch * self.steps_per_epoch + min(bad + 1, seen), step
            if step != first or (is_over and bad < seen):
                notes.append(f"at step {first} {what}")
                what = "the updated weights are not finite"
            self.keeper.save(self.progress)
            notes.append(f"{self.keeper.name} holds the weights before step {step}")
        else:
            notes.append(f"{self.keeper.name} holds the state after epoch {self.progress.epoch}")
        place, labels = self.recipe.span or start_of(self.keeper.location), []
        if finding is not None and finding.span is not None:
            place, labels = finding.span, [Label(finding.span, finding.what)]
        found = diagnostic(
            "diverged",
            f"training stopped at step {step} (epoch {epoch + 1}): {what}",
            place,
            labels=labels,
            help=Diverged.HELP,
            notes=[
                *(finding.notes if finding is not None else ()),
                "the last losses: " + ", ".join(f"{loss:.4g}" for loss in losses),
                *notes,
            ],
        )
        raise Diverged([found], step)

    def _replay(self, start: int, end: int) -> None:
        """Repeat steps `start` to `end` - 1 of this epoch, from the state before step `start`."""
        progress = self.progress
        records = progress.records[:start]
        while start < end:
            columns, rows = self.supply.take(start, end - start)
            first = progress.epoch * self.steps_per_epoch + start
            new = self.net.train(columns, rows, first, *self._counts)
            records = np.concatenate([records, new])
            start += len(new)
        progress.records, progress.step = records, end

    @property
    def _counts(self) -> tuple[int, int, int]:
        """The values that a schedule depends on, besides the step."""
        total = self.recipe.epochs * self.steps_per_epoch
        return self.steps_per_epoch, total, self.progress.stale

    def _finding(self, bad: int) -> Finding | None:
        """Return why step `bad` of this epoch, or the evaluation after it, is not finite."""
        net, batch, data = self.net, self.net.batch, self.data
        first = self.progress.epoch * self.steps_per_epoch + bad
        if bad < self.steps_per_epoch:
            columns, rows = self.supply.whole(bad)
            return net.diagnose(columns, rows, first, *self._counts)
        if data.validation is None:
            return None
        columns, rows = data.validation.columns, data.validation.numbers
        for start in range(0, len(rows), batch):
            part = rows[start : start + batch]
            if not np.isfinite(net.evaluate_rows(columns, part)["loss"]):
                return net.diagnose(columns, part, first, *self._counts, training=False)
        return None


def is_milestone(steps: int) -> bool:
    """Return whether a sample is generated after `steps` steps: 100, 1,000, 10,000, ..."""
    while steps > 100 and steps % 10 == 0:
        steps //= 10
    return steps == 100


def snapshot_steps(recipe: Recipe, total: int) -> int | None:
    """Return the steps from one snapshot of the weights to the next, of `total` steps; None if the
    run keeps none."""
    return None if recipe.snapshots is None else max(1, -(-total // recipe.snapshots))


def is_better(value: float, best: float | None, recipe: Recipe) -> bool:
    """Return whether an epoch with this value is the best so far.

    Values that differ by less than float32 rounding count as equal, because the last bits of a mean
    depend on the order of its terms. NaN (such as a precision if nothing is predicted true) is
    worse than any number.
    """
    if best is None or math.isnan(best):
        return best is None or not math.isnan(value)
    if math.isclose(value, best, rel_tol=ROUNDING):
        return False
    return value > best if recipe.monitor is not None and recipe.monitor.is_max else value < best


def _is_stale(progress: Progress, recipe: Recipe) -> bool:
    """Return whether the last `patience` evaluations have not improved the best value."""
    return recipe.patience is not None and progress.waited >= recipe.patience
