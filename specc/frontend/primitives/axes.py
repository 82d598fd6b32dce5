"""Functions along one axis: padding, sorting, cumulative sums."""

from __future__ import annotations

from specc.frontend.operators import sequences
from specc.frontend.operators.arithmetic import as_kind
from specc.frontend.primitives.registry import axes_of, primitive, tensor
from specc.frontend.scope.errors import OperandError
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.values import Tensor, Value
from specc.ir import sizes
from specc.ir.sizes import Polynomial, Size
from specc.ops import elementwise as ops
from specc.ops.along import Order, RunningSum
from specc.ops.broadcast import Broadcast
from specc.ops.gather import Take
from specc.ops.shape import Concat, Pad, Reshape, Slice, Transpose
from specc.source import Span

# ruff: noqa: F821, RUF013 - the annotations of settings are written in the language's own words


@primitive("pad")
def _pad(
    frame: BodyFrame,
    span: Span,
    x: Value,
    *,
    before: int >= 0,
    after: int >= 0 = None,
    axis: int = -1,
    form: zeros or edge or reflect = "zeros",
) -> Value:
    """x with `before` more elements at the start of one axis, and `after` (by default as many) at
    its end. They are 0, or copies of the last element there (`edge`), or the elements next to
    it, in reverse (`reflect`): of a, b, c, d with 2 on each side 0, 0, a, b, c, d, 0, 0;
    or a, a, a, b, c, d, d, d; or c, b, a, b, c, d, c, b.

    Example: `x -> pad(2, 1, axis=1)` of `x: float[3, 8]`.
    """
    x = as_kind(frame, tensor(x, "pad"), "float", span)
    (along,) = axes_of(x, axis, 0, "pad")
    size = x.shape[along]
    after = before if after is None else after
    if form == "zeros":
        if before == after == 0:
            return x
        return frame.apply(Pad(along, before, size + before + after), x, span=span)
    if form == "reflect" and isinstance(size, int) and max(before, after) >= size:
        raise OperandError(
            "bad-setting",
            f"`pad` with `form=reflect` can add at most {size - 1} elements to an axis of {size},"
            f" not {max(before, after)}",
        )
    parts = [
        _edge(frame, x, along, 0, before, form, span),
        x,
        _edge(frame, x, along, size - 1, after, form, span),
    ]
    kept = [each for each in parts if each is not None]
    return x if len(kept) == 1 else frame.apply(Concat(along), *kept, span=span)


def _edge(
    frame: BodyFrame, x: Tensor, axis: int, end: Size, count: Size, form: str, span: Span
) -> Tensor | None:
    """Return the elements to add at one end, or None if there are none."""
    if count == 0:
        return None
    if form == "reflect":
        start = count if end == 0 else end - 1
        return frame.apply(Slice(axis, start, count, -1), x, span=span)
    one = frame.apply(Slice(axis, end, 1), x, span=span)
    return _copies(frame, one, axis, count, span)


def _copies(frame: BodyFrame, one: Tensor, axis: int, count: Size, span: Span) -> Tensor:
    """Return `count` adjacent copies of a tensor with one element along an axis."""
    rest = one.shape[:axis] + one.shape[axis + 1 :]
    flat = frame.apply(Reshape(rest), one, span=span)
    shape = (*rest[:axis], count, *rest[axis:])
    kept = tuple(each for each in range(len(shape)) if each != axis)
    return frame.apply(Broadcast(shape, kept), flat, span=span)


@primitive("reverse")
def _reverse(frame: BodyFrame, span: Span, x: Value, *, axis: int = None) -> Value:
    """The time steps of a sequence in reverse; or, with `axis`, the elements along an axis in
    reverse: y[i] = x[n - 1 - i].

    Example: `x -> reverse` of `x: float[time, 3]`.
    """
    if axis is None:
        return sequences.reverse(frame, sequences.of_sequence(x, "reverse"), span)
    x = tensor(x, "reverse")
    (along,) = axes_of(x, axis, 0, "reverse")
    return _mirrored(frame, x, along, span)


