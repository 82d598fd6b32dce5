"""Convolutions, and the largest element or sum of each window."""

from __future__ import annotations

import math
from dataclasses import replace

from specc.frontend.operators.products import (
    convolve,
    image,
    padded,
    scatter,
    window_counts,
    window_sum,
)
from specc.frontend.primitives.registry import primitive
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.mistakes import Mistake
from specc.frontend.scope.provenance import Derivation
from specc.frontend.scope.values import Value
from specc.ops.window import WindowMax
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
) -> Value:
    """y[k, i, j] = sum over c, u, v of weight[k, c, u, v] * x[c, stride*i + dilation*u - pad, ...].

    The kernel is not flipped: what the field calls convolution is a correlation. With `groups` the
    channels and filters are divided into so many groups that do not see each other. `stride` and
    `pad` hold for the height, and for the width unless `stride_width` or `pad_width` is given.

    Example: `convolve(x, w)` of `x: float[3, 8, 8]`, `w: float[4, 3, 3, 3]`.
    """
    result, note = convolve(
        frame,
        x,
        weight,
        _pair(stride, stride_width),
        _pair(pad, pad_width),
        dilation,
        groups,
        round,
        span,
    )
    return replace(
        result,
        provenance=Derivation(span, "convolve", result.shape, note, result.provenance, hidden=True),
    )


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
) -> Value:
    """y[k, stride*i + u - pad, ...] is the sum of weight[c, k, u, v] * x[c, i, j] that fall there.

    The transpose of `convolve`: [c, n, ...] -> [k, (n - 1) * stride + kernel - 2 pad + extra, ...].

    Example: `convolve_transpose(x, w; 2)` of `x: float[3, 8, 8]`, `w: float[3, 4, 2, 2]`.
    """
    result, note = scatter(
        frame, x, weight, _pair(stride, stride_width), _pair(pad, pad_width), extra, span
    )
    return replace(
        result,
        provenance=Derivation(
            span, "convolve_transpose", result.shape, note, result.provenance, hidden=True
        ),
    )


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
) -> Value:
    """The largest element of each window: [c, h, w] -> [c, (h - size + 2 pad) / stride + 1, ...].

    Padding never is the largest: it must be smaller than the window.

    Example: `window_max(x; 2, stride=2)` of `x: float[3, 8, 8]`.
    """
    x = image(x, "window_max")
    box, margin, step = _pair(size, size_width), _pair(pad, pad_width), _pair(stride, stride_width)
    _, note = window_counts(x, box, step, margin, round)
    _check_padding(box, margin)
    if box[0] * box[1] > 256:  # the place of a maximum is kept in a byte
        raise Mistake(
            "bad-setting",
            f"a window of {box[0]}x{box[1]} has more than 256 places",
            help="`global_maxpool` takes the largest element of a whole channel",
        )
    result = frame.apply(WindowMax(box, step), padded(frame, x, margin, -math.inf, span), span=span)
    return replace(
        result,
        provenance=Derivation(span, "window_max", result.shape, note, x.provenance, hidden=True),
    )


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
) -> Value:
    """The sum of each window: [c, h, w] -> [c, (h - size + 2 pad) / stride + 1, ...]. Padding is 0,
    and smaller than the window.

    Example: `window_sum(x; 2, stride=2)` of `x: float[3, 8, 8]`.
    """
    box, margin = _pair(size, size_width), _pair(pad, pad_width)
    result, note = window_sum(frame, x, box, _pair(stride, stride_width), margin, round, span)
    _check_padding(box, margin)
    return replace(
        result,
        provenance=Derivation(
            span, "window_sum", result.shape, note, result.provenance, hidden=True
        ),
    )


def _pair(height: int, width: int | None) -> tuple[int, int]:
    return height, height if width is None else width


def _check_padding(size: tuple[int, int], pad: tuple[int, int]) -> None:
    for window, margin in zip(size, pad, strict=True):
        if margin >= window:
            raise Mistake(
                "bad-setting",
                f"a window of {window} would lie in the padding of {margin}"
                " alone: `pad` must be smaller than the window",
            )
