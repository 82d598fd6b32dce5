"""The training loop, runs and checkpoints, with a model in plain NumPy."""

from __future__ import annotations

import csv
import os
import stat
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from softmax_net import SoftmaxNet

from specc.recipe import Column, Monitor, Recipe
from specc.runtime import checkpoint
from specc.runtime import train as loop
from specc.runtime.checkpoint import Progress, progress_of, restore
from specc.runtime.data import Data, DataPart
from specc.runtime.errors import Diverged, RunError
from specc.runtime.keeper import InMemory
from specc.runtime.metrics import short_names, values_of
from specc.runtime.run import Record, claim, create, open_run
from specc.runtime.train import train

RECIPE = Recipe(epochs=6, batch=8, seed=3)


@pytest.fixture
def data():
    """67 points around three centers; 17 are held out."""
    generator = np.random.Generator(np.random.PCG64(0))
    labels = np.arange(67) % 3
    x = generator.normal(size=(67, 4)) + 2 * np.eye(3, 4)[labels]
    columns = {"x": Column(x), "kind": Column(labels.astype(np.int32))}
    parts = {"training": np.arange(50), "validation": np.arange(50, 67)}
    return Data({name: DataPart(columns, rows) for name, rows in parts.items()})


@pytest.fixture
def run(tmp_path):
    record = Record("iris", "iris.dl", ".", {}, 3, 8, 6, "float64", 1, "0")
    return create(tmp_path, record, {"model.dl": b"model iris {}"})


class Watch:
    """Keeps what it is told."""

    def __init__(self):
        self.epochs, self.stretches = [], []

    def steps(self, epoch, step, loss, examples_per_second):
        assert examples_per_second > 0
        self.stretches.append((epoch, step, loss))

    def epoch(self, epoch):
        self.epochs.append(epoch)


def stop_after(stretches):
    """A `should_stop` that is True from its `stretches`-th question on."""
    asked = iter(range(1, 10**6))
    return lambda: next(asked) >= stretches


def rows_of(run):
    with run.metrics.open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def same(net, other):
    pairs = [(net.params, other.params), (net.states, other.states)]
    return all(np.array_equal(a[name], b[name]) for a, b in pairs for name in a)


def test_a_training_lowers_the_loss_and_leaves_a_run(data, run):
    net, watch = SoftmaxNet(), Watch()
    assert train(net, data, RECIPE, run, watch) == "finished"
    rows = rows_of(run)
    assert list(rows[0]) == [
        "epoch", "step", "train_loss", "val_loss", "train_accuracy", "val_accuracy",
        "train_cross_entropy", "val_cross_entropy", "train_penalty", "val_penalty",
    ]  # fmt: skip
    assert run.metrics.read_text().startswith("epoch,step,seconds,train_loss,val_loss,")
    assert [row["epoch"] for row in rows] == list("123456")
    assert rows[-1]["step"] == str(6 * 7)
    assert float(rows[-1]["train_loss"]) < 0.6 * float(rows[0]["train_loss"])
    assert [e.epoch for e in watch.epochs] == [1, 2, 3, 4, 5, 6]
    assert np.array_equal(load_file(run.last)["dense1.weight"], net.params["dense1.weight"])
    assert sorted(each.name for each in run.folder.iterdir()) == [
        ".lock", "best.safetensors", "last.safetensors", "metrics.csv", "model.dl", "run.json",
    ]  # fmt: skip
    run.release()
    assert not (run.folder / ".lock").exists()


def test_a_training_in_memory_gives_the_weights_of_one_in_a_folder(data, run):
    net, other = SoftmaxNet(), SoftmaxNet()
    train(net, data, RECIPE, run, Watch())
    keeper = InMemory(other)
    assert train(other, data, RECIPE, keeper, Watch()) == "finished"
    assert same(net, other)
    rows = rows_of(run)
    assert [f"{each.training['loss']:.8g}" for each in keeper.epochs] == [
        row["train_loss"] for row in rows
    ]
    keeper.restore_best()
    restore(run.best, net)
    assert same(net, other)


