"""Whether the estimates choose well: every tile that fits a contraction, timed.

    python -m benchmarks.kernels --choices                  # all benchmark models
    python -m benchmarks.kernels --choices lenet mlp512     # some of them

Takes every contraction of training steps, of predictions of one example and of 256, as one thread
computes it and as each of two does. Prints the ones where the plan's choice is slower than the
best, and how much time is lost in all. Tiles that are estimated to take more than twice as long as
the best are left out.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

import specc
from benchmarks.cases import CASES
from specc.backend.contraction import plan as planning
from specc.backend.contraction.problem import Problem
from specc.backend.contraction.tiling import ContractionPlan, Operand
from specc.backend.emit import products
from specc.backend.machine import this_machine
from specc.backend.machine.here import this_profile
from specc.backend.run.executor import StepCalls, executor
from specc.backend.toolchain.load import load
from specc.pipeline import Kind

WITHIN = 2.0  # times the best estimate
SECONDS = 1e-3  # that a tile is timed for, at least three calls


@contextmanager
def recorded() -> Iterator[list[Problem]]:
    """The contractions that are planned in a block."""
    found: list[Problem] = []
    original = products.plan_contraction

    def plan(problem: Problem) -> ContractionPlan | None:
        found.append(problem)
        return original(problem)

    products.plan_contraction = plan  # type: ignore[assignment]
    try:
        yield found
    finally:
        products.plan_contraction = original


def problems(name: str, threads: int) -> list[Problem]:
    """The contractions of a model."""
    case = CASES[name]
    net = specc.compile(specc.load(case.path), batch=case.batch, threads=threads)
    with recorded() as found:
        for kind, examples in ((Kind.TRAIN, None), (Kind.PREDICT, 1), (Kind.PREDICT, 256)):
            net.programs.compiled(kind, examples).calls()
    return list(dict.fromkeys(each for each in found if each.kind is not None))


@dataclass(frozen=True)
class Timed:
    """A tile of a form: estimated cycles, and measured seconds."""

    form: str
    shape: tuple[int, int]
    cycles: float
    seconds: float

    def __str__(self) -> str:
        return f"{self.form} {self.shape[0]}x{self.shape[1]}"


@dataclass(frozen=True)
class Choice:
    """A contraction: the tile that was chosen, and all that were timed, the fastest first."""

    problem: Problem
    chosen: Timed
    timed: tuple[Timed, ...]

    @property
    def lost(self) -> float:
        """The part of the best one's time that the chosen one takes more."""
        return self.chosen.seconds / self.timed[0].seconds - 1

    def __str__(self) -> str:
        op = self.problem.op
        kind = self.problem.kind.name.lower() if self.problem.kind else ""
        left, right = (each.batched for each in (self.problem.left, self.problem.right))
        return (
            f"{100 * self.lost:5.1f} %  {self.chosen.seconds * 1e6:8.1f} us  {self.chosen!s:<22}"
            f" best {self.timed[0]!s:<22} {kind} {'x'.join(map(str, op.extents))}"
            f"{' left batched' if left and not right else ''} lanes {self.problem.lanes}"
        )


