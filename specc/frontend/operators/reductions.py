"""Reductions over indices: `sum(i: x[i])`, `softmax(u: s[t, u])`, `argmax(k: scores[k])`.

    reduced(frame, "sum", value, (i,), conditions, span)

An index is an axis of the value's node. Elements for which a condition is false, and time steps
past the end of a variable-length sequence, are left out. All functions raise `OperandError`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from specc.frontend.operators import arithmetic
from specc.frontend.operators.arithmetic import as_kind
from specc.frontend.operators.sums import Factor, summed
from specc.frontend.scope.errors import OperandError, undecided
from specc.frontend.scope.frame import BodyFrame, common_indices, widened
from specc.frontend.scope.values import RunningIndex, Tensor, describe, excess
from specc.ir import sizes
from specc.ir.graph import Node, apply
from specc.ops import elementwise as ops
from specc.ops.contract import index as at
from specc.ops.functions import FUNCTIONS
from specc.ops.reduce import ArgMax, Max
from specc.ops.shape import Slice, Transpose
from specc.source import Span

INFINITY = float("inf")
LOWEST = -3e38
"""Lower than any value in a network, and finite in all types."""


def reduced(
    frame: BodyFrame,
    word: str,
    value: Tensor,
    over: tuple[RunningIndex, ...],
    conditions: list[Tensor],
    span: Span,
) -> Tensor:
    """Return the reduction named `word` of a value over some of its indices."""
    masks = [*conditions, *(_steps_of(each) for each in over if each.is_varying)]
    missing = [each for each in over if each not in value.indices]
    if missing:
        indices = common_indices([value, *(Tensor(value.node, indices=(k,)) for k in missing)])
        value = replace(value, node=widened(value, value.sequence, indices), indices=indices)
    if word in ("any", "all"):
        return _of_booleans(frame, word, value, over, masks, span)
    return RULES[word](frame, as_kind(frame, value, "float", span), over, masks, span)


def _steps_of(index: RunningIndex) -> Tensor:
    """Return the mask of an index over a sequence: true for the time steps of an example."""
    assert index.sequence is not None and index.sequence.mask is not None
    return Tensor(index.sequence.mask, indices=(index,))


def _axes(value: Tensor, over: tuple[RunningIndex, ...]) -> tuple[int, ...]:
    """Return the axes of a value's node that belong to some indices."""
    first = int(value.sequence is not None)
    return tuple(first + value.indices.index(each) for each in over)


def _without(value: Tensor, node: Node, over: tuple[RunningIndex, ...]) -> Tensor:
    """Return a reduction's node as a value without the reduced indices."""
    left = tuple(each for each in value.indices if each not in over)
    if (wrong := excess(node.type.shape)) is not None:
        raise OperandError("too-large", wrong)
    return Tensor(node, value.provenance, value.sequence, indices=left)


def total(
    frame: BodyFrame, value: Tensor, over: tuple[RunningIndex, ...], masks: list[Tensor], span: Span
) -> Tensor:
    """Return the sum; a sum of products becomes a contraction."""
    indices = common_indices([value, *masks])
    sequence = value.sequence
    node = widened(value, sequence, indices)
    value = replace(value, node=node, indices=indices)
    first = int(sequence is not None)
    factors = []
    for mask in masks:
        if mask.shape or (mask.sequence is not None and sequence is None):
            raise OperandError(
                "wrong-kind", f"a condition must be one boolean per index, not {describe(mask)}"
            )
        places = [at(0)] if mask.sequence is not None else []
        places += [at(first + indices.index(each)) for each in mask.indices]
        factors.append(Factor(mask.node, tuple(places)))
    made = summed(node, _axes(value, over), factors, frame.origin(span))
    return _without(value, made, over)