def test_a_training_in_memory_that_diverges_leaves_the_weights_of_before(data):
    net = SoftmaxNet(lr=1e300)
    with (
        np.errstate(all="ignore"),
        pytest.raises(Diverged, match="the model holds the weights before step"),
    ):
        train(net, data, RECIPE, InMemory(net), Watch())
    assert all(np.isfinite(each).all() for each in net.params.values())


def test_means_over_an_epoch_weigh_a_partial_batch_by_its_examples(data, run):
    net, watch = SoftmaxNet(lr=0.0), Watch()
    train(net, data, replace(RECIPE, epochs=1), run, watch)
    exact = SoftmaxNet().evaluate_rows(data.training.columns, data.training.rows)
    (epoch,) = watch.epochs
    assert epoch.training == pytest.approx(
        {short: exact[name] for name, short in short_names(net.columns).items()}
    )
    assert watch.stretches[-1] == (1, 7, pytest.approx(exact["loss"]))


def test_every_example_is_seen_once_an_epoch_in_an_order_of_its_own(data, run):
    seen = []

    class Seeing(SoftmaxNet):
        def train(self, data, order, *rest):
            seen.append(order)
            return super().train(data, order, *rest)

    train(Seeing(), data, replace(RECIPE, epochs=2), run, Watch())
    order = np.concatenate(seen)
    assert sorted(order[:50]) == sorted(order[50:]) == list(range(50))
    assert (order[:50] != order[50:]).any()


@pytest.mark.parametrize("stretches", range(1, 9))
def test_a_training_that_was_interrupted_goes_on_as_if_it_had_not_been(
    data, run, tmp_path, stretches, monkeypatch
):
    # an epoch of 7 steps takes several calls, wherever the clock would cut it
    monkeypatch.setattr(loop, "STRETCH_SECONDS", 0.0)
    whole, watch = SoftmaxNet(), Watch()
    train(whole, data, RECIPE, run, watch)
    other = create(tmp_path, run.record, {})
    cut = SoftmaxNet()
    assert train(cut, data, RECIPE, other, Watch(), None, stop_after(stretches)) == "interrupted"
    resumed = SoftmaxNet()
    progress = restore(other.last, resumed)
    # an epoch whose steps are done is ended, with its validation
    assert (progress.epoch, progress.step) == divmod(stretches, 7)
    assert same(cut, resumed)
    assert train(resumed, data, RECIPE, other, Watch(), progress) == "finished"
    assert same(whole, resumed)
    assert rows_of(other) == rows_of(run)
    for name in ("best.safetensors", "last.safetensors"):
        mine, theirs = load_file(run.folder / name), load_file(other.folder / name)
        assert all(np.array_equal(mine[key], theirs[key]) for key in theirs)


def test_where_an_epoch_is_cut_changes_nothing(data, run, tmp_path, monkeypatch):
    one, other = SoftmaxNet(), SoftmaxNet()
    train(one, data, RECIPE, run, Watch())
    monkeypatch.setattr(loop, "STRETCH_SECONDS", 0.0)
    train(other, data, RECIPE, create(tmp_path, run.record, {}), Watch())
    assert len(other.calls) == 42 > len(one.calls)
    assert same(one, other)


def test_lines_of_metrics_behind_the_checkpoint_are_dropped(data, run):
    net = SoftmaxNet()
    train(net, data, replace(RECIPE, epochs=2), run, Watch())
    expected = rows_of(run)
    with run.metrics.open("a") as file:
        file.write("3,21,0.1,1,1,1,1,1,1,1,1\n")
    again = SoftmaxNet()
    progress = restore(run.last, again)
    assert train(again, data, replace(RECIPE, epochs=2), run, Watch(), progress) == "finished"
    assert rows_of(run) == expected


def test_the_best_checkpoint_has_the_least_validation_loss(data, run):
    class Growing(SoftmaxNet):
        losses = iter([0.0, 3.0, 1.0, 2.0, 1.5])  # the first is for compiling

        def evaluate_rows(self, data, order):
            return super().evaluate_rows(data, order) | {"loss": next(self.losses)}

    net, watch = Growing(), Watch()
    train(net, data, replace(RECIPE, epochs=4), run, watch)
    assert [epoch.is_best for epoch in watch.epochs] == [True, True, False, False]
    best = SoftmaxNet()
    progress = restore(run.best, best)
    assert (progress.epoch, progress.best, progress.best_epoch) == (2, 1.0, 2)
    assert not same(net, best)
    part, values = values_of(run.metrics, 2)
    assert (part, values["loss"]) == ("val", 1.0)
    assert progress_of(run.best).epoch == 2


