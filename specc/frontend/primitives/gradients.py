"""Derivatives within a model, and values through which no gradient flows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from specc.frontend.operators.arithmetic import as_kind
from specc.frontend.primitives.registry import primitive, tensor
from specc.frontend.scope.errors import OperandError
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.values import Value, describe, is_static
from specc.ir.graph import Node, apply, topological
from specc.ops import elementwise as ops
from specc.ops.broadcast import Sum
from specc.ops.carry import Carry, closed
from specc.ops.derivative import Derivative
from specc.source import Span

# ruff: noqa: F821 - the annotations of settings are written in the language's own words


@primitive("stop_gradient")
def _stop_gradient(frame: BodyFrame, span: Span, x: Value) -> Value:
    """x itself, through which no gradient flows."""
    return x if is_static(x) else frame.apply(ops.Detach(), tensor(x, "stop_gradient"), span=span)


@primitive("gradient")
def _gradient(frame: BodyFrame, span: Span, y: Value, *, by: value) -> Value:
    """The derivative of a number y by a value or a parameter that it depends on, in the same shape:
    g[i] = dy / dby[i]. The result can be differentiated again. By a sequence it is a sequence; y
    may then be one number for each step, if it depends on no other step of `by`. Uses: a
    penalty on gradients (Gulrajani et al., Improved training of Wasserstein GANs, 2017), the
    residual of a differential equation (Raissi, Perdikaris and Karniadakis, Physics-informed neural
    networks, 2019), the inner step of meta-learning (Finn, Abbeel and Levine, Model-agnostic
    meta-learning, 2017). A parameter is the same for all examples, so y must be as well:
    `gradient(batch_mean(loss); w)`.

    Example: `gradient(sum(tanh(x)); x)` of `x: float[8]`.
    """
    y = as_kind(frame, tensor(y, "gradient"), "float", span)
    by = tensor(by, "gradient", 1)
    if y.indices:
        names = ", ".join(f"`{each.name}`" for each in y.indices)
        raise OperandError(
            "wrong-kind",
            f"`gradient` takes one number, but this is one for each value of {names}",
            help=f"`sum({y.indices[0].name}: ...)` is one",
            argument=0,
        )
    if y.shape:
        raise OperandError(
            "shape-mismatch",
            f"`gradient` takes one number, not {describe(y)}",
            help="`sum(y)` or `y[0]` is one",
            argument=0,
        )
    if y.type.batched and not by.type.batched:
        raise OperandError(
            "wrong-kind",
            "the number differs between examples, but `by` is the same for all examples",
            help="`gradient(batch_mean(y); w)` is the derivative of the mean",
            argument=0,
        )
    within = topological([y.node])
    if by.node not in within:
        raise OperandError("wrong-kind", "this number does not depend on `by`", argument=0)
    number = y.node
    if y.sequence is not None:
        if by.sequence is None or not _is_by_step(frame, by.node, within):
            over = y.sequence.name
            raise OperandError(
                "wrong-kind",
                f"`gradient` takes one number, not {describe(y)}"
                + (", whose steps see other steps of `by`" if by.sequence is not None else ""),
                help=f"`sum(y; over={over})`, `mean(y; over={over})` or `last(y)` is one",
                argument=0,
            )
        # no step sees another one, so that each finds its own derivative in that of the sum
        number = apply(Sum((0,)), number, origin=frame.origin(span))
    node = apply(Derivative(), number, by.node, origin=frame.origin(span))
    return replace(by, node=node, provenance=by.provenance, finals=(), counter=None)


def _is_by_step(frame: BodyFrame, by: Node, nodes: Iterable[Node]) -> bool:
    """Return whether each step of the last node depends on the same step of `by` alone.

    `nodes` has each node after its inputs.
    """
    found, carries = {by}, frame.context.carries
    for node in nodes:
        if isinstance(node.op, Carry):
            if by in closed({"next": carries[node.op.label]}, carries).nodes:
                return False
            continue
        read = [k for k, each in enumerate(node.inputs) if each in found]
        if not read:
            continue
        if node.op.one_step(node) is None or not all(map(node.op.reads_step, read)):
            return False
        found.add(node)
    return True


@primitive("gradient_at")
def _gradient_at(frame: BodyFrame, span: Span, v: Value) -> Value:
    """In the rule of an optimizer, the gradient of the losses with v in the place of the parameter:
    a second evaluation in each step, of the same examples and with the same random numbers. All
    parameters whose rules have a `gradient_at` are moved at once; the others stay. States such as
    running statistics and the recorded losses are those of the first evaluation. `clip_norm` and
    `clip_value` limit this gradient, and not the one that moves the parameters.

    Example: `optimizer up(w, g; lr) { next w = w - lr * gradient_at(w + g) }` of `x: float[8]`.
    """
    again = frame.caller.again if frame.caller is not None else None
    if again is None:
        raise OperandError(
            "misplaced", "`gradient_at` has a meaning only in the rule of an optimizer"
        )
    return again(as_kind(frame, tensor(v, "gradient_at"), "float", span))
