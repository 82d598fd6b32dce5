"""The power, and the elementwise functions of one number that models call by name.

apply(Exp(), x)

A class is all that a function needs: its name in the .dl language (`word`), its documentation (the
docstring), the formula and the gradient. A formula made of other functions needs nothing more. If
the formula is a `call` of a new name, every back end and `specc.target.evaluate` need a function of
that name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from specc.ir.graph import Node, apply
from specc.ir.op import REGISTRY, Gradients
from specc.ops.elementwise import (
    Elementwise,
    Operand,
    add,
    combine,
    constant_value,
    div,
    equal,
    is_constant,
    less,
    mul,
    neg,
    select,
    sub,
)
from specc.ops.leaf import constant
from specc.target.expressions import Expression, call, choose, expression


class Pow(Elementwise):
    """The power a ^ b.

    The gradient for a is 0 where b is 0. The gradient for b uses 0 as log(a) where a is not
    positive.
    """

    symbol = "^"
    is_long = True

    def formula(self, a: Expression, b: Expression) -> Expression:
        return a**b

    def vjp(self, node: Node, dy: Node) -> Gradients:
        a, b = node.inputs
        slope = mul(b, power(a, sub(b, 1.0)))
        if not is_constant(b) or constant_value(b) == 0.0:  # 0 times an infinite 1 / a
            slope = select(equal(b, 0.0), 0.0, slope)
        da = mul(dy, slope)
        positive = less(constant(0.0), a)
        safe = select(positive, a, 1.0)
        return da, mul(dy, mul(node, log(safe)))


class Exp(Elementwise):
    """e^x of each element."""

    word = "exp"
    is_long = True

    def formula(self, a: Expression) -> Expression:
        return call("exp", a)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return (mul(dy, node),)


class Log(Elementwise):
    """The natural logarithm of each element."""

    word = "log"
    is_long = True

    def formula(self, a: Expression) -> Expression:
        return call("log", a)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return (div(dy, node.inputs[0]),)


class Expm1(Elementwise):
    """e^x - 1 of each element, with all digits near 0 as well."""

    # a primitive, because exp(x) - 1 loses all digits near 0
    word = "expm1"
    is_long = True

    def formula(self, a: Expression) -> Expression:
        return call("expm1", a)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return (mul(dy, exp(node.inputs[0])),)


class Log1p(Elementwise):
    """log(1 + x) of each element, with all digits near 0 as well."""

    # a primitive, because log(1 + x) loses all digits near 0
    word = "log1p"
    is_long = True

    def formula(self, a: Expression) -> Expression:
        return call("log1p", a)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return (div(dy, add(node.inputs[0], 1.0)),)


class Sqrt(Elementwise):
    """The square root of each element."""

    word = "sqrt"

    def formula(self, a: Expression) -> Expression:
        return call("sqrt", a)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return (div(dy, mul(2.0, node)),)


class Tanh(Elementwise):
    """tanh(x) = (e^x - e^-x) / (e^x + e^-x) of each element. Its values are from -1 to 1."""

    word = "tanh"
    saturates = (-1.0, 1.0)
    is_long = True

    def formula(self, a: Expression) -> Expression:
        return call("tanh", a)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return (mul(dy, sub(1.0, mul(node, node))),)


class Sigmoid(Elementwise):
    """1 / (1 + e^-x) of each element. Its values are from 0 to 1."""

    # a primitive, because the formula's own gradient overflows for x << 0
    word = "sigmoid"
    saturates = (0.0, 1.0)
    is_long = True

    def formula(self, a: Expression) -> Expression:
        return call("sigmoid", a)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return (mul(dy, mul(node, sub(1.0, node))),)


class Erf(Elementwise):
    """2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x, for each element."""

    word = "erf"
    is_long = True

    def formula(self, a: Expression) -> Expression:
        return call("erf", a)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        (x,) = node.inputs
        return (mul(dy, mul(2 / math.sqrt(math.pi), exp(neg(mul(x, x))))),)


class Erfc(Elementwise):
    """1 - erf(x) of each element, with all digits for large x as well."""

    # a primitive, because 1 - erf(x) loses all digits for large x
    word = "erfc"
    is_long = True

    def formula(self, a: Expression) -> Expression:
        return call("erfc", a)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        (x,) = node.inputs
        return (mul(dy, mul(-2 / math.sqrt(math.pi), exp(neg(mul(x, x))))),)


class Abs(Elementwise):
    """The absolute value of each element."""

    word = "abs"

    def formula(self, a: Expression) -> Expression:
        return call("abs", a)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return (mul(dy, sign(node.inputs[0])),)


class Sign(Elementwise):
    """-1, 0 or 1: the sign of each element."""

    word = "sign"

    def formula(self, a: Expression) -> Expression:
        return choose(a > 0.0, 1.0, choose(a < 0.0, -1.0, 0.0 * a))

    def of_numbers(self, *inputs: float) -> int:
        (a,) = inputs
        return (a > 0) - (a < 0)  # an integer, because sizes may be computed from it


class Floor(Elementwise):
    """The largest integer that is not above each element."""

    word = "floor"

    def formula(self, a: Expression) -> Expression:
        return call("floor", a)


class Sin(Elementwise):
    """The sine of each element."""

    word = "sin"
    is_long = True

    def formula(self, a: Expression) -> Expression:
        return call("sin", a)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return (mul(dy, apply(Cos(), node.inputs[0])),)


class Cos(Elementwise):
    """The cosine of each element."""

    word = "cos"
    is_long = True

    def formula(self, a: Expression) -> Expression:
        return call("cos", a)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return (neg(mul(dy, apply(Sin(), node.inputs[0]))),)


class Sinh(Elementwise):
    """sinh(x) = (e^x - e^-x) / 2 of each element."""

    word = "sinh"
    is_long = True

    def formula(self, x: Expression) -> Expression:
        # (g + g / (g + 1)) / 2 with g = e^|x| - 1 keeps all digits near 0. For large |x|, e^|x| may
        # overflow although the result does not, so the far branch squares e^(|x| / 2).
        size = call("abs", x)
        grown, root = call("expm1", size), call("exp", 0.5 * size)
        near, far = 0.5 * (grown + grown / (grown + 1.0)), 0.5 * root * root
        y = choose(size < 88.0, near, far)
        return choose(x < 0.0, -y, y)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        (x,) = node.inputs
        return (mul(dy, mul(0.5, add(exp(x), exp(neg(x))))),)


class Atan(Elementwise):
    """The angle whose tangent is x, in radians, for each element.

    Its values are from -1.5708 to 1.5708.
    """

    # Cephes (Moshier, 1989): atan(x) is pi/2 + atan(-1/x), or pi/4 + atan((x - 1) / (x + 1)), which
    # leaves arguments up to 0.66 for a rational function. pi/2 and pi/4 are each a sum of two
    # numbers, the second of which is the rounding error of the first.
    word = "atan"
    reach_far, reach_middle = 2.414213562373095, 0.66
    half_pi, quarter_pi = (1.5707963267948966, 6.123e-17), (0.7853981633974483, 3.0616e-17)
    above: ClassVar = (
        -64.85021904942025, -122.88666844901361, -75.00855792314705, -16.157537187333652,
        -0.8750608600031904,
    )  # fmt: skip
    below: ClassVar = (
        194.5506571482614, 485.3903996359137, 432.88106049129027, 165.02700983169885,
        24.858464901423062, 1.0,
    )  # fmt: skip
    is_long = True

    def formula(self, x: Expression) -> Expression:
        size = call("abs", x)
        is_far, is_middle = size > self.reach_far, size > self.reach_middle
        above = choose(is_far, -1.0, choose(is_middle, size - 1.0, size))
        below = choose(is_far, size, choose(is_middle, size + 1.0, 1.0))
        left = above / below
        square = left * left
        ratio = polynomial(square, self.above) / polynomial(square, self.below)
        start, rest = (
            choose(is_far, far, choose(is_middle, middle, 0.0))
            for far, middle in zip(self.half_pi, self.quarter_pi, strict=True)
        )
        y = start + (left + (left * (square * ratio) + rest))
        return choose(x < 0.0, -y, y)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        (x,) = node.inputs
        return (div(dy, add(1.0, mul(x, x))),)


def polynomial(x: Expression, coefficients: Sequence[float]) -> Expression:
    """Return the polynomial with these coefficients, the constant first."""
    total = expression(coefficients[-1])
    for each in coefficients[-2::-1]:
        total = total * x + each
    return total


def power(a: Operand, b: Operand) -> Node:
    return combine(Pow(), a, b)


def exp(a: Node) -> Node:
    return apply(Exp(), a)


def log(a: Node) -> Node:
    return apply(Log(), a)


def sign(a: Node) -> Node:
    return apply(Sign(), a)


FUNCTIONS: dict[str, Elementwise] = {
    op.word: op() for op in REGISTRY.values() if issubclass(op, Elementwise) and op.word
}
"""Every function of the .dl language that is an op, by its word."""
