"""`specc sweep`: trials, two processes, a killed sweep that continues, the best values."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import specc

optuna = pytest.importorskip("optuna")

TEXT = """
dim hidden = search(2, 3, 4)
const deep = search(true, false)

model line {
  input  x: float[3]
  target t: float[1]
  let h = x -> (if deep then 2 else 1) * (dense(hidden) -> search(relu, tanh)) -> dense(1)
  output h
  loss   mse(h, t)
}

train {
  data      npz("a.npz")
  validate  split = 0.75
  optimizer search(sgd, momentum)(lr = search(0.001, 0.3; log))
  epochs    = 3
  batch     = 16
}
"""
COUNT = 2 * 2 * 2


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a model and its data."""
    random = np.random.default_rng(0)
    x = random.normal(size=(120, 3)).astype(np.float32)
    t = np.sin(x.sum(1, keepdims=True)).astype(np.float32)
    np.savez(tmp_path / "a.npz", x=x, t=t)
    (tmp_path / "line.dl").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*arguments: str, **settings) -> subprocess.Popen:
    """The command in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "specc", "sweep", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        **settings,
    )


def finished(process: subprocess.Popen) -> str:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def records(folder: Path) -> list[dict]:
    found = sorted(folder.glob("runs/line/*/run.json"), key=lambda each: int(each.parent.name))
    return [json.loads(each.read_text()) for each in found]


def test_the_best_text_trains_to_what_the_table_says(folder):
    result = specc.sweep("line.dl", trials=8)
    assert len(result.trials) == 8
    assert len({str(each.values) for each in result.trials}) == 8
    best = result.best
    assert best.value == min(each.value for each in result.trials)
    (folder / "best.dl").write_text(result.text())
    again = specc.train("best.dl", quiet=True)
    assert min(again.metrics["val_loss"]) == pytest.approx(best.value, rel=1e-7)
    assert min(result.run.metrics["val_loss"]) == pytest.approx(best.value, rel=1e-7)
    kept = json.loads((best.run / "run.json").read_text())["sweep"]
    assert kept == {
        name: value if isinstance(value, str) else repr(value)
        for name, value in best.values.items()
    }
    assert "<table>" in result._repr_html_()


def test_a_value_is_drawn_only_where_it_is_asked(folder):
    text = TEXT.replace("if deep then 2 else 1", "if deep then search(2, 3) else 1")
    (folder / "line.dl").write_text(text)
    result = specc.sweep("line.dl", trials=8, sampler="random")
    for each in result.trials:
        assert ("h" in each.values) == (each.values["deep"] == "true")


def test_no_two_trials_are_alike_and_a_small_space_ends(folder):
    text = TEXT.replace("search(0.001, 0.3; log)", "0.1").replace("search(2, 3, 4)", "3")
    (folder / "line.dl").write_text(text)
    result = specc.sweep("line.dl", trials=COUNT + 10)
    assert len(result.trials) == COUNT == len({str(each.values) for each in result.trials})
    assert len(records(folder)) == COUNT


def test_a_grid_has_all_combinations(folder):
    text = TEXT.replace("search(0.001, 0.3; log)", "search(0.001, 0.1; log)")
    text = text.replace("search(2, 3, 4)", "search(2, 3; linear)")
    for words, word in (("relu, tanh", "relu"), ("true, false", "false"), ("sgd, momentum", "sgd")):
        text = text.replace(f"search({words})", word)
    (folder / "line.dl").write_text(text)
    result = specc.sweep("line.dl", sampler="grid", epochs=1)
    assert len(result.trials) == 2 * 5
    rates = {each.values["lr"] for each in result.trials}
    assert rates == {0.001, 0.003162, 0.01, 0.03162, 0.1}
    assert set(result.importance()) <= {"hidden", "lr"}


@pytest.mark.timeout(300)
def test_a_killed_sweep_loses_no_trial_and_doubles_none(folder):
    text = TEXT.replace("search(0.001, 0.3; log)", "search(0.001, 0.02; log)")
    (folder / "line.dl").write_text(text)
    first = command("line.dl", "--trials", "6", "--jobs", "2", "epochs=20")
    until = time.monotonic() + 120
    while len(list(folder.glob("runs/line/*/run.json"))) < 3 and time.monotonic() < until:
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    begun = [each["sweep"] for each in records(folder)]
    assert begun, "the sweep was killed before its first run"
    output = finished(command("line.dl", "--trials", "6", "--jobs", "2", "epochs=20"))
    found = records(folder)
    assert len(found) == 6, output
    assert [each["sweep"] for each in found][: len(begun)] == begun
    assert len({json.dumps(each["sweep"], sort_keys=True) for each in found}) == 6
    assert {each["status"] for each in found} == {"finished"}
    assert "6 complete" in output


@pytest.mark.parametrize("has_run", [False, True])
def test_a_repetition_whose_worker_died_is_withdrawn_unless_it_has_a_run(folder, has_run):
    from specc.source import Source
    from specc.sweeps import run, worker
    from specc.sweeps.plan import study_of
    from specc.sweeps.values import RUN, WITHDRAWN

    source = Source("line.dl", TEXT)
    program, _ = run.searched(source, {})
    plan = run.planned(source, program, folder, {}, runs=folder / "runs")
    study = study_of(plan)
    alive, other = (plan.own_folder / name for name in ("alive", "other"))
    for each in (alive, other):
        each.mkdir(parents=True)
    lives = worker.Lock.take(alive)
    gone = str(plan.own_folder / "gone")
    for place in (str(alive), gone):
        trial = study.ask()
        trial.set_user_attr(worker.WORKER, place)
        trial.set_user_attr(worker.HOST, worker.socket.gethostname())
        trial.set_user_attr(worker.VALUES, '{"hidden": 2}')
    if has_run:
        begun = folder / "runs" / "line" / "7"
        begun.mkdir(parents=True)
        (begun / "run.json").write_text("{}")
        trial.set_user_attr(RUN, str(begun))
    found = worker._taken_over(plan, study, other)
    lives.release()
    last = study.get_trials()[-1]
    if has_run:
        assert found is not None and found.number == last.number
    else:
        assert found is None and last.user_attrs[WITHDRAWN]


def test_an_orphan_is_taken_over_once(folder, monkeypatch):
    """Another worker takes it between a worker's look at the study and its lock."""
    from specc.source import Source
    from specc.sweeps import run, worker
    from specc.sweeps.plan import study_of

    source = Source("line.dl", TEXT)
    program, _ = run.searched(source, {})
    plan = run.planned(source, program, folder, {}, runs=folder / "runs")
    study = study_of(plan)
    gone, first, second = (plan.own_folder / name for name in ("gone", "first", "second"))
    for each in (gone, first, second):
        each.mkdir(parents=True)
    trial = study.ask()
    trial.set_user_attr(worker.WORKER, str(gone))
    trial.set_user_attr(worker.VALUES, "{}")
    lives = worker.Lock.take(first)
    taken = worker.Lock.taken.__func__

    def after_the_first(cls, place):
        if place == plan.own_folder:
            monkeypatch.undo()
            trial.set_user_attr(worker.WORKER, str(first))
        return taken(cls, place)

    monkeypatch.setattr(worker.Lock, "taken", classmethod(after_the_first))
    assert worker._taken_over(plan, study, second) is None
    lives.release()
    again = worker._taken_over(plan, study, second)
    assert again is not None and again.number == trial.number


