"""Starts and resumes training in a run.

    training = prepare(source, content, folder, values={}, listener=listener).begun(Path("runs"))
    training = resume(Path("runs/lenet/3"), values={"epochs": "20"}, listener=listener)
    outcome = training.carry_out(watch, should_stop)

The run is locked until training has ended or `release` is called.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specc.driver import used_files
from specc.frontend.syntax.reading import read_source
from specc.runs.listener import Listener
from specc.runs.programs import checked, look_at_data, run_program, warn_of_rounding
from specc.runs.reading import Known
from specc.runs.starts import begin, require_starts
from specc.source import Source
from specc.system.records import dataclass

if TYPE_CHECKING:
    from specc.backend.machine.profile import Profile
    from specc.backend.run.ranks import Ranks
    from specc.ir.program import Program
    from specc.net.net import Net
    from specc.recipe import Recipe
    from specc.runtime.checkpoint import Progress
    from specc.runtime.data import Data
    from specc.runtime.run import Record, RunFolder
    from specc.runtime.train import Watch

TEXT = "<text>"
"""The name in messages of a model text without a file."""
MACHINE = "machine.json"
"""The run's file with the machine profile that its plans were made with."""
NOTHING = Known()
"""What a process by itself knows of the data before it reads them."""
ENDED = ("finished", "early", "interrupted", "time")


@dataclass
class RunTraining:
    """Training in a run, which is locked until training has ended."""

    program: Program
    data: Data
    net: Net
    run: RunFolder
    progress: Progress

    @property
    def record(self) -> Record:
        """What run.json holds."""
        return self.run.record

    @property
    def is_done(self) -> bool:
        """Whether all epochs are done."""
        return self.progress.epoch >= self.program.recipe.epochs

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.data.training) // self.net.examples_per_step)

    def release(self) -> None:
        """Release the lock, so that other processes can train the run."""
        self.run.release()

    def carry_out(
        self,
        watch: Watch,
        should_stop: Callable[[], bool] = lambda: False,
        tell: Callable[[str], None] = lambda text: None,
        ranks: Ranks | None = None,
    ) -> str:
        """Train; return "finished", "early", "time" or "interrupted", which run.json records.

        If `train` has a `sample`, `tell` is called with the texts that the model generates. With
        `ranks`, this is the first of several processes that train together.
        """
        from specc.runs.provenance import pin_late
        from specc.runtime.errors import RunError
        from specc.runtime.train import train

        run, before, data = self.run, self.run.record.status, self.data
        if self.program.recipe.sample is not None:
            watch = self._sampled(watch, tell)
        if self.program.recipe.snapshots is not None:
            watch = self._with_snapshots(watch)
        run.record.status = "running"
        run.write()
        outcome = "failed"
        try:
            outcome = train(
                self.net,
                data,
                self.program.recipe,
                run,
                watch,
                self.progress,
                should_stop,
                ranks,
            )
            if outcome in ("finished", "early"):
                data.complete()
            if ranks is not None:
                self.net.training.leave()
        except (KeyboardInterrupt, BrokenPipeError):
            outcome = "interrupted"  # the last complete epoch is saved
            raise
        except RunError:
            # steps may have been done; as many as possible are saved
            outcome = before if before in ENDED else "failed"
            raise
        finally:
            data.close()
            pin_late(run.record, data)
            run.record.status = outcome
            with suppress(RunError) if sys.exc_info()[0] else nullcontext():
                run.write()
        return outcome

    def _with_snapshots(self, watch: Watch) -> Watch:
        """The watch that keeps the weights on the way."""
        from specc.runs.snapshots import Snapshots

        steps = self.steps_per_epoch
        done = self.progress.epoch * steps + self.progress.step
        return Snapshots(watch, self.run, self.net, self.program.recipe, steps, done)

    def _sampled(self, watch: Watch, tell: Callable[[str], None]) -> Watch:
        """Return a watch that generates samples. Raises SpecError for a prompt with unknown
        symbols.
        """
        from specc.runs.writing import Sampled
        from specc.runtime.errors import data_error

        program, steps = self.program, self.steps_per_epoch
        done = self.progress.epoch * steps + self.progress.step
        try:
            return Sampled(watch, self.run, self.net, program, steps, done, tell)
        except (KeyError, LookupError) as error:
            what = f"the training data does not contain {error.args[0]!r}"
            message = what if isinstance(error, KeyError) else str(error.args[0])
            setting = "prompt" if isinstance(error, KeyError) else "sample"
            span = program.recipe.spans.get(setting)
            raise data_error(
                message, span, help="use only symbols of the training text in `prompt`"
            ) from None


