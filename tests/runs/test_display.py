"""What is shown of a training."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from specc.runs.display import Bar, Lines, Quiet, display, epoch_line
from specc.runtime.metrics import Epoch

NET = SimpleNamespace(
    columns=("loss", "loss.ce", "loss.penalty", "metric.accuracy"),
    compile_seconds=0.8432,
    shards=2,
)
VALUES = {"loss": 0.70219, "accuracy": 0.97712, "ce": 0.7, "penalty": 0.00219}
EPOCH = Epoch(3, 135, 0.118, VALUES, VALUES | {"loss": 0.18}, 44562.2, True)
LINE = (
    "epoch  3/20   train loss 0.7022 accuracy 0.9771   val loss 0.18 accuracy 0.9771"
    "   44,562 examples/s  *"
)


def test_an_epoch_is_one_line():
    assert epoch_line(EPOCH, 20, ["loss", "accuracy"]) == LINE


def test_without_validation_the_line_has_training_figures_alone():
    epoch = Epoch(1, 45, 0.1, VALUES, None, 10.0, False)
    assert epoch_line(epoch, 1, ["loss"]) == "epoch 1/1   train loss 0.7022   10 examples/s"


def test_lines_say_once_how_long_it_took_to_compile(capsys):
    with display(NET, 20, 45, 0, False) as watch:
        assert isinstance(watch, Lines)
        watch.steps(1, 1, 0.5, 100.0)
        watch.steps(1, 2, 0.5, 100.0)
        watch.epoch(EPOCH)
    assert capsys.readouterr().out == f"compiled in 0.84 s, runs on 2 threads\n{LINE}\n"


def test_quiet_shows_nothing(capsys):
    with display(NET, 20, 45, 0, True) as watch:
        assert type(watch) is Quiet
        watch.steps(1, 1, 0.5, 100.0)
        watch.epoch(EPOCH)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("first_epoch", [0, 2])
def test_a_terminal_gets_a_bar_under_the_lines(monkeypatch, capsys, first_epoch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with display(NET, 20, 45, first_epoch, False) as watch:
        assert isinstance(watch, Bar)
        assert watch.bar.tasks[0].completed == 45 * first_epoch
        watch.steps(3, 45, 0.5, 100.0)
        watch.epoch(EPOCH)
        assert watch.bar.tasks[0].completed == 3 * 45
    assert LINE in capsys.readouterr().out
