"""Orders of examples."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from specc.runtime.order import SPLIT, grouped, permutation


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


@given(st.integers(0, 1000), st.integers(1, 9), st.integers(0, 3))
def test_a_grouped_order_holds_every_example_once(count, batch, seed):
    lengths = np.random.default_rng(seed).integers(1, 60, 2 * count + 1)
    order = 2 * permutation(seed, 1, count)
    found = grouped(order, lengths, batch, seed, 1)
    assert sorted(found) == sorted(order)
    assert (found == grouped(order, lengths, batch, seed, 1)).all()
    whole = count // batch * batch
    assert (found[whole:] == order[whole:]).all()  # the partial batch stays the last


def test_a_grouped_order_has_less_padding_and_its_batches_at_random():
    lengths = np.random.default_rng(0).integers(1, 60, 3200)
    order = permutation(0, 0, 3200)
    longest = lengths[grouped(order, lengths, 32, 0, 0)].reshape(-1, 32).max(axis=1)
    assert longest.mean() < 40 < 55 < lengths[order].reshape(-1, 32).max(axis=1).mean()
    assert abs(np.corrcoef(longest, np.arange(100))[0, 1]) < 0.3


def test_examples_of_much_the_same_length_stay_in_their_order():
    lengths = np.random.default_rng(0).integers(50, 60, 3200)
    order = permutation(0, 0, 3200)
    assert (grouped(order, lengths, 32, 0, 0) == order).all()
