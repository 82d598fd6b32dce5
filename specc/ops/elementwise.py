"""Elementwise ops: one scalar formula each, applied to operands of equal shape.

    add(x, y)      # the function that makes the node; a scalar combines with anything

`code` is the formula as emitted, with the operands in braces. An operand that is one for the whole
batch combines with one that varies over it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from specc.ir import sizes
from specc.ir.graph import Node, apply
from specc.ir.op import Form, Op, ShapeError
from specc.ir.sizes import Size
from specc.ir.types import Type
from specc.ops.broadcast import broadcast_scalar
from specc.ops.leaf import Const, constant


class Elementwise(Op):
    """Common shape rule: equal shapes, the result batched if any operand is."""

    abstract = True
    form = Form.ELEMENT
    code: ClassVar[str]
    takes: ClassVar[str] = "float"  # the kind of the operands; "any": equal kinds
    gives: ClassVar[str] = "float"  # the kind of the result; "same": that of the operands
    symbol: ClassVar[str] = ""  # how the .dl language writes it
    # of an activation: the ends of its range, next to which its slope is nearly 0
    saturates: ClassVar[tuple[float, float] | None] = None

    def infer(self, *inputs: Type) -> Type:
        name = self.symbol or self.name.lower()
        first = inputs[0]
        for position, each in enumerate(inputs):
            if self.takes != "any" and each.kind != self.takes:
                raise ShapeError(f"`{name}` works on {self.takes}, not on {each.kind}", position)
            if each.kind != first.kind:
                raise ShapeError(f"`{name}` needs equal kinds, not {first} and {each}", position)
            if each.shape != first.shape:
                check_equal_shapes(name, first, each, position)
        kind = first.kind if self.gives == "same" else self.gives
        classes = first.classes if kind == "int" else None
        return Type(kind, first.shape, any(each.batched for each in inputs), classes)

    def reference(self, types, *inputs):
        import numpy as np

        with np.errstate(all="ignore"):
            return self.compute(np, *inputs)

    def compute(self, np, *inputs):
        """The formula in NumPy."""
        raise NotImplementedError

    def vjp(self, node, dy):
        return (None,) * len(node.inputs)

    def flops(self, node: Node) -> Size:
        return node.type.elements

    def over_steps(self, steps: Size, moving: Sequence[bool]) -> Op:
        return self

    def one_step(self, node: Node) -> Op:
        return self

    def suits_team(self, node: Node) -> bool:
        return True

    def is_apart(self) -> bool:
        return True


def check_equal_shapes(name: str, first: Type, second: Type, position: int) -> None:
    """Raise the error of two operands whose shapes differ."""
    if first.rank != second.rank:
        raise ShapeError(
            f"`{name}` needs equal shapes, but has {sizes.show(first.shape)} on the left"
            f" and {sizes.show(second.shape)} on the right",
            position,
        )
    for axis, (left, right) in enumerate(zip(first.shape, second.shape, strict=True)):
        equal = sizes.same(left, right)
        if equal is None:
            raise ShapeError(
                f"`{name}` needs equal shapes; cannot prove that axis {axis}, {left} on the left"
                f" and {right} on the right, is the same",
                position,
            )
        if not equal:
            raise ShapeError(
                f"`{name}` needs equal shapes, but axis {axis} is {left} on the left"
                f" and {right} on the right",
                position,
            )


class Add(Elementwise):
    code = "({0} + {1})"
    symbol = "+"

    def compute(self, np, a, b):
        return a + b

    def vjp(self, node, dy):
        return dy, dy


class Sub(Elementwise):
    code = "({0} - {1})"
    symbol = "-"

    def compute(self, np, a, b):
        return a - b

    def vjp(self, node, dy):
        return dy, neg(dy)


class Mul(Elementwise):
    code = "({0} * {1})"
    symbol = "*"

    def compute(self, np, a, b):
        return a * b

    def vjp(self, node, dy):
        a, b = node.inputs
        return mul(dy, b), mul(dy, a)


class Div(Elementwise):
    code = "({0} / {1})"
    symbol = "/"

    def compute(self, np, a, b):
        return np.divide(a, b)

    def vjp(self, node, dy):
        a, b = node.inputs
        da = div(dy, b)
        return da, neg(mul(da, div(a, b)))


class FloorDiv(Elementwise):
    """The whole number of times that b goes into a, as in Python: a // b = (a - a % b) / b."""

    code = "floordiv({0}, {1})"
    symbol = "//"

    def compute(self, np, a, b):
        return np.floor_divide(a, b)


