"""The interface between the runtime and a compiled model.

data = {"image": Column(images, scale=1 / 255), "label": Column(labels)}
means = model.train(data, order, first_step=0, steps_per_epoch=938, total_steps=9380)
means[:, model.columns.index("loss")]        # the loss of each step
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np

from specc.recipe import Column, Port
from specc.source import Span

Values = dict[str, float | np.ndarray]
"""Losses and metrics by name; a metric may be an array."""


class Divided(NamedTuple):
    """How a batch is divided: shards of `size` examples each, of which this machine computes `own`.

    `own` is a range of the batch's examples. It may go beyond the last one of a partial batch.
    """

    size: int
    own: range


class CompiledModel(Protocol):
    """A model in machine code, with its weights.

    `params` and `states` are live: assigning into their arrays (`params["dense1.weight"][...] = w`)
    changes the model. Once both are restored, training continues bit for bit as it would have.
    """

    name: str
    ports: tuple[Port, ...]
    """Inputs and targets, with all sizes known."""
    batch: int
    examples_per_step: int
    """Those of a batch, or of all batches of a step that averages their gradients."""
    columns: tuple[str, ...]
    """The recorded scalars: "loss", then "loss.<name>" of each term, then "metric.<name>"."""
    record_width: int
    """The number of values that a step records."""

    @property
    def compile_seconds(self) -> float:
        """The seconds spent on compiling so far: a program is compiled when it is first needed."""
        ...

    @property
    def working_threads(self) -> int:
        """The threads that a batch is divided between."""
        ...

    @property
    def params(self) -> Mapping[str, np.ndarray]: ...

    @property
    def states(self) -> Mapping[str, np.ndarray]:
        """Optimizer state and running statistics, by path."""
        ...

    def train(
        self,
        data: Mapping[str, Column],
        order: np.ndarray,
        first_step: int,
        steps_per_epoch: int,
        total_steps: int,
        stale: float = 0,
    ) -> np.ndarray:
        """Take optimizer steps over the rows `order`, `examples_per_step` at a time.

        The last step may have fewer examples, and is exact. `first_step` is the number of steps
        done before; with `steps_per_epoch` and `total_steps` it gives a schedule its `step`,
        `epoch` and `progress`. `stale` is the number of evaluations that brought no improvement.
        The result does not depend on how training is divided into calls.

        Returns float64 `[steps, record_width]`: the mean of each recorded value over each step.
        Column 0 is the loss.
        """
        ...

    def lengths(self, data: Mapping[str, Column], total_steps: int) -> np.ndarray | None:
        """Return the length of each example, or None if bucketing by length is not worthwhile."""
        ...

    def divided(self, examples: int, training: bool = True) -> Divided:
        """Return how a batch of so many examples is divided, in training or in an evaluation.

        The shards depend on the model and the batch alone; `own` depends on the machines.
        """
        ...

    def evaluate_rows(self, data: Mapping[str, Column], order: np.ndarray) -> Values:
        """Return the exact values over all rows of `order`, in inference mode, by name."""
        ...

    def means_of(self, data: Mapping[str, Column], order: np.ndarray) -> np.ndarray:
        """Return the means of the records over all rows of `order`, in inference mode."""
        ...

    def report(self, means: np.ndarray) -> Values:
        """Return losses and metrics by name, computed from mean records over many steps.

        There is a number for each of `columns`, and an array for each metric that is not a number.
        """
        ...

    def watched(self, values: Values) -> float:
        """Return the value by which the best epoch is chosen: one of `values`, or the loss.

        It is the value that `monitor` names. By default it is the loss without penalties, which
        depend on the current weights.
        """
        ...

    def diagnose(
        self,
        data: Mapping[str, Column],
        rows: np.ndarray,
        step: int,
        steps_per_epoch: int,
        total_steps: int,
        stale: float = 0,
        training: bool = True,
    ) -> Finding | None:
        """Return why a step over one batch is not finite, or None if no operation is to blame.

        The model must be as it was before that step. Without `training`, the step is an
        evaluation.
        """
        ...


class StepModel(Protocol):
    """A model of one time step that carries its states from call to call."""

    ports: tuple[Port, ...]

    @property
    def slots(self) -> Mapping[str, np.ndarray]:
        """The states of each stream, [batch, *shape]."""
        ...

    def predict_rows(
        self, data: Mapping[str, Column], slots: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Return the outputs of one time step, [n, *shape] each, and update `slots` in place."""
        ...


class Finding(Protocol):
    """The first operation whose result is not finite."""

    @property
    def span(self) -> Span | None: ...

    @property
    def what(self) -> str: ...

    @property
    def notes(self) -> tuple[str, ...]: ...
