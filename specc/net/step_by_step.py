"""A decoder that runs one time step at a time, and keeps the states of all examples.

steps = StepByStep(stepwise(graph, "word", "output.scores"), port, 32, "float32", compiled)
scores_at = steps.over(data)                 # runs the encoder
scores_at(0, word[:, 0]), scores_at(1, word[:, 0]), ...     # [n, classes] each
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from specc.backend.run.program import CompiledProgram
from specc.ir.graph import Graph
from specc.ir.names import OutputKind, kind_of
from specc.ops.leaf import Input, Role
from specc.passes.stepwise import BEGIN, Stepwise
from specc.recipe import Column, Port
from specc.runtime.decode import Scores


class StepByStep:
    """Both parts of a decoder, compiled."""

    def __init__(
        self,
        parts: Stepwise,
        port: Port,
        batch: int,
        dtype: str,
        seed: int,
        compiled: Callable[[Graph, int], CompiledProgram],
    ):
        self.port, self.by_step = port, parts.by_step
        self.batch, self.dtype, self.seed = batch, dtype, seed
        self._before = compiled(parts.before, batch) if parts.before.outputs else None
        self._step = compiled(parts.step, batch)
        (self._scores,) = (name for name in parts.step.outputs if kind_of(name) != OutputKind.SLOT)
        self._slots = {
            node.op.label: node.type.shape
            for node in parts.step.nodes
            if isinstance(node.op, Input) and node.op.role == Role.SLOT
        }

    def over(self, data: Mapping[str, Column]) -> Scores:
        """Return a function that scores the symbols of some examples, step by step."""
        rows, batch = len(next(iter(data.values())).array), self.batch
        kept: dict[str, np.ndarray] = {}
        if self._before is not None:
            _, kept = self._before.run(data, np.arange(rows), batch, seed=self.seed)
        begin, symbol = np.ones(rows, np.uint8), np.zeros(rows, np.int32)
        columns = {BEGIN: Column(begin), self.port.name: Column(symbol)}
        columns.update(
            {name: Column(array) for name, array in kept.items() if name not in self.by_step}
        )
        slots = [
            {label: np.zeros((batch, *shape), self.dtype) for label, shape in self._slots.items()}
            for _ in range(0, rows, batch)
        ]

        def scores_at(step: int, before: np.ndarray) -> np.ndarray:
            begin[:], symbol[:] = step == 0, before
            for name in self.by_step:
                columns[name] = Column(np.ascontiguousarray(kept[name][:, step]))
            found = []
            for number, start in enumerate(range(0, rows, batch)):
                order = np.arange(start, min(start + batch, rows))
                _, outputs = self._step.run(
                    columns, order, batch, seed=self.seed, slots=slots[number]
                )
                found.append(outputs[self._scores])
            return np.concatenate(found)

        return scores_at
