"""Schedules stay within the bounds of their settings.

Found when checking, or the run stops there.
"""

from __future__ import annotations

import numpy as np
import pytest

import specc
from specc import driver
from specc.diagnostics import SpecError
from specc.source import Source

TEXT = """model m {{ input x: float[3] let y = x -> dense(2) output y loss l2(y) }}
train {{ optimizer momentum(lr = {lr}, mu = {mu}) epochs = {epochs} }}"""


def check(lr="0.1", mu="0.9", epochs=10):
    return driver.check(Source("m.dl", TEXT.format(lr=lr, mu=mu, epochs=epochs)))


@pytest.mark.parametrize("lr", [
    "cosine(0.1, 0)", "plateau(0.1)", "warmup(ramp(0.1, 0.001; over=10);"
                                      " over=2)", "exponential(0.1)",
    "0.1 * 0.5 ^ floor(epoch / 5)", "if step < 5 then 0.1 else 0.01", "0.1 - 1e-5 * step",
    "piecewise(0.1, piecewise(0.01, 0.001; at=20); at=10)", "abs(sin(step)) + sigmoid(epoch)",
    "0.1 * (epoch % 2) + 0.01", "0.1 / (1 + step // 3)", "if step % 2 == 0 then 0.1 else 0.01",
])  # fmt: skip
def test_good_schedules_pass(lr):
    program, found = check(lr)
    assert found == [] and [each.setting for each in program.limits] == ["lr"]


@pytest.mark.parametrize(("lr", "mu", "epochs", "message"), [
    ("0.1 - 0.02 * epoch", "0.9", 10, "`lr` must be >= 0, but is -0.0008 at epoch 5.04"),
    ("0.1 - 0.02 * epoch", "0.9", 5, None),
    ("0.1", "2 * progress", 1, "`mu` must be < 1, but is 1 at progress 0.5"),
    ("0.1", "ramp(0.5, 1; over=100)", 1000, "`mu` must be < 1, but is 1 at epoch 100"),
    ("0.1 / epoch", "0.9", 10, "`lr` is not a finite number at epoch 0"),
    ("(0.5 - progress) ^ 0.5", "0.9", 10, "`lr` is not a finite number at progress 0.504"),
    ("0.1 - 0.05 * step", "0.9", 2, None),
    ("0.1 - 0.05 * step", "0.9", 4, "`lr` must be >= 0, but is -0.05 at step 3"),
    ("0.1 - step % 3 * 0.05", "0.9", 2, None),
    ("0.05 - step % 3 * 0.05", "0.9", 4, "`lr` must be >= 0, but is -0.05 at step 2"),
    ("0.1 - 0.05 * (step // 2)", "0.9", 8, "`lr` must be >= 0, but is -0.05 at step 6"),
    ("0.1 * (1 % epoch)", "0.9", 8, "`lr` is not a finite number at epoch 0"),
    ("1 - stale", "0.9", 4, "`lr` must be >= 0, but is -1 after 2 stale epochs"),
])  # fmt: skip
def test_a_schedule_that_leaves_its_bounds_is_a_mistake_of_the_file(lr, mu, epochs, message):
    _, found = check(lr, mu, epochs)
    assert [each.message for each in found] == ([message] if message else [])


def test_a_run_stops_where_the_steps_lead_a_schedule_out_of_its_bounds():
    program, found = check("0.1 - 0.01 * step")
    assert found == []
    net = specc.compile(program, batch=4)
    x = np.ones((4, 3))
    for _ in range(11):
        net.step(x=x)
    before = net.params["dense1.weight"].copy()
    with pytest.raises(SpecError, match=r"`lr` must be >= 0, but is -0.01 at step 11") as error:
        net.step(x=x)
    assert error.value.diagnostics[0].span.text == "0.1 - 0.01 * step"
    assert (net.params["dense1.weight"] == before).all()
