"""The check of the data before training: samples of large files, and messages about them."""

from __future__ import annotations

import gzip
import struct
from dataclasses import replace

import numpy as np
import pytest
from sources import recipe

from specc.recipe import DataCall, Port
from specc.runtime.data import survey as surveying
from specc.runtime.data.survey import sizes, survey
from specc.source import Source, Span

SPAN = Span(Source("a.dl", "input x"), 0, 7)
X = Port("x", "input", "float", (2,), span=SPAN)
Y = Port("y", "target", "class", (), 3, span=SPAN)
TEXT = Port("text", "input", "class", (5,), 30, SPAN, "time")


@pytest.fixture(autouse=True)
def small_sample(monkeypatch):
    monkeypatch.setattr(surveying, "SAMPLE", 400)


def told(folder, ports, word, *arguments, validate=None, open_ports=(), **settings):
    made = replace(recipe(word, *arguments, **settings), validate=validate, batch=2)
    return [each.message for each in survey(made, ports, folder, open_ports)[0]]


def table(folder, name, rows):
    lines = [f"{i},{i + 1},{label}" for i, label in enumerate(rows)]
    (folder / name).write_text("\n".join(["x_1,x_2,y", *lines]) + "\n")


def test_of_a_long_table_the_beginning_is_read(tmp_path):
    table(tmp_path, "a.csv", [0, 1, 2] * 100)
    assert told(tmp_path, (X, Y), "csv", "a.csv") == []
    table(tmp_path, "a.csv", [0, 1, 7] + [0, 1, 2] * 100)
    (message,) = told(tmp_path, (X, Y), "csv", "a.csv")
    assert message.startswith("`a.csv`, line 4, column `y`: `7` is out of range")
    table(tmp_path, "a.csv", [0, 1, 2] * 100 + [7])
    assert told(tmp_path, (X, Y), "csv", "a.csv") == []  # it lies behind the sample
    content = (
        (tmp_path / "a.csv").read_bytes().replace(b",7\n", b",2\n").replace(b"1,2,1\n", b"1,2,9\n")
    )
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(content))
    (message,) = told(tmp_path, (X, Y), "csv", "b.csv.gz")
    assert "line 3, column `y`: `9` is out of range" in message


def test_a_sample_of_a_table_ends_outside_of_quotes(tmp_path):
    rows = ['0,1,2,"a, ""b""\nc\nd"' for _ in range(60)]
    (tmp_path / "a.csv").write_text("\n".join(["x_1,x_2,y,z", *rows]))
    for size in range(300, 340):
        surveying.SAMPLE = size
        assert told(tmp_path, (X, Y), "csv", "a.csv") == []


def test_a_table_whose_first_line_is_longer_than_the_sample_is_read_as_a_whole(tmp_path):
    wide = replace(X, shape=(300,))
    names = ",".join(f"x_{i}" for i in range(300))
    (tmp_path / "a.csv").write_text(f"{names},y\n" + ("1," * 300 + "4\n") * 3)
    (message,) = told(tmp_path, (wide, Y), "csv", "a.csv")
    assert "line 2, column `y`: `4`" in message


def test_lines_left_out_are_no_sample(tmp_path):
    rows = [",1,0"] * 200 + ["1,2,3"]
    (tmp_path / "a.csv").write_text("\n".join(["x_1,x_2,y", *rows]))
    (message,) = told(tmp_path, (X, Y), "csv", "a.csv", missing="drop")
    assert "line 202, column `y`: `3` is out of range" in message


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_of_arrays_the_header_and_the_first_rows_are_read(tmp_path, save):
    x, y = np.zeros((500, 2), np.float32), np.arange(500) % 3
    save(tmp_path / "a.npz", x=x, y=y)
    assert told(tmp_path, (X, Y), "npz", "a.npz") == []
    y[5], x[3, 1] = 3, np.nan
    save(tmp_path / "a.npz", x=x, y=y)
    first, second = told(tmp_path, (X, Y), "npz", "a.npz")
    assert first.startswith("`a.npz`, array `x`, row 4, value [2]: `nan` is not a finite number")
    assert second.startswith("`a.npz`, array `y`, row 6: `3` is out of range")
    save(tmp_path / "a.npz", x=np.zeros((500, 3), np.float32), y=y[:-1])
    assert told(tmp_path, (X, Y), "npz", "a.npz") == [
        "the array `x` of `a.npz` has 500 examples, but the array `y` of `a.npz` has 499"
    ]


def test_arrays_by_columns_are_known_by_their_headers(tmp_path):
    x = np.asfortranarray(np.full((500, 3), np.nan))
    np.savez(tmp_path / "a.npz", x=x, y=np.zeros(500, int))
    (message,) = told(tmp_path, (X, Y), "npz", "a.npz")
    assert "holds examples of shape [3], but `x` is float[2]" in message


def test_an_array_without_a_name_is_sampled(tmp_path):
    np.save(tmp_path / "a.npy", np.full((500, 2), np.inf))
    (message,) = told(tmp_path, (X,), "npz", "a.npy")
    assert "row 1, value [1]: `inf`" in message


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_files_are_sampled(tmp_path, pack):
    def write(name, *sizes_, values):
        header = struct.pack(f">BBBB{len(sizes_)}I", 0, 0, 8, len(sizes_), *sizes_)
        (tmp_path / name).write_bytes(pack(header + values))

    ports = (replace(X, shape=(8, 8)), Y)
    write("images", 300, 8, 8, values=bytes(300 * 64))
    write("labels", 300, values=bytes([0, 1, 2] * 100))
    assert told(tmp_path, ports, "idx", "images", "labels") == []
    write("labels", 299, values=bytes([0, 1, 3] * 100)[:-1])
    (message,) = told(tmp_path, ports, "idx", "images", "labels")
    assert message == "`images` has 300 examples, but `labels` has 299"
    write("labels", 300, values=bytes([0, 1, 3] * 100))
    (message,) = told(tmp_path, ports, "idx", "images", "labels")
    assert message.startswith("`labels`, row 3: `3` is out of range")


