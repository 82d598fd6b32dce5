"""The functions that kernels may call beside Python's `min`, `max`, `abs`, `range` and `len`.

They are here to be imported by the files that hold kernels, as Python functions that never run:
every back end has its own. Kernels may also call the functions of `specc.backend.llvm.vectormath`
(`exp`, `plus`, ...)."""

from __future__ import annotations

from typing import Any


def view(address: int, shape: tuple[int, ...], element: Any) -> Any:
    """Return the memory at an address as an array in C order."""
    raise NotImplementedError


def row(array: Any, start: int, count: int) -> Any:
    """Return `count` elements of an array in C order, from the element `start` on, as an array."""
    raise NotImplementedError


def word(table: int, index: int) -> int:
    """Return the integer at an index of the table of integers at an address."""
    raise NotImplementedError


def peek(address: int) -> int:
    """Return the integer at an address."""
    raise NotImplementedError


def poke(address: int, value: int) -> None:
    """Write an integer at an address."""
    raise NotImplementedError


def prefetch(address: int) -> None:
    """Prefetch the cache line at an address."""
    raise NotImplementedError


def partial_sums(count: int, element: Any) -> Any:
    """Return a new array of `count` elements on the stack, with arbitrary values."""
    raise NotImplementedError


def bfloat16(x: float) -> float:
    """Return the number rounded to bfloat16."""
    raise NotImplementedError


def mix32(x: int) -> int:
    """Return a hash of a number of 32 bits."""
    raise NotImplementedError


def ticks() -> int:
    """Return the processor's clock, which counts at a constant rate."""
    raise NotImplementedError


def pause() -> None:
    """Pause for a few dozen cycles within a loop that waits."""
    raise NotImplementedError


def wake(address: int) -> None:
    """Wake the threads that sleep until the integer at an address changes."""
    raise NotImplementedError


def run_shards(state: int, thread: int) -> int:
    """Run one thread's part of the posted job, and return the number of steps done."""
    raise NotImplementedError


def start(state: int, threads: int) -> bool:
    """Take every worker of a pool and post the job; if one is parked, change nothing: False."""
    raise NotImplementedError


def serve(state: int, worker: int) -> None:
    """Run a worker's jobs, and wait for them, until it parks or must end."""
    raise NotImplementedError


real: Any = float  # the kernel's precision, as the type of an array or to convert a number
# the other types of numbers, for the same uses
float32 = float64 = int32 = int64 = uint8 = uint32 = uint64 = real