class Mod(Elementwise):
    """a % b as in Python: with the sign of b. The remainder of the division is exact, however large a / b is;
    of another sign than b, it is added to b and rounded."""

    code = "mod({0}, {1})"
    symbol = "%"

    def compute(self, np, a, b):
        return np.mod(a, b)

    def vjp(self, node, dy):
        a, b = node.inputs
        return dy, neg(mul(dy, floor_div(a, b)))


class Pow(Elementwise):
    """a ^ b; the gradient for a is 0 where b is 0, and that for b takes log(a) as 0 where a is not positive."""

    code = "({0} ** {1})"
    symbol = "^"

    def compute(self, np, a, b):
        return np.power(a, b)

    def vjp(self, node, dy):
        a, b = node.inputs
        slope = mul(b, power(a, sub(b, 1.0)))
        if not is_constant(b) or constant_value(b) == 0.0:  # 0 times an infinite 1 / a
            slope = select(equal(b, 0.0), 0.0, slope)
        da = mul(dy, slope)
        positive = less(constant(0.0), a)
        safe = select(positive, a, 1.0)
        return da, mul(dy, mul(node, log(safe)))


class Neg(Elementwise):
    code = "(-{0})"
    symbol = "-"

    def compute(self, np, a):
        return -a

    def vjp(self, node, dy):
        return (neg(dy),)


class Exp(Elementwise):
    code = "exp({0})"

    def compute(self, np, a):
        return np.exp(a)

    def vjp(self, node, dy):
        return (mul(dy, node),)


class Log(Elementwise):
    code = "log({0})"

    def compute(self, np, a):
        return np.log(a)

    def vjp(self, node, dy):
        return (div(dy, node.inputs[0]),)


class Expm1(Elementwise):
    """exp(x) - 1: a primitive because that formula loses all digits near 0."""

    code = "expm1({0})"

    def compute(self, np, a):
        return np.expm1(a)

    def vjp(self, node, dy):
        return (mul(dy, exp(node.inputs[0])),)


class Log1p(Elementwise):
    """log(1 + x): a primitive because that formula loses all digits near 0."""

    code = "log1p({0})"

    def compute(self, np, a):
        return np.log1p(a)

    def vjp(self, node, dy):
        return (div(dy, add(node.inputs[0], 1.0)),)


class Sqrt(Elementwise):
    code = "sqrt({0})"

    def compute(self, np, a):
        return np.sqrt(a)

    def vjp(self, node, dy):
        return (div(dy, mul(2.0, node)),)


class Tanh(Elementwise):
    code = "tanh({0})"
    saturates = (-1.0, 1.0)

    def compute(self, np, a):
        return np.tanh(a)

    def vjp(self, node, dy):
        return (mul(dy, sub(1.0, mul(node, node))),)


class Sigmoid(Elementwise):
    """1 / (1 + exp(-x)): a primitive because that formula's own gradient overflows for x << 0."""

    code = "sigmoid({0})"
    saturates = (0.0, 1.0)

    def compute(self, np, a):
        small = np.exp(-np.abs(a))
        return np.where(np.signbit(a), small, 1.0) / (1.0 + small)

    def vjp(self, node, dy):
        return (mul(dy, mul(node, sub(1.0, node))),)


