"""The runs of a folder; a run is read again if its files have changed.

watch = Watch(Path("runs"))
version, changed, gone = watch.since(0)      # all runs; later only changed ones
watch.curves("digits/3")                     # {"epoch": [1, 2], "val_loss": [0.4, 0.3], ...}
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from specc.runs.summary import curves, summary
from specc.system.records import dataclass

FILES = ("run.json", "metrics.csv", "best.safetensors")
OFTEN = 0.5
"""Least time between two reads of the folder, in seconds, whatever the number of pages."""
BUDGET = 0.2
"""Time limit for reading changed runs at once, in seconds; the next read continues."""
SETTLED, ROUND = 60, 10
"""A run that has not changed for SETTLED seconds is checked only in every ROUND-th read."""
NO_FILE = (0, 0)
SPARK = 40
"""Number of points of the small curve beside a run."""

Stamp = tuple[tuple[int, int], ...]


@dataclass
class _Entry:
    stamp: Stamp
    version: int
    shown: dict[str, Any]


class RunsWatch:
    """The runs of a folder. All methods may be called from several threads."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._entries: dict[str, _Entry] = {}
        self._gone: dict[str, int] = {}
        self._version, self._looked = 0, -math.inf
        self._turn = 0
        self._lock = threading.Lock()

    def since(self, version: int) -> tuple[int, list[dict[str, Any]], list[str]]:
        """Return the version, the runs changed after `version`, and the names of deleted runs."""
        with self._lock:
            if time.monotonic() - self._looked >= OFTEN:
                is_done = self._look()
                self._looked = time.monotonic() if is_done else -math.inf
            changed = [each.shown for each in self._entries.values() if each.version > version]
            gone = [name for name, when in self._gone.items() if when > version]
            return self._version, changed, gone

    def folder(self, name: str) -> Path:
        """Return the folder of a run. Raises KeyError if there is no such run."""
        self.since(0)
        with self._lock:
            if name not in self._entries:
                raise KeyError(name)
        return self.root / name

    def curves(self, name: str) -> dict[str, list[float | None]]:
        """Return the columns of a run's metrics.csv, with None for NaN. Raises KeyError."""
        found = curves(self.folder(name))
        return {column: [_number(each) for each in values] for column, values in found.items()}

    def _look(self) -> bool:
        """Read changed runs, newest first. Return whether all of them were read in time."""
        found = self._found()
        version = self._version + 1
        stamps = {name: self._stamp_now(name, path, place)
                  for place, (name, path) in enumerate(found.items())}  # fmt: skip
        self._turn = (self._turn + 1) % ROUND
        for name in [*self._entries]:
            if name not in found or stamps[name][0] == NO_FILE:
                del self._entries[name]
                self._gone[name] = self._version = version
        changed = [
            name
            for name, stamp in stamps.items()
            if stamp[0] != NO_FILE
            and (name not in self._entries or self._entries[name].stamp != stamp)
        ]
        end = time.monotonic() + BUDGET
        for name in sorted(changed, key=stamps.__getitem__, reverse=True):
            if time.monotonic() > end:
                return False
            self._entries[name] = _Entry(stamps[name], version, _shown(name, Path(found[name])))
            self._gone.pop(name, None)
            self._version = version
        return True

    def _found(self) -> dict[str, str]:
        """Return the folders that may be runs, by name."""
        found = {}
        for model in _inside(self.root):
            for folder in _inside(model.path) if model.is_dir() else ():
                if folder.name.isdigit():
                    found[f"{model.name}/{folder.name}"] = folder.path
        return found

    def _stamp_now(self, name: str, path: str, place: int) -> Stamp:
        """Return the stamp of a run; for a settled run, usually the known stamp."""
        entry = self._entries.get(name)
        if entry is not None and place % ROUND != self._turn:
            newest = max(when for when, _ in entry.stamp)
            if time.time_ns() - newest > SETTLED * 10**9:
                return entry.stamp
        return _stamp(path)


def _inside(folder: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda each: each.name)
    except OSError:  # the folder does not exist, or was deleted
        return []


def _stamp(folder: str) -> Stamp:
    """Return the times and sizes of a run's files, which differ after a change."""
    found = []
    for name in FILES:
        try:
            state = os.stat(f"{folder}/{name}")
        except OSError:
            found.append(NO_FILE)
        else:
            found.append((state.st_mtime_ns, state.st_size))
    return tuple(found)


def _shown(name: str, folder: Path) -> dict[str, Any]:
    """Return what the page's list shows of a run."""
    found = summary(folder, name)
    told = {**asdict(found), "model": folder.parent.name}
    del told["folder"]
    told["figures"] = {key: _number(each) for key, each in found.metrics.items()}
    try:
        history = {} if found.problem else curves(folder)
    except (OSError, ValueError):  # a line is being written
        history = {}
    part = f"{found.part or 'train'}_loss"
    told["spark"] = [_number(each) for each in _few(history.get(part, []))]
    told["report"] = (folder / "report.html").is_file()
    return told


def _few(values: Sequence[float]) -> list[float]:
    if len(values) <= SPARK:
        return list(values)
    return [values[round(k * (len(values) - 1) / (SPARK - 1))] for k in range(SPARK)]


def _number(value: float) -> float | None:
    """Return the value, or None if JSON cannot represent it."""
    return value if math.isfinite(value) else None
