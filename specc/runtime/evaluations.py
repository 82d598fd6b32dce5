"""`evaluations.csv` of a run: one line for each validation within an epoch.

    step,seconds,val_loss,val_accuracy

Training that continues from a checkpoint first drops the lines that it will write again.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from specc.runtime.files import write
from specc.runtime.metrics import short_names

NAME = "evaluations.csv"


class EvaluationsFile:
    """The file, rewritten for each new line. Raises `RunError` if it cannot be written."""

    def __init__(self, folder: Path, columns: Sequence[str]) -> None:
        self.path = folder / NAME
        self.names = list(short_names(columns).values())
        self.lines: list[str] | None = None

    def append(self, step: int, seconds: float, values: Mapping[str, float]) -> None:
        """Add the values after `step` training steps, and drop lines of later steps."""
        header = ",".join(["step", "seconds", *(f"val_{name}" for name in self.names)])
        if self.lines is None:
            self.lines = [header]
            if self.path.is_file():
                old = self.path.read_text(encoding="utf-8", errors="replace").splitlines()[1:]
                self.lines += [each for each in old if _is_before(each, step)]
        cells = [str(step), f"{seconds:.3f}", *(f"{values[name]:.8g}" for name in self.names)]
        self.lines.append(",".join(cells))
        write(self.path, "".join(f"{each}\n" for each in self.lines).encode())


def values_of(folder: Path, step: int) -> dict[str, float] | None:
    """Return the metrics of the evaluation after so many steps; None if there is none."""
    path = folder / NAME
    if not path.is_file():
        return None
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        for row in csv.DictReader(file):
            if row.get("step") == str(step):
                try:
                    return {
                        name.removeprefix("val_"): float(cell)
                        for name, cell in row.items()
                        if name.startswith("val_")
                    }
                except (TypeError, ValueError):
                    return None
    return None


def _is_before(line: str, step: int) -> bool:
    first = line.partition(",")[0]
    return first.isdecimal() and int(first) < step
