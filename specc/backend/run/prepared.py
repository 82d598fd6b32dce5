"""A prediction for arrays of one shape, with little Python between inputs and outputs.

    call = Prepared(program, ports, {"output.scores": "scores"}, rows=1, batch=1, seed=0)
    found = call({"image": image})        # {"scores": array}; None: take the long way

The long way checks and converts whatever is given; this one takes what needs neither.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from specc.backend.emit import feed
from specc.backend.run.program import Buffers, CompiledProgram
from specc.backend.run.storage import Linked, Storage, aligned
from specc.columns import Column
from specc.recipe import Port

COPIED = 16384  # bytes of an array that are copied sooner than their address is found
HANDED_OUT = 4  # arrays of results that are known, of those that callers may still hold


class Prepared:
    """Predictions for `rows` rows, a `batch` at a time, for any number of threads."""

    def __init__(
        self,
        program: CompiledProgram,
        ports: Sequence[Port],
        names: Mapping[str, str],
        rows: int,
        batch: int,
        seed: int,
    ):
        self._program, self._names, self._batch, self._seed = program, names, batch, seed
        self._ports = [
            (
                port.name,
                (rows, *port.shape),
                "iu" if port.kind == "class" else "f",
                np.dtype(np.int64 if port.kind == "class" else program.dtype),
                program.slot(port.name),
            )
            for port in ports
        ]
        self._has_classes = any(port.kind == "class" for port in ports)
        self._order, self._steps = np.arange(rows), -(-rows // batch)
        self._code = program.code(self._columns(self._inputs()))
        program.link(self._columns(self._inputs()))
        self._storages = program.storages

    def __call__(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        if len(arrays) != len(self._ports):
            return None
        storages = self._storages
        try:
            storage = storages.free.pop()
        except IndexError:
            storage = storages.take()
        try:
            ready = storage.ready.get(self)
            if ready is None:
                ready = storage.ready[self] = _Ready(self, storage)
            linked = ready.linked
            frame = linked.frame
            np.copyto(frame, ready.frame)
            for name, shape, kinds, buffer, slot in ready.ports:
                array = arrays.get(name)
                if (
                    type(array) is not np.ndarray
                    or array.shape != shape
                    or array.dtype.kind not in kinds
                ):
                    return None
                if (
                    array.nbytes > COPIED
                    and array.dtype == buffer.dtype
                    and array.flags.c_contiguous
                ):
                    frame[slot] = _address(array)
                else:
                    np.copyto(buffer, array, casting="unsafe")
            found = {}
            for name, slot, results in ready.large:
                found[name], frame[slot] = results.next()
            if linked.packing is not None:
                self._program.pack(storage, linked)
            storage.executor.run(linked.program, self._steps)
            if self._has_classes and frame[feed.AMISS]:
                return None
            for name, array in ready.small:
                found[name] = array.copy()
            return found
        finally:
            if len(storages.free) < storages.kept and not storages.waiting:  # as `give` does
                storages.free.append(storage)
                if storages.waiting:
                    storages.tell()
            else:
                storages.give(storage)

    def _inputs(self) -> list[np.ndarray]:
        return [np.zeros(shape, dtype) for _, shape, _, dtype, _ in self._ports]

    def _columns(self, inputs: Sequence[np.ndarray]) -> dict[str, Column]:
        named = {name: Column(array) for (name, *_), array in zip(self._ports, inputs, strict=True)}
        return self._program.columns(named)

    def set_up(self, linked: Linked, inputs: Sequence[np.ndarray]) -> Buffers:
        """Writes the frame for runs on these inputs; what it returns must outlive the runs."""
        return self._program.set_up(
            linked, self._columns(inputs), self._order, self._batch, None, self._seed, 0
        )


class _Ready:
    """What a prediction needs beside a storage that it runs in: inputs, results, and the frame."""

    def __init__(self, call: Prepared, storage: Storage):
        program, names = call._program, call._names
        self.linked = storage.linked(call._code)
        inputs = call._inputs()
        self.ports = [
            (name, shape, kinds, buffer, slot)
            for (name, shape, kinds, _, slot), buffer in zip(call._ports, inputs, strict=True)
        ]
        self._buffers = call.set_up(self.linked, inputs)
        outputs = [(name, names[name], array) for name, array in self._buffers.outputs.items()]
        self.small = [(name, array) for _, name, array in outputs if array.nbytes <= COPIED]
        self.large = [
            (name, program.slot(port), Results(array.shape, array.dtype))
            for port, name, array in outputs
            if array.nbytes > COPIED
        ]
        self.frame = self.linked.frame.copy()  # other runs of the storage write into its own


def _address(array: np.ndarray) -> int:
    """Return the address of the elements; `array.ctypes.data` takes three times as long (1 us)."""
    if array.flags.writeable:
        buffer: Any = array  # its stubs tell so only from Python 3.12 on
        return ctypes.addressof(ctypes.c_char.from_buffer(buffer))
    return array.ctypes.data


class Results:
    """Arrays of one shape to write results into.

    An array that no caller holds any more, nor a view of it, is written again: fresh memory costs a
    page fault for every 4 KB.
    """

    def __init__(self, shape: tuple[int, ...], dtype):
        self._shape, self._dtype = shape, np.dtype(dtype)
        self._known: list[tuple[np.ndarray, np.ndarray, int]] = []
        self._free = self._holders(*self._made())

    def next(self) -> tuple[np.ndarray, int]:
        """An array, and its address."""
        for known in self._known:
            if self._holders(*known) == self._free:
                return known[1:]
        made = self._made()
        self._known = [made, *self._known[: HANDED_OUT - 1]]
        return made[1:]

    def _made(self) -> tuple[np.ndarray, np.ndarray, int]:
        store = aligned(int(np.prod(self._shape)) * self._dtype.itemsize)
        array = store.view(self._dtype).reshape(self._shape)
        return array.base, array, array.ctypes.data

    @staticmethod
    def _holders(store: np.ndarray, array: np.ndarray, address: int) -> tuple[int, int]:
        """How often the array is referred to, and its memory: views of it refer to that."""
        return sys.getrefcount(store), sys.getrefcount(array)


class Fastest:
    """The fastest of some calls that do the same: which one it is shows in their times, for threads
    that share the work gain nothing on processors that are busy with something else.

    Each is tried for some calls in a row; the slower ones again after a while, which is twice as
    long each time that they are slower again, and at once where the fastest takes much longer than
    it did."""

    TRIED, AGAIN, MOST = (
        10,
        200,
        6400,
    )  # calls of each; calls before others are tried again, and at most
    LONGER = 1.3

    def __init__(self, calls: Sequence[Prepared]):
        self._calls = list(calls)
        self._seconds = [0.0] * len(self._calls)
        self._turns = _in_turn(self._seconds, self.TRIED, self.AGAIN, self.MOST, self.LONGER)
        self._chosen, self._number = next(self._turns), 0
        self._choosing = threading.Lock()  # never waited for

    def __call__(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        if len(self._calls) == 1:
            return self._calls[0](arrays)
        chosen = self._chosen
        start = time.perf_counter()
        found = self._calls[chosen](arrays)
        took = time.perf_counter() - start
        if found is None:
            return None
        # the least of a few calls in a row: the first of them wakes threads
        self._seconds[chosen] = min(self._seconds[chosen], took) if self._number else took
        self._number += 1
        if self._number >= self.TRIED and self._choosing.acquire(blocking=False):
            try:
                self._chosen, self._number = next(self._turns), 0
            finally:
                self._choosing.release()
        return found


def _in_turn(
    seconds: Sequence[float], tried: int, again: int, most: int, longer: float
) -> Iterator[int]:
    """Yield which call is used next; `seconds` has the least time of each in its last use."""
    every = range(len(seconds))
    yield from every
    best, wait = min(every, key=seconds.__getitem__), again
    while True:
        before = seconds[best]
        for _ in range(tried, wait, tried):
            yield best
            if seconds[best] > longer * before:
                wait = again // 2
                break
        yield from (each for each in every if each != best)
        fastest = min(every, key=seconds.__getitem__)
        wait = min(2 * wait, most) if fastest == best else again
        best = fastest
