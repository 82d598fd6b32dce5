"""Training from Python: `specc.train`.

run = train("digits.dl", epochs=5, lr=0.01)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specc.diagnostics import SpecError
from specc.runs.display import display
from specc.runs.folds import folds_of
from specc.runs.listener import AsWarnings
from specc.runs.names import RUNS
from specc.runs.run import Run
from specc.runs.start import TEXT, prepare
from specc.source import Source

if TYPE_CHECKING:
    from specc.ir.program import Program
    from specc.recipe import DataCall, Recipe
    from specc.runtime.metrics import Epoch


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
    **overrides: object,
) -> Run:
    """Train a model in a new run; see `specc.train`."""
    from specc.net.fitting import Callbacks
    from specc.runtime.checkpoint import restore
    from specc.runtime.encoding import Encoding

    source, content, own = source_and_content(model)
    values = {**own, **texts_of_values(overrides)}
    listener = AsWarnings()
    folder = Path(source.name).parent
    known = {name: each for name, each in values.items() if name != "validate_every"}
    recipe = _recipe(source, known)  # without `validate_every`: `validate` may come from Python
    if folds_of(recipe):
        raise ValueError(
            f"`folds = {recipe.folds}` needs one training per fold:"
            f" [specc.train(..., fold=k) for k in range(1, {recipe.folds + 1})]"
        )
    given, texts = given_sources(recipe, data, validate, test)
    values |= texts  # these become overrides of the run
    prepared = prepare(
        source, content, folder, values, listener, threads, dtype, given, is_patient=True
    )
    training = prepared.begun(Path(runs))
    try:
        net, epochs = training.net, training.program.recipe.epochs
        net.encoding = Encoding.of(training.data)
        steps = training.steps_per_epoch
        with display(net, epochs, steps, training.progress.epoch, quiet) as watch:
            outcome = training.carry_out(Callbacks(callbacks, watch), tell=watch.said)
        if training.run.best.is_file():
            net.epochs_done = restore(training.run.best, net).epoch
    finally:
        training.release()
    return Run(training.run.folder, net, outcome)


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
