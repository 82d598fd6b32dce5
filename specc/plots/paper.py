"""Draws a figure with matplotlib as PNG, PDF or SVG, for papers and slides.

drawn(figure, "pdf")      # bytes

matplotlib is imported only here and in `specc.drawing.paper`.
"""

from __future__ import annotations

import math
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from specc.plots import colours
from specc.plots.marks import (
    Axis,
    Bars,
    Diagonal,
    Figure,
    Gallery,
    Heatmap,
    Line,
    Mark,
    Panel,
    Part,
    Passage,
    Points,
    Rule,
    Text,
    roomy_labels,
)
from specc.plots.svg.others import folded, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

WIDE, HIGH, SQUARE = 4.8, 3.2, 4.2  # sizes of a panel, in inches
GRAY, PALE = "#59636e", "#e3e6ea"
CROWDED = 10
"""Marks of a panel whose legend stands beside it."""
LETTER = 0.082
"""Width of a letter in a passage, in inches."""
STYLE: dict[str, Any] = {
    "font.size": 9.5,
    "axes.edgecolor": GRAY,
    "axes.labelcolor": "#1b1f24",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": GRAY,
    "ytick.color": GRAY,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}


def drawn(figure: Figure, kind: str, dpi: int = 200) -> bytes:
    """Return the figure as a "png", "pdf" or "svg" file. Raises ImportError without matplotlib."""
    import matplotlib
    from matplotlib.figure import Figure as Sheet

    with matplotlib.rc_context(rc=cast(Any, STYLE)):
        rows = [
            figure.parts[k : k + figure.columns]
            for k in range(0, len(figure.parts), figure.columns)
        ]
        sizes = [[_size(part) for part in row] for row in rows]
        heights = [max(high for _, high in row) for row in sizes]
        wide = max(sum(w for w, _ in row) for row in sizes)
        sheet = Sheet(figsize=(wide, sum(heights)), dpi=dpi, layout="constrained")
        strips = np.ravel(sheet.subfigures(len(rows), 1, height_ratios=heights, squeeze=False))
        for strip, row, row_sizes in zip(strips, rows, sizes, strict=True):
            widths = [w for w, _ in row_sizes]
            blank = wide - sum(widths)
            ratios = [*widths, blank] if blank > 0.05 else widths
            places = np.ravel(strip.subfigures(1, len(ratios), width_ratios=ratios, squeeze=False))
            for place, part in zip(places, row, strict=False):
                _part(place, part)
        out = BytesIO()
        made = {"Title": figure.title} if kind in ("pdf", "svg") else {}
        sheet.savefig(out, format=kind, metadata=made)
    return out.getvalue()


def _size(part: Part) -> tuple[float, float]:
    """Return the width and height of a part, in inches."""
    if isinstance(part, Panel):
        tables = part.tables
        if part.is_square and tables and tables[0].extent is None:
            rows, columns = tables[0].values.shape[:2]
            longest = max((len(text) for row in tables[0].texts for text in row), default=0)
            side = min(max(SQUARE / max(rows, columns), 0.14, 0.075 * longest + 0.06), 0.5)
            wide = columns * side + (1.6 if tables[0].has_bar else 0.8)
            return max(wide, 0.1 * len(part.title) + 1.0), rows * side + 0.8
        if part.is_square:
            return SQUARE + 0.6, SQUARE + 0.5
        if tables and tables[0].extent is None:
            rows, columns = tables[0].values.shape[:2]
            return min(max(columns * 0.16, 3), 8) + 1.2, min(max(rows * 0.16, 1.2), 6) + 0.9
        return WIDE, HIGH
    title = 0.35 if part.title else 0.05
    if isinstance(part, Gallery):
        rows = -(-len(part.pictures) // part.columns)
        lines = max((each.text.count("\n") + 1 for each in part.pictures if each.text), default=0)
        return part.columns * 1.0, title + rows * (1.0 + 0.17 * lines)
    if isinstance(part, Passage):
        return 8.0, title + 0.26 * len(wrapped(part)) + 0.1
    return 8.0, title + sum(0.19 * (1 + len(folded(line))) + 0.08 for _, line in part.lines)


def _part(place: SubFigure, part: Part) -> None:
    if isinstance(part, Panel):
        _panel(place.subplots(), part)
    elif isinstance(part, Gallery):
        _gallery(place, part)
    elif isinstance(part, Passage):
        _passage(place, part)
    else:
        _text(place, part)


def _panel(axes: Axes, panel: Panel) -> None:
    number = 0
    for mark in panel.marks:
        own = getattr(mark, "colour", None)
        _mark(axes, mark, colours.rgb(number if own is None else own), panel)
        number += isinstance(mark, (Line, Points, Bars)) and own is None
    axes.set_title(panel.title)
    axes.set_xlabel(panel.x.label)
    axes.set_ylabel(panel.y.label)
    if not panel.tables:
        axes.grid(color=PALE)
        axes.set_axisbelow(True)
    for axis, name in ((panel.x, "x"), (panel.y, "y")):
        _ends(axes, axis, name)
    if panel.is_square and not (panel.tables and panel.tables[0].extent is None):
        axes.set_box_aspect(1)
    named = sum(not isinstance(mark, Heatmap) and bool(mark.name) for mark in panel.marks)
    if named > 4 or len(panel.marks) > CROWDED:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.02), borderaxespad=0.2)
    elif named:
        axes.legend(loc="best")


