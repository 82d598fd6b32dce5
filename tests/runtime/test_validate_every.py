"""`validate_every`: evaluations within epochs choose the best weights, and count for patience."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import specc as package
from specc.runtime.best import best_of
from specc.runtime.checkpoint import progress_of
from specc.runtime.run import open_run

TEXT = """model m {{
  input x: float[6]
  target y: class(2)
  let s = x -> dense(2)
  output s
  loss cross_entropy(s, y)
  metric accuracy(s, y)
}}
train {{
  data npz("a.npz") validate npz("b.npz")
  optimizer sgd(lr = {lr})
  epochs = {epochs} batch = 4 validate_every = {every} {more}
}}
"""
RNG = np.random.default_rng(0)


@pytest.fixture
def train(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, count in (("a", 80), ("b", 40)):
        x = RNG.normal(size=(count, 6))
        y = (x[:, 0] + RNG.normal(size=count) > 0).astype(int)
        np.savez(f"{name}.npz", x=x, y=y)

    def trained(lr="2", epochs=4, every=3, more="", **options):
        (tmp_path / "m.dl").write_text(TEXT.format(lr=lr, epochs=epochs, every=every, more=more))
        return package.train("m.dl", quiet=True, **options)

    return trained


def all_losses(folder):
    """The validation loss after each evaluation, by the number of steps."""
    found = {}
    for name in ("evaluations.csv", "metrics.csv"):
        for row in csv.DictReader((folder / name).open()):
            found[int(row["step"])] = float(row["val_loss"])
    return dict(sorted(found.items()))


def test_the_best_weights_may_be_those_of_the_midst_of_an_epoch(train):
    for lr in ("2 * 0.9 ^ step", "0.02 * 1.4 ^ step"):  # the loss falls; it falls and rises
        run = train(lr)
        losses = all_losses(run.folder)
        assert list(losses) == sorted({*range(3, 80, 3), 20, 40, 60, 80})
        at = min(losses, key=losses.get)
        best = best_of(open_run(run.folder))
        assert best.step == at and best.is_within == (at % 20 != 0)
        assert best.epoch == -(-at // 20) == run.summary.best_epoch
        assert best.metrics["loss"] == pytest.approx(losses[at]) == run.summary.metrics["loss"]
        held_out = {name: np.load("b.npz")[name] for name in ("x", "y")}
        assert run.net.evaluate(held_out)["loss"] == pytest.approx(losses[at], rel=1e-6)


def test_patience_counts_evaluations(train):
    run = train("3 * step", epochs=30, more="patience = 4")  # worse and worse
    losses = all_losses(run.folder)
    best = best_of(open_run(run.folder)).step
    after = [step for step in losses if step > best]
    assert run.outcome == "early" and len(after) == 4
    last = progress_of(open_run(run.folder).last)
    assert 20 * last.epoch + last.step == after[-1] and last.waited == 4
    plain = train("3 * step", epochs=30, every=1000, more="patience = 4")
    assert plain.summary.epochs > run.summary.epochs


def test_a_plateau_sees_evaluations_and_a_resumed_run_the_same_ones(train, specc, monkeypatch):
    from specc.runtime import train as loop

    lr = "plateau(2; factor = 0.5, patience = 2)"
    whole = train(lr)
    slower = train(lr, every=1000)
    weights = [package.open(each.folder, which="last").params["dense1.weight"]
               for each in (whole, slower)]  # fmt: skip
    assert (weights[0] != weights[1]).any()
    seen = []

    def stop(self):
        seen.append(self.progress.step)
        return len(seen) == 9

    with monkeypatch.context() as patch:
        patch.setattr(loop._Loop, "is_late", stop)
        stopped = train(lr)
    assert stopped.outcome == "time"
    assert specc("train", "--resume", stopped.folder, "-q")[0] == 0
    for which in ("last", "best"):
        first, second = (package.open(each.folder, which=which) for each in (whole, stopped))
        for name, array in first.params.items():
            np.testing.assert_array_equal(array, second.params[name])
    assert all_losses(whole.folder) == all_losses(stopped.folder)


def test_the_result_names_the_step(train, specc):
    train("0.02 * 1.4 ^ step")
    status, out, _ = specc("train", "m.dl")
    best = best_of(open_run(Path(out.split()[-1])))
    assert status == 0 and best.is_within
    assert f"best validation after step {best.step}, in epoch {best.epoch}: loss" in out
    assert any(line.startswith("step 3 ") for line in out.splitlines())


def test_a_checkpoint_of_before_knows_how_long_it_has_waited(train):
    import json

    from safetensors import safe_open
    from safetensors.numpy import save_file

    from specc.runtime.checkpoint import CHECKSUM, checksum

    run = train("3 * step", epochs=5, every=1000)
    path = open_run(run.folder).last
    with safe_open(path, framework="np") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    progress = json.loads(metadata["progress"])
    waited = progress.pop("waited")
    progress.pop("best_step")
    metadata["progress"] = json.dumps(progress)
    del metadata[CHECKSUM]
    save_file(tensors, path, metadata | {CHECKSUM: checksum(tensors, metadata)})
    assert progress_of(path).waited == waited == 5 - progress["best_epoch"]
