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
