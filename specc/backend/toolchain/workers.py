"""Compile kernels in parallel: this process and some worker processes take them from one queue.

A worker is a new interpreter, which does not run the user's program. It reads kernels from its
input and writes object code. If a worker fails, the kernel that it took returns to the queue, and
this process compiles the rest. A worker ends when its input ends, at the latest with this process.
"""

from __future__ import annotations

import atexit
import os
import pickle
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from specc.backend.llvm.kernel import Kernel
from specc.backend.machine.system import processors
from specc.backend.toolchain.choice import object_code, warm_up
from specc.system.locks import remade_after_fork

# Starting a worker takes about as long as compiling four small kernels.
_KERNELS_WORTH_A_WORKER = 4
_MOST_AHEAD = 7  # most workers that are started in advance
_TIMEOUT = 30.0  # seconds to wait for a worker's last kernel, before it is compiled here


def compile_all(kernels: Sequence[Kernel], workers: int | None = None) -> dict[Kernel, bytes]:
    """Return the object code of each kernel, compiled by at most `workers` processes.

    By default there is one process per processor.
    """
    workers = min(workers or processors(), 1 + len(kernels) // _KERNELS_WORTH_A_WORKER)
    queue = deque(sorted(kernels, key=_work, reverse=True))
    done: dict[Kernel, bytes] = {}
    others = [_ahead.pop() if _ahead else _Worker() for _ in range(workers - 1)]
    try:
        for each in others:
            each.begin(queue, done)
        _drain(queue, done, object_code)
        for each in others:
            each.join(_TIMEOUT)
        for kernel in kernels:  # kernels that a worker took and did not finish
            if kernel not in done:
                done[kernel] = object_code(kernel)
    finally:
        for each in others:
            each.stop()
        _stop_ahead()
    return done


def _work(kernel: Kernel) -> tuple[bool, int]:
    """Return a rough measure of the time to compile a kernel.

    The largest kernels are compiled first, so that all processes end at about the same time. A tile
    is much code for a few words of `imports`, and a whole module is even more.
    """
    return kernel.imports.endswith("*"), len(kernel.source) + 10 * len(kernel.imports)


_ahead: list[_Worker] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_ahead.clear)  # they are the parent's


def start_ahead() -> None:
    """Start the workers of the next `compile_all`, so that they are ready when it begins.

    A worker takes about 0.1 s to start. Meanwhile the caller determines the kernels.
    """
    if not _ahead:
        _ahead.extend(_Worker() for _ in range(min(processors() - 1, _MOST_AHEAD)))


@atexit.register
def _stop_ahead() -> None:
    while _ahead:
        _ahead.pop().stop()


def serve() -> None:
    """Run a worker: read kernels and write their object code until the input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # printed text must not mix with the answers
    from specc.backend.llvm.compile import spent

    warm_up()
    pickle.dump("ready", answers)
    answers.flush()
    while True:
        try:
            kernel = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        code = object_code(kernel)
        pickle.dump((code, [tuple(each) for each in spent]), answers)
        spent.clear()
        answers.flush()


def _drain(
    queue: deque[Kernel], done: dict[Kernel, bytes], compile_one: Callable[[Kernel], bytes]
) -> None:
    while True:
        try:
            kernel = queue.popleft()
        except IndexError:
            return
        try:
            done[kernel] = compile_one(kernel)
        except BaseException:
            queue.append(kernel)
            raise


class _Worker:
    """A worker process, and the thread that feeds it from the queue."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        remade_after_fork(self)
        if not sys.executable:
            return
        try:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-c",
                    "from specc.backend.toolchain.workers import serve; serve()",
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(_import_path())},
            )
        except OSError:
            return

    def begin(self, queue: deque[Kernel], done: dict[Kernel, bytes]) -> None:
        """Let the worker take kernels from the queue, as soon as it is ready."""
        if self._process is None:
            return
        self._thread = threading.Thread(target=self._feed, args=(queue, done), daemon=True)
        self._thread.start()

    def _feed(self, queue: deque[Kernel], done: dict[Kernel, bytes]) -> None:
        process = self._process
        if process is None:  # released after a fork
            return
        try:
            pickle.load(_pipe(process.stdout))  # "ready": until then it takes no kernel
            _drain(queue, done, self._compile)
        except (OSError, EOFError, ValueError, pickle.UnpicklingError):
            pass  # the process ended; its kernel is in the queue again

    def _compile(self, kernel: Kernel) -> bytes:
        if self._process is None:
            raise EOFError("the worker was released after a fork")
        to = _pipe(self._process.stdin)
        pickle.dump(kernel, to)
        to.flush()
        code: bytes
        code, took = pickle.load(_pipe(self._process.stdout))
        from specc.backend.llvm.compile import Spent, spent

        spent += [Spent(*each) for each in took]
        return code

    def join(self, seconds: float) -> None:
        """Wait until the worker has compiled its last kernel."""
        if self._thread is not None and self._process and self._process.poll() is None:
            self._thread.join(seconds)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                with suppress(OSError):  # a kernel that the worker did not read
                    _pipe(pipe).close()

    def after_fork(self) -> None:
        """Release the parent's worker: with the child's pipes open it would outlive the parent."""
        process, self._process = self._process, None
        if process is not None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            for pipe in (process.stdin, process.stdout):
                if not _pipe(pipe).closed:
                    os.dup2(nowhere, _pipe(pipe).fileno(), inheritable=False)
            os.close(nowhere)
            process.returncode = 0  # it is not a child of this process


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None, "the worker was started with pipes"
    return pipe


def _import_path() -> list[str]:
    """Return the folders that a worker imports from.

    They are those of this process without the working folder, which may contain a file such as
    `numpy.py`. If specc itself is in the working folder, that folder comes last.
    """
    here, own = os.path.realpath(os.curdir), Path(__file__).resolve().parents[3]
    folders = [os.path.abspath(each) for each in sys.path if each]
    others = [each for each in folders if os.path.realpath(each) not in (here, str(own))]
    return [*others, str(own)]
