"""After a mistake the parser goes on: each has its message, and what is sound is checked."""

from __future__ import annotations

import random

import pytest

from specc import driver
from specc.source import Source

BROKEN = [  # each breaks one statement, whose name is `#`
    "let # = x -> dense(3",
    "let # = x -> dense(3) ->",
    "let # = * x",
    "let # = x +",
    "let # == x",
    "let # x -> dense(3)",
    "let # = x -> dense 3",
    "let # = x ** 2",
    "let # = (x + 1",
    "let # = x[0",
    "let # = x -> relu)",
    "let # = x -> 3 * relu",
    "let # = if x > 0 then x",
    "let # = f(x, )",
    "let # = x -> dense(units: 3)",
    "let # = x @ , x",
    "lett # = x",
    "let # = 'x'",
    "let # = x $ 2",
    "let = x",
    "let # = 3x",
    "let # = relu x",
    "# = x",
    "layer # dense(3)",
    "param # float[3] = 0",
    "output # = -> relu",
    "loss",
    "metric mean(",
]
UNKNOWN, UNEQUAL = "let # = x -> nothing(3)", "let # = x + (x -> dense(7))"


def lines_with_errors(text: str) -> list[int]:
    _, found = driver.check(Source("x.dl", text))
    return sorted({each.span.line for each in found if each.severity == "error"})


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_statement_has_one_message_of_syntax_and_hides_nothing(broken):
    lines = ["model m {", "input x: float[4]", broken.replace("#", "y"), UNKNOWN.replace("#", "a"),
             "output x", "}", "fn f(x) = z"]  # fmt: skip
    _, found = driver.check(Source("x.dl", "\n".join(lines)))
    errors = [each for each in found if each.severity == "error"]
    assert [each.span.line for each in errors if each.name == "syntax"] == [3]
    assert [each.span.line for each in errors if each.name == "unknown-name"] == [4, 7]


def test_three_mistakes_give_three_messages_and_the_rest_is_checked():
    for seed in range(250):
        chance = random.Random(seed)
        sound = [f"let s{i} = x -> dense({i + 1})" for i in range(9)]
        wrong = chance.sample(BROKEN, 3)
        others = [each.replace("#", f"w{i}") for i, each in enumerate((*wrong, UNKNOWN, UNEQUAL))]
        body = sound + others
        chance.shuffle(body)
        lines = ["dim n = 4", "model m {", "input x: float[n]", *body, "output x", "}"]
        expected = sorted(lines.index(each) + 1 for each in others)
        assert lines_with_errors("\n".join(lines)) == expected, "\n".join(lines)
