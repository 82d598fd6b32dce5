"""Shows the progress of training: a line per epoch and, on a terminal, the current step.

with display(net, epochs, steps_per_epoch, first_epoch, is_quiet) as watch:
    train(net, data, recipe, run, watch)

             train loss  accuracy  val loss  accuracy   examples/s * best
epoch  3/20      0.0702    0.9771    0.1801    0.9582       44,562 *
"""

from __future__ import annotations

import html
import math
import shutil
import sys
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Self

import click

from specc.runtime.compiled import CompiledModel
from specc.runtime.metrics import Epoch, Evaluation, short_names

WIDTH = 80  # largest width of a line, in characters
LEAST = 10  # smallest width of a metric's column, in characters
OFTEN = 0.2  # least time between two updates, in seconds
FEW_EPOCHS = 100  # up to this number of epochs, every epoch gets a line
MOST_LOSSES = 1200  # of the curve in the status line
BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int = 24) -> str:
    """Return a curve in one line of text: each character is the mean of some values.

    >>> sparkline([8, 4, 2, 1, 1, 0])
    '█▅▃▂▂▁'
    """
    known = [each for each in values if math.isfinite(each)]
    if not known:
        return ""
    size = max(1, -(-len(known) // width))
    means = [
        sum(part) / len(part)
        for part in (known[at : at + size] for at in range(0, len(known), size))
    ]
    low, high = min(means), max(means)
    span = high - low or 1.0
    return "".join(BLOCKS[round((each - low) / span * (len(BLOCKS) - 1))] for each in means)


def metrics_line(values: dict[str, float]) -> str:
    """Return values as text: `loss 0.0702 accuracy 0.9771`."""
    return " ".join(f"{name} {value:.4g}" for name, value in values.items())


def clock(seconds: float) -> str:
    """Return a duration as text: `0:07`, `12:30`, `1:02:03`.

    >>> clock(7), clock(750), clock(3723)
    ('0:07', '12:30', '1:02:03')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class EpochColumns:
    """The aligned columns of the epochs' lines, with as many metrics as fit."""

    def __init__(self, names: Iterable[str], epochs: int, has_validation: bool) -> None:
        self.epochs = epochs
        parts = ["train", "val"] if has_validation else ["train"]
        self.first = len("epoch /") + 2 * len(str(epochs))
        self.cells: list[tuple[str, str, str, int]] = []  # part, name, header, width
        room = WIDTH - self.first - 20
        for name in names:
            new = []
            for part in parts:
                header = f"{part} {name}" if name == "loss" else name
                new.append((part, name, header, max(LEAST, len(header) + 2)))
            if sum(each[3] for each in (*self.cells, *new)) > room:
                break
            self.cells += new
        self.cells.sort(key=lambda each: parts.index(each[0]))

    def header(self) -> str:
        cells = "".join(f"{header:>{width}}" for _, _, header, width in self.cells)
        return f"{'':{self.first}}{cells}{'examples/s':>13}"

    def line(self, epoch: Epoch) -> str:
        """Return the line of an epoch; a star marks the best evaluation so far."""
        cells = self._cells({"train": epoch.training, "val": epoch.validation or {}})
        place = f"epoch {epoch.epoch:>{len(str(self.epochs))}}/{self.epochs}"
        star = " *" if epoch.is_best else ""
        return f"{place}{cells}{epoch.examples_per_second:>13,.0f}{star}"

    def line_within(self, evaluation: Evaluation) -> str:
        """The metrics of an evaluation within an epoch."""
        cells = self._cells({"val": evaluation.validation})
        place = f"step {evaluation.step:,}"
        return f"{place:<{self.first}}{cells}{'':13}{' *' if evaluation.is_best else ''}".rstrip()

    def _cells(self, values: Mapping[str, Mapping[str, float]]) -> str:
        return "".join(
            f"{values[part].get(name, math.nan):>{width}.4g}" if part in values else f"{'':{width}}"
            for part, name, _, width in self.cells
        )


def shown(columns: Collection[str]) -> list[str]:
    """Return the names of the metrics in lines: all but the terms of the loss."""
    return [
        short for name, short in short_names(tuple(columns)).items() if not name.startswith("loss.")
    ]


def display(
    net: CompiledModel, epochs: int, steps_per_epoch: int, first_epoch: int, is_quiet: bool
) -> Quiet:
    """Return the display for a terminal, a notebook or a file: a context manager and a `Watch`."""
    if is_quiet:
        return Quiet()
    if is_notebook():
        return NotebookCell(net, epochs, steps_per_epoch, first_epoch)
    if sys.stdout.isatty():
        return Terminal(net, epochs, steps_per_epoch, first_epoch)
    return Lines(net, epochs)


class Quiet:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def steps(self, epoch: int, step: int, loss: float, examples_per_second: float) -> None:
        pass

    def evaluation(self, evaluation: Evaluation) -> None:
        pass

    def epoch(self, epoch: Epoch) -> None:
        pass

    def line(self, text: str) -> None:
        """Show a line of text."""

    def said(self, text: str) -> None:
        """Show generated text, cut to fit into a line."""
        self.line(text if len(text) < WIDTH else f"{text[: WIDTH - 4]} ...")


class Lines(Quiet):
    """Prints one line with the compile time, then one line per epoch."""

    def __init__(self, net: CompiledModel, epochs: int) -> None:
        self.net, self.epochs = net, epochs
        self.columns: EpochColumns | None = None
        self.has_started = False
        self.losses: list[float] = []
        self.told = self.told_within = 0.0

    def __exit__(self, *_: object) -> None:
        if len(self.losses) > 2:
            first, last = self.losses[0], self.losses[-1]
            self.line(f"loss {sparkline(self.losses)} {first:.4g} to {last:.4g}")

    def steps(self, epoch: int, step: int, loss: float, examples_per_second: float) -> None:
        # the first steps are done, so everything that training needs has been compiled
        if not self.has_started:
            self.has_started = True
            threads = f"{self.net.working_threads} thread{'s' * (self.net.working_threads > 1)}"
            seconds = self.net.compile_seconds
            first = " (first time only)" if seconds > 1 else ""
            self.line(f"compiled in {seconds:.2f} s{first}, runs on {threads}")

    def evaluation(self, evaluation: Evaluation) -> None:
        now = time.monotonic()
        if now - self.told_within >= OFTEN:  # evaluations.csv has all of them
            self.told_within = now
            self.line(self._columns(has_validation=True).line_within(evaluation))

    def _columns(self, has_validation: bool) -> EpochColumns:
        """The columns of the lines; the first call shows their header."""
        if self.columns is None:
            self.columns = EpochColumns(shown(self.net.columns), self.epochs, has_validation)
            self.line(f"{self.columns.header()} * best")
        return self.columns

    def epoch(self, epoch: Epoch) -> None:
        columns = self._columns(epoch.validation is not None)
        self.losses.append((epoch.validation or epoch.training).get("loss", math.nan))
        if self.epochs > FEW_EPOCHS and epoch.epoch < self.epochs:
            now = time.monotonic()
            if now - self.told < OFTEN:
                return  # metrics.csv has all of them
            self.told = now
        self.line(columns.line(epoch))

    def line(self, text: str) -> None:
        click.echo(text)
        sys.stdout.flush()


class Terminal(Lines):
    """Prints lines, with a status line below them: the epoch, the loss and the time left.

    A library for progress bars is not used, because one that draws in its own thread took more time
    than training a tiny model.
    """

    def __init__(
        self, net: CompiledModel, epochs: int, steps_per_epoch: int, first_epoch: int
    ) -> None:
        super().__init__(net, epochs)
        self.steps_per_epoch, self.first = steps_per_epoch, first_epoch
        self.recent: list[float] = []
        self.begun = self.shown = self.drawn = 0.0
        self.status = ""

    def __enter__(self) -> Self:
        self._show("compiling (first time only) ..")
        self.begun = time.monotonic()
        return self

    def __exit__(self, *rest: object) -> None:
        self._show("")
        super().__exit__(*rest)

    def steps(self, epoch: int, step: int, loss: float, examples_per_second: float) -> None:
        now = time.monotonic()
        if not self.has_started:
            self.begun = now
        super().steps(epoch, step, loss, examples_per_second)
        if now - self.shown < OFTEN:
            return
        self.shown = now
        self.recent.append(loss)
        if len(self.recent) == MOST_LOSSES:  # so that an update of a long training stays quick
            self.recent = self.recent[::2]
        self._show(self._line(epoch, step, loss, examples_per_second, now))

    def _line(
        self, epoch: int, step: int, loss: float, examples_per_second: float, now: float
    ) -> str:
        done = (epoch - 1 - self.first) * self.steps_per_epoch + step
        share = done / max(1, (self.epochs - self.first) * self.steps_per_epoch)
        left = (now - self.begun) * (1 - share) / share if share and now > self.begun else math.nan
        bar = "━" * round(12 * share) + "─" * (12 - round(12 * share))
        parts = [
            f"epoch {epoch}/{self.epochs}",
            f"{bar} {share:4.0%}",
            f"loss {loss:.4g} {sparkline(self.recent, 12)}",
            f"{examples_per_second:,.0f}/s",
            "" if math.isnan(left) else f"{clock(left)} left",
        ]
        return "  ".join(filter(None, parts))

    def line(self, text: str) -> None:
        status = self.status
        self._show("")
        super().line(text)
        self._show(status)

    def _show(self, status: str) -> None:
        """Replace the last line of the terminal."""
        if status or self.status:
            room = shutil.get_terminal_size((WIDTH, 24)).columns - 1
            sys.stdout.write(f"\r\x1b[2K{status[:room]}")
            sys.stdout.flush()
        self.status = status


def is_notebook() -> bool:
    """Return whether the process is the kernel of a notebook."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")


class NotebookCell(Terminal):
    """Shows the lines and the status of a terminal in the output of a notebook's cell."""

    def __enter__(self) -> Self:
        from IPython import display

        self.lines: list[str] = []
        self.handle = display.display(self._content(), display_id=True)
        return super().__enter__()

    def __exit__(self, *rest: object) -> None:
        super().__exit__(*rest)
        self._draw()

    def line(self, text: str) -> None:
        self.lines.append(text)
        if time.monotonic() - self.drawn >= OFTEN:
            self._draw()

    def _show(self, status: str) -> None:
        self.status = status
        self._draw()

    def _draw(self) -> None:
        self.drawn = time.monotonic()
        self.handle.update(self._content())

    def _content(self) -> Any:
        from IPython.display import HTML

        text = "\n".join(filter(None, [*self.lines, self.status]))
        return HTML(f"<pre>{html.escape(text)}</pre>")
