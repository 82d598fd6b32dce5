"""Whether the estimates choose well: every tile of every form that fits a contraction, timed.

    python -m benchmarks.kernels --choices                       # all benchmark models
    python -m benchmarks.kernels --choices lenet --json times    # one, its times added to a file
    python -m benchmarks.kernels --choices --json times          # what the file lacks, and all

Takes every contraction of training steps, of predictions of one example and of 256, as one thread
computes it and as each of two does. Prints the ones where the plan's choice is slower than the
best, and how much time is lost in all. Times are the thread's own, so other programs hardly matter.
A file of times makes the check anew without timing anything again, after estimates have changed.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import click
import numpy as np

import specc
from benchmarks.cases import CASES, CELLS, Case
from specc.backend.contraction import plan as planning
from specc.backend.contraction.problem import Candidate, KernelForm, Problem
from specc.backend.contraction.tiling import ContractionPlan, Operand
from specc.backend.emit import products
from specc.backend.machine import this_machine
from specc.backend.machine.here import this_profile
from specc.backend.run.executor import StepCalls, executor
from specc.backend.run.storage import aligned
from specc.backend.toolchain.load import load
from specc.ir.kind import Kind

ROUGH, NEAR = 5e-4, 1e-3  # seconds that a tile is timed for: at first, and in a round
CLOSE, ROUNDS = 1.3, 5  # tiles up to so many times as slow as the best are timed in turn
HOPELESS = 6.0  # and those estimated so many times as slow as the best are not timed

GPT = Case("gpt", 12, (), folder=Path(__file__).parent.parent / "models")
ALL = {**CASES, **CELLS, "gpt": GPT}
SIZES = {"gpt": {"vocab": 65}}
Times = dict[str, dict[str, float]]  # contraction -> tile -> seconds


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
    case = ALL[name]
    net = specc.compile(
        specc.load(case.path, **SIZES.get(name, {})), batch=case.batch, threads=threads
    )
    with recorded() as found:
        for kind, examples in ((Kind.TRAIN, None), (Kind.PREDICT, 1), (Kind.PREDICT, 256)):
            plan = net.plan(kind, examples)
            net.programs.of_plan(plan).calls()
    # the first part decides the form of all parts
    wanted = (each for each in found if each.kind is not None and not each.part.number)
    return list(dict.fromkeys(wanted))


@dataclass(frozen=True)
class Choice:
    """A contraction: the tile that was chosen, and the seconds of all, the fastest first."""

    problem: Problem
    chosen: str
    timed: dict[str, float]

    @property
    def seconds(self) -> float:
        """The seconds of the chosen one."""
        return self.timed[self.chosen]

    @property
    def least(self) -> float:
        """The seconds of the fastest one."""
        return min(self.timed.values())

    @property
    def lost(self) -> float:
        """The part of the best one's time that the chosen one takes more."""
        return self.seconds / self.least - 1

    def __str__(self) -> str:
        return (
            f"{100 * self.lost:5.1f} %  {self.seconds * 1e6:8.1f} us  {self.chosen:<22}"
            f" best {min(self.timed, key=self.timed.__getitem__):<22} {described(self.problem)}"
        )


def described(problem: Problem) -> str:
    """What a contraction computes."""
    op = problem.op
    kind = problem.kind.name.lower() if problem.kind else ""
    left, right = (each.batched for each in (problem.left, problem.right))
    batched = " left batched" if left and not right else ""
    part = f" part {problem.part.number} of {problem.part.parts}" if problem.part.parts > 1 else ""
    return f"{kind} {'x'.join(map(str, op.extents))}{batched} lanes {problem.lanes}{part}"