def _mean(frame: BodyFrame, value: Tensor, over, masks: list[Tensor], span: Span) -> Tensor:
    above = total(frame, value, over, masks, span)
    masked = {index for mask in masks for index in mask.indices}
    count = sizes.product(each.size for each in over if each not in masked)
    if not masks:
        return _divided(frame, above, count, span)
    ones = replace(as_kind(frame, masks[0], "float", span), provenance=None)
    for mask in masks[1:]:
        other = as_kind(frame, mask, "float", span)
        ones = arithmetic.arithmetic(frame, ops.Mul(), "*", (ones, other), span)
    inner = tuple(each for each in over if each in ones.indices)
    number = total(frame, ones, inner, [], span) if inner else ones
    number = arithmetic.arithmetic(frame, ops.Maximum(), "max", (number, 1.0), span)
    if count != 1:
        number = arithmetic.arithmetic(frame, ops.Mul(), "*", (number, count), span)
    return _divided(frame, above, number, span)


def _divided(frame: BodyFrame, above: Tensor, count, span: Span) -> Tensor:
    if isinstance(count, int) and count == 1:
        return above
    result = arithmetic.arithmetic(frame, ops.Div(), "/", (above, count), span)
    return replace(result, provenance=above.provenance)


def _kept(frame: BodyFrame, value: Tensor, masks: list[Tensor], other: float, span: Span) -> Tensor:
    """Return the value, and `other` where a mask is false."""
    for mask in masks:
        value = replace(
            arithmetic.select(frame, mask, value, other, span), provenance=value.provenance
        )
    return value


def _max(frame: BodyFrame, value: Tensor, over, masks: list[Tensor], span: Span) -> Tensor:
    value = _kept(frame, value, masks, -INFINITY, span)
    return _without(
        value, apply(Max(_axes(value, over)), value.node, origin=frame.origin(span)), over
    )


def _min(frame: BodyFrame, value: Tensor, over, masks: list[Tensor], span: Span) -> Tensor:
    return _negative(frame, _max(frame, _negative(frame, value, span), over, masks, span), span)


def _negative(frame: BodyFrame, value: Tensor, span: Span) -> Tensor:
    return frame.apply(ops.Neg(), value, span=span)


def _of_booleans(
    frame: BodyFrame, word: str, value: Tensor, over, masks: list[Tensor], span: Span
) -> Tensor:
    if value.type.kind != "bool":
        raise OperandError(
            "wrong-kind",
            f"`{word}` works on booleans, not on {describe(value)}",
            help="a comparison is a boolean: `x[i] > 0`",
            argument=0,
        )
    numbers = _kept(frame, as_kind(frame, value, "float", span), masks, float(word == "all"), span)
    rule = _max if word == "any" else _min
    found = rule(frame, numbers, over, [], span)
    result = arithmetic.compare(frame, ">", found, 0.5, span)
    assert isinstance(result, Tensor)
    return result


def _prod(frame: BodyFrame, value: Tensor, over, masks: list[Tensor], span: Span) -> Tensor:
    """Return the product: the two halves are multiplied until one element remains."""
    value = _kept(frame, value, masks, 1.0, span)
    origin = frame.origin(span)
    for each in over:
        (axis,) = _axes(value, (each,))
        node, size = value.node, each.size
        if not isinstance(size, int):
            raise undecided(size)
        while size > 1:
            half = size // 2
            parts = [apply(Slice(axis, start, half), node, origin=origin) for start in (0, half)]
            joined = apply(ops.Mul(), *parts, origin=origin)
            if size % 2:
                joined = _with_last(joined, node, axis, size, origin)
            node, size = joined, half + size % 2
        node = _dropped(node, axis, origin)
        value = replace(value, node=node, indices=tuple(k for k in value.indices if k is not each))
    return value


def _with_last(joined: Node, node: Node, axis: int, size: int, origin) -> Node:
    from specc.ops.shape import Concat

    last = apply(Slice(axis, size - 1, 1), node, origin=origin)
    return apply(Concat(axis), joined, last, origin=origin)


def _dropped(node: Node, axis: int, origin) -> Node:
    from specc.ops.shape import Reshape

    shape = node.type.shape
    return apply(Reshape((*shape[:axis], *shape[axis + 1 :])), node, origin=origin)


