"""Expressions of kernels: what a number, a truth value or an array is computed from.

    x = Name("x")
    choose(x > 0.0, x, 0.0)        # Choose(Compare(">", x, Real(0.0)), x, Real(0.0))
    call("exp", -x) * 0.5          # Binary("*", Call("exp", (Unary("-", x),)), Real(0.5))

Python's operators and numbers make expressions of expressions, so that a formula is written as one.
`==` compares trees; `equal` and `differs` compare values.

A `Real` has the kernel's own precision, which a kernel's text calls `real`; an integer has 64 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Arithmetic = Literal["+", "-", "*", "/", "//", "%", "**", "<<", ">>", "&", "|", "^"]
Comparison = Literal["<", "<=", ">", ">=", "==", "!="]
# `real` is the kernel's own precision, the others are NumPy's types
Element = Literal["real", "float32", "float64", "int32", "int64", "uint8", "uint32", "uint64"]


class Tree:
    """A part of a kernel, a dataclass that is never changed; equal trees have equal parts.

    The methods are here, once for all classes: it takes 10 ms to make them for each of the 30.
    """

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __repr__(self) -> str:
        parts = ", ".join(map(repr, vars(self).values()))
        return f"{type(self).__name__}({parts})"


class Expression(Tree):
    """A tree whose value a kernel computes; operators make larger trees."""

    def __add__(self, other: Operand) -> Binary:
        return Binary("+", self, expression(other))

    def __radd__(self, other: Operand) -> Binary:
        return Binary("+", expression(other), self)

    def __sub__(self, other: Operand) -> Binary:
        return Binary("-", self, expression(other))

    def __rsub__(self, other: Operand) -> Binary:
        return Binary("-", expression(other), self)

    def __mul__(self, other: Operand) -> Binary:
        return Binary("*", self, expression(other))

    def __rmul__(self, other: Operand) -> Binary:
        return Binary("*", expression(other), self)

    def __truediv__(self, other: Operand) -> Binary:
        return Binary("/", self, expression(other))

    def __rtruediv__(self, other: Operand) -> Binary:
        return Binary("/", expression(other), self)

    def __floordiv__(self, other: Operand) -> Binary:
        return Binary("//", self, expression(other))

    def __mod__(self, other: Operand) -> Binary:
        return Binary("%", self, expression(other))

    def __pow__(self, other: Operand) -> Binary:
        return Binary("**", self, expression(other))

    def __neg__(self) -> Unary:
        return Unary("-", self)

    def __lt__(self, other: Operand) -> Compare:
        return Compare("<", self, expression(other))

    def __le__(self, other: Operand) -> Compare:
        return Compare("<=", self, expression(other))

    def __gt__(self, other: Operand) -> Compare:
        return Compare(">", self, expression(other))

    def __ge__(self, other: Operand) -> Compare:
        return Compare(">=", self, expression(other))

    def __bool__(self) -> bool:
        raise TypeError(
            "the value of an expression is not known: use choose, both, either, negation"
        )


Operand = Expression | float | int | bool


@dataclass(eq=False, repr=False)
class Name(Expression):
    """A parameter or a variable of the kernel."""

    id: str


@dataclass(eq=False, repr=False)
class Integer(Expression):
    """A constant of 64 bits."""

    value: int


@dataclass(eq=False, repr=False)
class Real(Expression):
    """A constant in the kernel's precision; NaN and the infinities as well."""

    value: float


@dataclass(eq=False, repr=False)
class Boolean(Expression):
    """True or False."""

    value: bool


@dataclass(eq=False, repr=False)
class Unary(Expression):
    """`-x`, or `not x` of a truth value."""

    operator: Literal["-", "not"]
    operand: Expression


@dataclass(eq=False, repr=False)
class Binary(Expression):
    """Arithmetic on two numbers. `//` and `%` round down, as in Python; `/` gives a real number."""

    operator: Arithmetic
    left: Expression
    right: Expression


