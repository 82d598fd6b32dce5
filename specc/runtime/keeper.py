"""Where training keeps its checkpoints and metrics: in a run's folder, or in memory.

keeper = InFolder(run, net)        # last.safetensors, best.safetensors, metrics.csv
keeper = InMemory(net)             # copies of the arrays; keeper.epochs has the metrics
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import numpy as np

from specc.runtime import checkpoint
from specc.runtime.checkpoint import Checkpoints, Progress, tensors
from specc.runtime.compiled import CompiledModel
from specc.runtime.evaluations import EvaluationsFile
from specc.runtime.metrics import Epoch, MetricsFile
from specc.runtime.run import RunFolder
from specc.runtime.snapshot import Snapshot


class Keeper(Protocol):
    """Keeps the last and the best state of training, and the metrics of each epoch."""

    @property
    def name(self) -> str:
        """The name of the last checkpoint, for messages."""
        ...

    @property
    def location(self) -> str:
        """The file or folder that a message names if the model has no source location."""
        ...

    def append(self, epoch: Epoch) -> None:
        """Add the metrics of an epoch."""

    def evaluated(self, step: int, seconds: float, values: Mapping[str, float]) -> None:
        """Keep the validation results after `step` training steps, within an epoch."""

    def epoch(self, progress: Progress, is_best: bool) -> None:
        """Keep the model as the last state, and as the best if `is_best`."""

    def now(self, progress: Progress) -> None:
        """Keep the model as the last state, within an epoch."""

    def is_due(self, seconds: float) -> bool:
        """Return whether the last checkpoint is at least `seconds` old."""
        ...

    def flush(self) -> None:
        """Write what is waiting in memory."""

    def save(self, progress: Progress) -> None:
        """Keep the model as the last state, at once."""

    def restore(self) -> Progress:
        """Load the last state into the model and return its progress."""
        ...


class InFolder(Checkpoints):
    """Keeps everything in a run's files. Metrics of epochs after `epoch` are dropped."""

    def __init__(self, run: RunFolder, net: CompiledModel, epoch: int = 0) -> None:
        self.metrics = MetricsFile(run.metrics, net.columns, epoch)
        self.evaluations = EvaluationsFile(run.folder, net.columns)
        super().__init__(run.last, run.best, net, before=self.metrics.sync)
        self.name, self.location = f"`{run.last}`", str(run.folder)

    def append(self, epoch: Epoch) -> None:
        self.metrics.append(epoch)

    def evaluated(self, step: int, seconds: float, values: Mapping[str, float]) -> None:
        self.evaluations.append(step, seconds, values)

    def save(self, progress: Progress) -> None:
        checkpoint.save(self.last, self.net, progress)

    def restore(self) -> Progress:
        return checkpoint.restore(self.last, self.net)


class InMemory:
    """Keeps copies of the model's arrays; `epochs` has the metrics of each epoch."""

    def __init__(self, net: CompiledModel) -> None:
        self.net = net
        self.name, self.location = "the model", net.name
        self.epochs: list[Epoch] = []
        self.evaluations: list[tuple[int, dict[str, float]]] = []
        self._last, self._best = Snapshot(), Snapshot()
        self._progress = Progress()
        self._saved = time.monotonic()

    def append(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)

    def evaluated(self, step: int, seconds: float, values: Mapping[str, float]) -> None:
        self.evaluations.append((step, dict(values)))

    def epoch(self, progress: Progress, is_best: bool) -> None:
        self.now(progress)
        if is_best:
            self._best.take(tensors(self.net).items())

    def now(self, progress: Progress) -> None:
        self.save(progress)

    def is_due(self, seconds: float) -> bool:
        return time.monotonic() >= self._saved + seconds

    def flush(self) -> None:
        pass

    def save(self, progress: Progress) -> None:
        self._last.take(tensors(self.net).items())
        self._progress = replace(progress)
        self._saved = time.monotonic()

    def restore(self) -> Progress:
        self._last.restore(tensors(self.net))
        progress = replace(self._progress)
        if not progress.step:
            progress.records = np.zeros((0, self.net.record_width))
        return progress

    def restore_best(self) -> None:
        """Load the state after the best epoch into the model, if an epoch is complete."""
        if self._best:
            self._best.restore(tensors(self.net))
