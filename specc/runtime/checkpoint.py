"""Checkpoints: the weights and all that training carries on, in one safetensors file.

    save(path, net, progress)
    progress = restore(path, net)        # RunError where the file does not fit the model

Parameters stand under their paths, states under `state/<path>`, and the records of an epoch that is
not over under `records`; where training stands is in the metadata. A file is complete or not there:
it is written beside its place and then renamed.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from specc.diagnostics import closest
from specc.runtime.compiled import CompiledModel
from specc.runtime.errors import RunError, run_error
from specc.runtime.files import write

STATE = "state/"
RECORDS = "records"


@dataclass
class Progress:
    """Where a training stands: `epoch` epochs and `step` steps of the next one are done.

    `best` is the best value at the end of an epoch (of the validation data, or of training without
    it), after `best_epoch` epochs; `stale` epochs so far did not improve it. `records` are the columns of the
    steps done in this epoch.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_epoch: int = 0
    records: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    stale: int = 0


def save(path: Path, net: CompiledModel, progress: Progress) -> None:
    """Write a checkpoint, atomically."""
    write(path, _serialized(_tensors(net, progress), net.name, progress))


class Checkpoints:
    """The checkpoints of a run: the last, and the best.

    An epoch may take a millisecond, and a file several: what an epoch leaves waits in memory until
    `SECONDS` after the last one was written, or for `flush`.
    """

    SECONDS = 1.0

    def __init__(self, last: Path, best: Path, net: CompiledModel) -> None:
        self.last, self.best, self.net = last, best, net
        self._waiting: dict[Path, tuple[dict[str, np.ndarray], Progress]] = {}
        self._written = 0.0

    def epoch(self, progress: Progress, is_best: bool) -> None:
        """Keep the model as the last, and perhaps as the best."""
        tensors = _tensors(self.net, progress)
        is_due = time.monotonic() >= self._written + self.SECONDS
        if not is_due:
            tensors = {name: array.copy() for name, array in tensors.items()}
            progress = replace(progress)
        for path in (self.best, self.last) if is_best else (self.last,):
            self._waiting[path] = tensors, progress
        if is_due:
            self.flush()

    def now(self, progress: Progress) -> None:
        """Write the model as the last, in the midst of an epoch, and the best one."""
        self._waiting[self.last] = _tensors(self.net, progress), progress
        self.flush()

    def flush(self) -> None:
        """Write what waits."""
        for path in list(self._waiting):
            tensors, progress = self._waiting[path]
            write(path, _serialized(tensors, self.net.name, progress))
            del self._waiting[path]
        self._written = time.monotonic()


def _tensors(net: CompiledModel, progress: Progress) -> dict[str, np.ndarray]:
    """All arrays of a checkpoint by name; those of the model are the live ones."""
    states = {STATE + name: array for name, array in net.states.items()}
    return {**net.params, **states, RECORDS: progress.records}


def _serialized(tensors: dict[str, np.ndarray], model: str, progress: Progress) -> bytes:
    from safetensors.numpy import save as serialized

    # safetensors ignores strides
    tensors = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    standing = {name: value for name, value in asdict(progress).items() if name != RECORDS}
    metadata = {"format": "specc", "model": model, "progress": json.dumps(standing)}
    return serialized(tensors, metadata)


def restore(path: Path, net: CompiledModel, streams: bool = True) -> Progress:
    """Puts the arrays of a checkpoint into the model. Raises `RunError`, having changed nothing.

    Without `streams` what the lanes of a stream have left is left out: the model may have other lanes.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise run_error(f"there is no checkpoint `{path}`", path, help=_another(path))
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in list(file.keys())}
    except PermissionError:
        raise run_error(f"`{path}` may not be read", path) from None
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError, MemoryError):
        raise run_error(f"`{path}` is damaged: it is not, or not wholly, what specc wrote", path,
                        help=_another(path)) from None
    live = dict(net.params) | {STATE + name: array for name, array in net.states.items()}
    if not streams:
        live, tensors = ({name: array for name, array in each.items()
                          if not name.startswith(f"{STATE}stream.")} for each in (live, tensors))
    records = tensors.pop(RECORDS, None)
    progress = _progress(metadata)
    if progress is None:
        raise run_error(
            f"`{path}` was not written by specc: it does not say where training stood", path
        )
    if progress.step and (records is None or records.shape != (progress.step, net.record_width)):
        raise _misfit(
            path,
            f"it records {0 if records is None else records.shape[-1]} losses and metrics"
            f" a step, the model has {net.record_width}",
        )
    for name, array in live.items():
        if name not in tensors:
            raise _misfit(path, f"it has no {_said(name)}", name, tensors)
        if tensors[name].shape != array.shape:
            raise _misfit(
                path,
                f"{_said(name)} is {list(tensors[name].shape)} there, but"
                f" {list(array.shape)} in the model",
            )
        if tensors[name].dtype != array.dtype:
            raise _misfit(
                path,
                f"{_said(name)} is {tensors[name].dtype} there, but {array.dtype} in the model",
            )
    for name in tensors:
        if name not in live:
            raise _misfit(path, f"the model has no {_said(name)}, which is there", name, live)
    for name, array in live.items():
        array[...] = tensors[name]
    progress.records = np.zeros((0, net.record_width)) if records is None else records
    return progress


def standing(path: Path) -> Progress | None:
    """Where training stood when a checkpoint was written; None if the file does not say so."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return _progress(file.metadata() or {})
    except (SafetensorError, OSError, ValueError):
        return None


def _progress(metadata: dict[str, str]) -> Progress | None:
    """Where training stood; None where the metadata do not say so."""
    try:
        progress = Progress(**json.loads(metadata["progress"]))
    except (KeyError, TypeError, ValueError):
        return None
    counts = (progress.epoch, progress.step, progress.best_epoch, progress.stale)
    if not all(type(each) is int and each >= 0 for each in counts):
        return None
    if not all(isinstance(each, (int, float)) for each in (progress.seconds, progress.best or 0)):
        return None
    return progress


def _another(path: Path) -> str | None:
    """What to do without a checkpoint, if its run has another one."""
    names = {"last.safetensors": "best.safetensors", "best.safetensors": "last.safetensors"}
    other = path.with_name(names.get(path.name, path.name))
    if other == path or not other.is_file():
        return None
    return f"`{other.name}` of the run may be whole: a copy of it can take this one's place"


def _said(name: str) -> str:
    is_state = name.startswith(STATE)
    return f"{'state' if is_state else 'parameter'} `{name.removeprefix(STATE)}`"


def _misfit(path: Path, why: str, name: str = "", others=()) -> RunError:
    near = closest(name, others) if name else None
    return run_error(
        f"`{path}` does not fit the model: {why}",
        path,
        help=f"there is {_said(near)}" if near else None,
    )
