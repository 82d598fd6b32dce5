"""`metrics.csv` of a run: a line for each epoch.

    epoch,step,seconds,train_loss,val_loss,train_accuracy,val_accuracy

Behind the loss come the metrics, then the terms of the loss where there are several. Without
validation the cells of `val_` columns are empty.
"""

from __future__ import annotations

import csv
import errno
import io
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from specc.runtime.errors import RunError, run_error
from specc.runtime.files import reason, write


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
    """The file, to be appended to. Lines of later epochs than `epoch` are dropped from it.

    Raises `RunError` where what is there is no table of such epochs, or cannot be written.
    """

    def __init__(self, path: Path, columns: Sequence[str], epoch: int = 0) -> None:
        self.path = path
        self.names = list(short_names(columns).values())
        header = ["epoch", "step", "seconds"]
        header += [f"{part}_{name}" for name in self.names for part in ("train", "val")]
        rows = read_table(path) if path.is_file() else []
        if rows and list(rows[0]) != header:
            raise _damaged(path, f"its columns are {', '.join(rows[0])}; the model has"
                           f" {', '.join(header)}")
        kept = [list(row.values()) for row in rows if int(row["epoch"]) <= epoch]
        lines = "".join(",".join(row) + "\n" for row in [header, *kept])
        write(path, lines.encode())
        self.size = path.stat().st_size

    def append(self, epoch: Epoch) -> None:
        """Add the line of an epoch, or none of it."""
        cells = [str(epoch.epoch), str(epoch.step), f"{epoch.seconds:.3f}"]
        for name in self.names:
            held_out = "" if epoch.validation is None else f"{epoch.validation[name]:.8g}"
            cells += [f"{epoch.training[name]:.8g}", held_out]
        line = (",".join(cells) + "\n").encode()
        try:
            with self.path.open("ab", buffering=0) as file:
                self.size = file.tell()
                if file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            with suppress(OSError):
                os.truncate(self.path, self.size)
            raise run_error(
                f"`{self.path}` cannot be written: {reason(error)}", self.path
            ) from None


def read_table(path: Path) -> list[dict[str, str]]:
    """The lines of a file by their columns. Raises `RunError` where it is no table of epochs."""
    try:
        text = path.read_text(encoding="utf-8")
        rows = list(csv.reader(io.StringIO(text)))
    except OSError as error:
        raise run_error(f"`{path}` cannot be read: {reason(error)}", path) from None
    except (ValueError, csv.Error):
        raise _damaged(path, "it is no table") from None
    if not rows:
        return []
    header, found = rows[0], []
    if header[:3] != ["epoch", "step", "seconds"] or "train_loss" not in header:
        raise _damaged(path, "line 1 does not name the columns epoch, step, seconds, ..")
    for line, row in enumerate(rows[1:], 2):
        if not row:
            continue
        if len(row) != len(header):
            if line == len(rows) and not text.endswith("\n"):
                break  # it was being written when the process was killed
            raise _damaged(path, f"line {line} has {len(row)} cells, and the first {len(header)}")
        for name, cell in zip(header, row, strict=True):
            whole = name in ("epoch", "step")
            if not (cell.isdecimal() if whole else _is_number(cell)):
                raise _damaged(path, f"line {line}: `{cell}` is no {name}")
        found.append(dict(zip(header, row, strict=True)))
    return found


def values_of(path: Path, epoch: int) -> tuple[str, dict[str, float]] | None:
    """An epoch in a file: "val" (or "train" without validation), and its values. None without it."""
    rows = [row for row in read_table(path) if int(row["epoch"]) == epoch]
    if not rows:
        return None
    best = rows[-1]
    part = "val" if best.get("val_loss") else "train"
    values = {
        name.removeprefix(f"{part}_"): float(cell)
        for name, cell in best.items()
        if name.startswith(f"{part}_") and cell
    }
    return part, values


def _is_number(cell: str) -> bool:
    try:
        float(cell or "0")
    except ValueError:
        return False
    return True


def _damaged(path: Path, why: str) -> RunError:
    return run_error(f"`{path}` is damaged: {why}", path,
                     help="mend it, or move it away: training goes on without it")
