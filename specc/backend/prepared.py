"""A prediction made ready: arrays of one shape go in and outputs come out, with little Python between.

    call = Prepared(program, ports, {"output.scores": "scores"}, rows=1, batch=1, seed=0)
    found = call({"image": image})        # {"scores": array}; None: take the long way

The long way checks and converts whatever is given; this one takes what needs neither.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from specc.backend import executor
from specc.backend.program import CompiledProgram
from specc.columns import Column
from specc.recipe import Port

COPIED = 16384  # bytes of an array that are copied sooner than their address is found


class Prepared:
    """Runs of `rows` rows, a `batch` at a time. Not re-entrant, as the program is not."""

    def __init__(self, program: CompiledProgram, ports: Sequence[Port], names: Mapping[str, str],
                 rows: int, batch: int, seed: int):
        self._ports = [
            (port.name, (rows, *port.shape), "iu" if port.kind == "class" else "f", port.classes,
             np.empty((rows, *port.shape), np.int32 if port.kind == "class" else program.dtype),
             program.slot(port.name))
            for port in ports]
        self._steps = -(-rows // batch)
        self._executor = executor.executor(program.plan.shards)
        columns = program.columns({name: Column(buffer) for name, *_, buffer, _ in self._ports})
        self._order = np.arange(rows)
        self._linked = program.link(columns)
        self._buffers = program.set_up(self._linked, columns, self._order, batch, None, seed, 0)
        self._outputs = [(names[name], array) for name, array in self._buffers.outputs.items()]
        self._frame = self._linked.frame.copy()  # other runs of the program write into its own

    def __call__(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        if len(arrays) != len(self._ports):
            return None
        direct = []
        for name, shape, kinds, classes, buffer, slot in self._ports:
            array = arrays.get(name)
            if type(array) is not np.ndarray or array.shape != shape or array.dtype.kind not in kinds:
                return None
            if kinds == "iu" and not 0 <= array.min() <= array.max() < classes:
                return None
            if array.nbytes > COPIED and array.dtype == buffer.dtype and array.flags.c_contiguous:
                direct.append((slot, array.ctypes.data))
            else:
                np.copyto(buffer, array, casting="unsafe")
        np.copyto(self._linked.frame, self._frame)
        for slot, address in direct:
            self._linked.frame[slot] = address
        self._executor.run(self._linked.program, self._steps)
        return {name: array.copy() for name, array in self._outputs}


class Fastest:
    """The fastest of some calls that do the same: which one it is shows in their times, for threads
    that share the work gain nothing on processors that are busy with something else."""

    TRIED, AGAIN = 10, 200  # calls of each at first, and after how many calls each is tried again

    def __init__(self, calls: Sequence[Prepared]):
        self._calls = list(calls)
        self._seconds = [0.0] * len(self._calls)
        self._best, self._number = 0, 0

    def __call__(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        if len(self._calls) == 1:
            return self._calls[0](arrays)
        period, turn = divmod(self._number % self.AGAIN, self.TRIED)
        chosen = period if period < len(self._calls) else self._best
        start = time.perf_counter()
        found = self._calls[chosen](arrays)
        took = time.perf_counter() - start
        if found is None:
            return None
        self._number += 1
        # the least of a few calls in a row: the first of them wakes threads
        self._seconds[chosen] = took if turn == 0 else min(self._seconds[chosen], took)
        if turn == self.TRIED - 1:
            self._best = min(range(len(self._calls)), key=self._seconds.__getitem__)
        return found
