"""The processor's clock within programs: stamps between calls, and the rate of the clock.

    stamps = Stamps(shards=1, places=2)
    executor.run(StepCalls([[[stamps.at(0, 0), call, stamps.at(0, 1)]]]))

A stamp adds the ticks since the thread's previous stamp to its own total. The first stamp of a run
finds the clock at 0, and adds nothing.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import no_type_check

import numpy as np

from specc.backend.llvm import printer
from specc.backend.run import executor
from specc.backend.toolchain.load import load
from specc.target.language import ticks


@no_type_check
def stamp(clock: "int64[1]", total: "int64[1]"):
    now = ticks()
    if clock[0] != 0:
        total[0] += now - clock[0]
    clock[0] = now


STAMP = printer.written(stamp, "stamp", "float32")


class Stamps:
    """Stamps for every shard: `at(shard, place)` is a call that adds to `totals[shard, place]`.

    Shards that one thread runs share a clock.
    """

    def __init__(self, shards: int, places: int, threads: int | None = None):
        self._address = load([*executor.KERNELS, STAMP])[STAMP]
        self._threads = executor.threads_of(shards, shards if threads is None else threads)
        self._clocks = np.zeros((shards, 8), np.int64)  # a cache line each
        self.totals = np.zeros((shards, -(-places // 8) * 8), np.int64)
        self._kept: list[np.ndarray] = []

    def at(self, shard: int, place: int) -> executor.Call:
        block = np.array([self._clocks[self._threads[shard]].ctypes.data,
                          self.totals[shard].ctypes.data + 8 * place], np.int64)  # fmt: skip
        self._kept.append(block)
        return self._address, block.ctypes.data

    def reset(self) -> None:
        """Clear the clocks before a run, so that the time since the previous run does not count."""
        self._clocks[...] = self.totals[...] = 0


@lru_cache
def ticks_per_second() -> float:
    """Return the rate of the processor's clock, measured by the system's clock."""
    stamps = Stamps(1, 1)
    program, pool = executor.StepCalls([[[stamps.at(0, 0)]]]), executor.executor(1)
    pool.run(program)
    start = time.perf_counter()
    pool.run(program)
    begin = int(stamps.totals[0, 0])
    while time.perf_counter() - start < 0.02:
        pass
    seconds = time.perf_counter() - start
    pool.run(program)
    return (int(stamps.totals[0, 0]) - begin) / seconds


@lru_cache
def seconds_of_a_stamp() -> float:
    """Return the shortest time between two successive stamps."""
    stamps = Stamps(1, 1)
    program, pool = executor.StepCalls([[[stamps.at(0, 0)] * 100]]), executor.executor(1)
    found = []
    for _ in range(20):
        stamps.reset()
        pool.run(program, 10)
        found.append(int(stamps.totals[0, 0]))
    return min(found) / 1000 / ticks_per_second()
