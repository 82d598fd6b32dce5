"""A run's folder: the model, the settings, the metrics and the weights.

runs/lenet/3/
  model.dl            the file as it was given (and beside it the files that it uses)
  run.json            everything else needed to train or evaluate it again: a `Record`
  metrics.csv         one line per epoch
  last.safetensors    after the last epoch, or within one
  best.safetensors    after the best epoch: the lowest validation loss, or what `monitor` names
  .lock               while the run is being trained

`run.json` is written last, after the first checkpoint. A folder with a run.json can be resumed; a
folder without one was left by a killed process.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import MISSING, asdict, field, fields
from pathlib import Path
from typing import Any

from specc.recipe import PRECISIONS
from specc.runtime import files as system
from specc.runtime.errors import RunError, run_error
from specc.runtime.files import make_folders, reason, remove_leftovers, replace, write
from specc.runtime.lock import NAME as LOCK
from specc.runtime.lock import Lock
from specc.runtime.pins import Pins, is_pins
from specc.system.records import dataclass

BORN = ("run.json", "metrics.csv")
FILES = ("model.dl", "run.json", "metrics.csv", "last.safetensors", "best.safetensors")


@dataclass
class Record:
    """The content of `run.json`.

    `file` and `data` are absolute paths: the model file, and the folder for relative data paths.
    `overrides` are the `key=value` arguments of the command line. `sizes` has the symbolic
    dimensions found in the data. `examples` has the number of rows of each part. `given` names the
    data sources that Python passed as objects. `sweep` has the values that a trial of `specc sweep`
    tries, and `trial` its study and number.
    `vocabularies` has the words of each class port. `ends` has the symbol that ends the training
    texts of a port, if all end with the same one. `statistics` has what the formulas of columns
    learned from the training part. `pins` has the hashes of what the run was made from; runs of
    older versions have none.
    """

    model: str
    file: str
    data: str
    overrides: dict[str, str]
    seed: int
    batch: int
    epochs: int
    dtype: str
    threads: int
    specc: str
    accumulate: int = 1
    precision: str = PRECISIONS[0]
    sizes: dict[str, int] = field(default_factory=dict)
    vocabularies: dict[str, list[str]] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)
    statistics: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    examples: dict[str, int] = field(default_factory=dict)
    given: list[str] = field(default_factory=list)
    sweep: dict[str, str] = field(default_factory=dict)
    trial: str = ""
    status: str = "running"
    pins: Pins | None = None


@dataclass
class RunFolder:
    """A run's folder with its record; the process that trains it holds `lock`.

    `is_compared` says whether the record's pins were already compared with the current files.
    """

    folder: Path
    record: Record
    lock: Lock | None = field(default=None, compare=False, repr=False)
    is_compared: bool = field(default=False, compare=False, repr=False)

    @property
    def last(self) -> Path:
        return self.folder / "last.safetensors"

    @property
    def best(self) -> Path:
        return self.folder / "best.safetensors"

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.csv"

    def release(self) -> None:
        """Release the lock, so that other processes can train the run."""
        if self.lock is not None:
            self.lock.release()
            self.lock = None

    def write(self) -> None:
        """Write run.json, whole or not at all. Raises `RunError` if it cannot be written."""
        text = json.dumps(asdict(self.record), indent=2) + "\n"
        write(self.folder / "run.json", text.encode())


def create(
    parent: Path,
    record: Record,
    files: dict[str, bytes],
    begin: Callable[[RunFolder], None] = lambda run: None,
) -> RunFolder:
    """Create a run in `parent/<model>/<number>`, with the next free number, and lock it.

    `files` has model.dl and the files that it uses, by their paths relative to it. `begin` writes
    the first checkpoint, before the folder becomes a run. If something cannot be written, the
    folder is removed and `RunError` raised.
    """
    run = None
    try:
        folder = claim(parent / record.model)
        run = RunFolder(folder, record)
        run.lock = Lock.take(folder)
        for name, content in files.items():
            path = folder / name
            make_folders(path.parent)
            replace(path, content)
        begin(run)
        text = json.dumps(asdict(record), indent=2) + "\n"
        replace(folder / "run.json", text.encode())
    except BaseException as error:
        if run is not None:
            run.release()
            shutil.rmtree(folder, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        raise run_error(
            f"no run can be written to `{parent}`: {reason(error)}",
            parent,
            help="`--run DIR` sets another folder for runs",
        ) from None
    return run


def claim(folder: Path) -> Path:
    """Create and return a folder in `folder`, named by the next number.

    Processes that call this at the same time get different folders.
    """
    make_folders(folder)
    _remove_unborn(folder)
    number = max((int(each.name) for each in folder.iterdir() if each.name.isdigit()), default=0)
    while True:
        number += 1
        try:
            system.disk.make_folder(folder / str(number))
        except FileExistsError:
            continue
        try:
            system.disk.sync_folder(folder)
        except OSError:
            (folder / str(number)).rmdir()
            raise
        return folder / str(number)


def _remove_unborn(folder: Path) -> None:
    """Remove the folders that killed processes left before they became runs."""
    for each in folder.iterdir():
        lock = each / LOCK
        if not each.name.isdigit() or any((each / name).exists() for name in BORN):
            continue
        with suppress(RunError, OSError):
            # a lock file without text belongs to a process that is about to lock it
            if lock.stat().st_size and (taken := Lock.taken(each)) is not None:
                shutil.rmtree(each, ignore_errors=True)
                taken.release()


def open_to_train(folder: Path) -> RunFolder:
    """Open and lock the run in a folder, and remove partial files of killed processes.

    Raises `RunError` if the folder is not a run, or is being trained.
    """
    open_run(folder)
    lock = Lock.take(folder)
    try:
        with suppress(OSError):
            remove_leftovers(folder, FILES)
        run = open_run(folder)  # again: another process may have changed it before the lock
    except BaseException:
        lock.release()
        raise
    run.lock = lock
    return run


def open_run(folder: Path) -> RunFolder:
    """Return the run in a folder. Raises `RunError` if the folder is not a run."""
    path = folder / "run.json"
    if not path.is_file():
        what = "is not a run: it has no run.json" if folder.is_dir() else "does not exist"
        raise run_error(f"`{folder}` {what}", folder, help=_inner_runs(folder))
    try:
        values = json.loads(_read(path))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise _damaged(path, f"it ends, or is not JSON, at {place}") from None
    except (ValueError, RecursionError):
        raise _damaged(path, "it is not JSON") from None
    return RunFolder(folder, _record(path, values))


def _record(path: Path, values: object) -> Record:
    """Return the record from the content of run.json. Raises `RunError` if it is not valid."""
    if not isinstance(values, dict):
        raise _damaged(path, "it is not a JSON object")
    found: dict[str, Any] = {}
    for each in fields(Record):
        if each.name in values:
            value, (wanted, is_right) = values[each.name], _WANTED[each.name]
            if not is_right(value):
                raise _damaged(path, f"`{each.name}` is {json.dumps(value)[:60]}, not {wanted}")
            found[each.name] = Pins(**value) if each.name == "pins" and value else value
        elif each.default is MISSING and each.default_factory is MISSING:
            raise _damaged(path, f"it does not say the `{each.name}`")
    return Record(**found)


def _is_count(value: object, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_table(value: object, is_right: Callable[[Any], bool]) -> bool:
    return isinstance(value, dict) and all(map(is_right, value.values()))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


_TEXT = ("a string", _is_text)
_COUNT = ("an integer of at least 1", _is_count)
_COUNTS = ("an object of integers", lambda value: _is_table(value, lambda n: _is_count(n, 0)))
_WANTED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "model": _TEXT,
    "file": _TEXT,
    "data": _TEXT,
    "overrides": ("an object of strings", lambda value: _is_table(value, _is_text)),
    "sweep": ("an object of strings", lambda value: _is_table(value, _is_text)),
    "trial": _TEXT,
    "seed": ("an integer", lambda value: _is_count(value, 0)),
    "batch": _COUNT,
    "accumulate": _COUNT,
    "epochs": _COUNT,
    "dtype": ("float32 or float64", lambda value: value in ("float32", "float64")),
    "precision": (" or ".join(PRECISIONS), lambda value: value in PRECISIONS),
    "threads": _COUNT,
    "specc": _TEXT,
    "sizes": _COUNTS,
    "vocabularies": ("an object of lists of strings", lambda value: _is_table(
        value, lambda words: isinstance(words, list) and all(map(_is_text, words)))),
    "statistics": ("an object of objects", lambda value: _is_table(
        value, lambda rule: _is_table(rule, lambda step: isinstance(step, dict)))),
    "ends": ("an object of strings", lambda value: _is_table(value, _is_text)),
    "examples": _COUNTS,
    "given": ("a list of strings", lambda value: isinstance(value, list) and all(
        map(_is_text, value))),
    "status": _TEXT,
    "pins": ("an object of hashes", is_pins),
}  # fmt: skip


def _damaged(path: Path, why: str) -> RunError:
    return run_error(f"`{path}` is damaged: {why}", path)


def _inner_runs(folder: Path) -> str | None:
    if not folder.is_dir():
        return None
    runs = [
        each.parent for pattern in ("*/run.json", "*/*/run.json") for each in folder.glob(pattern)
    ]
    if not runs:
        return None
    newest = max(runs, key=lambda each: (each / "run.json").stat().st_mtime)
    return f"the newest run in it is `{newest}`"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise run_error(f"cannot read `{path}`: {reason(error)}", path) from None
    except ValueError:
        raise _damaged(path, "it is not UTF-8 text") from None
