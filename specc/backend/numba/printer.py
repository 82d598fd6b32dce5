"""Print expressions of kernels as the Python that Numba compiles.

    expression(choose(x > 0.0, x, 0.0))       # "x if x > 0.0 else 0.0"

Parentheses are printed only where Python needs them.
"""

from __future__ import annotations

import math

from specc.target.expressions import (
    Binary,
    Call,
    Choose,
    Compare,
    Convert,
    Expression,
    Index,
    Integer,
    Logical,
    Name,
    Real,
    Stack,
    Truth,
    Unary,
    View,
)

# How tightly Python's operators bind.
_CHOICE, _OR, _AND, _NOT, _COMPARISON = 1, 2, 3, 4, 5
_BINDING = {
    "|": 6, "^": 7, "&": 8, "<<": 9, ">>": 9, "+": 10, "-": 10, "*": 11, "/": 11, "//": 11, "%": 11,
    "**": 13,
}  # fmt: skip
_SIGN, _ATOM = 12, 15


def expression(tree: Expression) -> str:
    """Return the Python text of an expression."""
    return _text(tree)[0]


def _text(tree: Expression) -> tuple[str, int]:
    """The text, and how tightly its outermost operator binds."""
    match tree:
        case Name(id):
            return id, _ATOM
        case Integer(value):
            return str(value), _ATOM if value >= 0 else _SIGN
        case Real(value):
            return _number(value)
        case Binary(operator, left, right):
            binding = _BINDING[operator]
            if operator == "**":  # from the right, and more tightly than a sign before it
                return f"{_within(left, binding + 1)} ** {_within(right, _SIGN)}", binding
            return f"{_within(left, binding)} {operator} {_within(right, binding + 1)}", binding
        case Index(array, at):
            return f"{_within(array, _ATOM)}[{_listed(at)}]", _ATOM
        case Call(function, arguments):
            return f"{function}({_listed(arguments)})", _ATOM
    return _rarer(tree)


def _rarer(tree: Expression) -> tuple[str, int]:
    match tree:
        case Unary("-", operand):
            return f"-{_within(operand, _SIGN)}", _SIGN
        case Unary(_, operand):
            return f"not {_within(operand, _NOT)}", _NOT
        case Compare(operator, left, right):
            sides = _within(left, _COMPARISON + 1), _within(right, _COMPARISON + 1)
            return f"{sides[0]} {operator} {sides[1]}", _COMPARISON
        case Logical(operator, left, right):
            binding = _OR if operator == "or" else _AND
            return f"{_within(left, binding)} {operator} {_within(right, binding + 1)}", binding
        case Choose(condition, yes, no):
            yes_, condition_ = _within(yes, _CHOICE + 1), _within(condition, _CHOICE + 1)
            return f"{yes_} if {condition_} else {_within(no, _CHOICE)}", _CHOICE
        case Convert(to, operand):
            return f"{_type(to)}({expression(operand)})", _ATOM
        case Truth(value):
            return str(value), _ATOM
        case View(address, shape, element):
            sizes = _listed(shape) + "," * (len(shape) == 1)
            return f"view({expression(address)}, ({sizes}), {_type(element)})", _ATOM
        case Stack(length, element):
            return f"partial_sums({length}, {_type(element)})", _ATOM
    raise AssertionError(f"{tree!r} is not an expression of a kernel")


def _within(tree: Expression, binding: int) -> str:
    """The text as an operand of an operator that binds so tightly."""
    text, own = _text(tree)
    return text if own >= binding else f"({text})"


def _listed(trees: tuple[Expression, ...]) -> str:
    return ", ".join(map(expression, trees))


def _type(name: str) -> str:
    return name if name in ("real", "int") else f"np.{name}"


def _number(value: float) -> tuple[str, int]:
    if math.isnan(value):
        return "1e400 - 1e400", _BINDING["-"]
    text = "1e400" if math.isinf(value) else repr(abs(value))
    return (f"-{text}", _SIGN) if math.copysign(1.0, value) < 0 else (text, _ATOM)
