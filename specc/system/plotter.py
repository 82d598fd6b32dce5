"""What draws the figures of a model, for rooms that come before `specc.plots`.

plotter.draw(net, "confusion", frame)      # a figure that a notebook shows

`specc` sets it, so that a net can be asked for a figure though it knows nothing of figures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _nothing(*given: object, **options: object) -> Any:
    raise RuntimeError("nothing draws figures: import specc first")


draw: Callable[..., Any] = _nothing
"""Draws the figure of a net or a run: see `specc.plot`."""
