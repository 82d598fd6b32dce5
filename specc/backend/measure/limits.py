"""What this machine can do at most, measured: products and sums a second, bytes a second.

    limits = measure("float32", threads=2)
    limits.flops                    # 2.3e11: all threads together, nothing from memory
    limits.bandwidth(1 << 20)       # bytes a second of a thread whose data take 1 MB

Both take the best of several tries, some tenths of a second in all.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np

from specc.backend.llvm import printer
from specc.backend.machine import this_machine
from specc.backend.measure.clock import Stamps, ticks_per_second
from specc.backend.run import executor
from specc.backend.toolchain.load import load
from specc.system.records import dataclass

CHAINS = 12  # two products a cycle that take four cycles each need eight; 12 fit every machine
WORKING_SETS = tuple(1 << n for n in (14, 16, 18, 20, 21, 22, 24, 26))  # bytes a thread
TRIES = 30  # short ones: other programs may disturb some
_COUNT = 1 << 15  # rounds of the chains: some 0.1 ms


@dataclass(frozen=True)
class Limits:
    """`flops` a second of all threads together; `rates[i]` bytes a second of each of the threads,
    all at work, where a thread's data take `WORKING_SETS[i]` bytes."""

    threads: int
    flops: float
    rates: tuple[float, ...]

    def bandwidth(self, size: float) -> float:
        """Bytes a second that a thread can read and write, where its data take `size` bytes."""
        for working_set, rate in zip(WORKING_SETS, self.rates, strict=True):
            if size <= working_set:
                return rate
        return self.rates[-1]


def measure(dtype: str = "float32", threads: int = 1) -> Limits:
    """The limits with `threads` threads at once."""
    width = this_machine().lanes(dtype)
    constants = {"chains": CHAINS, "dtype": dtype, "width": width}
    chains = printer.written(peak, f"peak_{dtype}", dtype, 0, False, **constants)
    updating = printer.written(update, "update", dtype)
    addresses = load([*executor.KERNELS, chains, updating])
    item = np.dtype(dtype).itemsize
    # 0.5: the chains settle at 1 and stay ordinary numbers
    out = [np.full(16, 0.5, dtype) for _ in range(threads)]
    best = _seconds(addresses[chains], [[_COUNT, each.ctypes.data] for each in out])
    flops = 2 * CHAINS * width * _COUNT * threads / best

    rates = []
    for size in WORKING_SETS:
        n = size // (2 * item)
        repeats = max(1, (1 << 20) // size)
        arrays = [np.full((2, n), 0.5, dtype) for _ in range(threads)]
        blocks = [[a.ctypes.data, b.ctypes.data, n, repeats] for a, b in arrays]
        best = _seconds(addresses[updating], blocks, TRIES if size < 1 << 24 else TRIES // 3)
        rates.append(3 * n * item * repeats / best)
    return Limits(threads, flops, tuple(rates))


@no_type_check
def peak(
    count: "int",
    out: "int",
    *,
    run: "tiles.fma_chains(chains, dtype, width)",
    chains: "constant",
    dtype: "constant",
    width: "constant",
):
    run(count, out)


@no_type_check
def update(a: "float[n]", b: "float[n]", n: "int", repeats: "int"):
    # two arrays are read and one is written, as in an optimizer's update
    for _ in range(repeats):
        for i in range(n):
            a[i] = 0.5 * a[i] + b[i]


def _seconds(kernel: int, arguments: list[list[int]], tries: int = TRIES) -> float:
    """Call a kernel on every thread at once, and return the mean of the threads' least seconds.

    A thread that another program disturbs does not count against the others.
    """
    blocks = [np.array(each, np.int64) for each in arguments]
    stamps = Stamps(len(blocks), 2)
    program = executor.StepCalls([
        [[stamps.at(shard, 0), (kernel, block.ctypes.data), stamps.at(shard, 1)]]
        for shard, block in enumerate(blocks)])  # fmt: skip
    crew = executor.executor(len(blocks))
    found = []
    for _ in range(tries):
        stamps.reset()
        crew.run(program)
        found.append(stamps.totals[:, 1].copy())
    return float(np.min(found, axis=0).mean()) / ticks_per_second()
