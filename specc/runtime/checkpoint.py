"""Checkpoints: the weights and the state of training, in one safetensors file.

    save(path, net, progress)
    progress = restore(path, net)        # RunError if the file is damaged or does not fit the model

Parameters are named by their paths, states are `state/<path>`, and the records of an unfinished
epoch are `records`. The metadata has the progress of training, and the SHA-256 of all tensors,
their names and the progress. A file is written whole or not at all (`files.write`).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, field, replace
from pathlib import Path

import numpy as np

from specc.diagnostics import closest
from specc.runtime.compiled import CompiledModel
from specc.runtime.errors import RunError, run_error
from specc.runtime.files import write
from specc.runtime.snapshot import is_sound
from specc.system.records import dataclass

STATE = "state/"
STREAM = "state/stream."
RECORDS = "records"
CHECKSUM = "sha256"
METADATA = {"format", "model", "progress"}
"""The keys of the metadata, besides the checksum."""


@dataclass
class Progress:
    """The progress of training: `epoch` epochs and `step` steps of the next one are done.

    `best` is the best value of an evaluation, on the validation data if there is any. It was
    reached in epoch `best_epoch`, after `best_step` steps of the whole training. `stale`
    evaluations so far did not improve it, `waited` of them since then. The model is evaluated at
    the end of each epoch, and with `validate_every` within epochs. `records`, float64 `[step,
    record_width]`, has the recorded values of the steps done in this epoch.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_epoch: int = 0
    records: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    stale: int = 0
    waited: int = 0
    best_step: int = 0


def save(path: Path, net: CompiledModel, progress: Progress) -> None:
    """Write a checkpoint, atomically."""
    write(path, _serialized(_tensors(net, progress), net.name, progress))


class Checkpoints:
    """The checkpoints of a run: the last, and the best.

    An epoch may take a millisecond, and writing a file takes several. A checkpoint of an epoch
    therefore waits in memory until `SECONDS` after the last one was written, or for `flush`.
    `before` is called before files are written, and writes whatever the checkpoints rely on. The
    best is written before the last: after a crash between the two, training continues from an older
    last checkpoint and reaches the best one again.
    """

    SECONDS = 1.0
    SHARE = 10  # the next save waits at least this many times as long as the last save took

    def __init__(
        self, last: Path, best: Path, net: CompiledModel, before: Callable[[], None] = lambda: None
    ) -> None:
        self.last, self.best, self.net, self.before = last, best, net, before
        self._waiting: dict[Path, tuple[dict[str, np.ndarray], Progress]] = {}
        # so that the first epoch is written as soon as it is over
        self._written, self._took = time.monotonic() - self.SECONDS, 0.0

    def is_due(self, seconds: float) -> bool:
        """Return whether the last file is at least `seconds` old, or older if saving is slow."""
        return time.monotonic() >= self._written + max(seconds, self.SHARE * self._took)

    def epoch(self, progress: Progress, is_best: bool) -> None:
        """Keep the model as the last checkpoint, and as the best if `is_best`."""
        tensors = _tensors(self.net, progress)
        is_due = self.is_due(self.SECONDS)
        if not is_due:
            tensors = {name: array.copy() for name, array in tensors.items()}
            progress = replace(progress)
        for path in (self.best, self.last) if is_best else (self.last,):
            self._waiting[path] = tensors, progress
        if is_due:
            self.flush()

    def now(self, progress: Progress) -> None:
        """Write the model as the last checkpoint, within an epoch; a waiting best one, too."""
        self._waiting[self.last] = _tensors(self.net, progress), progress
        self.flush()

    def flush(self) -> None:
        """Write the checkpoints that are waiting in memory."""
        start = time.monotonic()
        if self._waiting:
            self.before()
        for path in (self.best, self.last):
            if path in self._waiting:
                tensors, progress = self._waiting[path]
                write(path, _serialized(tensors, self.net.name, progress))
                del self._waiting[path]
        self._written = time.monotonic()
        self._took = self._written - start


def tensors(net: CompiledModel) -> dict[str, np.ndarray]:
    """Return the model's own arrays, not copies, by their names in a checkpoint."""
    return {**net.params, **{STATE + name: array for name, array in net.states.items()}}


def _tensors(net: CompiledModel, progress: Progress) -> dict[str, np.ndarray]:
    """Return all arrays of a checkpoint by name; the model's arrays are not copied."""
    return {**tensors(net), RECORDS: progress.records}


def _serialized(tensors: dict[str, np.ndarray], model: str, progress: Progress) -> bytes:
    from safetensors.numpy import save as serialized

    # safetensors ignores strides; `ascontiguousarray` turns a scalar into shape (1,)
    tensors = {
        name: np.ascontiguousarray(array).reshape(array.shape) for name, array in tensors.items()
    }
    values = {name: value for name, value in asdict(progress).items() if name != RECORDS}
    metadata = {"format": "specc", "model": model, "progress": json.dumps(values)}
    return serialized(tensors, metadata | {CHECKSUM: checksum(tensors, metadata)})


