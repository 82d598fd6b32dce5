"""Runs of a program on arrays of one shape, with little overhead in Python.

    call = PreparedPrediction(program, ports, {"output.scores": "scores"}, rows=1, batch=1, seed=0)
    found = call({"image": image})        # {"scores": array}; None: use `CompiledProgram.run`
    call = Loss(program, ports, rows=64, batch=64, seed=0)
    loss = call({"image": images, "label": labels}, first=7, settings=address)

A prepared call only accepts arrays that need no check and no conversion.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from specc.backend.emit import feed
from specc.backend.run.executor import PostedJob
from specc.backend.run.program import Buffers, CompiledProgram
from specc.backend.run.results import Results
from specc.backend.run.storage import Linked, Storage
from specc.recipe import Column, Port

TIMED = 256  # one of so many runs is timed, and stands for all of them
COPIED = 16384  # arrays up to this many bytes are copied, which is faster than finding an address
_FIRST, _SETTINGS, _AMISS = feed.FIRST, feed.SETTINGS, feed.AMISS
_KINDS = {"class": "iu", "bool": "b", "float": "f"}

Ran = Callable[[CompiledProgram, float], None]


class Prepared:
    """Runs on `rows` rows, a `batch` at a time; any number of threads may call it.

    `others` are ports that the program does not read; arrays for them may be given and must fit,
    too. If `alone`, the calling thread runs all shards, which gives the same results. Now and then,
    `ran` is told the program and the seconds that the runs since the last time have taken.
    """

    needs_others = False

    def __init__(
        self,
        program: CompiledProgram,
        ports: Sequence[Port],
        rows: int,
        batch: int,
        seed: int,
        others: Sequence[Port] = (),
        alone: bool = False,
        ran: Ran | None = None,
    ):
        self.program, self._batch, self._seed = program, batch, seed
        self._runs, self._ran = 0, ran
        self.alone = alone or program.threads == 1
        self._others = {port.name: _Fit(port, (rows, *port.shape)) for port in others}
        self._count = -1 if others and self.needs_others else len(ports)
        types = {"class": "int64", "bool": "bool", "float": program.dtype}
        self.ports = [
            (port, (rows, *port.shape), np.dtype(types[port.kind]), program.frame_index(port.name))
            for port in ports
        ]
        self._order, self.steps = np.arange(rows), -(-rows // batch)
        self.code = program.code(self._columns(self.inputs()))
        program.link(self._columns(self.inputs()))
        self._storages = program.storages

    def __call__(
        self,
        arrays: Mapping[str, np.ndarray],
        first: int | None = None,
        settings: int | None = None,
    ) -> Any:
        """Return the results, or None if an array does not fit."""
        if len(arrays) != self._count and not self._has_fitting_others(arrays):
            return None
        storages = self._storages
        try:
            storage = storages.free.pop()
        except IndexError:
            storage = storages.take()
        try:
            ready = storage.ready.get(self)
            if ready is None:
                ready = storage.ready[self] = self.made_ready(storage)
            linked, words = ready.linked, ready.words
            if linked.frame_of is not ready:  # another run of the storage wrote its frame last
                linked.frame[...] = ready.frame
                linked.frame_of = ready
            for port in ready.inputs:
                array = arrays.get(port.name)
                if type(array) is not np.ndarray or array.shape != port.shape:
                    return None
                if array.dtype is not port.dtype and array.dtype.kind not in port.kinds:
                    return None
                if port.classes and not port.is_of_classes(array):
                    return None
                if port.is_large:
                    words[port.index] = port.address_of(array)
                else:
                    port.buffer[...] = array
            if first is not None:
                words[_FIRST] = first
            if settings is not None:
                words[_SETTINGS] = settings
            results = ready.given() if ready.gives else None
            if linked.packing is not None:
                self.program.pack(storage, linked)
            self._runs += 1
            run = ready.run if self._runs % TIMED else ready.run_timed
            run(ready.job)
            return ready.found(results)
        finally:
            if len(storages.free) < storages.kept and not storages.waiting:  # as `give` does
                storages.free.append(storage)
                if storages.waiting:
                    storages.tell()
            else:
                storages.give(storage)

    def ran(self, seconds: float) -> None:
        """Note the seconds of one run, which stand for `TIMED` runs."""
        if self._ran is not None:
            self._ran(self.program, TIMED * seconds)

    def _has_fitting_others(self, arrays: Mapping[str, np.ndarray]) -> bool:
        """Return whether the arrays are those of the ports, and of others that fit."""
        others = self._others
        given = len(arrays) - len(self.ports)
        if given < 0 or given > len(others) or (self.needs_others and given < len(others)):
            return False
        fitting = sum(name in arrays and each.fits(arrays[name]) for name, each in others.items())
        return fitting == given

    def made_ready(self, storage: Storage) -> CallMemory:
        """Return the memory that these runs need in addition to a storage."""
        raise NotImplementedError

    def inputs(self) -> list[np.ndarray]:
        """Return an array of zeros for each port."""
        return [np.zeros(shape, dtype) for _, shape, dtype, _ in self.ports]

    def _columns(self, inputs: Sequence[np.ndarray]) -> dict[str, Column]:
        named = {
            port.name: Column(array) for (port, *_), array in zip(self.ports, inputs, strict=True)
        }
        return self.program.columns(named)

    def set_up(self, linked: Linked, inputs: Sequence[np.ndarray]) -> Buffers:
        """Write the frame for runs on these inputs; the returned buffers must outlive the runs."""
        linked.frame_of = None
        return self.program.set_up(
            linked, self._columns(inputs), self._order, self._batch, None, self._seed, 0
        )


class PreparedPrediction(Prepared):
    """Prepared predictions: a call returns the outputs by name."""

    def __init__(
        self,
        program: CompiledProgram,
        ports: Sequence[Port],
        names: Mapping[str, str],
        rows: int,
        batch: int,
        seed: int,
        others: Sequence[Port] = (),
        alone: bool = False,
        ran: Ran | None = None,
    ):
        super().__init__(program, ports, rows, batch, seed, others, alone, ran)
        self.names = names

    def made_ready(self, storage: Storage) -> CallMemory:
        return _Outputs(self, storage)


class Loss(Prepared):
    """Prepared training steps of one batch: a call returns the loss, the first word of the record.

    All ports must be given. Classes are checked before the run, because a step changes weights.
    """

    needs_others = True

    def made_ready(self, storage: Storage) -> CallMemory:
        return _Record(self, storage)


class _Fit:
    """The test whether an array fits a port without conversion."""

    def __init__(self, port: Port, shape: tuple[int, ...], checks: bool = True):
        self.name, self.shape, self.kinds = port.name, shape, _KINDS[port.kind]
        has_classes = checks and port.kind == "class" and 0 not in shape
        self.classes = port.class_count if has_classes else 0

    def fits(self, array: Any) -> bool:
        return (
            type(array) is np.ndarray
            and array.shape == self.shape
            and array.dtype.kind in self.kinds
            and (not self.classes or self.is_of_classes(array))
        )

    def is_of_classes(self, array: np.ndarray) -> bool:
        """Return whether all elements are from 0 to classes - 1."""
        # `argmax` takes a fifth of the time of `max`
        largest: int = array.item(array.argmax())
        return largest < self.classes and array.item(array.argmin()) >= 0


class _Input(_Fit):
    """A port, and the buffer to which small arrays and arrays of another type are copied."""

    def __init__(self, port: Port, buffer: np.ndarray, index: int, checks: bool):
        super().__init__(port, buffer.shape, checks)
        self.buffer, self.index, self._address = buffer, index, buffer.ctypes.data
        self.dtype = buffer.dtype  # NumPy has one object for each type in native byte order
        self.is_large = buffer.nbytes > COPIED

    def address_of(self, array: np.ndarray) -> int:
        """Return the address of a large array's elements, or of a copy of them in the buffer."""
        if array.dtype == self.buffer.dtype and array.flags.c_contiguous:
            return _address(array)
        self.buffer[...] = array
        return self._address


