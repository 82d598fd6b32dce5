"""Targets that a model generates itself, step by step: a caption, a translation.

decoding = Decoding(programs, prediction)
decoding.write({"picture": Column(x)})      # {"name": int32 [n, steps]}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from specc.backend.run.program import CompiledProgram
from specc.ir.graph import Graph
from specc.ir.kind import Kind
from specc.net.arrays import count
from specc.net.prediction import FEW, Prediction
from specc.net.programs import Programs
from specc.net.step_by_step import Reading, StepByStep
from specc.passes.stepwise import Stepwise, stepwise
from specc.pipeline import Job, after, forward, run
from specc.recipe import Column, Port
from specc.runtime.decode import Beginnings, Scores, decode, first_scores, scores_name, targets_read
from specc.system.locks import COMPILER


class Decoding:
    """The decoders of a model, each compiled when it is first needed."""

    def __init__(self, programs: Programs, prediction: Prediction) -> None:
        self.programs, self.prediction = programs, prediction
        self._ports = programs.program.ports
        self.steps: dict[tuple[str, int], StepByStep | None] = {}

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
        beginnings: Mapping[str, Beginnings] = {},
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
                beginnings,
            )

    def step_by_step(self, port: Port, data: Mapping[str, Column]) -> Scores | None:
        """Return a function that scores a target's symbols step by step for the examples of `data`.

        It does not repeat earlier steps. None if a step depends on symbols that are not known yet.
        """
        found = self.reading(port, data, count(data))
        if found is None:
            return None

        def scores_at(step: int, before: np.ndarray) -> np.ndarray:
            if step == 0:
                found.start()
            return found.read(before)

        return scores_at

    def reading(self, port: Port, data: Mapping[str, Column], rows: int) -> Reading | None:
        """Return what reads texts of some examples step by step, an input or a generated target.

        None if a step depends on symbols that are not known yet.
        """
        batch = 1 if rows <= FEW else self.programs.batch
        key = port.name, batch
        if key not in self.steps:
            with COMPILER:
                if key not in self.steps:
                    self.steps[key] = self._made(port, batch)
        steps = self.steps[key]
        return None if steps is None else steps.over(data, rows)

    def _made(self, port: Port, batch: int) -> StepByStep | None:
        program, programs = self.programs.program, self.programs
        shapes = {term.name: term.node.type.bound_shape for term in program.outputs}
        scores = scores_name(port, shapes) if port.role == "target" else first_scores(port, shapes)
        if scores is None:
            return None
        name = f"output.{scores}"
        plain = replace(program, streams=())  # a text begins anew, and is as long as it becomes
        lowered = after("select", forward(plain, training=False))
        graph = run(Job(plain, Kind.EVALUATE), lowered, "simplify").graph
        if stepwise(graph, port.name, name) is None:
            return None

        def made(room: int) -> Stepwise:
            with programs.clock.running():
                found = stepwise(graph, port.name, name, room)
            assert found is not None
            return found

        def compiled(part: Graph, batch: int) -> CompiledProgram:
            with programs.clock.running():
                return programs.of_graph(part, batch)

        return StepByStep(made, port, batch, compiled, programs.seed)
