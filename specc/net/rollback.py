"""Copies of a model's arrays at intervals, which are restored after a step that diverged.

    back = Rollback(weights.lasting, flops=3e8)
    back.keep(step, version)      # before a step: copies the arrays if a copy is due
    back.restore()                # puts the copy back, and returns the step that follows it

A training step changes the weights in place, so when its loss turns out to be NaN the weights
before it are gone. A copy before every step would cost up to a third of the step. The interval
follows from the model's sizes alone, so the same training goes back to the same step on every
machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from specc.ir.names import OutputKind, kind_of
from specc.runtime.snapshot import Snapshot, is_sound

SHARE = 0.005  # share of the time of training steps that copies may take
COPY_RATE = 4e9  # lower bound of the rate of a copy and its check, in bytes per second
COPY_CALL = 5e-6  # seconds that each array adds to a copy
STEP_RATE = 1e12  # upper bound of the rate of a step, in FLOPs per second
STEP_CALL = 20e-6  # lower bound of the time of a step, in seconds
LONGEST = 1000  # most steps between two copies


def interval(sizes: list[int], flops: float) -> int:
    """Return the number of steps between two copies of arrays of these sizes, in bytes."""
    copy = sum(sizes) / COPY_RATE + COPY_CALL * len(sizes)
    step = max(flops / STEP_RATE, STEP_CALL)
    return min(LONGEST, max(1, math.ceil(copy / step / SHARE)))


class Rollback:
    """The last copy of a model's arrays; `flops` are those of a training step.

    `lasting` returns the live arrays by name. They are asked for again each time, because whoever
    holds an array might write into it (see `Arrays.version`).
    """

    def __init__(self, lasting: Callable[[], dict[str, np.ndarray]], flops: float) -> None:
        self._lasting = lasting
        self._every = interval([array.nbytes for array in lasting().values()], flops)
        self._copies = Snapshot()
        self._step, self._next = 0, 0
        self._version, self._was_changed = -1, False

    def keep(self, step: int, version: int) -> bool:
        """Copy the arrays if that is due before step `step`; False if they are no longer finite.

        `version` differs from the one that `stepped` was given if somebody else may have written
        into the arrays: then a copy is due, unless that is so at every step.
        """
        is_changed = version != self._version
        is_due = not self._copies or not self._step <= step < self._next
        if is_due or (is_changed and not self._was_changed):
            live = self._lasting()
            if not all(
                is_sound(array, kind_of(name) != OutputKind.PARAM) for name, array in live.items()
            ):
                return not self._copies
            self._copies.take(live.items())
            self._step, self._next = step, step + self._every
        self._was_changed = is_changed and not is_due
        return True

    def stepped(self, version: int) -> None:
        """Note the version of the arrays after a step."""
        self._version = version

    def restore(self) -> int:
        """Put the copy back; returns the number of the step before which it was taken."""
        self._copies.restore(self._lasting())
        return self._step
