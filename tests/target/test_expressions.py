"""Expressions of kernels, and their text."""

from __future__ import annotations

import ast
import math

import pytest

from specc.backend.llvm import printer
from specc.target.expressions import (
    ArrayView,
    Binary,
    Index,
    Integer,
    Name,
    Real,
    Unary,
    both,
    call,
    choose,
    differs,
    either,
    equal,
    negation,
    replaced,
)
from specc.target.parse import expression
from specc.target.statements import For, Function

a, b, c = map(Name, "abc")


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        (a + b * c, "a + b * c"),
        ((a + b) * c, "(a + b) * c"),
        (a - (b - c), "a - (b - c)"),
        (a - b - c, "a - b - c"),
        (-(a**2.0), "-a ** 2.0"),
        ((-a) ** 2.0, "(-a) ** 2.0"),
        (a ** -b, "a ** -b"),
        (Real(-0.5) ** b, "(-0.5) ** b"),
        (a - Real(-0.5), "a - -0.5"),
        (choose(a > 0.0, a, 0.0) + b, "(a if a > 0.0 else 0.0) + b"),
        (choose(equal(a, b), a, choose(a < b, b, c)), "a if a == b else b if a < b else c"),
        (choose(choose(a < b, a > c, b > c), a, b), "a if (a > c if a < b else b > c) else b"),
        (both(either(a < b, differs(a, a)), negation(b < c)), "(a < b or a != a) and not b < c"),
        (call("min", a + 1, b), "min(a + 1, b)"),
        (ArrayView(a, (b,), "float64"), "view(a, (b,), np.float64)"),
        (Index(ArrayView(a, (b, c), "real"), (Integer(0), b)), "view(a, (b, c), real)[0, b]"),
        (Real(math.inf), "1e400"),
        (Real(-math.inf) * a, "-1e400 * a"),
        (a * Real(math.nan), "a * (1e400 - 1e400)"),
    ],
    ids=str,
)  # fmt: skip
def test_an_expression_is_printed_with_the_parentheses_that_it_needs(tree, text):
    assert printer.expression(tree) == text
    assert ast.dump(ast.parse(text)) == ast.dump(ast.parse(f"({text})"))


@pytest.mark.parametrize(
    "text",
    [
        "a if a > b or a != a else b",
        "-a // b % c << 2",
        "((a >> 7 & 255) ^ b) | c",
        "a[b, c + 1] * np.float64(a) + real(b)",
        "view(a, (b,), np.uint8)[0]",
        "partial_sums(1024, real)",
        "not (a and b)",
        "exp(-a) / (1.0 + exp(-a))",
        "(-1e400)",
    ],
)
def test_parsing_and_printing_gives_the_same_python(text):
    printed = printer.expression(expression(text))
    assert ast.dump(ast.parse(printed)) == ast.dump(ast.parse(text))


def test_names_are_replaced_by_trees_when_a_text_is_parsed():
    assert expression("a * a", a=b + 1) == Binary("*", b + 1, b + 1)


def test_parts_of_a_tree_are_replaced():
    changed = replaced(choose(a < b, -a, a), lambda part: c if part == a else None)
    assert changed == choose(c < b, Unary("-", c), c)


def test_the_value_of_an_expression_is_not_known():
    with pytest.raises(TypeError, match="choose"):
        bool(a < b)


def test_a_loop_without_statements_is_not_printed():
    for body in ((), (For("j", Integer(0), b, Integer(1), ()),)):
        with pytest.raises(AssertionError, match="without statements"):
            printer.function(Function("f", (), (For("i", Integer(0), a, Integer(1), body),)))
