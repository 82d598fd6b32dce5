"""The Python object of a trained run: its metrics, its net and its folder.

run = specc.train("digits.dl", epochs=5)
run.metrics["val_accuracy"]        # [0.91, 0.94, ...]
run.net.predict(frame)
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specc.runs.summary import Summary, curves, summary
from specc.system import plotter

if TYPE_CHECKING:
    from specc.net.net import Net


class Metrics(list[dict[str, float]]):
    """The lines of metrics.csv: a dict for each epoch; `metrics["val_loss"]` is a column.

    >>> metrics = Metrics([{"epoch": 1, "train_loss": 0.5}, {"epoch": 2, "train_loss": 0.25}])
    >>> metrics["train_loss"], metrics[-1]["epoch"]
    ([0.5, 0.25], 2)
    >>> print(metrics)
    epoch  train_loss
        1         0.5
        2        0.25
    """

    @property
    def columns(self) -> list[str]:
        """The names of the columns.

        >>> Metrics([{"epoch": 1, "train_loss": 0.5}]).columns
        ['epoch', 'train_loss']
        """
        return list(super().__getitem__(0)) if self else []

    def __getitem__(self, place: Any) -> Any:
        if not isinstance(place, str):
            return super().__getitem__(place)
        if place not in self.columns:
            raise KeyError(f"{place!r}: the columns are {', '.join(self.columns)}")
        return [row[place] for row in self]

    def __repr__(self) -> str:
        names = self.columns
        cells = [names, *([shown(row[name]) for name in names] for row in self)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join(
            "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
            for row in cells
        )

    __str__ = __repr__

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>" + "".join(f"<td>{shown(value)}</td>" for value in row.values()) + "</tr>"
            for row in self
        )
        head = "".join(f"<th>{escape(name)}</th>" for name in self.columns)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def shown(value: float) -> str:
    """Return a value as text for a table."""
    return "" if math.isnan(value) else f"{value:.4g}" if value != int(value) else f"{value:g}"


class Run:
    """A run: `folder`, `metrics` (a table) and `net` (with the weights of the best epoch).

    `outcome` is "finished", "early" or "interrupted".
    """

    def __init__(self, folder: Path, net: Net | None = None, outcome: str = "") -> None:
        self.folder, self.outcome = folder, outcome
        self._net = net

    @property
    def metrics(self) -> Metrics:
        """The metrics of each epoch; see `Metrics`.

        >>> import tempfile
        >>> run = specc.train("models/linear.dl", epochs=1, runs=tempfile.mkdtemp(), quiet=True)
        >>> run.metrics["epoch"], run.metrics.columns[:4]
        ([1], ['epoch', 'step', 'seconds', 'train_loss'])
        """
        return _table(curves(self.folder))

    @property
    def evaluations(self) -> Metrics:
        """The metrics of validations within epochs, which `validate_every` asks for.

        >>> import tempfile
        >>> more = {"validate_every": 20, "epochs": 1, "quiet": True}
        >>> run = specc.train("models/digits.dl", runs=tempfile.mkdtemp(), **more)
        >>> run.evaluations["step"], run.evaluations.columns[:3]
        ([20, 40], ['step', 'seconds', 'val_loss'])
        """
        from specc.runtime.evaluations import NAME

        return _table(curves(self.folder, NAME))

    @property
    def net(self) -> Net:
        """The trained model, with the weights of the best epoch.

        >>> import tempfile
        >>> run = specc.train("models/linear.dl", epochs=1, runs=tempfile.mkdtemp(), quiet=True)
        >>> run.net
        <Net linear: 650 parameters, float32, batch 32>
        """
        if self._net is None:
            from specc.runs.opened import open_net

            self._net = open_net(self.folder)
        return self._net

    def plot(self, kind: str, **options: Any) -> Any:
        """Plot the run: `run.plot("curves")`. A notebook shows the result. See `specc.plot`.

        >>> import tempfile
        >>> run = specc.train("models/linear.dl", epochs=1, runs=tempfile.mkdtemp(), quiet=True)
        >>> run.plot("curves")
        <Figure curves: Curves>
        """
        return plotter.draw(self, kind, **options)

    @property
    def summary(self) -> Summary:
        """The run at a glance: its metrics at the best epoch, its status and its time.

        >>> import tempfile
        >>> run = specc.train("models/linear.dl", epochs=1, runs=tempfile.mkdtemp(), quiet=True)
        >>> run.summary.epochs, run.summary.best_epoch
        (1, 1)
        """
        return summary(self.folder, str(self.folder))

    def __repr__(self) -> str:
        found = self.summary
        part = "validation" if found.part == "val" else "training"
        metrics = " ".join(f"{name} {value:.4g}" for name, value in found.metrics.items())
        best = f", best epoch {found.best_epoch}: {part} {metrics}" if found.best_epoch else ""
        return f"<Run {self.folder}: {found.epochs} of {found.of_epochs} epochs{best}>"

    def _repr_html_(self) -> str:
        columns = curves(self.folder)
        lines: dict[str, list[float]] = {
            name: columns[name] for name in ("train_loss", "val_loss") if name in columns
        }
        return f"<p>{escape(repr(self)[1:-1])}</p>{curves_svg(lines)}"


def _table(columns: dict[str, list[float]]) -> Metrics:
    whole = ("epoch", "step")
    return Metrics(
        {name: int(value) if name in whole else value for name, value in row.items()}
        for row in _rows(columns)
    )


def _rows(columns: dict[str, list[float]]) -> Iterable[dict[str, float]]:
    return (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))


COLORS = ("#1f77b4", "#d95f02", "#2ca02c", "#9467bd")
WIDTH, HEIGHT, EDGE = 480, 200, 36


def curves_svg(lines: dict[str, list[float]]) -> str:
    """Return curves over the epochs as SVG, labeled with their last values."""
    known = {name: values for name, values in lines.items() if any(map(math.isfinite, values))}
    finite = [each for values in known.values() for each in values if math.isfinite(each)]
    if not finite:
        return ""
    low, high = min(finite), max(finite)
    span = (high - low) or 1.0
    longest = max(map(len, known.values()))
    parts: list[str] = []
    for color, (name, values) in zip(COLORS, known.items(), strict=False):
        points = " ".join(
            f"{EDGE + k * (WIDTH - 2 * EDGE) / max(longest - 1, 1):.1f},"
            f"{HEIGHT - EDGE - (value - low) / span * (HEIGHT - 2 * EDGE):.1f}"
            for k, value in enumerate(values)
            if math.isfinite(value)
        )
        y = EDGE / 2 + 14 * len(parts)
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>'
            f'<text x="{WIDTH - EDGE}" y="{y:.0f}" fill="{color}" text-anchor="end">'
            f"{escape(name)} {values[-1]:.4g}</text>"
        )
    axes = (
        f'<path d="M{EDGE} {EDGE}V{HEIGHT - EDGE}H{WIDTH - EDGE}" fill="none" stroke="#888"/>'
        f'<text x="{EDGE - 4}" y="{HEIGHT - EDGE}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{EDGE - 4}" y="{EDGE + 8}" text-anchor="end">{high:.3g}</text>'
        f'<text x="{WIDTH - EDGE}" y="{HEIGHT - EDGE + 16}" text-anchor="end">'
        f"epoch {longest}</text>"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}"'
        f' font-family="sans-serif" font-size="11">{axes}{"".join(parts)}</svg>'
    )
