"""Products and positions: `W @ x`, convolution, `x[3]`, `x[1:4]`, `scores[label]`.

A product is a `Contract`, whose index maps say which elements meet. All functions raise `Mistake`.
"""

from __future__ import annotations

from dataclasses import replace

from specc.frontend.operators.arithmetic import as_kind
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.mistakes import Mistake
from specc.frontend.scope.values import Several, Tensor, Value, describe
from specc.ir import sizes
from specc.ir.sizes import Polynomial, Size
from specc.ops.contract import Affine, Contract
from specc.ops.contract import index as at
from specc.ops.gather import Take
from specc.ops.shape import Pad, Reshape, Slice
from specc.source import Span

Pair = tuple[int, int]
"""A number for the height and one for the width."""


def matmul(frame: BodyFrame, left: Value, right: Value, span: Span) -> Tensor:
    """`left @ right`: sums over the last axis of the left and the first of the right.

    matrix @ vector  out[o] = sum(i) left[o, i] * right[i]
    matrix @ matrix  out[o, p] = sum(i) left[o, i] * right[i, p]
    vector @ matrix  out[p] = sum(i) left[i] * right[i, p]
    vector @ vector  out = sum(i) left[i] * right[i]
    """
    operands = []
    for position, each in enumerate((left, right)):
        if not isinstance(each, Tensor) or each.type.kind == "int" or each.type.rank not in (1, 2):
            raise Mistake(
                "wrong-kind",
                f"`@` multiplies matrices and vectors, not {describe(each)}",
                argument=position,
            )
        operands.append(as_kind(frame, each, "float", span))
    left, right = operands
    inner, other = left.shape[-1], right.shape[0]
    equal = sizes.same(inner, other)
    if equal is None:
        raise Mistake(
            "undecided-size",
            "`@` needs the last axis of the left to be as long as the first"
            f" of the right, but cannot prove that {inner} is {other}",
            open_sizes=sizes.open_names(inner - other),
        )
    if not equal:
        raise Mistake(
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


def window_count(
    size: Size, window: Size, stride: int, pad: int, rounds: str, axis: str
) -> tuple[Size, str]:
    """Return how many windows lie on an axis, (N - F + 2P) / S + 1, and that calculation as
    text."""
    room = size - window + 2 * pad
    formula = f"({size} - {window} + 2*{pad}) / {stride} + 1"
    if isinstance(room, int) and room < 0:
        padded = f" with {pad} of padding on both sides" if pad else ""
        raise Mistake(
            "window-does-not-fit",
            f"a window of {window} is larger than the {axis} {size}{padded}",
            help="take a smaller window, or more padding",
        )
    count = room // stride + 1
    left_over = room % stride
    if rounds == "exact" and left_over != 0:
        if not isinstance(left_over, int):
            raise Mistake(
                "undecided-size",
                f"cannot prove that the windows come out even: {formula} on the {axis}",
                help="`round=floor` leaves out what is left over at the end",
                open_sizes=sizes.open_names(left_over),
            )
        result = f" = {room / stride + 1:g}" if isinstance(room, int) else ""
        raise Mistake(
            "window-does-not-fit",
            f"the windows do not come out even: {formula}{result} on the {axis}",
            help=f"`round=floor` leaves out the last {left_over} of it, and gives {count}",
        )
    if left_over != 0:
        formula = f"floor({formula.removesuffix(' + 1')}) + 1"
    return count, f"{formula} = {count}"


def joined(notes: list[str]) -> str:
    """Return the calculations for height and width, once if they are the same."""
    return ", ".join(dict.fromkeys(notes))


def image(x: Value, name: str, argument: int = 0) -> Tensor:
    """`x` as a value of the shape [channels, height, width]."""
    if not isinstance(x, Tensor) or x.type.kind != "float" or x.type.rank != 3:
        raise Mistake(
            "wrong-kind",
            f"`{name}` takes a value [channels, height, width], not {describe(x)}",
            argument=argument,
        )
    return x


def convolve(
    frame: BodyFrame,
    x: Value,
    weight: Value,
    stride: Pair,
    pad: Pair,
    dilation: int,
    groups: int,
    rounds: str,
    span: Span,
) -> tuple[Tensor, str]:
    """out[k, y, x] = sum(c, u, v) weight[k, c, u, v] * in[c, s*y + d*u - p, s*x + d*v - p].

    `stride` and `pad` are pairs, (height, width).
    """
    x = image(x, "convolve")
    if not isinstance(weight, Tensor) or weight.type.rank != 4 or weight.type.kind != "float":
        raise Mistake(
            "wrong-kind",
            f"`convolve` takes a weight [filters, channels, height, width], not {describe(weight)}",
            argument=1,
        )
    channels = x.shape[0]
    filters, depth, kernel_y, kernel_x = weight.shape
    for what, number in (("channels", channels), ("filters", filters)):
        if isinstance(number % groups, Polynomial):
            raise Mistake(
                "undecided-size",
                f"cannot prove that {number} {what} have {groups} equal groups",
                open_sizes=sizes.open_names(number),
            )
        if number % groups != 0:
            raise Mistake(
                "shape-mismatch", f"{number} {what} cannot be divided into {groups} groups"
            )
    if not sizes.same(depth, channels // groups):
        needed = f"{channels}" if groups == 1 else f"{channels} / {groups} = {channels // groups}"
        raise Mistake(
            "shape-mismatch",
            f"the weight is for {depth} channels, but there are {needed}",
            argument=1,
        )
    reach = (dilation * (kernel_y - 1) + 1, dilation * (kernel_x - 1) + 1)
    (rows, columns), note = window_counts(x, reach, stride, pad, rounds)
    x = padded(frame, x, pad, 0.0, span)
    if groups == 1:
        # 0 k, 1 y, 2 x, 3 c, 4 u, 5 v
        extents: tuple[Size, ...] = (filters, rows, columns, channels, kernel_y, kernel_x)
        out, left = (at(0), at(1), at(2)), (at(0), at(3), at(4), at(5))
        right = (at(3), _moved(1, stride[0], 4, dilation), _moved(2, stride[1], 5, dilation))
    else:
        # 0 k within its group, 1 y, 2 x, 3 c within its group, 4 u, 5 v, 6 group
        filters_each, channels_each = filters // groups, channels // groups
        extents = (filters_each, rows, columns, channels_each, kernel_y, kernel_x, groups)
        k, c = Affine(((0, 1), (6, filters_each))), Affine(((3, 1), (6, channels_each)))
        out, left = (k, at(1), at(2)), (k, at(3), at(4), at(5))
        right = (c, _moved(1, stride[0], 4, dilation), _moved(2, stride[1], 5, dilation))
    op = Contract(extents, out, left, right, (filters, rows, columns))
    result = frame.apply(op, weight, x, span=span)
    return replace(result, provenance=x.provenance), note


def scatter(
    frame: BodyFrame,
    x: Value,
    weight: Value,
    stride: Pair,
    pad: Pair,
    extra: int,
    span: Span,
) -> tuple[Tensor, str]:
    """out[k, s*y + u - p, s*x + v - p] += weight[c, k, u, v] * in[c, y, x], over c, u and v.

    The transpose of `convolve` with the same weight: the result is as large as what it was given.
    """
    x = image(x, "convolve_transpose")
    if not isinstance(weight, Tensor) or weight.type.rank != 4 or weight.type.kind != "float":
        raise Mistake(
            "wrong-kind",
            "`convolve_transpose` takes a weight [channels, filters, height,"
            f" width], not {describe(weight)}",
            argument=1,
        )
    channels, *sizes_in = x.shape
    depth, filters, *kernels = weight.shape
    if not sizes.same(depth, channels):
        raise Mistake(
            "shape-mismatch",
            f"the weight is for {depth} channels, but there are {channels}",
            argument=1,
        )
    full, results, notes = [], [], []
    for axis, size, kernel, step, margin in zip(
        ("height", "width"), sizes_in, kernels, stride, pad, strict=True
    ):
        whole = (size - 1) * step + kernel + extra
        result = whole - 2 * margin
        formula = f"({size} - 1) * {step} + {kernel} - 2*{margin}" + (
            f" + {extra}" if extra else ""
        )
        if isinstance(result, int) and result < 1:
            raise Mistake(
                "window-does-not-fit",
                f"the padding leaves nothing of the {axis}: {formula} = {result}",
                help="take less padding, or a larger kernel",
            )
        full.append(whole)
        results.append(result)
        notes.append(f"{formula} = {result}")
    # 0 k, 1 y, 2 x, 3 c, 4 u, 5 v
    extents = (filters, *sizes_in, channels, *kernels)
    out = (at(0), _moved(1, stride[0], 4, 1), _moved(2, stride[1], 5, 1))
    op = Contract(
        extents, out, (at(3), at(0), at(4), at(5)), (at(3), at(1), at(2)), (filters, *full)
    )
    y = frame.apply(op, weight, x, span=span)
    for place, (margin, size) in enumerate(zip(pad, results, strict=True), 1):
        if margin:
            y = frame.apply(Slice(place, margin, size), y, span=span)
    return replace(y, provenance=x.provenance), joined(notes)


def window_sum(
    frame: BodyFrame,
    x: Value,
    size: Pair,
    stride: Pair,
    pad: Pair,
    rounds: str,
    span: Span,
) -> tuple[Tensor, str]:
    """out[c, y, x] = sum(u, v) in[c, s*y + u - p, s*x + v - p]: a product with the number 1."""
    x = image(x, "window_sum")
    (rows, columns), note = window_counts(x, size, stride, pad, rounds)
    provenance, channels = x.provenance, x.shape[0]
    x = padded(frame, x, pad, 0.0, span)
    # 0 c, 1 y, 2 x, 3 u, 4 v
    places = (at(0), _moved(1, stride[0], 3, 1), _moved(2, stride[1], 4, 1))
    op = Contract(
        (channels, rows, columns, *size),
        (at(0), at(1), at(2)),
        (),
        places,
        (channels, rows, columns),
    )
    one = as_kind(frame, 1.0, "float", span)
    return replace(frame.apply(op, one, x, span=span), provenance=provenance), note


def window_counts(
    x: Tensor, size: tuple[Size, Size], stride: Pair, pad: Pair, rounds: str
) -> tuple[tuple[Size, ...], str]:
    """Return how many windows lie on each axis of an image, and the calculations as text."""
    problems = zip(("height", "width"), x.shape[1:], size, stride, pad, strict=True)
    found = [
        window_count(length, window, step, margin, rounds, axis)
        for axis, length, window, step, margin in problems
    ]
    return tuple(count for count, _ in found), joined([note for _, note in found])


def padded(frame: BodyFrame, x: Tensor, pad: Pair, fill: float, span: Span) -> Tensor:
    """Return an image with `pad` rows and columns of `fill` on each side."""
    for axis, margin in enumerate(pad, 1):
        if margin:
            op = Pad(axis, margin, x.shape[axis] + 2 * margin, fill=fill)
            x = frame.apply(op, x, span=span)
    return x


def _moved(output: int, stride: int, within: int, dilation: int) -> Affine:
    return Affine(((output, stride), (within, dilation)))


def index(frame: BodyFrame, value: Value, items: list, span: Span) -> Value:
    """`value[items]`; an item is a number, a (start, stop, step), or, first of all, a class tensor.

    The argument of a Mistake is the position of the item at fault.
    """
    if isinstance(value, Several):
        (item,) = items if len(items) == 1 else (None,)
        if (
            isinstance(item, bool)
            or not isinstance(item, int)
            or not -len(value.items) <= item < len(value.items)
        ):
            raise Mistake(
                "wrong-kind",
                f"one of {describe(value)} is chosen by a number from 0 to {len(value.items) - 1}",
            )
        return value.items[item]
    if not isinstance(value, Tensor) or (value.type.kind == "int" and not value.type.rank):
        raise Mistake("wrong-kind", f"{describe(value)} cannot be indexed")
    if len(items) > value.type.rank:
        raise Mistake(
            "shape-mismatch",
            f"{sizes.show(value.shape)} has {value.type.rank} axes, and here"
            f" are {len(items)} indices",
            argument=value.type.rank,
        )
    result, axis = value, 0
    for position, item in enumerate(items):
        if isinstance(item, tuple):
            result = _slice(frame, result, axis, item, position, span)
            axis += 1
        elif isinstance(item, Tensor):
            result = _take(frame, result, axis, item, position, span)
            axis += item.type.rank
        elif isinstance(item, (int, Polynomial)) and not isinstance(item, bool):
            result = _element(frame, result, axis, item, position, span)
        else:
            raise Mistake(
                "wrong-kind",
                f"an index is an integer, a slice or a class, not {describe(item)}",
                argument=position,
            )
    return result


def _take(
    frame: BodyFrame, value: Tensor, axis: int, item: Tensor, position: int, span: Span
) -> Tensor:
    if item.type.kind != "int":
        raise Mistake(
            "wrong-kind",
            f"an index is an integer, a slice or a class, not {describe(item)}",
            argument=position,
        )
    if axis != 0:
        raise Mistake("not-yet", "a class can index the first axis only", argument=position)
    value = as_kind(frame, value, "float", span)
    try:
        return frame.apply(Take(), value, item, span=span)
    except Mistake as mistake:
        raise Mistake(mistake.name, mistake.message, argument=position) from None


def _element(frame: BodyFrame, value: Tensor, axis: int, item, position: int, span: Span) -> Tensor:
    size = value.shape[axis]
    start = item + size if isinstance(item, int) and item < 0 else item
    if isinstance(size, int) and isinstance(start, int) and not 0 <= start < size:
        raise Mistake(
            "shape-mismatch",
            f"an axis of {size} has the indices 0 to {size - 1}, not {item}",
            argument=position,
        )
    one = frame.apply(Slice(axis, start, 1), value, span=span)
    shape = value.shape[:axis] + value.shape[axis + 1 :]
    return frame.apply(Reshape(shape), one, span=span)


def _slice(
    frame: BodyFrame, value: Tensor, axis: int, item: tuple, position: int, span: Span
) -> Tensor:
    start, stop, step = item
    size = value.shape[axis]
    for each in item:
        if each is not None and (isinstance(each, bool) or not isinstance(each, (int, Polynomial))):
            raise Mistake(
                "wrong-kind",
                f"a slice is made of integers, not {describe(each)}",
                argument=position,
            )
    start, step = 0 if start is None else start, 1 if step is None else step
    stop = size if stop is None else stop
    if not isinstance(step, int) or step < 1:
        raise Mistake(
            "bad-number", f"the step of a slice is at least 1, not {step}", argument=position
        )
    if isinstance(start, int) and start < 0:
        start = start + size
    if isinstance(stop, int) and stop < 0:
        stop = stop + size
    known = all(isinstance(each, int) for each in (start, stop, size))
    if known and not 0 <= start < stop <= size:
        raise Mistake(
            "shape-mismatch",
            f"`{start}:{stop}` is not part of an axis of {size}",
            argument=position,
        )
    if start == 0 and step == 1 and stop == size:
        return value
    return frame.apply(
        Slice(axis, start, (stop - start + step - 1) // step, step), value, span=span
    )
