"""Orders of examples."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from specc.runtime.order import SPLIT, permutation


@given(st.integers(-(2**70), 2**70), st.integers(0, 2**64 - 1), st.integers(0, 300))
def test_a_permutation_holds_every_number_once(seed, stream, count):
    assert sorted(permutation(seed, stream, count)) == list(range(count))


def test_an_order_depends_on_seed_and_epoch_alone():
    assert (permutation(1, 2, 50) == permutation(1, 2, 50)).all()
    for other in (permutation(1, 3, 50), permutation(2, 2, 50), permutation(1, SPLIT, 50)):
        assert (permutation(1, 2, 50) != other).any()


def test_orders_are_the_same_on_every_machine():
    assert permutation(0, 0, 8).tolist() == [0, 2, 1, 5, 4, 3, 6, 7]


def test_orders_are_close_to_uniform():
    first = np.array([permutation(0, epoch, 5)[0] for epoch in range(1000)])
    assert (np.bincount(first, minlength=5) > 150).all()
