"""Tables: columns by name, words, missing values, and every error with its line."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from mutations import at_most
from sources import X, Y, columns, recipe, refusal, write_csv

from specc.recipe import DataCall, Port
from specc.runtime.data import load
from specc.runtime.data.sources import csv as csv_source
from specc.runtime.data.sources import delimited
from specc.runtime.errors import DataError


def table(folder, text, ports=(X, Y), **settings):
    return columns(folder, ports, "csv", write_csv(folder, text), **settings)


def mistake(folder, text, ports=(X, Y), **settings):
    return refusal(folder, ports, "csv", write_csv(folder, text), **settings)


@pytest.mark.parametrize("names", ["x_1,x_2,y", "x1,x2,y", "x_0,x_1,y"])
def test_numbered_columns_make_an_axis(tmp_path, names):
    found = table(tmp_path, f"{names}\n1,2.5,0\n-3e1,4,2\n")
    assert found["x"].array.tolist() == [[1, 2.5], [-30, 4]]
    assert found["y"].array.tolist() == [0, 2] and found["y"].array.dtype == np.int32


def test_numbered_columns_go_by_their_numbers(tmp_path):
    found = table(tmp_path, "y,x_2,x_1\n0,2,1\n")
    assert found["x"].array.tolist() == [[1, 2]]
    many = ",".join(f"x_{i}" for i in range(12))
    port = Port("x", "input", "float", (3, 4))
    found = table(tmp_path, f"{many}\n{','.join(map(str, range(12)))}\n", (port,))
    assert found["x"].array.tolist() == [np.arange(12).reshape(3, 4).tolist()]


def test_settings_name_columns(tmp_path):
    text = "width,height,kind\n1,2,0\n"
    assert table(tmp_path, text, x="height, width", y="kind")["x"].array.tolist() == [[2, 1]]
    assert table(tmp_path, text, columns="width, height", y="kind")["x"].array.tolist() == [[1, 2]]
    said = mistake(tmp_path, text, x="hight, width", y="kind")
    assert "no column `hight`" in said and "did you mean `height`?" in said


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found_in_the_header(tmp_path, separator):
    text = "x_1,x_2,y\n1,2,0\n".replace(",", separator)
    assert table(tmp_path, text)["x"].array.tolist() == [[1, 2]]
    assert table(tmp_path, text, separator=separator)["y"].array.tolist() == [0]


def test_tables_may_be_quoted_compressed_and_have_blank_lines(tmp_path):
    text = '\ufeff"x_1","x_2","a, b","y"\r\n1,2,"two\r\nlines",0\r\n\r\n3,4,,1\r\n'
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text.encode()))
    assert columns(tmp_path, (X, Y), "csv", "a.csv.gz")["y"].array.tolist() == [0, 1]
    # a line is named by where it stands in the file
    (tmp_path / "a.csv").write_bytes(text.replace("3,4", "3,b").encode())
    assert "`a.csv`, line 5, column `x_2`: `b` is not a number" in refusal(
        tmp_path, (X, Y), "csv", "a.csv"
    )


def test_scale_is_for_inputs_alone(tmp_path):
    ports = (X, Port("y", "target", "float", ()))
    found = table(tmp_path, "x_1,x_2,y\n1,2,3\n", ports, scale=0.5, shift=1.0)
    assert found["x"].values(np.array([0])).tolist() == [[1.5, 2]]
    assert found["y"].values(np.array([0])).tolist() == [3]


def test_words_get_their_places_among_the_sorted_words(tmp_path):
    found = table(tmp_path, "x_1,x_2,y\n1,2,cat\n1,2,ant\n1,2, cat\n1,2,bee\n")
    assert found["y"].array.tolist() == [2, 0, 2, 1]


def test_words_of_the_training_part_alone_are_known(tmp_path):
    write_csv(tmp_path, "x_1,x_2,y\n1,2,cat\n1,2,ant\n", "train.csv")
    write_csv(tmp_path, "x_1,x_2,y\n1,2,cat\n1,2,cats\n", "val.csv")
    with pytest.raises(DataError) as caught:
        load(recipe("csv", "train.csv", validate=DataCall("csv", ("val.csv",))), (X, Y), tmp_path)
    (found,) = caught.value.diagnostics
    assert found.message.startswith(
        "`val.csv`, line 3, column `y`: `cats` does not occur in the training part"
    )
    assert found.help == "did you mean `cat`?"
    write_csv(tmp_path, "x_1,x_2,y\n1,2,cat\n", "val.csv")
    data = load(
        recipe("csv", "train.csv", validate=DataCall("csv", ("val.csv",))), (X, Y), tmp_path
    )
    assert data.vocabularies == {"y": ("ant", "cat")}
    assert data.validation.columns["y"].array.tolist() == [1]
    # the vocabulary of a run serves where the training part is not read
    alone = load(recipe("csv", "nowhere", test=DataCall("csv", ("val.csv",))), (X, Y), tmp_path,
                 parts=("test",), vocabularies={"y": ("ant", "bee", "cat")})  # fmt: skip
    assert alone.parts["test"].columns["y"].array.tolist() == [2]


def test_more_words_than_classes_are_refused(tmp_path):
    lines = "".join(f"1,2,{word}\n" for word in ("a", "b", "c", "d"))
    assert "4 different words for `y: class(3)`" in mistake(tmp_path, f"x_1,x_2,y\n{lines}")


@pytest.mark.parametrize("cell", ["", "NA", "?", "nan", "null", "N/A"])
def test_a_missing_value_is_an_error_a_number_or_leaves_out_its_line(tmp_path, cell):
    text = f"x_1,x_2,y\n1,2,0\n{cell},4,1\n5,6,2\n"
    said = mistake(tmp_path, text)
    assert "line 3, column `x_1`: the value is missing" in said
    assert '`missing = "drop"` leaves out such lines, `missing = 0` puts a number there' in said
    assert table(tmp_path, text, missing=-1)["x"].array.tolist() == [[1, 2], [-1, 4], [5, 6]]
    dropped = table(tmp_path, text, missing="drop")
    assert dropped["x"].array.tolist() == [[1, 2], [5, 6]]
    assert dropped["y"].array.tolist() == [0, 2]


def test_a_missing_class_is_no_number(tmp_path):
    text = "x_1,x_2,y\n1,2,0\n3,4,\n"
    assert "line 3, column `y`: the value is missing" in mistake(tmp_path, text)
    assert "line 3, column `y`: the value is missing" in mistake(tmp_path, text, missing=0)
    assert table(tmp_path, text, missing="drop")["y"].array.tolist() == [0]
    assert '"drop"' in mistake(tmp_path, text, missing="mean")


def test_lines_keep_their_numbers_where_others_are_dropped(tmp_path):
    text = "x_1,x_2,y\n,2,0\n1,2,0\n1,2,7\n"
    assert "`a.csv`, line 4, column `y`: `7` is out of range" in mistake(
        tmp_path, text, missing="drop"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("x_1,x_2,y\n", "there are no examples under the header"),
        ("1,2,3\n4,5,6\n", "there is no header"),
        ("x_1,x_2,y\n1,2,0\n1,2\n", "line 3: there are 2 cells, but the header has 3"),
        ("x_1,x_2,y\n1,abc,0\n", "line 2, column `x_2`: `abc` is not a number"),
        ("x_1;x_2;y\n1;2,5;0\n", "use a point as the decimal sign"),
        ("x_1,x_2,y\n1,inf,0\n", "line 2, column `x_2`: `inf` is not a number"),
        ("x_1,x_2,y\n1,2,3\n", "line 2, column `y`: `3` is out of range"),
        ("x_1,x_2,y\n1,2,-1\n", "line 2, column `y`: `-1` is out of range"),
        ("x_1,x_2,y\n1,2,1.0\n", "line 2, column `y`: `1.0` is not an integer"),
        (
            "x_1,x_2,y\n1,2,a\n1,2,1\n",
            "line 3, column `y`: `1` is not an integer, or is mixed with words",
        ),
        ("x_1,x_2,x_3,y\n1,2,3,0\n", "`x: float[2]` needs 2 columns, but `a.csv` has 3 for it"),
        ("x_1,x_3,y\n1,2,0\n", "has no column `x`, nor `x_1`, `x_2`, .."),
        ("x_1,x_2,Y\n1,2,0\n", "has no column `y`"),
        ("x_1,x_2,y,y\n1,2,0,0\n", "has 2 columns called `y`"),
    ],
)
def test_every_mistake_of_a_table_is_told_at_its_line(tmp_path, text, said):
    assert said in mistake(tmp_path, text)


def test_the_kind_of_a_name_that_differs_in_case_is_offered(tmp_path):
    assert "did you mean `Y`?" in mistake(tmp_path, "x_1,x_2,Y\n1,2,0\n")


def test_text_that_is_not_utf8_is_refused_with_its_line(tmp_path):
    (tmp_path / "a.csv").write_bytes("x_1,x_2,y\n1,2,gr\xfcn\n".encode("latin-1"))
    assert "line 2: this is not UTF-8 text" in refusal(tmp_path, (X, Y), "csv", "a.csv")


def test_bool_columns_take_words_and_numbers(tmp_path):
    port = Port("same", "target", "bool", ())
    found = table(tmp_path, "same\ntrue\n0\nFalse\n1\n", (port,))
    assert found["same"].array.tolist() == [True, False, False, True]
    said = mistake(tmp_path, "same\nyes\nmaybe\n", (port,))
    assert "line 3, column `same`: `maybe` is not true, false, yes, no, 1 or 0" in said


def test_long_tables_are_read_piece_by_piece(tmp_path):
    lines = "".join(f"{i},{2 * i},{i % 3}\n" for i in range(10_000))
    found = table(tmp_path, f"x_1,x_2,y\n{lines}")
    assert (found["x"].array[:, 1] == 2 * np.arange(10_000)).all()
    assert (found["y"].array == np.arange(10_000) % 3).all()
    assert "line 9001, " in mistake(tmp_path, f"x_1,x_2,y\n{lines}".replace("\n8999,", "\nb,"))


def test_whatever_counts_as_space_around_a_number_is_left_out(tmp_path):
    write_csv(tmp_path, "x_1,x_2,y\n 1\x1f,\t2\u2003,\x1e0\n")
    found = columns(tmp_path, (X, Y), "csv", "a.csv")
    assert found["x"].array.tolist() == [[1, 2]] and found["y"].array.tolist() == [0]


@pytest.mark.parametrize("cell", ["1_0", "٣", "１", "1_0.5", "1e1_0"])
def test_a_number_has_plain_digits(tmp_path, cell):
    said = mistake(tmp_path, f"x_1,x_2,y\n1,2,0\n3,{cell},1\n")
    assert f"`a.csv`, line 3, column `x_2`: `{cell}` is not a number" in said
    assert "the digits 0 to 9" in said
    said = mistake(tmp_path, f"x_1,x_2,y\n1,2,0\n3,4,{cell}\n")
    assert f"line 3, column `y`: `{cell}` is not a class" in said


def test_words_with_letters_of_any_language_and_underscores_are_words(tmp_path):
    found = table(tmp_path, "x_1,x_2,y\n1,2,été_1\n3,4,größe\n5,6,naïf\n")
    assert found["y"].array.tolist() == [2, 0, 1]
    text = "x_1,x_2,y,other\n1,2,0,1_0\n"
    assert table(tmp_path, text)["x"].array.tolist() == [[1, 2]]
    assert "no column `x`" in mistake(tmp_path, "x_١,x_٢,y\n1,2,0\n")


def test_a_table_of_forty_thousand_columns_is_read_in_time(tmp_path):
    port = Port("x", "input", "float", (40_000,))
    header = ",".join(f"x_{i}" for i in range(1, 40_001))
    with at_most(60):  # a search of the header for each column took over four minutes
        found = table(tmp_path, f"{header}\n{','.join('7' * 40_000)}\n", (port,))
    assert found["x"].array.tolist() == [[7.0] * 40_000]


def test_separators_within_quotes_do_not_count(tmp_path):
    text = '"a;b;c;d;e;f",x_1,x_2,y\n"1;2",3,4,1\n'
    assert table(tmp_path, text)["x"].array.tolist() == [[3, 4]]


def test_line_breaks_in_the_quotes_of_the_first_column_do_not_cut_a_sample(tmp_path):
    port = Port("word", "target", "class", (), 50)
    lines = "".join(f'"a\nline {i}",{i},2\n' for i in range(50))
    name = write_csv(tmp_path, f"word,x_1,x_2\n{lines}")
    for limit in range(60, 400, 7):
        data = load(recipe("csv", name), (port, X), tmp_path, limit=limit)
        (length,) = {len(each.array) for each in data.training.columns.values()}
        assert data.training.columns["x"].array[:, 0].tolist() == list(range(length))
        assert data.vocabularies["word"] == tuple(sorted(f"a\nline {i}" for i in range(length)))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32"])
def test_integers_of_every_type_are_kept(tmp_path, dtype):
    bounds = np.iinfo(dtype)
    values = [[bounds.max, bounds.max - 1], [0, bounds.min]]
    np.savez(tmp_path / "a.npz", x=np.array(values, dtype))
    assert columns(tmp_path, (X,), "npz", "a.npz")["x"].array.tolist() == values


@pytest.mark.parametrize("kinds", ["floats", "integers", "both", "gaps", "infinite"])
def test_columns_of_a_vector_lie_side_by_side_and_are_those_of_single_lines(
    tmp_path, monkeypatch, kinds
):
    pytest.importorskip("pyarrow")
    rng = np.random.default_rng(0)
    rows = [[f"{a:.3f}", str(b), f"{a * b:.2f}"] for a, b in zip(
        rng.normal(size=300), rng.integers(-9, 9, 300), strict=True)]  # fmt: skip
    if kinds == "integers":
        rows = [[str(7 * row), row_[1], str(-row)] for row, row_ in enumerate(rows)]
    if kinds == "floats":
        rows = [[a, c, a] for a, _, c in rows]
    if kinds == "gaps":
        rows[200][1] = ""
    if kinds == "infinite":
        rows[200][0] = "inf"
    text = "".join(",".join([*row, "0"]) + "\n" for row in [["x_1", "x_2", "x_3"], *rows])
    (tmp_path / "a.csv").write_text(text.replace("x_3,0", "x_3,y", 1))
    ports = [Port("x", "input", "float", (3,)), Port("y", "target", "class", (), 3)]
    settings = {"missing": 5.0} if kinds == "gaps" else {}
    found = []
    for least in (10**9, 0):  # line by line, and with pyarrow
        monkeypatch.setattr(csv_source, "LARGE", least)
        monkeypatch.setattr(delimited, "BLOCK", 500)
        if kinds == "infinite":
            assert "`inf` is not a number" in refusal(tmp_path, ports, "csv", "a.csv")
        else:
            found.append(columns(tmp_path, ports, "csv", "a.csv", **settings)["x"].array)
    if found:
        np.testing.assert_array_equal(*found)
        assert found[1].flags.c_contiguous and found[0].dtype == found[1].dtype == np.float64
