"""Elementwise functions, and reductions over axes and over the examples of a batch."""

from __future__ import annotations

from specc.frontend.operators.arithmetic import arithmetic, as_kind, pairwise, unary
from specc.frontend.operators.sequences import average, over_batch, total
from specc.frontend.primitives.registry import axes_of, primitive, tensor
from specc.frontend.scope.errors import OperandError
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.values import Tensor, Value, describe, is_static
from specc.ir import sizes
from specc.ops import elementwise as ops
from specc.ops.broadcast import Sum
from specc.ops.functions import FUNCTIONS
from specc.ops.peers import BATCH, Peers
from specc.ops.reduce import ArgMax, BatchMean, Max
from specc.source import Span

# ruff: noqa: F821, RUF013 - the annotations of settings are written in the language's own words


def _function(op: ops.Elementwise) -> None:
    """Register the primitive of an elementwise op, whose docstring is its page."""

    def build(frame: BodyFrame, span: Span, x: Value) -> Value:
        return unary(frame, op, op.word, x, span)

    build.__doc__ = op.__doc__
    primitive(op.word)(build)


for _op in FUNCTIONS.values():
    _function(_op)


def _sum(frame: BodyFrame, span: Span, x: Tensor, axes: tuple[int, ...]) -> Tensor:
    x = as_kind(frame, x, "float", span)
    return frame.apply(Sum(axes), x, span=span) if axes else x


@primitive("sum")
def _sum_all(
    frame: BodyFrame,
    span: Span,
    x: Value,
    *,
    axis: int = None,
    keep: int >= 0 = 0,
    over: sequence = None,
) -> Value:
    """The sum of all elements; or over one axis; or over all axes after the first `keep`; or, with
    `over=time`, over the time steps of a sequence.

    Example: `sum(x; axis=1)` of `x: float[3, 8]`.
    """
    if is_static(x):
        return x
    x = tensor(x, "sum")
    if over is not None:
        return total(frame, as_kind(frame, x, "float", span), over, "sum", span)
    return _sum(frame, span, x, axes_of(x, axis, keep, "sum"))


@primitive("mean")
def _mean(
    frame: BodyFrame,
    span: Span,
    x: Value,
    *,
    axis: int = None,
    keep: int >= 0 = 0,
    over: sequence = None,
) -> Value:
    """The mean of all elements; or over one axis; or over all axes after the first `keep`; or,
    with `over=time`, over the time steps of a sequence.

    Example: `mean(x; keep=1)` of `x: float[3, 8, 8]`.
    """
    if is_static(x):
        return x
    x = tensor(x, "mean")
    if over is not None:
        return average(frame, as_kind(frame, x, "float", span), over, "mean", span)
    axes = axes_of(x, axis, keep, "mean")
    count = sizes.product(x.shape[each] for each in axes)
    total = _sum(frame, span, x, axes)
    return total if count == 1 else arithmetic(frame, ops.Div(), "/", (total, count), span)


def _extreme(frame, span, a, b, axis, keep, name, op, function) -> Value:
    if b is not None:
        if axis is not None or keep:
            raise OperandError("bad-setting", f"`{name}` of two values takes no `axis`")
        return pairwise(frame, op, function, name, a, b, span)
    if is_static(a):
        return a
    x = as_kind(frame, tensor(a, name), "float", span)
    axes = axes_of(x, axis, keep, name)
    if not axes:
        return x
    if name == "max":
        return frame.apply(Max(axes), x, span=span)
    largest = frame.apply(Max(axes), frame.apply(ops.Neg(), x, span=span), span=span)
    return frame.apply(ops.Neg(), largest, span=span)


@primitive("max")
def _max(
    frame: BodyFrame, span: Span, a: Value, b: Value = None, *, axis: int = None, keep: int >= 0 = 0
) -> Value:
    """max(a, b): the elementwise maximum. max(a): the maximum of all elements, or over an axis, or
    over all axes after the first `keep`.

    Example: `max(x, 0)` of `x: float[8]`.
    """
    return _extreme(frame, span, a, b, axis, keep, "max", ops.Maximum(), max)


@primitive("min")
def _min(
    frame: BodyFrame, span: Span, a: Value, b: Value = None, *, axis: int = None, keep: int >= 0 = 0
) -> Value:
    """min(a, b): the elementwise minimum. min(a): the minimum of all elements, or over an axis, or
    over all axes after the first `keep`.

    Example: `min(x, 1)` of `x: float[8]`.
    """
    return _extreme(frame, span, a, b, axis, keep, "min", ops.Minimum(), min)


@primitive("argmax")
def _argmax(frame: BodyFrame, span: Span, x: Value) -> Value:
    """The position of the largest element of a vector, as a class; the first of equal ones."""
    x = tensor(x, "argmax")
    if x.type.rank != 1:
        raise OperandError("wrong-kind", f"`argmax` takes a vector, not {describe(x)}", argument=0)
    return frame.apply(ArgMax(), as_kind(frame, x, "float", span), span=span)


@primitive("batch_mean")
def _batch_mean(frame: BodyFrame, span: Span, x: Value) -> Value:
    """The mean over the examples of the batch, for each element: one value for all examples.

    Example: `x - batch_mean(x)` of `x: float[8]`.
    """
    x = as_kind(frame, tensor(x, "batch_mean"), "float", span)
    if not x.type.batched:
        raise OperandError(
            "wrong-kind", "`batch_mean` needs a value that differs between examples", argument=0
        )
    if x.sequence is not None and x.sequence.length is not None:
        return over_batch(frame, x, span)
    return frame.apply(BatchMean(), x, span=span)


@primitive("peers")
def _peers(frame: BodyFrame, span: Span, x: Value) -> Value:
    """x of every example of the batch, along a new first axis: [...] -> [batch, ...]. Together with
    `peer_mean` it is used for losses over pairs of examples.

    Example: `x - peer_mean(peers(x))` of `x: float[8]`.
    """
    if not isinstance(x, Tensor) or not x.type.batched:
        raise OperandError(
            "wrong-kind", "`peers` needs a value that differs between examples", argument=0
        )
    if x.indices:
        raise OperandError(
            "not-yet",
            "`peers` is not possible in a formula with indices yet",
            argument=0,
            help="compute it before the formula",
        )
    if x.sequence is not None:
        raise OperandError(
            "wrong-kind",
            f"`peers` takes one value per example, not {describe(x)}",
            argument=0,
            help=f"`last(x)` or `mean(x; over={x.sequence.name})` reduces a sequence to one",
        )
    return frame.apply(Peers(BATCH, x.type.kind), x, span=span)


@primitive("peer_mean")
def _peer_mean(frame: BodyFrame, span: Span, x: Value) -> Value:
    """The mean over the first axis of a value of `peers`: over the examples of the batch.

    Example: `x - peer_mean(peers(x))` of `x: float[8]`.
    """
    x = as_kind(frame, tensor(x, "peer_mean"), "float", span)
    if not x.shape or x.shape[0] != BATCH:
        raise OperandError(
            "wrong-kind",
            "`peer_mean` takes a value computed from `peers`, whose first axis is the batch",
            argument=0,
        )
    total = _sum(frame, span, x, (0,))
    return arithmetic(frame, ops.Div(), "/", (total, BATCH), span)