@pytest.mark.parametrize(("is_max", "best"), [(True, 2), (False, 3)])
def test_the_best_checkpoint_has_the_best_value_of_what_is_monitored(data, run, is_max, best):
    class Watched(SoftmaxNet):
        watches = "metric.accuracy"
        values = iter([0.0, 0.5, 0.9, 0.2, np.nan, 0.7])

        def evaluate_rows(self, data, order):
            return super().evaluate_rows(data, order) | {"metric.accuracy": next(self.values)}

    recipe = replace(RECIPE, epochs=5, patience=9, monitor=Monitor("metric.accuracy", is_max))
    train(Watched(), data, recipe, run, Watch())
    assert progress_of(run.best).epoch == best
    assert progress_of(run.last).stale == 3


def test_a_value_that_differs_by_rounding_is_no_better(data, run):
    class Watched(SoftmaxNet):
        watches = "metric.accuracy"
        values = iter([0.0, 0.9582, 0.9582 + 1e-8, 0.9583])

        def evaluate_rows(self, data, order):
            return super().evaluate_rows(data, order) | {"metric.accuracy": next(self.values)}

    watch = Watch()
    recipe = replace(RECIPE, epochs=3, monitor=Monitor("metric.accuracy", True))
    train(Watched(), data, recipe, run, watch)
    assert [epoch.is_best for epoch in watch.epochs] == [True, False, True]


def test_a_first_value_that_is_nan_is_beaten_by_any_number(data, run):
    class Watched(SoftmaxNet):
        watches = "metric.accuracy"
        values = iter([0.0, np.nan, np.nan, 0.1])

        def evaluate_rows(self, data, order):
            return super().evaluate_rows(data, order) | {"metric.accuracy": next(self.values)}

    recipe = replace(RECIPE, epochs=3, monitor=Monitor("metric.accuracy", True))
    train(Watched(), data, recipe, run, Watch())
    assert progress_of(run.best).epoch == 3


def test_patience_stops_a_training_that_gets_no_better(data, run):
    class Stuck(SoftmaxNet):
        def evaluate_rows(self, data, order):
            return super().evaluate_rows(data, order) | {"loss": 1.0}

    recipe, watch = replace(RECIPE, patience=2), Watch()
    assert train(Stuck(), data, recipe, run, watch) == "early"
    assert len(watch.epochs) == 3
    again = Stuck()
    assert train(again, data, recipe, run, Watch(), restore(run.last, again)) == "early"
    assert not again.calls


