"""`specc train FILE`: train a model, or continue a run."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from specc.cli.session import (
    FOLDER,
    LISTENER,
    PRECISION,
    PRECISION_HELP,
    RUN,
    THREADS_HELP,
    overrides,
    with_precision,
)
from specc.runs.reading import Known
from specc.runs.start import NOTHING, PreparedTraining, RunTraining, prepare
from specc.runs.start import resume as resumed

if TYPE_CHECKING:
    from specc.backend.run.ranks import Ranks
    from specc.recipe import Recipe
    from specc.runtime.run import RunFolder
    from specc.runtime.train import Watch

REPORT_SECONDS = 1.0
"""Time limit for the report at the end of training, in seconds."""


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
@click.option("--resume", type=RUN, metavar="RUN", help="Continue this run; FILE may be omitted.")
@click.option("--threads", type=click.IntRange(min=1), help=THREADS_HELP)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float64"]),
    help="Type of weights and activations  [default: float32]",
)
@click.option(
    "--precision",
    type=PRECISION,
    help=f"{PRECISION_HELP}  [default: as in FILE, or float32]",
)
@click.option(
    "--overfit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Train and validate only on the first N examples, to test if the model can learn.",
)
@click.option(
    "--dry-run", is_flag=True, help="Check, load and compile, but do not train or create a run."
)
@click.option(
    "--log",
    "logs",
    type=click.Choice(["jsonl", "tensorboard"]),
    multiple=True,
    help="Also write a log to the run's folder; may be given twice.",
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
    precision: str | None,
    overfit: int | None,
    dry_run: bool,
    logs: tuple[str, ...],
    quiet: bool,
) -> int:
    """Train a model.

    train trains the model in FILE. KEY=VALUE changes a size, a constant, a setting of `train` or of
    its optimizer: `hidden=128 epochs=20 lr=0.01 optimizer=adam`. Ctrl-C saves the run and stops;
    --resume continues it, with the same result as without interruption. `mpiexec -n 4 specc train
    FILE` trains in four processes, also on several machines, with the same result.
    """
    from specc.runs.together import joined

    ranks = joined()
    if file is not None and "=" in file and not Path(file).exists():
        changes, file = (file, *changes), None
    path = None if file is None else Path(file)
    if path is not None and not path.is_file():
        raise click.UsageError(f"there is no file `{file}`")
    values = with_precision(overrides(changes), precision)
    if resume is not None:
        if overfit is not None or dry_run:
            raise click.UsageError("--overfit and --dry-run cannot be combined with --resume")
        open_ = partial(resumed, resume, values, LISTENER, path, data)
        if ranks is not None:
            return _with_others(ranks, partial(open_, dtype=dtype), runs, threads, quiet, logs)
        training = open_(threads, dtype)
    elif path is not None:
        if folds := _folds(path, values):
            if ranks is not None:
                raise click.UsageError(
                    "several processes can train only one fold: add `fold=1`, then `fold=2`, ..."
                )
            if overfit is not None or dry_run:
                option = "--dry-run" if dry_run else "--overfit"
                raise click.UsageError(
                    f"{option} cannot be used with `folds = {len(folds)}`: add fold=1 to"
                    " select one fold"
                )
            return _all_folds(
                folds, path, values, data, runs, threads, dtype or "float32", quiet, logs
            )
        prepare_ = partial(_prepared, path, values, data, dtype=dtype or "float32", overfit=overfit)
        if ranks is not None and not dry_run:
            return _with_others(ranks, prepare_, runs, threads, quiet, logs, overfit)
        prepared = prepare_(threads=threads, is_patient=not dry_run)
        if dry_run:
            _tell(prepared)
            return 0
        training = prepared.begun(runs)
    else:
        raise click.UsageError("give a FILE to train, or a run to --resume")
    try:
        return _carried_out(training, quiet, logs, overfit)
    finally:
        training.release()


def _with_others(
    ranks: Ranks,
    opened: Callable[..., PreparedTraining | RunTraining],
    runs: Path,
    threads: int | None,
    is_quiet: bool,
    logs: Sequence[str],
    overfit: int | None = None,
) -> int:
    """Train as one of several processes; return the exit status."""
    from specc.cli.main import told
    from specc.runs.reading import FirstFailed, in_turn
    from specc.runs.together import follow, join, threads_each, together

    try:
        with together(ranks, told) as lookout:
            threads = threads or threads_each(ranks)
            opened = partial(opened, threads=threads)
            training = in_turn(ranks, lambda known: opened(known=known))
            begun = join(ranks, lookout, training, runs)
            if begun is not None:
                try:
                    return _carried_out(begun, is_quiet, logs, overfit, ranks)
                finally:
                    begun.release()
            with Interruption() as interruption:
                outcome = follow(ranks, training, interruption.is_asked)
            return interruption.status if outcome == "interrupted" else 0
    except FirstFailed:
        return 1


def _folds(file: Path, values: dict[str, str]) -> tuple[int, ...]:
    """Return the folds of a file that are to be trained; empty without `folds`."""
    from specc import driver
    from specc.runs.folds import folds_of

    program, _ = driver.check(driver.read(file), values)
    return () if program is None else folds_of(program.recipe)


def _all_folds(
    folds: Sequence[int],
    file: Path,
    values: dict[str, str],
    data: Path | None,
    runs: Path,
    threads: int | None,
    dtype: str,
    is_quiet: bool,
    logs: Sequence[str],
) -> int:
    """Train one run per fold, and print the mean and standard deviation of their results."""
    from specc.runs.folds import summary

    folders = []
    for fold in folds:
        click.echo(f"fold {fold} of {len(folds)}")
        own = {**values, "fold": str(fold)}
        training = _prepared(file, own, data, threads, dtype, is_patient=True).begun(runs)
        try:
            status = _carried_out(training, is_quiet, logs)
        finally:
            training.release()
        folders.append(training.run.folder)
        if status:
            return status
    metrics = summary(folders)
    width = max(map(len, metrics), default=0)
    click.echo(f"{len(folds)} folds: mean and standard deviation of the best epochs")
    for name, (mean, deviation) in metrics.items():
        click.echo(f"  {name:<{width}}  {mean:.4g} ± {deviation:.2g}")
    return 0


def _prepared(
    file: Path,
    values: dict[str, str],
    data: Path | None,
    threads: int | None,
    dtype: str,
    overfit: int | None = None,
    is_patient: bool = False,
    known: Known = NOTHING,
) -> PreparedTraining:
    """Check the model, load its data and compile it."""
    from specc import driver

    source = driver.read(file)
    content = source.text.encode() if file.suffix == ".json" else file.read_bytes()
    folder = data or file.parent
    return prepare(
        source,
        content,
        folder,
        values,
        LISTENER,
        threads,
        dtype,
        overfit=overfit,
        is_patient=is_patient,
        known=known,
    )


def _tell(prepared: PreparedTraining) -> None:
    """Compile everything, and print what training would do."""
    import numpy as np

    net, recipe = prepared.net, prepared.program.recipe
    data = prepared.data
    net.training.link(data.training.columns)
    if data.validation is not None:
        net.evaluate_rows(data.validation.columns, np.arange(1))
    steps = -(-len(data.training) // net.examples_per_step)
    count = sum(each.type.bound_elements for each in prepared.program.parameters)
    parts = ", ".join(f"{len(part):,} {name}" for name, part in data.parts.items())
    click.echo(f"{net.name}: {count:,} parameters, {parts} examples")
    click.echo(
        f"{recipe.epochs} epochs of {steps:,} steps with up to {net.examples_per_step} examples"
        f"{_in_batches(recipe)},"
        f" on {net.working_threads} thread{'s' * (net.working_threads > 1)}"
    )
    click.echo(f"compiled in {net.compile_seconds:.2f} s; no run was created")


def _in_batches(recipe: Recipe) -> str:
    """Return how many batches a step has, if it has several."""
    many = recipe.accumulate > 1
    return f" in {recipe.accumulate} batches of {recipe.batch}" if many else ""


def _carried_out(
    training: RunTraining,
    is_quiet: bool,
    logs: Sequence[str] = (),
    overfit: int | None = None,
    ranks: Ranks | None = None,
) -> int:
    """Train, print the result, and return the exit status."""
    from specc.backend.toolchain.load import is_compiling
    from specc.runs.display import display

    recipe, run, net = training.program.recipe, training.run, training.net
    done = training.progress.epoch
    if training.is_done:
        click.echo(
            f"{run.folder} has finished its {done} epochs; add `epochs={2 * done}` to continue"
        )
        return 0
    steps = net.steps_done
    with ExitStack() as stack:
        interruption = stack.enter_context(
            Interruption(lambda: is_compiling() and net.steps_done == steps)
        )
        shown = stack.enter_context(
            display(net, recipe.epochs, training.steps_per_epoch, done, is_quiet)
        )
        watch: Watch = shown
        for kind in logs:
            watch = _logged(kind, run.folder, watch, stack)
        outcome = training.carry_out(watch, interruption.is_asked, shown.said, ranks)
    if outcome == "early":
        what = "epochs" if recipe.validate_every is None else "evaluations"
        click.echo(f"stopped early: no improvement for {recipe.patience} {what}")
    if outcome == "time":
        click.echo(f"stopped after max_time = {recipe.max_time:g} s")
    if overfit is not None:
        click.echo(_verdict(run, overfit))
    if outcome != "interrupted" and overfit is None and not is_quiet:
        click.echo(_reported(training))
    click.echo(_result(run))
    if outcome == "interrupted":
        click.echo(
            f"interrupted; to continue, use `specc train --resume {shlex.quote(str(run.folder))}`"
        )
        return interruption.status
    if sys.stdout.isatty() and not is_quiet:
        click.echo(_next(run))
    return 0


def _reported(training: RunTraining) -> str:
    """Write the report of the run if that is quick, and return a line about it to print."""
    from specc.report.at_end import quick_report
    from specc.runs.names import name_of

    path = quick_report(training, REPORT_SECONDS) if REPORT_SECONDS else None
    if path is None:
        return (
            f"report: to write it, use `specc report {shlex.quote(name_of(training.run.folder))}`"
        )
    return f"report: {path}"


def _logged(kind: str, folder: Path, watch: Watch, stack: ExitStack) -> Watch:
    from specc.runs.log import logged

    try:
        log = logged(kind, folder, watch)
    except ImportError:
        raise click.UsageError(
            "--log tensorboard needs the package tensorboardX: pip install 'specc-nn[tensorboard]'"
        ) from None
    stack.callback(log.close)
    return log


def _verdict(run: RunFolder, count: int) -> str:
    """Return a sentence on whether the model has overfitted a few examples."""
    from specc.runs.summary import curves

    losses = curves(run.folder).get("val_loss") or [float("nan")]
    first, last = losses[0], min(losses)
    said = f"{count} examples: the loss fell from {first:.4g} to {last:.4g}"
    if last < 0.1 * first:
        return f"{said}, so the model can learn them"
    return f"{said}, so the model may have an error, or the learning rate may be too small"


def _next(run: RunFolder) -> str:
    """Return suggestions for the next commands."""
    from specc.runs.names import name_of

    name = shlex.quote(name_of(run.folder))
    commands = {
        f"specc eval {name}": "its results in detail",
        f"specc predict {name} FILE -o out.csv": "predictions for new examples",
        f"specc train --resume {name} epochs={2 * run.record.epochs}": "continue training",
        "specc runs": "all runs with their results",
    }
    width = max(map(len, commands))
    return "\nnext\n" + "\n".join(f"  {each:<{width}}  {what}" for each, what in commands.items())


def _result(run: RunFolder) -> str:
    """Return lines with the best epoch and the folder of the run."""
    from specc.runs.display import metrics_line
    from specc.runtime.best import best_of

    best = best_of(run)
    if best is None:
        return f"{run.folder}: no epoch is complete"
    what = "validation" if best.part == "val" else "training"
    return f"best {what} after {best}: {metrics_line(best.metrics)}\n{run.folder}"


class Interruption:
    """A context manager in which Ctrl-C, SIGTERM or SIGHUP asks training to stop.

    A second signal stops the process at once; so does the first Ctrl-C while `nothing_is_lost`
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
