"""`column NAME = formula`: each function against NumPy, statistics of the training part, errors."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from specc import driver
from specc.recipe import DataCall
from specc.runtime.data import load, open_sizes
from specc.runtime.errors import DataError
from specc.source import Source

RNG = np.random.default_rng(3)
AGE = np.round(RNG.normal(40, 12, 200), 1)
GAPS = RNG.random(200) < 0.2
CITY = RNG.choice(["Ulm", "Bern", "Wien"], 200, p=[0.6, 0.37, 0.03])
SOLD = np.datetime64("2020-02-28T05:00") + RNG.integers(0, 90_000, 200).astype("timedelta64[m]")
FRAME = {
    "age": AGE,
    "gap": np.where(GAPS, np.nan, AGE),
    "city": CITY.tolist(),
    "word": [None if gap else each for gap, each in zip(GAPS, CITY, strict=True)],
    "sold": [str(each) for each in SOLD],
    "odd name": AGE + 1,
    "p1": AGE,
    "p2": AGE * 2,
    "yes": np.where(AGE > 40, "yes", "No").tolist(),
    "vector": np.stack([AGE, AGE**2], axis=1),
    "label": (AGE > 40).astype(int),
}


def program(formulas: str, port: str = "input x: float", more: str = "", sizes=None):
    text = f"""
        dim n
        model m {{
          {port}
          target label: class(2)
          let scores = zeros_of(label)
          output scores
          loss cross_entropy(scores, label)
        }}
        block zeros_of(label: class(2)) {{ param b: float[2] = 0 return b + 0 * onehot(label; 2) }}
        train {{ data csv("a.csv") {formulas} optimizer sgd(lr = 0.1) {more} }}
    """
    text = text.replace("onehot(label; 2)", "one_hot(label)")
    found, diagnostics = driver.check(Source("a.dl", text), sizes or {})
    errors = [each for each in diagnostics if each.severity == "error"]
    assert not errors, errors
    return found


def loaded(formulas, port="input x: float", frame=None, more="", statistics=None):
    made = program(formulas, port, more)
    recipe = replace(made.recipe, data=DataCall("frame", (frame or FRAME,)))
    if made.open_sizes:
        sizes = open_sizes(recipe, made.ports, Path())
        made = program(formulas, port, more, sizes)
        recipe = replace(made.recipe, data=recipe.data)
    return load(recipe, made.ports, Path(), statistics=statistics)


def values(formula, port="input x: float", **more):
    return loaded(f"column x = {formula}", port, **more).training.columns["x"].array


def refused(formula, port="input x: float", frame=None):
    with pytest.raises(DataError) as caught:
        values(formula, port, frame=frame)
    (found,) = caught.value.diagnostics
    return f"{found.message}\n{found.help}", found.span.text


KNOWN = AGE[~GAPS]
FILLED = np.where(GAPS, np.median(KNOWN), AGE)
DAYS = SOLD.astype("datetime64[s]").astype(float) / 86400


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("standardize(age)", (AGE - AGE.mean()) / AGE.std()),
        ("scale(age)", (AGE - AGE.min()) / (AGE.max() - AGE.min())),
        ("scale(age; -1, 3)", -1 + 4 * (AGE - AGE.min()) / (AGE.max() - AGE.min())),
        ("fill(gap; median)", FILLED),
        ("fill(gap)", np.where(GAPS, KNOWN.mean(), AGE)),
        ("fill(gap; 7)", np.where(GAPS, 7, AGE)),
        ("missing(gap)", GAPS),
        ("missing(word)", GAPS),
        ("log(1 + age)", np.log(1 + AGE)),
        ("sqrt(age) * 2 - age / 3 + 1", np.sqrt(AGE) * 2 - AGE / 3 + 1),
        ("age ^ 2 // 7 % 5", AGE**2 // 7 % 5),
        ("-age", -AGE),
        ("if age > 40 and not (city == \"Ulm\") then age else 0",
         np.where((AGE > 40) & (CITY != "Ulm"), AGE, 0)),
        ("clip(age; 30, 50)", np.clip(AGE, 30, 50)),
        ("days(sold)", DAYS),
        ("days(sold) - 18000 -> standardize", (DAYS - DAYS.mean()) / DAYS.std()),
        ("year(sold)", [each.astype(object).year for each in SOLD]),
        ("month(sold)", [each.astype(object).month - 1 for each in SOLD]),
        ("weekday(sold)", [each.astype(object).weekday() for each in SOLD]),
        ("hour(sold)", [each.astype(object).hour for each in SOLD]),
        ("truth(yes)", AGE > 40),
        ("yes + 1", 1.0 + (AGE > 40)),
        ('columns("odd name")', AGE + 1),
        ("round(age) + floor(age) + abs(-age)", np.round(AGE) + np.floor(AGE) + AGE),
        ("gap -> fill(mean) -> scale", None),
    ],
)  # fmt: skip
def test_each_word_of_one_value(formula, expected):
    found = values(formula)
    assert found.shape == (200,)
    if expected is not None:
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("concat(age, standardize(age))", [AGE, (AGE - AGE.mean()) / AGE.std()]),
        ('columns("p*")', [AGE, 2 * AGE]),
        ('columns("p2", "age")', [AGE, 2 * AGE]),
        ("onehot(city)", [CITY == "Bern", CITY == "Ulm", CITY == "Wien"]),
        ("onehot(word; least = 20)", [(CITY == "Bern") & ~GAPS, (CITY == "Ulm") & ~GAPS]),
        ("standardize(vector)", [(v - v.mean()) / v.std() for v in (AGE, AGE**2)]),
        ("vector * 2 + age", [3 * AGE, 2 * AGE**2 + AGE]),
    ],
)
def test_each_word_of_a_vector(formula, expected):
    found = values(formula, f"input x: float[{len(expected)}]")
    np.testing.assert_allclose(found, np.stack(expected, axis=1), rtol=1e-12)


def test_open_sizes_follow_from_formulas():
    made = program("column x = onehot(city)", "input x: float[3]")
    recipe = replace(made.recipe, data=DataCall("frame", (FRAME,)))
    ports = (replace(made.ports[0], shape=("n",)), made.ports[1])
    assert open_sizes(recipe, ports, Path()) == {"n": 3}
    assert values("class(city)", "input x: class(3)").tolist() == [
        ["Bern", "Ulm", "Wien"].index(each) for each in CITY
    ]


def test_classes():
    data = loaded("column x = class(word; unknown = true, least = 20)", "input x: class(3)")
    assert data.vocabularies["x"] == ("<unk>", "Bern", "Ulm")
    known = {"Bern": 1, "Ulm": 2}
    expected = [0 if gap else known.get(each, 0) for gap, each in zip(GAPS, CITY, strict=True)]
    assert data.training.columns["x"].array.tolist() == expected
    found = values("hash(city; 1000)", "input x: class(1000)")
    assert found.tolist() == [zlib.crc32(each.encode()) % 1000 for each in CITY]
    found = values("bucket(age; 4)", "input x: class(4)")
    edges = np.quantile(AGE, [0.25, 0.5, 0.75])
    assert found.tolist() == np.searchsorted(edges, AGE, side="right").tolist()
    assert np.bincount(found).min() > 40
    found = values("weekday(sold)", "input x: class(7)")
    assert found.tolist() == [each.astype(object).weekday() for each in SOLD]
    data = loaded("column x = class(age)", "input x: class(200)")
    assert len(data.vocabularies["x"]) == len(np.unique(AGE))


def test_dates_of_another_form_and_of_frames():
    days = ["31.01.2024", "01.02.2024"]
    frame = {"d": days, "label": [0, 1], "z": ["2024-01-31T23:30:00+01:00", "2024/2/1 7:05"]}
    assert np.diff(values('days(d; "%d.%m.%Y")', frame=frame)).tolist() == [1]
    assert values("hour(z)", frame=frame).tolist() == [22, 7]
    said, span = refused("days(d)", frame=frame)
    assert "the data, row 0, column `d`: `31.01.2024` is not a date" in said and "format" in said
    assert span == "days(d)"
    frame = {"d": np.array(["2024-01-31", "NaT"], "M8[D]"), "label": [0, 1]}
    assert values("fill(days(d); 0)", frame=frame).tolist() == [19753, 0]
    assert values("days(fill(d))", frame=frame).tolist() == [19753, 19753]


def test_symbols_of_texts():
    frame = {"t": ["to be", "or not"], "label": [0, 1]}
    text = """
        seq time = 6
        dim vocab
        model m {
          input words: class(vocab)[<= time]
          target label: class(2)
          let scores = words -> embed(3) -> rnn(2) -> last
          output scores
          loss cross_entropy(scores, label)
        }
        train { data csv("a.csv") column words = symbols(t; level = word) optimizer sgd(lr = 0.1) }
    """
    made, _ = driver.check(Source("a.dl", text))
    recipe = replace(made.recipe, data=DataCall("frame", (frame,)))
    sizes = open_sizes(recipe, made.ports, Path())
    assert sizes == {"vocab": 5, "time": 2} or sizes == {"vocab": 5}
    made, _ = driver.check(Source("a.dl", text), sizes)
    data = load(replace(made.recipe, data=recipe.data), made.ports, Path())
    assert data.vocabularies["words"] == ("<unk>", "be", "not", "or", "to")
    assert data.training.columns["words"].array[:, :2].tolist() == [[4, 1], [3, 2]]


def test_many_columns_at_once():
    data = loaded("column x = rest", "input x: float[n]")
    learned = data.statistics["x"]["rest1"]["columns"]
    assert list(learned) == [name for name in FRAME if name != "label"]
    assert learned["word"]["kind"] == "words" and learned["age"]["kind"] == "numbers"
    found = data.training.columns["x"].array
    assert np.isfinite(found).all()
    own = found[:, 0]
    np.testing.assert_allclose([own.mean(), own.std()], [0, 1], atol=1e-9)
    data = loaded("column y = log(age) column x = concat(fill(numbers), y)", "input x: float[n]")
    names = ["gap", "odd name", "p1", "p2", "vector"]
    assert data.statistics["x"]["numbers1"]["names"] == names
    assert data.training.columns["x"].array.shape == (200, 7)


def test_rest_understands_yes_and_no_and_leaves_out_what_names_the_row():
    frame = {
        "flag": ["True", "FALSE", None, "yes"] * 50,
        "word": ["a", None, "b", "b"] * 50,
        "name": [f"n{i}" for i in range(200)],
        "label": [0, 1] * 100,
    }
    data = loaded("column x = rest", "input x: float[n]", frame)
    learned = data.statistics["x"]["rest1"]["columns"]
    assert learned["flag"]["kind"] == "truth" and set(learned) == {"flag", "word"}
    assert learned["word"]["words"] == ["a", "b"]
    found = data.training.columns["x"].array
    assert found[1].tolist()[1:] == [0, 0] and found[2, 0] == 0 and found[0, 0] == found[3, 0]


def test_statistics_are_those_of_the_training_part_and_serve_for_new_rows():
    formulas = (
        "column gap2 = gap -> fill(median) -> standardize "
        "column x = concat(gap2, onehot(word), scale(age), bucket(age; 3), columns(\"p*\"), rest)"
    )  # fmt: skip
    data = loaded(formulas + " validate split = 0.5", "input x: float[n]")
    rows = data.training.rows
    assert len(rows) == 100
    learned = data.statistics["gap2"]["standardize1"]["mean"]
    filled = np.where(GAPS, np.median(AGE[rows][~GAPS[rows]]), AGE)[rows]
    np.testing.assert_allclose(learned, [filled.mean()])
    kept = json.loads(json.dumps(data.statistics))
    assert kept == data.statistics
    new = {name: list(each)[:7] for name, each in FRAME.items()}
    new = dict(reversed(new.items()))
    made = program(formulas, f"input x: float[{data.training.columns['x'].array.shape[1]}]")
    again = load(made.recipe.whole(DataCall("frame", (new,))), made.ports, Path(), statistics=kept)
    expected = data.training.columns["x"].array[:7]
    assert (again.training.columns["x"].array == expected).all()


@pytest.mark.parametrize(
    ("formula", "said", "at"),
    [
        ("log(age - 100)", "row 0, column `age`: log(..) of", "log(age - 100)"),
        ("1 / (age - age)", "`/` of 1 and 0 is infinite", "1 / (age - age)"),
        ("standardize(city)", f"row 0, column `city`: `{CITY[0]}` is not a number",
         "standardize(city)"),
        ("city + 1", f"row 0, column `city`: `{CITY[0]}` is not a number", "city + 1"),
        ("gap", "the value is missing\n`fill(gap; median)` in a `column` formula", None),
        ("agee", "no column `agee`\ndid you mean `age`?", "agee"),
        ('columns("q*")', "no column `q*`", 'columns("q*")'),
        ("truth(city)", "is neither yes nor no", "truth(city)"),
        ("number(city)", "is not a number with the decimal sign `.`", "number(city)"),
        ("fill(word; mean)", "words have no mean", "fill(word; mean)"),
        ("vector", "holds examples of shape [2], but `x` is float", None),
        ("onehot(city)", "holds examples of shape [3], but `x` is float", None),
        ("concat(age, city)", "`city` holds words, not numbers", "concat(age, city)"),
        ("if age then 1 else 0", "a condition is needed here, not numbers", None),
        ("hour(age)", "`hour` cannot take numbers", "hour(age)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_at_its_formula(formula, said, at):
    message, span = refused(formula)
    assert said in message
    assert at is None or span == at


@pytest.mark.parametrize(
    ("formula", "texts", "expected"),
    [
        ("number(t)", ["1.5", "-2", "+3e2", " .5 "], [1.5, -2, 300, 0.5]),
        ('number(t; decimal = ",")', ["11,6", "-0,25", "3", "\u22127,5"], [11.6, -0.25, 3, -7.5]),
        ('number(t; decimal = ",", thousands = ".")', ["1.234,5 €", "12", "-1.000.000", "0,5"],
         [1234.5, 12, -1e6, 0.5]),
        ('number(t; thousands = ",")', ["$1,200", "12 %", "- 3", "€ 0.5"], [1200, 12, -3, 0.5]),
    ],
)  # fmt: skip
def test_numbers_are_read_with_the_signs_of_any_country(formula, texts, expected):
    found = values(formula, frame={"t": texts, "label": [0, 1, 1, 0]})
    assert found.tolist() == expected


@pytest.mark.parametrize(
    ("text", "settings"),
    [("11,6", ' ; decimal = ","'), ("1.234,50", ' ; decimal = ",", thousands = "."'), ("7 €", "")],
)
def test_a_number_of_another_form_gets_its_remedy(text, settings):
    said, _ = refused("t + 1", frame={"t": [text, "x"], "label": [0, 1]})
    assert f"`number(..{settings.strip()})` reads such numbers" in said


def test_new_words_and_words_of_other_kinds():
    data = loaded("column x = class(city)", "input x: class(3)")
    frame = {"city": ["Ulm", "Rom"], "label": [0, 1]}
    with pytest.raises(DataError) as caught:
        loaded("column x = class(city)", "input x: class(3)", frame, statistics=data.statistics)
    (found,) = caught.value.diagnostics
    assert "row 1, column `city`: `Rom` does not occur in the training part" in found.message
    assert "`unknown = true`" in found.help
    all_gaps = {"gap": [None, None], "label": [0, 1]}
    said, _ = refused("fill(gap)", frame=all_gaps)
    assert "every value of the training part is missing" in said


def test_columns_without_a_formula_understand_yes_and_no():
    data = loaded("", "input yes: bool")
    assert data.training.columns["yes"].array.tolist() == (AGE > 40).tolist()
    data = loaded("", "input yes: float")
    assert data.training.columns["yes"].array.tolist() == (AGE > 40).tolist()
    with pytest.raises(DataError) as caught:
        loaded("", "input city: float")
    assert "`column city = onehot(city)`" in caught.value.diagnostics[0].help
    with pytest.raises(DataError) as caught:
        loaded("", "input gap: float")
    assert "`fill(gap; median)`" in caught.value.diagnostics[0].help
    frame = {"day": np.array(["2024-01-31"], "M8[D]"), "label": [0]}
    with pytest.raises(DataError) as caught:
        loaded("", "input day: float", frame)
    assert "`column day = days(day)`" in caught.value.diagnostics[0].help
