"""Drives the peers' processes in turns, so that what disturbs the machine disturbs all of them.

    with Peer("pytorch", "lenet", folder, threads=2, caches=caches) as peer:
        peer.prepare("training")
        peer.run("training", steps=5, stretches=15)       # [Stretch(seconds, disturbed), ...]

A *turn* is some stretches of steps of one peer; a round gives each peer a turn, in changing order.
Stretches are short, so that some fall between the work of other programs. One is disturbed where
the peer's threads were ready, but waited for a processor that another program had: where that comes
to more than `NOISE` of the time, it is left out, if enough quiet ones remain.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STRETCH = 0.01  # seconds that a stretch of steps aims at
TURN = 0.08  # and a turn
NOISE = 0.05
ENOUGH = 5  # quiet stretches
PATIENCE = 12.0  # seconds that all turns of one model may take where the machine is not quiet
AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
}
IDLE = 0.1  # seconds that a turn waits for other programs to pause


class PeerFailed(Exception):
    """A peer that cannot run a model, and why."""


@dataclass(frozen=True)
class Stretch:
    """`processor` is the processor's time a step where there is one thread.

    What others do hardly counts.
    """

    seconds: float  # a step
    disturbed: float
    processor: float | None = None


@dataclass(frozen=True)
class Figures:
    """What came of a peer's stretches, in seconds a step: the median, the quartiles, the least."""

    median: float
    low: float
    high: float
    least: float
    stretches: int
    quiet: int
    processor: float | None = None

    @classmethod
    def of(cls, stretches: Sequence[Stretch]) -> Figures:
        quiet = [each.seconds for each in stretches if each.disturbed <= NOISE]
        used = quiet if len(quiet) >= ENOUGH else [each.seconds for each in stretches]
        low, median, high = statistics.quantiles(used, n=4) if len(used) > 1 else used * 3
        processor = [each.processor for each in stretches]
        own = None if None in processor else statistics.median(processor)
        return cls(median, low, high, min(used), len(stretches), len(quiet), own)

    @property
    def seconds(self) -> float:
        """The median of quiet stretches.

        Without enough of them the processor's time, for one thread; for more, whose waiting for
        each other costs processor time too, the least of all.
        """
        return self.median if self.is_quiet else self.processor or self.least

    @property
    def is_quiet(self) -> bool:
        return self.quiet >= min(ENOUGH, self.stretches)

    def record(self) -> dict:
        return asdict(self)


class Peer:
    """A process with one peer and one model. `seconds_to_first` counts from its start.

    `root` is the checkout whose code the process runs.
    """

    def __init__(
        self, name: str, case: str, folder: Path, threads: int, caches: Path, root: Path = ROOT
    ):
        self.name, self.threads = name, threads
        job = {"peer": name, "case": case, "folder": str(folder), "threads": threads}
        self._log = (folder / f"{name}-{root.name}.log").open("w+")
        await_quiet(1)
        self._started = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", json.dumps(job)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, bufsize=1,
            cwd=root, env=_environment(threads, caches, root))  # fmt: skip
        self.seconds_to_first: float | None = None

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def prepare(self, kind: str, batch: int = 0) -> list[float]:
        """The losses of the first steps, or the first outputs."""
        answer = self._ask("prepare", kind, batch)
        if self.seconds_to_first is None:
            took = time.perf_counter() - self._started
            self.seconds_to_first = took - answer.get("later", 0.0)
        return answer.get("losses") or answer["outputs"]

    def measure(self, kind: str, batch: int = 0) -> None:
        """Let specc time its tiles, as in the background of a long training."""
        self._ask("measure", kind, batch)

    def run(self, kind: str, steps: int, stretches: int = 1, batch: int = 0) -> list[Stretch]:
        answer = self._ask("run", kind, batch, steps, stretches)
        return [Stretch(seconds / steps, delay / seconds / self.threads,
                        cpu / steps if self.threads == 1 else None)
                for seconds, cpu, delay in answer["stretches"]]  # fmt: skip

    def memory(self) -> int:
        return self._ask("memory")["peak"]

    def _ask(self, *command) -> dict:
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise PeerFailed(self._reason())
        return json.loads(line)

    def _reason(self) -> str:
        self._log.seek(0)
        lines = [line.strip() for line in self._log.read().splitlines() if line.strip()]
        errors = [line for line in lines if "Error" in line]
        return (errors or lines or ["it ended without a word"])[-1][:200]


Run = Callable[[int, int], list[Stretch]]  # of steps and stretches


def interleave(runs: dict[str, Run], rounds: int) -> dict[str, list[Stretch]]:
    """The stretches of all peers, turn by turn; more rounds where the machine is not quiet."""
    sizes = {name: _size_of_a_turn(run) for name, run in runs.items()}
    found: dict[str, list[Stretch]] = {name: [] for name in runs}
    names, start = list(runs), time.perf_counter()
    for number in range(10 * rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            await_quiet()
            found[name] += runs[name](*sizes[name])
        quiet = min(sum(each.disturbed <= NOISE for each in of) for of in found.values())
        late = time.perf_counter() - start > PATIENCE
        if number + 1 >= rounds and (quiet >= ENOUGH * rounds or late):
            break
    return found


def await_quiet(seconds: float = IDLE) -> None:
    """Wait until nothing else runs, or so long. (The peer before also needs a moment.

    Its threads look for work for a while, then go to sleep.)
    """
    deadline = time.perf_counter() + seconds
    while True:
        before = _idle()
        time.sleep(0.02)
        if before is None or _idle() - before >= 0.03 or time.perf_counter() > deadline:
            return


def _idle() -> float | None:
    """Seconds that the processors have been idle, all together."""
    try:
        with open("/proc/stat") as file:
            fields = file.readline().split()
        return (int(fields[4]) + int(fields[5])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


def _size_of_a_turn(run: Run) -> tuple[int, int]:
    """Steps of a stretch, and stretches of a turn."""
    steps = 1
    while True:
        seconds = steps * min(each.seconds for each in run(steps, 5))
        if seconds >= STRETCH / 4:
            break
        steps = max(2 * steps, min(16 * steps, round(steps * STRETCH / 2 / max(seconds, 1e-6))))
    steps = max(1, round(steps * STRETCH / seconds))
    return steps, max(1, round(TURN / max(seconds, STRETCH)))


def _environment(threads: int, caches: Path, root: Path) -> dict[str, str]:
    """The same number of threads for everyone, and caches in one folder, empty at first.

    With vectors of 256 bits for specc, its peers also have no wider ones, as far as they can be
    told: ONNX Runtime cannot.
    """
    count = str(threads)
    narrow = AVX2 if os.environ.get("SPECC_VECTOR_BITS") == "256" else {}
    return {
        **os.environ, **narrow, "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count, "PYTHONPATH": str(root), "JAX_PLATFORMS": "cpu",
        "SPECC_CACHE_DIR": str(caches / "specc"), "SPECC_MEASURE": "0",
        "TORCHINDUCTOR_CACHE_DIR": str(caches / "inductor"),
        "JAX_COMPILATION_CACHE_DIR": str(caches / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }  # fmt: skip
