"""`specc train FILE`: train a model, or go on with a run."""

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
    "--data", type=FOLDER, help="Where relative paths of data start; by default at FILE's folder."
)
@click.option(
    "--run",
    "runs",
    type=click.Path(file_okay=False, path_type=Path),
    default="runs",
    show_default=True,
    help="The folder for runs; this one becomes <model>/<number> in it.",
)
@click.option(
    "--resume", type=FOLDER, metavar="RUN", help="Go on with a run; FILE may be left out."
)
@click.option("--threads", type=click.IntRange(min=1), help="By default as many as pay.")
@click.option("--dtype", type=click.Choice(["float32", "float64"]), help="By default float32.")
@click.option("-q", "--quiet", is_flag=True, help="Print the result alone.")
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
    """Train the model in FILE. KEY=VALUE changes a size, a constant or a setting of `train`.

    Ctrl-C saves the run and stops; --resume goes on as if nothing had happened.
    """
    if file is not None and "=" in file and not Path(file).exists():
        file, changes = None, (file, *changes)
    if file is None and resume is None:
        raise click.UsageError("say which FILE to train, or which run to --resume")
    if file is not None and not Path(file).is_file():
        raise click.UsageError(f"there is no file `{file}`")
    values = overrides(changes)
    if resume is None:
        training = _started(Path(file), values, data, runs, threads, dtype or "float32")
    else:
        training = _resumed(file and Path(file), values, data, resume, threads, dtype)
    return training.carry_out(quiet)


@dataclass
class Training:
    """All that a training needs; the run is locked until the training has been carried out."""

    program: Program
    data: Data
    net: Net
    run: Run
    progress: Progress

    def carry_out(self, is_quiet: bool) -> int:
        """Train, print what came of it, and give the exit status."""
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
            click.echo(f"{run.folder} has had its {done} epochs: `epochs={2 * done}` goes on")
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
                # nothing may have been done at all, and what is done is saved as far as it can be
                outcome = before if before in ENDED else "failed"
                raise
            finally:
                run.record.status = outcome
                with suppress(RunError) if sys.exc_info()[0] else nullcontext():
                    run.write()
        if outcome == "early":
            click.echo(f"stopped early: no better for {recipe.patience} epochs")
        click.echo(_result(run))
        if outcome == "interrupted":
            click.echo(
                f"interrupted: `specc train --resume {shlex.quote(str(run.folder))}` goes on"
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
    """A new training, in a run of its own."""
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
            "a run keeps the trained file as model.dl, so no file of that name can be used",
            used["model.dl"].name,
            help="give it another name",
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
    """The training of a run, from where it stands."""
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
    """The training of an open run."""
    from specc import driver
    from specc.cli.provenance import require_data
    from specc.runtime.checkpoint import restore
    from specc.runtime.data import load
    from specc.runtime.errors import run_error

    record, folder = run.record, run.folder
    source = read_source(folder / "model.dl")
    if file is not None and _texts(driver.read(file)) != _texts(source):
        raise run_error(
            f"`{file}` is not what the run was trained with, which is `{source.name}`",
            folder,
            help=f"`specc train --resume {folder}` goes on with that; a changed file needs a"
            " run of its own",
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
    from specc.net.net import untrainable
    from specc.runtime.errors import diagnostic, start_of

    if reason := untrainable(program):
        help = None
        if program.recipe.span is None:
            reason = "the file does not say how"
            help = "add a block: `train { data digits() optimizer adam(lr = 0.001) }`"
        elif not program.parameters:
            help = "layers have some (`dense(10)`), and `param w: float[] = 1` is one"
        elif not program.updates and program.frozen:
            help = "leave one of them out of `freeze`"
        message = f"`{program.name}` cannot be trained: {reason}"
        raise SpecError(
            [diagnostic("no-train", message, program.recipe.span or start_of(file), help=help)]
        )


def _texts(source: Source) -> list:
    return [source.text, {name: each.text for name, each in used_files(source).items()}]


def _examples(data: Data) -> dict[str, int]:
    parts = {"training": data.training, "validation": data.validation}
    return {name: len(part) for name, part in parts.items() if part is not None}


def _result(run: Run) -> str:
    """The best epoch and the folder of the run."""
    from specc.cli.display import figures
    from specc.runtime.checkpoint import standing
    from specc.runtime.metrics import values_of

    progress = standing(run.best)
    found = progress and values_of(run.metrics, progress.epoch)
    if not found:
        return f"{run.folder}: no epoch is complete"
    part, values = found
    what = "validation" if part == "val" else "training"
    return f"best {what} after epoch {progress.epoch}: {figures(values)}\n{run.folder}"


class Interruption:
    """While it is entered, Ctrl-C or a request to end (SIGTERM, SIGHUP) asks the training to stop; a
    second one stops at once, and so does the first Ctrl-C while `nothing_is_lost`. `status` is what the
    process then exits with."""

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
            # what is ignored stays so (nohup)
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _) -> None:
        self._asked = True
        self.status = 128 + number
        for each in self._before:
            signal.signal(each, signal.default_int_handler)
        if number == signal.SIGINT and self._nothing_is_lost():
            raise KeyboardInterrupt
