"""`specc predict`: a line for each row of the input, and the values that training saw."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from specc import driver
from specc.cli.main import status_of
from specc.cli.session import run_program
from specc.runtime.checkpoint import restore
from specc.runtime.run import open_run

ROOT = Path(__file__).resolve().parents[2]
MODEL = """dim n
model houses {
  input  x: float[n]
  target price: float
  let p = x -> dense(2)
  let y = p[0]
  output y
  output both = p
  loss   mse(y, price)
}
train {
  data      csv("houses.csv"; x = "a, b", missing = "drop")
  validate  csv("others.csv"; x = "a, b", missing = "drop")
  optimizer sgd(lr = 0.01)
  epochs = 1
  batch = 2
}
"""


@pytest.fixture
def run(tmp_path, monkeypatch, specc):
    """A run whose data have rows with missing values; what training said of them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "houses.dl").write_text(MODEL)
    (tmp_path / "houses.csv").write_text("a,b,price\n1,2,3\n,2,3\n2,3,?\n3,4,5\n4,5,6\n")
    (tmp_path / "others.csv").write_text("a,b,price\n1,2,3\n1,NA,3\n")
    status, _, err = specc("train", "houses.dl", "--threads", "1", "--quiet")
    assert status == 0, err
    return err


def test_training_says_how_many_rows_it_left_out(run, specc):
    assert run == (
        "`houses.csv`: left out 2 of 5 rows, which have missing values\n"
        "`others.csv`: left out 1 of 2 rows, which has missing values\n"
    )
    assert "`others.csv`: left out 1 of 2 rows" in specc("eval", "runs/houses/1")[2]
    assert (
        "`houses.csv`: left out 2 of 5 rows"
        in specc("train", "--resume", "runs/houses/1", "epochs=2")[2]
    )


def test_each_row_of_the_input_has_a_line_in_the_output(run, specc, tmp_path):
    rows = ["1,2", "nan,2", "", "3,4", "5,", "?,?", "6,7"]  # an empty line is no row
    (tmp_path / "in.csv").write_text("a,b\n" + "\n".join(rows) + "\n")
    status, out, err = specc("predict", "runs/houses/1", "in.csv", "-o", "out.csv")
    assert status == 0 and "of 3 examples to out.csv" in out
    assert err == "`in.csv`: 3 of 6 rows have missing values, so nothing is predicted for them\n"
    with open(tmp_path / "out.csv", newline="") as file:
        found = list(csv.reader(file))
    assert found[0] == ["y", "both_1", "both_2"] and len(found) == 1 + 6
    assert [all(row) for row in found[1:]] == [True, False, True, False, False, True]
    assert [row for row in found[1:] if not all(row)] == [["", "", ""]] * 3
    assert specc("predict", "runs/houses/1", "in.csv", "-o", "out.npz")[0] == 0
    arrays = np.load(tmp_path / "out.npz")
    assert arrays["both"].shape == (6, 2) and np.isnan(arrays["y"]).tolist() == [
        False,
        True,
        False,
        True,
        True,
        False,
    ]
    # what is predicted is what a table of these rows alone gives
    (tmp_path / "in.csv").write_text("a,b\n1,2\n3,4\n6,7\n")
    assert specc("predict", "runs/houses/1", "in.csv", "-o", "whole.csv")[2] == ""
    assert (tmp_path / "whole.csv").read_text().splitlines()[1:] == [
        ",".join(row) for row in found[1:] if all(row)
    ]


