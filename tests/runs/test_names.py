"""Runs are found by their names, listed, compared and cleaned up."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from specc import driver
from specc.cli.main import status_of
from specc.diagnostics import SpecError
from specc.runs.clean import old_runs
from specc.runs.compare import Difference, compare, settings_of
from specc.runs.listener import AsWarnings
from specc.runs.names import folder_of, folders, is_name, name_of
from specc.runtime.lock import Lock
from specc.source import Source

MODEL = """dim hidden = 4
model tiny {
  input  image: float[64]
  target label: class(10)
  let scores = image -> dense(hidden) -> tanh -> dense(10)
  output scores
  loss   cross_entropy(scores, label)
  metric accuracy(scores, label)
}
train {
  data      digits()
  validate  split = 0.8
  optimizer adam(lr = 0.003)
  epochs = 2
}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with the runs tiny/1, tiny/2 (with more units and another rate) and wide/1."""
    folder = tmp_path_factory.mktemp("names")
    (folder / "tiny.dl").write_text(MODEL)
    (folder / "wide.dl").write_text(
        MODEL.replace("tiny", "wide").replace("-> tanh", "-> tanh -> dense(hidden) -> relu")
    )
    before = os.getcwd()
    os.chdir(folder)
    try:
        for arguments in (["tiny.dl"], ["tiny.dl", "hidden=6", "lr=0.02"], ["wide.dl"]):
            assert status_of(["train", *arguments, "-q"]) == 0
    finally:
        os.chdir(before)
    for number, each in enumerate(["tiny/1", "wide/1", "tiny/2"]):
        os.utime(folder / "runs" / each / "run.json", (1e9 + number, 1e9 + number))
    return folder


@pytest.fixture
def work(trained, tmp_path, monkeypatch):
    shutil.copytree(trained / "runs", tmp_path / "runs", copy_function=shutil.copy2)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_has_many_names(work):
    names = {
        name: name_of(folder_of(name))
        for name in ("tiny/1", "runs/tiny/1", "tiny", "runs/wide", "@last", "@best")
    }
    assert names == {
        "tiny/1": "tiny/1", "runs/tiny/1": "tiny/1", "tiny": "tiny/2", "runs/wide": "wide/1",
        "@last": "tiny/2", "@best": "tiny/2",
    }  # fmt: skip
    assert folder_of(work / "runs" / "tiny" / "1") == work / "runs" / "tiny" / "1"
    assert is_name("tiny/1") and is_name("@last") and not is_name("tiny.dl") and not is_name("x")


@pytest.mark.parametrize(
    ("name", "message", "help_"),
    [
        ("tiny/3", "there is no run `tiny/3`", "did you mean `tiny/2`?"),
        ("tinny", "there is no run `tinny`", "did you mean `tiny`?"),
        ("@latest", "unknown run name `@latest`", "use `@last` or `@best`"),
        ("nothing/like", "there is no run `nothing/like`", "the runs in `runs` are"),
    ],
)
def test_an_unknown_name_gets_a_suggestion(work, name, message, help_):
    with pytest.raises(SpecError) as error:
        folder_of(name)
    (found,) = error.value.diagnostics
    assert found.message == message and found.help.startswith(help_)


def test_without_runs_a_name_says_how_to_make_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError) as error:
        folder_of("@last")
    assert "specc train FILE" in error.value.diagnostics[0].help
    assert folders() == []


def test_commands_take_names_of_runs(work, specc):
    status, out, _ = specc("eval", "@best", "--json")
    assert status == 0 and json.loads(out)["run"] == "runs/tiny/2"
    status, out, err = specc("eval", "tinny/2")
    assert (status, out) == (2, "") and "did you mean `tiny/2`?" in err


def test_runs_are_listed_with_their_figures(work, specc):
    status, out, _ = specc("runs")
    lines = out.splitlines()
    assert status == 0
    assert lines[0].split() == [
        "run",
        "status",
        "epochs",
        "best",
        "loss",
        "accuracy",
        "time",
        "spec",
    ]
    assert [line.split()[0] for line in lines[1:4]] == ["tiny/1", "tiny/2", "wide/1"]
    assert lines[-1] == "  tiny/2: hidden=6 lr=0.02"
    assert max(map(len, lines)) <= 80
    records = json.loads(specc("runs", "list", "tiny", "--json")[1])
    assert [each["name"] for each in records] == ["tiny/1", "tiny/2"]
    assert records[0]["spec"] == records[1]["spec"]
    (work / "runs" / "tiny" / "1" / "run.json").write_text("{")
    assert "tiny/1: `runs/tiny/1/run.json` is damaged" in specc("runs")[1]


def test_a_comparison_tells_settings_and_layers_apart(work):
    found = compare(folder_of("tiny/1"), folder_of("tiny/2"), ("a", "b"), AsWarnings())
    assert Difference("lr", None, "0.02") in found.settings
    assert {each.name for each in found.settings} == {"lr", "hidden"}
    assert found.layers[0] == Difference("dense1", "dense(hidden)  [4]", "dense(hidden)  [6]")
    assert found.parameters == (64 * 4 + 4 + 50, 64 * 6 + 6 + 70)
    other = compare(folder_of("tiny/1"), folder_of("wide/1"), ("a", "b"), AsWarnings())
    assert {(each.name, each.kind) for each in other.layers} == {
        ("dense2", "changed"), ("dense3", "added"), ("relu1", "added"),
    }  # fmt: skip
    assert {each.name for each in other.metrics} == {"val_loss", "val_accuracy"}


def test_the_compare_command_prints_what_differs(work, specc):
    status, out, _ = specc("runs", "compare", "tiny/1", "@last")
    assert status == 0
    assert "  lr: (as in the file) -> 0.02" in out.splitlines()
    assert "  ~ dense1: dense(hidden)  [4] -> dense(hidden)  [6]" in out.splitlines()


def test_cleaning_keeps_the_best_and_the_newest(work, specc):
    runs = work / "runs"
    assert old_runs(runs) == [runs / "tiny" / "1"]
    assert old_runs(runs, keep=0, models=["tiny"]) == [runs / "tiny" / "1"]
    lock = Lock.take(runs / "tiny" / "1")
    assert old_runs(runs) == []
    lock.release()
    assert old_runs(runs, failed=True) == []
    assert specc("runs", "clean", "--yes")[0] == 0
    assert [name_of(each) for each in folders()] == ["tiny/2", "wide/1"]
    assert specc("runs", "clean", "--yes")[1] == "there is nothing to delete\n"


def test_settings_that_a_file_leaves_out_are_not_compared():
    text = "model m {\n  input x: float[2]\n  target t: float[1]\n  let y = x -> dense(1)\n"
    text += "  output y\n  loss mse(y, t)\n}\ntrain { optimizer sgd(lr = 0.1) SETTING }\n"
    without, with_ = (
        Source("m.dl", text.replace("SETTING", each)) for each in ("", "patience = 3")
    )
    found = settings_of(driver.load(without), without)
    assert "patience" not in found and found["recompute"] == "false"
    assert settings_of(driver.load(with_), with_) == {**found, "patience": "3"}
