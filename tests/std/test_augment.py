"""Words that change inputs while training: each against NumPy, and `augment` in training alone."""

from __future__ import annotations

import numpy as np
import pytest

import specc
from specc import driver
from specc.source import Source

N, SHAPE = 200, (2, 5, 7)
X = np.arange(N * 70.0).reshape(N, *SHAPE) + 1


def changed(formula):
    text = f"model m {{ input x: float[2, 5, 7] output y = {formula} }}"
    net = specc.compile(driver.load(Source("m.dl", text)), batch=40, dtype="float64", seed=3)
    return net.forward(x=X)["y"]


def distinct(results):
    return len({each.tobytes() for each in results})


def test_noise_has_the_deviation_and_no_mean():
    found = changed("noise(x; 0.5)") - X
    np.testing.assert_allclose([found.mean(), found.std()], [0, 0.5], atol=0.02)


def test_flip_turns_about_half_of_the_examples():
    found = changed("flip(x)")
    turned = (found == X[..., ::-1]).reshape(N, -1).all(axis=1)
    same = (found == X).reshape(N, -1).all(axis=1)
    assert (turned ^ same).all() and 70 < turned.sum() < 130
    assert (changed("flip(x; 1)") == X[..., ::-1]).all()


def test_shift_moves_rows_and_columns_and_fills_with_zeros():
    found = changed("shift(x; 2)")
    padded = np.pad(X, ((0, 0), (0, 0), (2, 2), (2, 2)))
    seen = set()
    for before, after in zip(padded, found, strict=True):
        moves = [
            (a, b)
            for a in range(5)
            for b in range(5)
            if (before[:, a : a + 5, b : b + 7] == after).all()
        ]
        assert len(moves) == 1
        seen.update(moves)
    assert len(seen) == 25


def test_crop_enlarges_a_part_to_the_nearest_elements():
    found = changed("crop(x; 0.5)")
    for before, after in zip(X, found, strict=True):
        rows = [int(np.argmax((before[0] == value).any(axis=1))) for value in after[0, :, 0]]
        columns = [int(np.argmax((before[0] == value).any(axis=0))) for value in after[0, 0]]
        assert (before[:, rows][:, :, columns] == after).all()
        for steps, size in ((np.diff(rows), 5), (np.diff(columns), 7)):
            assert ((steps == 0) | (steps == 1)).all() and steps.sum() + 1 >= size // 2
    assert distinct(found - X) > 100


def test_cutout_sets_a_square_to_zero():
    found = changed("cutout(x; 3)")
    for before, after in zip(X, found, strict=True):
        gone = after == 0
        assert (gone[0] == gone[1]).all() and (after[~gone] == before[~gone]).all()
        rows, columns = gone[0].any(axis=1), gone[0].any(axis=0)
        assert 2 <= rows.sum() <= 3 and 2 <= columns.sum() <= 3
        assert gone[0].sum() == rows.sum() * columns.sum()
    assert distinct(found == 0) > 20


AUGMENTED = """
model m {
  input  x: float[2, 5, 7]
  target y: class(3)
  let scores = x -> flatten -> dense(3)
  output scores
  output seen = x
  loss   cross_entropy(scores, y)
}
train { augment x = x -> shift(1) -> noise(0.1)  optimizer sgd(lr = 0.0001) }
"""
PLAIN = AUGMENTED.replace("augment x = x -> shift(1) -> noise(0.1)", "")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_augment_holds_in_training_alone_and_follows_from_the_seed(dtype):
    x, y = X[:50] / 1e4, np.arange(50) % 3
    nets = [
        specc.compile(driver.load(Source("m.dl", text)), batch=50, dtype=dtype, seed=seed)
        for text, seed in ((PLAIN, 0), (AUGMENTED, 0), (AUGMENTED, 0), (AUGMENTED, 1))
    ]
    weights = dict(nets[0].params)
    for net in nets:
        net.set_params(weights)
    outputs = [net.forward(x=x) for net in nets]
    assert all((each["scores"] == outputs[0]["scores"]).all() for each in outputs)
    assert all((each["seen"] == x.astype(dtype)).all() for each in outputs)
    losses = [net.loss_and_gradients(x=x, y=y)[0] for net in nets]
    assert losses[0] != losses[1] == losses[2] != losses[3]


def test_augment_draws_the_same_for_any_number_of_threads():
    x, y = X[:50] / 1e4, np.arange(50) % 3
    program = driver.load(Source("m.dl", AUGMENTED))
    one, two = (specc.compile(program, batch=50, threads=threads) for threads in (1, 2))
    for net in (one, two):
        net.step(x=x, y=y)
    for name in one.params:
        np.testing.assert_allclose(one.params[name], two.params[name], atol=1e-10)


