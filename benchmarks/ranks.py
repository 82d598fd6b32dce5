"""`python -m benchmarks.ranks`: two ranks of one thread each against one process of two threads.

    python -m benchmarks.ranks --models lenet,vgg --turns 40

Both train in turns, in one run of `mpiexec`: the ranks by the memory that they have in common and,
in a third kind of turn, by messages, as ranks of two machines do. While one process has two
threads, the other one sleeps. The figures are examples per second, medians over the turns, and the
ratio to two threads is the median of the ratios of neighbouring turns. `--json` stores every turn.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.cases import CASES, Case

MODELS = "lenet,mlp512,lstm,vgg"
SECONDS = 0.15  # of a turn
AS_ROOT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
}
"""What Open MPI asks for in a container, and on fewer processors than ranks."""
KINDS = ("threads", "ranks", "messages")


def launcher() -> str:
    """Return the launcher of MPI: beside this Python, or on the path."""
    beside = str(Path(sys.executable).with_name("mpiexec"))
    found = shutil.which(beside) or shutil.which("mpiexec")
    if found is None:
        raise click.UsageError("there is no `mpiexec`: install an MPI, as `pip install mpich`")
    return found


@click.command()
@click.option("--models", default=MODELS, show_default=True)
@click.option("--turns", default=30, show_default=True, help="Turns of each kind.")
@click.option("--json", "to", type=click.Path(path_type=Path), help="Store every turn here.")
@click.option("--inside", is_flag=True, hidden=True, help="This is one of the ranks.")
def main(models: str, turns: int, to: Path | None, inside: bool) -> None:
    """Compare two ranks of one thread with two threads."""
    if not inside:
        words = ["--models", models, "--turns", str(turns), *(["--json", str(to)] if to else [])]
        command = [launcher(), "-n", "2", sys.executable, "-m", "benchmarks.ranks", "--inside"]
        found = subprocess.run([*command, *words], check=False, env=os.environ | AS_ROOT)
        raise SystemExit(found.returncode)
    if hasattr(os, "sched_setaffinity"):  # a launcher may have bound each rank to one processor
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    from specc.diagnostics import SpecWarning
    from specc.runs.together import joined

    warnings.simplefilter("ignore", SpecWarning)
    ranks = joined()
    assert ranks is not None and ranks.neighbours is not None, "two ranks of one machine are needed"
    found = {}
    for name in models.split(","):
        found[name] = _turns(CASES[name], ranks, turns)
        if ranks.is_first:
            click.echo(_line(name, found[name]))
    if ranks.is_first and to is not None:
        to.write_text(json.dumps(found))


def _turns(case: Case, ranks: Any, turns: int) -> dict[str, list[float]]:
    """Return the examples per second of each turn, by the kind of turn."""
    from specc.backend.run.ranks import Ranks

    runs: dict[str, Callable[[int], None]] = {}
    if ranks.is_first:
        runs["threads"] = _trainer(case, 2, None)
    ranks.agreed(None)
    runs["ranks"] = _trainer(case, 1, ranks)
    runs["messages"] = _trainer(case, 1, Ranks(ranks.comm))
    steps = dict.fromkeys(KINDS, 0)
    for kind in KINDS:
        seconds = _seconds(ranks, runs, kind, 2)
        seconds = _seconds(ranks, runs, kind, 4)
        steps[kind] = ranks.agreed(max(1, round(4 * SECONDS / seconds)))
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for turn in range(turns):
        for kind in KINDS[turn % 3 :] + KINDS[: turn % 3]:
            seconds = _seconds(ranks, runs, kind, steps[kind])
            found[kind].append(steps[kind] * case.batch / seconds)
    return found


def _trainer(case: Case, threads: int, ranks: Any) -> Callable[[int], None]:
    """Return a function that does so many steps."""
    import specc
    from specc.recipe import Column

    net = specc.compile(specc.load(case.path), batch=case.batch, threads=threads, seed=0)
    if ranks is not None:
        net.programs.share(ranks)
    data = {name: Column(array) for name, array in case.data().items()}
    rows, done = np.arange(case.rows // case.batch * case.batch), 0

    def run(steps: int) -> None:
        nonlocal done
        order = np.resize(rows, steps * case.batch)
        net.train(data, order, done, 10**6, 10**7)
        done += steps

    return run


def _seconds(ranks: Any, runs: dict[str, Callable[[int], None]], kind: str, steps: int) -> float:
    ranks.wait()
    start = time.perf_counter()
    if kind in runs:
        runs[kind](steps)
    seconds = time.perf_counter() - start
    ranks.wait()  # the other process sleeps here while the first one trains alone
    return seconds


def _line(name: str, found: dict[str, list[float]]) -> str:
    rates = {kind: statistics.median(each) for kind, each in found.items()}
    parts = [f"{name:8} two threads {rates['threads']:9,.0f}/s"]
    for kind in KINDS[1:]:
        ratios = [a / b for a, b in zip(found[kind], found["threads"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        said = "two ranks" if kind == "ranks" else "by messages"
        parts.append(f"{said} {rates[kind]:9,.0f}/s, {middle:.2f} ({low:.2f} to {high:.2f})")
    return "   ".join(parts)


if __name__ == "__main__":
    main()
