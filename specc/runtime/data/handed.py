"""Data that one process of a machine reads, and that it hands to the others in common memory.

    data = handed(neighbours, data)             # the first process gives it, the others None
    data = read_once(neighbours, lambda: load(recipe, ports, folder))

Arrays in memory are copied once, into memory that the processes have in common. Arrays that are
mapped from a file are mapped by each process.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from specc.runtime.data.part import Data
from specc.runtime.errors import run_error
from specc.runtime.together import SameMachine

LINE = 64  # arrays start at a cache line


class Placed(NamedTuple):
    """Where an array is: in a file that is mapped, or in the common memory if `file` is None."""

    file: str | None
    offset: int
    dtype: np.dtype
    shape: tuple[int, ...]


def read_once(neighbours: SameMachine | None, read: Callable[[], Data]) -> Data:
    """Return what `read` returns, which is called on the first process of the machine alone.

    An error of it is raised on all of them.
    """
    if neighbours is None:
        return read()
    data: Data | None = None
    error: Exception | None = None
    if neighbours.number == 0:
        try:
            data = read()
        except Exception as failed:
            error = failed
    told = neighbours.told(_sent(error))[0]
    if told is not None:
        raise told if error is None else error
    return handed(neighbours, data)


def _sent(error: Exception | None) -> Exception | None:
    """Return an error that can be sent to another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return run_error(str(error), "data")
    return error


def handed(neighbours: SameMachine, data: Data | None) -> Data:
    """Return the data of the machine's first process, on all of them; the others give None."""
    content, arrays = io.BytesIO(), _Arrays()
    if neighbours.number == 0:
        _Packing(content, arrays).dump(data)
    told = content.getvalue(), arrays.places, arrays.size
    text, places, size = neighbours.told(told)[0]
    memory = neighbours.array(max(size, 1))
    for array, place in zip(arrays.given, places, strict=False):
        if place.file is None:
            _in(memory, place)[...] = array
    neighbours.told(None)  # all is there
    unpacking = _Unpacking(io.BytesIO(text))
    unpacking.arrays = [_in(memory, each) if each.file is None else _of_file(each)
                        for each in places]  # fmt: skip
    found = unpacking.load()
    assert isinstance(found, Data), "the first process gives data; please report this"
    return found


class _Arrays:
    """The arrays of some data, each once, and their places."""

    def __init__(self) -> None:
        self.given: list[np.ndarray] = []
        self.places: list[Placed] = []
        self.size = 0
        self._numbers: dict[int, int] = {}

    def number(self, array: np.ndarray) -> int:
        """Return the number of an array; it gets a place if it has none."""
        found = self._numbers.get(id(array))
        if found is None:
            found = self._numbers[id(array)] = len(self.given)
            self.given.append(array)
            place = mapped(array)
            if place is None:
                place = Placed(None, self.size, array.dtype, array.shape)
                self.size += -(-array.nbytes // LINE) * LINE
            self.places.append(place)
        return found


class _Packing(pickle.Pickler):
    def __init__(self, file: io.BytesIO, arrays: _Arrays) -> None:
        super().__init__(file, protocol=5)
        self._arrays = arrays

    def persistent_id(self, value: Any) -> int | None:
        is_plain = isinstance(value, np.ndarray) and not value.dtype.hasobject
        return self._arrays.number(value) if is_plain else None


class _Unpacking(pickle.Unpickler):
    arrays: list[np.ndarray]

    def persistent_load(self, number: int) -> np.ndarray:
        return self.arrays[number]


def mapped(array: np.ndarray) -> Placed | None:
    """Return where an array is in a file that it is mapped from; None if it is in memory."""
    base: Any = array
    while base is not None and not isinstance(base, np.memmap):
        base = getattr(base, "base", None)
    while isinstance(base, np.memmap) and isinstance(base.base, np.memmap):
        base = base.base
    if base is None or base.filename is None or not Path(base.filename).is_file():
        return None
    if base.mode == "c" or not array.size or not array.flags.c_contiguous:
        return None
    offset = base.offset + array.ctypes.data - base.ctypes.data
    return Placed(str(Path(base.filename).resolve()), offset, array.dtype, array.shape)


def _of_file(place: Placed) -> np.ndarray:
    assert place.file is not None, "the array is in a file; please report this"
    return np.memmap(place.file, place.dtype, "r", place.offset, place.shape)


def _in(memory: np.ndarray, place: Placed) -> np.ndarray:
    """Return the array at a place of the common memory."""
    size = int(np.prod(place.shape, dtype=np.int64)) * place.dtype.itemsize
    return memory[place.offset : place.offset + size].view(place.dtype).reshape(place.shape)
