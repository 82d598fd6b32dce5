"""Training from Python: `specc.train`.

run = train("digits.dl", epochs=5, lr=0.01)
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specc.diagnostics import SpecError
from specc.runs.display import display
from specc.runs.folds import folds_of
from specc.runs.listener import AsWarnings
from specc.runs.names import RUNS
from specc.runs.reading import Known
from specc.runs.run import Run
from specc.runs.start import NOTHING, TEXT, PreparedTraining, RunTraining, prepare
from specc.source import Source

if TYPE_CHECKING:
    from specc.backend.run.ranks import Ranks
    from specc.ir.program import Program
    from specc.recipe import DataCall, Recipe
    from specc.runs.lost import Lookout
    from specc.runtime.metrics import Epoch

    Callbacks = Iterable[Callable[[Epoch], object]]


def train(
    model: str | Path | Program,
    data: object = None,
    validate: object = None,
    test: object = None,
    *,
    runs: str | Path = RUNS,
    threads: int | None = None,
    dtype: str = "float32",
    callbacks: Iterable[Callable[[Epoch], object]] = (),
    quiet: bool = False,
    ranks: int | str | None = "auto",
    **overrides: object,
) -> Run:
    """Train a model in a new run; see `specc.train`."""
    from specc.runs.reading import FirstFailed
    from specc.runs.together import asked_for, threads_each, together

    def prepared(threads: int | None, known: Known = NOTHING) -> PreparedTraining:
        is_alone = all_ranks is None
        return _prepared(model, data, validate, test, threads, dtype, overrides, is_alone, known)

    all_ranks = asked_for(ranks)
    if all_ranks is None:
        return _trained(prepared(threads).begun(Path(runs)), callbacks, quiet)
    try:
        with together(all_ranks, _told) as lookout:
            threads = threads or threads_each(all_ranks)
            return _trained_together(
                all_ranks, lookout, partial(prepared, threads), Path(runs), callbacks, quiet
            )
    except FirstFailed:  # the first rank raises what went wrong
        raise SystemExit(1) from None


def _prepared(
    model: str | Path | Program,
    data: object,
    validate: object,
    test: object,
    threads: int | None,
    dtype: str,
    overrides: Mapping[str, object],
    is_alone: bool,
    known: Known,
) -> PreparedTraining:
    source, content, own = source_and_content(model)
    values = {**own, **texts_of_values(overrides)}
    listener = AsWarnings()
    folder = Path(source.name).parent
    settings = {name: each for name, each in values.items() if name != "validate_every"}
    recipe = _recipe(source, settings)  # without `validate_every`: `validate` may come from Python
    if folds_of(recipe):
        raise ValueError(
            f"`folds = {recipe.folds}` needs one training per fold:"
            f" [specc.train(..., fold=k) for k in range(1, {recipe.folds + 1})]"
        )
    given, texts = given_sources(recipe, data, validate, test)
    values |= texts  # these become overrides of the run
    return prepare(
        source,
        content,
        folder,
        values,
        listener,
        threads,
        dtype,
        given,
        is_patient=is_alone,
        known=known,
    )


def _trained(
    training: RunTraining, callbacks: Callbacks, quiet: bool, ranks: Ranks | None = None
) -> Run:
    """Carry out a training; with `ranks`, as the first of them."""
    from specc.net.fitting import Callbacks as Called
    from specc.runs.together import with_best_of_first
    from specc.runtime.checkpoint import restore
    from specc.runtime.encoding import Encoding

    try:
        net, epochs = training.net, training.program.recipe.epochs
        net.encoding = Encoding.of(training.data)
        steps = training.steps_per_epoch
        with display(net, epochs, steps, training.progress.epoch, quiet) as watch:
            called = Called(callbacks, watch)
            outcome = training.carry_out(called, tell=watch.said, ranks=ranks)
        if ranks is not None:
            ranks.agreed((training.run.folder, outcome))
            with_best_of_first(ranks, net, training.run.best)
        elif training.run.best.is_file():
            net.epochs_done = restore(training.run.best, net).epoch
    finally:
        training.release()
    return Run(training.run.folder, net, outcome)


def _trained_together(
    ranks: Ranks,
    lookout: Lookout,
    prepared: Callable[[Known], PreparedTraining],
    runs: Path,
    callbacks: Callbacks,
    quiet: bool,
) -> Run:
    """Train as one of several ranks; every one returns the run, with the weights of its best."""
    from specc.runs.reading import in_turn
    from specc.runs.together import follow, join, with_best_of_first
    from specc.runtime.encoding import Encoding

    training = in_turn(ranks, prepared)
    begun = join(ranks, lookout, training, runs)
    if begun is not None:
        return _trained(begun, callbacks, quiet, ranks)
    net = training.net
    net.encoding = Encoding.of(training.data)
    follow(ranks, training)
    folder, outcome = ranks.agreed(None)
    with_best_of_first(ranks, net, None)
    return Run(folder, net, outcome)


def _told(error: BaseException) -> int:
    """Print what has ended a training on this rank alone."""
    if isinstance(error, SpecError):
        print(error, file=sys.stderr)
    else:
        traceback.print_exception(error)
    return 1


def given_sources(
    recipe: Recipe, data: object = None, validate: object = None, test: object = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what replaces the file's data: objects by their names in a `Recipe`, and overrides.

    Files become overrides, because the run can store their names.
    """
    from specc.net.fitting import validation
    from specc.runtime.given import source as source_of

    given: dict[str, Any] = {}
    if data is not None:
        given["data"] = source_of(data, recipe.data)
    if validate is not None:
        given["validate"] = validation(validate, recipe)
    if test is not None:
        given["test"] = source_of(test, recipe.data)
    texts = {}
    is_frame = recipe.data is None and _is_frame(given.get("data"))
    for name, each in list(given.items()):
        if isinstance(each, float) and is_frame:
            continue  # a share of an object cannot be an override
        if (text := _as_override(each)) is not None:
            texts[name] = text
            del given[name]
    return given, texts


