"""Writes plots and drawings to files: `specc plot`, `specc flow --plot`, `specc show --graph`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import click

from specc.cli.whole import write_whole

if TYPE_CHECKING:
    from specc.plots.marks import Figure

DRAWN = (".png", ".pdf")
WRITTEN = (".svg", *DRAWN)
METHODS = ("pca", "tsne", "umap")
METHOD_HELP = "Projection of embeddings; tsne and umap need further packages  [default: pca]"


def check(path: Path, what: str = "figure") -> None:
    """Raise a usage error for a file that cannot be drawn; `what` is "figure" or "drawing"."""
    kind = path.suffix.lower()
    if kind not in WRITTEN:
        raise click.UsageError(f"cannot draw to `{path}`: use a name in .svg, .png or .pdf")
    if kind in DRAWN and importlib.util.find_spec("matplotlib") is None:
        raise click.UsageError(
            f"a {what} as {kind} needs matplotlib: `pip install 'specc-nn[plot]'`; or use .svg"
        )
    if not path.absolute().parent.is_dir():
        raise click.UsageError(f"there is no folder `{path.parent}` for the {what}")


def write(figure: Figure, path: Path) -> None:
    """Write a figure to a file, whole or not at all."""
    kind = path.suffix.lower()
    if kind == ".svg":
        from specc.plots.svg.document import svg

        write_whole(path, svg(figure))
    else:
        from specc.plots.paper import drawn

        write_whole(path, drawn(figure, kind.removeprefix(".")))
