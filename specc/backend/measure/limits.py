"""The limits of this machine, measured: floating-point operations and bytes per second.

    limits = measure("float32", threads=2)
    limits.flops                    # 2.3e11: all threads together, without memory
    limits.bandwidth(1 << 20)       # bytes per second of a thread with 1 MB of data

Both are the best of several tries, which take a few tenths of a second.
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

CHAINS = 12  # independent multiply-adds: two per cycle with a latency of four cycles need eight
WORKING_SETS = tuple(1 << n for n in (14, 16, 18, 20, 21, 22, 24, 26))  # bytes per thread
TRIES = 30  # short tries, because other programs may disturb some of them
_COUNT = 1 << 15  # iterations of the chains, which take about 0.1 ms


@dataclass(frozen=True)
class Limits:
    """The FLOPs per second of all threads together, and the bytes per second of each thread.

    `rates[i]` is the rate of a thread with `WORKING_SETS[i]` bytes of data, if all threads run.
    """

    threads: int
    flops: float
    rates: tuple[float, ...]

    def bandwidth(self, size: float) -> float:
        """Return the bytes per second that a thread can read and write of `size` bytes of data."""
        for working_set, rate in zip(WORKING_SETS, self.rates, strict=True):
            if size <= working_set:
                return rate
        return self.rates[-1]


def measure(dtype: str = "float32", threads: int = 1) -> Limits:
    """Return the limits of `threads` threads that run at the same time."""
    width = this_machine().lanes(dtype)
    constants = {"chains": CHAINS, "dtype": dtype, "width": width}
    chains = printer.written(peak, f"peak_{dtype}", dtype, 0, False, **constants)
    updating = printer.written(update, "update", dtype)
    addresses = load([*executor.KERNELS, chains, updating])
    item = np.dtype(dtype).itemsize
    # starting from 0.5, the chains converge to 1, and never become denormal or infinite
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
    """Run a kernel on all threads at once; return the mean of the threads' shortest seconds.

    The shortest time is taken for each thread separately, because another program may disturb one
    of them.
    """
    blocks = [np.array(each, np.int64) for each in arguments]
    stamps = Stamps(len(blocks), 2)
    program = executor.StepCalls([
        [[stamps.at(shard, 0), (kernel, block.ctypes.data), stamps.at(shard, 1)]]
        for shard, block in enumerate(blocks)])  # fmt: skip
    pool = executor.executor(len(blocks))
    found = []
    for _ in range(tries):
        stamps.reset()
        pool.run(program)
        found.append(stamps.totals[:, 1].copy())
    return float(np.min(found, axis=0).mean()) / ticks_per_second()
