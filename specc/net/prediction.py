"""Predictions: which programs run for so many rows, and calls that are kept ready for small ones.

prediction = Prediction(programs, ports)
prediction.run({"image": Column(images)})      # {"scores": [n, 10]}
prediction.quick({"image": images})            # the same for arrays that fit as they are, or None
"""

from __future__ import annotations

from collections.abc import Mapping
from threading import get_ident

import numpy as np

from specc.backend.machine import this_machine
from specc.backend.run.prepared import Fastest, Prepared
from specc.columns import Column
from specc.ir import sizes
from specc.ir.plan import Plan
from specc.locks import COMPILER
from specc.net.arrays import count
from specc.net.programs import Programs
from specc.ops.flops import flops
from specc.ops.random import Uniform
from specc.passes.prediction_batch import prediction_batch
from specc.passes.team import suits
from specc.pipeline import Kind
from specc.recipe import Port

FLOPS_WORTH_A_TEAM = 4e5  # of one example, from which threads share the work on it
MOST_PREPARED = 16  # calls that are kept ready, each for another number of rows
QUICK = 1024  # most rows of a call that is kept ready
QUICK_ELEMENTS = 1 << 23  # most elements of the inputs of such a call
FEW = 3  # rows that are predicted one by one: a vector for so few would be nearly empty


class Prediction:
    """The outputs of a model in inference mode."""

    def __init__(self, programs: Programs) -> None:
        self.programs, self.weights = programs, programs.weights
        self._program = programs.program
        self._ports = {port.name: port for port in self._program.ports}
        self._prepared: dict[int, Fastest] = {}

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

        return prediction_batch(rows, vector, programs.threads, planned, item)

    def is_for_team(self, plan: Plan, batch: int) -> bool:
        """Whether a team may be faster than a plan at a prediction for so many rows at once."""
        threads = self.programs.threads
        if threads == 1:
            return False
        if batch == 1:
            return sizes.bound(flops(plan.graph.nodes)) >= FLOPS_WORTH_A_TEAM
        return suits(plan.graph, batch, threads, this_machine().lanes(self.programs.dtype))

    def quick(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        """The outputs for a few rows, of arrays that need no conversion.

        None if `run` is to be taken.
        """
        first = next(iter(arrays.values()), None)
        rows = len(first) if type(first) is np.ndarray and first.ndim else 0
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

    def _prepare(self, rows: int) -> Fastest | None:
        """A call for so many rows that is kept ready; None if there is none."""
        programs = self.programs
        if (
            not 0 < rows <= max(QUICK, programs.batch)
            or self.weights.slots
            or len(self._prepared) >= MOST_PREPARED
        ):
            return None
        batch = self.at_once(rows)
        if rows % batch and programs.sees_peers(Kind.PREDICT):
            return None  # the last step takes another program
        program = programs.compiled(Kind.PREDICT, batch)
        ports = [self._ports[name] for name in program.ports]
        names = {f"output.{term.name}": term.name for term in self._program.outputs}
        emitted = {name for name, node in program.plan.emits if node.type.kind == "float"}
        if set(names) != emitted or any(port.kind == "bool" for port in ports):
            return None
        if rows > programs.batch and rows * sum(map(_elements, ports)) > QUICK_ELEMENTS:
            return None  # memory that is kept
        with COMPILER:
            if rows not in self._prepared:
                made = [program]
                if self.is_for_team(program.plan, batch):
                    made.append(programs.compiled(Kind.PREDICT, batch, team=True))
                self._prepared[rows] = Fastest(
                    [Prepared(each, ports, names, rows, batch, programs.seed) for each in made]
                )
            return self._prepared[rows]


def _elements(port: Port) -> int:
    return int(np.prod(port.shape, dtype=np.int64))
