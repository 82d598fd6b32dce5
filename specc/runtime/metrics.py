"""`metrics.csv` of a run: one line per epoch.

    epoch,step,seconds,train_loss,val_loss,train_accuracy,val_accuracy

The loss is followed by the metrics, then by the terms of the loss if there are several. Without
validation the cells of `val_` columns are empty.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from specc.runtime import files
from specc.runtime.errors import RunError, run_error
from specc.runtime.files import reason, write, write_all
from specc.system.records import dataclass


@dataclass(frozen=True)
class Epoch:
    """The results of an epoch.

    `training` and `validation` have the `short_names` as keys; `watched` is the value by which the
    best epoch is chosen.
    """

    epoch: int  # number of epochs done, including this one
    step: int  # number of training steps done
    seconds: float
    training: dict[str, float]
    validation: dict[str, float] | None
    examples_per_second: float
    is_best: bool
    watched: float = math.nan


@dataclass(frozen=True)
class Evaluation:
    """An evaluation within an epoch, which `validate_every` asks for; names are as in `Epoch`."""

    epoch: int  # the epoch that it is in
    step: int  # steps done
    seconds: float
    validation: dict[str, float]
    is_best: bool
    watched: float


def short_names(columns: Sequence[str]) -> dict[str, str]:
    """Return the name in reports of each column of a compiled model, in the order of reports.

    "metric.accuracy" becomes `accuracy`, and "loss.penalty" becomes `penalty` unless a metric has
    that name. If the loss has a single term, the term is left out.
    """
    terms = [name for name in columns if name.startswith("loss.")]
    metrics = [name for name in columns if name.startswith("metric.")]
    names = {"loss": "loss"} | {name: name.removeprefix("metric.") for name in metrics}
    for name in terms if len(terms) > 1 else []:
        short = name.removeprefix("loss.")
        names[name] = name if short in names.values() else short
    return names


class MetricsFile:
    """The file, opened for appending. Lines of epochs after `epoch` are dropped.

    Checkpoints are written after `sync`. After a crash, the file therefore has the lines of all
    epochs up to the checkpoint from which training resumes. Raises `RunError` if the file is not a
    table of epochs with these columns, or cannot be written.
    """

    def __init__(self, path: Path, columns: Sequence[str], epoch: int = 0) -> None:
        self.path = path
        self.names = list(short_names(columns).values())
        self._is_synced = True
        header = ["epoch", "step", "seconds"]
        header += [f"{part}_{name}" for name in self.names for part in ("train", "val")]
        rows = read_table(path, epoch) if path.is_file() else []
        if rows and list(rows[0]) != header:
            raise _damaged(
                path, f"its columns are {', '.join(rows[0])}; the model has {', '.join(header)}"
            )
        lines = "".join(",".join(row) + "\n" for row in [header, *map(dict.values, rows)])
        write(path, lines.encode())

    def append(self, epoch: Epoch) -> None:
        """Add the line of an epoch, whole or not at all."""
        cells = [str(epoch.epoch), str(epoch.step), f"{epoch.seconds:.3f}"]
        for name in self.names:
            held_out = "" if epoch.validation is None else f"{epoch.validation[name]:.8g}"
            cells += [f"{epoch.training[name]:.8g}", held_out]
        line = (",".join(cells) + "\n").encode()
        self._is_synced = False
        try:
            size = self.path.stat().st_size
            handle = files.disk.open_end(self.path)
            try:
                write_all(handle, line)
            except BaseException:
                with suppress(OSError):
                    files.disk.truncate(handle, size)
                raise
            finally:
                files.disk.close(handle)
        except OSError as error:
            raise self._unwritable(error) from None

    def sync(self) -> None:
        """Wait until all lines are on the disk. Raises `RunError`."""
        if self._is_synced:
            return
        try:
            handle = files.disk.open_end(self.path)
            try:
                files.disk.sync(handle)
            finally:
                files.disk.close(handle)
        except OSError as error:
            raise self._unwritable(error) from None
        self._is_synced = True

    def _unwritable(self, error: OSError) -> RunError:
        return run_error(f"cannot write `{self.path}`: {reason(error)}", self.path)


def read_table(path: Path, last: int | None = None) -> list[dict[str, str]]:
    """Return the lines of a metrics file, each as a dict by column name.

    With `last`, reading stops after the line of that epoch, because a crash can leave anything
    after it: lines of later epochs, part of a line, or bytes that the file system never filled.
    Raises `RunError` if the file is not a table of epochs.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise run_error(f"cannot read `{path}`: {reason(error)}", path) from None
    header: list[str] = []
    found: list[dict[str, str]] = []
    lines = content.split(b"\n")
    for number, line in enumerate(lines, 1):
        is_over = (
            last is not None
            and bool(header)
            and (last == 0 or (bool(found) and int(found[-1]["epoch"]) >= last))
        )
        if is_over:
            break
        try:
            row = _cells(path, line)
            if not row:
                continue
            if not header:
                if row[:3] != ["epoch", "step", "seconds"] or "train_loss" not in row:
                    raise _damaged(
                        path, "line 1 does not name the columns epoch, step, seconds, .."
                    )
                header = row
                continue
            if len(row) != len(header):
                raise _damaged(
                    path, f"line {number} has {len(row)} cells, and the first {len(header)}"
                )
            for name, cell in zip(header, row, strict=True):
                whole = name in ("epoch", "step")
                if not (cell.isdecimal() if whole else _is_number(cell)):
                    raise _damaged(path, f"line {number}: `{cell}` is not a valid {name}")
        except RunError:
            if number == len(lines) and header:
                break  # it was being written when the process was killed
            raise
        if last is not None and int(row[0]) > last:
            break
        found.append(dict(zip(header, row, strict=True)))
    return found


def _cells(path: Path, line: bytes) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(line.decode())), [])
    except (ValueError, csv.Error):
        raise _damaged(path, "it is not a table") from None


def values_of(path: Path, epoch: int) -> tuple[str, dict[str, float]] | None:
    """Return "val" (or "train" without validation) and an epoch's values, or None."""
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
    return run_error(
        f"`{path}` is damaged: {why}",
        path,
        help="repair it or move it away: training continues without it",
    )
