"""Crashes, full disks and flipped bits.

A run is always the one before a save, or the one after it.
"""

from __future__ import annotations

import errno
import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from crashes import Recorder, put, snapshot, states
from safetensors.numpy import load_file
from softmax_net import SoftmaxNet

from specc.recipe import Column, Recipe
from specc.runtime import checkpoint, files
from specc.runtime import train as loop
from specc.runtime.checkpoint import Checkpoints, Progress, restore
from specc.runtime.data import Data, DataPart
from specc.runtime.errors import RunError
from specc.runtime.metrics import MetricsFile
from specc.runtime.run import Record, create, open_run, open_to_train
from specc.runtime.train import train

RECIPE = Recipe(epochs=2, batch=8, seed=3, checkpoint_seconds=1e-9)
RECORD = Record("iris", "iris.dl", ".", {}, 3, 8, 2, "float64", 1, "0")
TEXTS = {"model.dl": b"model iris {}", "parts/words.dl": b"fn f(x) = x"}


class Watch:
    def steps(self, *_):
        pass

    def epoch(self, epoch):
        pass


@pytest.fixture
def data():
    """37 points around three centers; 13 are held out."""
    generator = np.random.Generator(np.random.PCG64(0))
    labels = np.arange(37) % 3
    x = generator.normal(size=(37, 4)) + 2 * np.eye(3, 4)[labels]
    columns = {"x": Column(x), "kind": Column(labels.astype(np.int32))}
    parts = {"training": np.arange(24), "validation": np.arange(24, 37)}
    return Data({name: DataPart(columns, rows) for name, rows in parts.items()})


class Quick(files.Disk):
    """Nothing crashes here but by `states`, so nobody has to wait for the real disk."""

    def sync(self, handle):
        pass

    def sync_folder(self, path):
        pass


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(files, "disk", Quick())


@pytest.fixture
def often(monkeypatch):
    """Every step is a call of its own, and every call is saved."""
    monkeypatch.setattr(loop, "STRETCH_SECONDS", 0.0)
    monkeypatch.setattr(Checkpoints, "SECONDS", 0.0)
    monkeypatch.setattr(Checkpoints, "SHARE", 0.0)


def begin(run):
    checkpoint.save(run.last, SoftmaxNet(), Progress())


def trained(parent, data):
    """A run from its creation to its end."""
    net = SoftmaxNet()
    run = create(parent, replace(RECORD), TEXTS, begin)
    train(net, data, RECIPE, run, Watch(), restore(run.last, net))
    run.release()
    return net, run


def resumed(folder, data):
    """What `specc train --resume` makes of a folder."""
    net = SoftmaxNet()
    run = open_to_train(folder)
    progress = restore(run.last, net)
    start = progress.epoch, progress.step
    train(net, data, RECIPE, run, Watch(), progress)
    run.release()
    return net, run, start


def contents(run):
    """The checkpoints of a finished run, and its lines of metrics, without their times."""
    lines = [line.split(",") for line in run.metrics.read_text().splitlines()]
    return (load_file(run.last), load_file(run.best), [cells[:2] + cells[3:] for cells in lines])


def is_same(one, other):
    return one[2] == other[2] and all(
        a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)
        for a, b in zip(one[:2], other[:2], strict=True)
    )


def test_a_save_is_written_synced_renamed_and_its_folder_synced(tmp_path, monkeypatch):
    with Recorder().installed(monkeypatch) as disk:
        files.write(tmp_path / "a", b"new")
    (beside,) = {call[1] for call in disk.calls if call[0] == "create"}
    assert [call[0] for call in disk.calls] == [
        "create",
        "write",
        "sync",
        "close",
        "rename",
        "sync_folder",
    ]
    assert disk.calls[4] == ("rename", beside, tmp_path / "a")
    assert disk.calls[5] == ("sync_folder", tmp_path)


def test_metrics_are_synced_before_the_checkpoint_that_counts_on_them(
    data, tmp_path, monkeypatch, often
):
    with Recorder().installed(monkeypatch) as disk:
        _, run = trained(tmp_path, data)
    lines = 0  # of metrics that are not synced
    for name, path, *rest in disk.calls:
        if path == run.metrics:
            lines = {"write": lines + 1, "sync": 0}.get(name, lines)
        if name == "rename" and rest[0].suffix == ".safetensors":
            assert lines == 0


