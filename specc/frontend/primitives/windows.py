"""Convolutions, and the maximum or sum of each window."""

from __future__ import annotations

import math
from dataclasses import replace

from specc.frontend.operators.windows import (
    Each,
    convolve,
    each_axis,
    placed,
    scatter,
    window_max,
    window_sum,
)
from specc.frontend.primitives.registry import primitive
from specc.frontend.scope.errors import OperandError
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.provenance import Derivation
from specc.frontend.scope.values import Several, Tensor, Value
from specc.source import Span

# ruff: noqa: F821 - the annotations of settings are written in the language's own words


@primitive("convolve")
def _convolve(
    frame: BodyFrame,
    span: Span,
    x: Value,
    weight: Value,
    *,
    stride: int > 0 = 1,
    pad: int >= 0 = 0,
    dilation: int > 0 = 1,
    groups: int > 0 = 1,
    round: exact or floor = "exact",
    stride_width: int > 0 = None,
    pad_width: int >= 0 = None,
    stride_depth: int > 0 = None,
    pad_depth: int >= 0 = None,
) -> Value:
    """y[k, i, j] = sum over c, u, v of weight[k, c, u, v] * x[c, stride*i + dilation*u - pad, ...].

    The kernel is not flipped, so this is a cross-correlation. `groups` divides channels and
    filters into independent groups. `stride` and `pad` apply to the height, and to the width
    unless `stride_width` or `pad_width` is given.

    Example: `convolve(x, w)` of `x: float[3, 8, 8]`, `w: float[4, 3, 3, 3]`.
    """
    x = placed(x)
    step = each_axis(x, "stride", stride, stride_width, stride_depth)
    margin = each_axis(x, "pad", pad, pad_width, pad_depth)
    result, note = convolve(frame, x, weight, step, margin, dilation, groups, round, span)
    return _noted(result, span, "convolve", note)


@primitive("convolve_transpose")
def _convolve_transpose(
    frame: BodyFrame,
    span: Span,
    x: Value,
    weight: Value,
    *,
    stride: int > 0 = 1,
    pad: int >= 0 = 0,
    extra: int >= 0 = 0,
    stride_width: int > 0 = None,
    pad_width: int >= 0 = None,
    stride_depth: int > 0 = None,
    pad_depth: int >= 0 = None,
) -> Value:
    """y[k, stride*i + u - pad, ...] is the sum of all weight[c, k, u, v] * x[c, i, j] at that
    position.

    The transpose of `convolve`: [c, n, ...] -> [k, (n - 1) * stride + kernel - 2 pad + extra, ...].

    Example: `convolve_transpose(x, w; 2)` of `x: float[3, 8, 8]`, `w: float[3, 4, 2, 2]`.
    """
    x = placed(x)
    step = each_axis(x, "stride", stride, stride_width, stride_depth)
    margin = each_axis(x, "pad", pad, pad_width, pad_depth)
    result, note = scatter(frame, x, weight, step, margin, extra, span)
    return _noted(result, span, "convolve_transpose", note)


@primitive("window_max")
def _window_max(
    frame: BodyFrame,
    span: Span,
    x: Value,
    *,
    size: int > 0,
    stride: int > 0,
    pad: int >= 0 = 0,
    round: exact or floor = "exact",
    size_width: int > 0 = None,
    stride_width: int > 0 = None,
    pad_width: int >= 0 = None,
    size_depth: int > 0 = None,
    stride_depth: int > 0 = None,
    pad_depth: int >= 0 = None,
) -> Value:
    """The maximum of each window: [c, h, w] -> [c, (h - size + 2 pad) / stride + 1, ...]. Padding
    is
    never the maximum; it must be smaller than the window.

    Example: `window_max(x; 2, stride=2)` of `x: float[3, 8, 8]`.
    """
    x = placed(x)
    box = each_axis(x, "window", size, size_width, size_depth)
    step = each_axis(x, "stride", stride, stride_width, stride_depth)
    margin = each_axis(x, "pad", pad, pad_width, pad_depth)
    _check_padding(box, margin)
    most = max(math.prod(box[-2:]), *box)
    if most > 256:  # the position of a maximum is stored in a byte
        raise OperandError(
            "bad-setting",
            f"a window of {'x'.join(map(str, box))} has more than 256 positions",
            help="`global_maxpool` takes the largest element of a whole channel",
        )
    result, note = window_max(frame, x, box, step, margin, round, span)
    return _noted(result, span, "window_max", note)


@primitive("window_sum")
def _window_sum(
    frame: BodyFrame,
    span: Span,
    x: Value,
    *,
    size: int > 0,
    stride: int > 0,
    pad: int >= 0 = 0,
    round: exact or floor = "exact",
    size_width: int > 0 = None,
    stride_width: int > 0 = None,
    pad_width: int >= 0 = None,
    size_depth: int > 0 = None,
    stride_depth: int > 0 = None,
    pad_depth: int >= 0 = None,
) -> Value:
    """The sum of each window: [c, h, w] -> [c, (h - size + 2 pad) / stride + 1, ...]. Padding is 0;
    it must be smaller than the window.

    Example: `window_sum(x; 2, stride=2)` of `x: float[3, 8, 8]`.
    """
    x = placed(x)
    box = each_axis(x, "window", size, size_width, size_depth)
    step = each_axis(x, "stride", stride, stride_width, stride_depth)
    margin = each_axis(x, "pad", pad, pad_width, pad_depth)
    _check_padding(box, margin)
    result, note = window_sum(frame, x, box, step, margin, round, span)
    return _noted(result, span, "window_sum", note)


@primitive("window")
def _window(
    frame: BodyFrame,
    span: Span,
    x: Value,
    *,
    size: int > 0,
    width: int > 0 = None,
    depth: int > 0 = None,
) -> Value:
    """The sizes of a window over x, one per axis after the channels; in the type of a parameter
    they
    are that many axes. `size` applies to all axes, unless `width` (the last axis) or `depth`
    (the first of three) is given.

    Example: `param W: float[4, 3, window(x; 5)] = he`, `let y = convolve(x, W)`, `output y` of
    `x: float[3, 8, 8]`.
    """
    x = placed(x)
    box = each_axis(x, "window", size, width, depth)
    return box[0] if len(box) == 1 else Several(box)


def _check_padding(size: Each, pad: Each) -> None:
    for window, margin in zip(size, pad, strict=True):
        if margin >= window:
            raise OperandError(
                "bad-setting",
                f"a window of {window} would lie entirely in the padding of {margin}:"
                " `pad` must be smaller than the window",
            )


def _noted(result: Tensor, span: Span, name: str, note: str) -> Tensor:
    """Return the result of an operation with its note on how the shape came about."""
    made = Derivation(span, name, result.shape, note, result.provenance, hidden=True)
    return replace(result, provenance=made)
