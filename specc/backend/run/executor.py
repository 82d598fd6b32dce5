"""Run compiled programs: for each shard, phases of kernel calls with a barrier after every phase.

    program = Program([[[(relu, args0)]], [[(relu, args1)]]])   # 2 shards, 1 phase, 1 call each
    executor = Executor(threads=2)
    executor.run(program, steps=100)
    Executor(threads=1).run(program.on(1), steps=100)           # both shards on one thread

Each thread runs neighbouring shards, one after the other in each phase, so the number of threads
does not change the results. The calling thread runs the first shards; worker threads, which this
module keeps, run the others. After each run a worker spins for a short time, and then sleeps. The
loop over the steps is compiled (`thread_pool.py`): many steps are one call, without Python in
between.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
import weakref
from bisect import bisect_left
from collections.abc import Sequence
from copy import copy
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple, no_type_check

import numpy as np

from specc.backend.llvm import printer
from specc.backend.llvm.kernel import CONTROL_WORDS
from specc.backend.machine.system import processors
from specc.backend.toolchain.load import load
from specc.backend.words import (
    DONE,
    FIRST,
    LEAVE,
    LINE,
    PARKED,
    PROGRAM,
    SPIN_LIMIT,
    SPINS,
    STEPS,
    STOP,
    STOPPED,
    WORKERS,
)
from specc.system.locks import Mutex, remade_after_fork
from specc.target.language import pause, poke, run_shards, serve, start, wake

Call = tuple[int, int]  # the address of a kernel, the address of its args block

# The most seconds for which a thread spins, at a barrier or for work, before it sleeps; the second
# number is for more threads than processors. sched_yield instead of sleeping was measured to cost
# whole time slices.
_SPIN, _SPIN_IN_A_CROWD = 200e-6, 5e-6


@no_type_check
def run_steps(
    state: "int",
    worker: "int",
    threads: "int",
    job: "control",
    *,
    program: "constant",
    first: "constant",
    steps: "constant",
    stop: "constant",
    stopped: "constant",
    done: "constant",
):
    # worker 0 is the calling thread, which posts the job and runs its own part of it; DONE is then
    # -1 if another worker was parked, so that nothing was started
    if worker > 0:
        serve(state, worker)
    else:
        poke(state + stop, 0)
        poke(state + stopped, 0)
        poke(state + program, job[0])
        poke(state + first, job[1])
        poke(state + steps, job[2])
        if start(state, threads):
            poke(state + done, run_shards(state, 0))
        else:
            poke(state + done, -1)


@no_type_check
def pauses(count: "int"):
    for _ in range(count):
        pause()


@no_type_check
def wake_worker(word: "int"):
    wake(word)


_RUN = printer.written(
    run_steps,
    "run_steps",
    "float32",
    program=PROGRAM,
    first=FIRST,
    steps=STEPS,
    stop=STOP,
    stopped=STOPPED,
    done=DONE,
)
_PAUSES = printer.written(pauses, "pauses", "float32")
_WAKE = printer.written(wake_worker, "wake_worker", "float32")

_STOP, _DONE = STOP // 8, DONE // 8  # the indices of two words in the state

MEETING = WORKERS
"""The bytes of the words where the threads of a `Crowd` meet."""

# The executor's own kernels. They are loaded together with a program's kernels.
KERNELS = (_RUN, _PAUSES, _WAKE)


class Crowd(NamedTuple):
    """Threads of several processes: the numbers of this one's, and the words where all meet.

    `meeting` is the address of `MEETING` bytes that the processes have in common, zeros at first.
    """

    own: range
    meeting: int


class StepCalls:
    """The calls of one step: `phases_per_shard[shard][phase]` is a list of calls.

    `threads` share the shards; by default there is one thread per shard. `control` is [shards, 16]
    int64: word 0 of a shard's block holds the step's number, word 1 the shard's number, word 2 the
    number of shards; the others are unused. Every kernel of the shard gets the block's address. The
    args blocks must stay alive as long as the program. `numbers` are the shards' numbers, by
    default 0, 1, .... With a `crowd`, the threads are those of several processes, of which this one
    runs some.
    """

    def __init__(
        self,
        phases_per_shard: Sequence[Sequence[Sequence[Call]]],
        threads: int | None = None,
        numbers: Sequence[int] | None = None,
        crowd: Crowd | None = None,
    ):
        self.shards = len(phases_per_shard)
        self.phases = len(phases_per_shard[0])
        assert all(len(each) == self.phases for each in phases_per_shard), (
            "every shard must have the same number of phases"
        )
        self.control = aligned_words(self.shards * CONTROL_WORDS).reshape(
            self.shards, CONTROL_WORDS
        )
        self.control[:, 1] = range(self.shards) if numbers is None else numbers
        self.control[:, 2] = self.shards
        self._tables = []
        addresses = []
        for shard, of_shard in enumerate(phases_per_shard):
            calls = np.array([each for phase in of_shard for each in phase], np.int64).reshape(
                -1, 2
            )
            bounds = calls.ctypes.data + 16 * np.cumsum([0, *map(len, of_shard)], dtype=np.int64)
            self._tables += [calls, bounds]
            addresses.append((bounds.ctypes.data, self.control[shard].ctypes.data))
        self._addresses = np.array(addresses, np.int64)
        self._crowd = crowd
        self._divide(self.shards if threads is None else threads)

    def on(self, threads: int) -> StepCalls:
        """Return this program for another number of threads.

        The two share their control blocks, so only one of them may run at a time.
        """
        other = copy(self)
        other._divide(threads)
        return other

    def _divide(self, threads: int) -> None:
        assert 1 <= threads <= self.shards, "a thread needs a shard"
        own = range(threads) if self._crowd is None else self._crowd.own
        meeting = 0 if self._crowd is None else self._crowd.meeting
        self.threads = len(own)
        of_shards = threads_of(self.shards, threads)
        ends = [bisect_left(of_shards, thread) for thread in range(threads + 1)]
        spans = [self._addresses.ctypes.data + 16 * end for end in ends]
        of_threads = [each for span in list(pairwise(spans))[own.start : own.stop] for each in span]
        self._description = np.array(
            [self.threads, self.phases, threads, meeting, *of_threads], np.int64
        )
        self.address = self._description.ctypes.data


class PostedJob:
    """Steps of a program, numbered from `first`, in the form that an executor takes at once."""

    def __init__(self, program: StepCalls, steps: int = 1, first: int = 0):
        self.program = program
        self._words = (ctypes.c_int64 * CONTROL_WORDS)(program.address, first, steps)
        self.address = ctypes.addressof(self._words)


class Executor:
    """A pool of `threads` threads including the caller, which executes one run at a time."""

    def __init__(self, threads: int = 1):
        assert threads >= 1, threads
        self.threads = threads
        self._mustering = Mutex()
        addresses = load(KERNELS)
        self._run, self._rouse = (_function(addresses[each]) for each in (_RUN, _WAKE))
        self._muster()
        remade_after_fork(self)

    def run(self, program: StepCalls, steps: int = 1, first: int = 0) -> int:
        """Run `steps` steps, numbered from `first`.

        Returns the number of steps done, which is smaller only after `stop`.
        """
        assert program.threads == self.threads, "a program needs its number of threads"
        return self.do(PostedJob(program, steps, first))

    def do(self, job: PostedJob) -> int:
        """Run a job for as many threads; return the number of steps done."""
        if not self._is_mustered:
            self._muster_again()
        with self._lock:
            while True:
                self._run(self._args, job.address)
                done: int = self._words[_DONE]
                if done >= 0:
                    return done
                self._wake()

    def do_alone(self, job: PostedJob) -> None:
        """Run a job on the calling thread, which is the only one that uses this executor."""
        self._run(self._args, job.address)

    def stop(self) -> None:
        """Request, from another thread, that the current run ends after the current step."""
        self._words[_STOP] = 1

    def close(self) -> None:
        """End the worker threads."""
        self._dismiss()
        self._is_mustered = False

    def after_fork(self) -> None:
        """Note that the child process has no workers yet: they are started when they are needed."""
        self._is_mustered = False

    def _muster_again(self) -> None:
        with self._mustering:
            if not self._is_mustered:
                assert self._dismiss.alive, "this executor was closed"
                self._muster()

    def _muster(self) -> None:
        """Set up new shared words and worker threads."""
        self._lock = threading.Lock()
        store = aligned_words((WORKERS + LINE * self.threads) // 8)
        buffer: Any = store  # the stubs know that it is a buffer only from Python 3.12 on
        self._words = (ctypes.c_int64 * len(store)).from_buffer(buffer)
        self._state = store.ctypes.data
        spin = _SPIN if self.threads <= processors() else _SPIN_IN_A_CROWD
        rate = _pauses_per_second()
        self._words[SPINS // 8] = int(rate * spin)
        for number in range(self.threads):
            self._words[(WORKERS + LINE * number + SPIN_LIMIT) // 8] = int(rate * spin)
        self._block = (ctypes.c_int64 * 3)(self._state, 0, self.threads)
        self._args = ctypes.addressof(self._block)
        self._sleepers = [threading.Semaphore(0) for _ in range(self.threads)]
        workers = [
            threading.Thread(
                target=_work,
                name=f"specc-{number}",
                daemon=True,
                args=(self._run, self._words, self._state, number, self._sleepers[number]),
            )
            for number in range(1, self.threads)
        ]
        for each in workers:
            each.start()
        self._dismiss = weakref.finalize(
            self, _dismiss, self._words, self._sleepers, workers, os.getpid(), self._rouse
        )
        self._is_mustered = True

    def _wake(self) -> None:
        """Wake the parked workers, and wait at most 10 ms until they run."""
        parked = [
            n for n in range(1, self.threads) if self._words[(WORKERS + LINE * n) // 8] == PARKED
        ]
        for number in parked:
            self._sleepers[number].release()
        deadline = time.perf_counter() + 0.01
        for number in parked:
            while self._words[(WORKERS + LINE * number) // 8] == PARKED:
                if time.perf_counter() > deadline:
                    return  # the next attempt of `run` wakes them again
                time.sleep(0)


def executor(threads: int) -> Executor:
    """Return the process's executor for a number of threads, which all programs share."""
    with _hiring:
        return _of_process(threads)


