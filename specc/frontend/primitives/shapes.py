"""Functions that rearrange elements: shapes, axes, parts, positions and sequences."""

from __future__ import annotations

from dataclasses import replace

from specc.frontend.operators import sequences
from specc.frontend.operators.arithmetic import as_kind, spread
from specc.frontend.primitives.registry import axes_of, primitive, tensor
from specc.frontend.scope.errors import OperandError
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.provenance import Derivation
from specc.frontend.scope.values import Several, Tensor, Value, describe, is_static
from specc.ir import sizes
from specc.ir.sizes import Polynomial
from specc.ops import elementwise as ops
from specc.ops.broadcast import Broadcast
from specc.ops.functions import FUNCTIONS
from specc.ops.gather import Put
from specc.ops.leaf import Iota, leaf
from specc.ops.shape import Concat, Reshape, Slice, Transpose
from specc.source import Span

# ruff: noqa: F821 - the annotations of settings are written in the language's own words


@primitive("rows")
def _rows(frame: BodyFrame, span: Span, b: Value, x: Value) -> Value:
    """b broadcast over the first axes of x to the shape of x: a vector [n] for every row of
    [rows, n]. The axes of b must be the last axes of x.

    Example: `x + rows(b, x)` of `b: float[8]`, `x: float[3, 8]`.
    """
    x, b = tensor(x, "rows", 1), tensor(b, "rows")
    first = x.type.rank - b.type.rank
    if first < 0 or not all(map(sizes.same, b.shape, x.shape[first:])):
        raise OperandError(
            "shape-mismatch",
            f"`rows` needs the last axes of {sizes.show(x.shape)}, not {sizes.show(b.shape)}",
        )
    if not first:
        return b
    return frame.apply(Broadcast(x.shape, tuple(range(first, x.type.rank))), b, span=span)


@primitive("size")
def _size(frame: BodyFrame, span: Span, x: Value, *, axis: int) -> Value:
    """The size of an axis; axes count from 0, and -1 is the last.

    Example: `x / size(x; axis=0)` of `x: float[8]`.
    """
    x = tensor(x, "size")
    return x.shape[axes_of(x, axis, 0, "size")[0]]


@primitive("rank")
def _rank(frame: BodyFrame, span: Span, x: Value) -> Value:
    """The number of axes.

    Example: `x / rank(x)` of `x: float[3, 8]`.
    """
    return 0 if is_static(x) else tensor(x, "rank").type.rank


@primitive("positions")
def _positions(frame: BodyFrame, span: Span, x: Value, *, axis: int) -> Value:
    """p[..., i, ...] = i: the numbers 0, 1, 2, ... along one axis of x, in the shape of x.

    Example: `x + positions(x; axis=1)` of `x: float[3, 8]`.
    """
    x = tensor(x, "positions")
    (along,) = axes_of(x, axis, 0, "positions")
    count = Tensor(leaf(Iota(x.shape[along]), frame.origin(span)))
    return frame.apply(
        Broadcast(x.shape, (along,)), frame.apply(ops.ToFloat(), count, span=span), span=span
    )


@primitive("flatten")
def _flatten(frame: BodyFrame, span: Span, x: Value) -> Value:
    """All elements as one vector, the last axis varies fastest: [c, h, w] -> [c * h * w].

    Example: `x -> flatten` of `x: float[3, 8, 8]`.
    """
    x = tensor(x, "flatten")
    if x.type.rank == 1:
        return x
    result = frame.apply(Reshape((x.type.elements,)), x, span=span)
    note = " * ".join(str(size) for size in x.shape) + f" = {x.type.elements}" if x.shape else ""
    return replace(
        result,
        provenance=Derivation(span, "flatten", result.shape, note, x.provenance, hidden=True),
    )


@primitive("reshape")
def _reshape(
    frame: BodyFrame,
    span: Span,
    x: Value,
    *,
    first: size,
    second: size = None,
    third: size = None,
    fourth: size = None,
    fifth: size = None,
    sixth: size = None,
) -> Value:
    """The same elements in the same order in another shape: `reshape(x; 16, 5, 5)`.

    Example: `x -> reshape(1, 8, 8)` of `x: float[64]`.
    """
    x = tensor(x, "reshape")
    given = (first, second, third, fourth, fifth, sixth)
    shape = tuple(each for each in given if each is not None)
    if given[: len(shape)] != shape:
        raise OperandError("bad-setting", "the sizes of `reshape` are given without a gap")
    if sizes.same(x.type.elements, sizes.product(shape)) is None:
        raise OperandError(
            "undecided-size",
            f"cannot prove that {sizes.show(x.shape)} has as many elements as {sizes.show(shape)}",
            open_sizes=sizes.open_names(x.type.elements - sizes.product(shape)),
        )
    return frame.apply(Reshape(shape), x, span=span)


