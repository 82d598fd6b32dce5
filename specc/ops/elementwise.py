"""Elementwise ops: one scalar formula each, applied to operands of equal shape.

    add(x, y)      # the node of x + y; a scalar operand is broadcast

`formula` is an expression of the language of kernels. The kernel's text, the NumPy reference and
the value for plain numbers, in a schedule or a constant, are all made from it. An operand that the
whole batch shares may be combined with one that differs between examples. An op with a `word` is a
function of the .dl language.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, ClassVar

from specc.ir import sizes
from specc.ir.graph import Node, Origin, apply
from specc.ir.op import Cut, Form, Gradients, Op, ShapeError
from specc.ir.sizes import Polynomial, Size
from specc.ir.types import Type
from specc.ops.broadcast import broadcast_scalar
from specc.ops.leaf import Const, constant
from specc.system.records import dataclass
from specc.target import evaluate
from specc.target.expressions import (
    Convert,
    Expression,
    Name,
    both,
    call,
    choose,
    differs,
    either,
    negation,
)
from specc.target.expressions import equal as equals


class Elementwise(Op):
    """An op that computes each element of its result from the operands' elements at that position.

    The operands have equal shapes, and the result is batched if any operand is.
    """

    abstract = True
    form = Form.ELEMENT
    takes: ClassVar[str] = "float"  # the kind of the operands; "any": equal kinds
    gives: ClassVar[str] = "float"  # the kind of the result; "same": that of the operands
    symbol: ClassVar[str] = ""  # the operator of the .dl language
    word: ClassVar[str] = ""  # the function of the .dl language; the docstring is its page
    # an activation's bounds, if its slope is nearly 0 close to them
    saturates: ClassVar[tuple[float, float] | None] = None
    # whether an element takes many instructions, each of which waits for the one before
    is_long: ClassVar[bool] = False

    def infer(self, *inputs: Any, **named: Any) -> Type:
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

    @abstractmethod
    def formula(self, *operands: Any, **named: Any) -> Expression:
        """Return the formula of an element of the result, over the elements of the operands."""

    def reference(self, types: tuple[Type, ...], *inputs: Any) -> Any:
        return evaluate.of_arrays(*self._over(inputs))

    def of_numbers(self, *inputs: float) -> Any:
        """Return the value for plain numbers.

        Raises `ArithmeticError` or `ValueError` if the formula has no value for them.
        """
        return _function(self, len(inputs))(inputs)

    def _over(self, inputs: Sequence[Any]) -> tuple[Expression, dict[str, Any]]:
        """Return the formula over names, and the input that each name stands for."""
        names = {f"x{position}": each for position, each in enumerate(inputs)}
        return self.formula(*map(Name, names)), names

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return (None,) * len(node.inputs)

    def flops(self, node: Node) -> Size:
        return node.type.elements

    def over_steps(self, steps: Size, moving: Sequence[bool]) -> Op:
        return self

    def cut(self, node: Node, axis: int, start: int, count: int) -> Cut:
        return Cut(self, (axis,) * len(node.inputs))

    def one_at(self, node: Node, axis: int) -> Cut:
        return Cut(self, (axis,) * len(node.inputs))

    def suits_tensor_parallel(self, node: Node) -> bool:
        return True

    def is_apart(self) -> bool:
        return True


@cache
def _function(op: Elementwise, count: int) -> Callable[[tuple[float, ...]], Any]:
    """Return the formula of an op as a function of `count` numbers."""
    names = tuple(f"x{position}" for position in range(count))
    return evaluate.function(op.formula(*map(Name, names)), names)


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
    symbol = "+"

    def formula(self, a: Expression, b: Expression) -> Expression:
        return a + b

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return dy, dy


class Sub(Elementwise):
    symbol = "-"

    def formula(self, a: Expression, b: Expression) -> Expression:
        return a - b

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return dy, neg(dy)


class Mul(Elementwise):
    symbol = "*"

    def formula(self, a: Expression, b: Expression) -> Expression:
        return a * b

    def vjp(self, node: Node, dy: Node) -> Gradients:
        a, b = node.inputs
        return mul(dy, b), mul(dy, a)


class Div(Elementwise):
    symbol = "/"

    def formula(self, a: Expression, b: Expression) -> Expression:
        return a / b

    def vjp(self, node: Node, dy: Node) -> Gradients:
        a, b = node.inputs
        da = div(dy, b)
        return da, neg(mul(da, div(a, b)))


class FloorDiv(Elementwise):
    """Division rounded down to an integer, as in Python: a // b = (a - a % b) / b."""

    symbol = "//"

    def formula(self, a: Expression, b: Expression) -> Expression:
        return call("floordiv", a, b)


class Mod(Elementwise):
    """The remainder a % b as in Python, with the sign of b.

    The remainder is exact, however large a / b is. If its sign differs from that of b, b is added
    to it, and the sum is rounded.
    """

    symbol = "%"

    def formula(self, a: Expression, b: Expression) -> Expression:
        return call("mod", a, b)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        a, b = node.inputs
        return dy, neg(mul(dy, floor_div(a, b)))


class Neg(Elementwise):
    symbol = "-"

    def formula(self, a: Expression) -> Expression:
        return -a

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return (neg(dy),)


