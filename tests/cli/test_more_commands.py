"""The list of commands, their suggestions, and the small ones: lr, cache, completion."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from specc.cli.main import COMMANDS, GROUPS
from specc.runs.rates import Sweep, _judged

ROOT = Path(__file__).resolve().parents[2]
MODEL = """model tiny {
  input  image: float[64]
  target label: class(10)
  let scores = image -> dense(10)
  output scores
  loss   cross_entropy(scores, label)
}
train {
  data      digits()
  optimizer momentum(lr = 0.1)
}
"""


def test_the_commands_are_listed_in_groups_with_whole_sentences(specc):
    status, out, _ = specc("--help")
    assert status == 0 and not any(line.endswith("...") for line in out.splitlines()[1:])
    for title, group in GROUPS.items():
        assert f"{title}:\n" in out
        for name in group:
            (line,) = [each for each in out.splitlines() if each.split()[:1] == [name]]
            assert line.endswith(".") and len(line) <= 80


@pytest.mark.parametrize(
    ("given", "meant"),
    [("trian", "train"), ("evaluate", "eval"), ("fit", "train"), ("init", "new"), ("run", "runs")],
)
def test_a_command_that_there_is_not_gets_a_suggestion(specc, given, meant):
    status, out, err = specc(given, "x")
    assert (status, out) == (2, "")
    assert f"unknown command `{given}`; did you mean `{meant}`?" in err
    assert meant in COMMANDS


def test_a_strange_command_is_pointed_to_the_list(specc):
    assert "`specc --help` lists the commands" in specc("qqqqqq")[2]


def test_a_sweep_of_rates_suggests_one_at_which_the_loss_falls(tmp_path, monkeypatch, specc):
    monkeypatch.chdir(tmp_path)
    Path("tiny.dl").write_text(MODEL)
    status, out, _ = specc("lr", "tiny.dl", "--steps", "80", "--to", "1000")
    lines = out.splitlines()
    assert status == 0 and len(lines) <= 22 and max(map(len, lines)) <= 80
    assert sum(line.endswith(" <") for line in lines) == 1
    found = json.loads(specc("lr", "tiny.dl", "--steps", "80", "--to", "1000", "--json")[1])
    assert 1e-3 < found["suggestion"] < 10 and not Path("runs").exists()
    losses = [each["loss"] for each in found["points"]]
    assert min(losses) < 0.6 * losses[0]
    assert specc("lr", "tiny.dl", "--from", "2", "--to", "1")[0] == 2
    own = "optimizer plain(w, g; pace) { next w = w - pace * g }\n"
    Path("tiny.dl").write_text(own + MODEL.replace("momentum(lr = 0.1)", "plain(pace = 0.1)"))
    status, _, err = specc("lr", "tiny.dl")
    assert status == 1 and "the optimizer of the file has no setting `lr`" in err


def test_a_loss_that_never_falls_has_no_suggestion():
    found = _judged([(10.0**-k, float(10 - k)) for k in range(9, 0, -1)])
    assert (
        found.suggestion is None
        and found.lines()[-1] == "the loss does not fall at any of these rates"
    )
    assert isinstance(found, Sweep) and _judged([(1.0, 1.0)]).suggestion is None


def test_the_cache_is_measured_and_deleted(tmp_path, monkeypatch, specc):
    monkeypatch.setenv("SPECC_CACHE_DIR", str(tmp_path / "cache"))
    assert specc("cache", "clean", "--yes")[1] == f"{tmp_path / 'cache'} is empty\n"
    (tmp_path / "cache" / "inner").mkdir(parents=True)
    (tmp_path / "cache" / "inner" / "kernel.o").write_bytes(b"0" * 250_000)
    (tmp_path / "cache" / "profile.json").write_bytes(b"0" * 50_000)
    assert specc("cache")[1] == f"{tmp_path / 'cache'}: 2 files, 0.3 MB\n"
    assert specc("cache", "clean", "--yes")[1].startswith("deleted 2 files, 0.3 MB in ")
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_script(specc, shell):
    status, out, _ = specc("completion", shell)
    assert status == 0 and "_SPECC_COMPLETE" in out and out.startswith("# ")


def test_commands_and_runs_are_completed(tmp_path):
    (tmp_path / "runs" / "tiny" / "1").mkdir(parents=True)
    (tmp_path / "runs" / "tiny" / "1" / "run.json").write_text("{}")

    def completed(words, place):
        asked = {"_SPECC_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(place)}
        done = subprocess.run(
            [sys.executable, "-m", "specc"],
            env=os.environ | {"PYTHONPATH": str(ROOT)} | asked,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        return [line.split(",")[-1] for line in done.stdout.split()]

    assert completed("specc tr", 1) == ["train"]
    assert {"@last", "@best", "tiny/1"} <= set(completed("specc eval ", 2))
