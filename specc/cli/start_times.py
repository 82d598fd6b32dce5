"""`specc time FILE --start`: where startup time goes, up to the first training step.

    starts = measured(Path("lenet.dl"), {}, threads=2, dtype="float32")
    text(starts)

Two separate processes run one after the other: the first with an empty cache folder (cold), the
second with the cache that the first has filled (warm).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

from specc.system.records import dataclass

Compiled = tuple[str, float, float, float]
"""A kernel's name, and the CPU seconds of its lowering, LLVM's passes and code generation."""

# The modules that the first stages import.
BEFORE = {
    "Python": ("specc.cli.main",),
    "import NumPy": ("numpy",),
    "import the front end": ("specc.driver", "specc.frontend.program.check"),
}
LONGEST = 5  # number of kernels that are listed
NO_STEP = 3  # exit status of a process whose model has errors, which it has reported


@dataclass(frozen=True)
class Start:
    """One start: the seconds of its stages, in order.

    `compiled` has the kernels that were not in the cache.
    """

    stages: dict[str, float]
    kernels: int
    processes: int
    compiled: list[Compiled]

    @property
    def seconds(self) -> float:
        """Seconds from the start of the process to the end of the first step."""
        return sum(self.stages.values())


def measured(
    file: Path,
    changes: Mapping[str, str],
    threads: int | None,
    dtype: str,
    precision: str | None = None,
) -> dict[str, Start] | None:
    """Return a cold and a warm start of a model; None if the model has errors."""
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for name in ("cold", "warm"):
            started = _started([str(file), dict(changes), threads, dtype, precision], folder)
            if started is None:
                return None
            found[name] = started
        return found


def _started(job: list[Any], folder: str) -> Start | None:
    places = [os.path.abspath(each) for each in sys.path if each]
    environment = {
        **os.environ,
        "SPECC_CACHE_DIR": folder,
        "PYTHONPATH": os.pathsep.join(places),
    }
    done = subprocess.run(
        [sys.executable, "-P", "-m", __name__, json.dumps([perf_counter(), *job])],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode == NO_STEP:
        return None
    done.check_returncode()
    return Start(**json.loads(done.stdout))


def text(starts: Mapping[str, Start], name: str) -> str:
    """Return the text to print: the stages of both starts, and the time of compiling."""
    cold, warm = starts["cold"], starts["warm"]
    lines = [
        f"{name}: the first step ends {cold.seconds:.2f} s after the start of the process"
        f" with an empty cache, {warm.seconds:.2f} s with a full one",
        "",
        f"{'':<26}{'empty':>8}{'full':>8}",
    ]
    for stage in cold.stages:
        lines.append(f"{stage:<26}{cold.stages[stage]:>8.3f}{warm.stages.get(stage, 0.0):>8.3f}")
    if cold.compiled:
        sums = [sum(times) for times in zip(*(each[1:] for each in cold.compiled), strict=True)]
        longest = sorted(cold.compiled, key=lambda each: -sum(each[1:]))[:LONGEST]
        places = "1 process" if cold.processes == 1 else f"{cold.processes} processes"
        lines += [
            "",
            f"{len(cold.compiled)} of {cold.kernels} kernels were compiled, in {places},"
            f" in {sum(sums):.2f} s of CPU time:",
            f"lowering {sums[0]:.2f}, LLVM's passes {sums[1]:.2f}, machine code {sums[2]:.2f}",
            "the longest: " + ", ".join(f"{kernel} {sum(times):.2f}" for kernel, *times in longest),
        ]
    return "\n".join(lines) + "\n"


def record(starts: Mapping[str, Start], name: str) -> dict[str, Any]:
    """Return the starts as plain data for JSON."""
    return {
        "model": name,
        **{state: {"seconds": each.seconds, **asdict(each)} for state, each in starts.items()},
    }


class _Stages:
    """Records the seconds between calls by name; `begun` is the start of the first stage."""

    def __init__(self, begun: float) -> None:
        self.found: dict[str, float] = {}
        self._last = begun

    def __call__(self, name: str) -> None:
        now = perf_counter()
        self.found[name] = now - self._last
        self._last = now

    def split(self, name: str, parts: Mapping[str, float]) -> None:
        """Record the stage since the last call, minus `parts`, which are recorded separately."""
        self(name)
        self.found[name] -= sum(parts.values())
        self.found.update(parts)


def _start(
    begun: float,
    file: str,
    changes: dict[str, str],
    threads: int | None,
    dtype: str,
    precision: str | None,
) -> int:
    """Run a start in this process, and print its stages as JSON."""
    stage = _Stages(begun)
    for name, modules in BEFORE.items():
        for each in modules:
            import_module(each)
        stage(name)
    from specc import driver
    from specc.diagnostics import SpecError

    try:
        program = driver.load(file, changes)
    except SpecError as error:
        from specc.cli.session import report

        report(error.diagnostics)
        return NO_STEP
    stage("read and check the file")
    from specc.backend.toolchain import load, workers
    from specc.cli.random_rows import random_rows
    from specc.ir.kind import Kind

    import_module("specc.net.net")
    import_module("llvmlite.binding")
    stage("import the compiler")
    net = driver.compile(program, threads=threads, dtype=dtype, precision=precision)
    stage("weights and profile")
    kind = Kind.main(program)
    net.programs.graph(kind)
    stage("passes")
    compiled = net.compiled(kind)
    columns, order = random_rows(net, net.batch)
    stage("plan")
    compiled.link(columns)
    times = load.seconds
    stage.split(
        "emit kernels",
        {
            "compile": times["compile"],
            "read and link": times["read"] + times["link"],
        },
    )
    if kind == Kind.TRAIN:
        net.train(columns, order, 0, 0, 0)
    else:
        net.programs.run(compiled, columns, order, net.batch)
    stage("first step")
    spent = _spent()
    processes = min(workers.processors(), 1 + len(spent) // workers._KERNELS_WORTH_A_WORKER)
    start = Start(stage.found, len(compiled.code(columns).addresses), processes, spent)
    sys.stdout.write(json.dumps(asdict(start)))
    return 0


def _spent() -> list[Compiled]:
    """Return the times of each kernel that this process has compiled."""
    compiler = sys.modules.get("specc.backend.llvm.compile")
    return [tuple(each) for each in compiler.spent] if compiler else []


if __name__ == "__main__":
    sys.exit(_start(*json.loads(sys.argv[1])))
