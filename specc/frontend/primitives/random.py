"""Random numbers, for initial values and within a model."""

from __future__ import annotations

import math
from dataclasses import replace

from specc.frontend.operators.arithmetic import arithmetic
from specc.frontend.primitives.registry import primitive, tensor
from specc.frontend.scope.errors import OperandError
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.values import Tensor, Value, describe
from specc.ops import elementwise as ops
from specc.ops.functions import Cos, log, power
from specc.ops.random import Uniform
from specc.source import Span


def _draw(frame: BodyFrame, x: Tensor, span: Span) -> Tensor:
    """Return random numbers from 0 to 1, new in each step; one per example if x has one."""
    context = frame.context
    context.draws += 1
    label = f"{frame.word}#{context.draws}"
    if x.lead:  # different numbers at each time step, and for each value of an index
        op = Uniform(x.node.type.shape, x.type.batched, label)
        return replace(frame.apply(op, span=span), sequence=x.sequence, indices=x.indices)
    return frame.apply(Uniform(x.shape, x.type.batched, label), span=span)


def _moved(frame: BodyFrame, x: Tensor, factor: float, offset: float, span: Span) -> Tensor:
    """Return factor * x + offset."""
    if factor != 1:
        x = arithmetic(frame, ops.Mul(), "*", (factor, x), span)
    return arithmetic(frame, ops.Add(), "+", (x, offset), span) if offset else x


@primitive("normal")
def _normal(
    frame: BodyFrame, span: Span, w: Value, *, mean: float = 0, std: float > 0 = 1
) -> Value:
    """Random numbers in the shape of w, from the normal distribution with this mean and standard
    deviation, p(x) = e^(-((x - mean) / std)^2 / 2) / (std * sqrt(2 pi)). An initial value draws
    them once, a model draws new ones for each step and each example.

    Box and Muller, A note on the generation of random normal deviates, 1958.

    Example: `x + 0.1 * normal(x)` of `x: float[8]`.
    """
    w = tensor(w, "normal")
    if frame.draw is not None:
        return _moved(frame, frame.draw("normal", w), std, mean, span)
    # sqrt(-2 log(1 - u)) * cos(2 pi v), where 1 - u is above 0
    u, v = _draw(frame, w, span), _draw(frame, w, span)
    radius = replace(u, node=power(ops.mul(log(ops.sub(1.0, u.node)), -2.0), 0.5))
    angle = replace(v, node=ops.mul(v.node, 2 * math.pi))
    angle = frame.apply(Cos(), angle, span=span)
    return _moved(frame, frame.apply(ops.Mul(), radius, angle, span=span), std, mean, span)


@primitive("uniform")
def _uniform(frame: BodyFrame, span: Span, w: Value, *, low: float = 0, high: float = 1) -> Value:
    """Random numbers in the shape of w, uniform from `low` to `high`, p(x) = 1 / (high - low). An
    initial value draws them once, a model draws new ones for each step and each example.

    Example: `x + 0.1 * uniform(x)` of `x: float[8]`.
    """
    w = tensor(w, "uniform")
    if not low < high:
        raise OperandError(
            "bad-setting", f"`uniform` needs `low` below `high`, not {low} and {high}"
        )
    drawn = frame.draw("uniform", w) if frame.draw is not None else _draw(frame, w, span)
    return _moved(frame, drawn, high - low, low, span)


@primitive("orthogonal")
def _orthogonal(frame: BodyFrame, span: Span, w: Value, *, gain: float > 0 = 1) -> Value:
    """gain * Q, where Q R = a matrix of normal random numbers, and the diagonal of R is positive:
    the rows of w (as a matrix with one row for each output) are orthogonal, or its columns if it
    has more rows than columns. For initial values. Saxe, McClelland and Ganguli, Exact solutions to
    the nonlinear dynamics of learning in deep linear neural networks, 2014.

    Example: `param W: float[4, 8] = orthogonal`, `let y = W @ x`, `output y` of `x: float[8]`.
    """
    if frame.draw is None:
        raise OperandError("misplaced", "`orthogonal` is allowed only in initial values")
    like = tensor(w, "orthogonal")
    if like.type.rank < 2:
        raise OperandError(
            "wrong-kind", f"`orthogonal` needs a matrix, not {describe(w)}", argument=0
        )
    return _moved(frame, frame.draw("orthogonal", like), gain, 0, span)
