"""Schedules: settings of an optimizer that are formulas over `step`, `epoch`, `progress`, `stale`.

names = schedule(frame, span)                  # the values of these four names
value_at(topological([node]), {"epoch": 2.0})  # 0.1 * 0.9 ^ epoch: 0.081
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from specc.frontend.elaborate.names import SCHEDULE
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.values import Tensor, Value
from specc.ir.graph import Node
from specc.ops.elementwise import Elementwise
from specc.ops.leaf import Const, Input, Role, leaf
from specc.source import Span


def schedule(frame: BodyFrame, span: Span) -> dict[str, Value]:
    """Return the names that a setting of an optimizer may depend on."""
    return {name: Tensor(leaf(Input(Role.SCHEDULE, name), frame.origin(span))) for name in SCHEDULE}


def value_at(nodes: Sequence[Node], point: Mapping[str, float]) -> float:
    """Return the value of the last node, a formula over the schedule, at a point of training.

    Return NaN if it is undefined there, or has nodes other than elementwise ops and constants.
    """
    values: dict[Node, float] = {}
    try:
        for node in nodes:
            op = node.op
            if isinstance(op, Const):
                if not isinstance(op.value, float | int):
                    return math.nan
                values[node] = op.value
            elif isinstance(op, Input):
                values[node] = point[op.label]
            elif isinstance(op, Elementwise):
                values[node] = op.of_numbers(*(values[each] for each in node.inputs))
            else:
                return math.nan
        return float(values[nodes[-1]])
    except (ArithmeticError, ValueError, TypeError):  # e.g. a complex power of a negative number
        return math.nan
