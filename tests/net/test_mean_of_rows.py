"""The gradient of a mean of looked-up rows, against the formula in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import specc
from specc.ir.kind import Kind

TEXT = """model m {{ input words: class({rows})[{count}] target y: float[{size}]
  param table: float[{rows}, {size}] = normal
  loss mse(mean(table[words]; axis = 0), y) }} train {{ optimizer sgd(lr = 0.1) }}"""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [1, 3, 64])
@pytest.mark.parametrize(("rows", "count", "size"), [(9, 40, 64), (20_000, 7, 64), (12_000, 5, 37)])
def test_each_row_gets_the_gradient_of_the_mean(rows, count, size, batch, dtype):
    program = specc.loads(TEXT.format(rows=rows, count=count, size=size))
    net = specc.compile(program, batch=batch, dtype=dtype, threads=2)
    rng = np.random.default_rng(0)
    words, y = rng.integers(0, rows, (batch, count)), rng.standard_normal((batch, size))
    table = np.array(net.params["table"], np.float64)
    error = table[words].mean(1) - y
    wanted = np.zeros_like(table)
    each = 2 * error / error.size / count
    np.add.at(wanted, words, np.repeat(each[:, None], count, 1))
    loss, gradients = net.loss_and_gradients(words=words, y=y)
    tolerance = 2e-6 if dtype == "float32" else 1e-14
    assert loss == pytest.approx((error**2).mean(), rel=1e-5)
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(gradients["table"], wanted, rtol=0, atol=tolerance * scale * count)
    net.step(words=words, y=y)
    np.testing.assert_allclose(
        net.params["table"], table - 0.1 * wanted, rtol=1e-5 if dtype == "float32" else 1e-13
    )


def test_the_values_are_not_copied_for_each_word():
    net = specc.compile(specc.loads(TEXT.format(rows=20_000, count=40, size=64)), batch=64)
    steps = str(net.plan(Kind.TRAIN))
    assert "same" in steps and "Copy(float[40, 64] per example)" not in steps
