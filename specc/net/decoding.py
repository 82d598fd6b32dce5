"""Targets that a model generates itself, step by step: a caption, a translation.

decoding = Decoding(programs, prediction)
decoding.write({"picture": Column(x)})      # {"name": int32 [n, steps]}
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from specc.net.arrays import count
from specc.net.prediction import FEW, Prediction
from specc.net.programs import Programs
from specc.net.step_by_step import StepByStep
from specc.passes.stepwise import stepwise
from specc.pipeline import Job, Kind, after, forward, run
from specc.recipe import Column, Port
from specc.runtime.decode import Scores, decode, scores_name, targets_read
from specc.system.locks import COMPILER


class Decoding:
    """The decoders of a model, each compiled when it is first needed."""

    def __init__(self, programs: Programs, prediction: Prediction) -> None:
        self.programs, self.prediction = programs, prediction
        self._ports = programs.program.ports
        self.decoders: dict[tuple[str, int], StepByStep | None] = {}

    @property
    def written(self) -> list[Port]:
        """The targets that the outputs read, and that `write` generates: by name."""
        return targets_read(self._ports, self.programs.compiled(Kind.PREDICT).ports)

    def needed(self) -> list[str]:
        """The ports that the caller must give: those of a prediction, without generated targets."""
        own = {name for port in self.written for name in (port.name, *self._lengths(port))}
        return [name for name in self.programs.compiled(Kind.PREDICT).ports if name not in own]

    def _lengths(self, port: Port) -> list[str]:
        return [each.name for each in self._ports if each.length_of == port.name]

    def write(
        self,
        data: Mapping[str, Column],
        temperature: float = 0.0,
        seed: int = 0,
        ends: Mapping[str, int] | None = None,
    ) -> dict[str, np.ndarray]:
        """Return the generated targets, int32 [n, steps]: see `specc.runtime.decode.decode`."""
        with self.programs.weights.lock.reading:
            return decode(
                self.prediction.run,
                self.written,
                self._ports,
                data,
                temperature,
                seed,
                ends,
                self.step_by_step,
            )

    def step_by_step(self, port: Port, data: Mapping[str, Column]) -> Scores | None:
        """Return a function that scores a target's symbols step by step for the examples of `data`.

        It does not repeat earlier steps. None if a step is not a formula of its own.
        """
        batch = 1 if count(data) <= FEW else self.programs.batch
        key = port.name, batch
        if key not in self.decoders:
            with COMPILER:
                if key not in self.decoders:
                    with self.programs.clock.running():
                        self.decoders[key] = self._made(port, batch)
        found = self.decoders[key]
        return None if found is None else found.over(data)

    def _made(self, port: Port, batch: int) -> StepByStep | None:
        program, programs = self.programs.program, self.programs
        shapes = {term.name: term.node.type.bound_shape for term in program.outputs}
        name = scores_name(port, shapes)
        lowered = after("select", forward(program, training=False))
        graph = run(Job(program, Kind.EVALUATE), lowered, "simplify").graph
        parts = stepwise(graph, port.name, f"output.{name}")
        if parts is None:
            return None
        return StepByStep(parts, port, batch, programs.dtype, programs.seed, programs.of_graph)
