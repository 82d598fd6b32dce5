"""What is shown of a training."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest

from specc.runs import display as shown
from specc.runs.display import EpochColumns, Lines, Quiet, Terminal, display, sparkline
from specc.runs.log import Jsonl, logged, metrics_of
from specc.runtime.metrics import Epoch

NET = SimpleNamespace(
    columns=("loss", "loss.ce", "loss.penalty", "metric.accuracy"),
    compile_seconds=0.8432,
    working_threads=2,
)
VALUES = {"loss": 0.70219, "accuracy": 0.97712, "ce": 0.7, "penalty": 0.00219}
EPOCH = Epoch(3, 135, 0.118, VALUES, VALUES | {"loss": 0.18}, 44562.2, True)
HEADER = "             train loss  accuracy  val loss  accuracy   examples/s * best"
LINE = "epoch  3/20      0.7022    0.9771      0.18    0.9771       44,562 *"


def test_lines_are_aligned_under_their_header(capsys):
    with display(NET, 20, 45, 0, False) as watch:
        assert type(watch) is Lines
        watch.steps(1, 1, 0.5, 100.0)
        watch.steps(1, 2, 0.5, 100.0)
        watch.epoch(EPOCH)
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["compiled in 0.84 s, runs on 2 threads", HEADER, LINE]
    assert max(map(len, lines)) <= 80


def test_a_long_time_to_compile_comes_once(capsys):
    slow = SimpleNamespace(columns=NET.columns, compile_seconds=3.2, working_threads=1)
    with display(slow, 20, 45, 0, False) as watch:
        watch.steps(1, 1, 0.5, 100.0)
    assert capsys.readouterr().out == "compiled in 3.20 s (first time only), runs on 1 thread\n"


def test_without_validation_the_line_has_training_figures_alone():
    epoch = Epoch(1, 45, 0.1, VALUES, None, 10.0, False)
    columns = EpochColumns(["loss", "accuracy"], 1, False)
    assert columns.header().split() == ["train", "loss", "accuracy", "examples/s"]
    assert columns.line(epoch).split() == ["epoch", "1/1", "0.7022", "0.9771", "10"]


@pytest.mark.parametrize("count", [1, 3, 12])
def test_as_many_figures_are_shown_as_a_line_has_room_for(count):
    names = ["loss", *(f"a_metric_{k}" for k in range(count))]
    columns = EpochColumns(names, 1000, True)
    values = dict.fromkeys(names, 0.123456)
    line = columns.line(Epoch(100, 45, 0.1, values, values, 1e7, True))
    assert len(line) <= 80 and len(columns.header()) <= 80
    assert line.count("0.1235") == len(columns.cells) >= 2


def test_the_curve_of_the_losses_is_told_at_the_end(capsys):
    with display(NET, 20, 45, 0, False) as watch:
        for loss in (4.0, 2.0, 1.0):
            watch.epoch(Epoch(1, 1, 0.1, VALUES | {"loss": loss}, None, 10.0, True))
    assert capsys.readouterr().out.splitlines()[-1] == "loss █▃▁ 4 to 1"


def test_a_sparkline_is_short_and_knows_what_is_not_finite():
    assert sparkline([]) == "" == sparkline([float("nan")])
    assert sparkline([1, 1]) == "▁▁"
    assert len(sparkline(list(range(1000)))) <= 24 and sparkline([0, float("inf"), 7]) == "▁█"


def test_quiet_shows_nothing(capsys):
    with display(NET, 20, 45, 0, True) as watch:
        assert type(watch) is Quiet
        watch.steps(1, 1, 0.5, 100.0)
        watch.epoch(EPOCH)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("first_epoch", [0, 2])
def test_a_terminal_shows_where_the_training_stands(monkeypatch, capsys, first_epoch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    now = iter([0.0, 1.0, 2.0, 2.1, 10.0, 11.0])
    monkeypatch.setattr(shown.time, "monotonic", lambda: next(now))
    with display(NET, 20, 45, first_epoch, False) as watch:
        assert isinstance(watch, Terminal)
        watch.steps(first_epoch + 1, 1, 0.75, 100.0)
        watch.steps(first_epoch + 1, 45, 0.5, 100.0)
        watch.steps(first_epoch + 1, 45, 0.5, 100.0)  # too soon after the last look
        status = watch.status
        watch.epoch(EPOCH)
        assert watch.status == status
    out = capsys.readouterr().out
    assert out.startswith("\r\x1b[2Kcompiling (first time only) ..")
    share = 1 / (20 - first_epoch)
    assert status.startswith(f"epoch {first_epoch + 1}/20  ") and f" {share:4.0%}  " in status
    # 45 of all steps took one second
    assert status.endswith(f"0:{round(1 / share - 1):02} left") and len(status) < 80
    assert f"{LINE}\n" in out and out.endswith("\r\x1b[2K")


@pytest.mark.parametrize(("epochs", "written"), [(100, 100), (5000, 2)])
def test_quick_epochs_are_told_now_and_then(monkeypatch, capsys, epochs, written):
    """Else writing the lines would take longer than training a tiny model."""
    monkeypatch.setattr(shown.time, "monotonic", lambda: 1.0)
    with display(NET, epochs, 1, 0, False) as watch:
        for number in range(1, epochs + 1):
            watch.steps(number, 1, 0.5, 100.0)
            watch.epoch(Epoch(number, number, 0.1, VALUES, None, 10.0, False))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == written + 3 and lines[-2].split()[1] == f"{epochs}/{epochs}"


def test_a_log_has_a_line_for_each_event(tmp_path):
    log = logged("jsonl", tmp_path, Quiet())
    assert isinstance(log, Jsonl)
    log.steps(1, 5, float("nan"), 100.0)
    log.epoch(EPOCH)
    log.close()
    steps, epoch = map(json.loads, (tmp_path / "log.jsonl").read_text().splitlines())
    assert (steps["event"], steps["step"], steps["train_loss"]) == ("steps", 5, None)
    assert epoch["val_loss"] == 0.18 and epoch["train_accuracy"] == VALUES["accuracy"]


def test_tensorboard_gets_the_figures_by_name(tmp_path):
    pytest.importorskip("tensorboardX")
    log = logged("tensorboard", tmp_path, Quiet())
    log.epoch(EPOCH)
    log.close()
    (written,) = (tmp_path / "tensorboard").iterdir()
    content = written.read_bytes()
    for name in metrics_of(EPOCH):
        part, _, short = name.partition("_")
        assert f"{short}/{part}".encode() in content


def test_the_losses_of_a_long_training_are_thinned(monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    now = iter(range(10**6))
    monkeypatch.setattr(shown.time, "monotonic", lambda: next(now))
    with display(NET, 20, 45, 0, False) as watch:
        for step in range(5000):
            watch.steps(1, step, 5000.0 - step, 100.0)
        assert len(watch.recent) < 1200 and watch.recent == sorted(watch.recent, reverse=True)
        assert watch.recent[0] == 5000.0 and watch.recent[-1] == 1.0
    assert capsys.readouterr().out
