"""Matrix products and indexing: `W @ x`, `x[3]`, `x[1:4]`, `scores[label]`.

A matrix product is a `Contract`, whose index maps say which elements are multiplied. All functions
raise `OperandError`.
"""

from __future__ import annotations

from specc.frontend.operators.arithmetic import as_kind
from specc.frontend.scope.errors import OperandError
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.values import Several, Tensor, Value, describe
from specc.ir import sizes
from specc.ir.sizes import Polynomial
from specc.ops.contract import Contract
from specc.ops.contract import index as at
from specc.ops.gather import Take
from specc.ops.shape import Reshape, Slice, Transpose
from specc.source import Span


def matmul(frame: BodyFrame, left: Value, right: Value, span: Span) -> Tensor:
    """Return `left @ right`: the sum over the last axis of the left and the first of the right.

    matrix @ vector  out[o] = sum(i) left[o, i] * right[i]
    matrix @ matrix  out[o, p] = sum(i) left[o, i] * right[i, p]
    vector @ matrix  out[p] = sum(i) left[i] * right[i, p]
    vector @ vector  out = sum(i) left[i] * right[i]
    """
    operands = []
    for position, each in enumerate((left, right)):
        if not isinstance(each, Tensor) or each.type.kind == "int" or each.type.rank not in (1, 2):
            raise OperandError(
                "wrong-kind",
                f"`@` multiplies matrices and vectors, not {describe(each)}",
                argument=position,
            )
        operands.append(as_kind(frame, each, "float", span))
    left, right = operands
    inner, other = left.shape[-1], right.shape[0]
    equal = sizes.same(inner, other)
    if equal is None:
        raise OperandError(
            "undecided-size",
            "`@` needs the last axis of the left to be as long as the first"
            f" of the right, but cannot prove that {inner} is {other}",
            open_sizes=sizes.open_names(inner - other),
        )
    if not equal:
        raise OperandError(
            "shape-mismatch",
            "`@` needs the last axis of the left to be as long as the first"
            f" of the right, but they are {inner} and {other}",
        )
    rows, columns = left.shape[:-1], right.shape[1:]
    extents = (*rows, *columns, inner)
    last = at(len(extents) - 1)
    row_map = tuple(at(i) for i in range(len(rows)))
    column_map = tuple(at(len(rows) + i) for i in range(len(columns)))
    op = Contract(
        extents, row_map + column_map, (*row_map, last), (last, *column_map), (*rows, *columns)
    )
    return frame.apply(op, left, right, span=span)


def index(frame: BodyFrame, value: Value, items: list, span: Span) -> Value:
    """Return `value[items]`.

    An item is a number or a (start, stop, step); the first one may be a class tensor. The
    `argument` of a OperandError is the position of the wrong item.
    """
    if isinstance(value, Several):
        (item,) = items if len(items) == 1 else (None,)
        if (
            isinstance(item, bool)
            or not isinstance(item, int)
            or not -len(value.items) <= item < len(value.items)
        ):
            raise OperandError(
                "wrong-kind",
                f"the index of {describe(value)} must be a number from 0 to {len(value.items) - 1}",
            )
        return value.items[item]
    if not isinstance(value, Tensor) or (value.type.kind == "int" and not value.type.rank):
        raise OperandError("wrong-kind", f"{describe(value)} cannot be indexed")
    if len(items) > value.type.rank:
        raise OperandError(
            "shape-mismatch",
            f"{sizes.show(value.shape)} has {value.type.rank} axes, and here"
            f" are {len(items)} indices",
            argument=value.type.rank,
        )
    result, axis = value, 0
    for position, item in enumerate(items):
        if isinstance(item, tuple):
            result = slice_of(frame, result, axis, item, position, span)
            axis += 1
        elif isinstance(item, Tensor):
            result = _take(frame, result, axis, item, position, span)
            axis += item.type.rank
        elif isinstance(item, (int, Polynomial)) and not isinstance(item, bool):
            result = _element(frame, result, axis, item, position, span)
        else:
            raise OperandError(
                "wrong-kind",
                f"an index is an integer, a slice or a class, not {describe(item)}",
                argument=position,
            )
    return result


def _take(
    frame: BodyFrame, value: Tensor, axis: int, item: Tensor, position: int, span: Span
) -> Tensor:
    if item.type.kind != "int":
        raise OperandError(
            "wrong-kind",
            f"an index is an integer, a slice or a class, not {describe(item)}",
            argument=position,
        )
    value = as_kind(frame, value, "float", span)
    rank, chosen = value.type.rank, item.type.rank
    if axis:  # the indexed axis is moved to the front, and back afterwards
        order = (axis, *(each for each in range(rank) if each != axis))
        value = frame.apply(Transpose(order), value, span=span)
    try:
        found = frame.apply(Take(), value, item, span=span)
    except OperandError as error:
        raise OperandError(error.name, error.message, argument=position) from None
    if not axis or not chosen:
        return found
    ahead = range(chosen, chosen + axis)
    return frame.apply(
        Transpose((*ahead, *range(chosen), *range(chosen + axis, found.type.rank))),
        found,
        span=span,
    )


def _element(frame: BodyFrame, value: Tensor, axis: int, item, position: int, span: Span) -> Tensor:
    size = value.shape[axis]
    start = item + size if isinstance(item, int) and item < 0 else item
    if isinstance(size, int) and isinstance(start, int) and not 0 <= start < size:
        raise OperandError(
            "shape-mismatch",
            f"an axis of {size} has the indices 0 to {size - 1}, not {item}",
            argument=position,
        )
    one = frame.apply(Slice(axis, start, 1), value, span=span)
    shape = value.shape[:axis] + value.shape[axis + 1 :]
    return frame.apply(Reshape(shape), one, span=span)


def slice_of(
    frame: BodyFrame, value: Tensor, axis: int, item: tuple, position: int, span: Span
) -> Tensor:
    start, stop, step = item
    size = value.shape[axis]
    for each in item:
        if each is not None and (isinstance(each, bool) or not isinstance(each, (int, Polynomial))):
            raise OperandError(
                "wrong-kind",
                f"a slice consists of integers, not {describe(each)}",
                argument=position,
            )
    start, step = 0 if start is None else start, 1 if step is None else step
    stop = size if stop is None else stop
    if not isinstance(step, int) or step < 1:
        raise OperandError(
            "bad-number", f"the step of a slice must be at least 1, not {step}", argument=position
        )
    if isinstance(start, int) and start < 0:
        start = start + size
    if isinstance(stop, int) and stop < 0:
        stop = stop + size
    known = all(isinstance(each, int) for each in (start, stop, size))
    if known and not 0 <= start < stop <= size:
        raise OperandError(
            "shape-mismatch",
            f"`{start}:{stop}` is not part of an axis of {size}",
            argument=position,
        )
    if start == 0 and step == 1 and stop == size:
        return value
    return frame.apply(
        Slice(axis, start, (stop - start + step - 1) // step, step), value, span=span
    )
