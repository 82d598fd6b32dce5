"""The status and results of a run, without loading its model: for tables and `@best`.

found = summary(Path("runs/digits/3"))
found.metrics            # {"loss": 0.18, "accuracy": 0.958}: validation, of the best epoch
"""

from __future__ import annotations

import csv
from dataclasses import field
from pathlib import Path

from specc.system.records import dataclass

SHOWN = 8  # hex digits of the hash of a file


@dataclass(frozen=True)
class Summary:
    """A run at a glance.

    `metrics` has the metrics of the best epoch, on the validation part (`part` is "val") or the
    training part ("train"). `spec` is the beginning of the hash of model.dl. `overrides` has those
    of the command line and the values of a sweep's trial. `problem` says why a run cannot be read.
    """

    name: str
    folder: Path
    status: str = ""
    epochs: int = 0
    of_epochs: int = 0
    best_epoch: int = 0
    seconds: float = 0.0
    part: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    spec: str = ""
    overrides: dict[str, str] = field(default_factory=dict)
    problem: str = ""


def summary(folder: Path, name: str) -> Summary:
    """Return the summary of a run; the summary of a damaged run has a `problem`."""
    from specc.runtime.best import best_of
    from specc.runtime.errors import RunError
    from specc.runtime.run import open_run

    try:
        run = open_run(folder)
        rows = _rows(run.metrics)
    except RunError as error:
        return Summary(name, folder, problem=error.diagnostics[0].message)
    record = run.record
    best = best_of(run)
    part, metrics = metrics_of(rows[-1] if rows else {})
    if best is not None:
        part, metrics = best.part, best.metrics
    return Summary(
        name,
        folder,
        record.status,
        int(rows[-1]["epoch"]) if rows else 0,
        record.epochs,
        best_epoch(folder),
        float(rows[-1]["seconds"]) if rows else 0.0,
        part,
        metrics,
        record.pins.texts.get("model.dl", "")[:SHOWN] if record.pins else "",
        {**record.sweep, **record.overrides},
    )


def _rows(path: Path) -> list[dict[str, str]]:
    from specc.runtime.metrics import read_table

    return read_table(path) if path.is_file() else []


def best_epoch(folder: Path) -> int:
    """Return the number of the epoch with the best evaluation; 0 if there is none."""
    from specc.runtime.checkpoint import progress_of

    found = progress_of(folder / "best.safetensors")
    return found.epoch + bool(found.step) if found is not None else 0


def best_value(folder: Path) -> float | None:
    """Return the monitored value of a run's best epoch, negated if more is better; or None."""
    from specc import driver
    from specc.diagnostics import SpecError
    from specc.runtime.checkpoint import progress_of
    from specc.runtime.run import open_run

    found = progress_of(folder / "best.safetensors")
    if found is None or found.best is None:
        return None
    try:
        record = open_run(folder).record
        changes: dict[str, str | int] = {**record.sizes, **record.overrides}
        monitor = driver.load(folder / "model.dl", changes).recipe.monitor
    except SpecError:
        return None
    return -found.best if monitor is not None and monitor.is_max else found.best


def metrics_of(row: dict[str, str]) -> tuple[str, dict[str, float]]:
    """Return the part of a line of metrics.csv, "val" or "train", and its metrics by name."""
    part = "val" if row.get("val_loss") else "train"
    names = {name: name.removeprefix(f"{part}_") for name in row if name.startswith(f"{part}_")}
    return part, {short: float(row[name]) for name, short in names.items() if row[name]}


def curves(folder: Path, name: str = "metrics.csv") -> dict[str, list[float]]:
    """Return the columns of metrics.csv, or of another table of the run, by name."""
    path = folder / name
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        name: [float(row[name]) if row[name] else float("nan") for row in rows]
        for name in (rows[0] if rows else {})
    }
