"""`specc train FILE`: train a model, or continue a run."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from specc.cli.session import (
    FOLDER,
    THREADS_HELP,
    checked,
    look_at_data,
    overrides,
    run_program,
    tell_left_out,
    used_files,
    warn_of_crowd,
)  # fmt: skip
from specc.reading import read_source
from specc.source import Source

if TYPE_CHECKING:
    from specc.ir.program import Program
    from specc.net.net import Net
    from specc.runtime.checkpoint import Progress
    from specc.runtime.data import Data
    from specc.runtime.run import Run

ENDED = ("finished", "early", "interrupted")


@click.command()
@click.argument("file", required=False, metavar="FILE")
@click.argument("changes", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--data", type=FOLDER, help="Folder for relative data paths  [default: the folder of FILE]"
)
@click.option(
    "--run",
    "runs",
    type=click.Path(file_okay=False, path_type=Path),
    default="runs",
    show_default=True,
    help="Folder for runs; the new run is <model>/<number> in it.",
)
@click.option(
    "--resume", type=FOLDER, metavar="RUN", help="Continue this run; FILE may be omitted."
)
@click.option("--threads", type=click.IntRange(min=1), help=THREADS_HELP)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float64"]),
    help="Type of weights and activations  [default: float32]",
)
@click.option("-q", "--quiet", is_flag=True, help="Print only the result.")
def train(
    file: str | None,
    changes: tuple[str, ...],
    data: Path | None,
    runs: Path,
    resume: Path | None,
    threads: int | None,
    dtype: str | None,
    quiet: bool,
) -> int:
    """Train a model.

    train trains the model in FILE. KEY=VALUE changes a size, a constant or a setting of `train`.
    Ctrl-C saves the run and stops; --resume continues it with the same result as without a stop.
    """
    if file is not None and "=" in file and not Path(file).exists():
        changes, file = (file, *changes), None
    path = None if file is None else Path(file)
    if path is not None and not path.is_file():
        raise click.UsageError(f"there is no file `{file}`")
    values = overrides(changes)
    if resume is not None:
        training = _resumed(path, values, data, resume, threads, dtype)
    elif path is not None:
        training = _started(path, values, data, runs, threads, dtype or "float32")
    else:
        raise click.UsageError("name the FILE to train, or the run to --resume")
    return training.carry_out(quiet)


@dataclass
class Training:
    """A training and its run, which stays locked until the training has been carried out."""

    program: Program
    data: Data
    net: Net
    run: Run
    progress: Progress

    def carry_out(self, is_quiet: bool) -> int:
        """Train, print the result, and return the exit status."""
        try:
            return self._carried_out(is_quiet)
        finally:
            self.run.release()

    def _carried_out(self, is_quiet: bool) -> int:
        from specc.backend.toolchain.load import is_compiling
        from specc.cli.display import display
        from specc.runtime.errors import RunError
        from specc.runtime.train import train as run_training

        recipe, run, net = self.program.recipe, self.run, self.net
        done = self.progress.epoch
        if done >= recipe.epochs:
            click.echo(
                f"{run.folder} has finished its {done} epochs; add `epochs={2 * done}` to continue"
            )
            return 0
        steps = -(-len(self.data.training) // net.batch)
        before = run.record.status
        start = net.steps_done
        with Interruption(lambda: is_compiling() and net.steps_done == start) as interruption:
            run.record.status = "running"
            run.write()
            outcome = "failed"
            try:
                with display(net, recipe.epochs, steps, done, is_quiet) as watch:
                    outcome = run_training(
                        net, self.data, recipe, run, watch, self.progress, interruption.is_asked
                    )
            except (KeyboardInterrupt, BrokenPipeError):
                outcome = "interrupted"  # all of the last epoch is saved
                raise
            except RunError:
                # steps may have been done; they are saved as far as possible
                outcome = before if before in ENDED else "failed"
                raise
            finally:
                run.record.status = outcome
                with suppress(RunError) if sys.exc_info()[0] else nullcontext():
                    run.write()
        if outcome == "early":
            click.echo(f"stopped early: no improvement for {recipe.patience} epochs")
        click.echo(_result(run))
        if outcome == "interrupted":
            click.echo(
                "interrupted; to continue, use"
                f" `specc train --resume {shlex.quote(str(run.folder))}`"
            )
            return interruption.status
        return 0


def _started(
    file: Path,
    values: dict[str, str],
    data_folder: Path | None,
    runs: Path,
    threads: int | None,
    dtype: str,
) -> Training:
    """Start a training in a new run."""
    from specc import __version__, driver
    from specc.cli.provenance import pins
    from specc.runtime.checkpoint import Progress, save
    from specc.runtime.data import load, open_sizes
    from specc.runtime.errors import run_error
    from specc.runtime.pins import files_meanwhile
    from specc.runtime.run import Record, create

    source = driver.read(file)
    program = checked(source, values, comes_again=True)
    folder = data_folder or file.parent
    _require_training(program, file)
    look_at_data(source, program, folder, values)
    sizes: dict[str, int] = {}
    if program.open_sizes:
        sizes = open_sizes(program.recipe, program.ports, folder)
        program = checked(source, {**sizes, **values})
    recipe = program.recipe
    hashes = files_meanwhile(recipe, folder)
    data = load(recipe, program.ports, folder)
    tell_left_out(data)
    net = driver.compile(program, dtype=dtype, threads=threads)
    warn_of_crowd(threads)
    record = Record(
        model=program.name,
        file=str(file.resolve()),
        data=str(folder.resolve()),
        overrides=values,
        sizes=sizes,
        seed=recipe.seed,
        batch=recipe.batch,
        epochs=recipe.epochs,
        dtype=dtype,
        threads=net.threads,
        specc=__version__,
        examples=_examples(data),
        vocabularies={name: list(words) for name, words in data.vocabularies.items()},
        ends=data.ends,
    )
    used = used_files(source)
    if "model.dl" in used:
        raise run_error(
            "a run stores the trained file as model.dl, so no imported file can have that name",
            used["model.dl"].name,
            help="rename the imported file",
        )
    texts = {name: each.text for name, each in used.items()}
    record.pins = pins(recipe, {**texts, "model.dl": source.text}, data, hashes.result())
    content = source.text.encode() if file.suffix == ".json" else file.read_bytes()
    progress = Progress()
    run = create(
        runs,
        record,
        {**{name: each.encode() for name, each in texts.items()}, "model.dl": content},
        lambda run: save(run.last, net, progress),
    )
    return Training(program, data, net, run, progress)


def _resumed(
    file: Path | None,
    values: dict[str, str],
    data_folder: Path | None,
    folder: Path,
    threads: int | None,
    dtype: str | None,
) -> Training:
    """Open a run and continue its training."""
    from specc.runtime.run import open_to_train

    run = open_to_train(folder)
    try:
        return _continued(run, file, values, data_folder, threads, dtype)
    except BaseException:
        run.release()
        raise


def _continued(
    run: Run,
    file: Path | None,
    values: dict[str, str],
    data_folder: Path | None,
    threads: int | None,
    dtype: str | None,
) -> Training:
    """Continue the training of an open run."""
    from specc import driver
    from specc.cli.provenance import require_data
    from specc.runtime.checkpoint import restore
    from specc.runtime.data import load
    from specc.runtime.errors import run_error

    record, folder = run.record, run.folder
    source = read_source(folder / "model.dl")
    if file is not None and _texts(driver.read(file)) != _texts(source):
        raise run_error(
            f"`{file}` differs from `{source.name}`, which the run was trained with",
            folder,
            help=f"use `specc train --resume {folder}` to continue; to train the changed file,"
            " start a new run",
        )
    program = run_program(run, values, threads)
    record.overrides = {**record.overrides, **values}
    recipe = program.recipe
    for name, now, then in (
        ("seed", recipe.seed, record.seed),
        ("batch", recipe.batch, record.batch),
        ("dtype", dtype or record.dtype, record.dtype),
    ):
        if now != then:
            raise run_error(
                f"the {name} of a run cannot change: it was {then}, and is {now} now",
                folder,
                help="start a new run",
            )
    data_folder = data_folder or Path(record.data)
    data = load(recipe, program.ports, data_folder)
    tell_left_out(data)
    require_data(run, recipe, data, data_folder)
    net = driver.compile(program, dtype=record.dtype, threads=threads or record.threads)
    warn_of_crowd(threads)
    progress = restore(run.last, net)
    record.threads, record.epochs = net.threads, recipe.epochs
    return Training(program, data, net, run, progress)


def _require_training(program: Program, file: Path) -> None:
    from specc.diagnostics import SpecError
    from specc.net.training import untrainable
    from specc.runtime.errors import diagnostic, start_of

    if reason := untrainable(program):
        help = None
        if program.recipe.span is None:
            reason = "the file has no `train` block"
            help = "add a block: `train { data digits() optimizer adam(lr = 0.001) }`"
        elif not program.parameters:
            help = (
                "add a layer with parameters (`dense(10)`), or a parameter (`param w: float[] = 1`)"
            )
        elif not program.updates and program.frozen:
            help = "remove one of them from `freeze`"
        message = f"`{program.name}` cannot be trained: {reason}"
        raise SpecError(
            [diagnostic("no-train", message, program.recipe.span or start_of(file), help=help)]
        )


def _texts(source: Source) -> list[object]:
    return [source.text, {name: each.text for name, each in used_files(source).items()}]


def _examples(data: Data) -> dict[str, int]:
    return {name: len(part) for name, part in data.parts.items()}


def _result(run: Run) -> str:
    """Return a text with the best epoch and the folder of the run."""
    from specc.cli.display import figures
    from specc.runtime.checkpoint import standing
    from specc.runtime.metrics import values_of

    progress = standing(run.best)
    found = None if progress is None else values_of(run.metrics, progress.epoch)
    if progress is None or found is None:
        return f"{run.folder}: no epoch is complete"
    part, values = found
    what = "validation" if part == "val" else "training"
    return f"best {what} after epoch {progress.epoch}: {figures(values)}\n{run.folder}"


class Interruption:
    """A context in which Ctrl-C or a signal to end (SIGTERM, SIGHUP) asks the training to stop.

    A second signal stops the process at once, and so does the first Ctrl-C while `nothing_is_lost`
    returns True. `status` is the exit status of the process after a signal.
    """

    SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")

    def __init__(self, nothing_is_lost: Callable[[], bool] = lambda: False) -> None:
        self._asked = False
        self._nothing_is_lost = nothing_is_lost
        self.status = 128 + signal.SIGINT

    def is_asked(self) -> bool:
        return self._asked

    def __enter__(self) -> Interruption:
        self._before = {}
        for name in self.SIGNALS:
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            # an ignored signal stays ignored (nohup)
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _: object) -> None:
        self._asked = True
        self.status = 128 + number
        for each in self._before:
            signal.signal(each, signal.default_int_handler)
        if number == signal.SIGINT and self._nothing_is_lost():
            raise KeyboardInterrupt