@dataclass
class PreparedTraining:
    """Everything that is needed to start training, before its run is created."""

    source: Source
    content: bytes
    program: Program
    data: Data
    net: Net
    record: Record

    def begun(self, runs: Path) -> RunTraining:
        """Create the run in the folder `runs`. Raises `RunError` if it cannot be written."""
        from specc.runtime.checkpoint import Progress, save
        from specc.runtime.run import create

        texts = {name: each.text for name, each in used_files(self.source).items()}
        progress = Progress()
        run = create(
            runs,
            self.record,
            {
                **{name: each.encode() for name, each in texts.items()},
                "model.dl": self.content,
                MACHINE: self.net.programs.profile.text().encode(),
            },
            lambda run: save(run.last, self.net, progress),
        )
        return RunTraining(self.program, self.data, self.net, run, progress)


def prepare(
    source: Source,
    content: bytes,
    folder: Path,
    values: Mapping[str, str],
    listener: Listener,
    threads: int | None = None,
    dtype: str = "float32",
    given: Mapping[str, Any] | None = None,
    overfit: int | None = None,
    is_patient: bool = False,
    known: Known = NOTHING,
) -> PreparedTraining:
    """Check a model, load its data and compile it. Raises SpecError.

    `content` is stored as the run's model.dl. Relative data paths start at `folder`. `given` has
    data sources that replace those of the file, by their names in a `Recipe`. With `overfit`, only
    the first `overfit` examples are used, for training and validation, for at least
    `OVERFIT_EPOCHS` epochs. If `is_patient`, images may be decoded during training; `carry_out`
    waits for them. `known` is what other processes that train together have found in the data: only
    the first of them checks and hashes all values.
    """
    from specc import __version__, driver
    from specc.runs.provenance import pins
    from specc.runtime.data import load, open_sizes
    from specc.runtime.errors import run_error
    from specc.runtime.pins import files_meanwhile
    from specc.runtime.run import Record

    given = given or {}
    values = dict(values)
    program = with_data(checked(source, values, listener, comes_again=True), given)
    _require_training(program, source)
    if "data" in given:
        require_starts(program, folder)
    elif known.is_first:
        look_at_data(source, program, folder, values, listener)
    sizes = dict(known.sizes)
    if program.open_sizes:
        sizes = sizes or open_sizes(program.recipe, program.ports, folder)
        program = with_data(checked(source, {**sizes, **values}, listener), given)
    if overfit is not None and "epochs" not in values:
        values["epochs"] = str(max(OVERFIT_EPOCHS, program.recipe.epochs))
        program = with_data(checked(source, {**sizes, **values}, listener), given)
    recipe = program.recipe
    hashes = files_meanwhile(recipe, folder) if known.is_first else None
    is_patient = is_patient and overfit is None
    data = known.loaded(
        partial(load, recipe, program.ports, folder),
        parts=parts_of(recipe),
        is_patient=is_patient,
    )
    for each in data.left_out:
        listener.note(each)
    if overfit is not None and known.data is None:
        data = first_of(data, overfit)
    net = driver.compile(program, dtype=dtype, threads=threads)
    warn_of_crowd(threads, listener)
    warn_of_rounding(net, listener)
    begun = begin(net, folder)
    record = Record(
        model=program.name,
        file=source.name if source.name == TEXT else str(Path(source.name).resolve()),
        data=str(folder.resolve()),
        overrides=values,
        sizes=sizes,
        seed=recipe.seed,
        batch=recipe.batch,
        accumulate=recipe.accumulate,
        epochs=recipe.epochs,
        dtype=dtype,
        precision=recipe.precision,
        threads=net.threads,
        specc=__version__,
        examples={name: len(part) for name, part in data.parts.items()},
        vocabularies={name: list(words) for name, words in data.vocabularies.items()},
        ends=data.ends,
        statistics=data.statistics,
        given=sorted(name for name, each in given.items() if _is_frame(each)),
    )
    used = used_files(source)
    if "model.dl" in used:
        raise run_error(
            "a run stores the trained file as model.dl, so no imported file can have that name",
            used["model.dl"].name,
            help="rename the imported file",
        )
    if hashes is not None:
        texts = {name: each.text for name, each in used.items()}
        record.pins = pins(recipe, {**texts, "model.dl": source.text}, data, hashes.result())
        record.pins.starts = {start.source: start.sha256 for start in begun}
    return PreparedTraining(source, content, program, data, net, record)


OVERFIT_EPOCHS = 200


def first_of(data: Data, count: int) -> Data:
    """Return the first `count` training examples as both the training and the validation part."""
    from specc.runtime.data import DataPart

    part = data.training
    if part.stored is not None:
        part = DataPart(part.stored.read([(0, min(count, len(part)))]), part.numbers[:count])
    part = replace(part, rows=part.rows[:count])
    return replace(data, parts={"training": part, "validation": part})


def _is_frame(source: object) -> bool:
    from specc.recipe import DataCall
    from specc.recipe.sources import FRAME

    return isinstance(source, DataCall) and source.word == FRAME


