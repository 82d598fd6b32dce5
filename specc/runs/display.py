"""What is seen of a training: a bar on a terminal, a line for each epoch elsewhere, or nothing.

with display(net, epochs, steps_per_epoch, first_epoch, is_quiet) as watch:
    train(net, data, recipe, run, watch)

epoch  3/20   train loss 0.0702 accuracy 0.9771   val loss 0.1801 accuracy 0.9582   44,562
examples/s
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Self

import click

from specc.runtime.compiled import CompiledModel
from specc.runtime.metrics import Epoch, short_names


def epoch_line(epoch: Epoch, epochs: int, names: Collection[str]) -> str:
    """The values called `names` of an epoch, in one line; a star marks the best epoch so far."""
    width = len(str(epochs))
    parts = [f"epoch {epoch.epoch:>{width}}/{epochs}"]
    for what, values in (("train", epoch.training), ("val", epoch.validation)):
        if values is not None:
            parts.append(f"{what} {figures({name: values[name] for name in names})}")
    parts.append(f"{epoch.examples_per_second:,.0f} examples/s{'  *' if epoch.is_best else ''}")
    return "   ".join(parts)


def figures(values: dict[str, float]) -> str:
    """`loss 0.0702 accuracy 0.9771`."""
    return " ".join(f"{name} {value:.4g}" for name, value in values.items())


def display(
    net: CompiledModel, epochs: int, steps_per_epoch: int, first_epoch: int, is_quiet: bool
) -> Quiet:
    """The display that fits where output goes; a context manager, and a `Watch`."""
    if is_quiet:
        return Quiet()
    if sys.stdout.isatty():
        return Bar(net, epochs, steps_per_epoch, first_epoch)
    return Lines(net, epochs)


class Quiet:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def steps(self, epoch: int, step: int, loss: float, examples_per_second: float) -> None:
        pass

    def epoch(self, epoch: Epoch) -> None:
        pass


class Lines(Quiet):
    """A line for each epoch, and first one for the time to compile."""

    def __init__(self, net: CompiledModel, epochs: int) -> None:
        self.net, self.epochs = net, epochs
        # the terms of the loss are in metrics.csv; here they would make long lines
        self.names = [
            short
            for name, short in short_names(net.columns).items()
            if not name.startswith("loss.")
        ]
        self.has_started = False

    def steps(self, epoch: int, step: int, loss: float, examples_per_second: float) -> None:
        # the first steps are done, so all that training needs has been compiled
        if not self.has_started:
            self.has_started = True
            threads = f"{self.net.working_threads} thread{'s' * (self.net.working_threads > 1)}"
            self.line(f"compiled in {self.net.compile_seconds:.2f} s, runs on {threads}")

    def epoch(self, epoch: Epoch) -> None:
        self.line(epoch_line(epoch, self.epochs, self.names))

    def line(self, text: str) -> None:
        click.echo(text)
        sys.stdout.flush()


class Bar(Lines):
    """The lines, and under them a bar for the whole training."""

    def __init__(
        self, net: CompiledModel, epochs: int, steps_per_epoch: int, first_epoch: int
    ) -> None:
        super().__init__(net, epochs)
        from rich import progress

        self.steps_per_epoch = steps_per_epoch
        self.bar = progress.Progress(
            progress.TextColumn("epoch {task.fields[epoch]}/" + str(epochs)),
            progress.BarColumn(),
            progress.TextColumn("loss {task.fields[loss]}"),
            progress.TextColumn("{task.fields[rate]} examples/s"),
            progress.TimeRemainingColumn(),
            transient=True,
        )
        self.task = self.bar.add_task(
            "training",
            total=epochs * steps_per_epoch,
            completed=first_epoch * steps_per_epoch,
            epoch=first_epoch + 1,
            loss="-",
            rate="-",
        )

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def steps(self, epoch: int, step: int, loss: float, examples_per_second: float) -> None:
        super().steps(epoch, step, loss, examples_per_second)
        self.bar.update(
            self.task,
            completed=(epoch - 1) * self.steps_per_epoch + step,
            epoch=epoch,
            loss=f"{loss:.4g}",
            rate=f"{examples_per_second:,.0f}",
        )

    def line(self, text: str) -> None:
        self.bar.console.print(text, highlight=False, markup=False, soft_wrap=True)
