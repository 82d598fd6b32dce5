"""The primitive words: all that the library's formulas are made of.

    PRIMITIVES["exp"].build(frame, span, x)     # a number or a tensor
    PRIMITIVES["exp"].doc                       # what `specc explain exp` says

A builder's positional parameters are the word's inputs and its keyword-only ones its settings, with
their declarations as annotations. Builders raise `Mistake`; nothing else in the language is in Python.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from specc.frontend import sequences
from specc.frontend.arithmetic import arithmetic, as_kind, pairwise, unary
from specc.frontend.products import (
    convolve,
    image,
    padded,
    scatter,
    window_counts,
    window_sum,
)
from specc.frontend.scope import Frame, Mistake
from specc.frontend.sequences import average, total
from specc.frontend.settings import REQUIRED, Declared
from specc.frontend.signatures import InputDeclared, Signature
from specc.frontend.trail import Step
from specc.frontend.values import Several, Tensor, Value, describe, is_static
from specc.ir import sizes
from specc.ir.op import Op
from specc.ir.sizes import Polynomial
from specc.ir.types import Type
from specc.ops import elementwise as ops
from specc.ops.gather import Put
from specc.ops.leaf import Input, Iota, leaf
from specc.ops.peers import BATCH, Peers
from specc.ops.random import Uniform
from specc.ops.reduce import ArgMax, BatchMean, Max, Sum
from specc.ops.shape import Broadcast, Concat, Reshape, Slice, Transpose
from specc.ops.window import WindowMax
from specc.source import Span

# ruff: noqa: F821, RUF013 - the annotations of settings are written in the language's own words


@dataclass(frozen=True, eq=False)
class Primitive:
    """A word that is defined here."""

    name: str
    signature: Signature
    doc: str
    build: Callable[..., Value]


PRIMITIVES: dict[str, Primitive] = {}


def primitive(name: str):
    """Registers a builder as the word `name`."""

    def register(build: Callable[..., Value]) -> Callable[..., Value]:
        code = build.__code__
        names = code.co_varnames[2 : code.co_argcount]  # behind frame and span
        optional = len(build.__defaults__ or ())
        inputs = [
            InputDeclared(each, is_optional=position >= len(names) - optional)
            for position, each in enumerate(names)
        ]
        keywords = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
        defaults = build.__kwdefaults__ or {}
        settings = tuple(
            _declared(each, build.__annotations__[each], defaults.get(each, REQUIRED))
            for each in keywords
        )
        takes_more = bool(code.co_flags & 0x04)
        signature = Signature(tuple(inputs), settings, takes_more)
        PRIMITIVES[name] = Primitive(name, signature, build.__doc__, build)
        return build

    return register


def _declared(name: str, annotation: str, default) -> Declared:
    """The declaration of a setting, written as in the language: "int > 0", "exact or floor"."""
    text = annotation.strip("'\"")
    if " or " in text:
        return Declared(name, None, tuple(text.split(" or ")), (), default)
    kind, *bounds = text.split()
    pairs = tuple(zip(bounds[::2], map(int, bounds[1::2]), strict=True))
    return Declared(name, kind, (), pairs, default)


def tensor(x: Value, name: str, argument: int = 0) -> Tensor:
    """`x` as a tensor of numbers."""
    if not isinstance(x, Tensor) or x.type.kind == "int":
        raise Mistake("wrong-kind", f"`{name}` works on tensors of numbers, not on {describe(x)}",
                      argument=argument)  # fmt: skip
    return x


# Functions of each element


def _function(name: str, op: Op, function: Callable, doc: str) -> None:
    def build(frame: Frame, span: Span, x: Value) -> Value:
        return unary(frame, op, function, name, x, span)

    build.__doc__ = doc
    primitive(name)(build)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


_function("exp", ops.Exp(), math.exp, "e^x of each element.")
_function("log", ops.Log(), math.log, "The natural logarithm of each element.")
_function("sqrt", ops.Sqrt(), math.sqrt, "The square root of each element.")
_function("tanh", ops.Tanh(), math.tanh, "tanh(x) = (e^x - e^-x) / (e^x + e^-x) of each element.")
_function("sigmoid", ops.Sigmoid(), _sigmoid, "1 / (1 + e^-x) of each element.")
_function("erf", ops.Erf(), math.erf, "2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x, for each element.")
_function("abs", ops.Abs(), abs, "The absolute value of each element.")
_function("sign", ops.Sign(), lambda x: (x > 0) - (x < 0), "-1, 0 or 1: the sign of each element.")
_function("floor", ops.Floor(), math.floor, "The largest whole number that is not above each element.")
_function("sin", ops.Sin(), math.sin, "The sine of each element.")
_function("cos", ops.Cos(), math.cos, "The cosine of each element.")


@primitive("stop_gradient")
def _stop_gradient(frame: Frame, span: Span, x: Value) -> Value:
    """x itself, through which no gradient flows."""
    return x if is_static(x) else frame.apply(ops.Detach(), tensor(x, "stop_gradient"), span=span)


# Reductions


def _axes(x: Tensor, axis: int | None, keep: int, name: str) -> tuple[int, ...]:
    """The axes to reduce: one, or all behind the first `keep`."""
    rank = x.type.rank
    if axis is None:
        if keep > rank:
            raise Mistake("bad-setting", f"{sizes.show(x.shape)} has no {keep} axes to keep")
        return tuple(range(keep, rank))
    if keep:
        raise Mistake("bad-setting", f"`{name}` takes `axis` or `keep`, not both")
    if not -rank <= axis < rank:
        raise Mistake("bad-setting", f"{sizes.show(x.shape)} has no axis {axis}: axes count from 0")
    return (axis % rank,)


def _sum(frame: Frame, span: Span, x: Tensor, axes: tuple[int, ...]) -> Tensor:
    x = as_kind(frame, x, "float", span)
    return frame.apply(Sum(axes), x, span=span) if axes else x


@primitive("sum")
def _sum_all(
    frame: Frame, span: Span, x: Value, *, axis: int = None, keep: int >= 0 = 0, over: sequence = None
) -> Value:
    """The sum of all elements; or over one axis; or over all axes behind the first `keep`; or, with
    `over=time`, over the steps of a sequence."""
    if is_static(x):
        return x
    x = tensor(x, "sum")
    if over is not None:
        return total(frame, as_kind(frame, x, "float", span), over, "sum", span)
    return _sum(frame, span, x, _axes(x, axis, keep, "sum"))


@primitive("mean")
def _mean(
    frame: Frame, span: Span, x: Value, *, axis: int = None, keep: int >= 0 = 0, over: sequence = None
) -> Value:
    """The mean of all elements; or over one axis; or over all axes behind the first `keep`; or, with
    `over=time`, over the steps of a sequence."""
    if is_static(x):
        return x
    x = tensor(x, "mean")
    if over is not None:
        return average(frame, as_kind(frame, x, "float", span), over, "mean", span)
    axes = _axes(x, axis, keep, "mean")
    count = sizes.product(x.shape[each] for each in axes)
    total = _sum(frame, span, x, axes)
    return total if count == 1 else arithmetic(frame, ops.Div(), "/", (total, count), span)


def _extreme(frame, span, a, b, axis, keep, name, op, function) -> Value:
    if b is not None:
        if axis is not None or keep:
            raise Mistake("bad-setting", f"`{name}` of two values takes no `axis`")
        return pairwise(frame, op, function, name, a, b, span)
    if is_static(a):
        return a
    x = as_kind(frame, tensor(a, name), "float", span)
    axes = _axes(x, axis, keep, name)
    if not axes:
        return x
    if name == "max":
        return frame.apply(Max(axes), x, span=span)
    largest = frame.apply(Max(axes), frame.apply(ops.Neg(), x, span=span), span=span)
    return frame.apply(ops.Neg(), largest, span=span)


@primitive("max")
def _max(
    frame: Frame, span: Span, a: Value, b: Value = None, *, axis: int = None, keep: int >= 0 = 0
) -> Value:
    """max(a, b): the larger of two, for each element. max(a): the largest of all elements, or over an
    axis, or over all axes behind the first `keep`."""
    return _extreme(frame, span, a, b, axis, keep, "max", ops.Maximum(), max)


@primitive("min")
def _min(
    frame: Frame, span: Span, a: Value, b: Value = None, *, axis: int = None, keep: int >= 0 = 0
) -> Value:
    """min(a, b): the smaller of two, for each element. min(a): the smallest of all elements, or over an
    axis, or over all axes behind the first `keep`."""
    return _extreme(frame, span, a, b, axis, keep, "min", ops.Minimum(), min)


@primitive("argmax")
def _argmax(frame: Frame, span: Span, x: Value) -> Value:
    """The position of the largest element of a vector, as a class; of equal ones the first."""
    x = tensor(x, "argmax")
    if x.type.rank != 1:
        raise Mistake("wrong-kind", f"`argmax` takes a vector, not {describe(x)}", argument=0)
    return frame.apply(ArgMax(), as_kind(frame, x, "float", span), span=span)


@primitive("batch_mean")
def _batch_mean(frame: Frame, span: Span, x: Value) -> Value:
    """The mean over the examples of the batch, for each element: one value for all examples."""
    x = as_kind(frame, tensor(x, "batch_mean"), "float", span)
    if not x.type.batched:
        raise Mistake("wrong-kind", "`batch_mean` needs a value that differs between examples", argument=0)
    if x.sequence is not None and x.sequence.length is not None:
        return sequences.over_batch(frame, x, span)
    return frame.apply(BatchMean(), x, span=span)


@primitive("peers")
def _peers(frame: Frame, span: Span, x: Value) -> Value:
    """x of every example of the batch, along a new first axis: [...] -> [the batch, ...]. With
    `peer_mean` it makes losses over the pairs of a batch."""
    if not isinstance(x, Tensor) or not x.type.batched:
        raise Mistake("wrong-kind", "`peers` needs a value that differs between examples", argument=0)
    if x.sequence is not None:
        raise Mistake("wrong-kind", f"`peers` takes one value of each example, not {describe(x)}", argument=0,
                      help=f"`last(x)` or `mean(x; over={x.sequence.name})` makes one of a sequence")  # fmt: skip
    return frame.apply(Peers(BATCH, x.type.kind), x, span=span)


@primitive("peer_mean")
def _peer_mean(frame: Frame, span: Span, x: Value) -> Value:
    """The mean over the examples of the batch that are along the first axis, as `peers` puts them."""
    x = as_kind(frame, tensor(x, "peer_mean"), "float", span)
    if not x.shape or x.shape[0] != BATCH:
        raise Mistake("wrong-kind", "`peer_mean` takes a value made with `peers`, whose first axis is the"
                      " batch", argument=0)  # fmt: skip
    weight = Tensor(leaf(Input("weight_of_example", "", Type("float", (), True)), frame.origin(span)))
    weights = frame.apply(Broadcast(x.shape, (0,)), frame.apply(Peers(BATCH, "float"), weight, span=span),
                          span=span)  # fmt: skip
    return frame.apply(Sum((0,)), frame.apply(ops.Mul(), x, weights, span=span), span=span)


# Shapes


@primitive("rows")
def _rows(frame: Frame, span: Span, b: Value, x: Value) -> Value:
    """b repeated over the first axes of x, so that it has the shape of x: a vector [n] for every row of
    [rows, n]. The axes of b must be the last axes of x."""
    x, b = tensor(x, "rows", 1), tensor(b, "rows")
    first = x.type.rank - b.type.rank
    if first < 0 or not all(map(sizes.same, b.shape, x.shape[first:])):
        raise Mistake("shape-mismatch", f"`rows` needs the last axes of {sizes.show(x.shape)}, but has"
                      f" {sizes.show(b.shape)}")  # fmt: skip
    if not first:
        return b
    return frame.apply(Broadcast(x.shape, tuple(range(first, x.type.rank))), b, span=span)


@primitive("size")
def _size(frame: Frame, span: Span, x: Value, *, axis: int) -> Value:
    """The length of one axis; axes count from 0, and -1 is the last."""
    x = tensor(x, "size")
    return x.shape[_axes(x, axis, 0, "size")[0]]


@primitive("rank")
def _rank(frame: Frame, span: Span, x: Value) -> Value:
    """The number of axes."""
    return 0 if is_static(x) else tensor(x, "rank").type.rank


@primitive("positions")
def _positions(frame: Frame, span: Span, x: Value, *, axis: int) -> Value:
    """p[..., i, ...] = i: the numbers 0, 1, 2, ... along one axis of x, in the shape of x."""
    x = tensor(x, "positions")
    (along,) = _axes(x, axis, 0, "positions")
    count = Tensor(leaf(Iota(x.shape[along]), frame.origin(span)))
    return frame.apply(Broadcast(x.shape, (along,)), frame.apply(ops.ToFloat(), count, span=span), span=span)


@primitive("flatten")
def _flatten(frame: Frame, span: Span, x: Value) -> Value:
    """All elements as one vector, the last axis running fastest: [c, h, w] -> [c * h * w]."""
    x = tensor(x, "flatten")
    if x.type.rank == 1:
        return x
    result = frame.apply(Reshape((x.type.elements,)), x, span=span)
    note = " * ".join(str(size) for size in x.shape) + f" = {x.type.elements}" if x.shape else ""
    return replace(result, trail=Step(span, "flatten", result.shape, note, x.trail, hidden=True))


@primitive("reshape")
def _reshape(
    frame: Frame, span: Span, x: Value, *, first: size, second: size = None, third: size = None,
    fourth: size = None, fifth: size = None, sixth: size = None,
) -> Value:
    """The same elements in the same order under another shape: `reshape(x; 16, 5, 5)`."""
    x = tensor(x, "reshape")
    given = (first, second, third, fourth, fifth, sixth)
    shape = tuple(each for each in given if each is not None)
    if given[: len(shape)] != shape:
        raise Mistake("bad-setting", "the sizes of `reshape` are given without a gap")
    if sizes.same(x.type.elements, sizes.product(shape)) is None:
        raise Mistake("undecided-size", f"cannot prove that {sizes.show(x.shape)} has as many elements as"
                      f" {sizes.show(shape)}",
                      open_sizes=sizes.open_names(x.type.elements - sizes.product(shape)))  # fmt: skip
    return frame.apply(Reshape(shape), x, span=span)


@primitive("transpose")
def _transpose(
    frame: Frame, span: Span, x: Value, *, first: int >= 0 = None, second: int >= 0 = None,
    third: int >= 0 = None, fourth: int >= 0 = None, fifth: int >= 0 = None, sixth: int >= 0 = None,
) -> Value:
    """The axes in another order, by default reversed: `transpose(x; 1, 2, 0)` puts axis 0 last."""
    x = tensor(x, "transpose")
    order = tuple(each for each in (first, second, third, fourth, fifth, sixth)
                  if each is not None)  # fmt: skip
    return frame.apply(Transpose(order or tuple(range(x.type.rank))[::-1]), x, span=span)


@primitive("concat")
def _concat(frame: Frame, span: Span, x: Value, *more: Value, axis: int = 0) -> Value:
    """Values joined along an axis; all other axes must agree. A number counts as a vector of one
    element: `concat(1, 1, 5)`."""
    values = [_part(frame, each, position, span) for position, each in enumerate((x, *more))]
    rank = values[0].type.rank
    if not -rank <= axis < rank:
        raise Mistake("bad-setting", f"{sizes.show(values[0].shape)} has no axis {axis}: axes count from 0")
    return values[0] if len(values) == 1 else frame.apply(Concat(axis % rank), *values, span=span)


def _part(frame: Frame, x: Value, position: int, span: Span) -> Tensor:
    """A part of `concat`."""
    part = as_kind(frame, x if is_static(x) else tensor(x, "concat", position), "float", span)
    return part if part.shape else frame.apply(Broadcast((1,)), part, span=span)


@primitive("split")
def _split(frame: Frame, span: Span, x: Value, *, parts: int > 0, axis: int = 0) -> Value:
    """Equal parts along an axis: `let a, b = split(x; 2)`."""
    x = tensor(x, "split")
    (along,) = _axes(x, axis, 0, "split")
    size = x.shape[along]
    if size % parts != 0:
        if isinstance(size, Polynomial):
            raise Mistake("undecided-size", f"cannot prove that axis {along}, {size}, has {parts} equal"
                          " parts", open_sizes=sizes.open_names(size))  # fmt: skip
        raise Mistake("shape-mismatch", f"axis {along} of {sizes.show(x.shape)} cannot be split into"
                      f" {parts} equal parts: {size} / {parts} = {size / parts:g}")  # fmt: skip
    each = size // parts
    if parts == 1:
        return x
    return Several(tuple(frame.apply(Slice(along, k * each, each), x, span=span) for k in range(parts)))


@primitive("spread")
def _spread(frame: Frame, span: Span, b: Value, x: Value) -> Value:
    """b repeated over the last axes of x, so that it has the shape of x: a bias [c] for every place of
    an image [c, h, w]. The axes of b must be the first axes of x."""
    x = tensor(x, "spread", 1)
    if is_static(b):
        b = as_kind(frame, b, "float", span)
    b = tensor(b, "spread")
    if b.shape == x.shape:
        return b
    lead = x.shape[: b.type.rank]
    if b.type.rank > x.type.rank or not all(map(sizes.same, b.shape, lead)):
        raise Mistake("shape-mismatch", f"`spread` needs the first axes of {sizes.show(x.shape)}, but"
                      f" has {sizes.show(b.shape)}")  # fmt: skip
    op = Broadcast(x.shape, tuple(range(b.type.rank)))
    return replace(frame.apply(op, b, span=span), trail=x.trail)


# Sequences


@primitive("last")
def _last(frame: Frame, span: Span, x: Value) -> Value:
    """The value of the last step of a sequence."""
    return sequences.last(frame, sequences.of_sequence(x, "last"), span)


@primitive("first")
def _first(frame: Frame, span: Span, x: Value) -> Value:
    """The value of the first step of a sequence."""
    return sequences.first(frame, sequences.of_sequence(x, "first"), span)


@primitive("reverse")
def _reverse(frame: Frame, span: Span, x: Value) -> Value:
    """The steps of a sequence from the last to the first."""
    return sequences.reverse(frame, sequences.of_sequence(x, "reverse"), span)


@primitive("previous")
def _previous(frame: Frame, span: Span, x: Value) -> Value:
    """The value of the step before: of classes 0 .. n - 1 a class(n + 1), which is n at the first step;
    of numbers, which are 0 at the first step. `previous(word)` of a target is what a decoder has written
    so far."""
    return sequences.previous(frame, sequences.of_sequence(x, "previous"), span)


@primitive("along")
def _along(frame: Frame, span: Span, x: Value, *, sequence: sequence) -> Value:
    """One value at every step of a sequence: `picture -> along(time)`."""
    return sequences.along(frame, x, sequence, span)


# Windows


@primitive("convolve")
def _convolve(
    frame: Frame, span: Span, x: Value, weight: Value, *, stride: int > 0 = 1, pad: int >= 0 = 0,
    dilation: int > 0 = 1, groups: int > 0 = 1, round: exact or floor = "exact",
    stride_width: int > 0 = None, pad_width: int >= 0 = None,
) -> Value:
    """y[k, i, j] = sum over c, u, v of weight[k, c, u, v] * x[c, stride*i + dilation*u - pad, ...].

    The kernel is not flipped: what the field calls convolution is a correlation. With `groups` the
    channels and filters are divided into so many groups that do not see each other. `stride` and
    `pad` hold for the height, and for the width unless `stride_width` or `pad_width` is given.
    """
    result, note = convolve(frame, x, weight, _pair(stride, stride_width), _pair(pad, pad_width),
                            dilation, groups, round, span)  # fmt: skip
    return replace(result, trail=Step(span, "convolve", result.shape, note, result.trail, hidden=True))


@primitive("convolve_transpose")
def _convolve_transpose(
    frame: Frame, span: Span, x: Value, weight: Value, *, stride: int > 0 = 1, pad: int >= 0 = 0,
    extra: int >= 0 = 0, stride_width: int > 0 = None, pad_width: int >= 0 = None,
) -> Value:
    """y[k, stride*i + u - pad, ...] is the sum of weight[c, k, u, v] * x[c, i, j] that fall there.

    The transpose of `convolve`: [c, n, ...] -> [k, (n - 1) * stride + kernel - 2 pad + extra, ...].
    """
    result, note = scatter(frame, x, weight, _pair(stride, stride_width), _pair(pad, pad_width), extra,
                           span)  # fmt: skip
    return replace(result, trail=Step(span, "convolve_transpose", result.shape, note, result.trail,
                                    hidden=True))  # fmt: skip


@primitive("window_max")
def _window_max(
    frame: Frame, span: Span, x: Value, *, size: int > 0, stride: int > 0, pad: int >= 0 = 0,
    round: exact or floor = "exact", size_width: int > 0 = None, stride_width: int > 0 = None,
    pad_width: int >= 0 = None,
) -> Value:
    """The largest element of each window: [c, h, w] -> [c, (h - size + 2 pad) / stride + 1, ...].

    Padding never is the largest: it must be smaller than the window.
    """
    x = image(x, "window_max")
    box, margin, step = _pair(size, size_width), _pair(pad, pad_width), _pair(stride, stride_width)
    _, note = window_counts(x, box, step, margin, round)
    _check_padding(box, margin)
    if box[0] * box[1] > 256:  # the place of a maximum is kept in a byte
        raise Mistake("bad-setting", f"a window of {box[0]}x{box[1]} has more than 256 places",
                      help="`global_maxpool` takes the largest element of a whole channel")  # fmt: skip
    result = frame.apply(WindowMax(box, step), padded(frame, x, margin, -math.inf, span), span=span)
    return replace(result, trail=Step(span, "window_max", result.shape, note, x.trail, hidden=True))


@primitive("window_sum")
def _window_sum(
    frame: Frame, span: Span, x: Value, *, size: int > 0, stride: int > 0, pad: int >= 0 = 0,
    round: exact or floor = "exact", size_width: int > 0 = None, stride_width: int > 0 = None,
    pad_width: int >= 0 = None,
) -> Value:
    """The sum of each window: [c, h, w] -> [c, (h - size + 2 pad) / stride + 1, ...]. Padding is 0,
    and smaller than the window."""
    box, margin = _pair(size, size_width), _pair(pad, pad_width)
    result, note = window_sum(frame, x, box, _pair(stride, stride_width), margin, round, span)
    _check_padding(box, margin)
    return replace(result, trail=Step(span, "window_sum", result.shape, note, result.trail, hidden=True))


def _pair(height: int, width: int | None) -> tuple[int, int]:
    return height, height if width is None else width


def _check_padding(size: tuple[int, int], pad: tuple[int, int]) -> None:
    for window, margin in zip(size, pad, strict=True):
        if margin >= window:
            raise Mistake("bad-setting", f"a window of {window} would lie in the padding of {margin}"
                          " alone: `pad` must be smaller than the window")  # fmt: skip


@primitive("repeat")
def _repeat(frame: Frame, span: Span, x: Value, *, times: int > 0, axis: int = 0) -> Value:
    """Each element `times` times, one after the other, along an axis: a, b -> a, a, b, b."""
    x = tensor(x, "repeat")
    (along,) = _axes(x, axis, 0, "repeat")
    if times == 1:
        return x
    # [.., n, ..] -> [.., n, times, ..] -> [.., n * times, ..]
    lead, rest = x.shape[: along + 1], x.shape[along + 1 :]
    kept = tuple(k if k <= along else k + 1 for k in range(x.type.rank))
    spread = frame.apply(Broadcast((*lead, times, *rest), kept), x, span=span)
    return frame.apply(Reshape((*lead[:-1], lead[-1] * times, *rest)), spread, span=span)


@primitive("one_hot")
def _one_hot(frame: Frame, span: Span, index: Value) -> Value:
    """1 at the position of the class, 0 elsewhere: class(n) -> [n]."""
    if not isinstance(index, Tensor) or index.type.kind != "int" or index.type.classes is None:
        raise Mistake("wrong-kind", f"`one_hot` takes a class, not {describe(index)}", argument=0)
    if index.type.rank:
        raise Mistake("wrong-kind", f"`one_hot` takes one class, not {describe(index)}", argument=0,
                      help="one of them is `x[0]`, the next `x[1]`")  # fmt: skip
    return frame.apply(Put(index.type.classes), as_kind(frame, 1.0, "float", span), index, span=span)


# Random numbers


def _draw(frame: Frame, x: Tensor, span: Span) -> Tensor:
    """Numbers from 0 to 1 that a step draws anew, for each example where x differs between them."""
    context = frame.context
    context.draws += 1
    label = f"{frame.word}#{context.draws}"
    if x.sequence is not None:  # other numbers at each step
        op = Uniform((x.sequence.size, *x.shape), x.type.batched, label)
        return replace(frame.apply(op, span=span), sequence=x.sequence)
    return frame.apply(Uniform(x.shape, x.type.batched, label), span=span)


def _moved(frame: Frame, x: Tensor, factor: float, offset: float, span: Span) -> Tensor:
    """factor * x + offset"""
    if factor != 1:
        x = arithmetic(frame, ops.Mul(), "*", (factor, x), span)
    return arithmetic(frame, ops.Add(), "+", (x, offset), span) if offset else x


@primitive("normal")
def _normal(frame: Frame, span: Span, w: Value, *, mean: float = 0, std: float > 0 = 1) -> Value:
    """Random numbers in the shape of w, from the normal distribution with that mean and standard
    deviation, p(x) = e^(-((x - mean) / std)^2 / 2) / (std * sqrt(2 pi)): in an initial value drawn once, in a model anew for each step and each example.

    Box and Muller, A note on the generation of random normal deviates, 1958."""
    w = tensor(w, "normal")
    if frame.draw is not None:
        return _moved(frame, frame.draw("normal", w), std, mean, span)
    # sqrt(-2 log(1 - u)) * cos(2 pi v), where 1 - u is above 0
    u, v = _draw(frame, w, span), _draw(frame, w, span)
    radius = replace(u, node=ops.power(ops.mul(ops.log(ops.sub(1.0, u.node)), -2.0), 0.5))
    angle = replace(v, node=ops.mul(v.node, 2 * math.pi))
    angle = frame.apply(ops.Cos(), angle, span=span)
    return _moved(frame, frame.apply(ops.Mul(), radius, angle, span=span), std, mean, span)


@primitive("uniform")
def _uniform(frame: Frame, span: Span, w: Value, *, low: float = 0, high: float = 1) -> Value:
    """Random numbers in the shape of w, uniform from `low` to `high`, p(x) = 1 / (high - low): in an initial
    value drawn once, in a model
    anew for each step and each example."""
    w = tensor(w, "uniform")
    if not low < high:
        raise Mistake("bad-setting", f"`uniform` needs `low` below `high`, not {low} and {high}")
    drawn = frame.draw("uniform", w) if frame.draw is not None else _draw(frame, w, span)
    return _moved(frame, drawn, high - low, low, span)


@primitive("orthogonal")
def _orthogonal(frame: Frame, span: Span, w: Value, *, gain: float > 0 = 1) -> Value:
    """gain * Q, where Q R = a matrix of normal random numbers, and the diagonal of R is positive: the
    rows of w (as a matrix with one row for each output) are orthogonal, or its columns if it has more
    rows than columns. For initial values. Saxe, McClelland and Ganguli, Exact solutions to the
    nonlinear dynamics of learning in deep linear neural networks, 2014."""
    if frame.draw is None:
        raise Mistake("misplaced", "`orthogonal` draws random numbers for initial values only")
    if tensor(w, "orthogonal").type.rank < 2:
        raise Mistake("wrong-kind", f"`orthogonal` needs a matrix, not {describe(w)}", argument=0)
    return _moved(frame, frame.draw("orthogonal", w), gain, 0, span)
