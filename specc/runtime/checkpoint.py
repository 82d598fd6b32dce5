"""Checkpoints: the weights and all that training carries on, in one safetensors file.

    save(path, net, progress)
    progress = restore(path, net)        # RunError where the file does not fit the model

Parameters stand under their paths, states under `state/<path>`, and the records of an epoch that is
not over under `records`; where training stands is in the metadata. A file is complete or not there:
it is written beside its place and then renamed.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from specc.diagnostics import closest
from specc.runtime.compiled import CompiledModel
from specc.runtime.errors import RunError, run_error

STATE = "state/"
RECORDS = "records"


@dataclass
class Progress:
    """Where a training stands: `epoch` epochs and `step` steps of the next one are done.

    `best` is the least loss at the end of an epoch (validation, or training without it), after
    `best_epoch` epochs; `stale` epochs so far did not lower it. `records` are the columns of the steps done in this epoch.
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
    from safetensors.numpy import save as serialized

    tensors = dict(net.params) | {STATE + name: array for name, array in net.states.items()}
    tensors[RECORDS] = progress.records
    # safetensors ignores strides
    tensors = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    standing = {name: value for name, value in asdict(progress).items() if name != RECORDS}
    metadata = {"format": "specc", "model": net.name, "progress": json.dumps(standing)}
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(serialized(tensors, metadata))
        os.replace(beside, path)
    except OSError as error:
        raise run_error(f"`{path}` cannot be written: {error.strerror}", path) from None
    finally:
        beside.unlink(missing_ok=True)


def restore(path: Path, net: CompiledModel) -> Progress:
    """Puts the arrays of a checkpoint into the model. Raises `RunError`, having changed nothing."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise run_error(f"there is no checkpoint `{path}`", path)
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in list(file.keys())}
    except (SafetensorError, OSError, ValueError) as error:
        raise run_error(
            f"`{path}` is damaged: {error}",
            path,
            help="another checkpoint of the run "
            "may be whole: `best.safetensors`, `last.safetensors`",
        ) from None
    live = dict(net.params) | {STATE + name: array for name, array in net.states.items()}
    records = tensors.pop(RECORDS, None)
    try:
        progress = Progress(**json.loads(metadata["progress"]))
    except (KeyError, TypeError, ValueError):
        raise run_error(
            f"`{path}` was not written by specc: it does not say where training stood", path
        ) from None
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
