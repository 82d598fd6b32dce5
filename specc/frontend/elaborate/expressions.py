"""The values of expressions, from their syntax trees and the names around them.

Every error is reported through the frame. Its value is POISON, about which nothing more is
reported.
"""

from __future__ import annotations

from specc.frontend.elaborate.dispatch import evaluate, evaluates
from specc.frontend.elaborate.indices import read_with_indices, reads_indices
from specc.frontend.elaborate.misuse import report
from specc.frontend.elaborate.names import is_unbound, outer_name, parameter
from specc.frontend.operators import arithmetic, products
from specc.frontend.scope.errors import OperandError
from specc.frontend.scope.frame import BodyFrame, SharedLayer
from specc.frontend.scope.scope import Word
from specc.frontend.scope.values import POISON, Tensor, Value, describe
from specc.frontend.syntax import ast


@evaluates(ast.Number, ast.Boolean, ast.String)
def literal(frame: BodyFrame, expression: ast.Number | ast.Boolean | ast.String) -> Value:
    return expression.value


@evaluates(ast.Path)
def path(frame: BodyFrame, expression: ast.Path) -> Value:
    """Return the value of a name, or of a parameter: `tower.dense1.weight`."""
    if len(expression.names) > 1:
        return parameter(frame, expression)
    name = expression.names[0].text
    value = frame.names.get(name)
    if value is None:
        value = outer_name(frame, name, expression)
    if isinstance(value, (Word, SharedLayer)):
        what = "layer" if isinstance(value, SharedLayer) else "word"
        return frame.error(
            "wrong-kind",
            f"`{name}` is a {what}, not a value",
            expression.span,
            help=f"apply it: `{name}(x)`, or `x -> {name}`",
        )
    return value


@evaluates(ast.Unary)
def unary(frame: BodyFrame, expression: ast.Unary) -> Value:
    operand = evaluate(frame, expression.operand)
    if operand is POISON:
        return POISON
    sign = expression.operator
    try:
        return arithmetic.negate(frame, sign.text, operand, expression.span)
    except OperandError as error:
        return report(frame, error, sign.span, [(expression.operand, operand)])


@evaluates(ast.Binary)
def binary(frame: BodyFrame, expression: ast.Binary) -> Value:
    """Evaluate `a + b`, without recursion because a long sum is a deep left-leaning tree."""
    spine = [expression]
    while isinstance(spine[-1].left, ast.Binary):
        spine.append(spine[-1].left)
    value = evaluate(frame, spine[-1].left)
    for each in reversed(spine):
        value = _operate(frame, each, value)
    return value


def _operate(frame: BodyFrame, expression: ast.Binary, left: Value) -> Value:
    sign = expression.operator.text
    if isinstance(left, bool) and sign in ("and", "or") and left == (sign == "or"):
        return left
    right = evaluate(frame, expression.right)
    if left is POISON or right is POISON:
        return POISON
    try:
        if sign in ("and", "or"):
            return arithmetic.logical(frame, sign, left, right, expression.span)
        if sign == "@":
            return products.matmul(frame, left, right, expression.span)
        return arithmetic.binary(frame, sign, left, right, expression.span)
    except OperandError as error:
        operands = [(expression.left, left), (expression.right, right)]
        return report(frame, error, expression.operator.span, operands)


@evaluates(ast.Conditional)
def conditional(frame: BodyFrame, expression: ast.Conditional) -> Value:
    """Evaluate `if c then a else b`; if c is known, only the chosen branch is evaluated."""
    condition = evaluate(frame, expression.condition)
    if isinstance(condition, bool):
        return evaluate(frame, expression.value if condition else expression.otherwise)
    value = evaluate(frame, expression.value)
    otherwise = evaluate(frame, expression.otherwise)
    if POISON in (condition, value, otherwise):
        return POISON
    if not isinstance(condition, Tensor):
        return frame.error(
            "wrong-kind",
            f"`if` needs a boolean, not {describe(condition)}",
            expression.condition.span,
            help="use a comparison: `x > 0`",
        )
    try:
        return arithmetic.select(frame, condition, value, otherwise, expression.span)
    except OperandError as error:
        parts = (expression.condition, expression.value, expression.otherwise)
        operands = list(zip(parts, (condition, value, otherwise), strict=True))
        return report(frame, error, expression.span, operands)


@evaluates(ast.Index)
def index(frame: BodyFrame, expression: ast.Index) -> Value:
    value = frame.known.get(expression.value)
    if value is None:
        value = evaluate(frame, expression.value)
    if any([is_unbound(frame, each) for each in expression.items]):
        return POISON
    if reads_indices(frame, expression, value):
        return read_with_indices(frame, expression, value)
    items: list = []
    for each in expression.items:
        if isinstance(each, ast.Slice):
            parts = (each.start, each.stop, each.step)
            items.append(tuple(evaluate(frame, part) if part else None for part in parts))
        else:
            items.append(evaluate(frame, each))
    if value is POISON or any(
        POISON in item if isinstance(item, tuple) else item is POISON for item in items
    ):
        return POISON
    try:
        return products.index(frame, value, items, expression.span)
    except OperandError as error:
        at = error.argument
        span = expression.items[at].span if at is not None else expression.span
        error.argument = None  # the span already locates it
        return report(frame, error, span, [(expression.value, value)])