@primitive("transpose")
def _transpose(
    frame: BodyFrame,
    span: Span,
    x: Value,
    *,
    first: int >= 0 = None,
    second: int >= 0 = None,
    third: int >= 0 = None,
    fourth: int >= 0 = None,
    fifth: int >= 0 = None,
    sixth: int >= 0 = None,
) -> Value:
    """The axes in another order, by default in reverse: `transpose(x; 1, 2, 0)` moves axis 0 to the
    end.

    Example: `transpose(x)` of `x: float[3, 8]`.
    """
    x = tensor(x, "transpose")
    order = tuple(each for each in (first, second, third, fourth, fifth, sixth) if each is not None)
    return frame.apply(Transpose(order or tuple(range(x.type.rank))[::-1]), x, span=span)


@primitive("concat")
def _concat(frame: BodyFrame, span: Span, x: Value, *more: Value, axis: int = 0) -> Value:
    """Values concatenated along an axis; all other axes must be equal. A number counts as a vector
    with one element: `concat(1, 1, 5)`.

    Example: `concat(a, b)` of `a: float[8]`, `b: float[4]`.
    """
    values = [_part(frame, each, position, span) for position, each in enumerate((x, *more))]
    rank = values[0].type.rank
    if not -rank <= axis < rank:
        raise OperandError(
            "bad-setting", f"{sizes.show(values[0].shape)} has no axis {axis}: axes count from 0"
        )
    return values[0] if len(values) == 1 else frame.apply(Concat(axis % rank), *values, span=span)


def _part(frame: BodyFrame, x: Value, position: int, span: Span) -> Tensor:
    """Return an input of `concat` as a tensor."""
    part = as_kind(frame, x if is_static(x) else tensor(x, "concat", position), "float", span)
    return part if part.shape else frame.apply(Broadcast((1,)), part, span=span)


@primitive("split")
def _split(frame: BodyFrame, span: Span, x: Value, *, parts: int > 0, axis: int = 0) -> Value:
    """Equal parts along an axis: `let a, b = split(x; 2)`.

    Example: `let a, b = split(x; 2)`, `output a * b` of `x: float[8]`.
    """
    x = tensor(x, "split")
    (along,) = axes_of(x, axis, 0, "split")
    size = x.shape[along]
    if size % parts != 0:
        if isinstance(size, Polynomial):
            raise OperandError(
                "undecided-size",
                f"cannot prove that axis {along}, {size}, can be split into {parts} equal parts",
                open_sizes=sizes.open_names(size),
            )
        raise OperandError(
            "shape-mismatch",
            f"axis {along} of {sizes.show(x.shape)} cannot be split into"
            f" {parts} equal parts: {size} / {parts} = {size / parts:g}",
        )
    each = size // parts
    if parts == 1:
        return x
    return Several(
        tuple(frame.apply(Slice(along, k * each, each), x, span=span) for k in range(parts))
    )


@primitive("spread")
def _spread(frame: BodyFrame, span: Span, b: Value, x: Value) -> Value:
    """b broadcast over the last axes of x to the shape of x: a bias [c] for every position of an
    image [c, h, w]. The axes of b must be the first axes of x.

    Example: `x + spread(b, x)` of `b: float[3]`, `x: float[3, 8, 8]`.
    """
    x = tensor(x, "spread", 1)
    if is_static(b):
        b = as_kind(frame, b, "float", span)
    b = tensor(b, "spread")
    if b.shape == x.shape:
        return b
    lead = x.shape[: b.type.rank]
    if b.type.rank > x.type.rank or not all(map(sizes.same, b.shape, lead)):
        raise OperandError(
            "shape-mismatch",
            f"`spread` needs the first axes of {sizes.show(x.shape)}, but"
            f" has {sizes.show(b.shape)}",
        )
    op = Broadcast(x.shape, tuple(range(b.type.rank)))
    return replace(frame.apply(op, b, span=span), provenance=x.provenance)


