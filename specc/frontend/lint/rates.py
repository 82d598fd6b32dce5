"""The values that a setting has in the course of a training, without running it.

rates(scope, `cosine(0.1, 0)`, epochs=10)      # [0.1, 0.0975.., ..., 0.0]
"""

from __future__ import annotations

import math
from dataclasses import replace

from specc.diagnostics import Report
from specc.frontend.elaborate.dispatch import evaluate
from specc.frontend.elaborate.schedule import schedule, value_at
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.scope import Context, Scope
from specc.frontend.scope.values import Tensor
from specc.frontend.syntax import ast
from specc.ir.graph import topological

PARTS = 20
"""The number of points in a training at which schedules are evaluated."""
STEPS = 100
"""The assumed steps of an epoch: the true number is not known before there is data."""


def rates(scope: Scope, setting: ast.Expression, epochs: int) -> list[float]:
    """Return the values of a setting at evenly spaced points of a training.

    The list is empty if they are not known.
    """
    frame = BodyFrame(Context(Report(), lists_layers=False), scope, "file")
    value = evaluate(replace(frame, schedule=schedule(frame, setting.span)), setting)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return [float(value)]
    if not isinstance(value, Tensor):
        return []
    nodes = topological([value.node])
    found = [value_at(nodes, _point(part / PARTS, epochs)) for part in range(PARTS + 1)]
    return found if all(map(math.isfinite, found)) else []


def _point(progress: float, epochs: int) -> dict[str, float]:
    epoch = progress * epochs
    return {"progress": progress, "epoch": epoch, "step": epoch * STEPS, "stale": 0.0}