def sheared(x, d):
    """x [channels, height, width] with row i moved to the right by round(d[i])."""
    found = np.zeros_like(x)
    for row, step in enumerate(np.floor(np.asarray(d) + 0.5).astype(int)):
        for column in range(x.shape[2]):
            if 0 <= column - step < x.shape[2]:
                found[:, row, column] = x[:, row, column - step]
    return found


def rotated(x, degrees):
    angle = np.radians(degrees)
    down, across = (np.arange(size) - (size - 1) / 2 for size in x.shape[1:])
    rows = -np.tan(angle / 2) * down
    first = sheared(x, rows)
    second = sheared(first.transpose(0, 2, 1), np.sin(angle) * across).transpose(0, 2, 1)
    return sheared(second, rows)


def test_shear_moves_every_row_by_its_own_number():
    d = np.random.default_rng(0).normal(size=(N, 5)) * 3
    text = "model m { input x: float[2, 5, 7] input d: float[5] output y = shear(x, d) }"
    net = specc.compile(driver.load(Source("m.dl", text)), batch=40, dtype="float64")
    found = net.forward(x=X, d=d)["y"]
    assert (found == np.stack([sheared(*each) for each in zip(X, d, strict=True)])).all()


def test_rotate_turns_by_an_angle_within_the_bounds():
    found = changed("rotate(x; 30)")
    angles = np.linspace(-30, 30, 601)
    turned = np.stack([rotated(np.arange(70).reshape(SHAPE), each) for each in angles])
    seen = []
    for before, after in zip(X[:60], found, strict=False):
        pixels = np.where(after > 0, after - before.min(), 0)
        same = (turned == pixels).reshape(len(angles), -1).all(axis=1)
        if same.any():  # an interval of angles may lie between two of the list
            seen.append(angles[np.argmax(same)])
    assert len(seen) >= 55 and min(seen) < -20 and max(seen) > 20
    assert distinct(changed("rotate(x; 1)") - X) == 1  # no pixel moves by half a step


MIXED = """
model m {
  input  x: float[2, 5, 7]
  target y: class(3)
  let mixed, t = mixup(x, one_hot(y); alpha = 0.4)
  let scores = mixed -> flatten -> dense(3)
  output scores
  loss   soft_cross_entropy(scores, t)
  metric accuracy(scores, y)
}
train { optimizer sgd(lr = 0.01) }
"""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [1, 3, 41])
def test_mixup_changes_training_alone(rows, dtype):
    x, y = X[:rows] / 1e4, np.arange(rows) % 3
    net = specc.compile(driver.load(Source("m.dl", MIXED)), batch=50, dtype=dtype, seed=1)
    assert net.meanings["scores"].holds == "scores"
    scores = net.forward(x=x)["scores"].astype(float)  # the target is not needed
    plain = np.log(np.exp(scores).sum(1)) - scores[np.arange(rows), y]
    found = net.evaluate({"x": x, "y": y})
    assert found["loss"] == pytest.approx(plain.mean(), rel=1e-6)
    loss, _ = net.loss_and_gradients(x=x, y=y)
    assert np.isfinite(loss)
    assert (abs(loss - plain.mean()) > 1e-4) == (rows > 1)  # one example is mixed with itself


def test_mixup_draws_anew_in_each_step_and_the_same_for_any_number_of_threads():
    x, y = X[:50] / 1e4, np.arange(50) % 3
    program = driver.load(Source("m.dl", MIXED))
    losses = []
    for threads in (1, 2):
        net = specc.compile(program, batch=50, threads=threads, dtype="float64")
        start = dict(net.params)
        start = {name: array.copy() for name, array in start.items()}
        losses.append([])
        for _ in range(3):
            net.set_params(start)
            losses[-1].append(net.step(x=x, y=y))
    assert len(set(losses[0])) == 3
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-12)


def test_the_shares_of_mixup_are_finite_for_every_alpha():
    for alpha in ("0.001", "0.1", "1", "1000"):
        text = f"model m {{ input x: float[70] output y = symmetric_beta(x; {alpha}) }}"
        for dtype in ("float32", "float64"):
            net = specc.compile(driver.load(Source("m.dl", text)), batch=40, dtype=dtype)
            found = net.forward(x=X.reshape(N, 70))["y"]
            assert ((found >= 0) & (found <= 1)).all()
            assert abs(found.mean() - 0.5) < 0.03