class Erf(Elementwise):
    """2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x: no formula of other ops gives it."""

    code = "erf({0})"

    def compute(self, np, a):
        return np.vectorize(math.erf, otypes=[float])(a)

    def vjp(self, node, dy):
        (x,) = node.inputs
        return (mul(dy, mul(2 / math.sqrt(math.pi), exp(neg(mul(x, x))))),)


class Erfc(Elementwise):
    """1 - erf(x): a primitive because that formula loses all digits for large x."""

    code = "erfc({0})"

    def compute(self, np, a):
        return np.vectorize(math.erfc, otypes=[float])(a)

    def vjp(self, node, dy):
        (x,) = node.inputs
        return (mul(dy, mul(-2 / math.sqrt(math.pi), exp(neg(mul(x, x))))),)


class Abs(Elementwise):
    """|x|, with the gradient 0 at 0."""

    code = "abs({0})"

    def compute(self, np, a):
        return np.abs(a)

    def vjp(self, node, dy):
        return (mul(dy, sign(node.inputs[0])),)


class Sign(Elementwise):
    """-1, 0 or 1."""

    code = "(1.0 if {0} > 0.0 else (-1.0 if {0} < 0.0 else 0.0 * {0}))"

    def compute(self, np, a):
        return np.sign(a)


class Floor(Elementwise):
    code = "floor({0})"

    def compute(self, np, a):
        return np.floor(a)


class Sin(Elementwise):
    code = "sin({0})"

    def compute(self, np, a):
        return np.sin(a)

    def vjp(self, node, dy):
        return (mul(dy, apply(Cos(), node.inputs[0])),)


class Cos(Elementwise):
    code = "cos({0})"

    def compute(self, np, a):
        return np.cos(a)

    def vjp(self, node, dy):
        return (neg(mul(dy, apply(Sin(), node.inputs[0]))),)


class Maximum(Elementwise):
    """The larger of two; NaN wins. At a tie a constant takes the gradient, else the right operand."""

    code = "({0} if ({0} > {1} or {0} != {0}) else {1})"

    def compute(self, np, a, b):
        return np.maximum(a, b)

    def vjp(self, node, dy):
        a, b = node.inputs
        tie_goes_right = not is_constant(b)
        right_wins = not_(less(b, a)) if tie_goes_right and not is_constant(a) else less(a, b)
        return select(less(b, a), dy, 0.0), select(right_wins, dy, 0.0)


class Minimum(Elementwise):
    """The smaller of two; NaN wins. At a tie a constant takes the gradient, else the right operand."""

    code = "({0} if ({0} < {1} or {0} != {0}) else {1})"

    def compute(self, np, a, b):
        return np.minimum(a, b)

    def vjp(self, node, dy):
        a, b = node.inputs
        right_wins = not_(less(a, b)) if not is_constant(a) and not is_constant(b) else less(b, a)
        return select(less(a, b), dy, 0.0), select(right_wins, dy, 0.0)


class Less(Elementwise):
    code = "({0} < {1})"
    symbol = "<"
    takes, gives = "any", "bool"

    def compute(self, np, a, b):
        return a < b


class LessEqual(Elementwise):
    code = "({0} <= {1})"
    symbol = "<="
    takes, gives = "any", "bool"

    def compute(self, np, a, b):
        return a <= b


class Equal(Elementwise):
    code = "({0} == {1})"
    symbol = "=="
    takes, gives = "any", "bool"

    def compute(self, np, a, b):
        return a == b


class And(Elementwise):
    code = "({0} and {1})"
    symbol = "and"
    takes, gives = "bool", "bool"

    def compute(self, np, a, b):
        return np.logical_and(a, b)


class Or(Elementwise):
    code = "({0} or {1})"
    symbol = "or"
    takes, gives = "bool", "bool"

    def compute(self, np, a, b):
        return np.logical_or(a, b)