def test_every_state_that_a_crash_may_leave_resumes_to_the_state_before_or_after(
    data, tmp_path, monkeypatch, often
):
    place = tmp_path / "runs"
    with Recorder().installed(monkeypatch) as disk:
        _net, run = trained(place, data)
    expected = contents(run)
    number = run.folder.relative_to(place)
    seen, done, unborn = set(), [], 0
    for count in range(len(disk.calls) + 1):
        for state in states({}, disk.calls[:count]):
            key = tuple(sorted(state.items(), key=str))
            if key in seen:
                continue
            seen.add(key)
            at = tmp_path / "crash"
            put(state, place, at)
            if run.folder / "run.json" not in state:
                unborn += 1
                with pytest.raises(RunError):
                    open_run(at / number)
            else:
                _, other, start = resumed(at / number, data)
                assert is_same(contents(other), expected)
                assert not list(other.folder.glob(".*"))
                done.append(start)
            shutil.rmtree(at, ignore_errors=True)
    assert len(done) > 60 and unborn > 20
    # each save is the newest one in some state
    assert sorted(set(done)) == [(epoch, step) for epoch in range(2) for step in range(3)] + [
        (2, 0)
    ]
    print(f"{len(done)} states of a run, {unborn} before there is one")


def test_the_states_of_a_crash_would_show_a_missing_sync(tmp_path, monkeypatch):
    """The net itself: without the syncs of files, or of folders, some state is neither."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    before = snapshot(tmp_path)
    with Recorder().installed(monkeypatch) as disk:
        files.write(path, b"new")

    def left(calls):
        return {
            state.get(path)
            for count in range(len(calls) + 1)
            for state in states(before, calls[:count])
        }

    assert left(disk.calls) == {b"old", b"new"}
    without = [call for call in disk.calls if call[0] != "sync"]
    assert left(without) > {b"old", b"new"}
    assert {state[path] for state in states(before, disk.calls)} == {b"new"}
    unsynced = [call for call in disk.calls if call[0] != "sync_folder"]
    assert {state[path] for state in states(before, unsynced)} == {b"old", b"new"}


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_whatever_call_fails_nothing_is_lost_and_the_message_says_why(
    data, tmp_path, monkeypatch, often, error
):
    _whole, run = trained(tmp_path / "whole", data)
    expected = contents(run)
    failed = 0
    for number in range(10**6):
        parent = tmp_path / str(number)
        with Recorder(number, error).installed(monkeypatch) as disk:
            try:
                trained(parent, data)
            except RunError as caught:
                failed += 1
                assert {errno.ENOSPC: "No space left on device", errno.EIO: "Input/output error"}[
                    error
                ] in str(caught)
            else:
                if not disk.has_failed:
                    break
        folder = parent / "iris" / "1"
        if folder.exists():
            before = None
            for name in ("last.safetensors", "best.safetensors"):
                if (folder / name).exists():
                    before = restore(folder / name, SoftmaxNet())
            assert before is not None
            _, other, _ = resumed(folder, data)
            assert is_same(contents(other), expected)
            assert not list(folder.glob(".*"))
        shutil.rmtree(parent, ignore_errors=True)
    assert failed > 90
    print(f"{number} calls")


@pytest.mark.parametrize("flips", [(1,), pytest.param(range(8), marks=pytest.mark.long)])
def test_a_flipped_bit_anywhere_in_a_checkpoint_is_found_or_harmless(tmp_path, flips):
    net = SoftmaxNet()
    net.params["dense1.weight"] += 0.125
    good = tmp_path / "good.safetensors"
    progress = Progress(4, 2, 1.5, 0.25, 3, np.ones((2, 4)))
    checkpoint.save(good, net, progress)
    content = good.read_bytes()
    path = tmp_path / "last.safetensors"
    harmless = 0
    for at in range(len(content)):
        for bit in flips if len(flips) > 1 else (at % 8,):
            flipped = bytearray(content)
            flipped[at] ^= 1 << bit
            path.write_bytes(flipped)
            other = SoftmaxNet()
            try:
                found = restore(path, other)
            except RunError:
                assert np.array_equal(
                    other.params["dense1.weight"], SoftmaxNet().params["dense1.weight"]
                )
                continue
            harmless += 1
            for mine, theirs in ((net.params, other.params), (net.states, other.states)):
                assert all(np.array_equal(mine[name], theirs[name]) for name in mine)
            assert (found.records == progress.records).all()
            assert replace(found, records=None) == replace(progress, records=None)
    assert harmless < 0.02 * len(content)


@pytest.mark.parametrize(("name", "value"), [
    ("dense1.weight", np.nan), ("dense1.weight", np.inf), ("dense1.bias", -np.inf),
    ("dense1.bias.v", np.nan),
])  # fmt: skip
def test_a_checkpoint_that_is_not_finite_is_refused_and_the_whole_one_named(tmp_path, name, value):
    best, last = tmp_path / "best.safetensors", tmp_path / "last.safetensors"
    net = SoftmaxNet()
    checkpoint.save(best, net, Progress(2))
    (net.params if name in net.params else net.states)[name].flat[1] = value
    checkpoint.save(last, net, Progress(3))
    with pytest.raises(RunError) as caught:
        restore(last, SoftmaxNet())
    (found,) = caught.value.diagnostics
    kind = "parameter" if name in net.params else "state"
    assert (
        found.message == f"the {kind} `{name}` in `{last}` is not finite: it has the value {value}"
    )
    assert (
        found.help == f"`{best}` is whole (after epoch 2): a copy of it can take this one's place"
    )
    checkpoint.save(best, net, Progress(2))
    with pytest.raises(RunError) as caught:
        restore(last, SoftmaxNet())
    assert caught.value.diagnostics[0].help == f"`{best}` is not finite either"
    best.write_bytes(b"")
    with pytest.raises(RunError) as caught:
        restore(last, SoftmaxNet())
    assert caught.value.diagnostics[0].help == f"`{best}` is damaged too"


def test_a_checkpoint_without_a_checksum_is_one_of_an_older_version(tmp_path):
    from safetensors.numpy import save_file

    net = SoftmaxNet()
    states = {f"state/{name}": array for name, array in net.states.items()}
    records = {"records": np.zeros((0, 4))}
    values = {"epoch": 3, "step": 0, "seconds": 1.0, "best": 0.5, "best_epoch": 2, "stale": 1}
    metadata = {"format": "specc", "model": "iris", "progress": json.dumps(values)}
    save_file({**net.params, **states, **records}, tmp_path / "a.safetensors", metadata)
    assert restore(tmp_path / "a.safetensors", SoftmaxNet()).epoch == 3
    save_file(
        {**net.params, **states, **records}, tmp_path / "a.safetensors", metadata | {"sha257": "0"}
    )
    with pytest.raises(RunError, match="is damaged: its SHA-256"):
        restore(tmp_path / "a.safetensors", SoftmaxNet())


def test_a_scalar_stays_one_in_a_checkpoint(tmp_path):
    net, other = SoftmaxNet(), SoftmaxNet()
    net.params["gain"], other.params["gain"] = np.array(3.0), np.array(0.0)
    checkpoint.save(tmp_path / "a.safetensors", net, Progress())
    restore(tmp_path / "a.safetensors", other)
    assert other.params["gain"] == 3.0


@pytest.mark.parametrize("part", ["params", "states"])
def test_no_checkpoint_within_an_epoch_holds_values_that_are_not_finite(
    data, tmp_path, often, part
):
    from specc.runtime.errors import Diverged

    class Broken(SoftmaxNet):
        def train(self, data, order, first_step, *rest):
            records = super().train(data, order, first_step, *rest)
            if first_step == 4:  # the second step of epoch 2; its loss is finite
                next(iter(getattr(self, part).values())).flat[0] = np.nan
            return records

    run = create(tmp_path, replace(RECORD), TEXTS, begin)
    with pytest.raises(Diverged, match=r"at step 5 \(epoch 2\): the updated weights") as caught:
        train(Broken(), data, RECIPE, run, Watch())
    (found,) = caught.value.diagnostics
    kind = "parameter" if part == "params" else "state"
    assert f"at step 5 the {kind} `dense1.weight" in found.notes[1]
    assert found.notes[2] == f"`{run.last}` holds the weights before step 5"
    assert restore(run.last, SoftmaxNet()).step == 1


def test_an_epoch_is_saved_as_often_as_the_recipe_says(data, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "STRETCH_SECONDS", 0.0)
    now, kept = [1000.0], []
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])

    class Slow(SoftmaxNet):
        def train(self, *arguments):
            now[0] += 12.0
            return super().train(*arguments)

    plain = Checkpoints.now
    monkeypatch.setattr(
        Checkpoints,
        "now",
        lambda self, progress: (kept.append(progress.step), plain(self, progress)),
    )
    recipe = Recipe(epochs=1, batch=2, seed=3)  # 12 steps
    run = create(tmp_path, replace(RECORD), TEXTS, begin)
    train(Slow(batch=2), data, recipe, run, Watch())
    assert kept == [3, 6, 9]
    kept.clear()
    train(Slow(batch=2), data, replace(recipe, checkpoint_seconds=60.0), run, Watch())
    assert kept == [5, 10]


# Leftovers


def test_what_killed_writers_left_is_removed_at_the_next_start(data, tmp_path):
    _, run = trained(tmp_path, data)
    for name in (
        ".last.safetensors.0123456789abcdef.part",
        ".run.json.4711",
        ".metrics.csv.fedcba9876543210.part",
    ):
        (run.folder / name).write_bytes(b"half")
    for name in (".notes", ".mine.0123456789abcdef.part", "a.part"):
        (run.folder / name).write_bytes(b"mine")
    open_to_train(run.folder).release()
    assert sorted(each.name for each in run.folder.iterdir()) == [
        ".mine.0123456789abcdef.part",
        ".notes",
        "a.part",
        "best.safetensors",
        "last.safetensors",
        "metrics.csv",
        "model.dl",
        "parts",
        "run.json",
    ]


def test_a_folder_that_never_became_a_run_is_removed_at_the_next_start(tmp_path):
    killed = tmp_path / "iris" / "1"
    killed.mkdir(parents=True)
    (killed / ".lock").write_text("process 1 on nowhere")
    (killed / "model.dl").write_text("")
    mine, started = tmp_path / "iris" / "2", tmp_path / "iris" / "3"
    for each in (mine, started):
        each.mkdir()
    (mine / "last.safetensors").write_text("")
    (started / ".lock").write_text("")  # about to be locked
    run = create(tmp_path, replace(RECORD), TEXTS, begin)
    assert run.folder.name == "4"
    assert sorted(each.name for each in (tmp_path / "iris").iterdir()) == ["2", "3", "4"]
    # one that is being made stays
    (run.folder / "run.json").unlink()
    create(tmp_path, replace(RECORD), TEXTS, begin)
    assert run.folder.is_dir()


def test_temporary_names_are_random(tmp_path, monkeypatch):
    with Recorder().installed(monkeypatch) as disk:
        for _ in range(20):
            files.write(tmp_path / ("ü" * 120), b"")
    made = [call[1].name for call in disk.calls if call[0] == "create"]
    assert len(set(made)) == 20 and all(len(name.encode()) < 255 for name in made)


def test_two_writers_of_one_process_id_never_tear_a_file(tmp_path):
    path, stop = tmp_path / "a", threading.Event()
    contents = {bytes([each]) * 200_000 for each in (1, 2)}
    path.write_bytes(min(contents))

    def keep_writing(content):
        while not stop.is_set():
            files.write(path, content)

    writers = [threading.Thread(target=keep_writing, args=(each,)) for each in contents]
    for each in writers:
        each.start()
    try:
        assert {path.read_bytes() for _ in range(500)} <= contents
    finally:
        stop.set()
        for each in writers:
            each.join()
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_metrics_end_with_the_epoch_of_the_checkpoint_whatever_a_crash_left(tmp_path):
    path = tmp_path / "metrics.csv"
    table = "epoch,step,seconds,train_loss,val_loss\n1,3,0.1,1,\n2,6,0.2,0.5,\n"
    for rest in ("", "3,9", "3,9,0.3,0.25,\n", "\0" * 18, "3,9,0.3,0.25,\n4,\0\0\0\0\n", "x\n"):
        path.write_text(table + rest)
        MetricsFile(path, ("loss",), 2)
        assert path.read_text() == table
    path.write_text(table.replace("0.5", "\0\0\0"))
    with pytest.raises(RunError, match="is damaged"):
        MetricsFile(path, ("loss",), 2)
    assert Path(path).read_text() != table