def test_a_trial_whose_process_was_killed_before_it_had_values_is_done_anew(folder, monkeypatch):
    from specc.source import Source
    from specc.sweeps import run, worker
    from specc.sweeps.plan import study_of

    monkeypatch.setattr(worker, "NAMELESS", 0.2)
    monkeypatch.setattr(worker, "OFTEN", 0.1)
    source = Source("line.dl", TEXT)
    program, _ = run.searched(source, {})
    plan = run.planned(source, program, folder, {}, runs=folder / "runs", trials=1)
    study_of(plan).ask()
    result, outcome = run.sweep(plan)
    assert outcome == "done" and [each.state for each in result.trials] == ["complete"]


def test_worse_trials_are_stopped(folder):
    text = TEXT.replace("search(0.001, 0.3; log)", "search(1e-9, 0.1; log)")
    (folder / "line.dl").write_text(text)
    result = specc.sweep("line.dl", trials=16, prune=True, epochs=5, sampler="random")
    states = [each.state for each in result.trials]
    assert set(states) == {"complete", "pruned"}
    assert result.best.state == "complete"


def test_a_training_that_diverges_has_the_worst_value(folder):
    text = TEXT.replace("search(0.001, 0.3; log)", "search(0.01, 1e30)")
    for words, word in (("2, 3, 4", "3"), ("relu, tanh", "relu"), ("true, false", "false")):
        text = text.replace(f"search({words})", word)
    (folder / "line.dl").write_text(text)
    result = specc.sweep("line.dl", sampler="grid")
    wild = [each for each in result.trials if each.values["lr"] == "1e30"]
    assert wild and all(each.value == np.inf and each.problem for each in wild)
    assert result.best.values["lr"] == "0.01"


def test_a_frame_is_swept_in_one_process(folder):
    text = TEXT.replace('npz("a.npz")', 'csv("none.csv")')
    data = dict(np.load("a.npz"))
    result = specc.sweep(text, data=data, trials=2)
    assert len(result.trials) == 2
    with pytest.raises(ValueError, match="jobs=1"):
        specc.sweep(text, data=data, trials=2, jobs=2)


def test_a_metric_that_is_to_become_large(folder):
    text = TEXT.replace("loss   mse(h, t)", "loss   mse(h, t)\n  metric near = max(-mse(h, t))")
    text = text.replace("epochs  ", "monitor = max(near)\n  epochs  ")
    text = text.replace("metric near = max(-mse(h, t))", "metric near = -mse(h, t)")
    (folder / "line.dl").write_text(text)
    result = specc.sweep("line.dl", trials=4)
    assert result.best.value == max(each.value for each in result.trials) < 0


def test_a_file_that_no_sweep_wrote_is_left_alone(folder):
    (folder / "best.dl").write_text("# mine\n")
    process = command("line.dl", "--trials", "1")
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 2 and "use -o to name another file" in output
    assert (folder / "best.dl").read_text() == "# mine\n"


@pytest.mark.parametrize("storage", ["sqlite:////none/of/these/a.db", "nothing://x"])
def test_a_storage_that_cannot_be_opened_is_said(folder, storage):
    with pytest.raises(specc.SpecError, match="cannot open the storage"):
        specc.sweep("line.dl", trials=1, storage=storage)


def test_a_file_without_a_search_is_said(folder):
    (folder / "line.dl").write_text(TEXT.replace("search(", "max("))
    with pytest.raises(specc.SpecError):
        specc.sweep("line.dl", trials=1)
    (folder / "plain.dl").write_text(
        "model m { input x: float[3] target t: float[1] let y = x -> dense(1) loss mse(y, t) }"
        ' train { data npz("a.npz") optimizer sgd(lr = 0.1) }'
    )
    with pytest.raises(specc.SpecError, match="nothing to sweep"):
        specc.sweep("plain.dl", trials=1)
