"""`metrics.csv` of a run: a line for each epoch.

    epoch,step,seconds,train_loss,val_loss,train_accuracy,val_accuracy

Behind the loss come the metrics, then the terms of the loss where there are several. Without
validation the cells of `val_` columns are empty.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to. `training` and `validation` have the `short_names` as keys."""

    epoch: int  # epochs done, this one included
    step: int  # steps done
    seconds: float
    training: dict[str, float]
    validation: dict[str, float] | None
    examples_per_second: float
    is_best: bool


def short_names(columns: Sequence[str]) -> dict[str, str]:
    """How the columns of a compiled model are called in reports, in their order there.

    "metric.accuracy" is `accuracy`; "loss.penalty" is `penalty`, or in full where a metric has that
    name. A single term of the loss is the loss, and is left out.
    """
    terms = [name for name in columns if name.startswith("loss.")]
    metrics = [name for name in columns if name.startswith("metric.")]
    names = {"loss": "loss"} | {name: name.removeprefix("metric.") for name in metrics}
    for name in terms if len(terms) > 1 else []:
        short = name.removeprefix("loss.")
        names[name] = name if short in names.values() else short
    return names


class MetricsFile:
    """The file, open for appending. Lines of later epochs than `epoch` are dropped from it."""

    def __init__(self, path: Path, columns: Sequence[str], epoch: int = 0) -> None:
        self.path = path
        self.names = list(short_names(columns).values())
        header = ["epoch", "step", "seconds"]
        header += [f"{part}_{name}" for name in self.names for part in ("train", "val")]
        kept = [header]
        if path.is_file():
            rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8")))
            kept += [row for row in rows if row and row[0].isdigit() and int(row[0]) <= epoch]
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        beside.write_text("".join(",".join(row) + "\n" for row in kept), encoding="utf-8")
        os.replace(beside, path)

    def append(self, epoch: Epoch) -> None:
        cells = [str(epoch.epoch), str(epoch.step), f"{epoch.seconds:.3f}"]
        for name in self.names:
            held_out = "" if epoch.validation is None else f"{epoch.validation[name]:.8g}"
            cells += [f"{epoch.training[name]:.8g}", held_out]
        with self.path.open("a", encoding="utf-8") as file:
            file.write(",".join(cells) + "\n")


def best_epoch(path: Path) -> tuple[int, str, dict[str, float]] | None:
    """The best epoch in a file: its number, "val" (or "train" without validation), its values."""
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        return None
    part = "val" if rows[0]["val_loss"] else "train"
    best = min(rows, key=lambda row: float(row[f"{part}_loss"]))
    values = {
        name.removeprefix(f"{part}_"): float(cell)
        for name, cell in best.items()
        if name.startswith(f"{part}_")
    }
    return int(best["epoch"]), part, values