@primitive("repeat")
def _repeat(frame: BodyFrame, span: Span, x: Value, *, times: int > 0, axis: int = 0) -> Value:
    """Each element along an axis repeated `times` times: a, b -> a, a, b, b.

    Example: `repeat(x; 2, axis=1)` of `x: float[3, 8]`.
    """
    x = tensor(x, "repeat")
    (along,) = axes_of(x, axis, 0, "repeat")
    if times == 1:
        return x
    # [.., n, ..] -> [.., n, times, ..] -> [.., n * times, ..]
    lead, rest = x.shape[: along + 1], x.shape[along + 1 :]
    kept = tuple(k if k <= along else k + 1 for k in range(x.type.rank))
    spread = frame.apply(Broadcast((*lead, times, *rest), kept), x, span=span)
    return frame.apply(Reshape((*lead[:-1], lead[-1] * times, *rest)), spread, span=span)


@primitive("one_hot")
def _one_hot(frame: BodyFrame, span: Span, index: Value) -> Value:
    """1 at the position of the class, 0 elsewhere: class(n) -> [n], or class(n)[...] -> [..., n].

    Example: `one_hot(x)` of `x: class(10)`.
    """
    index = _classes(index, "one_hot")
    ones = as_kind(frame, 1.0, "float", span)
    if index.type.rank:
        ones = frame.apply(Broadcast(index.shape), ones, span=span)
    assert index.type.classes is not None, "a class has a number of classes; please report this"
    return frame.apply(Put(index.type.classes, lead=index.type.rank), ones, index, span=span)


def _classes(x: Value, name: str) -> Tensor:
    """Return `x` as a class, or as classes along some axes."""
    if not isinstance(x, Tensor) or x.type.kind != "int" or x.type.classes is None:
        raise OperandError("wrong-kind", f"`{name}` takes a class, not {describe(x)}", argument=0)
    return x


@primitive("number")
def _number(frame: BodyFrame, span: Span, c: Value) -> Value:
    """The number of a class: 0, 1, ..., n - 1. It has no gradient.

    Example: `number(x)` of `x: class(10)`.
    """
    return frame.apply(ops.ToFloat(), _classes(c, "number"), span=span)


@primitive("class")
def _class(frame: BodyFrame, span: Span, x: Value, *, classes: size) -> Value:
    """The number x as one of `classes` classes: floor(x), but 0 for numbers below 0 and for NaN,
    and the last class for larger numbers. It has no gradient.

    Example: `class(4 * x; 4)` of `x: float`.
    """
    x = as_kind(frame, tensor(x, "class"), "float", span)
    zero = as_kind(frame, 0.0, "float", span)
    last = as_kind(frame, classes - 1, "float", span)
    zero, last = (spread(frame, each, x.shape, span) for each in (zero, last))
    is_above = frame.apply(ops.Less(), zero, x, span=span)
    is_within = frame.apply(ops.Less(), x, last, span=span)
    bounded = frame.apply(ops.Select(), is_within, x, last, span=span)
    bounded = frame.apply(ops.Select(), is_above, bounded, zero, span=span)
    whole = frame.apply(FUNCTIONS["floor"], bounded, span=span)
    return frame.apply(ops.ToInt(classes), whole, span=span)


@primitive("last")
def _last(frame: BodyFrame, span: Span, x: Value) -> Value:
    """The value of the last time step of a sequence.

    Example: `x -> last` of `x: float[time, 3]`.
    """
    return sequences.last(frame, sequences.of_sequence(x, "last"), span)


@primitive("first")
def _first(frame: BodyFrame, span: Span, x: Value) -> Value:
    """The value of the first time step of a sequence.

    Example: `x -> first` of `x: float[time, 3]`.
    """
    return sequences.first(frame, sequences.of_sequence(x, "first"), span)


@primitive("previous")
def _previous(frame: BodyFrame, span: Span, x: Value) -> Value:
    """The value of the previous time step. At the first step numbers are 0. Classes 0 .. n - 1
    become
    a class(n + 1), which is n at the first step. `previous(word)` of a target is the input of a
    decoder: the words generated so far.

    Example: `x -> previous` of `x: float[time, 3]`.
    """
    return sequences.previous(frame, sequences.of_sequence(x, "previous"), span)


@primitive("along")
def _along(frame: BodyFrame, span: Span, x: Value, *, sequence: sequence) -> Value:
    """One value, repeated at every time step of a sequence: `picture -> along(time)`.

    Example: `x -> along(time)` of `x: float[3]`.
    """
    return sequences.along(frame, x, sequence, span)
