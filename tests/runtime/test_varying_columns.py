"""Sequences of numbers of varying length: lists of unequal length, and arrays that end with NaN."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sources import recipe, refusal

import specc
from specc.recipe import Port
from specc.runtime.data import load, open_sizes

X = Port("x", "input", "float", (4, 2), sequence="time")
LENGTH = Port("x.length", "input", "class", (), 5, length_of="x")
TAGS = Port("tags", "target", "class", (4,), 3, sequence="time")
Y = Port("y", "target", "class", (), 2)
SERIES = ([[1.0, 2.0], [3.0, 4.5]], [[5.0, 6.0]], [[7.0, 8.0], [0.0, 0.0], [9.0, 1.0]])


def lines(folder, *series, **others):
    rows = [
        {"x": each, "y": k % 2, **{name: values[k] for name, values in others.items()}}
        for k, each in enumerate(series)
    ]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return "a.jsonl"


def padded(steps, value):
    found = np.full((len(SERIES), steps, 2), value)
    for row, each in zip(found, SERIES, strict=True):
        row[: len(each)] = each
    return found


def check(columns):
    assert columns["x"].array.tolist() == padded(4, 0.0).tolist()
    assert columns["x.length"].array.tolist() == [2, 1, 3]


def test_lists_of_unequal_length_are_padded_and_their_steps_counted(tmp_path):
    data = load(recipe("jsonl", lines(tmp_path, *SERIES)), (X, LENGTH, Y), tmp_path)
    check(data.training.columns)


@pytest.mark.parametrize("steps", [3, 4, 6])
def test_steps_of_nan_alone_are_past_the_end(tmp_path, steps):
    np.savez(tmp_path / "a.npz", x=padded(steps, np.nan), y=[0, 1, 0])
    data = load(recipe("npz", "a.npz"), (X, LENGTH, Y), tmp_path)
    check(data.training.columns)


def test_a_line_without_a_value_is_left_out_and_not_the_short_ones(tmp_path):
    call = recipe("jsonl", lines(tmp_path, *SERIES), missing="drop")
    check(load(call, (X, LENGTH, Y), tmp_path).training.columns)


def test_targets_of_each_step_are_as_long(tmp_path):
    tags = [[2, 1], [0], [1, 1, 2]]
    call = recipe("jsonl", lines(tmp_path, *SERIES, tags=tags))
    columns = load(call, (X, LENGTH, TAGS), tmp_path).training.columns
    assert columns["tags"].array.tolist() == [[2, 1, 0, 0], [0, 0, 0, 0], [1, 1, 2, 0]]
    tags[1] = [0, 1]
    lines(tmp_path, *SERIES, tags=tags)
    said = refusal(tmp_path, (X, LENGTH, TAGS), "jsonl", "a.jsonl")
    assert "line 2, column `tags`: `tags` has 2 steps there, but `x` has 1" in said


def test_an_open_length_is_that_of_the_longest(tmp_path):
    port = Port("x", "input", "float", ("time", 2), sequence="time")
    call = recipe("jsonl", lines(tmp_path, *SERIES))
    assert open_sizes(call, (port, Y), tmp_path) == {"time": 3}


def test_what_is_wrong_with_a_series_is_said(tmp_path):
    def said(*series, ports=(X, LENGTH, Y)):
        return refusal(tmp_path, ports, "jsonl", lines(tmp_path, *series))

    long = [[1.0, 2.0]] * 5
    assert "line 2, column `x`: 5 steps, but `x` has at most 4" in said(SERIES[0], long)
    assert "`seq time = 5` holds the longest" in said(SERIES[0], long)
    assert "line 2, column `x`: `x` has 0 steps there" in said(SERIES[0], [])
    whole = [[1.0, 2.0]] * 4
    assert "line 1, column `x`: 2 steps, but `x` has 4" in said(SERIES[0], whole, ports=(X, Y))
    inner = [[1.0, float("nan")], [1.0, 2.0]]
    assert "line 1, column `x`: `nan` is not a finite number" in said(inner, SERIES[1])
    assert "differ in length, and are not lists" in said([[1.0], [1.0, 2.0]], SERIES[0])


MODEL = """
seq time = 4
model m {
  input x: float[<= time, 2]
  target y: class(2)
  let s = x -> gru(3) -> last -> dense(2)
  output s
  loss cross_entropy(s, y)
}
train { optimizer adam(lr = 0.01) batch = 3 epochs = 2 clip_norm = 1 }
"""


def test_python_gives_lists_arrays_or_records_and_each_says_the_same():
    arrays = [np.array(each) for each in SERIES]
    objects = np.empty(3, object)
    objects[:] = arrays
    given = [
        {"x": list(SERIES), "y": [0, 1, 0]},
        {"x": objects, "y": [0, 1, 0]},
        {"x": padded(5, np.nan), "y": [0, 1, 0]},
        [{"x": each, "y": k % 2} for k, each in enumerate(SERIES)],
    ]
    net = specc.compile(specc.loads(MODEL), batch=3)
    wanted = net.forward(x=arrays)["s"]
    for each in given:
        found = net.evaluate(each)
        assert found == net.evaluate(given[0])
        answers = net.predict({"x": each["x"]} if isinstance(each, dict) else each)
        odds = np.exp(wanted[:, 1] - wanted[:, 0])
        assert answers["y_1"] / answers["y_0"] == pytest.approx(odds, rel=1e-5)


def test_the_help_for_a_gap_names_its_column(tmp_path):
    (tmp_path / "gaps.csv").write_text("age,calls,y\n31,1,0\n40,,1\n")
    text = """dim n model m { input x: float[n] target y: class(2) let s = x -> dense(2) output s
        loss cross_entropy(s, y) }
        train { data csv("gaps.csv") column x = concat(age, calls) optimizer adam(lr = 0.01) }"""
    (tmp_path / "m.dl").write_text(text)
    with pytest.raises(specc.SpecError, match=r"`fill\(calls; median\)`"):
        specc.train(tmp_path / "m.dl", quiet=True)


def csv(folder, *rows, head="x_1,x_2,x_3,x_4,x_5,x_6,y"):
    (folder / "a.csv").write_text("\n".join([head, *rows]) + "\n")
    return "a.csv"


ROWS = ("1,2,3,4.5,,,0", "5,6,,,,,1", "7,8,0,0,9,1,0")


def test_numbered_columns_whose_last_cells_are_empty_are_a_sequence(tmp_path):
    columns = load(recipe("csv", csv(tmp_path, *ROWS)), (X, LENGTH, Y), tmp_path).training.columns
    check(columns)
    whole = load(recipe("csv", csv(tmp_path, ROWS[2], ROWS[2])), (X, LENGTH, Y), tmp_path)
    assert whole.training.columns["x.length"].array.tolist() == [3, 3]
    port = Port("x", "input", "float", ("time", 2), sequence="time")
    csv(tmp_path, *ROWS)
    assert open_sizes(recipe("csv", "a.csv"), (port, LENGTH, Y), tmp_path) == {"time": 3}


def test_rows_without_a_sequence_are_left_out_and_not_the_short_ones(tmp_path):
    call = recipe("csv", csv(tmp_path, *ROWS[:2], ",,,,,,1", ROWS[2]), missing="drop")
    check(load(call, (X, LENGTH, Y), tmp_path).training.columns)
    call = recipe("csv", csv(tmp_path, *ROWS, "1,2,3,,,,1"), missing="drop")
    with pytest.raises(specc.SpecError, match="line 5, column `x_4`: the value is missing"):
        load(call, (X, LENGTH, Y), tmp_path)


@pytest.mark.parametrize("kind", ["numbers", "words"])
def test_numbered_columns_of_classes_are_a_sequence(tmp_path, kind):
    x = Port("x", "input", "class", ("time",), "n", sequence="time")
    names = "012" if kind == "numbers" else ("a", "b", "c")
    cells = [[names[each] for each in row] for row in ([2, 1], [0], [1, 1, 2])]
    rows = [",".join([*each, *[""] * (3 - len(each)), "1"]) for each in cells]
    call = recipe("csv", csv(tmp_path, *rows, head="x_1,x_2,x_3,y"))
    lengths = Port("x.length", "input", "class", (), 5, length_of="x")
    first = int(kind == "words")  # words, as those of texts, begin with the unknown one
    assert open_sizes(call, (x, lengths, Y), tmp_path) == {"time": 3, "n": 3 + first}
    x = Port("x", "input", "class", (3,), 3 + first, sequence="time")
    columns = load(call, (x, lengths, Y), tmp_path).training.columns
    wanted = [[2, 1], [0], [1, 1, 2]]
    rows = zip(columns["x"].array.tolist(), wanted, strict=True)
    assert all(row[: len(own)] == [each + first for each in own] for row, own in rows)
    assert columns["x.length"].array.tolist() == [2, 1, 3]


def test_lists_of_classes_tell_how_many_there_are(tmp_path):
    tags = Port("tags", "target", "class", ("time",), "n", sequence="time")
    call = recipe("jsonl", lines(tmp_path, *SERIES, tags=[[2, 1], [0], [1, 1, 2]]))
    sizes = open_sizes(call, (X, LENGTH, tags), tmp_path)
    assert sizes == {"time": 3, "n": 3}


def test_what_is_wrong_with_numbered_columns_of_a_sequence_is_said(tmp_path):
    def said(*rows, head="x_1,x_2,x_3,x_4,x_5,x_6,y"):
        return refusal(tmp_path, (X, LENGTH, Y), "csv", csv(tmp_path, *rows, head=head))

    assert "line 3, column `x_3`: the value is missing" in said(ROWS[0], "1,2,,,3,4,0")
    assert "only whole steps at the end of a sequence may be left out" in said("1,2,3,,,,0")
    assert "line 2, column `x_2`: `b` is not a number" in said("1,b,3,4,,,0")
    assert "needs 2 columns for each step, but `a.csv` has 3" in said("1,2,3,0", head="x1,x2,x3,y")
    assert "line 3, column `x_1`: `x` has 0 steps there" in said(ROWS[0], ",,,,,,1")


def test_a_table_of_sequences_trains_and_is_predicted_in_pieces_too(tmp_path, specc):
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(200):
        steps = int(rng.integers(1, 5))
        values = rng.normal(size=steps)
        cells = [f"{each:.3f}" for each in values] + [""] * (4 - steps)
        rows.append(",".join([*cells, str(int(values.sum() > 0))]))
    csv(tmp_path, *rows, head="x_1,x_2,x_3,x_4,y")
    text = MODEL.replace("float[<= time, 2]", "float[<= time, 1]").replace(
        "train {", 'train { data csv("a.csv") validate split = 0.8 memory = 1'
    )
    for memory in ("", "memory = 1"):
        (tmp_path / "m.dl").write_text(text.replace("memory = 1", memory))
        status, _, err = specc("train", str(tmp_path / "m.dl"), "-q", "--run", str(tmp_path / "r"))
        assert (status, err) == (0, "")
    status, out, err = specc("predict", str(tmp_path / "r/m/1"), str(tmp_path / "a.csv"))
    assert (status, err) == (0, "") and len(out.splitlines()) == 201