def source_and_content(
    model: str | Path | Program,
) -> tuple[Source, bytes, Mapping[str, str]]:
    """Return the source of a model, the bytes that a run stores, and the model's own overrides.

    `model` is a file, the text of a model (recognized by braces or line ends), or a program. Only a
    program has overrides: those that it was checked with. Raises ValueError if it has no text.
    """
    from specc import driver
    from specc.ir.program import Program

    if isinstance(model, Program):
        made = model.resized
        if made is None:
            raise ValueError(f"{model.name} was made without a text: pass its file")
        overrides = {name: text_of_value(value) for name, value in made.overrides.items()}
        return made.source, made.source.text.encode(), overrides
    if is_text(model):
        source = Source(TEXT, str(model))
        return source, source.text.encode(), {}
    path = Path(model)
    source = driver.read(path)
    content = source.text.encode() if path.suffix == ".json" else path.read_bytes()
    return source, content, {}


def is_text(model: str | Path) -> bool:
    """Return whether `model` is the text of a model, not the name of a file."""
    return isinstance(model, str) and ("{" in model or "\n" in model)


def _is_frame(given: DataCall | None) -> bool:
    from specc.recipe.sources import FRAME

    return given is not None and given.word == FRAME


def _as_override(given: DataCall | float) -> str | None:
    """Return a source of files, or a validation share, as the text of an override; else None."""
    from specc.recipe.sources import FRAME
    from specc.runtime.given import text_of

    if isinstance(given, float):
        return f"{1 - given:.12g}"
    return None if given.word == FRAME else text_of(given)


def texts_of_values(overrides: Mapping[str, object]) -> dict[str, str]:
    """Return overrides as texts; `start={"tower": run}` is that of a layer, `start.tower`."""
    found: dict[str, str] = {}
    for name, value in overrides.items():
        if name == "start" and isinstance(value, Mapping):
            found |= {f"start.{path}": text_of_value(each) for path, each in value.items()}
        else:
            found[name] = text_of_value(value)
    return found


def text_of_value(value: object) -> str:
    if isinstance(value, Run):
        return str(value.folder.resolve())
    return str(value).lower() if isinstance(value, bool) else str(value)


def _recipe(source: Source, values: Mapping[str, str]):
    """Return the recipe of a source. Raises SpecError if the source has errors."""
    from specc import driver

    program, found = driver.check(source, values)
    if program is None and any(each.severity == "error" for each in found):
        raise SpecError(found)
    return driver.load(source, values).recipe if program is None else program.recipe
