"""Times the tiles of programs that have run for long, and remembers the fastest for later ones.

    start(program, planning)       # in a thread of low priority
    measure(program, planning)     # at once; returns the number of contractions that were timed

`planning()` is a context that holds COMPILER, and plans with the profile of the model.

A process plans with what was known when it began to plan; a later one profits. As tiles are chosen
only among those that give the same bits, what was measured decides nothing but the time.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, suppress

from specc.backend.contraction.plan import watched
from specc.backend.contraction.remembered import is_known, remember
from specc.backend.run.program import CompiledProgram
from specc.system.locks import COMPILER

VARIABLE = "SPECC_MEASURE"
"""With "0" in this environment variable, nothing is timed in the background."""

_SHARE = 0.2  # the part of the time for which the thread works; else it sleeps
_LOOKS = 0.2  # the most seconds until it notices that the process ends
_NICENESS = 10  # of the thread, where the system knows one for each thread

Planning = Callable[[], AbstractContextManager[None]]

_busy = threading.Lock()  # one program of a process is measured at a time


def start(program: CompiledProgram, planning: Planning) -> None:
    """Start a thread that times the tiles of a program, unless one is at work already."""
    if os.environ.get(VARIABLE) == "0" or not _busy.acquire(blocking=False):
        return
    program.is_measured = True
    # it is no daemon, which would die in the middle of machine code; it ends with the main thread
    threading.Thread(target=_work, name="specc-measure", args=(program, planning)).start()


def measure(program: CompiledProgram, planning: Planning) -> int:
    """Time the tiles of a program now; return the number of contractions with a choice."""
    from specc.backend.measure.tiles import finished

    return finished(_steps(program, planning))


def _work(program: CompiledProgram, planning: Planning) -> None:
    """Time tiles with a part of the time of one processor, until the main thread ends."""
    try:
        if sys.platform == "linux":  # elsewhere it would be the priority of the whole process
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        start = time.thread_time()
        for _ in _steps(program, planning):
            rest = (time.thread_time() - start) * (1 / _SHARE - 1)
            until = time.monotonic() + rest
            while (left := until - time.monotonic()) > 0:
                if not threading.main_thread().is_alive():
                    return
                time.sleep(min(left, _LOOKS))
            start = time.thread_time()
    finally:
        _busy.release()


def _steps(program: CompiledProgram, planning: Planning) -> Generator[None, None, int]:
    """Time the tiles of a program in short steps; return how many contractions were timed."""
    from specc.backend.measure.tiles import measuring, worth_timing

    with planning(), watched() as found:
        program.emitted_again()
    yield
    count = 0
    for problem in worth_timing(found):
        if is_known(problem):
            continue
        fastest = yield from measuring(problem)
        if fastest is not None:
            with COMPILER:
                remember(problem, fastest)
            count += 1
    program.note_measured(is_new=count > 0)
    return count
