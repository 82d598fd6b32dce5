"""Find the step at which training stopped being finite, and the state before it.

    bad = bad_step(net, replay, start=120, end=188)

Training keeps nothing for this. The steps since the last checkpoint are repeated, which gives the
same bits, and a binary search over them looks at the weights in between.
"""

from __future__ import annotations

from collections.abc import Callable

from specc.runtime.checkpoint import not_finite, tensors
from specc.runtime.compiled import CompiledModel
from specc.runtime.snapshot import Snapshot


def bad_step(net: CompiledModel, replay: Callable[[int, int], None], start: int, end: int) -> int:
    """Return the first step whose update is not finite, or `end` if there is none before it.

    The model must be as it was before step `start`, with finite weights. `replay(a, b)` runs steps
    a to b - 1. On return, the model is as it was before the returned step.
    """
    kept = _Kept(net)
    replay(start, end)
    if is_finite(net):
        return end
    while end - start > 1:
        middle = (start + end) // 2
        kept.restore()
        replay(start, middle)
        if is_finite(net):
            start, kept = middle, _Kept(net)
        else:
            end = middle
    kept.restore()
    return start


def is_finite(net: CompiledModel) -> bool:
    """Return whether a checkpoint of the model would be finite: `not_finite`."""
    return not_finite(tensors(net)) is None


class _Kept:
    """A copy of a model's parameters and states."""

    def __init__(self, net: CompiledModel) -> None:
        self._net = net
        self._params, self._states = Snapshot(net.params.items()), Snapshot(net.states.items())

    def restore(self) -> None:
        self._params.restore(self._net.params)
        self._states.restore(self._net.states)