class Memory:
    """Random operands of a contraction, and room for its result."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        rng = np.random.default_rng(0)
        self.arrays = []
        op = problem.contract
        for map_, operand in (
            (op.left, problem.left),
            (op.right, problem.right),
            (op.out, problem.result),
        ):
            # as much before the first element as after it, for windows that begin at an edge
            size = self._size(map_, operand)
            array = (rng.random(3 * size, dtype=np.float32) - 0.5).astype(self._dtype)
            self.arrays.append(array[size:])

    @property
    def _dtype(self) -> str:
        return self._problem.target.dtype

    def _size(self, map_, operand: Operand) -> int:
        """Elements from the first to the last that the operand has, and some beyond."""
        extents = self._problem.contract.extents
        last = 0
        for expression, stride in zip(map_, operand.strides, strict=True):
            last += abs(stride) * (
                abs(expression.constant)
                + sum(abs(c) * (extents[i] - 1) for i, c in expression.terms)
            )
        return last + max(self._problem.lanes, 1) + 64

    def seconds(self, plan: ContractionPlan) -> float:
        """The least time of a call, with its part of the time for packing."""
        scratch = np.zeros(plan.scratch // 8 + 64, np.float64)
        packed = np.zeros(plan.packed // 8 + 64, np.float64)
        places = [
            *(each.ctypes.data for each in self.arrays),
            scratch.ctypes.data,
            packed.ctypes.data,
        ]
        total = 0.0
        for part in (plan.packing, plan):
            if part is not None:
                block = part.args(*places)
                took = _seconds((load([part.kernel])[part.kernel], block.ctypes.data))
                often = self._problem.calls if part is not plan else 1
                total += 0.0 if part is not plan and self._problem.kept else took / often
        return total


def _seconds(call: tuple[int, int]) -> float:
    """The least processor time of a call: what other programs take does not count."""
    program, pool = StepCalls([[[call]]]), executor(1)
    pool.run(program)
    start = time.thread_time()
    pool.run(program)
    once = max(time.thread_time() - start, 1e-7)
    count = max(1, min(500, int(2e-4 / once)))  # calls that are timed together
    found = []
    begin = time.thread_time()
    while len(found) < 3 or time.thread_time() - begin < SECONDS:
        start = time.thread_time()
        pool.run(program, count)
        found.append((time.thread_time() - start) / count)
    return min(found)


def choice(problem: Problem) -> Choice | None:
    """Time the tiles of one contraction; None if there is only one, or none."""
    found = planning.candidates(problem)
    if len(found) < 2:
        return None
    chosen = planning.chosen(found)[1]
    least = min(each.cycles for _, each in found)
    found = [(f, each) for f, each in found if each.cycles <= WITHIN * least or each is chosen]
    plans = [each.plan() for _, each in found]
    load([part.kernel for plan in plans for part in (plan, plan.packing) if part is not None])
    memory, times = Memory(problem), defaultdict(list)
    for n, plan in enumerate(plans):
        times[n].append(memory.seconds(plan))
    # those that come close to the best once more, in turn
    near = [n for n in times if times[n][0] <= 1.15 * min(each[0] for each in times.values())]
    near += [n for n, (_, each) in enumerate(found) if each is chosen]
    for _ in range(3):
        for n in near:
            times[n].append(memory.seconds(plans[n]))
    timed = [
        Timed(form.name, each.shape, each.cycles, min(times[n]))
        for n, (form, each) in enumerate(found)
    ]
    own = next(each for each, (_, one) in zip(timed, found, strict=True) if one is chosen)
    return Choice(problem, own, tuple(sorted(timed, key=lambda each: each.seconds)))


def check(names: tuple[str, ...], every: bool = False, target: Path | None = None) -> None:
    """Print the choices of models' plans against the best; store all times in `target`."""
    here = this_machine()
    click.echo(f"{this_profile().processor}, vectors of {here.vector_bits} bits")
    seen: dict[Problem, Choice | None] = {}
    for name in names or CASES:
        for problem in (each for count in (1, 2) for each in problems(name, count)):
            if problem not in seen:
                seen[problem] = choice(problem)
                found = seen[problem]
                if found is not None and (every or found.lost > 0.05):
                    click.echo(f"{name:<12}{found}")
    choices = [each for each in seen.values() if each is not None]
    losses = sorted(each.lost for each in choices)
    chosen = sum(each.chosen.seconds for each in choices)
    best = sum(each.timed[0].seconds for each in choices)
    if target is not None:
        target.write_text(json.dumps([
            {"contraction": str(each), "timed": [asdict(one) for one in each.timed],
             "chosen": asdict(each.chosen)} for each in choices], indent=1))  # fmt: skip
    click.echo(
        f"{len(choices)} contractions: lost {100 * np.mean(losses):.1f} % in the mean,"
        f" {100 * losses[-1]:.1f} % at worst, {100 * (chosen / best - 1):.1f} % of their time;"
        f" {sum(each > 0.1 for each in losses)} lose more than 10 %"
    )
