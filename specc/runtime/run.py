"""A run's folder: what was trained, how, and what came of it.

runs/lenet/3/
  model.dl            the file as it was given (and beside it the files that it uses)
  run.json            what else is needed to train or evaluate it again: a `Record`
  metrics.csv         a line for each epoch
  last.safetensors    after the last epoch, or where training was interrupted
  best.safetensors    after the epoch with the least validation loss
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from specc.runtime.errors import run_error


@dataclass
class Record:
    """What `run.json` holds. `overrides` are the `key=value` of the command line, as given.

    `file` and `data` are absolute: the .dl file, and the folder where paths of data start. `sizes`
    were found in the data. `examples` counts the rows of each part.
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
    sizes: dict[str, int] = field(default_factory=dict)
    vocabularies: dict[str, list[str]] = field(default_factory=dict)
    examples: dict[str, int] = field(default_factory=dict)
    status: str = "running"


@dataclass
class Run:
    """A folder with its record."""

    folder: Path
    record: Record

    @property
    def last(self) -> Path:
        return self.folder / "last.safetensors"

    @property
    def best(self) -> Path:
        return self.folder / "best.safetensors"

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.csv"

    def write(self) -> None:
        """Write run.json, atomically."""
        path = self.folder / "run.json"
        beside = path.with_name(f".run.json.{os.getpid()}")
        beside.write_text(json.dumps(asdict(self.record), indent=2) + "\n", encoding="utf-8")
        os.replace(beside, path)


def create(parent: Path, record: Record, files: dict[str, bytes]) -> Run:
    """A new run in `parent/<model>/<number>`, with the next free number.

    `files` are model.dl and the files that it uses, by their paths relative to it.
    """
    try:
        run = Run(claim(parent / record.model), record)
        for name, content in files.items():
            path = run.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        run.write()
    except OSError as error:
        raise run_error(
            f"no run can be written to `{parent}`: {error.strerror}",
            parent,
            help="`--run DIR` sets another folder for runs",
        ) from None
    return run


def claim(folder: Path) -> Path:
    """A new folder in `folder`, named by the next number. Two processes get two folders."""
    folder.mkdir(parents=True, exist_ok=True)
    number = max((int(each.name) for each in folder.iterdir() if each.name.isdigit()), default=0)
    while True:
        number += 1
        try:
            (folder / str(number)).mkdir()
        except FileExistsError:
            continue
        return folder / str(number)


def open_run(folder: Path) -> Run:
    """The run in a folder. Raises `RunError` where that is none."""
    path = folder / "run.json"
    if not path.is_file():
        what = "holds no run: it has no run.json" if folder.is_dir() else "does not exist"
        raise run_error(f"`{folder}` {what}", folder, help=_inner_runs(folder))
    try:
        values = json.loads(_read(path))
        known = {each.name for each in fields(Record)}
        record = Record(**{name: value for name, value in values.items() if name in known})
    except (ValueError, TypeError, AttributeError) as error:
        raise run_error(f"`{path}` is damaged: {error}", path) from None
    return Run(folder, record)


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
    except (OSError, ValueError) as error:
        raise run_error(f"`{path}` cannot be read: {error}", path) from None