def test_images_are_scaled_as_the_digits_of_training_were(specc, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.dl").write_text("""model tiny {
        input image: float[64] target label: class(10)
        let scores = image -> dense(10) output scores loss cross_entropy(scores, label) }
        train { data digits() optimizer sgd(lr = 0.1) epochs = 1 }""")
    assert specc("train", "tiny.dl", "--threads", "1", "--quiet")[0] == 0
    images = np.load(ROOT / "specc" / "data" / "digits.npz")["image"].reshape(-1, 64)[:50]
    np.save(tmp_path / "images.npy", images)
    assert specc("predict", "runs/tiny/1", "images.npy", "-o", "out.npz")[0] == 0
    opened = open_run(Path("runs/tiny/1"))
    net = driver.compile(run_program(opened, {}), threads=1)
    restore(opened.best, net)
    scores = images / 16 @ net.params["dense1.weight"].T + net.params["dense1.bias"]
    np.testing.assert_allclose(
        np.load(tmp_path / "out.npz")["scores"], scores, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("ending", ["csv", "npz"])
def test_an_input_of_which_nothing_is_left_gives_empty_lines(run, specc, ending):
    Path("new.csv").write_text("a,b\n,2\n3,?\n,\n")
    status, out, err = specc("predict", "runs/houses/1", "new.csv", "-o", f"out.{ending}")
    assert status == 0 and "wrote y, both of 0 examples" in out
    assert "3 of 3 rows have missing values" in err
    if ending == "csv":
        assert Path("out.csv").read_text().splitlines() == ["y,both_1,both_2", ",,", ",,", ",,"]
        return
    with np.load("out.npz") as found:
        assert found["y"].shape == (3,) and found["both"].shape == (3, 2)
        assert np.isnan(found["y"]).all()


FLOWERS = """model flowers {
  input  x: float[2]
  target kind: class(3)
  target big: bool
  let scores = x -> dense(3)
  let size = x -> dense(1) -> flatten
  let largeness = size[0]
  output scores
  output largeness
  loss cross_entropy(scores, kind)
  loss binary_cross_entropy(largeness, big)
}
train {
  data csv("flowers.csv"; x = "a, b", missing = "drop")
  optimizer sgd(lr = 0.1)
  epochs = 2
  batch = 4
}
"""


@pytest.fixture(scope="module")
def flowers(tmp_path_factory):
    """A folder with a run that tells three kinds of flowers, and large ones, apart."""
    folder = tmp_path_factory.mktemp("flowers")
    (folder / "flowers.dl").write_text(FLOWERS)
    rows = "1,2,rose,no\n3,1,aster,yes\n0,0,tulip,no\n"
    (folder / "flowers.csv").write_text("a,b,kind,big\n" + rows * 6)
    (folder / "new.csv").write_text("id,b,a\nx1,2,1\n,0.5,3\nz 3,,1\n")
    assert (
        status_of(["train", str(folder / "flowers.dl"), "--run", str(folder / "runs"), "-q"]) == 0
    )
    return folder


HEADER = [
    "kind", "kind_aster", "kind_rose", "kind_tulip", "big", "big_true",
    "scores_1", "scores_2", "scores_3", "largeness",
]  # fmt: skip


def test_a_table_of_predictions_has_names_probabilities_and_copied_columns(
    flowers, specc, monkeypatch
):
    monkeypatch.chdir(flowers)
    status, out, err = specc("predict", "flowers", "new.csv", "-o", "out.csv", "--keep", "id, b")
    assert status == 0 and out == "wrote scores, largeness of 2 examples to out.csv\n"
    assert "1 of 3 rows have missing values" in err
    with open("out.csv", newline="") as file:
        header, *lines = csv.reader(file)
    assert header == ["id", "b", *HEADER]
    assert [line[:2] for line in lines] == [["x1", "2"], ["", "0.5"], ["z 3", ""]]
    assert set(lines[2][2:]) == {""}
    for line in lines[:2]:
        row = dict(zip(header, line, strict=True))
        scores = np.array([float(row[f"scores_{k}"]) for k in (1, 2, 3)])
        chances = np.exp(scores) / np.exp(scores).sum()
        kinds = ("aster", "rose", "tulip")
        assert row["kind"] == kinds[scores.argmax()]
        assert [float(row[f"kind_{kind}"]) for kind in kinds] == pytest.approx(chances, rel=1e-5)
        chance = 1 / (1 + np.exp(-float(row["largeness"])))
        assert float(row["big_true"]) == pytest.approx(chance, rel=1e-5)
        assert row["big"] == ("true" if chance > 0.5 else "false")


def test_predictions_go_through_pipes(flowers, monkeypatch, capfdbinary):
    monkeypatch.chdir(flowers)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"b,a\n2,1\n")))
    assert status_of(["predict", "@last", "-"]) == 0
    printed = capfdbinary.readouterr()
    lines = printed.out.decode().splitlines()
    assert lines[0].split(",") == HEADER and len(lines) == 2 and not printed.err
    assert status_of(["predict", "@last", "new.csv", "-o", "-", "--format", "npz"]) == 0
    found = np.load(io.BytesIO(capfdbinary.readouterr().out))
    assert found["kind"].tolist()[2] == "" and found["scores"].shape == (3, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["new.csv", "--keep", "ib"], "has no column `ib` to keep; it has id, b, a"),
        (["new.csv", "-o", "out.txt"], "use a name that ends in .npz or .csv"),
        (["flowers.dl"], "is not .npz, .npy, .csv or IDX"),
    ],
)
def test_wrong_usage_of_predict_is_explained(flowers, specc, monkeypatch, arguments, message):
    monkeypatch.chdir(flowers)
    status, out, err = specc("predict", "flowers/1", *arguments)
    assert (status, out) == (2, "") and message in err