def checksum(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    """Return the SHA-256, in hex, of contiguous arrays with names and types, and of metadata."""
    found = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    for name in sorted(tensors):
        array = tensors[name]
        found.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        found.update(array.reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def not_finite(tensors: Mapping[str, np.ndarray]) -> str | None:
    """Return the name of the first array of a checkpoint that is not finite, or None.

    A state may be infinite, because some are initialized to infinity, but not NaN. Records may hold
    any value, because a metric of a batch can be undefined.
    """
    for name, array in tensors.items():
        if name != RECORDS and not is_sound(array, name.startswith(STATE)):
            return name
    return None


def restore(path: Path, net: CompiledModel, streams: bool = True) -> Progress:
    """Load a checkpoint into the model and return its progress.

    Without `streams`, the states of stream slots are not loaded, because the model may have a
    different number of slots. Checkpoints of older versions of specc have no checksum, and none is
    required. Raises `RunError`, without having changed the model, if the file is damaged or does
    not fit.
    """
    found, progress = _read(path)
    live = tensors(net)
    if not streams:
        live, found = (
            {name: array for name, array in each.items() if not name.startswith(STREAM)}
            for each in (live, found)
        )
    records = found.pop(RECORDS, None)
    if not progress.step:
        records = np.zeros((0, net.record_width))
    if records is None or records.shape != (progress.step, net.record_width):
        raise _misfit(
            path,
            f"it records {0 if records is None else records.shape[-1]} losses and metrics"
            f" a step, the model has {net.record_width}",
        )
    for name, array in live.items():
        if name not in found:
            raise _misfit(path, f"it has no {said(name)}", name, found)
        if found[name].shape != array.shape:
            raise _misfit(
                path,
                f"{said(name)} is {list(found[name].shape)} there, but"
                f" {list(array.shape)} in the model",
            )
        if found[name].dtype != array.dtype:
            raise _misfit(
                path,
                f"{said(name)} is {found[name].dtype} there, but {array.dtype} in the model",
            )
    for name in found:
        if name not in live:
            raise _misfit(path, f"the model has no {said(name)}, which is there", name, live)
    if (bad := not_finite(found)) is not None:
        wrong = np.isnan(found[bad]) if bad.startswith(STATE) else ~np.isfinite(found[bad])
        value = found[bad][wrong][0]
        raise run_error(
            f"the {said(bad)} in `{path}` is not finite: it has the value {value}",
            path,
            help=_another(path),
        )
    for name, array in live.items():
        array[...] = found[name]
    progress.records = records
    return progress


def progress_of(path: Path) -> Progress | None:
    """Return the progress in a checkpoint file, or None if it cannot be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return _progress(file.metadata() or {})
    except (SafetensorError, OSError, ValueError):
        return None


def metadata_of(path: Path) -> dict[str, str]:
    """Return the metadata of a safetensors file. Raises SafetensorError or OSError."""
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        return dict(file.metadata() or {})


def _read(path: Path, has_help: bool = True) -> tuple[dict[str, np.ndarray], Progress]:
    """Return the arrays and the progress in a checkpoint. Raises `RunError` if it is damaged."""
    from safetensors import SafetensorError, safe_open

    def damaged(message: str) -> RunError:
        return run_error(message, path, help=_another(path) if has_help else None)

    if not path.is_file():
        raise damaged(f"there is no checkpoint `{path}`")
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in list(file.keys())}
    except PermissionError:
        raise run_error(f"`{path}` may not be read", path) from None
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError, MemoryError):
        raise damaged(f"`{path}` is damaged: it is not, or not wholly, what specc wrote") from None
    noted = metadata.pop(CHECKSUM, None)
    progress = _progress(metadata)
    if progress is None or metadata.get("format") != "specc":
        raise run_error(
            f"`{path}` was not written by specc: it does not say where training stood", path
        )
    # if the name of the checksum is damaged, it counts as an unknown key
    is_whole = metadata.keys() == METADATA and noted in (None, checksum(tensors, metadata))
    if not is_whole:
        raise damaged(f"`{path}` is damaged: its SHA-256 is not the one that specc noted in it")
    return tensors, progress


def _progress(metadata: dict[str, str]) -> Progress | None:
    """Return the progress in a file's metadata, or None if it is missing or invalid."""
    try:
        values = json.loads(metadata["progress"])
        progress = Progress(**values)
        if "waited" not in values:  # written by an older version: all evaluations ended an epoch
            progress.waited = max(0, progress.epoch - progress.best_epoch)
    except (KeyError, TypeError, ValueError):
        return None
    counts = (
        progress.epoch,
        progress.step,
        progress.best_epoch,
        progress.stale,
        progress.waited,
        progress.best_step,
    )
    if not all(type(each) is int and each >= 0 for each in counts):
        return None
    if not all(isinstance(each, (int, float)) for each in (progress.seconds, progress.best or 0)):
        return None
    return progress


def _another(path: Path) -> str | None:
    """Return the help for a damaged checkpoint: whether the run's other checkpoint is usable."""
    names = {"last.safetensors": "best.safetensors", "best.safetensors": "last.safetensors"}
    other = path.with_name(names.get(path.name, path.name))
    if other == path or not other.is_file():
        return None
    try:
        tensors, progress = _read(other, has_help=False)
    except RunError:
        return f"`{other}` is damaged too"
    if not_finite(tensors) is not None:
        return f"`{other}` is not finite either"
    where = f"epoch {progress.epoch}" + (f" and {progress.step} steps" if progress.step else "")
    return f"`{other}` is whole (after {where}): a copy of it can take this one's place"


def said(name: str) -> str:
    """Return the name of a checkpoint's array for messages: "parameter `dense1.weight`"."""
    is_state = name.startswith(STATE)
    return f"{'state' if is_state else 'parameter'} `{name.removeprefix(STATE)}`"


def _misfit(path: Path, why: str, name: str = "", others: Iterable[str] = ()) -> RunError:
    near = closest(name, others) if name else None
    return run_error(
        f"`{path}` does not fit the model: {why}",
        path,
        help=f"there is {said(near)}" if near else None,
    )