def _ends(axes: Axes, axis: Axis, name: str) -> None:
    along = getattr(axes, f"{name}axis")
    if axis.names:
        every = max(1, len(axis.names) // 30)
        at = range(0, len(axis.names), every)
        slanted = name == "x" and max(map(len, axis.names)) > 4
        along.set_ticks(
            list(at),
            [axis.names[k][:24] for k in at],
            rotation=45 if slanted else 0,
            ha="right" if slanted or name == "y" else "center",
        )
        return
    if axis.log:
        getattr(axes, f"set_{name}scale")("log")
    limits = {"x": ("left", "right"), "y": ("bottom", "top")}[name]
    given = dict(zip(limits, (axis.low, axis.high), strict=True))
    getattr(axes, f"set_{name}lim")(
        **{key: each for key, each in given.items() if each is not None}
    )


def _mark(axes: Axes, mark: Mark, colour: str, panel: Panel) -> None:
    if isinstance(mark, Line):
        style = "--" if mark.is_dashed else "-"
        few = sum(math.isfinite(float(each)) for each in mark.y) < 2
        axes.plot(
            mark.x,
            mark.y,
            style,
            color=colour,
            label=mark.name,
            lw=0.85 * mark.width,
            marker="o" if few else "",
        )
    elif isinstance(mark, Points):
        axes.plot(
            mark.x,
            mark.y,
            "o",
            color=colour,
            label=mark.name,
            ms=1.3 * mark.radius,
            alpha=0.75,
            mew=0,
        )
        _labels(axes, mark, panel)
    elif isinstance(mark, Bars):
        axes.bar(mark.x, mark.heights, mark.width, color=colour, label=mark.name, alpha=0.85)
    elif isinstance(mark, Rule) and mark.x is not None:
        axes.axvline(mark.x, color=GRAY, ls="--", lw=1, label=mark.name)
    elif isinstance(mark, Rule):
        axes.axhline(mark.y or 0.0, color=GRAY, ls="--", lw=1, label=mark.name)
    elif isinstance(mark, Diagonal):
        axes.axline((0, 0), slope=1, color=GRAY, ls="--", lw=1, label=mark.name)
    elif isinstance(mark, Heatmap):
        _table(axes, mark, panel)


def _labels(axes: Axes, mark: Points, panel: Panel) -> None:
    """Write labels beside points, as long as there is room."""
    if not mark.labels:
        return
    (left, right), (low, high) = panel.ends("x"), panel.ends("y")
    wide, tall = (SQUARE, SQUARE) if panel.is_square else (WIDE, HIGH)
    across, up = 72 * wide / (right - left), 72 * tall / (high - low)  # points per unit
    named = zip(mark.x, mark.y, mark.labels, strict=False)
    spots = [(float(a) * across + 5, float(b) * up, text) for a, b, text in named]
    for number in roomy_labels(spots, 5.0, 10.0):
        axes.annotate(
            spots[number][2],
            (float(mark.x[number]), float(mark.y[number])),
            (5, -3),
            textcoords="offset points",
            fontsize=7.5,
        )


def _table(axes: Axes, table: Heatmap, panel: Panel) -> None:
    low, high = table.range
    pixels = colours.of_table(table.values, low, high, table.scale)
    if table.scale == "counts":
        pixels = np.where((table.values == 0)[..., None], 255, pixels).astype(np.uint8)
    axes.imshow(
        pixels,
        extent=table.extent,
        aspect="equal" if panel.is_square and table.extent is None else "auto",
        interpolation="nearest",
        zorder=0,
    )
    for i, row in enumerate(table.texts):
        for j, text in enumerate(row):
            ink = "white" if colours.is_dark(pixels[i, j]) else "black"
            axes.text(j, i, text, ha="center", va="center", color=ink, fontsize=7.5)
    if table.has_bar:
        _bar(axes, table)
    if panel.is_square and table.extent is None:
        axes.set_anchor("W")  # after the bar, which sets another one


def _bar(axes: Axes, table: Heatmap) -> None:
    """Draw the color bar of a heatmap."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    low, high = table.range
    steps = np.linspace(low, high, 128)
    scale = ListedColormap(colours.of_table(steps[:, None], low, high, table.scale)[:, 0] / 255)
    axes.figure.colorbar(ScalarMappable(Normalize(low, high), scale), ax=axes)


def _gallery(place: SubFigure, part: Gallery) -> None:
    rows = -(-len(part.pictures) // part.columns)
    grid = place.subplots(rows, part.columns, squeeze=False)
    if part.title:
        place.suptitle(part.title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    for axes in np.ravel(grid):
        axes.set_axis_off()
    for axes, picture in zip(np.ravel(grid), part.pictures, strict=False):
        shown = picture.pixels
        if shown.ndim == 2:
            shown = np.repeat(shown[..., None], 3, axis=-1)
        axes.imshow(shown, interpolation="nearest")
        axes.text(
            0.5, -0.05, picture.text, fontsize=7, ha="center", va="top", transform=axes.transAxes
        )
        if picture.mark is not None:
            axes.set_axis_on()
            axes.set_xticks([])
            axes.set_yticks([])
            for side in axes.spines.values():
                side.set(edgecolor=colours.rgb(picture.mark), linewidth=2)


def _blank(place: SubFigure, part: Passage | Text) -> tuple[Axes, float]:
    """Return axes in inches without a frame, and the position of the first line."""
    wide, high = _size(part)
    axes = place.subplots()
    axes.set_xlim(0, wide)
    axes.set_ylim(high, 0)
    axes.set_axis_off()
    if part.title:
        axes.text(0, 0.2, part.title, fontsize=10, fontweight="bold")
    return axes, 0.35 if part.title else 0.05


def _passage(place: SubFigure, part: Passage) -> None:
    axes, top = _blank(place, part)
    for number, row in enumerate(wrapped(part)):
        left, y = 0.0, top + 0.26 * number
        for text, weight in row:
            colour = colours.signed(np.array(weight))
            wide = LETTER * len(text)
            axes.add_patch(_box((left, y), wide, 0.24, colours.hexadecimal(colour)))
            ink = "white" if colours.is_dark(colour) else "black"
            axes.text(left, y + 0.17, text, family="monospace", fontsize=8, color=ink)
            left += wide


def _box(corner: tuple[float, float], wide: float, high: float, colour: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(corner, wide, high, facecolor=colour, linewidth=0)


def _text(place: SubFigure, part: Text) -> None:
    axes, y = _blank(place, part)
    for heading, line in part.lines:
        axes.text(0, y + 0.14, heading, fontsize=8, color=GRAY)
        y += 0.19
        for each in folded(line):
            axes.text(0, y + 0.14, each, fontsize=8, family="monospace", parse_math=False)
            y += 0.19
        y += 0.08
