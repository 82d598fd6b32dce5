"""The values that a flow consists of, as plain data, and the norms that they are measured with.

rms(gradient)      # the root of the mean square of its elements
"""

from __future__ import annotations

from dataclasses import asdict, field
from typing import Any

import numpy as np

from specc.system.records import dataclass


@dataclass(frozen=True)
class LayerFlow:
    """A line of the table of layers.

    `activation` and `gradient` are rms per element, the gradient that of an example's loss for the
    layer's output; of a sequence it is that of the step where it is largest. `weights` is the norm
    of the layer's parameters, `weights_gradient` that of the mean loss for them. `relative` is the
    norm of that gradient over the last layer's: a map of many elements has small ones. `saturated`
    is the share of sigmoid and tanh values within 5% of their range's ends, `dead` the share of
    relu units that are 0 for every example. A value is None if the layer has no such units.
    """

    path: str
    text: str
    shape: tuple[int, ...]
    activation: float
    gradient: float | None
    relative: float | None
    weights: float | None
    weights_gradient: float | None
    saturated: float | None
    dead: float | None
    is_within_cell: bool = False


@dataclass(frozen=True)
class Matrix:
    """A square matrix that a state is multiplied with, and its largest |eigenvalue|."""

    name: str
    radius: float


@dataclass(frozen=True)
class CellFlow:
    """The states of a cell, step by step; every list has an entry for each step.

    `total` is the rms of the gradient of an example's loss for the state before the step. `carried`
    is the part of the gradient at step `start`, the last step with a gradient, that comes back to
    the step through the states alone. If every step has a loss of its own, `total` hides how much
    is lost on the way, and `carried` does not. `decay` is the factor per step that fits `carried`
    best. `jacobian` is the largest |eigenvalue| of d state after / d state before a step: the
    median over some steps of some examples.
    """

    path: str
    states: tuple[str, ...]
    steps: int
    start: int
    total: list[float]
    carried: list[float]
    decay: float | None
    matrices: tuple[Matrix, ...]
    jacobian: float | None

    @property
    def ratio(self) -> float:
        """The carried gradient at step 1, divided by the one at `start`."""
        return divided(self.carried[0], self.carried[self.start - 1])


@dataclass(frozen=True)
class Flow:
    """How gradients flow on one batch. `norm` is that of all gradients of trained parameters.

    `clipped_norm` is the norm after `clip_value` and `clip_norm`, None without them. `verdict` says
    in sentences what the values mean.
    """

    model: str
    examples: int
    loss: float
    layers: tuple[LayerFlow, ...]
    cells: tuple[CellFlow, ...]
    norm: float
    clip_norm: float | None
    clip_value: float | None
    clipped_norm: float | None
    verdict: list[str] = field(default_factory=list)

    def to_record(self) -> dict[str, Any]:
        """Return all values as plain data, with None for infinity and NaN, which JSON lacks."""
        record = asdict(self)
        for cell, made in zip(self.cells, record["cells"], strict=True):
            made["ratio"] = cell.ratio
        return _plain(record)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def norm(*arrays: np.ndarray) -> float:
    """Return the Euclidean norm of all elements, even if their squares overflow."""
    largest = max((float(np.abs(each).max()) for each in arrays if each.size), default=0.0)
    if not np.isfinite(largest) or largest == 0:
        return largest
    return largest * float(np.sqrt(sum(np.sum((each / largest) ** 2) for each in arrays)))


def rms(*arrays: np.ndarray) -> float:
    """Return the root of the mean square of all elements."""
    count = sum(each.size for each in arrays)
    return norm(*arrays) / count**0.5 if count else 0.0


def divided(a: float, b: float) -> float:
    """Return a / b: infinity for b = 0, but 0 for 0 / 0."""
    return a / b if b else 0.0 if a == 0 else float("inf")