def _argmin(frame: BodyFrame, value: Tensor, over, masks: list[Tensor], span: Span) -> Tensor:
    return _argmax(frame, _negative(frame, value, span), over, masks, span)


def _argmax(frame: BodyFrame, value: Tensor, over, masks: list[Tensor], span: Span) -> Tensor:
    if len(over) > 1 or value.shape:
        raise OperandError(
            "wrong-kind",
            "`argmax` and `argmin` take one index, and a number for each of its values",
            argument=0,
        )
    if over[0].start != 0:
        raise OperandError(
            "bad-index",
            f"`{over[0].name}` starts at {over[0].start}, but `argmax` counts positions from 0",
            argument=0,
        )
    value = _kept(frame, value, masks, -INFINITY, span)
    (axis,) = _axes(value, over)
    node, origin = value.node, frame.origin(span)
    rank = len(node.type.shape)
    if axis != rank - 1:
        order = tuple(k for k in range(rank) if k != axis)
        node = apply(Transpose((*order, axis)), node, origin=origin)
    return _without(value, apply(ArgMax(), node, origin=origin), over)


def _norm(frame: BodyFrame, value: Tensor, over, masks: list[Tensor], span: Span) -> Tensor:
    square = arithmetic.arithmetic(frame, ops.Mul(), "*", (value, value), span)
    above = total(frame, square, over, masks, span)
    return frame.apply(FUNCTIONS["sqrt"], above, span=span)


def _shifted(
    frame: BodyFrame, value: Tensor, over, masks: list[Tensor], span: Span
) -> tuple[Tensor, Tensor]:
    """Return the values minus their maximum, and the maximum."""
    value = _kept(frame, value, masks, -INFINITY, span)
    largest = frame.apply(ops.Detach(), _max(frame, value, over, [], span), span=span)
    if masks:  # if the masks leave no element, the result is 0, not NaN
        largest = arithmetic.arithmetic(frame, ops.Maximum(), "max", (largest, LOWEST), span)
    shifted = arithmetic.arithmetic(frame, ops.Sub(), "-", (value, largest), span)
    return shifted, largest


def _softmax(frame: BodyFrame, value: Tensor, over, masks: list[Tensor], span: Span) -> Tensor:
    shifted, _ = _shifted(frame, value, over, masks, span)
    powers = frame.apply(FUNCTIONS["exp"], shifted, span=span)
    below = total(frame, powers, over, [], span)
    if masks:
        below = arithmetic.arithmetic(frame, ops.Maximum(), "max", (below, 1e-30), span)
    result = arithmetic.arithmetic(frame, ops.Div(), "/", (powers, below), span)
    return replace(result, provenance=value.provenance)


def _log_of_sum(frame: BodyFrame, shifted: Tensor, over, span: Span) -> Tensor:
    powers = frame.apply(FUNCTIONS["exp"], shifted, span=span)
    return frame.apply(FUNCTIONS["log"], total(frame, powers, over, [], span), span=span)


def _log_softmax(frame: BodyFrame, value: Tensor, over, masks: list[Tensor], span: Span) -> Tensor:
    shifted, _ = _shifted(frame, value, over, masks, span)
    log = _log_of_sum(frame, shifted, over, span)
    result = arithmetic.arithmetic(frame, ops.Sub(), "-", (shifted, log), span)
    return replace(result, provenance=value.provenance)


def _logsumexp(frame: BodyFrame, value: Tensor, over, masks: list[Tensor], span: Span) -> Tensor:
    shifted, largest = _shifted(frame, value, over, masks, span)
    log = _log_of_sum(frame, shifted, over, span)
    return arithmetic.arithmetic(frame, ops.Add(), "+", (log, largest), span)


RULES: dict[str, Callable[..., Tensor]] = {
    "sum": total,
    "mean": _mean,
    "max": _max,
    "min": _min,
    "prod": _prod,
    "norm": _norm,
    "logsumexp": _logsumexp,
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "argmax": _argmax,
    "argmin": _argmin,
}
