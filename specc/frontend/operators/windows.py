"""Convolutions and windows over [channels, positions ...], in one, two or three dimensions.

convolve(frame, x, weight, stride=(1, 1), pad=(0, 0), ...)    # [c, h, w] -> [filters, h', w']

Strides, paddings and sizes are tuples with one number per spatial axis. All functions raise
`OperandError`.
"""

from __future__ import annotations

from dataclasses import replace

from specc.frontend.operators.arithmetic import as_kind
from specc.frontend.scope.errors import OperandError
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.values import Tensor, Value, describe
from specc.ir import sizes
from specc.ir.sizes import Polynomial, Shape, Size
from specc.ops.contract import Affine, Contract
from specc.ops.contract import index as at
from specc.ops.shape import Pad, Reshape, Slice
from specc.ops.window import WindowMax
from specc.source import Span

SPATIAL_AXES = {1: ("width",), 2: ("height", "width"), 3: ("depth", "height", "width")}
"""The names of the spatial axes, by their number."""

Each = tuple[int, ...]
"""One number per spatial axis."""


def window_count(
    size: Size, window: Size, stride: int, pad: int, rounds: str, axis: str
) -> tuple[Size, str]:
    """Return the number of windows on an axis, (N - F + 2P) / S + 1, and the formula as text."""
    room = size - window + 2 * pad
    formula = f"({size} - {window} + 2*{pad}) / {stride} + 1"
    if isinstance(room, int) and room < 0:
        padded = f" with {pad} of padding on both sides" if pad else ""
        raise OperandError(
            "window-does-not-fit",
            f"a window of {window} is larger than the {axis} {size}{padded}",
            help="use a smaller window, or more padding",
        )
    count = room // stride + 1
    left_over = room % stride
    if rounds == "exact" and left_over != 0:
        if not isinstance(left_over, int):
            raise OperandError(
                "undecided-size",
                f"cannot prove that the windows fit evenly: {formula} on the {axis}",
                help="`round=floor` ignores the remainder at the end",
                open_sizes=sizes.open_names(left_over),
            )
        result = f" = {room / stride + 1:g}" if isinstance(room, int) else ""
        raise OperandError(
            "window-does-not-fit",
            f"the windows do not fit evenly: {formula}{result} on the {axis}",
            help=f"`round=floor` ignores the last {left_over} of it and gives {count}",
        )
    if left_over != 0:
        formula = f"floor({formula.removesuffix(' + 1')}) + 1"
    return count, f"{formula} = {count}"


def joined(notes: list[str]) -> str:
    """Return the formulas of the axes as text, without duplicates."""
    return ", ".join(dict.fromkeys(notes))


def placed(x: Value) -> Tensor:
    """Return `x` as a value [channels, positions ...] with one to three spatial axes."""
    if not isinstance(x, Tensor) or x.type.kind != "float" or x.type.rank - 1 not in SPATIAL_AXES:
        help_ = None
        if isinstance(x, Tensor) and x.type.kind == "float" and x.type.rank == 1:
            help_ = "`-> reshape(channels, height, width)` makes an image of a vector"
        is_number = isinstance(x, Tensor) and x.type.kind == "float"
        raise OperandError(
            "shape-mismatch" if is_number else "wrong-kind",
            "a window moves over [channels, width], [channels, height, width] or"
            f" [channels, depth, height, width], not over {describe(x)}",
            help_,
            0,
        )
    return x


def each_axis(x: Tensor, name: str, base: int, width: int | None, depth: int | None) -> Each:
    """Return a setting for each spatial axis: `base`, except where width or depth is given."""
    places = x.type.rank - 1
    if places < 3 and depth is not None and depth != base:
        raise OperandError(
            "bad-setting",
            f"the {name} of {sizes.show(x.shape)} has no depth; only"
            " [channels, depth, height, width]",
        )
    last = base if width is None else width
    return (base if depth is None else depth, base, last)[-places:] if places > 1 else (last,)


