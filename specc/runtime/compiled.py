"""The line between the runtime and a compiled model: what the one gives and the other takes.

data = {"image": Column(images, scale=1 / 255), "label": Column(labels)}
means = model.train(data, order, first_step=0, steps_per_epoch=938, total_steps=9380)
means[:, model.columns.index("loss")]        # the loss of each step
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from specc.columns import Column
from specc.recipe import Port
from specc.source import Span


class CompiledModel(Protocol):
    """A model in machine code, with its weights.

    `params` and `states` are live: assigning into their arrays (`params["dense1.weight"][...] = w`)
    changes the model. With both restored, training goes on exactly as it would have.
    """

    name: str
    ports: tuple[Port, ...]
    """Inputs and targets, all sizes bound."""
    batch: int
    columns: tuple[str, ...]
    """The recorded scalars: "loss", then "loss.<name>" of each term, then "metric.<name>"."""
    record_width: int
    """The numbers that a step records."""
    shards: int
    """The threads that a batch is divided between."""
    compile_seconds: float
    """So far: a program is compiled when it is first needed."""
    params: dict[str, np.ndarray]
    states: dict[str, np.ndarray]
    """The optimizer's memory and running statistics."""

    def train(
        self,
        data: dict[str, Column],
        order: np.ndarray,
        first_step: int,
        steps_per_epoch: int,
        total_steps: int,
        stale: float = 0,
    ) -> np.ndarray:
        """Optimizer steps over rows `order[0:batch]`, `order[batch:2 * batch]`, ...

        The last batch may be partial, and is exact. `first_step` is the number of steps done
        before: with the other two it gives `step`, `epoch` and `progress` of a schedule. `stale`
        is its number of epochs so far that brought no improvement. How a training is cut into calls
        changes nothing.

        Returns float64 `[steps, record_width]`, the means over each batch; the first is the loss.
        """
        ...

    def lengths(self, data: dict[str, Column], total_steps: int) -> np.ndarray | None:
        """The steps of each example, where batches of like length train faster; None elsewhere."""
        ...

    def evaluate(self, data: dict[str, Column], order: np.ndarray) -> dict[str, float]:
        """The exact figures over all rows of `order`, in inference mode, by name."""
        ...

    def report(self, means: np.ndarray) -> dict[str, float | np.ndarray]:
        """The figures that follow from means of the records over many steps: a number for each of
        `columns`, and an array for a metric that is none."""
        ...

    def watched(self, figures: dict[str, float]) -> float:
        """The value that chooses the best epoch, of figures with the weights of now: the one that
        `monitor` names, or the loss without penalties."""
        ...

    def predict(self, data: dict[str, Column]) -> dict[str, np.ndarray]:
        """The outputs for all rows, in inference mode: name -> `[n, *shape]`. Needs inputs only."""
        ...

    def diagnose(
        self,
        data: dict[str, Column],
        rows: np.ndarray,
        step: int,
        steps_per_epoch: int,
        total_steps: int,
        stale: float = 0,
        training: bool = True,
    ) -> Finding | None:
        """Why a step over one batch is not finite, with the model as it was before it: the place of
        the first such operation, and notes. Without `training`, of an evaluation."""
        ...


class Finding(Protocol):
    """The first operation whose result is not finite."""

    span: Span | None
    what: str
    notes: tuple[str, ...]
