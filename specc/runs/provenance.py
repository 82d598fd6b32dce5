"""Compares the model, the data and the machine of a run with the present ones.

    compare_model(run, warn)                   # an edited model.dl: RunError
    require_data(run, recipe, data, folder)    # changed training data: RunError

The model, the files it uses and the examples must not have changed. Another processor, or other
versions of specc, NumPy or llvmlite, only cause a warning: the weights remain valid, and training
that takes weeks should survive an update. The names, shapes and types in a checkpoint are compared
with the model anyway. Only the last bits of results can differ, and the library's definitions if
they changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from specc.frontend.syntax.reading import read_source
from specc.recipe import DataCall, Recipe

if TYPE_CHECKING:
    from specc.runtime.data import Data
    from specc.runtime.pins import Pins
    from specc.runtime.run import Record, RunFolder

BUILT_ON = ("numpy", "llvmlite")
SHOWN = 12  # number of hex digits of a hash in messages

Warn = Callable[[str], None]
"""Reports a difference as a warning."""


def versions() -> dict[str, str]:
    """Return the versions of specc, its library, and the packages that results depend on."""
    import platform
    from importlib import metadata

    from specc import __version__

    found = {"specc": __version__, "library": _library(), "python": platform.python_version()}
    for name in BUILT_ON:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "unknown"
    return found


def machine() -> dict[str, str]:
    """Return LLVM's name of the processor, and the width of the vectors that kernels use."""
    from specc.backend.machine import this_machine

    here = this_machine()
    return {"processor": here.cpu, "vectors": f"{here.vector_bits} bits"}


def _library() -> str:
    """Return the hash of the library's text."""
    import hashlib

    from specc.frontend.words.library import FOLDER

    found = hashlib.sha256()
    for path in sorted(FOLDER.glob("*.dl")):
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:SHOWN]


def pins(recipe: Recipe, texts: dict[str, str], data: Data, files: dict[str, str]) -> Pins:
    """Return the pins of a new run.

    `texts` has model files by their names in the run's folder; `files` has hashes of data files.
    """
    from specc.runtime import pins as hashes

    return hashes.Pins(
        texts={name: hashes.text(each) for name, each in texts.items()},
        files=files,
        parts={name: hashes.values(part, data.vocabularies) for name, part in data.parts.items()},
        counts=data.counts,
        split=hashes.rule(recipe),
        versions=versions(),
        machine=machine(),
    )


def pin_late(record: Record, data: Data) -> None:
    """Hash what was still to come when a run was made, if it is there now."""
    from specc.runtime import pins as hashes

    if record.pins is None or not data.waiting or not all(w.is_complete for w in data.waiting):
        return
    for name, part in data.parts.items():
        if part.waiting:
            record.pins.parts[name] = hashes.values(part, data.vocabularies)


def compare_model(run: RunFolder, warn: Warn) -> None:
    """Raise `RunError` if a model file of the run was edited; warn of another machine.

    Each run is compared only once. A run of an older version of specc has no hashes, which is a
    warning.
    """
    from specc.runtime import pins as hashes
    from specc.runtime.errors import run_error

    if run.is_compared:
        return
    run.is_compared = True
    pinned = run.record.pins
    if pinned is None:
        warn(
            f"`{run.folder}` was made by specc {run.record.specc}, which stored no hashes of the"
            " model and the data, so specc cannot tell whether they have changed"
        )
        return
    for name, then in pinned.texts.items():
        path = run.folder / name
        now = hashes.text(read_source(path).text)
        if now != then:
            raise run_error(
                f"`{path}` was edited after the training: its SHA-256 was {then[:SHOWN]}.., and is"
                f" {now[:SHOWN]}.. now",
                path,
                help="undo the edit; to train the edited file, give a copy of it to `specc train`,"
                " which starts a new run",
            )
    _warn_of_surroundings(run, pinned, warn)


def _warn_of_surroundings(run: RunFolder, pinned: Pins, warn: Warn) -> None:
    """Warn of changes other than in the model and the data."""
    now = versions() | machine()
    then = pinned.versions | pinned.machine
    changed = [
        f"{name} {then[name]} (now {now[name]})"
        for name in ("specc", *BUILT_ON, "processor", "vectors")
        if name in then and then[name] != now[name]
    ]
    if changed:
        warn(
            f"`{run.folder}` was trained with {', '.join(changed)}: the last bits of results may"
            " differ"
        )
    if then.get("library", now["library"]) != now["library"]:
        warn(
            "the definitions of layers, losses or optimizers in specc's library have changed since"
            f" `{run.folder}` was trained: results may differ"
        )


