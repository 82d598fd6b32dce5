"""Initial values of parameters and states: a number, a word such as `he`, or an expression.

    param W: float[10, 784] = he                 # the word, applied to W
    param W: float[10, 784] = 0.01 * normal(W)   # W stands for its own shape
    param bias: float[10] = if bias then zeros else false      # `false`: there is no such parameter

In: the parameter's type and expression. Out: an unbatched node over constants and random numbers.
"""

from __future__ import annotations

from dataclasses import replace

from specc.frontend import ast, calls, expressions
from specc.frontend.arithmetic import as_kind, spread
from specc.frontend.scope import Frame, Mistake
from specc.frontend.values import POISON, Given, Tensor, Value, Word, describe, is_static
from specc.ir import sizes
from specc.ir.graph import Node, topological
from specc.ir.types import Type
from specc.ops.leaf import Random, leaf


def initial_value(
    frame: Frame, path: str, type_: Type, node: Node, name: str, expression: ast.Expression
) -> tuple[Node, bool] | None:
    """The node that a parameter starts from, and whether chance has a part in it; None after a mistake."""
    draws = 0

    def draw(distribution: str, like: Tensor) -> Tensor:
        nonlocal draws
        draws += 1
        label = path if draws == 1 else f"{path}#{draws}"
        return Tensor(leaf(Random(distribution, like.shape, label), inner.origin(expression.span)))

    inner = replace(
        frame, names={name: Tensor(node), **frame.names}, namer=None, caller=frame.caller, kind="init",
        draw=draw, fans=fans(type_.shape),
    )  # fmt: skip
    value = _value(inner, expression, Tensor(node))
    if value is POISON:
        return None
    span = expression.span
    if is_static(value):
        value = as_kind(frame, value, "float", span)
    if not isinstance(value, Tensor) or value.type.kind != "float":
        frame.error("wrong-kind", f"`{name}` cannot start as {describe(value)}", span,
                    help="give a number, or a word such as `he`")  # fmt: skip
        return None
    for each in topological([value.node]):
        if each.op.name == "Input":
            what = "itself" if each is node else f"`{each.op.label}`"
            frame.error("wrong-kind", f"the initial value of `{name}` cannot depend on {what}", span)
            return None
    try:
        value = spread(frame, value, type_.shape, span)
    except Mistake:
        frame.error(
            "shape-mismatch",
            f"`{name}` is {sizes.show(type_.shape)}, but its initial value is {sizes.show(value.shape)}",
            span,
        )
        return None
    return value.node, draws > 0


def _value(frame: Frame, expression: ast.Expression, self: Tensor) -> Value:
    if isinstance(expression, ast.Path) and len(expression.names) == 1:
        name = expression.names[0].text
        known = frame.names.get(name)
        if isinstance(known, Word) or (known is None and frame.scope.word(name) is not None):
            word = known or frame.scope.word(name)
            return calls.invoke(frame, word, [Given(None, self, expression.span)], {}, expression.span)
    return expressions.evaluate(frame, expression)


def chosen(frame: Frame, expression: ast.Expression) -> ast.Expression | None:
    """The branch of an initial value whose condition is known now; None after a mistake."""
    while isinstance(expression, ast.Conditional):
        condition = expressions.evaluate(frame, expression.condition)
        if condition is POISON:
            return None
        if not isinstance(condition, bool):
            break
        expression = expression.value if condition else expression.otherwise
    return expression


def fans(shape: sizes.Shape) -> dict[str, Value]:
    """How many values meet at one output (`fan_in`), and how many outputs one value reaches.

    By the layout of weights, [outputs, inputs, window...]; a vector or scalar has fan_in 1.
    """
    return {
        "fan_in": sizes.product(shape[1:]),
        "fan_out": shape[0] * sizes.product(shape[2:]) if shape else 1,
    }