class CallMemory:
    """The memory of prepared runs in addition to a storage: inputs, results, and the frame."""

    def __init__(self, call: Prepared, storage: Storage, checks: bool):
        self.linked, self._ran = storage.linked(call.code), call.ran
        self.run = storage.alone.do_alone if call.alone else storage.executor.do
        program = self.linked.program_of_one if call.alone else self.linked.program
        self.job = PostedJob(program, call.steps)
        inputs = call.inputs()
        self.inputs = [
            _Input(port, buffer, index, checks)
            for (port, _, _, index), buffer in zip(call.ports, inputs, strict=True)
        ]
        self.buffers = call.set_up(self.linked, inputs)
        frame: Any = self.linked.frame
        self.frame = frame.copy()
        # writing a number into a ctypes array is four times as fast as into a NumPy array
        self.words = (ctypes.c_int64 * len(frame)).from_buffer(frame)

    def run_timed(self, job: PostedJob) -> None:
        """Do a run, and tell the call its seconds."""
        start = time.perf_counter()
        self.run(job)
        self._ran(time.perf_counter() - start)

    gives = False  # whether each run has new memory for its results

    def given(self) -> Any:
        """Return new memory for the results of one run."""
        raise NotImplementedError

    def found(self, results: Any) -> Any:
        """Return the results of a run; `results` is what `given` returned for it."""
        raise NotImplementedError


class _Outputs(CallMemory):
    def __init__(self, call: PreparedPrediction, storage: Storage):
        super().__init__(call, storage, checks=False)
        outputs = [(name, call.names[name], array) for name, array in self.buffers.outputs.items()]
        self._small = [(name, array.copy) for _, name, array in outputs if array.nbytes <= COPIED]
        self._large = [
            (name, call.program.frame_index(port), Results(array.shape, array.dtype))
            for port, name, array in outputs
            if array.nbytes > COPIED
        ]
        self.gives = bool(self._large)

    def given(self) -> dict[str, np.ndarray]:
        found = {}
        for name, index, results in self._large:
            found[name], self.words[index] = results.next()
        return found

    def found(self, results: dict[str, np.ndarray] | None) -> dict[str, np.ndarray] | None:
        if self.words[_AMISS]:
            self.words[_AMISS] = 0
            return None
        found = {} if results is None else results
        for name, copy in self._small:
            found[name] = copy()
        return found


class _Record(CallMemory):
    def __init__(self, call: Loss, storage: Storage):
        super().__init__(call, storage, checks=True)
        records: Any = self.buffers.records
        self._loss = ctypes.c_double.from_buffer(records)

    def found(self, results: None) -> float:
        return self._loss.value


def _address(array: np.ndarray) -> int:
    """Return the address of the elements; `array.ctypes.data` takes three times as long (1 us)."""
    if array.flags.writeable:
        buffer: Any = array  # the stubs know that it is a buffer only from Python 3.12 on
        return ctypes.addressof(ctypes.c_char.from_buffer(buffer))
    return array.ctypes.data
