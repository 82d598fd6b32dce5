"""Sentences of doc comments that the compiler reads: a word of the user's own gets what the
library's get."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from specc import driver
from specc.frontend.lint.reaches import reaches
from specc.frontend.primitives import PRIMITIVES
from specc.frontend.program.uses import words_of
from specc.frontend.syntax.parse import parse
from specc.frontend.words import library
from specc.frontend.words.facts import SENTENCES, Facts, facts, facts_of, without_example
from specc.source import Source

PAGE = Path(__file__).parents[3] / "docs" / "doc-comments.md"
HEAD = "model m {\n  input  x: float[8]\n  target label: class(4)\n  target t: float[4]\n"
RESULTS = "  output y\n  metric t_mean = mean(t)\n"


def warned(text: str, folder: Path | None = None) -> list[str]:
    """The warnings of a program without errors."""
    name = str(folder / "a.dl") if folder is not None else "a.dl"
    _, found = driver.check(Source(name, text))
    assert all(each.severity == "warning" for each in found), [str(each) for each in found]
    return [f"{each.name}: {each.message}" for each in found]


@pytest.mark.parametrize(
    ("doc", "name", "value"),
    [
        ("Higher is\nbetter.", "is_max", True),
        ("lower is better", "is_max", False),
        ("Takes raw scores, not the result of `a`, `b` or `c`.", "not_after", ("a", "b", "c")),
        ("Linear in its input.", "is_linear", True),
        ("Its values are from -1.5 to 1e-3.", "results", (-1.5, 1e-3)),
        ("Its values are from 0 up; the rest is text.", "results", (0, math.inf)),
        (
            "Its `p` has values from 0 to 1. Its `q` has values from 0 up.",
            "inputs",
            {"p": (0, 1), "q": (0, math.inf)},
        ),
        ("Compares `y` with `t`.", "compares", ("y", "t")),
        (
            "Learning rates are usually 0.1 to 1, and hardly ever below 1e-3 or above 20.",
            "rates",
            (1e-3, 20, "0.1 to 1"),
        ),
        ("Instead of an `l2` penalty use `adamw`.", "instead", ("l2", "adamw")),
        (
            "Example: `concat(a, b)` of `a: float[8]`, `b: float[4]`.",
            "example",
            (("a: float[8]", "b: float[4]"), ("concat(a, b)",)),
        ),
    ],
)
def test_a_sentence_states_a_fact(doc, name, value):
    assert getattr(facts(f"f(x) = x. {doc} More text."), name) == value


def test_other_sentences_state_nothing():
    assert facts(None) == facts("Takes scores. Values from 0 to 1. Example: x.") == Facts()


def test_the_library_uses_every_sentence_and_the_page_lists_each():
    docs = [library.lookup(name).doc for name in library.words()]
    docs += [each.doc for each in PRIMITIVES.values()]
    shown = [" ".join((doc or "").split()) for doc in docs]
    page = PAGE.read_text(encoding="utf-8")
    for sentence in SENTENCES:
        assert list(sentence.found(sentence.text)), sentence.text
        assert any(list(sentence.found(doc)) for doc in shown), sentence.text
        assert f"| {sentence.text} |" in page


def test_names_in_the_facts_of_the_library_exist():
    known = {*library.words(), *PRIMITIVES}
    for name in library.words():
        stated = facts_of(library.lookup(name))
        names = {each.name.text for each in library.lookup(name).signature.inputs}
        assert set(stated.not_after) <= known
        assert set(stated.instead or ()) <= known
        assert {*(stated.compares or ()), *stated.inputs} <= names


def test_the_program_of_the_page_has_the_warning_that_it_shows():
    (program,) = re.findall(r"```dl\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (line,) = [n for n, each in enumerate(program.split("\n"), 1) if "# warning[" in each]
    _, found = driver.check(Source("a.dl", program))
    assert [(each.name, each.span.line) for each in found] == [("double-softmax", line)]


def test_an_example_is_left_out_of_the_text():
    assert without_example("A sum.\nExample: `a + b` of `a: float`, `b: float`.") == "A sum."


OWN_LOSS = "fn mine(scores: float[n], label: class(n)) = cross_entropy(scores, label)\n"
SOFTMAX_LOSS = (
    HEAD + "  let y = x -> dense(4) -> softmax\n" + RESULTS + "  loss mine(y, label)\n}\n"
)


def test_a_loss_of_the_users_own_states_that_it_takes_raw_scores():
    stated = "## Takes raw scores, not the result of `softmax`.\n" + OWN_LOSS
    assert warned(stated + SOFTMAX_LOSS) == [
        "double-softmax: `mine` takes raw scores (logits), but gets the output of `softmax`"
    ]
    assert warned(OWN_LOSS + SOFTMAX_LOSS) == []
    assert warned(stated.replace("`softmax`", "`sigmoid`") + SOFTMAX_LOSS) == []


def test_a_fact_names_the_words_that_its_own_file_knows(tmp_path):
    softmax = "fn softmax(x: float[n]) = x / sum(x)\n"
    stated = "## Takes raw scores, not the result of `softmax`.\n" + OWN_LOSS
    assert len(warned(stated + softmax + SOFTMAX_LOSS)) == 1
    library_loss = SOFTMAX_LOSS.replace("mine", "cross_entropy")
    assert len(warned(library_loss)) == 1
    assert warned(softmax + library_loss) == []
    (tmp_path / "losses.dl").write_text(stated, encoding="utf-8")
    assert len(warned('use "losses.dl"\n' + SOFTMAX_LOSS, tmp_path)) == 1
    assert warned('use "losses.dl"\n' + softmax + SOFTMAX_LOSS, tmp_path) == []


def test_a_layer_of_the_users_own_states_that_it_is_linear():
    layer = (
        "block scaled(x: float[n]; units: int > 0) {\n  param w: float[units, n] = he\n"
        "  return w @ x\n}\n"
    )
    used = HEAD + "  let y = x -> scaled(6) -> dense(4)\n" + RESULTS
    used += "  loss cross_entropy(y, label)\n}\n"
    (found,) = warned("## Linear in its input.\n" + layer + used)
    assert found.startswith("linear-on-linear: ")
    assert warned(layer + used) == []


def test_an_optimizer_of_the_users_own_states_its_rates_and_what_is_used_for_a_penalty():
    rule = "optimizer signs(w, g; lr: float > 0) {\n  next w = w - lr * sign(g)\n}\n"
    doc = (
        "## Learning rates are usually 0.0001 to 0.001, and hardly ever below 1e-6 or above 0.01.\n"
        "## Instead of an `l2` penalty use `adamw`.\n"
    )
    used = HEAD + "  let y = x -> dense(4)\n" + RESULTS + "  loss cross_entropy(y, label)\n"
    used += "  loss penalty = 0.01 * l2(weights)\n}\ntrain {\n  optimizer signs(lr = 0.1)\n}\n"
    assert sorted(each.split(":")[0] for each in warned(doc + rule + used)) == [
        "penalty-with-adam",
        "unusual-rate",
    ]
    assert warned(rule + used) == []


@pytest.mark.parametrize(
    ("doc", "loss", "expected"),
    [
        ("Compares `y` with `t`.", "mine(y, t)", {"t": (0, 1)}),
        ("Compares `y` with `t`.", "mine(t, y)", {"t": (0, 1)}),
        ("Compares `y` with `t`.", "mine(t=t, y=y)", {"t": (0, 1)}),
        ("Compares `y` with `t`.", "mine(half, t)", {"t": (-0.5, 0.5)}),
        ("Its `t` has values from 0 up.", "mine(y, t)", {"t": (0, math.inf)}),
        ("Its `t` has values from 0 up.", "mine(t, y)", {}),
        ("Compares nothing.", "mine(y, t)", {}),
    ],
)
def test_words_of_the_users_own_state_how_far_they_reach(doc, loss, expected):
    text = (
        f"## {doc}\nfn mine(y: float, t: float) = mean((y - t) ^ 2)\n"
        "## Its values are from -0.5 to 0.5.\nfn half_tanh(x) = tanh(x) / 2\n"
        "model m {\n  input x: float[3]\n  target t: float[3]\n  let y = x -> dense(3) -> sigmoid\n"
        f"  let half = x -> dense(3) -> half_tanh\n  output y\n  loss {loss}\n}}\n"
    )
    file, errors = parse(Source("a.dl", text))
    assert not errors
    found = reaches(file, words_of(file))
    assert {name: (each.low, each.high) for name, each in found.items()} == expected