class Maximum(Elementwise):
    """The larger of two elements; NaN if one of them is NaN.

    At a tie, the gradient goes to the constant if there is one, else to the right operand.
    """

    def formula(self, a: Expression, b: Expression) -> Expression:
        return choose(either(a > b, differs(a, a)), a, b)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        a, b = node.inputs
        tie_goes_right = not is_constant(b)
        right_wins = not_(less(b, a)) if tie_goes_right and not is_constant(a) else less(a, b)
        return select(less(b, a), dy, 0.0), select(right_wins, dy, 0.0)


class Minimum(Elementwise):
    """The smaller of two elements; NaN if one of them is NaN.

    At a tie, the gradient goes to the constant if there is one, else to the right operand.
    """

    def formula(self, a: Expression, b: Expression) -> Expression:
        return choose(either(a < b, differs(a, a)), a, b)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        a, b = node.inputs
        right_wins = not_(less(a, b)) if not is_constant(a) and not is_constant(b) else less(b, a)
        return select(less(a, b), dy, 0.0), select(right_wins, dy, 0.0)


class Less(Elementwise):
    symbol = "<"
    takes, gives = "any", "bool"

    def formula(self, a: Expression, b: Expression) -> Expression:
        return a < b


class LessEqual(Elementwise):
    symbol = "<="
    takes, gives = "any", "bool"

    def formula(self, a: Expression, b: Expression) -> Expression:
        return a <= b


class Equal(Elementwise):
    symbol = "=="
    takes, gives = "any", "bool"

    def formula(self, a: Expression, b: Expression) -> Expression:
        return equals(a, b)


class And(Elementwise):
    symbol = "and"
    takes, gives = "bool", "bool"

    def formula(self, a: Expression, b: Expression) -> Expression:
        return both(a, b)


class Or(Elementwise):
    symbol = "or"
    takes, gives = "bool", "bool"

    def formula(self, a: Expression, b: Expression) -> Expression:
        return either(a, b)


class Not(Elementwise):
    symbol = "not"
    takes, gives = "bool", "bool"

    def formula(self, a: Expression) -> Expression:
        return negation(a)


class Select(Elementwise):
    """Element by element, the second operand if the condition holds, else the third."""

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

    def formula(self, condition: Expression, a: Expression, b: Expression) -> Expression:
        return choose(condition, a, b)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        condition = node.inputs[0]
        return None, select(condition, dy, 0.0), select(condition, 0.0, dy)


class ToFloat(Elementwise):
    """A boolean or a class index as a number."""

    takes = "any"

    def formula(self, a: Expression) -> Expression:
        return Convert("real", a)


@dataclass(frozen=True)
class ToInt(Elementwise):
    """A computed number, which is an integer, as an index below `classes`."""

    classes: Size

    def infer(self, a: Type) -> Type:
        return replace(super().infer(a), kind="int", classes=self.classes)

    def formula(self, a: Expression) -> Expression:
        return Convert("int", a)

    def first_steps(self, node: Node, result: Type) -> Op:
        assert result.classes is not None
        return replace(self, classes=result.classes)  # as the index of a time step


class Detach(Elementwise):
    """The value itself, without a gradient."""

    takes, gives = "any", "same"

    def formula(self, a: Expression) -> Expression:
        return a


class Copy(Elementwise):
    """The value itself, in memory of its own and in C order."""

    takes, gives = "any", "same"

    def formula(self, a: Expression) -> Expression:
        return a

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return (dy,)


def is_constant(node: Node) -> bool:
    """Return whether a node is a constant number, broadcast to any shape."""
    return constant_value(node) is not None


def constant_value(node: Node) -> float | int | bool | Polynomial | None:
    """Return the number of a constant, broadcast to any shape; None for any other node."""
    while node.inputs and node.op.name == "Broadcast":
        node = node.inputs[0]
    return node.op.value if isinstance(node.op, Const) else None


Operand = Node | float


def combine(op: Op, *operands: Operand, origin: Origin | None = None) -> Node:
    """Return the node of an elementwise op.

    Numbers become constants, and scalars are broadcast to the shape of the other operands.
    """
    nodes = [each if isinstance(each, Node) else constant(float(each)) for each in operands]
    largest = max(nodes, key=lambda node: node.type.rank)
    spread = [broadcast_scalar(node, largest.type.shape) for node in nodes]
    return apply(op, *spread, origin=origin)


def add(a: Operand, b: Operand) -> Node:
    return combine(Add(), a, b)


def sub(a: Operand, b: Operand) -> Node:
    return combine(Sub(), a, b)


def mul(a: Operand, b: Operand) -> Node:
    return combine(Mul(), a, b)


def div(a: Operand, b: Operand) -> Node:
    return combine(Div(), a, b)


def floor_div(a: Operand, b: Operand) -> Node:
    return combine(FloorDiv(), a, b)


def neg(a: Node) -> Node:
    return apply(Neg(), a)


def less(a: Operand, b: Operand) -> Node:
    return combine(Less(), a, b)


def equal(a: Operand, b: Operand) -> Node:
    return combine(Equal(), a, b)


def not_(a: Node) -> Node:
    return apply(Not(), a)


def select(condition: Node, a: Operand, b: Operand) -> Node:
    return combine(Select(), condition, a, b)


def to_float(a: Node) -> Node:
    return a if a.type.kind == "float" else apply(ToFloat(), a)


def of_each(value: Node, example: Node) -> Node:
    """Return a value that all examples share as a value of each, of the shape of `example`."""
    return select(less(example, example), example, value)
