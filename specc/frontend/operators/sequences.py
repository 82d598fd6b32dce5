"""Functions of a whole sequence: its first and last step, its reverse, sums over its steps.

All of them leave out the time steps past the end of a variable-length sequence. Functions raise
`OperandError`.
"""

from __future__ import annotations

from dataclasses import replace

from specc.frontend.operators import arithmetic
from specc.frontend.operators.arithmetic import as_kind
from specc.frontend.scope.errors import OperandError
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.values import Sequence, Tensor, Value, describe, excess, is_static
from specc.ir.graph import Node, Origin, apply
from specc.ir.sizes import Size
from specc.ops import elementwise as ops
from specc.ops.broadcast import Broadcast, Sum
from specc.ops.gather import Take
from specc.ops.leaf import Iota, constant, leaf
from specc.ops.reduce import BatchMean
from specc.ops.shape import Concat, Reshape, Slice
from specc.ops.steps import every_step
from specc.source import Span


def of_sequence(x: Value, name: str) -> Tensor:
    """Return `x` as a sequence. Raises OperandError if it is none."""
    if not isinstance(x, Tensor) or x.sequence is None:
        raise OperandError(
            "wrong-kind",
            f"`{name}` takes a sequence, not {describe(x)}",
            argument=0,
            help=(
                "a sequence has an axis that `seq` names: `seq time = 50`,"
                " `input x: float[time, 3]`"
            ),
        )
    return x


def _of_all(x: Tensor, node: Node) -> Tensor:
    """Return a node without the time axis as a value with the indices of `x`."""
    return Tensor(node, x.provenance, indices=x.indices, within=x.within)


def _checked(value: Value, over: Sequence, name: str) -> Tensor:
    x = of_sequence(value, f"{name}(...; over={over.name})")
    if x.over.name != over.name:
        raise OperandError(
            "shape-mismatch",
            f"`{name}(...; over={over.name})` runs over `{over.name}`, but"
            f" {describe(x)} over `{x.over.name}`",
        )
    return x


def total(frame: BodyFrame, value: Value, over: Sequence, name: str, span: Span) -> Tensor:
    """Return the sum over the time steps."""
    x = _checked(value, over, name)
    kept = masked(x.node, x.over)
    return _of_all(x, apply(Sum((0,)), kept, origin=frame.origin(span)))


def average(frame: BodyFrame, x: Value, over: Sequence, name: str, span: Span) -> Tensor:
    """Return the mean over the time steps of each example."""
    sequence = _checked(x, over, name).over
    return _divided(frame, total(frame, x, over, name, span), sequence, span)


def _divided(frame: BodyFrame, summed: Tensor, sequence: Sequence, span: Span) -> Tensor:
    count: Value = sequence.size
    if sequence.length is not None:
        floating = apply(ops.ToFloat(), sequence.length)
        count = Tensor(ops.combine(ops.Maximum(), floating, 1.0))
    return arithmetic.arithmetic(frame, ops.Div(), "/", (summed, count), span)


def over_steps(frame: BodyFrame, x: Tensor, span: Span) -> Tensor:
    """Return the mean of a sequence over the time steps: one value per example."""
    if x.sequence is None:
        return x
    return average(frame, as_kind(frame, x, "float", span), x.sequence, "mean", span)


def over_batch(frame: BodyFrame, x: Tensor, span: Span) -> Tensor:
    """Return the mean over the batch and the time steps of its examples."""
    origin = frame.origin(span)
    summed = apply(Sum((0,)), masked(x.node, x.over), origin=origin)
    length = x.over.length
    assert length is not None, (
        "only variable-length sequences have a batch mean; please report this"
    )
    count = apply(BatchMean(), apply(ops.ToFloat(), length), origin=origin)
    values = Tensor(apply(BatchMean(), summed, origin=origin), x.provenance)
    return arithmetic.arithmetic(frame, ops.Div(), "/", (values, Tensor(count)), span)


def masked(node: Node, sequence: Sequence) -> Node:
    """Return the values of a sequence, with 0 past its end."""
    if sequence.mask is None:
        return node
    return ops.select(_spread(sequence.mask, node), node, constant(0.0))


def _spread(mask: Node, like: Node) -> Node:
    shape = like.type.shape
    return apply(Broadcast(shape, (0,)), mask) if len(shape) > 1 else mask


def last(frame: BodyFrame, x: Tensor, span: Span) -> Tensor:
    """Return the value of the last time step."""
    size = x.over.size
    length = x.over.length
    if length is None:
        return _one(frame, x, size - 1, span)
    node, classes = _as_numbers(x, "last")
    steps = apply(ops.ToFloat(), leaf(Iota(size)))
    end = ops.sub(apply(ops.ToFloat(), length), 1.0)
    hit = ops.equal(steps, end)
    kept = ops.select(_spread(hit, node), node, constant(0.0))
    found = apply(Sum((0,)), kept, origin=frame.origin(span))
    return _of_all(x, found if classes is None else apply(ops.ToInt(classes), found))


