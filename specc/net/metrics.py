"""Losses and metrics of a model, from the means over batches that its programs record.

metrics = Metrics(program)
metrics.columns                 # ("loss", "loss.cross_entropy", "metric.accuracy")
metrics.report(means)           # {"loss": 0.31, ...}
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from specc.backend.reference import evaluate
from specc.ir.names import OutputKind, kind_of
from specc.ir.program import Program
from specc.net.weights import Weights
from specc.passes import lower


class MetricColumns:
    """The columns of a model's report, computed from the numbers that its programs record."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._means, self._formulas = lower.metric_means(program)
        losses = [f"loss.{term.name}" for term in program.losses]
        scalars = [name for name, node in self._formulas.outputs.items() if not node.type.shape]
        self.columns = (*(["loss"] if losses else []), *losses, *scalars)
        self.record_width = (
            bool(losses)
            + len(losses)
            + sum(node.type.bound_elements for node in self._means.values())
        )

    def report(self, means: np.ndarray) -> dict[str, float | np.ndarray]:
        """Return losses and metrics from means over the data: `columns`, and metrics with axes."""
        losses = len(self._program.losses)
        names = [name for name in self.columns if kind_of(name) != OutputKind.METRIC]
        values = dict(zip(names, means.tolist(), strict=False))
        start = losses + bool(losses)
        leaves = {}
        for name, node in self._means.items():
            count = node.type.bound_elements
            leaves["mean", name] = means[start : start + count].reshape(node.type.bound_shape)
            start += count
        for name, value in evaluate(self._formulas, leaves).items():
            values[name] = float(value) if np.ndim(value) == 0 else value
        return values

    def watched(self, values: Mapping[str, float | np.ndarray], weights: Weights) -> float:
        """Return the value that chooses the best epoch.

        It is the one that `monitor` names, or the loss without penalties on weights.
        """
        program = self._program
        if program.recipe.monitor is not None:
            return float(values[program.recipe.monitor.column])
        whole, added = lower.penalties(program)
        if (not whole and not added.outputs) or len(whole) == len(program.losses):
            return float(values["loss"])
        with weights.lock.reading:
            leaves = {("param", path): array for path, array in weights.params.items()}
            penalties = evaluate(added, leaves)
        return sum(
            float(values[f"loss.{term.name}"]) for term in program.losses if term.name not in whole
        ) - float(sum(penalties.values()))