def key_of(problem: Problem) -> str:
    """A name for a contraction that does not depend on the estimates."""
    own = [getattr(problem, each.name) for each in fields(problem) if each.name != "target"]
    digest = hashlib.sha256(repr((own, problem.target.dtype)).encode()).hexdigest()[:12]
    return f"{described(problem)} {digest}"


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
            size = -(-self._size(map_, operand) // 64) * 64
            dtype = np.dtype(self._dtype)
            array = aligned(3 * size * dtype.itemsize).view(dtype)
            array[...] = rng.random(3 * size, dtype=np.float32) - 0.5
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

    def seconds(self, plan: ContractionPlan, duration: float) -> float:
        """The median time of a call, with its part of the time for packing."""
        scratch, packed = (aligned(size + 512) for size in (plan.scratch, plan.packed))
        places = [
            *(each.ctypes.data for each in self.arrays),
            scratch.ctypes.data,
            packed.ctypes.data,
        ]
        total = 0.0
        packs = [] if plan.packing is None else [*plan.packing.in_order()]
        for part in plan.in_order():
            block = part.args(*places)
            took = _seconds((load([part.kernel])[part.kernel], block.ctypes.data), duration)
            if any(part is each for each in packs):
                took = 0.0 if self._problem.kept else took / self._problem.calls
            total += took
        return total


def _seconds(call: tuple[int, int], duration: float) -> float:
    """The median processor time of a call, timed for a number of seconds."""
    program, pool = StepCalls([[[call]]]), executor(1)
    pool.run(program)
    start = time.thread_time()
    pool.run(program)
    once = max(time.thread_time() - start, 1e-7)
    count = max(1, min(500, int(duration / 5 / once)))  # calls that are timed together
    found = []
    begin = time.thread_time()
    while len(found) < 3 or time.thread_time() - begin < duration:
        start = time.thread_time()
        pool.run(program, count)
        found.append((time.thread_time() - start) / count)
    return statistics.median(found)


def choice(problem: Problem, known: dict[str, float]) -> Choice | None:
    """The choice of one contraction, if it has one; its tiles that are not `known` are timed."""
    found = planning.candidates(problem)
    if len(found) < 2:
        return None
    least = min(each.cycles for _, each in found)
    taken = planning.chosen(found)[1]
    names = _names(found)
    (chosen,) = (name for name, each in names.items() if each is taken)
    wanted = {
        name: each
        for name, each in names.items()
        if each.cycles <= HOPELESS * least or name == chosen
    }
    if new := [name for name in wanted if name not in known]:
        known.update(_timed(problem, {name: wanted[name].plan() for name in new}, known, chosen))
    return Choice(problem, chosen, {name: known[name] for name in wanted})


def _names(found: list[tuple[KernelForm, Candidate]]) -> dict[str, Candidate]:
    """Tiles by name; a form may have a tile of one shape for either role of the operands."""
    names: dict[str, Candidate] = {}
    for form, each in found:
        name = f"{form.name} {'x'.join(map(str, each.shape))}"
        names[name + "'" * sum(known.rstrip("'") == name for known in names)] = each
    return names


def _timed(
    problem: Problem, plans: dict[str, ContractionPlan], known: dict[str, float], chosen: str
) -> dict[str, float]:
    """Seconds by name: roughly of all plans, then in turn of those near the best."""
    load([part.kernel for plan in plans.values() for part in plan.in_order()])
    memory = Memory(problem)
    times = {name: memory.seconds(plan, ROUGH) for name, plan in plans.items()}
    best = min([*times.values(), *known.values()])
    near = [name for name in times if times[name] <= CLOSE * best or name == chosen]
    rounds: dict[str, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        for name in near:
            rounds[name].append(memory.seconds(plans[name], NEAR))
    return {**times, **{name: statistics.median(each) for name, each in rounds.items()}}


def check(names: tuple[str, ...], every: bool = False, target: Path | None = None) -> None:
    """Print the choices of models' plans against the best; add all times to the file `target`."""
    here = this_machine()
    processor = f"{this_profile().processor}, vectors of {here.vector_bits} bits"
    click.echo(processor)
    stored = json.loads(target.read_text()) if target is not None and target.exists() else {}
    times: Times = stored.setdefault(processor, {})
    seen: dict[str, Choice] = {}
    for name in names or ALL:
        own = {}
        for problem in (each for count in (1, 2) for each in problems(name, count)):
            key = key_of(problem)
            found = seen.get(key) or choice(problem, times.setdefault(key, {}))
            if found is None:
                continue
            if key not in seen and (every or found.lost > 0.05):
                click.echo(f"{name:<12}{found}")
            seen[key] = own[key] = found
        if target is not None:
            target.write_text(json.dumps(stored, indent=1))
        click.echo(f"{name:<12}{summary([*own.values()])}")
    click.echo(summary([*seen.values()]))


def summary(choices: list[Choice]) -> str:
    """How much the choices lose."""
    if not choices:
        return "no contraction with a choice"
    losses = [each.lost for each in choices]
    whole = sum(each.seconds for each in choices) / sum(each.least for each in choices)
    return (
        f"{len(choices)} contractions: lost {100 * statistics.mean(losses):.1f} % in the mean,"
        f" {100 * max(losses):.1f} % at worst, {100 * (whole - 1):.1f} % of their time;"
        f" {sum(each > 0.1 for each in losses)} lose more than 10 %"
    )
