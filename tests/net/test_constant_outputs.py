"""Outputs that no example changes."""

from __future__ import annotations

import numpy as np
import pytest

import specc
from specc.source import Source

TEXT = """model m {
  input x: float[3]
  param p: float[3] = 0.5
  let kept = dropout(p; 0.3)
  output kept
  loss sum(x * p)
}
train { optimizer sgd(lr = 0.1) }
"""


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_dropout_of_a_parameter_passes_it_on_in_a_prediction(rows):
    net = specc.compile(specc.load(Source("m.dl", TEXT)), batch=4, threads=1, seed=0)
    found = net.forward(x=np.ones((rows, 3), np.float32))["kept"]
    np.testing.assert_array_equal(found, np.full((rows, 3), 0.5, np.float32))


@pytest.mark.parametrize("formula", ["normal(sum(p)) + sum(p)", "uniform(p) - p"])
def test_random_numbers_for_all_examples_may_be_an_output(formula):
    text = f"model m {{ input x: float[3] param p: float[2] = ones output y = {formula} output x }}"
    net = specc.compile(specc.loads(text), batch=2)
    for rows in (1, 3):
        found = net.forward(x=np.ones((rows, 3)))["y"]
        assert len(found) == rows and np.isfinite(found).all()
        assert (found == found[0]).all()