class Not(Elementwise):
    code = "(not {0})"
    symbol = "not"
    takes, gives = "bool", "bool"

    def compute(self, np, a):
        return np.logical_not(a)


class Select(Elementwise):
    """if c then a else b, element by element."""

    code = "({1} if {0} else {2})"
    symbol = "if"
    gives = "same"

    def infer(self, condition: Type, a: Type, b: Type) -> Type:
        if condition.kind != "bool":
            raise ShapeError(f"`if` needs a condition, not {condition.kind}", 0)
        if a.kind != b.kind:
            raise ShapeError(f"`if` needs two values of one kind, not {a.kind} and {b.kind}", 2)
        check_equal_shapes("if", a, b, 2)
        check_equal_shapes("if", condition, a, 0)
        batched = condition.batched or a.batched or b.batched
        return Type(a.kind, a.shape, batched, a.classes)

    def compute(self, np, c, a, b):
        return np.where(c, a, b)

    def vjp(self, node, dy):
        condition = node.inputs[0]
        return None, select(condition, dy, 0.0), select(condition, 0.0, dy)


class ToFloat(Elementwise):
    """A truth value or a class index as a number."""

    code = "real({0})"
    takes = "any"

    def compute(self, np, a):
        return np.asarray(a).astype(float)


@dataclass(frozen=True)
class ToInt(Elementwise):
    """A whole number that was computed, as an index below `classes`."""

    classes: Size
    code = "int({0})"

    def infer(self, a: Type) -> Type:
        return replace(super().infer(a), kind="int", classes=self.classes)

    def compute(self, np, a):
        return np.asarray(a).astype(np.int64)

    def first_steps(self, node: Node, result: Type) -> Op:
        return replace(self, classes=result.classes)  # a position in the sequence


class Detach(Elementwise):
    """The value itself, through which no gradient flows."""

    code = "{0}"
    takes, gives = "any", "same"

    def compute(self, np, a):
        return a


class Copy(Elementwise):
    """The value itself, in memory of its own and in C order."""

    code = "{0}"
    takes, gives = "any", "same"

    def compute(self, np, a):
        return np.array(a)

    def vjp(self, node, dy):
        return (dy,)


def is_constant(node: Node) -> bool:
    """Whether the node is a number known when compiling, spread to any shape."""
    return constant_value(node) is not None


def constant_value(node: Node):
    """The number of a constant, spread to any shape; None for any other node."""
    while node.inputs and node.op.name == "Broadcast":
        node = node.inputs[0]
    return node.op.value if isinstance(node.op, Const) else None


def combine(op: Op, *operands, origin=None) -> Node:
    """The node of an elementwise op; numbers become constants, scalars are spread over the others."""
    nodes = [each if isinstance(each, Node) else constant(float(each)) for each in operands]
    largest = max(nodes, key=lambda node: node.type.rank)
    spread = [broadcast_scalar(node, largest.type.shape) for node in nodes]
    return apply(op, *spread, origin=origin)


def add(a, b):
    return combine(Add(), a, b)


def sub(a, b):
    return combine(Sub(), a, b)


def mul(a, b):
    return combine(Mul(), a, b)


def div(a, b):
    return combine(Div(), a, b)


def floor_div(a, b):
    return combine(FloorDiv(), a, b)


def power(a, b):
    return combine(Pow(), a, b)


def neg(a):
    return apply(Neg(), a)


def exp(a):
    return apply(Exp(), a)


def log(a):
    return apply(Log(), a)


def sign(a):
    return apply(Sign(), a)


def less(a, b):
    return combine(Less(), a, b)


def equal(a, b):
    return combine(Equal(), a, b)


def not_(a):
    return apply(Not(), a)


def select(condition, a, b):
    return combine(Select(), condition, a, b)


def to_float(a):
    return a if a.type.kind == "float" else apply(ToFloat(), a)
