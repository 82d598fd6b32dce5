"""Whether the estimates choose well: every tile of every form that fits a contraction, timed.

    python -m benchmarks.kernels --choices                       # all benchmark models
    python -m benchmarks.kernels --choices lenet --json times    # one, its times added to a file
    python -m benchmarks.kernels --choices --json times          # what the file lacks, and all
    python -m benchmarks.kernels --choices --remembered          # after a long training

Takes every contraction of training steps, of predictions of one example and of 256, as one thread
computes it and as each of two does. Prints the ones where the plan's choice is slower than the
best, and how much time is lost in all. Times are the thread's own, so other programs hardly matter.
A file of times makes the check anew without timing anything again, after estimates have changed.
With `--remembered`, tiles are first timed as in the background of a long training, and the choices
are those that the next process makes.
"""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import dataclass
from pathlib import Path

import click

import specc
from benchmarks.cases import CASES, CELLS, Case
from specc.backend.contraction import plan as planning
from specc.backend.contraction import remembered
from specc.backend.contraction.problem import Problem
from specc.backend.machine import this_machine
from specc.backend.machine.here import this_profile
from specc.backend.measure import tiles
from specc.backend.toolchain.load import load
from specc.ir.kind import Kind

HOPELESS = 6.0  # tiles that are estimated to be so many times as slow as the best are not timed

GPT = Case("gpt", 12, (), folder=Path(__file__).parent.parent / "models")
ALL = {**CASES, **CELLS, "gpt": GPT}
SIZES = {"gpt": {"vocab": 65}}
Times = dict[str, dict[str, float]]  # contraction -> tile -> seconds


def problems(name: str, threads: int) -> list[Problem]:
    """The contractions of a model."""
    case = ALL[name]
    net = specc.compile(
        specc.load(case.path, **SIZES.get(name, {})), batch=case.batch, threads=threads
    )
    with planning.watched() as found:
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
    return f"{described(problem)} {remembered.key(problem)}"


def choice(problem: Problem, known: dict[str, float], remembers: bool) -> Choice | None:
    """The choice of one contraction, if it has one; its tiles that are not `known` are timed."""
    named = planning.by_name(planning.candidates(problem))
    if len(named) < 2:
        return None
    least = min(each.cycles for _, each in named.values())
    taken = planning.chosen([*named.values()])[1]
    (chosen,) = (name for name, (_, each) in named.items() if each is taken)
    if remembers:
        chosen = tiles.measured(problem) or chosen
    wanted = {
        name: each
        for name, (_, each) in named.items()
        if each.cycles <= HOPELESS * least or name == chosen
    }
    if new := [name for name in wanted if name not in known]:
        plans = {name: wanted[name].plan() for name in new}
        load([part.kernel for plan in plans.values() for part in plan.in_order()])
        operands = tiles.Operands(problem)
        operands.fill()
        best = min(known.values(), default=math.inf)
        known.update(tiles.timed(plans, operands.seconds, [chosen] if chosen in new else [], best))
    return Choice(problem, chosen, {name: known[name] for name in wanted})


def check(
    names: tuple[str, ...],
    every: bool = False,
    target: Path | None = None,
    remembers: bool = False,
) -> None:
    """Print the choices of models' plans against the best; add all times to the file `target`.

    With `remembers`, they are those after tiles were timed in the background.
    """
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
            found = seen.get(key) or choice(problem, times.setdefault(key, {}), remembers)
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
