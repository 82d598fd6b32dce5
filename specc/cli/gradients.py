"""Prints a gradient flow as text: the layers, the time steps of each cell, and the verdict.

print_flow(flow)      # as wide as the terminal; elsewhere as wide as necessary
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from shutil import get_terminal_size
from textwrap import wrap
from typing import TYPE_CHECKING, Literal

from specc.flow.verdict import number

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from specc.flow import CellFlow, Flow

ROWS = 10  # the approximate number of steps of a cell that are shown
BAR = 24  # the length of the longest bar, in characters
WIDEST = 1000  # the width of a table, in columns, if the output is not a terminal
DECADES = 3  # the least range that the bars show, in powers of ten

Side = Literal["left", "right"]

ABOUT_LAYERS = """\
activation and gradient: rms per element, the gradient that of an example's
loss for the layer's output (of a sequence, at the step where it is largest);
ratio: the norm of that gradient over the last layer's; weights and their
gradient: norms, the gradient that of the mean loss"""


def print_flow(flow: Flow) -> None:
    from rich.console import Console
    from rich.padding import Padding

    from specc.cli.session import is_coloured

    # a table is never cut to the width of the terminal, which would lose its end
    console = Console(width=WIDEST, no_color=not is_coloured(sys.stdout), highlight=False)
    breadth = get_terminal_size().columns if sys.stdout.isatty() else WIDEST

    def show(what: RenderableType) -> None:
        with console.capture() as captured:
            console.print(what)
        # rich pads the lines of a table with spaces
        lines = [line.rstrip() for line in captured.get().rstrip("\n").split("\n")]
        sys.stdout.write("\n".join(lines) + "\n")

    examples = "1 example" if flow.examples == 1 else f"{flow.examples:,} examples"
    show(f"{flow.model}: loss {number(flow.loss)} on {examples}")
    show("")
    show(_layers(flow))
    show(f"\n[dim]{ABOUT_LAYERS}[/dim]")
    for cell in flow.cells:
        show("\n" + _about(cell))
        if any(cell.total):
            show(Padding(_steps(cell), (0, 0, 0, 2), expand=False))
    show("")
    for sentence in flow.verdict:
        show(_item(sentence, breadth))


def _item(sentence: str, breadth: int) -> str:
    return "\n".join(wrap(f"- {sentence}", breadth, subsequent_indent="  ", break_on_hyphens=False))


def _table(columns: Sequence[tuple[str, Side]]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name, justify in columns:
        table.add_column(name, justify=justify, no_wrap=True)
    return table


def _layers(flow: Flow) -> Table:
    columns: list[tuple[str, Side]] = [
        ("layer", "left"),
        ("shape", "left"),
        ("activation", "right"),
        ("gradient", "right"),
        ("ratio", "right"),
        ("weights", "right"),
        ("their gradient", "right"),
    ]
    has_saturated = any(each.saturated is not None for each in flow.layers)
    has_dead = any(each.dead is not None for each in flow.layers)
    if has_saturated:
        columns.append(("saturated", "right"))
    if has_dead:
        columns.append(("dead", "right"))
    table = _table(columns)
    for each in flow.layers:
        cells = [
            ("  " if each.is_within_cell else "") + each.path,
            str(list(each.shape)),
            number(each.activation),
            _figure(each.gradient),
            _figure(each.relative),
            _figure(each.weights),
            _figure(each.weights_gradient),
        ]
        cells += [_share(each.saturated)] * has_saturated + [_share(each.dead)] * has_dead
        table.add_row(*cells)
    return table


def _figure(value: float | None) -> str:
    return "" if value is None else number(value)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _about(cell: CellFlow) -> str:
    states = " and ".join(f"`{name}`" for name in cell.states)
    radii: list[str] = []
    before = ""
    for each in cell.matrices:
        name, comma, block = each.name.partition(", ")
        radii.append(f"{block if comma and name == before else each.name} {number(each.radius)}")
        before = name
    if cell.jacobian is not None:
        radii.append(f"the Jacobian of a step {number(cell.jacobian)}")
    text = f"[bold]{cell.path}[/bold], the gradient for {states} before each of {cell.steps} steps"
    return text + (f"\n  spectral radius: {', '.join(radii)}" if radii else "")


def _steps(cell: CellFlow) -> Table:
    """Return a table of some time steps, from the last to the first, like backpropagation."""
    unit = next(k * 10**e for e in range(9) for k in (1, 2, 5) if k * 10**e * ROWS >= cell.start)
    shown = sorted({1, *range(unit, cell.start, unit), cell.start}, reverse=True)
    table = _table(
        [
            ("step", "right"),
            ("of the loss", "right"),
            (f"from step {cell.start}", "right"),
            ("", "left"),
        ]
    )
    bars = _bars([cell.carried[step - 1] for step in shown])
    for step, bar in zip(shown, bars, strict=True):
        table.add_row(str(step), number(cell.total[step - 1]), number(cell.carried[step - 1]), bar)
    return table


def _bars(values: Sequence[float]) -> list[str]:
    """Return a bar for each value, with a length on a logarithmic scale."""
    sign = "█" if (sys.stdout.encoding or "").lower().replace("-", "") == "utf8" else "#"
    found = [math.log10(each) for each in values if 0 < each < math.inf]
    if not found:
        return [""] * len(values)
    top = max(found)
    span = max(DECADES, top - min(found))
    return [
        sign * max(1, round(BAR * (1 - (top - math.log10(each)) / span)))
        if 0 < each < math.inf
        else ""
        for each in values
    ]
