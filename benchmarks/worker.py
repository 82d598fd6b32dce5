"""One peer in a process of its own, driven through its pipes by `benchmarks.drive`.

Started with a job as JSON. It prepares, answers with a line of JSON, and then answers a line to
each line that it reads:

    ["prepare", kind, batch]    {"losses": [...], "later": seconds of all steps but the first} or
                                {"outputs": [...]}: the first steps or the first call
    ["run", kind, batch, n, m]  {"stretches": m times the figures of n steps or calls}
    ["measure", kind, batch]    {}: what a long training does in the background, for later processes
    ["memory"]                  {"peak": bytes}
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path

CHECKED = 3  # first steps whose losses are compared


@dataclass
class Job:
    case: object
    data: dict
    weights: dict
    threads: int


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints is no answer
    job = json.loads(sys.argv[1])
    hold_to(job["threads"])

    import importlib

    import numpy as np

    from benchmarks.cases import CASES, CELLS

    folder = Path(job["folder"])
    with np.load(folder / "data.npz") as data, np.load(folder / "weights.npz") as weights:
        given = Job({**CASES, **CELLS}[job["case"]], dict(data), dict(weights), job["threads"])
    peer = importlib.import_module(f"benchmarks.peers.{job['peer']}")
    runners: dict = {}
    for line in sys.stdin:
        command, *rest = json.loads(line)
        if command == "prepare":
            kind, batch = rest
            if kind == "training":
                run = peer.training(given)
                losses = [float(run(1)[0])]
                first = time.perf_counter()
                losses += [float(run(1)[0]) for _ in range(CHECKED - 1)]
                answer = {"losses": losses, "later": time.perf_counter() - first}
            else:
                run = peer.inference(given, batch)
                run(1)
                answer = {"outputs": np.asarray(run.outputs(), float).reshape(-1)[:20].tolist()}
            runners[kind, batch] = run
        elif command == "run":
            kind, batch, count, stretches = rest
            run = runners[kind, batch]
            answer = {"stretches": [stretch(run, count) for _ in range(stretches)]}
        elif command == "measure":
            peer.measure(given, *rest)
            answer = {}
        else:
            answer = {"peak": peak_memory()}
        answers.write(json.dumps(answer) + "\n")


def hold_to(threads: int) -> None:
    """Keep this process on as many processors as it may have threads: JAX knows no other limit."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def stretch(run, count: int) -> tuple[float, float, float]:
    """Seconds of `count` steps, processor time of all threads in them, and their `delay`."""
    before, cpu, start = delay(), time.process_time(), time.perf_counter()
    run(count)
    seconds = time.perf_counter() - start
    return seconds, time.process_time() - cpu, delay() - before


def delay() -> float:
    """Seconds that this process's threads were ready and waited for a processor (0: not known)."""
    total = 0
    try:
        for thread in Path("/proc/self/task").iterdir():
            total += int((thread / "schedstat").read_text().split()[1])
    except (OSError, IndexError):
        pass
    return total / 1e9


def peak_memory() -> int:
    """Bytes of the largest resident set.

    (ru_maxrss alone begins with that of the parent process.)
    """
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) * 1024
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main()
