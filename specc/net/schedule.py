"""The optimizer's settings for a range of training steps, computed in advance.

schedule = Schedule(program.limits, programs.settings_graph)
table = schedule(first=0, steps=100, steps_per_epoch=50, total=1000)     # float64 [100, settings]
"""

from __future__ import annotations

import numpy as np

from specc.backend.reference import evaluate
from specc.diagnostics import Diagnostic, SpecError
from specc.ir.graph import Graph
from specc.ir.program import Limit

AHEAD = 256  # fewest steps whose settings are computed together, for short epochs


class Schedule:
    """The settings as functions of step, epoch, progress and stale, and their bounds."""

    def __init__(self, limits: tuple[Limit, ...], settings: Graph) -> None:
        self._limits, self._settings = limits, settings
        self._known: tuple[tuple[int, int, float], int, np.ndarray] | None = None
        self._table, self._first = np.empty((0, 0)), -1  # settings of a range, and its first step
        self._address: int | None = None

    def address(self, step: int) -> int | None:
        """Return the address of a step's settings, without epochs.

        None if a step near it has a setting outside of its bounds.
        """
        first = step - step % AHEAD
        if first != self._first:
            try:
                self._table = self(first, AHEAD)
                self._address = self._table.ctypes.data
            except SpecError:
                self._address = None
            self._first = first
        if self._address is None:
            return None
        return self._address + (step - first) * self._table.strides[0]

    def __call__(
        self, first: int, steps: int, steps_per_epoch: int = 0, total: int = 0, stale: float = 0
    ) -> np.ndarray:
        """Return the settings of each step, float64 [steps, settings].

        Raises SpecError if one leaves its bounds.
        """
        moment = (steps_per_epoch, total, stale)
        if self._known is not None:
            known, start, table = self._known
            if known == moment and start <= first and first + steps <= start + len(table):
                return table[first - start : first - start + steps]
        try:
            found = self._computed(
                first, min(max(steps, AHEAD), max(total - first, steps)), *moment
            )
        except SpecError:  # perhaps of a later step
            return self._computed(first, steps, *moment)
        self._known = moment, first, found
        return found[:steps]

    def _computed(
        self, first: int, steps: int, steps_per_epoch: int, total: int, stale: float
    ) -> np.ndarray:
        step = np.arange(first, first + steps, dtype=float)
        moments = {
            ("schedule", "step"): step,
            ("schedule", "epoch"): step / steps_per_epoch if steps_per_epoch else 0 * step,
            ("schedule", "progress"): step / total if total else 0 * step,
            ("schedule", "stale"): 0 * step + stale,
        }
        for limit in self._limits:
            found = evaluate(Graph({"value": limit.node}), moments)["value"]
            check_limit(limit, np.broadcast_to(found, steps), first)
        values = evaluate(self._settings, moments)
        table = np.empty((steps, len(values)))
        for name, value in values.items():
            table[:, int(name)] = value
        return table


def check_limit(limit: Limit, values: np.ndarray, first: int) -> None:
    """Raise SpecError if a scheduled setting leaves its bounds.

    `first` is the step of `values[0]`.
    """
    holds = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}
    rules = [
        (f"must be {sign} {bound:g}", holds[sign](values, bound)) for sign, bound in limit.bounds
    ]
    for rule, is_good in [("must be a finite number", np.isfinite(values)), *rules]:
        if not is_good.all():
            at = int(np.argmin(is_good))
            message = f"`{limit.setting}` {rule}, but is {values[at]:.4g} at step {first + at}"
            raise SpecError([Diagnostic("bad-setting", "error", message, limit.span)])
