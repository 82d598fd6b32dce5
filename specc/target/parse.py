"""A text in the language of kernels as a tree, with some of its names replaced by trees.

    expression("a if a > b else b", b=Real(0.0))        # Choose(Compare(">", Name("a"), ...), ...)

The language is a part of Python's: what has no tree raises `ParseError`, a fault of the kernel.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import lru_cache
from typing import get_args

from specc.target.expressions import (
    Binary,
    Call,
    Choose,
    Compare,
    Convert,
    Element,
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
    replaced,
)

_ARITHMETIC: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%",
    ast.Pow: "**", ast.LShift: "<<", ast.RShift: ">>", ast.BitAnd: "&", ast.BitOr: "|",
    ast.BitXor: "^",
}  # fmt: skip
_COMPARISONS: dict[type[ast.AST], str] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip
_ELEMENTS = get_args(Element)


class ParseError(Exception):
    """A text that is not in the language of kernels."""


def expression(text: str, **names: Expression) -> Expression:
    """Return the tree of an expression; each of the `names` in it becomes the tree given for it."""
    tree = _parsed(text)
    return replaced(tree, lambda part: names.get(part.id) if isinstance(part, Name) else None)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Expression:
    return tree_of(ast.parse(text, mode="eval").body)


def tree_of(node: ast.expr, names: Mapping[str, Expression] = {}) -> Expression:
    """Return the tree of a parsed expression; `names` are replaced by trees."""

    def tree(part: ast.expr) -> Expression:
        return tree_of(part, names)

    match node:
        case ast.Name(id):
            return names[id] if id in names else Name(id)
        case ast.Constant(bool() as value):
            return Truth(value)
        case ast.Constant(int() as value):
            return Integer(value)
        case ast.Constant(float() as value):
            return Real(value)
        case ast.BinOp(left, operator, right):
            return Binary(_ARITHMETIC[type(operator)], tree(left), tree(right))
        case ast.UnaryOp(ast.USub(), operand):
            return Unary("-", tree(operand))
        case ast.UnaryOp(ast.Not(), operand):
            return Unary("not", tree(operand))
        case ast.Compare(left, [operator], [right]):
            return Compare(_COMPARISONS[type(operator)], tree(left), tree(right))
        case ast.BoolOp(operator, [first, *others]):
            found = tree(first)
            for each in others:
                found = Logical("and" if isinstance(operator, ast.And) else "or", found, tree(each))
            return found
        case ast.IfExp(condition, yes, no):
            return Choose(tree(condition), tree(yes), tree(no))
        case ast.Subscript(array, ast.Tuple(at)):
            return Index(tree(array), tuple(map(tree, at)))
        case ast.Subscript(array, at):
            return Index(tree(array), (tree(at),))
        case ast.Call(function, arguments, []):
            return _call(function, arguments, names)
    raise ParseError(f"not in the language of kernels: {ast.unparse(node)}")


def _call(
    function: ast.expr, arguments: list[ast.expr], names: Mapping[str, Expression]
) -> Expression:
    match function, arguments:
        case ast.Name("int"), [operand]:
            return Convert("int", tree_of(operand, names))
        case ast.Name("view"), [address, ast.Tuple(shape), element]:
            sizes = tuple(tree_of(each, names) for each in shape)
            return View(tree_of(address, names), sizes, _element(element))
        case ast.Name("partial_sums"), [ast.Constant(int() as length), element]:
            return Stack(length, _element(element))
        case ast.Name(id), _ if id not in _ELEMENTS:
            return Call(id, tuple(tree_of(each, names) for each in arguments))
        case _, [operand]:
            return Convert(_element(function), tree_of(operand, names))
    raise ParseError(f"not in the language of kernels: a call of {ast.unparse(function)}")


def _element(node: ast.expr) -> Element:
    match node:
        case ast.Name(id) if id in _ELEMENTS:
            return id
        case ast.Attribute(ast.Name("np"), id) if id in _ELEMENTS:
            return id
    raise ParseError(f"not a type of numbers: {ast.unparse(node)}")