@dataclass(eq=False, repr=False)
class Compare(Expression):
    """The truth value of a comparison of two numbers; with a NaN only `!=` holds."""

    operator: Comparison
    left: Expression
    right: Expression


@dataclass(eq=False, repr=False)
class Logical(Expression):
    """`and` or `or` of two truth values; the right one is computed only if it decides."""

    operator: Literal["and", "or"]
    left: Expression
    right: Expression


@dataclass(eq=False, repr=False)
class Choose(Expression):
    """`yes` if the condition holds, else `no`."""

    condition: Expression
    yes: Expression
    no: Expression


@dataclass(eq=False, repr=False)
class Convert(Expression):
    """A number as one of another type."""

    to: Element | Literal["int"]
    operand: Expression


@dataclass(eq=False, repr=False)
class Index(Expression):
    """An element of an array: a load, or the place of a store."""

    array: Expression
    at: tuple[Expression, ...]


@dataclass(eq=False, repr=False)
class ArrayView(Expression):
    """The memory at an address as an array in C order."""

    address: Expression
    shape: tuple[Expression, ...]
    element: Element


@dataclass(eq=False, repr=False)
class Stack(Expression):
    """A new array of a fixed length on the stack, with arbitrary elements."""

    length: int
    element: Element


@dataclass(eq=False, repr=False)
class Call(Expression):
    """A call of a function of the language (see `language`), or of an intrinsic of the kernel."""

    function: str
    arguments: tuple[Expression, ...]


def expression(value: Operand) -> Expression:
    """Return the value itself, or the constant that a Python number is."""
    if isinstance(value, Expression):
        return value
    if isinstance(value, bool):
        return Boolean(value)
    return Integer(value) if isinstance(value, int) else Real(float(value))


def call(function: str, *arguments: Operand) -> Call:
    """Return a call of a function of the language."""
    return Call(function, tuple(map(expression, arguments)))


def choose(condition: Operand, yes: Operand, no: Operand) -> Choose:
    """Return the expression `yes if condition else no`."""
    return Choose(expression(condition), expression(yes), expression(no))


def equal(a: Operand, b: Operand) -> Compare:
    """Return whether two numbers are equal, as an expression."""
    return Compare("==", expression(a), expression(b))


def differs(a: Operand, b: Operand) -> Compare:
    """Return whether two numbers differ, as an expression: a NaN differs from itself."""
    return Compare("!=", expression(a), expression(b))


def both(a: Operand, b: Operand) -> Logical:
    """Return the expression `a and b`."""
    return Logical("and", expression(a), expression(b))


def either(a: Operand, b: Operand) -> Logical:
    """Return the expression `a or b`."""
    return Logical("or", expression(a), expression(b))


def negation(a: Operand) -> Unary:
    """Return the expression `not a`."""
    return Unary("not", expression(a))


def replaced(tree: Expression, put: Callable[[Expression], Expression | None]) -> Expression:
    """Return the tree with every part for which `put` returns another one replaced by that."""
    found = put(tree)
    if found is not None:
        return found

    def each(part: Expression) -> Expression:
        return replaced(part, put)

    match tree:
        case Unary(operator, operand):
            return Unary(operator, each(operand))
        case Binary(operator, left, right):
            return Binary(operator, each(left), each(right))
        case Compare(operator, left, right):
            return Compare(operator, each(left), each(right))
        case Logical(operator, left, right):
            return Logical(operator, each(left), each(right))
        case Choose(condition, yes, no):
            return Choose(each(condition), each(yes), each(no))
        case Convert(to, operand):
            return Convert(to, each(operand))
        case Index(array, at):
            return Index(each(array), tuple(map(each, at)))
        case ArrayView(address, shape, element):
            return ArrayView(each(address), tuple(map(each, shape)), element)
        case Call(function, arguments):
            return Call(function, tuple(map(each, arguments)))
    return tree
