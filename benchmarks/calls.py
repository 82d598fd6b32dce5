"""`python -m benchmarks.calls`: what a call from Python takes around its kernels.

The model is tiny, so that hardly anything else is to be seen. A call's time is the least of many
rounds of `CALLS` calls; that of its kernels the least of as many runs of the same program, each of
`CALLS` steps within one call. What is left is Python, locks, checks of the arrays, and the results.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from typing import Any

import click
import numpy as np

import specc
from benchmarks.cases import CASES
from specc.backend.run.executor import executor
from specc.backend.run.storage import Linked
from specc.ir.kind import Kind
from specc.recipe import Column

CALLS = 200
GOALS = {"step": 6.0, "forward": 3.0, "loss_and_gradients": 8.0}  # us around the kernels


@click.command()
@click.option("--model", default="tiny", show_default=True, type=click.Choice(list(CASES)))
@click.option("--rounds", default=200, show_default=True)
def main(model: str, rounds: int) -> None:
    """Print microseconds of calls, and of what is around their kernels."""
    case = CASES[model]
    net = specc.compile(specc.load(case.path), threads=1, seed=0)
    arrays = {name: array[: net.batch] for name, array in case.data().items()}
    inputs = {port.name: arrays[port.name] for port in net.ports if port.role == "input"}
    calls: dict[str, tuple[Kind, dict[str, np.ndarray], Callable[[], Any]]] = {
        "step": (Kind.TRAIN, arrays, lambda: net.step(**arrays)),
        "forward": (Kind.PREDICT, inputs, lambda: net.forward(**inputs)),
        "forward, with targets": (Kind.PREDICT, arrays, lambda: net.forward(**arrays)),
        "loss_and_gradients": (Kind.GRADIENTS, arrays, lambda: net.loss_and_gradients(**arrays)),
    }
    click.echo(f"{model}, batch {net.batch}, one thread, {processor()}")
    click.echo(f"{'':<24}{'us a call':>12}{'kernels':>12}{'around them':>14}{'goal':>8}")
    for name, (kind, given, call) in calls.items():
        whole, kernels = measured(call, kernels_of(net, kind, given), rounds)
        goal = f"{GOALS[name]:g}" if name in GOALS else ""
        click.echo(f"{name:<24}{whole:>12.2f}{kernels:>12.2f}{whole - kernels:>14.2f}{goal:>8}")


def measured(call: Callable[[], Any], kernels: Callable[[], float], rounds: int) -> tuple:
    """The least microseconds of a call, and of its kernels, in turns."""
    wholes, parts = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(CALLS):
            call()
        wholes.append(time.perf_counter() - start)
        parts.append(kernels())
    return tuple(min(each) / CALLS * 1e6 for each in (wholes, parts))


def kernels_of(net: Any, kind: Kind, arrays: dict[str, np.ndarray]) -> Callable[[], float]:
    """A function that runs `CALLS` steps of a program, and returns the seconds."""
    program = net.compiled(kind, net.batch)
    data = {name: Column(arrays[name]) for name in program.ports}
    order = np.resize(np.arange(net.batch), CALLS * net.batch)
    settings = net.training.schedule(0, CALLS) if kind == Kind.TRAIN else None
    seconds: list[float] = []
    pool = executor(program.threads)

    def execute(linked: Linked, steps: int) -> None:
        start = time.perf_counter()
        pool.run(linked.program, steps)
        seconds.append(time.perf_counter() - start)

    def run() -> float:
        program.run(data, order, net.batch, settings, net.seed, execute=execute)
        return seconds[-1]

    return run


def processor() -> str:
    """The processor's name, as the system tells it."""
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
