"""A hook for plots of a model, for modules that must not import `specc.plots`.

plotter.draw(net, "confusion", frame)      # a figure that a notebook shows

`specc` sets it, so a net can show plots without importing them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _nothing(*given: object, **options: object) -> Any:
    raise RuntimeError("plots are not available: import specc first")


draw: Callable[..., Any] = _nothing
"""The function that draws a plot of a net or a run: see `specc.plot`."""
