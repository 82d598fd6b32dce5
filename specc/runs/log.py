"""Logs of training for other tools: JSON lines, and TensorBoard.

watch = logged("jsonl", run.folder, watch)       # <run>/log.jsonl
watch = logged("tensorboard", run.folder, watch) # <run>/tensorboard, by tensorboardX
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

from specc.runtime.metrics import Epoch, Evaluation
from specc.runtime.train import Watch

KINDS = ("jsonl", "tensorboard")


def logged(kind: str, folder: Path, watch: Watch) -> LogWatch:
    """Return a watch that also writes a log. Raises ImportError if a package is missing."""
    return Jsonl(folder, watch) if kind == "jsonl" else TensorBoard(folder, watch)


class LogWatch:
    """A watch that forwards everything to another watch."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def steps(self, epoch: int, step: int, loss: float, examples_per_second: float) -> None:
        self._watch.steps(epoch, step, loss, examples_per_second)

    def evaluation(self, evaluation: Evaluation) -> None:
        self._watch.evaluation(evaluation)

    def epoch(self, epoch: Epoch) -> bool | None:
        return self._watch.epoch(epoch)

    def close(self) -> None:
        """Finish writing and close the log."""


class Jsonl(LogWatch):
    """Writes `log.jsonl`: one JSON object per progress report, and one per epoch."""

    def __init__(self, folder: Path, watch: Watch) -> None:
        super().__init__(watch)
        self._file = (folder / "log.jsonl").open("a", encoding="utf-8")

    def steps(self, epoch: int, step: int, loss: float, examples_per_second: float) -> None:
        super().steps(epoch, step, loss, examples_per_second)
        self._write(
            {
                "event": "steps",
                "epoch": epoch,
                "step": step,
                "train_loss": loss,
                "examples_per_second": examples_per_second,
            }
        )

    def evaluation(self, evaluation: Evaluation) -> None:
        named = {"event": "evaluation", "epoch": evaluation.epoch, "step": evaluation.step}
        found = {f"val_{name}": value for name, value in evaluation.validation.items()}
        self._write({**named, "seconds": evaluation.seconds, **found})
        super().evaluation(evaluation)

    def epoch(self, epoch: Epoch) -> bool | None:
        named = {"event": "epoch", "epoch": epoch.epoch, "step": epoch.step}
        self._write({**named, "seconds": epoch.seconds, **metrics_of(epoch)})
        return super().epoch(epoch)

    def _write(self, record: dict[str, Any]) -> None:
        known = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in record.items()
        }
        self._file.write(json.dumps({"time": time.time(), **known}) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class TensorBoard(LogWatch):
    """Writes scalars for TensorBoard, over the steps of training."""

    def __init__(self, folder: Path, watch: Watch) -> None:
        super().__init__(watch)
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder / "tensorboard"))

    def evaluation(self, evaluation: Evaluation) -> None:
        for name, value in evaluation.validation.items():
            self._writer.add_scalar(f"{name}/val", value, evaluation.step)
        super().evaluation(evaluation)

    def epoch(self, epoch: Epoch) -> bool | None:
        for name, value in metrics_of(epoch).items():
            part, _, short = name.partition("_")
            self._writer.add_scalar(f"{short}/{part}", value, epoch.step)
        self._writer.add_scalar("examples_per_second", epoch.examples_per_second, epoch.step)
        self._writer.flush()
        return super().epoch(epoch)

    def close(self) -> None:
        self._writer.close()


def metrics_of(epoch: Epoch) -> dict[str, float]:
    """Return the metrics of an epoch, with the names of metrics.csv."""
    found = {f"train_{name}": value for name, value in epoch.training.items()}
    return {**found, **{f"val_{name}": value for name, value in (epoch.validation or {}).items()}}
