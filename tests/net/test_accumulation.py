"""`batch = 32 * 4`: a step of several batches, compared with one batch of all their examples."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import specc as package
from specc.ir.kind import Kind

OPTIMIZERS = {
    "sgd": "sgd(lr = 0.3)",
    "momentum": "momentum(lr = 0.1 * (1 - progress), mu = 0.9)",
    "adamw": "adamw(lr = 0.01 * 0.5 ^ floor(epoch), weight_decay = 0.1)",
    "amsgrad": "amsgrad(lr = 0.02)",
    "adafactor": "adafactor(lr = 0.05)",
}
RNG = np.random.default_rng(4)
X = RNG.normal(size=(53, 3))
Y = (X[:, 0] - X[:, 1] > 0).astype(int) + (X[:, 2] > 1)


def text(batch: str, optimizer: str = "sgd(lr = 0.3)", more: str = "", loss: str = "") -> str:
    return f"""model m {{
  input x: float[3]
  target y: class(3)
  let hidden = x -> dense(5) -> tanh
  let s = hidden -> dense(3)
  output s
  loss cross_entropy(s, y)
  {loss}
  metric accuracy(s, y)
}}
train {{ optimizer {optimizer} epochs = 3 batch = {batch} {more} }}
"""


def nets(pieces: str, whole: str, *rest: str, **options):
    """The same model with a step in several batches, and in one."""
    options = {"dtype": "float64", "threads": 1, **options}
    return [
        package.compile(package.loads(text(batch, *rest)), **options) for batch in (pieces, whole)
    ]


def assert_close(first, second, tolerance=1e-10):
    for part in ("params", "states"):
        ours, theirs = getattr(first, part), getattr(second, part)
        assert list(ours) == list(theirs)
        for name, array in ours.items():
            np.testing.assert_allclose(array, theirs[name], tolerance, tolerance, err_msg=name)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("threads", [1, 2])
def test_several_batches_train_like_one_of_all_examples(optimizer, threads):
    loss = "loss penalty = 1e-2 * l2(weights)"
    more = "clip_norm = 0.05 average = 0.9"
    ours, one = nets("4 * 3", "12", optimizer, more, loss, threads=threads)
    assert (ours.batch, ours.examples_per_step, one.examples_per_step) == (4, 12, 12)
    data = {"x": X, "y": Y}  # 53 examples: the last step has a batch of 4 and one of 1
    first, second = (net.fit(data, epochs=3) for net in (ours, one))
    assert ours.steps_done == one.steps_done == 15
    assert_close(ours, one)
    for a, b in zip(first, second, strict=True):
        assert a.step == b.step and a.training == pytest.approx(b.training, rel=1e-9)


@pytest.mark.parametrize("rows", [1, 3, 4, 5, 11, 12])
def test_a_step_on_given_examples_is_one_update(rows):
    ours, one = nets("4 * 3", "12", "adam(lr = 0.01)", "clip_norm = 0.1")
    for _ in range(3):
        losses = [net.step(x=X[:rows], y=Y[:rows]) for net in (ours, one)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-10)
    assert ours.steps_done == 3
    assert_close(ours, one)


def test_frozen_parameters_and_several_optimizers_are_as_in_one_batch():
    rest = "sgd(lr = 0.1)", "optimizer adam(lr = 0.01) for dense1 freeze dense2.bias"
    ours, one = nets("2 * 4", "8", *rest)
    for net in (ours, one):
        net.fit({"x": X, "y": Y}, epochs=2)
    assert_close(ours, one)
    np.testing.assert_array_equal(ours.params["dense2.bias"], 0)


def test_values_of_a_step_are_computed_for_one_of_its_batches_at_a_time():
    ours, one = nets("16 * 8", "128")
    for net in (ours, one):
        net.step(x=np.tile(X, (3, 1))[:128], y=np.tile(Y, 3)[:128])
    ours_bytes, one_bytes = ours.plan(Kind.ACCUMULATE), one.plan(Kind.TRAIN)
    total = [each.arena_bytes * each.shards for each in (ours_bytes, one_bytes)]
    assert total[0] < total[1] / 3
    assert Kind.TRAIN not in {kind for kind, _, _ in ours.programs.compiled_ones}


def test_running_statistics_and_dropout_are_those_of_the_batches():
    source = """model m {{
      input x: float[3] target y: float
      let z = x -> dense(4) -> batchnorm -> relu -> dropout(0.5) -> dense(1) -> flatten
      output z loss mse(z[0], y)
    }}
    train {{ optimizer sgd(lr = 0) batch = {} }}"""
    ours, four = (
        package.compile(package.loads(source.format(batch)), dtype="float64", threads=1)
        for batch in ("4 * 2", "4")
    )
    y = X[:8, 0]
    loss = ours.step(x=X[:8], y=y)
    losses = [four.step(x=X[rows], y=y[rows]) for rows in (slice(0, 4), slice(4, 8))]
    assert loss == pytest.approx(np.mean(losses), rel=1e-12)
    np.testing.assert_allclose(ours.states["batchnorm1.mean"], four.states["batchnorm1.mean"])
    assert ours.step(x=X[:8], y=y) != pytest.approx(loss)  # other masks


def test_windows_of_a_stream_follow_each_other_within_a_step():
    source = """seq time = 4
    model m {{
      stream a: class(5)[time]
      target b: class(5)[time]
      let s = a -> embed(3) -> gru(6) -> dense(5)
      output s loss cross_entropy(s, b)
    }}
    train {{ optimizer sgd(lr = {lr}) batch = {batch} }}"""
    ours = package.compile(
        package.loads(source.format(lr=0.1, batch="2 * 3")), dtype="float64", threads=1
    )
    alone = package.compile(
        package.loads(source.format(lr=0, batch="2")), dtype="float64", threads=1
    )
    symbols = np.random.default_rng(1).integers(0, 5, (2, 2, 3, 4))  # array, slot, window, step
    windows = symbols.transpose(0, 2, 1, 3)  # array, window, slot, step
    before = {name: array.copy() for name, array in ours.params.items()}
    losses = [alone.step(a=windows[0, k], b=windows[1, k]) for k in range(3)]
    loss = ours.step(a=windows[0].reshape(6, 4), b=windows[1].reshape(6, 4))
    assert loss == pytest.approx(np.mean(losses), rel=1e-12)
    for name, array in alone.slots.items():
        np.testing.assert_allclose(ours.slots[name], array, rtol=1e-12)
    assert any((ours.params[name] != array).any() for name, array in before.items())


def test_a_step_that_diverges_is_taken_back_and_its_cause_found():
    (ours,) = nets("4 * 3", "12")[:1]
    bad = X[:12].copy()
    bad[9, 1] = np.nan
    ours.step(x=X[:12], y=Y[:12])
    before = {name: array.copy() for name, array in ours.params.items()}
    with pytest.raises(package.Diverged, match="nan in the data"):
        ours.step(x=bad, y=Y[:12])
    for name, array in before.items():
        np.testing.assert_array_equal(ours.params[name], array)
    assert np.isfinite(ours.step(x=X[:12], y=Y[:12]))  # nothing of the bad step is left


def test_a_copy_goes_on_like_the_original():
    ours, _ = nets("4 * 3", "12", "adam(lr = 0.01)")
    ours.step(x=X[:12], y=Y[:12])
    copy = pickle.loads(pickle.dumps(ours))
    assert copy.examples_per_step == 12
    for net in (ours, copy):
        net.step(x=X[12:24], y=Y[12:24])
    assert_close(ours, copy, 0)


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", x=X, y=Y)
    path = tmp_path / "m.dl"
    path.write_text(
        text("4 * 3", "adam(lr = 0.02)").replace("train {", 'train { data npz("a.npz")')
    )
    return path


def test_a_run_that_stops_between_steps_goes_on_with_the_same_weights(file, specc, monkeypatch):
    from specc.runtime import train as loop

    whole = package.train("m.dl", epochs=3, quiet=True)
    seen = []

    def stop(self):
        seen.append(self.progress.step)
        return True

    with monkeypatch.context() as patch:
        patch.setattr(loop._Loop, "is_late", stop)
        stopped = package.train("m.dl", epochs=3, quiet=True)
    assert stopped.outcome == "time" and 0 < seen[-1] < 5
    assert specc("train", "--resume", stopped.folder, "-q")[0] == 0
    ends = [package.open(each.folder, which="last") for each in (whole, stopped)]
    assert_close(*ends, 0)
    steps = whole.metrics["step"]
    assert list(steps) == [5, 10, 15]  # 53 examples, 12 in a step


def test_commands_know_the_batches_of_a_step(file, specc):
    status, out, _ = specc("train", "m.dl", "--dry-run")
    assert status == 0 and "5 steps with up to 12 examples in 3 batches of 4," in out
    status, out, _ = specc("train", "m.dl", "batch=8*2", "--dry-run")
    assert "4 steps with up to 16 examples in 2 batches of 8," in out
    status, out, _ = specc("train", "m.dl", "batch=16", "--dry-run")
    assert "4 steps with up to 16 examples, on" in out
    assert specc("train", "m.dl", "-q")[0] == 0
    status, _, err = specc("train", "--resume", "@last", "batch=4*4")
    assert status == 1 and "the number of batches of a step of a run cannot change" in err
    assert package.open("@last").examples_per_step == 12
    assert package.open("@last", batch=5).examples_per_step == 5


def test_what_a_batch_may_be():
    assert package.loads(text("2 * 2 * 3")).recipe.batch == 4
    assert package.loads("const n = 3 " + text("8 * n")).recipe.accumulate == 3
    assert package.loads(text("2 * 3 + 6")).recipe.batch == 12
    for batch, message in (("0 * 4", "must be > 0"), ("2.5 * 4", "integer")):
        with pytest.raises(package.SpecError, match=message):
            package.loads(text(batch))
    with pytest.raises(package.SpecError, match=r"`batch = 32 \* 4` averages the gradients"):
        package.loads(text("32", more="accumulate = 4"))


def test_optimizers_that_take_turns_need_one_batch():
    source = """model m {
      input x: float[3] target y: float[1]
      let a = x -> dense(1)
      let b = stop_gradient(a) -> dense(1)
      output a
      loss first = mse(a, y)
      loss second = mse(b, y)
    }
    train {
      optimizer sgd(first; lr = 0.1) for dense1
      optimizer sgd(second; lr = 0.1) for dense2
      batch = 4 * 2
    }"""
    with pytest.raises(package.SpecError, match="take turns"):
        package.loads(source)
