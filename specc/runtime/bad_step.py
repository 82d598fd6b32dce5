"""Finds the step at which a training stopped being finite, and the state before it.

    bad = bad_step(net, replay, start=120, end=188)

Nothing is kept for this while training goes well: the steps since the last checkpoint are repeated,
which gives the same bits, and the weights are looked at in between.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from specc.runtime.checkpoint import not_finite, tensors
from specc.runtime.compiled import CompiledModel


def bad_step(net: CompiledModel, replay: Callable[[int, int], None], start: int, end: int) -> int:
    """The first step whose update is not finite, or `end` if there is none before it.

    The model stands before step `start`, with finite weights; `replay(a, b)` does the steps from a
    up to b. Afterwards the model stands before the step that is returned.
    """
    kept = _copied(net)
    replay(start, end)
    if is_finite(net):
        return end
    while end - start > 1:
        middle = (start + end) // 2
        _put_back(net, kept)
        replay(start, middle)
        if is_finite(net):
            start, kept = middle, _copied(net)
        else:
            end = middle
    _put_back(net, kept)
    return start


def is_finite(net: CompiledModel) -> bool:
    """Return whether a checkpoint of the model would be finite: `not_finite`."""
    return not_finite(tensors(net)) is None


def _copied(net: CompiledModel) -> list[dict[str, np.ndarray]]:
    return [
        {path: array.copy() for path, array in arrays.items()}
        for arrays in (net.params, net.states)
    ]


def _put_back(net: CompiledModel, kept: list[dict[str, np.ndarray]]) -> None:
    for arrays, values in zip((net.params, net.states), kept, strict=True):
        for path, value in values.items():
            arrays[path][...] = value