def require_data(run: RunFolder, recipe: Recipe, data: Data, folder: Path) -> None:
    """Raise `RunError` unless training and validation examples are those of the run.

    Training can be resumed only on the same examples: if rows were added, the order of the examples
    and the validation part would change.
    """
    from specc.runtime import pins as hashes
    from specc.runtime.errors import run_error

    record = run.record
    counts = {name: len(part) for name, part in data.parts.items()}
    changed = []
    if counts != record.examples:
        changed = [f"there were {_examples(record.examples)}, now there are {_examples(counts)}"]
    elif record.pins is not None:
        for name, part in data.parts.items():
            now, then = hashes.values(part, data.vocabularies), record.pins.parts.get(name, {})
            ports = _others(now, then)
            if ports:
                changed.append(
                    f"{', '.join(ports)} of the {name} part {'has' if len(ports) == 1 else 'have'}"
                    " other values"
                )
    if changed:
        raise run_error(
            f"the data has changed since the training: {'; '.join(changed)}"
            f"{_changed_files(record.pins, recipe, folder)}",
            run.folder,
            help="restore the data to resume the run, or start a new run",
        )


def _others(now: Mapping[str, str], then: Mapping[str, str]) -> list[str]:
    """Return the ports whose values were others; those of a killed run may not be known."""
    from specc.runtime.pins import UNKNOWN

    return [f"`{port}`" for port in now if then.get(port) not in (now[port], UNKNOWN)]


def counts_then(run: RunFolder, recipe: Recipe) -> dict[str, list[int]]:
    """Return the number of examples of each source in training; empty if unknown (old runs)."""
    record = run.record
    if record.pins is not None:
        return record.pins.counts
    if recipe.data is None or recipe.data.word == "text" or not record.examples:
        return {}
    if isinstance(recipe.validate, DataCall):
        return (
            {"validate": [record.examples["validation"]]} if "validation" in record.examples else {}
        )
    return {"data": [sum(record.examples.values())]}


def require_rows(
    run: RunFolder, recipe: Recipe, data: Data, name: str, folder: Path, warn: Warn
) -> None:
    """Raise `RunError` if the part `name` is not the one that was held out in training.

    `data` was loaded with `counts_then`, so rows that were added since are left out, with a
    warning. Therefore no row that was trained on is evaluated. Separate test data takes no part in
    training, so changes in its files only cause a warning.
    """
    from specc.runtime import pins as hashes
    from specc.runtime.errors import run_error

    pinned = run.record.pins
    if name == "test" and isinstance(recipe.test, DataCall):
        if pinned is not None and (files := _changed_files(pinned, recipe, folder, ("test",))):
            warn(f"the test data has changed since the training{files}")
        return
    if pinned is not None:
        now = hashes.values(data.parts[name], data.vocabularies)
        then = pinned.parts.get(name, {})
        ports = _others(now, then)
        if ports:
            raise run_error(
                f"the {name} part has changed since the training: {', '.join(ports)}"
                f" {'has' if len(ports) == 1 else 'have'} other values"
                f"{_changed_files(pinned, recipe, folder)}",
                run.folder,
                help="restore the data, or train a new run; data that may change belongs in `test`",
            )
    source = "validate" if isinstance(recipe.validate, DataCall) else "data"
    count_then, count_now = counts_then(run, recipe).get(source), data.counts.get(source)
    if count_then is not None and count_now is not None and count_then != count_now:
        is_text = recipe.data is not None and recipe.data.word == "text"
        what = "symbols" if is_text else "examples"
        same = (
            "have not changed"
            if pinned is not None
            else "may have changed, as the run has no hashes"
        )
        warn(
            f"the data has grown from {sum(count_then):,} to {sum(count_now):,} {what} since the"
            f" training; its {len(data.parts[name]):,} {name} examples are evaluated, which"
            f" {same}"
        )


def _changed_files(
    pinned: Pins | None,
    recipe: Recipe,
    folder: Path,
    sources: tuple[str, ...] = ("data", "validate"),
) -> str:
    """Return " (changed: `train.csv`)" for a message, or an empty string if no file changed."""
    from specc.runtime import pins as hashes

    if pinned is None:
        return ""
    calls = [getattr(recipe, name) for name in sources]
    names = {
        given
        for call in calls
        if isinstance(call, DataCall)
        for given in call.arguments
        if isinstance(given, str)
    }
    now = hashes.files(recipe, folder)
    changed = [
        f"`{name}`"
        for name, then in pinned.files.items()
        if name in names and now.get(name, then) != then
    ]
    return f" (changed: {', '.join(changed)})" if changed else ""


def _examples(counts: dict[str, int]) -> str:
    """ "32 training and 8 validation examples"."""
    return " and ".join(f"{count:,} {name}" for name, count in counts.items()) + " examples"
