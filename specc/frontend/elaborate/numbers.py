"""Dimensions and constants of a file: `dim n = 2 * m`, evaluated when they are first needed.

`n=10` on the command line overrides the value in the file.
"""

from __future__ import annotations

from specc.frontend.elaborate.dispatch import evaluate
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.scope import Scope
from specc.frontend.scope.values import POISON, Value, describe, is_static
from specc.frontend.syntax import ast
from specc.ir.sizes import Polynomial, open_size


def number_value(scope: Scope, definition: ast.Dim | ast.Seq | ast.Const) -> Value:
    """Return the value of a dimension or constant of the file; POISON after an error."""
    name = definition.name.text
    if name in scope.numbers:
        return scope.numbers[name]
    context = scope.context
    frame = BodyFrame(context, scope, "file")
    if name in scope.evaluating:
        return frame.error(
            "recursive-definition", f"`{name}` is defined in terms of itself", definition.name.span
        )
    scope.evaluating.add(name)
    override = context.overrides.get(name)
    expression = definition.value
    if override is not None:
        expression = override
    if expression is None:
        context.open_sizes[name] = definition.name.span
        value: Value = open_size(name)
    else:
        value = _checked(frame, definition, expression, evaluate(frame, expression))
    scope.evaluating.discard(name)
    return scope.numbers.setdefault(name, value)


def _checked(frame: BodyFrame, definition, expression: ast.Expression, value: Value) -> Value:
    if value is POISON:
        return POISON
    name = definition.name.text
    if isinstance(definition, ast.Const):
        if is_static(value):
            return value
        return frame.error(
            "wrong-kind",
            f"the constant `{name}` must be a number, not {describe(value)}",
            expression.span,
        )
    if isinstance(value, Polynomial):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        help_ = None
        if isinstance(value, float) and "/" in expression.span.text:
            help_ = "`/` gives a fraction; use `//` for integer division"
        return frame.error(
            "wrong-kind",
            f"the size `{name}` must be an integer, not {describe(value)}",
            expression.span,
            help=help_,
        )
    if value < 1:
        return frame.error(
            "bad-number", f"the size `{name}` must be at least 1, not {value}", expression.span
        )
    return value
