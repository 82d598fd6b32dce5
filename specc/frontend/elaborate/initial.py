"""Initial values of parameters and states: a number, an initializer, or an expression.

    param W: float[10, 784] = he                 # the initializer, applied to W
    param W: float[10, 784] = normal(std=0.01)   # the initializer with settings, applied to W
    param W: float[10, 784] = 0.01 * normal(W)   # W means its own shape
    param bias: float[10] = if bias then zeros else false      # `false`: no such parameter

In: the parameter's type and expression. Out: an unbatched node over constants and random numbers.
"""

from __future__ import annotations

from dataclasses import replace

from specc.frontend.elaborate import arguments, calls
from specc.frontend.elaborate.dispatch import evaluate
from specc.frontend.operators.arithmetic import as_kind, spread
from specc.frontend.scope.errors import OperandError
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.scope import Word
from specc.frontend.scope.values import POISON, Given, Tensor, Value, describe, is_static
from specc.frontend.syntax import ast
from specc.frontend.words.signatures import signature_of
from specc.ir import sizes
from specc.ir.graph import Node, topological
from specc.ir.types import Type
from specc.ops.leaf import Input, Random, leaf
from specc.source import Span


def initial_value(
    frame: BodyFrame, path: str, type_: Type, node: Node, name: str, expression: ast.Expression
) -> tuple[Node, bool] | None:
    """Return the node of a parameter's initial value, and whether it is random; None after an
    error.
    """
    draws = 0

    def draw(distribution: str, like: Tensor) -> Tensor:
        nonlocal draws
        draws += 1
        label = path if draws == 1 else f"{path}#{draws}"
        return Tensor(leaf(Random(distribution, like.shape, label), inner.origin(expression.span)))

    inner = replace(
        frame,
        names={name: Tensor(node), **frame.names},
        namer=None,
        caller=frame.caller,
        kind="init",
        draw=draw,
        fans=fans(type_.shape),
    )
    value = _value(inner, expression, Tensor(node))
    if value is POISON:
        return None
    span = expression.span
    if is_static(value):
        try:
            value = as_kind(frame, value, "float", span)
        except OperandError as error:
            frame.error(error.name, error.message, span, help=error.help)
            return None
    if not isinstance(value, Tensor) or value.type.kind != "float":
        frame.error(
            "wrong-kind",
            f"`{name}` cannot be initialized to {describe(value)}",
            span,
            help="use a number, or an initializer such as `he`",
        )
        return None
    for each in topological([value.node]):
        if isinstance(each.op, Input):
            what = "itself" if each is node else f"`{each.op.label}`"
            frame.error(
                "wrong-kind", f"the initial value of `{name}` cannot depend on {what}", span
            )
            return None
    try:
        value = spread(frame, value, type_.shape, span)
    except OperandError:
        frame.error(
            "shape-mismatch",
            f"`{name}` is {sizes.show(type_.shape)}, but its initial value is"
            f" {sizes.show(value.shape)}",
            span,
        )
        return None
    return value.node, draws > 0


def _value(frame: BodyFrame, expression: ast.Expression, self: Tensor) -> Value:
    if isinstance(expression, ast.Path) and len(expression.names) == 1:
        word = _word(frame, expression)
        if word is not None:
            return _applied(frame, word, self, expression.span)
    elif isinstance(expression, ast.Call):
        word = _word(frame, expression.word)
        if word is not None and _has_settings_alone(expression, word):
            prepared = arguments.prepared(frame, expression)
            if not isinstance(prepared, Word):
                return POISON
            return _applied(frame, prepared, self, expression.span)
    return evaluate(frame, expression)


def _word(frame: BodyFrame, path: ast.Path) -> Word | None:
    """Return the definition that a path names, or None."""
    name = path.text
    known = frame.names.get(name)
    if known is None:
        return frame.scope.word(name)
    return known if isinstance(known, Word) else None


def _has_settings_alone(call: ast.Call, word: Word) -> bool:
    """Return whether a call has only named settings and no inputs: `normal(std=0.1)`."""
    names = signature_of(word.definition).setting_names
    return (
        bool(call.inputs)
        and not call.has_semicolon
        and all(each.name is not None and each.name.text in names for each in call.inputs)
    )


def _applied(frame: BodyFrame, word: Word, self: Tensor, span: Span) -> Value:
    """Apply an initializer to the parameter, its only input."""
    signature = signature_of(word.definition)
    needed = [each for each in signature.inputs if not each.is_optional]
    if isinstance(word.definition, (ast.Block, ast.Cell)):
        reason = "it has weights or a state"
    elif isinstance(word.definition, ast.Optimizer):
        reason = "it is an optimizer"
    elif len(needed) != 1:
        listed = ", ".join(f"`{each.name}`" for each in needed)
        reason = f"it takes {len(needed)} inputs, {listed}" if needed else "it takes no input"
    else:
        given: list[Given | None] = [Given(None, self, span)]
        return calls.invoke(frame, word, given + [None] * (len(signature.inputs) - 1), {}, span)
    place = word.named_at or frame.location(span)
    return frame.context.error(
        "wrong-kind",
        f"`{word.name}` cannot be used as an initial value: {reason}",
        place,
        help=("use a number, or an initializer with a single input, such as `he`"),
    )


def chosen(frame: BodyFrame, expression: ast.Expression) -> ast.Expression | None:
    """Return the chosen branch of a conditional initial value; None after an error."""
    while isinstance(expression, ast.Conditional):
        condition = evaluate(frame, expression.condition)
        if condition is POISON:
            return None
        if not isinstance(condition, bool):
            break
        expression = expression.value if condition else expression.otherwise
    return expression


def fans(shape: sizes.Shape) -> dict[str, Value]:
    """Return `fan_in` and `fan_out`: inputs per output, and outputs per input.

    Weights are [outputs, inputs, window...]; a vector or scalar has fan_in 1.
    """
    return {
        "fan_in": sizes.product(shape[1:]),
        "fan_out": shape[0] * sizes.product(shape[2:]) if shape else 1,
    }
