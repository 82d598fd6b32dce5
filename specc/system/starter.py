"""A hook for weights from elsewhere, for modules that must not import `specc.runs`.

starter.begin(net, Path())      # what `start = "runs/teacher/1"` of the net's program says

`specc` sets it, so that `net.fit` begins as a training in a folder does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def _nothing(net: Any, folder: Path) -> object:
    raise RuntimeError("runs are not available: import specc first")


begin: Callable[[Any, Path], object] = _nothing
"""The function that puts these weights into a net; relative paths start at a folder."""
