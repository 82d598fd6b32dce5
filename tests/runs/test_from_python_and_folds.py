"""A text without `data`, folds with other options, figures as a table, a notebook's display."""

from __future__ import annotations

import csv
import io
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import specc as package

TEXT = """model m {
  input x: float[3]
  target y: class(2)
  let s = x -> dense(2)
  output s
  loss cross_entropy(s, y)
  metric accuracy(s, y)
}
train { optimizer sgd(lr = 0.5) epochs = 2 batch = 20 }
"""
RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3))
Y = (X[:, 0] > 0).astype(int)


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", x=X, y=Y)
    path = tmp_path / "m.dl"
    path.write_text(TEXT.replace("train {", 'train { data npz("a.npz")'))
    return path


def test_a_share_of_a_frame_validates_a_text_without_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.dl").write_text(TEXT)
    for form in (TEXT, "m.dl"):
        run = package.train(form, data={"x": X, "y": Y}, validate=0.2, quiet=True)
        assert all(np.isfinite(run.metrics["val_loss"]))
        assert '"validation": 40' in (run.folder / "run.json").read_text()


def test_one_training_is_asked_for_where_folds_are_many(model, specc):
    for option in ("--dry-run", "--overfit=20"):
        status, _, err = specc("train", model, "folds=4", option)
        assert status == 2 and "cannot be used with `folds = 4`: add fold=1" in err
    status, out, _ = specc("train", model, "folds=4", "fold=2", "--dry-run")
    assert status == 0 and "150 training, 50 validation" in out


def test_figures_are_printed_as_a_table(model, specc):
    assert specc("train", model, "validate=0.75", "-q")[0] == 0
    status, out, _ = specc("eval", "@last", "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(out))
    assert status == 0 and list(row) == ["loss", "accuracy"] and 0 < float(row["accuracy"]) <= 1
    status, out, _ = specc("eval", "@last", "--format", "csv", "--by", "y")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [each["y"] for each in rows] == ["0", "1"]
    assert sum(int(each["examples"]) for each in rows) == 50
    same = [specc("eval", "@last", *each)[1] for each in (["--json"], ["--format", "json"])]
    assert same[0] == same[1] != ""


def test_the_step_of_a_run_is_timed(model, specc):
    assert specc("train", model, "-q")[0] == 0
    status, out, _ = specc("time", "@last")
    assert status == 0 and "us per step, batch 20" in out
    assert specc("time", "@last", "--start")[0] == 2


def test_a_notebook_shows_one_output_that_is_replaced(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    shown: list[str] = []
    fake, inner = ModuleType("IPython"), ModuleType("IPython.display")
    fake.get_ipython = lambda: SimpleNamespace(kernel=object())
    inner.HTML = str

    def display(content, display_id):
        shown.append(content)
        return SimpleNamespace(update=shown.append)

    inner.display = display
    fake.display = inner
    monkeypatch.setitem(sys.modules, "IPython", fake)
    monkeypatch.setitem(sys.modules, "IPython.display", inner)
    package.train(TEXT, data={"x": X, "y": Y}, validate=0.2)
    assert capsys.readouterr().out == ""
    assert "compiling" in shown[1] and len(shown) < 40
    last = shown[-1].splitlines()
    assert last[0].startswith("<pre>compiled in") and last[-1].endswith("*</pre>")
    assert [each.split()[1] for each in last[2:]] == ["1/2", "2/2"]


def test_figures_within_epochs_change_no_step_and_are_written_once(model, specc, tmp_path):
    plain = package.train("m.dl", validate=0.2, epochs=3, batch=10, quiet=True)
    run = package.train("m.dl", validate=0.2, epochs=3, batch=10, validate_every=6, quiet=True)
    last = [package.open(each.folder, which="last") for each in (plain, run)]
    for name, value in last[0].params.items():
        np.testing.assert_array_equal(last[1].params[name], value)
    path = run.folder / "evaluations.csv"
    rows = list(csv.DictReader(path.open()))
    steps = [int(each["step"]) for each in rows]  # an epoch has 16 steps, and is validated anyway
    assert steps == [6, 12, 18, 24, 30, 36, 42]
    assert list(rows[0]) == ["step", "seconds", "val_loss", "val_accuracy"]
    status, _, _ = specc("train", "--resume", run.folder, "epochs=4", "-q")
    steps = [int(each["step"]) for each in csv.DictReader(path.open())]
    assert status == 0 and steps == [6, 12, 18, 24, 30, 36, 42, 54, 60]
    with pytest.raises(package.SpecError, match="`validate_every` needs validation data"):
        package.loads((tmp_path / "m.dl").read_text(), validate_every=5)


def test_lines_of_later_steps_are_dropped_when_a_training_goes_on(tmp_path):
    from specc.runtime.evaluations import EvaluationsFile

    for steps in ([2, 4, 6, 8], [6, 8, 10]):
        file = EvaluationsFile(tmp_path, ("loss",))
        for step in steps:
            file.append(step, 0.5, {"loss": step / len(steps)})
    lines = (tmp_path / "evaluations.csv").read_text().splitlines()
    assert lines[0] == "step,seconds,val_loss"
    assert [each.split(",")[0] for each in lines[1:]] == ["2", "4", "6", "8", "10"]
    assert lines[3].endswith(",2")  # of the second training


def test_groups_are_words_without_spaces_and_not_those_of_other_rows(tmp_path, monkeypatch, specc):
    monkeypatch.chdir(tmp_path)
    lines = [f"{a:.3f},{b:.3f},{c:.3f},{y},{' Ulm' if k % 2 else 'Ulm '}"
             for k, ((a, b, c), y) in enumerate(zip(X, Y, strict=True))]  # fmt: skip
    (tmp_path / "a.csv").write_text("\n".join(["x_1,x_2,x_3,y,city", *lines]))
    (tmp_path / "m.dl").write_text(TEXT.replace("train {", 'train { data csv("a.csv")'))
    assert specc("train", "m.dl", "validate=0.75", "-q")[0] == 0
    assert specc("eval", "@last", "--by", "city", "--format", "csv")[1].count("Ulm,50,") == 1
    assert specc("train", "m.dl", "validate=0.75", "memory=1", "-q")[0] == 0
    status, _, err = specc("eval", "@last", "--by", "city")
    assert status == 2 and "does not record the rows of its validation part" in err
    assert specc("eval", "@last", "--by", "y")[0] == 0
