"""Drives the peers' processes in turns, so that what disturbs the machine disturbs all of them.

    with Peer("pytorch", case, folder, threads=2, caches=caches) as peer:
        peer.prepare("training")
        peer.run("training", steps=100)       # Turn(seconds a step, share of the machine that others used)

A *turn* is a stretch of steps of one peer; a round gives each peer a turn, in changing order. Turns in
which other processes had more than `NOISE` of the machine are left out where enough quiet ones remain.
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
TURN = 0.15  # seconds that a turn aims at
NOISE = 0.1
ENOUGH = 5  # quiet turns


class PeerFailed(Exception):
    """A peer that cannot run a model, and why."""


@dataclass(frozen=True)
class Turn:
    seconds: float  # a step
    others: float


@dataclass(frozen=True)
class Figures:
    """What came of a peer's turns, in seconds a step: the median, the quartiles, the least."""

    median: float
    low: float
    high: float
    least: float
    turns: int
    quiet: int

    @classmethod
    def of(cls, turns: Sequence[Turn]) -> Figures:
        quiet = [each.seconds for each in turns if each.others <= NOISE]
        used = quiet if len(quiet) >= ENOUGH else [each.seconds for each in turns]
        low, median, high = statistics.quantiles(used, n=4) if len(used) > 1 else used * 3
        return cls(median, low, high, min(used), len(turns), len(quiet))

    def record(self) -> dict:
        return asdict(self)


class Peer:
    """A process with one peer and one model. `seconds_to_first` counts from its start."""

    def __init__(self, name: str, case: str, folder: Path, threads: int, caches: Path):
        self.name = name
        job = {"peer": name, "case": case, "folder": str(folder), "threads": threads}
        self._log = (folder / f"{name}.log").open("w+")
        self._started = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", json.dumps(job)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, bufsize=1,
            cwd=ROOT, env=_environment(threads, caches))  # fmt: skip
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
            self.seconds_to_first = time.perf_counter() - self._started
        return answer.get("losses") or answer["outputs"]

    def run(self, kind: str, steps: int, batch: int = 0) -> Turn:
        before, start = _busy(), time.perf_counter()
        answer = self._ask("run", kind, batch, steps)
        wall, busy = time.perf_counter() - start, _busy() - before
        machine = max(wall, 1e-3) * (os.cpu_count() or 1)
        return Turn(answer["seconds"] / steps, max(0.0, busy - answer["cpu"] - 0.02) / machine)

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


def interleave(turns: dict[str, Callable[[int], Turn]], rounds: int) -> dict[str, list[Turn]]:
    """The turns of all runners; up to twice as many rounds where the machine is not quiet."""
    steps = {name: _steps_of_a_turn(run) for name, run in turns.items()}
    found: dict[str, list[Turn]] = {name: [] for name in turns}
    names = list(turns)
    for number in range(2 * rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            time.sleep(0.01)  # threads of the one before that still look for work go to sleep
            found[name].append(turns[name](steps[name]))
        quiet = min(sum(each.others <= NOISE for each in of) for of in found.values())
        if number + 1 >= rounds and quiet >= min(ENOUGH, rounds):
            break
    return found


def _steps_of_a_turn(run: Callable[[int], Turn]) -> int:
    steps = 1
    while True:
        seconds = run(steps).seconds * steps
        if seconds >= TURN / 4:
            return max(1, round(steps * TURN / seconds))
        steps = max(2 * steps, min(16 * steps, round(steps * TURN / 2 / max(seconds, 1e-6))))


def _environment(threads: int, caches: Path) -> dict[str, str]:
    """The same number of threads for everyone, and caches in one folder, empty at first."""
    count = str(threads)
    return {
        **os.environ, "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu",
        "SPECC_CACHE_DIR": str(caches / "specc"),
        "TORCHINDUCTOR_CACHE_DIR": str(caches / "inductor"),
        "JAX_COMPILATION_CACHE_DIR": str(caches / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }  # fmt: skip


def _busy() -> float:
    """Seconds that all processors together have worked since the machine's start (0: not known)."""
    try:
        with open("/proc/stat") as file:
            user, nice, system, _, _, irq, soft, steal = map(int, file.readline().split()[1:9])
    except (OSError, ValueError):
        return 0.0
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")
