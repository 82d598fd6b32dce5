"""Draw a flow of gradients: a panel for the layers and one for each cell, on a log scale.

write(flow, Path("flow.svg"))      # plain text, by this module; .png and .pdf by matplotlib
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from specc.flow import Flow

DRAWN = (".png", ".pdf")
COLOURS = ("#0072b2", "#d55e00")  # told apart by all eyes (Okabe and Ito 2008)
WIDTH, HEIGHT = 760, 210  # of the drawing, and of what lies between the axes of a panel; in pixels
LEFT, RIGHT, TOP, BOTTOM = 70, 30, 58, 54
MIDDLE = 'text-anchor="middle"'
TURN = 35  # degrees, of names below the axis
LONGEST_NAME = 24
MOST_NAMES, MOST_STEPS = 21, 14


@dataclass(frozen=True)
class Series:
    name: str
    values: Sequence[float]
    is_dashed: bool = False


@dataclass(frozen=True)
class Panel:
    """Curves over 1, 2, ...; `names` stand below instead of these numbers."""

    title: str
    x: str
    series: tuple[Series, ...]
    names: tuple[str, ...] = ()

    @property
    def bounds(self) -> tuple[int, int]:
        """The powers of ten between which all lies."""
        logs = [
            math.log10(each) for line in self.series for each in line.values if 0 < each < math.inf
        ]
        if not logs:
            return -1, 1
        low, high = math.floor(min(logs)), math.ceil(max(logs))
        return low - (high - low < 2), max(high, low + 1)


def check(path: Path) -> None:
    """Raises a usage error for a file that cannot be drawn."""
    kind = path.suffix.lower()
    if kind not in (".svg", *DRAWN):
        raise click.UsageError(f"`{path}` is none of .svg, .png and .pdf, which a plot can be")
    if kind in DRAWN and importlib.util.find_spec("matplotlib") is None:
        raise click.UsageError(
            f"a plot as {kind} needs matplotlib: `pip install 'specc-nn[plot]'`; .svg needs nothing"
        )
    if not path.absolute().parent.is_dir():
        raise click.UsageError(f"there is no folder `{path.parent}` for the plot")


def write(flow: Flow, path: Path) -> None:
    """Draw the flow into a file."""
    shown = panels(flow)
    try:
        if path.suffix.lower() == ".svg":
            path.write_text(svg(shown), encoding="utf-8")
        else:
            draw(shown, path)
    except OSError as error:
        raise click.UsageError(f"cannot write `{path}`: {error.strerror}") from None


def panels(flow: Flow) -> list[Panel]:
    layers = [each for each in flow.layers if each.gradient is not None]
    found = [Panel(
        f"{flow.model}: layer by layer", "layer",
        (Series("activation", [each.activation for each in layers], True),
         Series("gradient for it", [each.gradient or 0.0 for each in layers])),
        tuple(each.path for each in layers),
    )]  # fmt: skip
    for cell in flow.cells:
        series = [Series(f"what comes back from step {cell.start}", cell.carried)]
        if any(abs(a - b) > 1e-6 * b for a, b in zip(cell.carried, cell.total, strict=True)):
            series.append(Series("of the whole loss", cell.total, True))
        title = f"{cell.path}: gradient for {' and '.join(cell.states)}, step by step"
        found.append(Panel(title, "step", tuple(series)))
    return found


def _ticks(low: int, high: int) -> list[int]:
    """Powers of ten to write at the side, at most eight."""
    step = -(-(high - low) // 7)
    return list(range(low, high + 1, step))


def _places(panel: Panel) -> list[tuple[int, str]]:
    """What to write below, by the number of the point from 0."""
    count = max((len(each.values) for each in panel.series), default=0)
    if panel.names:
        return [
            (k, panel.names[k][:LONGEST_NAME]) for k in range(0, count, -(-count // MOST_NAMES))
        ]
    step = next(s * 10**e for e in range(9) for s in (1, 2, 5) if s * 10**e * MOST_STEPS >= count)
    return [(0, "1"), *((k - 1, str(k)) for k in range(step, count + 1, step) if k > 1)]


def svg(shown: Sequence[Panel]) -> str:
    """The panels below each other, as SVG."""
    parts, top = [], 0
    for panel in shown:
        longest = max((len(name) for name in panel.names), default=0)
        parts.append(f'<g transform="translate(0 {top})">\n{_svg_panel(panel)}</g>\n')
        top += TOP + HEIGHT + BOTTOM + 4 * min(longest, LONGEST_NAME)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}"'
        f' viewBox="0 0 {WIDTH} {top}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="{WIDTH}" height="{top}" fill="white"/>\n{"".join(parts)}</svg>\n'
    )


def _svg_panel(panel: Panel) -> str:
    low, high = panel.bounds
    count = max((len(each.values) for each in panel.series), default=1)
    places, inset = _places(panel), 0.5 if panel.names else 0.0
    # the first name leans to the left
    left = max([LEFT, *(int(6 * len(name)) for _, name in places[:1] if panel.names)])
    wide, tall = WIDTH - left - RIGHT, HEIGHT

    def x(k: float) -> float:
        return left + wide * (k + inset) / max(count - 1 + 2 * inset, 1)

    def y(log: float) -> float:
        return TOP + tall * (high - log) / (high - low)

    out = [
        f'<text x="{left}" y="22" font-size="14" font-weight="bold">{escape(panel.title)}</text>'
    ]
    for power in _ticks(low, high):
        at = f"{y(power):.1f}"
        out.append(f'<line x1="{left}" y1="{at}" x2="{left + wide}" y2="{at}" stroke="#ddd"/>')
        out.append(
            f'<text x="{left - 8}" y="{y(power) + 4:.1f}" text-anchor="end">1e{power}</text>'
        )
    for k, name in places:
        place = f'x="{x(k):.1f}" y="{TOP + tall + 18}"'
        turn = f'text-anchor="end" transform="rotate(-{TURN} {x(k):.1f} {TOP + tall + 18})"'
        out.append(
            f'<line x1="{x(k):.1f}" y1="{TOP + tall}" x2="{x(k):.1f}" y2="{TOP + tall + 4}"'
            ' stroke="#888"/>'
        )
        out.append(f"<text {place} {turn if panel.names else MIDDLE}>{escape(name)}</text>")
    out.append(
        f'<rect x="{left}" y="{TOP}" width="{wide}" height="{tall}" fill="none" stroke="#888"/>'
    )
    if not panel.names:
        out.append(f'<text x="{left + wide / 2}" y="{TOP + tall + 38}" {MIDDLE}>{panel.x}</text>')
    across = left
    for line, colour in zip(panel.series, COLOURS, strict=False):
        dash = ' stroke-dasharray="5 4"' if line.is_dashed else ""
        style = f'fill="none" stroke="{colour}" stroke-width="2"{dash}'
        for run in _runs(line.values):
            points = " ".join(f"{x(k):.1f},{y(log):.1f}" for k, log in run)
            out.append(f'<polyline points="{points}" {style}/>')
            if panel.names or len(run) == 1:
                out += [
                    f'<circle cx="{x(k):.1f}" cy="{y(log):.1f}" r="3" fill="{colour}"/>'
                    for k, log in run
                ]
        out.append(f'<line x1="{across}" y1="40" x2="{across + 24}" y2="40" {style}/>')
        out.append(f'<text x="{across + 30}" y="44">{escape(line.name)}</text>')
        across += 60 + 7 * len(line.name)
    return "\n".join(out) + "\n"


def _runs(values: Sequence[float]) -> list[list[tuple[int, float]]]:
    """The stretches of values that have a logarithm."""
    runs: list[list[tuple[int, float]]] = [[]]
    for k, value in enumerate(values):
        if 0 < value < math.inf:
            runs[-1].append((k, math.log10(value)))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def draw(shown: Sequence[Panel], path: Path) -> None:
    """The same by matplotlib."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / 100, 3.3 * len(shown)), dpi=150, layout="constrained")
    for axes, panel in zip(figure.subplots(len(shown), squeeze=False)[:, 0], shown, strict=True):
        for line, colour in zip(panel.series, COLOURS, strict=False):
            values = [each if 0 < each < math.inf else math.nan for each in line.values]
            axes.plot(
                range(1, len(values) + 1),
                values,
                color=colour,
                label=line.name,
                linestyle="--" if line.is_dashed else "-",
                marker="o" if panel.names else None,
                markersize=4,
            )
        low, high = panel.bounds
        axes.set_yscale("log")
        axes.set_ylim(10.0**low, 10.0**high)
        axes.set_yticks([10.0**power for power in _ticks(low, high)])
        axes.minorticks_off()
        axes.set_title(panel.title, loc="left", fontweight="bold", fontsize=11)
        places = _places(panel)
        axes.set_xticks(
            [k + 1 for k, _ in places],
            [name for _, name in places],
            rotation=TURN if panel.names else 0,
            ha="right" if panel.names else "center",
            fontsize=8,
        )
        if not panel.names:
            axes.set_xlabel(panel.x)
        axes.grid(color="#dddddd", axis="y")
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(path)