def _mirrored(frame: BodyFrame, x: Tensor, axis: int, span: Span) -> Tensor:
    size = x.shape[axis]
    return frame.apply(Slice(axis, size - 1, size, -1), x, span=span)


@primitive("roll")
def _roll(frame: BodyFrame, span: Span, x: Value, *, by: int, axis: int = -1) -> Value:
    """The elements along an axis, shifted cyclically by `by` positions: y[i] = x[(i - by) mod n].

    Example: `x -> roll(1)` of `x: float[8]`.
    """
    x = tensor(x, "roll")
    (along,) = axes_of(x, axis, 0, "roll")
    size = x.shape[along]
    if isinstance(size, Polynomial):
        raise OperandError(
            "undecided-size",
            f"`roll` needs to know the size of axis {along}, {size}",
            open_sizes=sizes.open_names(size),
        )
    first = by % size
    if first == 0:
        return x
    # the last `first` elements come first
    parts = [
        frame.apply(Slice(along, size - first, first), x, span=span),
        frame.apply(Slice(along, 0, size - first), x, span=span),
    ]
    return frame.apply(Concat(along), *parts, span=span)


@primitive("cumsum")
def _cumsum(frame: BodyFrame, span: Span, x: Value, *, axis: int = -1) -> Value:
    """The cumulative sums along an axis: y[i] = x[0] + x[1] + ... + x[i].

    Example: `x -> cumsum` of `x: float[8]`.
    """
    x = as_kind(frame, tensor(x, "cumsum"), "float", span)
    (along,) = axes_of(x, axis, 0, "cumsum")
    return frame.apply(RunningSum(along), x, span=span)


@primitive("sort")
def _sort(
    frame: BodyFrame,
    span: Span,
    x: Value,
    *,
    axis: int = -1,
    order: ascending or descending = "ascending",
) -> Value:
    """The elements along an axis, sorted in ascending or descending order. Equal elements keep
    their
    order; the gradient flows to the original elements. NaN is sorted last.

    Batcher, Sorting networks and their applications, 1968.

    Example: `x -> sort` of `x: float[8]`.
    """
    x = as_kind(frame, tensor(x, "sort"), "float", span)
    (along,) = axes_of(x, axis, 0, "sort")
    return _sorted(frame, x, along, order == "descending", span)


@primitive("largest")
def _largest(frame: BodyFrame, span: Span, x: Value, *, k: int > 0, axis: int = -1) -> Value:
    """The k largest elements along an axis in descending order: the first ones of
    `sort(x; order=descending)`.

    Example: `x -> largest(3)` of `x: float[8]`.
    """
    x = as_kind(frame, tensor(x, "largest"), "float", span)
    (along,) = axes_of(x, axis, 0, "largest")
    size = x.shape[along]
    if isinstance(size, int) and isinstance(k, int) and k > size:
        raise OperandError("bad-setting", f"an axis of {size} has no {k} largest elements")
    ordered = _sorted(frame, x, along, True, span)
    return ordered if k == size else frame.apply(Slice(along, 0, k), ordered, span=span)


def _sorted(frame: BodyFrame, x: Tensor, axis: int, is_descending: bool, span: Span) -> Tensor:
    rank = x.type.rank
    order = (*(each for each in range(rank) if each != axis), axis)
    if axis != rank - 1:
        x = frame.apply(Transpose(order), x, span=span)
    key = frame.apply(ops.Neg(), x, span=span) if is_descending else x
    places = frame.apply(Order(), key, span=span)
    found = frame.apply(Take(rank - 1), x, places, span=span)
    if axis == rank - 1:
        return found
    back = tuple(order.index(each) for each in range(rank))
    return frame.apply(Transpose(back), found, span=span)