def test_epochs_without_improvement_are_counted_for_the_schedule(data, run, tmp_path):
    class Stale(SoftmaxNet):
        losses = iter(())

        def train(self, data, order, first_step, steps_per_epoch, total_steps, stale):
            seen.append((first_step // steps_per_epoch, stale))
            return super().train(data, order, first_step, steps_per_epoch, total_steps, stale)

        def evaluate_rows(self, data, order):
            return super().evaluate_rows(data, order) | {"loss": next(self.losses, 9.0)}

    def trained(run, losses, progress=None, should_stop=lambda: False):
        net = Stale()
        net.losses = iter(losses)
        if progress is not None:
            progress = restore(run.last, net)
        return net, train(net, data, RECIPE, run, Watch(), progress, should_stop)

    seen = []
    # the first loss is that of the call that compiles
    whole, _ = trained(run, [9, 1, 2, 0.5, 0.5, 3, 0.1])
    assert sorted(set(seen)) == [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (5, 3)]

    seen.clear()
    other = create(tmp_path / "other", run.record, {"model.dl": b"model iris {}"})
    trained(other, [9, 1, 2, 0.5, 0.5, 3, 0.1], should_stop=lambda: len(seen) and seen[-1][0] == 4)
    resumed, _ = trained(other, [9, 3, 0.1], progress=True)
    assert sorted(set(seen)) == [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (5, 3)]
    assert same(whole, resumed)


def test_without_validation_the_training_loss_decides(data, run):
    train(SoftmaxNet(), Data({"training": data.training}), RECIPE, run, Watch())
    rows = rows_of(run)
    assert all(row["val_loss"] == row["val_accuracy"] == "" for row in rows)
    best = min(rows, key=lambda row: float(row["train_loss"]))
    assert progress_of(run.best).epoch == int(best["epoch"])
    assert values_of(run.metrics, int(best["epoch"]))[0] == "train"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_stops_the_training_and_keeps_the_weights_before_it(
    data, run, bad
):
    class Diverging(SoftmaxNet):
        def train(self, data, order, first_step, *rest):
            records = super().train(data, order, first_step, *rest)
            step = 15 - first_step  # step 16, the second of epoch 3
            if 0 <= step < len(records):
                records[step:, 0] = bad
            return records

    watch, net = Watch(), Diverging()
    with pytest.raises(Diverged) as caught:
        train(net, data, RECIPE, run, watch)
    (found,) = caught.value.diagnostics
    assert caught.value.step == 16
    assert found.message == f"training stopped at step 16 (epoch 3): the loss is {bad}"
    assert "smaller learning rate" in found.help
    assert found.notes[1].endswith("holds the weights before step 16")
    restored = SoftmaxNet()
    progress = restore(run.last, restored)
    assert (progress.epoch, progress.step) == (2, 1) and len(watch.epochs) == 2
    assert net.diagnosed[1:] == (15, True) and len(net.diagnosed[0]) == 8
    # the weights are, bit for bit, those of a training that stopped there by itself
    well = SoftmaxNet()
    train(
        well,
        data,
        RECIPE,
        create(run.folder.parent, run.record, {}),
        Watch(),
        should_stop=Until(well, 15),
    )
    assert same(restored, well) and same(net, well)


class Until:
    """Stops a training after so many steps, which it takes one at a time."""

    def __init__(self, net, steps):
        self.net, self.steps = net, steps
        train = net.train
        net.train = lambda data, order, *rest: train(data, order[: net.batch], *rest)

    def __call__(self):
        return sum(count for _, count in self.net.calls) >= self.steps


@pytest.mark.parametrize("bad_step", [8, 11, 13, 14])
def test_weights_that_are_not_finite_are_traced_to_the_update_that_made_them(data, run, bad_step):
    class Broken(SoftmaxNet):
        def train(self, data, order, first_step, *rest):
            records = super().train(data, order, first_step, *rest)
            if first_step < bad_step <= first_step + len(records):
                self.params["dense1.bias"][1] = np.nan
            return records

    for part in (data, Data({"training": data.training})):
        net = Broken()
        with pytest.raises(Diverged) as caught:
            train(net, part, RECIPE, run, Watch())
        message = caught.value.diagnostics[0].message
        assert message == (
            f"training stopped at step {bad_step} (epoch 2): the updated weights are not finite"
        )
        progress = restore(run.last, SoftmaxNet())
        assert (progress.epoch, progress.step) == (1, bad_step - 8)
        assert all(np.isfinite(w).all() for w in net.params.values())
        assert net.diagnosed[1] == bad_step - 1


def test_a_validation_loss_that_is_not_finite_names_its_batch(data, run):
    class Failing(SoftmaxNet):
        def evaluate_rows(self, data, order):
            figures = super().evaluate_rows(data, order)
            return figures | ({"loss": np.inf} if 60 in order and self.calls else {})

    net = Failing()
    with pytest.raises(Diverged, match=r"at step 7 \(epoch 1\): the validation loss is inf"):
        train(net, data, RECIPE, run, Watch())
    rows, _, training = net.diagnosed
    assert 60 in rows and len(rows) <= net.batch and not training
    assert restore(run.last, SoftmaxNet()).step == 7


# Checkpoints


def test_a_checkpoint_gives_back_all_that_was_saved(tmp_path):
    net, other = SoftmaxNet(), SoftmaxNet()
    net.params["dense1.weight"] = np.asfortranarray(np.arange(12.0).reshape(3, 4))
    net.states["dense1.bias.v"] += 1
    progress = Progress(4, 2, 1.5, 0.25, 3, np.ones((2, 4)))
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, net, progress)
    back = restore(path, other)
    assert same(net, other)
    assert (back.epoch, back.step, back.seconds, back.best, back.best_epoch) == (4, 2, 1.5, 0.25, 3)
    assert (back.records == 1).all() and back.records.shape == (2, 4)
    assert os.listdir(tmp_path) == ["a.safetensors"]
    assert path.stat().st_mode & stat.S_IRUSR


def test_a_checkpoint_that_does_not_fit_names_the_parameter(tmp_path):
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, SoftmaxNet(), Progress())

    def said(change):
        net = SoftmaxNet()
        change(net)
        before = {name: array.copy() for name, array in net.params.items()}
        with pytest.raises(RunError) as caught:
            restore(path, net)
        assert all(np.array_equal(before[name], net.params[name]) for name in before)
        (found,) = caught.value.diagnostics
        assert found.name == "bad-run" and str(path) in found.message
        return f"{found.message} {found.help}"

    weight = "dense1.weight"
    assert "parameter `dense1.weight` is [3, 4] there, but [3, 5]" in said(
        lambda net: net.params.update({weight: np.zeros((3, 5))}))  # fmt: skip
    assert "is float64 there, but float32" in said(
        lambda net: net.params.update({weight: np.zeros((3, 4), np.float32)}))  # fmt: skip
    assert "it has no parameter `dense2.weight` there is parameter `dense1.weight`" in said(
        lambda net: net.params.update({"dense2.weight": np.zeros(3)}))  # fmt: skip
    assert "the model has no state `dense1.bias.v`" in said(
        lambda net: net.states.pop("dense1.bias.v"))  # fmt: skip


