"""Rounding to a shorter floating-point format, while the number keeps the kernel's own type.

    bfloat16(x)            # each element of x, with 8 significant bits

If a model trains with `precision = bfloat16`, the operands of its contractions are rounded in this
way (see `specc.passes.round_operands`).
"""

from __future__ import annotations

from specc.ir.graph import Node, apply
from specc.ir.op import Gradients
from specc.ops.elementwise import Elementwise
from specc.target.expressions import Expression, call


class Bfloat16(Elementwise):
    """Each element rounded to bfloat16, to the nearest, ties to even (IEEE 754).

    A denormal number, below 2^-126, becomes 0 with its sign, as in the processors' own
    instructions. Numbers beyond the largest become infinite; NaN stays NaN. Gradients pass through
    unchanged, because the true slope of rounding is 0 almost everywhere.
    """

    def formula(self, a: Expression) -> Expression:
        return call("bfloat16", a)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return (dy,)


def bfloat16(node: Node) -> Node:
    """Return the elements of a node rounded to bfloat16."""
    return apply(Bfloat16(), node)