def parts_of(recipe: Recipe) -> tuple[str, ...]:
    """Return the parts of the data that training loads.

    A test part is loaded to be pinned, if it is split off from the training data.
    """
    own = ("test",) if isinstance(recipe.test, float) else ()
    return ("training", "validation", *own)


def with_data(program: Program, given: Mapping[str, Any]) -> Program:
    """Return the program with the data sources in `given`."""
    return replace(program, recipe=replace(program.recipe, **given)) if given else program


def resume(
    folder: Path,
    values: Mapping[str, str],
    listener: Listener,
    file: Path | None = None,
    data_folder: Path | None = None,
    threads: int | None = None,
    dtype: str | None = None,
    known: Known = NOTHING,
) -> RunTraining:
    """Open a run to continue its training; `file` must have the model that it was trained with.

    Of several processes that train together, only the first locks the run and compares its data;
    `known` is what others have found.
    """
    from specc.backend.machine.chosen import planning_with
    from specc.runtime.run import open_run, open_to_train

    run = open_to_train(folder) if known.is_first else open_run(folder)
    try:
        with planning_with(_profile(folder)):
            return _continued(run, values, listener, file, data_folder, threads, dtype, known)
    except BaseException:
        run.release()
        raise


def _continued(
    run: RunFolder,
    values: Mapping[str, str],
    listener: Listener,
    file: Path | None,
    data_folder: Path | None,
    threads: int | None,
    dtype: str | None,
    known: Known,
) -> RunTraining:
    """Continue the training of an open run."""
    from specc import driver
    from specc.runs.provenance import require_data
    from specc.runtime.checkpoint import restore
    from specc.runtime.data import load
    from specc.runtime.errors import run_error

    record, folder = run.record, run.folder
    require_files(run)
    source = read_source(folder / "model.dl")
    if file is not None and _texts(driver.read(file)) != _texts(source):
        raise run_error(
            f"`{file}` differs from `{source.name}`, which the run was trained with",
            folder,
            help=f"use `specc train --resume {folder}` to continue; to train the changed file,"
            " start a new run",
        )
    program = run_program(run, values, listener)
    record.overrides = {**record.overrides, **values}
    recipe = program.recipe
    for name, now, then in (
        ("seed", recipe.seed, record.seed),
        ("batch", recipe.batch, record.batch),
        ("number of batches of a step", recipe.accumulate, record.accumulate),
        ("dtype", dtype or record.dtype, record.dtype),
        ("precision", recipe.precision, record.precision),
    ):
        if now != then:
            raise run_error(
                f"the {name} of a run cannot change: it was {then} and is now {now}",
                folder,
                help="start a new run",
            )
    data_folder = data_folder or Path(record.data)
    data = known.loaded(
        partial(load, recipe, program.ports, data_folder),
        parts=parts_of(recipe),
        statistics=record.statistics,
    )
    for each in data.left_out:
        listener.note(each)
    if known.is_first:
        require_data(run, recipe, data, data_folder)
    net = driver.compile(program, dtype=record.dtype, threads=threads or record.threads)
    warn_of_crowd(threads, listener)
    warn_of_rounding(net, listener)
    progress = restore(run.last, net)
    record.threads, record.epochs = net.threads, recipe.epochs
    return RunTraining(program, data, net, run, progress)


def _profile(folder: Path) -> Profile | None:
    """Return the machine profile that a run was started with; older runs have none.

    Plans determine the order of sums, so a resumed run needs the same plans to give the same bits.
    """
    from specc.backend.machine.profile import Profile

    return Profile.read(folder / MACHINE) if (folder / MACHINE).exists() else None


def require_files(run: RunFolder) -> None:
    """Raise `RunError` for a run that was trained on Python objects, which were not stored."""
    from specc.runtime.errors import run_error

    if run.record.given:
        what = " and ".join(f"`{name}`" for name in run.record.given)
        raise run_error(
            f"this run was trained on {what} from Python, which is not stored in a file",
            run.folder,
            help=f'open the model in Python, `net = specc.open("{run.folder}")`, and use'
            " `net.evaluate(frame)` or `net.fit(frame)`",
        )


def warn_of_crowd(threads: int | None, listener: Listener) -> None:
    """Warn if there are fewer processors than requested threads."""
    from specc import driver

    if threads is not None and threads > driver.processors():
        there = driver.processors()
        listener.warn(
            f"{threads} threads share {there} CPU{'s' * (there > 1)}, which is slower than"
            " one thread per CPU"
        )


def _require_training(program: Program, source: Source) -> None:
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
        span = program.recipe.span or start_of(source.name)
        raise SpecError([diagnostic("no-train", message, span, help=help)])


def _texts(source: Source) -> list[object]:
    return [source.text, {name: each.text for name, each in used_files(source).items()}]
