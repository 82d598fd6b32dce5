"""Weights from elsewhere, which a `train` block names.

    start = "runs/teacher/1"            # all parameters
    start tower, head = "a.safetensors" # those of some layers, whatever the line above says

In: the statements, and the value of the setting. Out: the `starts` of a `Recipe`, the one without
paths first. Whether the files are there and fit is a question for `specc.runs.starts`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from specc.diagnostics import Label
from specc.frontend.elaborate.dispatch import evaluate
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.values import POISON, describe
from specc.frontend.syntax import ast
from specc.recipe import StartingWeights
from specc.source import Span


def starts(
    frame: BodyFrame,
    statements: Sequence[ast.Start],
    whole: str | None,
    place: Span | None,
    parameters: Callable[[BodyFrame, ast.Path], list[str]],
) -> tuple[StartingWeights, ...]:
    """Return what the statements and the setting `start` (`whole`, at `place`) say.

    `parameters` gives those of a path, and reports a path without any.
    """
    found = [] if whole is None else [StartingWeights((), whole, place)]
    chosen: dict[str, Span] = {}
    for statement in statements:
        for path in statement.paths:
            _once(frame, path, parameters(frame, path), chosen)
        value = evaluate(frame, statement.value)
        if value is POISON:
            continue
        if not isinstance(value, str):
            frame.error(
                "bad-setting",
                f"`start` takes the name of a run or a file in quotes, not {describe(value)}",
                statement.value.span,
                help='such as `start tower = "runs/teacher/1"`',
            )
            continue
        paths = tuple(path.text for path in statement.paths)
        found.append(StartingWeights(paths, value, statement.value.span))
    return tuple(found)


def _once(
    frame: BodyFrame, path: ast.Path, parameters: Sequence[str], chosen: dict[str, Span]
) -> None:
    """Report parameters that two statements name."""
    for each in parameters:
        if each in chosen:
            frame.error(
                "duplicate-name",
                f"two `start` statements give the weights of `{each}`",
                path.span,
                labels=[Label(chosen[each], "the other one")],
            )
            return
    chosen.update(dict.fromkeys(parameters, path.span))
