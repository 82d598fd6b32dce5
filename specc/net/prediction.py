"""Predictions: the choice of programs for a number of rows, and prepared calls for few rows.

prediction = Prediction(programs, ports)
prediction.run({"image": Column(images)})      # {"scores": [n, 10]}
prediction.quick({"image": images})            # equal, for arrays that need no conversion, or None
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from threading import get_ident

import numpy as np

from specc.backend.machine import this_machine
from specc.backend.run import prepared
from specc.backend.run.fastest import Fastest
from specc.backend.run.program import CompiledProgram
from specc.backend.run.ranks import Ranks
from specc.ir.kind import Kind
from specc.ir.plan import Plan
from specc.net.arrays import count
from specc.net.programs import Programs, Sequence
from specc.net.ready import MOST_PREPARED, is_small
from specc.ops.random import Uniform
from specc.recipe import Column
from specc.system.lazy import cached_property
from specc.system.locks import COMPILER

MOST_KNOWN = 1024  # most numbers of rows whose division into batches is remembered
MOST_SHARDS = 4  # most shards of a batch, because memory is reused from batch to batch
FEW = 3  # up to this many rows are predicted one by one: a vector would be nearly empty


class Prediction:
    """The outputs of a model in inference mode."""

    def __init__(self, programs: Programs) -> None:
        self.programs, self.weights = programs, programs.weights
        self.ranks: Ranks | None = None  # the processes that share each prediction of many rows
        self._program = programs.program
        self._ports = {port.name: port for port in self._program.ports}
        self._prepared: dict[int, Fastest | prepared.PreparedPrediction] = {}
        self._at_once: dict[int, tuple[int, int | None]] = {}

    def run(
        self,
        data: Mapping[str, Column],
        slots: Mapping[str, np.ndarray] | None = None,
        seed: int | None = None,
        order: np.ndarray | None = None,
    ) -> dict[str, np.ndarray]:
        """Return the outputs for the rows `order`, by default all: name -> `[n, *shape]`.

        Random numbers follow from the `seed`, by default the net's. `slots`, from which streams go
        on, are changed.
        """
        order, weights = np.arange(count(data)) if order is None else order, self.weights
        rows = len(order)
        programs = self._ready(data, rows, None if slots is None else self.programs.batch)
        is_own = slots is not None and any(
            np.may_share_memory(array, weights.slots[label]) for label, array in slots.items()
        )
        with weights.lock.writing if is_own else weights.lock.reading:
            if self.ranks is not None and len(programs) == 1 and not weights.slots:
                found = self._by_ranks(self.ranks, programs[0], data, order, seed)
            else:
                _, found = self.programs.run_all(programs, data, order, slots=slots, seed=seed)
            outputs = {}
            for term in self._program.outputs:
                array = found.get(f"output.{term.name}")
                if array is None:  # all examples share the value
                    node = self.programs.graph(Kind.PREDICT).outputs[f"output.{term.name}"]
                    array = np.broadcast_to(weights.value(node), (rows, *node.type.bound_shape))
                outputs[term.name] = array.view(bool) if array.dtype == np.uint8 else array
            return outputs

    def _by_ranks(
        self,
        ranks: Ranks,
        program: tuple[CompiledProgram, int],
        data: Mapping[str, Column],
        order: np.ndarray,
        seed: int | None,
    ) -> dict[str, np.ndarray]:
        """Return the outputs for some rows, of which each process computes some batches."""
        compiled, batch = program
        steps = -(-len(order) // batch)
        first, last = (steps * each // ranks.count for each in (ranks.rank, ranks.rank + 1))
        rows = order[first * batch : last * batch]
        _, own = self.programs.run(compiled, data, rows, batch, first=first, seed=seed)
        parts = ranks.comm.allgather(own)
        return {name: np.concatenate([each[name] for each in parts]) for name in own}

    def _ready(self, data: Mapping[str, Column], rows: int, batch: int | None) -> Sequence:
        """Return the programs for so many rows; `batch` is by default the best size."""
        programs = self.programs
        if batch is None and self.at_once(rows) == 1:
            batch, shards = 1, self._of_one[-1]
        else:
            batch, shards = (batch, None) if batch is not None else self._divided(rows)
        if programs.sees_peers(Kind.PREDICT):
            return programs.all_ready(Kind.PREDICT, data, batch, rows)
        return ((programs.ready(Kind.PREDICT, data, batch, shards), batch),)

    @cached_property
    def _of_one(self) -> tuple[int | None, ...]:
        """Return the numbers of shards with which one example can be predicted.

        They are one, and one for each thread, if that gives the bits of the planner's own choice.
        """
        programs = self.programs
        usual = programs.compiled(Kind.PREDICT, 1)
        if programs.shards or usual.plan.shards == 1:
            return (None,)
        wanted = (1, programs.threads) if programs.threads > 1 else (1,)
        return tuple(
            shards
            if shards != usual.plan.shards
            and programs.compiled(Kind.PREDICT, 1, shards).order_of_sums == usual.order_of_sums
            else None
            for shards in wanted
        )

    def at_once(self, rows: int) -> int:
        """Return the rows that a step of a prediction computes, of so many in all."""
        return self._divided(rows)[0]

    def _divided(self, rows: int) -> tuple[int, int | None]:
        """Return the rows that a step of a prediction computes, of so many, and their shards."""
        found = self._at_once.get(rows)
        if found is None:
            if len(self._at_once) >= MOST_KNOWN:
                self._at_once.clear()
            make = partial(self._rows_at_once, rows)
            found = self.programs.fact(Kind.PREDICT, f"at once {rows}", make)
            self._at_once[rows] = found
        return found

    def _rows_at_once(self, rows: int) -> tuple[int, int | None]:
        from specc.backend.contraction.tiled import USUAL
        from specc.passes.division import shard_count
        from specc.passes.prediction_batch import prediction_batch

        programs = self.programs
        if programs.sees_peers(Kind.PREDICT):
            return max(1, min(rows, programs.batch)), None
        nodes = programs.graph(Kind.PREDICT).nodes
        is_random = any(isinstance(node.op, Uniform) for node in nodes)
        if rows <= (1 if is_random else FEW):
            return 1, None
        if self.weights.slots or is_random:
            return programs.batch, None  # the outputs depend on the batch
        dtype = programs.dtype
        vector, item = this_machine().lanes(dtype), np.dtype(dtype).itemsize

        fewest = programs.shards or min(2, shard_count(programs.graph(Kind.PREDICT), rows, vector))

        def planned(batch: int) -> Plan:
            return programs.plan(Kind.PREDICT, batch, fewest)

        _, columns = USUAL[this_machine().registers][0]
        near = programs.profile.l2
        batch = prediction_batch(rows, vector, fewest, columns, planned, item, near)
        if programs.shards or rows <= vector:
            return batch, None
        # a larger batch has more shards, each of as many rows
        lanes = -(-batch // fewest)
        shards = max(fewest, min(MOST_SHARDS, -(-rows // lanes)))
        return shards * lanes, shards

    def quick(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        """Return the outputs for a few rows, from arrays that need no conversion.

        None if only `run` can predict them.
        """
        rows = 0
        for first in arrays.values():  # `rows_of`, without a call
            rows = len(first) if type(first) is np.ndarray and first.ndim else 0
            break
        call = self._prepared.get(rows)
        if call is None:
            call = self._prepare(rows)
            if call is None:
                return None
        lock, me = self.weights.lock, get_ident()
        try:  # as `with lock.reading`, in a third of the time
            lock.readers.append(me)
            if lock.closed is not None:
                lock.wait(me)
            return call(arrays)
        finally:
            lock.readers.remove(me)
            if lock.closed is not None:
                lock.tell()

    def _prepare(self, rows: int) -> Fastest | prepared.PreparedPrediction | None:
        """Return the prepared call for so many rows; None if there is none."""
        programs = self.programs
        if (
            rows < 1
            or not self._program.outputs
            or self.weights.slots
            or len(self._prepared) >= MOST_PREPARED
        ):
            return None
        if not is_small(self._program.ports, rows, programs.batch):
            return None
        batch, shards = self._divided(rows)
        if rows % batch and programs.sees_peers(Kind.PREDICT):
            return None  # the last batch needs another program
        program = programs.compiled(Kind.PREDICT, batch, shards)
        ports = [self._ports[name] for name in program.ports]
        others = [port for name, port in self._ports.items() if name not in program.ports]
        names = {f"output.{term.name}": term.name for term in self._program.outputs}
        emitted = {name for name, node in program.plan.emits if node.type.kind == "float"}
        if set(names) != emitted:
            return None
        with COMPILER:
            if rows not in self._prepared:
                # shards that share examples meet often, which is slow on a busy machine: they may
                # run on one thread, or in the program that has one shard
                share = program.plan.sharing.same_examples
                ways = [(program, True), (program, False)] if share else [(program, False)]
                if batch == 1:
                    of_one = [programs.compiled(Kind.PREDICT, 1, each) for each in self._of_one]
                    ways = [(each, not number) for number, each in enumerate(of_one)]
                calls = [
                    prepared.PreparedPrediction(
                        each,
                        ports,
                        names,
                        rows,
                        batch,
                        programs.seed,
                        others,
                        is_alone,
                        programs.ran,
                    )
                    for each, is_alone in (ways if programs.threads > 1 else ways[:1])
                ]
                self._prepared[rows] = Fastest(calls) if len(calls) > 1 else calls[0]
            return self._prepared[rows]
