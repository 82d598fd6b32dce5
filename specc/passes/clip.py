"""Gradients within bounds: `clip_value` and `clip_norm`.

clipped({"w": dw, "b": db}, recipe)     # the same, each element and the norm of all bounded
"""

from __future__ import annotations

from functools import reduce

from specc.ir.graph import Node, Origin, apply, serving
from specc.ops.broadcast import Sum
from specc.ops.elementwise import Maximum, Minimum, add, combine, div, less, mul, select
from specc.ops.functions import Sqrt
from specc.recipe import Recipe


def clipped(gradient: dict[str, Node], recipe: Recipe) -> dict[str, Node]:
    """Clip the gradients of the trained parameters (Pascanu, Mikolov and Bengio 2013).

    Every element is limited to [-value, value]. Then all gradients are scaled by
    min(1, norm / sqrt(sum g^2)), where the sum is over all of them.
    """
    value, norm = recipe.clip_value, recipe.clip_norm
    with serving(Origin(word="clip")):
        if value is not None:
            gradient = {
                path: combine(Maximum(), combine(Minimum(), d, value), -value)
                for path, d in gradient.items()
            }
        if norm is None or not gradient:
            return gradient
        squares = [
            apply(Sum(tuple(range(d.type.rank))), mul(d, d)) if d.type.rank else mul(d, d)
            for d in gradient.values()
        ]
        length = apply(Sqrt(), reduce(add, squares))
        scale = select(less(norm, length), div(norm, length), 1.0)
        return {path: mul(scale, d) for path, d in gradient.items()}