def _as_numbers(x: Tensor, name: str) -> tuple[Node, Size | None]:
    """Return the values of a sequence as numbers, and their number of classes."""
    if x.type.kind == "float":
        return x.node, None
    if x.type.kind == "int" and x.type.classes is not None:
        return apply(ops.ToFloat(), x.node), x.type.classes
    raise OperandError(
        "wrong-kind",
        f"`{name}` of a variable-length sequence takes numbers or classes, not {describe(x)}",
        argument=0,
    )


def first(frame: BodyFrame, x: Tensor, span: Span) -> Tensor:
    """Return the value of the first time step."""
    return _one(frame, x, 0, span)


def _one(frame: BodyFrame, x: Tensor, position: Size, span: Span) -> Tensor:
    origin = frame.origin(span)
    one = apply(Slice(0, position, 1), x.node, origin=origin)
    return _of_all(x, apply(Reshape(x.node.type.shape[1:]), one, origin=origin))


def reverse(frame: BodyFrame, x: Tensor, span: Span) -> Tensor:
    """Return the time steps in reverse; those past the end stay where they are."""
    size, origin = x.over.size, frame.origin(span)
    if x.over.begin is not None:
        raise OperandError(
            "wrong-kind",
            "a stream has no end from which it could be read in reverse",
            argument=0,
            help="declare it as `input`: its windows are independent",
        )
    length = x.over.length
    if length is None:
        return replace(
            x, node=apply(Slice(0, size - 1, size, -1), x.node, origin=origin), finals=()
        )
    # step k of the reversed sequence is step length - 1 - k, or k itself past the end
    steps = apply(ops.ToFloat(), leaf(Iota(size)))
    mask = x.over.mask
    assert mask is not None, "a length comes with a mask; please report this"
    last_step = ops.sub(apply(ops.ToFloat(), length), 1.0)
    place = ops.select(mask, ops.sub(last_step, steps), steps)
    index = apply(ops.ToInt(size), place)
    node, classes = _as_numbers(x, "reverse")
    found = apply(Take(), node, index, origin=origin)
    if classes is not None:
        found = apply(ops.ToInt(classes), found)
    return replace(x, node=found, finals=())


def previous(frame: BodyFrame, x: Tensor, span: Span) -> Tensor:
    """Return the value of the previous time step; at the first step class n of n + 1, or 0."""
    size, node, origin = x.over.size, x.node, frame.origin(span)
    if x.over.begin is not None:
        raise OperandError(
            "wrong-kind",
            "a stream has no `previous`: the step before a window's first one lies in"
            " another batch",
            argument=0,
        )
    classes = x.type.classes
    if x.type.kind == "bool" or (x.type.kind == "int" and classes is None):
        raise OperandError(
            "wrong-kind", f"`previous` takes classes or numbers, not {describe(x)}", argument=0
        )
    floating = node if node.type.kind == "float" else apply(ops.ToFloat(), node)
    start = constant(0.0)
    if classes is not None:
        start = apply(ops.ToFloat(), constant(classes, "int"))
    shape = (1, *node.type.shape[1:])
    parts = [apply(Broadcast(shape), start)]
    if size != 1:
        parts.append(apply(Slice(0, 0, size - 1), floating))
    joined = apply(Concat(0), *parts, origin=origin) if len(parts) > 1 else parts[0]
    if classes is not None:
        joined = apply(ops.ToInt(classes + 1), joined, origin=origin)
    return replace(x, node=joined, finals=())


def along(frame: BodyFrame, x: Value, sequence: Sequence, span: Span) -> Tensor:
    """Return a sequence with the same value at every time step."""
    if is_static(x):
        x = as_kind(frame, x, "float", span)
    if not isinstance(x, Tensor) or x.sequence is not None:
        raise OperandError(
            "wrong-kind", f"`along` takes one value for all steps, not {describe(x)}", argument=0
        )
    if (wrong := excess((sequence.size, *x.shape))) is not None:
        raise OperandError("too-large", wrong)
    node = every_step(x.node, sequence.size)
    return Tensor(node, x.provenance, sequence, indices=x.indices, within=x.within)


def varying(name: str, size, length: Node, origin: Origin) -> Sequence:
    """Return a variable-length sequence, with one length per example."""
    steps = apply(ops.ToFloat(), leaf(Iota(size), origin))
    return Sequence(name, size, ops.less(steps, apply(ops.ToFloat(), length)), length)
