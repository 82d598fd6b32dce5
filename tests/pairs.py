"""Which combinations of parameters are tested each time, and which by `python -m pytest -m long`
alone.

@pytest.mark.parametrize(("threads", "dtype", "batch"), pairwise([1, 2], ["float32", "float64"], [1,
9])) @pytest.mark.parametrize(("name", "dtype"), in_turn(NETWORKS, ["float64", "float32"]))
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

import pytest


def pairwise(*axes: Iterable, name: Callable = str, every: bool = False) -> list:
    """All combinations of the axes' values, as parameters of a test.

    A few of them hold every pair of values of any two axes: almost every fault shows in one of
    those. All others are marked `long`, unless `every` one is wanted. `name` gives a value's name
    in that of the test.
    """
    values = [list(each) for each in axes]
    chosen = set() if every else _chosen([len(each) for each in values])
    made = []
    for at in itertools.product(*(range(len(each)) for each in values)):
        row = [each[i] for each, i in zip(values, at, strict=True)]
        marks = () if at in chosen or every else pytest.mark.long
        made.append(pytest.param(*row, marks=marks, id="-".join(map(name, row))))
    return made


def in_turn(axis: Iterable, *others: Iterable, name: Callable = str) -> list:
    """All combinations of the axes' values, as parameters of a test.

    Each value of the first axis is tested with one combination of the others, the next value with
    the next combination. All others are marked `long`.
    """
    combinations = list(itertools.product(*others))
    return [
        pytest.param(
            value,
            *rest,
            marks=() if at == number % len(combinations) else pytest.mark.long,
            id="-".join(map(name, (value, *rest))),
        )
        for number, value in enumerate(axis)
        for at, rest in enumerate(combinations)
    ]


def _chosen(sizes: Sequence[int]) -> set[tuple[int, ...]]:
    """Combinations of positions that hold every pair.

    Always the one next that holds the most new pairs.
    """
    bits: dict[tuple, int] = {}  # one for each pair
    held: dict[tuple[int, ...], int] = {}  # the bits of a combination's pairs
    for each in itertools.product(*map(range, sizes)):
        pairs = itertools.combinations(enumerate(each), 2)
        held[each] = sum(bits.setdefault(pair, 1 << len(bits)) for pair in pairs)
    left = (1 << len(bits)) - 1
    chosen: set[tuple[int, ...]] = set()
    while left:
        best = max(held, key=lambda each: (held[each] & left).bit_count())
        left &= ~held[best]
        chosen.add(best)
    return chosen
