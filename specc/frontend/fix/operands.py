"""Remedies for operands whose shapes do not fit: functions of the language that change a shape.

image + b           `spread(b, image)` repeats it over the other axes
x @ W               `W @ x` fits: [4, 8] @ [8]
"""

from __future__ import annotations

from specc.diagnostics import Edit, Fix
from specc.frontend.fix.fixes import wrapped
from specc.frontend.scope import provenance
from specc.frontend.scope.values import Tensor, Value
from specc.frontend.syntax import ast
from specc.ir import sizes


def remedy(
    message: str, operands: list[tuple[ast.Expression, Value]]
) -> tuple[str | None, list[Fix]]:
    """Return a help and its fixes; nothing if no simple change fits."""
    if len(operands) != 2:
        return None, []
    (left, one), (right, other) = operands
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return None, []
    if message.startswith("`@`"):
        return _product(left, one, right, other)
    return _spread(left, one, right, other)


def _product(left: ast.Expression, one: Tensor, right: ast.Expression, other: Tensor):
    texts = provenance.excerpt(left.span, 24), provenance.excerpt(right.span, 24)
    shapes = sizes.show(one.shape), sizes.show(other.shape)
    if one.shape != other.shape and other.shape[-1] == one.shape[0]:
        edits = (Edit(left.span, right.span.text), Edit(right.span, left.span.text))
        help_ = f"`{texts[1]} @ {texts[0]}` fits: {shapes[1]} @ {shapes[0]}"
        return help_, [Fix("swap the two", edits)]
    if len(other.shape) == 2 and one.shape[-1] == other.shape[1]:
        turned = sizes.show(other.shape[::-1])
        help_ = f"`{texts[0]} @ transpose({texts[1]})` fits: {shapes[0]} @ {turned}"
        return help_, [Fix("transpose it", wrapped(right.span, "transpose("))]
    return None, []


def _spread(left: ast.Expression, one: Tensor, right: ast.Expression, other: Tensor):
    if len(one.shape) == len(other.shape):
        return None, []
    low, high = sorted(((one, left), (other, right)), key=lambda each: len(each[0].shape))
    if not low[0].shape or high[0].shape[: len(low[0].shape)] != low[0].shape:
        return None, []
    small, large = provenance.excerpt(low[1].span, 24), provenance.excerpt(high[1].span, 24)
    help_ = f"`spread({small}, {large})` repeats it over the other axes"
    if not isinstance(high[1], ast.Path):
        return help_.replace(f", {large})", ", ...)"), []
    return help_, [Fix("spread it", wrapped(low[1].span, "spread(", f", {high[1].text})"))]
