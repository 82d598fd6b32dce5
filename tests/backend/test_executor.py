"""Programs on one and more threads."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

from specc import driver
from specc.backend.llvm.kernel import Kernel
from specc.backend.llvm.memory import CAN_SLEEP
from specc.backend.run.executor import Executor, StepCalls, aligned_words, executor
from specc.backend.toolchain.load import load
from specc.backend.words import LINE, NAPS, SPIN_LIMIT, SPINS, WORKERS

COUNT = Kernel(
    "count",
    """
def count(mine: "int64[8]", control: "control"):
    mine[0] += 1
    mine[1] += control[0]
    mine[2] = 10 * control[2] + control[1]
""",
)
# in a phase of its own, both shards must have counted equally far
COMPARE = Kernel(
    "compare",
    """
def compare(mine: "int64[8]", other: "int64[8]"):
    if mine[0] != other[0]:
        mine[7] += 1
""",
)
NEVER_ENOUGH = Kernel(
    "long",
    """
def long(mine: "int64[8]", control: "control"):
    mine[0] += 1
""",
)


class Counting:
    """A program in which each shard counts its steps and compares with its neighbour."""

    def __init__(self, threads: int):
        addresses = load([COUNT, COMPARE])
        self.words = aligned_words(8 * threads).reshape(threads, 8)
        places = [row.ctypes.data for row in self.words]
        self.blocks = [
            np.array([places[n], places[(n + 1) % threads]], np.int64) for n in range(threads)
        ]
        self.program = StepCalls(
            [
                [[(addresses[COUNT], each.ctypes.data)], [(addresses[COMPARE], each.ctypes.data)]]
                for each in self.blocks
            ]
        )

    def check(self, steps: int) -> None:
        assert (self.words[:, 0] == steps).all()
        assert (self.words[:, 7] == 0).all(), "a barrier let a thread through"


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_all_shards_run_every_step_and_meet_after_every_phase(threads):
    counting = Counting(threads)
    pool = Executor(threads)
    assert pool.run(counting.program, 100) == 100
    assert pool.run(counting.program, 50, first=1000) == 50
    counting.check(150)
    assert (counting.words[:, 1] == sum(range(100)) + sum(range(1000, 1050))).all()
    assert counting.words[:, 2].tolist() == [10 * threads + n for n in range(threads)]
    pool.close()


def test_threads_that_outnumber_the_processors_learn_to_sleep_at_barriers():
    threads = 4 * driver.processors()
    counting = Counting(threads)
    pool = Executor(threads)
    most = pool._words[SPINS // 8]
    pool.run(counting.program, 1000)
    counting.check(1000)
    limits = [pool._words[(WORKERS + LINE * n + SPIN_LIMIT) // 8] for n in range(threads)]
    assert min(limits) < most
    pool.close()


def test_threads_sleep_in_the_same_way_whichever_process_compiles_them():
    code = "from specc.backend.llvm.memory import CAN_SLEEP; print(CAN_SLEEP)"
    said = {
        subprocess.run(
            [sys.executable, "-c", each], capture_output=True, text=True, check=False
        ).stdout
        for each in (
            code,
            "import numba\n" + code,
            "from specc.backend.llvm import compile\n" + code,
        )
    }
    assert said == {f"{CAN_SLEEP}\n"}


def test_many_short_runs():
    counting = Counting(2)
    pool = executor(2)
    for _ in range(3000):
        pool.run(counting.program)
    counting.check(3000)


def test_sleeping_workers_are_woken():
    counting = Counting(2)
    pool = executor(2)
    for _ in range(20):
        pool.run(counting.program)
        while not pool._words[(WORKERS + LINE + NAPS) // 8]:
            pass
    counting.check(20)


def test_runs_from_several_threads_take_turns():
    pool = executor(2)
    countings = [Counting(2) for _ in range(4)]
    callers = [
        threading.Thread(target=lambda each=each: [pool.run(each.program, 3) for _ in range(100)])
        for each in countings
    ]
    for each in callers:
        each.start()
    for each in callers:
        each.join()
    for each in countings:
        each.check(300)


@pytest.mark.parametrize("threads", [1, 2])
def test_stop_ends_a_run_after_its_step(threads):
    pool = Executor(threads)
    words = aligned_words(8)
    block = np.array([words.ctypes.data], np.int64)
    idle = np.array([aligned_words(8).ctypes.data], np.int64)
    address = load([NEVER_ENOUGH])[NEVER_ENOUGH]
    program = StepCalls([[[(address, (idle if n else block).ctypes.data)]] for n in range(threads)])

    def stop():
        while words[0] < 1000:
            pass
        pool.stop()

    stopper = threading.Thread(target=stop)
    stopper.start()
    done = pool.run(program, 1 << 60)
    stopper.join()
    assert 1000 <= done < 1 << 60 and words[0] == done
    assert pool.run(program, 50) == 50  # the stop was for the run before
    assert words[0] == done + 50
    pool.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_gets_workers_of_its_own():
    counting = Counting(2)
    pool = executor(2)
    pool.run(counting.program)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        pool.run(counting.program, 10)
        os._exit(0 if (counting.words[:, 0] == 11).all() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    pool.run(counting.program, 2)
    counting.check(3)


def test_a_program_needs_its_number_of_threads():
    with pytest.raises(AssertionError):
        executor(2).run(Counting(1).program)


HALVE = Kernel(
    "halve", 'def halve(x: "float[8]"):\n    for i in range(8):\n        x[i] = x[i] * 0.5\n'
)


@pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="set on x86 alone"
)
@pytest.mark.parametrize("threads", [1, 2])
def test_what_is_too_small_for_a_normal_number_becomes_0_within_a_run_alone(threads):
    address = load([HALVE])[HALVE]
    least = np.finfo(np.float32).tiny
    arrays = [np.full(8, 1.5 * least, np.float32) for _ in range(threads)]
    blocks = [np.array([each.ctypes.data], np.int64) for each in arrays]
    Executor(threads).run(StepCalls([[[(address, each.ctypes.data)]] for each in blocks]), 1)
    for each in arrays:
        assert (each == 0).all()
    assert np.float32(1.5) * least * np.float32(0.5) > 0  # the caller's arithmetic is as it was
