"""Parts that an expression has more than once get a name each."""

from __future__ import annotations

import pytest

from specc.backend.llvm import printer
from specc.target.expressions import Expression, Index, Name, call, choose
from specc.target.sharing import named

x, y = map(Name, "xy")
square = x * x
root = call("sqrt", square + y)


@pytest.mark.parametrize(
    ("tree", "lines"),
    [
        (x, ["x"]),
        (x + x, ["x + x"]),
        (square + 1.0 / (x * x), ["x * x + 1.0 / (x * x)"]),  # two objects
        (square + 1.0 / square, ["v0 = x * x", "v0 + 1.0 / v0"]),
        (
            choose(root > square, root, -root),
            ["v0 = x * x", "v1 = sqrt(v0 + y)", "v1 if v1 > v0 else -v1"],
        ),
        (square, ["x * x"]),
    ],
)
def test_what_an_expression_has_twice_is_computed_once(tree, lines):
    found: list[str] = []

    def let(part: Expression) -> Name:
        found.append(f"v{len(found)} = {printer.expression(part)}")
        return Name(f"v{len(found) - 1}")

    result = printer.expression(named(tree, [x, y], let))
    assert [*found, result] == lines


def test_an_operand_is_read_wherever_it_is_used():
    element = Index(x, (y,))
    tree = choose(element > 0.0, element, -element)
    assert named(tree, [element], lambda part: pytest.fail(f"{part} is an operand")) == tree
