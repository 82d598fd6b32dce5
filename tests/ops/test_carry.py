"""The states of a loop, one step after the other."""

from __future__ import annotations

import numpy as np
import pytest

from specc.ops.carry import Carry


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_a_state_is_what_the_step_before_has_left(steps, backward):
    op = Carry("h", steps, (3,), backward)
    following = np.random.default_rng(0).standard_normal((5, steps, 3))
    initial = np.arange(3.0)
    found = op.reference((), initial, following)
    for step in range(steps):
        before = step + 1 if backward else step - 1
        wanted = following[:, before] if 0 <= before < steps else np.broadcast_to(initial, (5, 3))
        np.testing.assert_array_equal(found[:, step], wanted)