def test_words_behind_the_sample_are_not_missed_in_the_validation_part(tmp_path):
    table(tmp_path, "a.csv", ["ant", "bee"] * 100 + ["cat"])
    table(tmp_path, "v.csv", ["cat", "ant"])
    again = DataCall("csv", ("v.csv",), {}, SPAN, (SPAN,))
    assert told(tmp_path, (X, Y), "csv", "a.csv", validate=again) == []
    table(tmp_path, "v.csv", ["cat", "dog"])
    (message,) = told(tmp_path, (X, Y), "csv", "a.csv", validate=again)
    assert message.startswith("`v.csv` holds 4 different words for `y: class(3)`")


def test_texts_behind_the_sample_are_not_missed(tmp_path):
    (tmp_path / "a.txt").write_text("abc\n" * 300)
    (tmp_path / "b.txt").write_text("xyz\n" * 3)
    again = DataCall("text", ("b.txt",), {}, SPAN, (SPAN,))
    assert told(tmp_path, (TEXT,), "text", "a.txt", validate=again) == []
    few = replace(TEXT, classes=3)
    (message,) = told(tmp_path, (few,), "text", "a.txt")
    assert message == "the text has 4 different characters, but `text` is class(3)[5]"


def test_open_sizes_of_a_sample_are_the_least(tmp_path):
    table(tmp_path, "a.csv", [0, 1] * 100 + [2])
    opened = (replace(X, shape=("n",)), replace(Y, classes="k"))
    asked = recipe("csv", "a.csv", x="x_1, x_2")
    assert sizes(asked, opened, tmp_path) == {"n": 2, "k": 2}
    known = (X, replace(Y, classes=2))
    table(tmp_path, "v.csv", [0, 1, 2])
    again = DataCall("csv", ("v.csv",), {}, SPAN, (SPAN,))
    assert told(tmp_path, known, "csv", "a.csv", validate=again, open_ports=["y"]) == []
    assert len(told(tmp_path, known, "csv", "a.csv", validate=again)) == 1


def test_a_batch_is_compared_with_what_the_header_says(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((500, 2)), y=np.arange(500) % 3)
    made = replace(recipe("npz", "a.npz"), validate=0.5)
    assert survey(replace(made, batch=250), (X, Y), tmp_path)[0] == []
    ((found,), _) = survey(replace(made, batch=251), (X, Y), tmp_path)
    assert (found.name, found.severity) == ("large-batch", "warning")
    assert (
        "a batch of 251 is larger than the training data, which has 250 examples" in found.message
    )


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_data_that_is_larger_than_memory_is_doubted(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(surveying, "SAMPLE", 2**19)
    count = 60_000
    if kind == "csv":
        rows = "".join(f"{k % 7}.25,{k % 5}.5,{k % 3}\n" for k in range(count))
        (tmp_path / "a.csv").write_text("x_1,x_2,y\n" + rows)
    else:
        pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        columns = {
            "x_1": np.arange(count) / 3,
            "x_2": np.arange(count) / 7,
            "y": [0, 1, 2] * (count // 3),
        }
        parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet", row_group_size=10_000)
    made = recipe(kind, f"a.{kind}")
    needed = count * (2 * 8 + 4)  # two floats and a class

    def found(there, made=made):
        monkeypatch.setattr(surveying, "machine_memory", lambda: there)
        return [each for each in survey(made, (X, Y), tmp_path)[0] if each.name == "large-data"]

    (warning,) = found(round(0.9 * needed))
    assert warning.severity == "warning" and "`memory = " in warning.help
    assert found(round(1.1 * needed)) == found(None) == []
    assert found(1000, replace(made, memory=100)) == []


def test_series_that_end_in_zeros_are_doubted(tmp_path, monkeypatch):
    monkeypatch.setattr(surveying, "SAMPLE", 2**19)
    series = Port("x", "input", "float", (9, 2), span=SPAN, sequence="time")
    lengths = Port("x.length", "input", "float", (), length_of="x")
    generator = np.random.default_rng(0)

    def found(values, *more):
        np.savez(tmp_path / "a.npz", x=values)
        warnings = survey(recipe("npz", "a.npz"), (series, *more), tmp_path)[0]
        assert not [each for each in warnings if each.severity == "error"]
        return [each for each in warnings if each.name == "padded"]

    whole = generator.normal(size=(60, 9, 2))
    assert found(whole) == []
    ends = generator.integers(3, 10, 60)
    zeros = np.where(np.arange(9)[:, None] < ends[:, None, None], whole, 0)
    for more in ((), (lengths,)):  # also where the length may vary
        (warning,) = found(zeros, *more)
        assert warning.message.startswith(f"{(ends < 9).sum()} of 60 examples of `x` end in zeros")
    assert found(np.where(zeros == 0, np.nan, zeros), lengths) == []
    zeros[5, 1] = 0  # a step in the midst, so zeros are values
    assert found(zeros) == []
    same = whole.copy()
    same[:, 7:] = 0  # all of one length
    assert found(same) == []
    few = whole.copy()
    few[0, 8], few[1, 7:], few[2, 6:] = 0, 0, 0
    assert found(few) == []