_of_process = lru_cache(Executor)
_hiring = Mutex()


def threads_of(shards: int, threads: int) -> list[int]:
    """Return the thread that runs each shard; neighbouring shards run on one thread."""
    return [((shard + 1) * threads - 1) // shards for shard in range(shards)]


def aligned_words(count: int) -> np.ndarray:
    """Return `count` int64 zeros that start at a cache line."""
    store = np.zeros(count + 8, np.int64)
    skip = (-store.ctypes.data % LINE) // 8
    return store[skip : skip + count]


def _function(address: int):
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(address)


@lru_cache
def _pauses_per_second() -> float:
    pauses = _function(load([_PAUSES])[_PAUSES])
    count = (ctypes.c_int64 * 1)(1000)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        pauses(ctypes.addressof(count), None)
        seconds.append(time.perf_counter() - start)
    return 1000 / min(seconds)


def _work(run, words, state: int, number: int, sleeper: threading.Semaphore) -> None:
    """Run a worker thread, which is in compiled code while there is work and sleeps otherwise."""
    block = (ctypes.c_int64 * 3)(state, number, 0)
    args = ctypes.addressof(block)
    while words[(WORKERS + LINE * number) // 8] != LEAVE:
        run(args, None)
        sleeper.acquire()


def _dismiss(words, sleepers, workers, process: int, rouse) -> None:
    if process != os.getpid():
        return
    for number in range(1, len(workers) + 1):
        words[(WORKERS + LINE * number) // 8] = LEAVE
        block = ctypes.c_int64(ctypes.addressof(words) + WORKERS + LINE * number)
        rouse(ctypes.addressof(block), None)
        sleepers[number].release()
    for each in workers:
        each.join(1.0)