def convolve(
    frame: BodyFrame,
    x: Tensor,
    weight: Value,
    stride: Each,
    pad: Each,
    dilation: int,
    groups: int,
    rounds: str,
    span: Span,
) -> tuple[Tensor, str]:
    """out[k, y, x] = sum(c, u, v) weight[k, c, u, v] * in[c, s*y + d*u - p, s*x + d*v - p]."""
    places = x.type.rank - 1
    weight = _weight(weight, "convolve", "filters, channels", places)
    channels = x.shape[0]
    filters, depth, *kernels = weight.shape
    _check_groups(channels, filters, depth, groups)
    reach = tuple(dilation * (kernel - 1) + 1 for kernel in kernels)
    counts, note = window_counts(x, reach, stride, pad, rounds)
    x = padded(frame, x, pad, 0.0, span)
    # the indices: filter, positions of the result, channel, positions in the kernel, group
    spots = range(1, places + 1)
    channel, taps = places + 1, range(places + 2, 2 * places + 2)
    extents: tuple[Size, ...] = (
        filters // groups,
        *counts,
        channels // groups,
        *kernels,
        *([groups] if groups > 1 else []),
    )
    k, c = at(0), at(channel)
    if groups > 1:
        last = len(extents) - 1
        k = Affine(((0, 1), (last, filters // groups)))
        c = Affine(((channel, 1), (last, channels // groups)))
    moved = (
        Affine(((spot, step), (tap, dilation)))
        for spot, step, tap in zip(spots, stride, taps, strict=True)
    )
    op = Contract(
        extents,
        (k, *map(at, spots)),
        (k, at(channel), *map(at, taps)),
        (c, *moved),
        (filters, *counts),
    )
    result = frame.apply(op, weight, x, span=span)
    return replace(result, provenance=x.provenance), note


def _weight(weight: Value, name: str, first: str, places: int) -> Tensor:
    """Return `weight` as the weight of a convolution with `places` spatial axes."""
    if (
        not isinstance(weight, Tensor)
        or weight.type.rank != places + 2
        or weight.type.kind != "float"
    ):
        raise OperandError(
            "wrong-kind",
            f"`{name}` takes a weight [{first}, {', '.join(SPATIAL_AXES[places])}], not"
            f" {describe(weight)}",
            argument=1,
        )
    return weight


def _check_groups(channels: Size, filters: Size, depth: Size, groups: int) -> None:
    """Check that `groups` divides channels and filters, and the weight's number of channels."""
    for what, number in (("channels", channels), ("filters", filters)):
        if isinstance(number % groups, Polynomial):
            raise OperandError(
                "undecided-size",
                f"cannot prove that {number} {what} can be divided into {groups} groups",
                open_sizes=sizes.open_names(number),
            )
        if number % groups != 0:
            raise OperandError(
                "shape-mismatch", f"{number} {what} cannot be divided into {groups} groups"
            )
    if not sizes.same(depth, channels // groups):
        needed = f"{channels}" if groups == 1 else f"{channels} / {groups} = {channels // groups}"
        raise OperandError(
            "shape-mismatch",
            f"the weight is for {depth} channels, but the input has {needed}",
            argument=1,
        )


def scatter(
    frame: BodyFrame,
    x: Tensor,
    weight: Value,
    stride: Each,
    pad: Each,
    extra: int,
    span: Span,
) -> tuple[Tensor, str]:
    """out[k, s*y + u - p, s*x + v - p] += weight[c, k, u, v] * in[c, y, x], over c, u and v.

    This is the transpose of `convolve` with the same weight.
    """
    channels, *lengths = x.shape
    places = len(lengths)
    weight = _weight(weight, "convolve_transpose", "channels, filters", places)
    depth, filters, *kernels = weight.shape
    if not sizes.same(depth, channels):
        raise OperandError(
            "shape-mismatch",
            f"the weight is for {depth} channels, but the input has {channels}",
            argument=1,
        )
    full, results, notes = [], [], []
    for axis, size, kernel, step, margin in zip(
        SPATIAL_AXES[places], lengths, kernels, stride, pad, strict=True
    ):
        whole = (size - 1) * step + kernel + extra
        result = whole - 2 * margin
        formula = f"({size} - 1) * {step} + {kernel} - 2*{margin}" + (
            f" + {extra}" if extra else ""
        )
        if isinstance(result, int) and result < 1:
            raise OperandError(
                "window-does-not-fit",
                f"the padding leaves nothing of the {axis}: {formula} = {result}",
                help="use less padding, or a larger kernel",
            )
        full.append(whole)
        results.append(result)
        notes.append(f"{formula} = {result}")
    # the indices: filter, positions of x, channel, positions in the kernel
    spots = range(1, places + 1)
    channel, taps = places + 1, range(places + 2, 2 * places + 2)
    moved = (
        Affine(((spot, step), (tap, 1)))
        for spot, step, tap in zip(spots, stride, taps, strict=True)
    )
    op = Contract(
        (filters, *lengths, channels, *kernels),
        (at(0), *moved),
        (at(channel), at(0), *map(at, taps)),
        (at(channel), *map(at, spots)),
        (filters, *full),
    )
    y = frame.apply(op, weight, x, span=span)
    for place, (margin, size) in enumerate(zip(pad, results, strict=True), 1):
        if margin:
            y = frame.apply(Slice(place, margin, size), y, span=span)
    return replace(y, provenance=x.provenance), joined(notes)


def window_sum(
    frame: BodyFrame, x: Tensor, size: Each, stride: Each, pad: Each, rounds: str, span: Span
) -> tuple[Tensor, str]:
    """out[c, y, x] = sum(u, v) in[c, s*y + u - p, s*x + v - p]: a product with the number 1."""
    counts, note = window_counts(x, size, stride, pad, rounds)
    provenance, channels = x.provenance, x.shape[0]
    x = padded(frame, x, pad, 0.0, span)
    # the indices: channel, positions of the result, positions in the window
    places = len(size)
    moved = (Affine(((spot, step), (spot + places, 1))) for spot, step in enumerate(stride, 1))
    op = Contract(
        (channels, *counts, *size),
        tuple(map(at, range(places + 1))),
        (),
        (at(0), *moved),
        (channels, *counts),
    )
    one = as_kind(frame, 1.0, "float", span)
    return replace(frame.apply(op, one, x, span=span), provenance=provenance), note


def window_max(
    frame: BodyFrame, x: Tensor, size: Each, stride: Each, pad: Each, rounds: str, span: Span
) -> tuple[Tensor, str]:
    """out[c, y, x] = max(u, v) in[c, s*y + u - p, s*x + v - p], padded with minus infinity."""
    counts, note = window_counts(x, size, stride, pad, rounds)
    channels, places = x.shape[0], len(size)
    x = padded(frame, x, pad, float("-inf"), span)

    def shaped(value: Tensor, shape: Shape) -> Tensor:
        return frame.apply(Reshape(shape), value, span=span)

    if places == 1:
        x = shaped(x, (channels, 1, x.shape[1]))
        x = frame.apply(WindowMax((1, size[0]), (1, stride[0])), x, span=span)
    else:
        (high, wide), (down, right) = size[-2:], stride[-2:]
        x = frame.apply(WindowMax((high, wide), (down, right)), x, span=span)
    if places == 3:  # the maximum of each image, and then along the depth
        rest = sizes.product(counts[1:])
        x = shaped(x, (channels, x.shape[1], rest))
        x = frame.apply(WindowMax((size[0], 1), (stride[0], 1)), x, span=span)
    return (x if places == 2 else shaped(x, (channels, *counts))), note


def window_counts(
    x: Tensor, size: tuple[Size, ...], stride: Each, pad: Each, rounds: str
) -> tuple[tuple[Size, ...], str]:
    """Return the number of windows on each spatial axis, and the formulas as text."""
    problems = zip(SPATIAL_AXES[len(size)], x.shape[1:], size, stride, pad, strict=True)
    found = [
        window_count(length, window, step, margin, rounds, axis)
        for axis, length, window, step, margin in problems
    ]
    return tuple(count for count, _ in found), joined([note for _, note in found])


def padded(frame: BodyFrame, x: Tensor, pad: Each, fill: float, span: Span) -> Tensor:
    """Return x with `pad` elements of `fill` at both ends of each spatial axis."""
    for axis, margin in enumerate(pad, 1):
        if margin:
            op = Pad(axis, margin, x.shape[axis] + 2 * margin, fill=fill)
            x = frame.apply(op, x, span=span)
    return x