@pytest.mark.parametrize("keep", [0, 4, 60, 300, -1])
def test_a_damaged_checkpoint_is_refused(tmp_path, keep):
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, SoftmaxNet(), Progress())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RunError, match=r"a\.safetensors` is damaged"):
        restore(path, SoftmaxNet())


def test_files_of_others_and_missing_ones_are_refused(tmp_path):
    save_file({"w": np.zeros(3)}, tmp_path / "a.safetensors")
    with pytest.raises(RunError, match="was not written by specc"):
        restore(tmp_path / "a.safetensors", SoftmaxNet())
    with pytest.raises(RunError, match="there is no checkpoint"):
        restore(tmp_path / "b.safetensors", SoftmaxNet())


# Runs


def test_runs_are_numbered_on(tmp_path):
    assert [claim(tmp_path / "m").name for _ in range(3)] == ["1", "2", "3"]
    (tmp_path / "m" / "9").mkdir()
    (tmp_path / "m" / "notes").mkdir()
    assert claim(tmp_path / "m").name == "10"


def test_processes_that_start_at_once_get_runs_of_their_own(tmp_path):
    code = (
        "import sys; from pathlib import Path; from specc.runtime.run import claim\n"
        "print(*[claim(Path(sys.argv[1])).name for _ in range(20)])"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, tmp_path / "m"], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    names = [name for each in started for name in each.communicate()[0].split()]
    assert sorted(map(int, names)) == list(range(1, 61))


def test_a_run_is_opened_with_its_record(run):
    run.record.status = "finished"
    run.record.vocabularies = {"kind": ["a", "b"]}
    run.write()
    assert open_run(run.folder).record == run.record


def test_folders_that_are_no_runs_are_refused(tmp_path, run):
    with pytest.raises(RunError) as caught:
        open_run(tmp_path)
    assert caught.value.diagnostics[0].help == f"the newest run in it is `{run.folder}`"
    with pytest.raises(RunError, match="does not exist"):
        open_run(tmp_path / "nowhere")
    for content in ("{", "[]", '{"model": "a"}'):
        (run.folder / "run.json").write_text(content)
        with pytest.raises(RunError, match="is damaged"):
            open_run(run.folder)


def test_short_names_keep_metrics_and_terms_apart():
    columns = ("loss", "loss.mse", "loss.penalty", "metric.mse")
    assert short_names(columns) == {
        "loss": "loss", "metric.mse": "mse", "loss.mse": "loss.mse", "loss.penalty": "penalty",
    }  # fmt: skip
    assert short_names(("loss", "loss.mse")) == {"loss": "loss"}
