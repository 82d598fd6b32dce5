"""`search(...)`: what is found in a file, what is asked, and the file with values in it."""

from __future__ import annotations

import itertools

import pytest

from specc import driver
from specc.diagnostics import SpecError
from specc.frontend.layout.format import formatted
from specc.frontend.search.decide import corners, decide
from specc.frontend.search.fill import filled, written
from specc.frontend.search.verdict import checked_corners
from specc.frontend.syntax import ast
from specc.frontend.syntax.parse import parse
from specc.source import Source

TEXT = """
dim hidden = 2 * search(4, 8)
const deep = search(true, false)
const layers = if deep then search(2, 3; linear) else 1
model m {
  input  x: float[6]
  target t: float[2]
  let h = x -> layers * (dense(hidden) -> search(relu, tanh))
  let y = h -> dense(2)
  output y
  loss   mse(y, t)
}
train {
  data      csv("a.csv")
  optimizer search(adam(beta1 = search(0.8, 0.9)), momentum(lr = 0.1))
  batch     = search(16, 32)
}
"""


def space_of(text: str, **overrides: str):
    found = driver.space_of(Source("m.dl", text), overrides)
    assert found is not None
    return found


def test_searches_have_the_names_of_what_they_decide():
    names = [each.name for each in space_of(TEXT).searches]
    assert names == ["hidden", "deep", "layers", "h", "optimizer", "adam.beta1", "batch"]


def test_the_corners_are_the_combinations_that_conditions_leave():
    found = list(corners(space_of(TEXT), 1000))
    wanted = []
    product = itertools.product(
        "48", ("true", "false"), (2, 3), ("relu", "tanh"), range(2), ("0.8", "0.9"), ("16", "32")
    )
    for hidden, deep, layers, h, optimizer, beta, batch in product:
        values = {"hidden": hidden, "deep": deep, "h": h, "batch": batch}
        values["optimizer"] = ("adam(beta1 = search(0.8, 0.9))", "momentum(lr = 0.1)")[optimizer]
        values |= {"layers": layers} if deep == "true" else {}
        values |= {"adam.beta1": beta} if not optimizer else {}
        if values not in wanted:
            wanted.append(values)
    assert len(found) == len(wanted) == 2 * (2 + 1) * 2 * (2 + 1) * 2
    assert all(each in wanted for each in found)


def test_with_too_many_corners_every_value_is_tried():
    space = space_of(TEXT)
    found = list(corners(space, 16))
    assert len(found) == 16 == len({str(each) for each in found})
    for search in space.searches:
        assert {each.get(search.name) for each in found} >= set(search.corners)


def test_a_condition_may_depend_on_a_search_that_comes_later():
    text = """
    const width = if wide then search(64, 128) else 8
    const wide = search(true, false)
    model m { input x: float[3] output x -> dense(width) }
    """
    asked = [list(each) for each in corners(space_of(text), 10)]
    assert sorted(asked) == [["wide"], ["wide", "width"], ["wide", "width"]]


def test_a_condition_of_values_of_the_model_does_not_hide_a_search():
    text = """
    model m {
      input x: float[3]
      let s = if x[0] > 0 then search(1.0, 2.0) else 3
      output s * x
    }
    """
    assert [list(each) for each in corners(space_of(text), 10)] == [["s"], ["s"]]


@pytest.mark.parametrize("number", range(0, 72, 7))
def test_the_text_says_what_the_filled_tree_says(number):
    space = space_of(TEXT)
    values = list(corners(space, 1000))[number]
    text = written(space, values)
    assert "search" not in text
    file, diagnostics = parse(Source("m.dl", text))
    assert not diagnostics
    assert ast.alike(filled(space, values), file)


def test_a_tidy_file_stays_tidy():
    tidy = formatted(Source("m.dl", TEXT))
    values = decide(space_of(tidy), lambda search: search.corners[-1])
    text = written(space_of(tidy), values)
    assert formatted(Source("m.dl", text)) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 ^ search(1 + 1, 3)", 4),
        ("search(1 + 2, 3 * 2) * 2", 6),
        ("3 - search(-2.0, 2.0; linear)", 5),
        ("search(-2.0, 2.0; linear) ^ 2", 4),
        ("search((2), 3)  # search(5, 6)", 2),
        ("if true then search(7, 8) else search(9, 10)", 7),
    ],
)
def test_values_are_put_in_with_the_parentheses_they_need(text, value):
    model = "\nmodel m { input x: float[3] param w: float[3] = n output x * w }"
    space = space_of(f"const n = {text}{model}")
    values = decide(space, lambda search: search.corners[0])
    found = written(space, values).split("\n")[0]
    source = Source("m.dl", f"{found.replace('const n', 'const m')}{model.replace('n o', 'm o')}")
    file, _ = parse(source)
    number = file.definitions[0].value
    assert eval(number.span.text.replace("^", "**").replace("if true then 7 else 9", "7")) == value


def test_an_override_takes_the_place_of_a_search():
    space = space_of(TEXT, hidden="5", optimizer="sgd(lr=0.1)", batch="7", deep="false")
    assert [each.name for each in space.searches] == ["layers", "h", "adam.beta1"]
    assert [list(each) for each in corners(space, 10)] == [["h"]] * 2
    values = decide(space, lambda search: search.corners[0])
    program, found = driver.check(
        Source("m.dl", TEXT),
        {"hidden": "5", "optimizer": "sgd(lr=0.1)", "batch": "7", "deep": "false"},
        values,
    )
    assert program is not None, found
    assert program.recipe.batch == 7
    assert {each.type.shape for each in program.parameters} == {(5, 6), (5,), (2, 5), (2,)}


def test_the_corner_that_does_not_check_is_named():
    text = """
    model m {
      input x: float[1, 8, 8]
      target t: float[2]
      let h = x -> conv(search(4, 8), kernel = search(3, 5, 9)) -> relu -> flatten
      let y = h -> dense(2)
      loss mse(y, t)
    }
    train { data csv("a.csv") optimizer sgd(lr = search(0.001, 0.1; log)) }
    """
    verdict = checked_corners(space_of(text))
    (error,) = (each for each in verdict.diagnostics if each.severity == "error")
    assert error.name == "window-does-not-fit"
    assert error.notes[-1] == "with kernel = 9"
    assert verdict.checked == 2 * 3 * 2 and verdict.is_whole
    assert verdict.good is not None and verdict.good["kernel"] == "3"


def test_other_commands_need_values():
    with pytest.raises(SpecError) as caught:
        driver.load(Source("m.dl", TEXT))
    assert {each.name for each in caught.value.diagnostics} == {"open-search"}


def test_a_file_whose_words_are_its_own_has_no_search():
    assert driver.space_of(Source("m.dl", "model search_me { input x: float[2] output x }")) is None
