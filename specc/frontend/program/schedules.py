"""Schedules, evaluated before training to find where a setting leaves its bounds.

    sgd(lr = 0.1 - 0.05 * epoch)        # `lr` must be >= 0, but is -0.05 at epoch 3

A schedule is a formula over `step`, `epoch`, `progress` and `stale`. The number of steps per epoch
depends on the data, so a schedule over `step` is evaluated only for steps that every training has;
`Limit`s are checked during the run for the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from specc.frontend.elaborate.dispatch import evaluate
from specc.frontend.elaborate.names import SCHEDULE
from specc.frontend.elaborate.schedule import value_at
from specc.frontend.program.optimizers import UpdateRule
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.values import Tensor
from specc.frontend.syntax import ast
from specc.frontend.words.numerals import show_number
from specc.frontend.words.settings import HOLDS, Declared
from specc.frontend.words.signatures import signature_of
from specc.ir.graph import Node, topological
from specc.ir.program import Limit
from specc.ops.elementwise import Elementwise
from specc.ops.leaf import Const, Input
from specc.source import Span

MOST_POINTS = 256


def limits(frame: BodyFrame, rule: UpdateRule, call: ast.Call, epochs: int) -> list[Limit]:
    """Return the bounds of the settings that are schedules.

    Report a setting that certainly leaves its bounds.
    """
    found = []
    for position, declared in enumerate(signature_of(rule.definition).settings):
        value = rule.frame.names.get(declared.name)
        if not isinstance(value, Tensor):
            continue
        location = _location(rule, call, position, declared)
        bounds = _bounds(rule.frame, declared)
        found.append(Limit(declared.name, value.node, bounds, location))
        wrong = _first_wrong(value.node, bounds, epochs)
        if wrong is not None:
            frame.error("bad-setting", f"`{declared.name}` {wrong}", location)
    return found


def _location(rule: UpdateRule, call: ast.Call, position: int, declared: Declared) -> Span:
    """Return the location of a setting's value: in the call, or its default."""
    after = 0
    for argument in call.settings:
        if (argument.name is None and after == position) or (
            argument.name is not None and argument.name.text == declared.name
        ):
            return argument.value.span
        after += argument.name is None
    return rule.frame.location(declared.default.span)


def _bounds(frame: BodyFrame, declared: Declared) -> tuple[tuple[str, float], ...]:
    values = []
    for sign, bound in declared.bounds:
        number = evaluate(frame, bound) if isinstance(bound, ast.Expression) else bound
        if isinstance(number, (int, float)):
            values.append((sign, number))
    return tuple(values)


def _first_wrong(root: Node, bounds: tuple[tuple[str, float], ...], epochs: int) -> str | None:
    """Return the error at the first point of training where the schedule leaves its bounds."""
    nodes = topological([root])
    if not all(isinstance(each.op, (Const, Input, Elementwise)) for each in nodes):
        return None
    used = [each.op.label for each in nodes if isinstance(each.op, Input)]
    if not set(used) <= set(SCHEDULE):
        return None
    for point in _points(set(used), epochs):
        value = value_at(nodes, point)
        when = " and ".join(_moment(name, point[name]) for name in dict.fromkeys(used))
        if not math.isfinite(value):
            return f"is not a finite number {when}"
        for sign, bound in bounds:
            if not HOLDS[sign](value, bound):
                return f"must be {sign} {show_number(bound)}, but is {value:.4g} {when}"
    return None


def _moment(name: str, value: float) -> str:
    return f"after {value:.4g} stale epochs" if name == "stale" else f"at {name} {value:.4g}"


def _points(used: set[str], epochs: int) -> Iterator[dict[str, float]]:
    """Yield points that every training reaches, for any data."""
    start = {"step": 0.0, "epoch": 0.0, "progress": 0.0, "stale": 0.0}
    yield start
    if used == {"step"}:  # an epoch has at least one step
        yield from ({**start, "step": float(step)} for step in range(1, min(epochs, MOST_POINTS)))
    elif "step" not in used:
        count = epochs * max(1, MOST_POINTS // epochs)  # includes the start of each epoch
        stride = -(-count // MOST_POINTS)
        for k in range(0, count, stride):
            done = k / count
            epoch = done * epochs
            # without an improvement, all epochs so far are stale
            for stale in {0.0, float(math.floor(epoch))} if "stale" in used else {0.0}:
                yield {"step": 0.0, "epoch": epoch, "progress": done, "stale": stale}
