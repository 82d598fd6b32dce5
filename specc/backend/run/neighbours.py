"""Memory that the processes of one machine have in common, and a barrier among them.

    neighbours = shared_memory(comm)        # by mpi4py; None if they can share none
    arena = neighbours.array(1 << 20)       # every process asks, and all get the same bytes
    neighbours.wait()

The memory has no name in any file system, so it goes when the last of them ends, in whatever way.
A process that has finished takes what it still needs for itself (`part`), at the same addresses.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from typing import Any, Protocol

import numpy as np

from specc.backend.run import executor
from specc.diagnostics import Diagnostic, SpecError
from specc.source import Source, Span

SETTING = "SPECC_SHARED_MEMORY"
"""The environment variable that keeps processes from sharing memory if it is 0."""
HUGE = 1 << 21  # bytes from which memory is better in large pages
FIXED = 0x10  # MAP_FIXED of mmap on Linux: take the place of what is mapped there
WORD = 16  # bytes by which processes find out that they see the same memory


class Neighbours:
    """The processes of one machine: this one's `number`, and their `count`."""

    def __init__(self, memory: CommonMemory) -> None:
        self._memory = memory
        self.number, self.count = memory.number, memory.count
        self._meeting = self.meeting()
        own = executor.Crowd(range(self.number, self.number + 1), self._meeting)
        self._executor = executor.Executor(1)
        self._gate = executor.StepCalls([[[]]] * self.count, self.count, crowd=own)

    def array(self, size: int) -> np.ndarray:
        """Return `size` zero bytes, uint8 [size], that all processes have in common.

        All must ask for them. Raises `SpecError` if there is too little shared memory.
        """
        return self._memory.array(size)

    def meeting(self) -> int:
        """Return the address of the words, int64, at which threads of all processes meet.

        All must ask for them. Raises `SpecError` if there is too little shared memory.
        """
        self._words = [*getattr(self, "_words", ()), self._memory.array(executor.MEETING)]
        return int(self._words[-1].ctypes.data)

    def part(self, array: np.ndarray) -> None:
        """Let this process have an `array` for itself, at the same address, with what it holds.

        Call it when no process writes to the array any more.
        """
        self._memory.part(array)

    def told(self, value: Any) -> list[Any]:
        """Return the values that the processes give, by their numbers. All must give one.

        `value` must be picklable.
        """
        return self._memory.told(value)

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.count > 1:
            self._executor.run(self._gate)


class CommonMemory(Protocol):
    """Where the common memory comes from."""

    number: int
    count: int

    def array(self, size: int) -> np.ndarray:
        """See `Neighbours.array`."""
        ...

    def part(self, array: np.ndarray) -> None:
        """See `Neighbours.part`."""
        ...

    def told(self, value: Any) -> list[Any]:
        """See `Neighbours.told`."""
        ...


class _WithoutName:
    """Memory that belongs to no file system: the first process has it open for all.

    `comm` is a communicator of the processes of one machine.
    """

    def __init__(self, comm: Any) -> None:
        self._comm, self.number, self.count = comm, comm.Get_rank(), comm.Get_size()

    def told(self, value: Any) -> list[Any]:
        return self._comm.allgather(value)

    def array(self, size: int) -> np.ndarray:
        size, file, error = max(size, 1), -1, None
        memory: mmap.mmap | None = None
        try:
            if self.number == 0:
                file = os.memfd_create("specc")
                os.posix_fallocate(file, 0, size)
        except OSError as failed:
            error = failed.strerror
        process, number = self._comm.bcast((os.getpid(), file), root=0)
        try:
            if self.number and number >= 0:
                file = os.open(f"/proc/{process}/fd/{number}", os.O_RDWR)
            if file >= 0 and error is None:
                memory = mmap.mmap(file, size)
        except (OSError, ValueError) as failed:
            error = str(failed)
        errors = [each for each in self.told(error) if each is not None]
        if file >= 0:
            os.close(file)
        if errors or memory is None:
            raise _no_memory(size, errors[0])
        if size >= HUGE:
            memory.madvise(mmap.MADV_HUGEPAGE)
        return np.frombuffer(memory, np.uint8)

    def part(self, array: np.ndarray) -> None:
        content = array.copy()
        library = ctypes.CDLL(None, use_errno=True)
        library.mmap.restype = ctypes.c_void_p
        library.mmap.argtypes = (*(ctypes.c_void_p, ctypes.c_size_t), *[ctypes.c_int] * 3,
                                 ctypes.c_long)  # fmt: skip
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | FIXED
        place, access = array.ctypes.data, mmap.PROT_READ | mmap.PROT_WRITE
        if library.mmap(place, array.nbytes, access, flags, -1, 0) != place:
            raise _no_memory(array.nbytes, os.strerror(ctypes.get_errno()))
        array[...] = content


def shared_memory(comm: Any) -> Neighbours | None:
    """Return the processes of a machine that have memory in common; None if they cannot."""
    wanted = os.environ.get(SETTING, "1") != "0" and hasattr(os, "memfd_create")
    if not all(comm.allgather(wanted)) or comm.Get_size() == 1:
        return None
    memory = _WithoutName(comm)
    try:
        word = memory.array(WORD)
    except SpecError:
        return None
    if memory.number == 0:
        word[:] = np.frombuffer(os.urandom(WORD), np.uint8)
    # containers of one machine have other processes by the same numbers
    if not all(comm.allgather(bool((word == comm.bcast(word.copy(), root=0)).all()))):
        return None
    return Neighbours(memory)


def _no_memory(size: int, reason: str) -> SpecError:
    message = f"the processes of this machine cannot share {size / 1e6:,.1f} MB: {reason}"
    help = f"with {SETTING}=0 they send each other messages instead"
    place = Span(Source("mpiexec", ""), 0, 0)
    return SpecError([Diagnostic("bad-run", "error", message, place, help=help)])
