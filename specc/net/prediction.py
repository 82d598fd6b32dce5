"""Predictions: which programs run for so many rows, and calls that are kept ready for small ones.

prediction = Prediction(programs, ports)
prediction.run({"image": Column(images)})      # {"scores": [n, 10]}
prediction.quick({"image": images})            # the same for arrays that fit as they are, or None
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from threading import get_ident

import numpy as np

from specc.backend.machine import this_machine
from specc.backend.run import prepared
from specc.backend.run.fastest import Fastest
from specc.columns import Column
from specc.ir.plan import Plan
from specc.locks import COMPILER
from specc.net.arrays import count
from specc.net.programs import Programs
from specc.net.ready import MOST_PREPARED, is_small, rows_of
from specc.ops.random import Uniform
from specc.passes.division import shard_count
from specc.passes.prediction_batch import prediction_batch
from specc.pipeline import Kind

MOST_KNOWN = 1024  # numbers of rows for which it is known how many are predicted at once
FEW = 3  # rows that are predicted one by one: a vector for so few would be nearly empty


class Prediction:
    """The outputs of a model in inference mode."""

    def __init__(self, programs: Programs) -> None:
        self.programs, self.weights = programs, programs.weights
        self._program = programs.program
        self._ports = {port.name: port for port in self._program.ports}
        self._prepared: dict[int, Fastest | prepared.Prediction] = {}
        self._at_once: dict[int, int] = {}

    def run(
        self, data: Mapping[str, Column], slots: Mapping[str, np.ndarray] | None = None
    ) -> dict[str, np.ndarray]:
        """The outputs for all rows: name -> `[n, *shape]`.

        `slots`, from which streams go on, are changed.
        """
        rows, weights = count(data), self.weights
        batch = self.at_once(rows) if slots is None else self.programs.batch
        programs = self.programs.all_ready(Kind.PREDICT, data, batch, rows)
        is_own = slots is not None and any(
            np.may_share_memory(array, weights.slots[label]) for label, array in slots.items()
        )
        with weights.lock.writing if is_own else weights.lock.reading:
            _, found = self.programs.run_all(programs, data, np.arange(rows), slots=slots)
            outputs = {}
            for term in self._program.outputs:
                array = found.get(f"output.{term.name}")
                if array is None:  # the same for every example
                    shape = rows, *term.node.type.bound_shape
                    array = np.broadcast_to(weights.value(term.node), shape)
                outputs[term.name] = array.view(bool) if array.dtype == np.uint8 else array
            return outputs

    def at_once(self, rows: int) -> int:
        """The rows that a step of a prediction computes, of so many in all."""
        found = self._at_once.get(rows)
        if found is None:
            if len(self._at_once) >= MOST_KNOWN:
                self._at_once.clear()
            found = self._at_once[rows] = self._rows_at_once(rows)
        return found

    def _rows_at_once(self, rows: int) -> int:
        programs = self.programs
        if programs.sees_peers(Kind.PREDICT):
            return max(1, min(rows, programs.batch))
        nodes = programs.graph(Kind.PREDICT).nodes
        is_random = any(isinstance(node.op, Uniform) for node in nodes)
        if rows <= (1 if is_random else FEW):
            return 1
        if self.weights.slots or is_random:
            return programs.batch  # the outputs depend on it
        dtype = programs.dtype
        vector, item = this_machine().lanes(dtype), np.dtype(dtype).itemsize

        def planned(batch: int) -> Plan:
            return programs.plan(Kind.PREDICT, batch)

        graph = programs.graph(Kind.PREDICT)
        shards = programs.shards or shard_count(graph, rows, vector)
        return prediction_batch(rows, vector, shards, planned, item, programs.profile.l2)

    def quick(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        """The outputs for a few rows, of arrays that need no conversion.

        None if `run` is to be taken.
        """
        rows = rows_of(arrays)
        call = self._prepared.get(rows)
        if call is None:
            call = self._prepare(rows)
            if call is None:
                return None
        lock, me = self.weights.lock, get_ident()
        try:  # the same as `with lock.reading`, in a third of the time
            lock.readers.append(me)
            if lock.closed is not None:
                lock.wait(me)
            return call(arrays)
        finally:
            lock.readers.remove(me)
            if lock.closed is not None:
                lock.tell()

    def _prepare(self, rows: int) -> Fastest | prepared.Prediction | None:
        """A call for so many rows that is kept ready; None if there is none."""
        programs = self.programs
        if rows < 1 or self.weights.slots or len(self._prepared) >= MOST_PREPARED:
            return None
        if not is_small(self._program.ports, rows, programs.batch):
            return None
        batch = self.at_once(rows)
        if rows % batch and programs.sees_peers(Kind.PREDICT):
            return None  # the last step takes another program
        program = programs.compiled(Kind.PREDICT, batch)
        ports = [self._ports[name] for name in program.ports]
        others = [port for name, port in self._ports.items() if name not in program.ports]
        names = {f"output.{term.name}": term.name for term in self._program.outputs}
        emitted = {name for name, node in program.plan.emits if node.type.kind == "float"}
        if set(names) != emitted:
            return None
        with COMPILER:
            if rows not in self._prepared:
                # shards that share examples meet often, which is slow on a busy machine
                is_timed = program.plan.team and program.threads > 1
                made = partial(
                    prepared.Prediction, program, ports, names, rows, batch, programs.seed, others
                )
                self._prepared[rows] = Fastest([made(alone=True), made()]) if is_timed else made()
            return self._prepared[rows]
