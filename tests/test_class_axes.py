"""Axes of classes and truth values, `class(7)[4]`: all that is checked is compiled and trained."""

from __future__ import annotations

import numpy as np
import pytest

import specc
from specc import driver
from specc.source import Source

TEXT = """
model m {
  input  x: class(7)[4]
  input  b: bool[4]
  input  t: class(7)[4]
  target label: class(7)[2]
  target flag: bool[3]
  param  table: float[7, 3] = normal
  let e = table[x]
  let pieces = concat(x[0] -> embed(3), one_hot(x[-1]), flatten(e))
  let y = pieces -> dense(14) -> reshape(2, 7)
  output y
  output x
  output rows = e
  output same = x == t
  output three = x == 3
  output pick = if b then x else t
  output first = x[0]
  output tail = b[1:]
  output middle = x[1:3]
  loss cross_entropy(y[0], label[0]) + cross_entropy(y[1], label[1])
  loss sum(if flag then 1 else y[0, 0:3] * y[0, 0:3])
  loss sum(if x == t then e[:, 0] else 0)
  metric accuracy(y[0], label[0])
}
train { optimizer sgd(lr = 0.05) }
"""


def data(count=20):
    rng = np.random.default_rng(0)
    x, t = rng.integers(0, 7, (2, count, 4))
    return {"x": x, "t": t, "b": rng.random((count, 4)) < 0.5, "label": x[:, :2],
            "flag": rng.random((count, 3)) < 0.5}  # fmt: skip


@pytest.mark.parametrize("threads", [1, 2])
def test_axes_of_classes_are_compiled_as_they_are_written(threads):
    net = specc.compile(driver.load(Source("m.dl", TEXT)), batch=8, threads=threads, shards=threads)
    given = data()
    x, t, b = given["x"], given["t"], given["b"]
    found = net.forward(x=x, t=t, b=b)
    wanted = {"x": x, "same": x == t, "three": x == 3, "pick": np.where(b, x, t), "first": x[:, 0],
              "tail": b[:, 1:], "middle": x[:, 1:3], "rows": net.params["table"][x]}  # fmt: skip
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_a_model_learns_from_axes_of_classes():
    net = specc.compile(driver.load(Source("m.dl", TEXT)), batch=20)
    losses = [net.step(**data()) for _ in range(60)]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize(("use", "help_"), [
    ("x -> embed(3)", "`x[0]` is the first of them"),
])  # fmt: skip
def test_words_of_one_class_say_how_to_take_one_of_an_axis(use, help_):
    text = f"model m {{ input x: class(7)[4] output y = {use} }}"
    _, (found,) = driver.check(Source("m.dl", text))
    assert found.help == help_
