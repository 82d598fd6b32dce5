"""The parser continues after an error: each has a message, and the valid rest is checked."""

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
    lines = [
        "model m {",
        "input x: float[4]",
        broken.replace("#", "y"),
        UNKNOWN.replace("#", "a"),
        "output x",
        "}",
        "fn f(x) = z",
    ]
    _, found = driver.check(Source("x.dl", "\n".join(lines)))
    errors = [each for each in found if each.severity == "error"]
    assert [each.span.line for each in errors if each.name == "syntax"] == [3]
    assert [each.span.line for each in errors if each.name == "unknown-name"] == [4, 7]


def test_three_mistakes_give_three_messages_and_the_rest_is_checked():
    for seed in range(120):
        chance = random.Random(seed)
        sound = [f"let s{i} = x -> dense({i + 1})" for i in range(9)]
        wrong = chance.sample(BROKEN, 3)
        others = [each.replace("#", f"w{i}") for i, each in enumerate((*wrong, UNKNOWN, UNEQUAL))]
        body = sound + others
        chance.shuffle(body)
        lines = ["dim n = 4", "model m {", "input x: float[n]", *body, "output x", "}"]
        expected = sorted(lines.index(each) + 1 for each in others)
        assert lines_with_errors("\n".join(lines)) == expected, "\n".join(lines)


CONSEQUENCES = {  # a mistake -> what it is made of in this program
    "target  label: class(10)": [
        "target label class(10)",
        "target : class(10)",
        ") label: class(10)",
    ],
    "input   image: float[64]": [
        "input image float[64]",
        "input : float[64]",
        "input ) image: float[64]",
    ],
    "let     scores = image -> dense(10)": [
        "let scores = image -> ) dense(10)",
        "let scores image -> dense(10)",
        "let = image -> dense(10)",
        "let scores = image -> dense(10",
    ],
    "data      digits()": ["data = digits()", "data digits(", "data"],
    "optimizer sgd(lr = 0.01)": ["optimizer", "optimizer sgd(lr = )", "optimizer sgd(lr 0.01)"],
    "model m {": ["model {", "modle m {", "model 3 {", "model m模 {"],
    "loss    penalty = 1e-4 * l2(weights)": ["loss penalty = = 1e-4 * l2(weights)"],
    "dim classes = 10": ["dim = 10", "dim 3 = 10", "dim classes = ,"],
}
WHOLE = (
    "dim classes = 10\nmodel m {\n  input   image: float[64]\n  target  label: class(10)\n"
    "  let     scores = image -> dense(10)\n  let spread = scores * classes\n  output  spread\n"
    "  loss    cross_entropy(scores, label)\n  loss    penalty = 1e-4 * l2(weights)\n}\ntrain {\n"
    "  data      digits()\n  validate  split = 0.9\n  optimizer sgd(lr = 0.01)\n}\n"
)


@pytest.mark.parametrize(
    ("part", "wrong"), [(part, each) for part, all_ in CONSEQUENCES.items() for each in all_]
)
def test_nothing_that_only_follows_from_a_mistake_of_syntax_is_told(part, wrong):
    assert driver.check(Source("x.dl", WHOLE))[1] == [] and part in WHOLE
    _, found = driver.check(Source("x.dl", WHOLE.replace(part, wrong)))
    assert {each.name for each in found} == {"syntax"}, [str(each) for each in found]
