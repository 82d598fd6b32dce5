"""Which of the tiles that give a contraction the same bits is the fastest, found by timing them.

    with watched() as problems: ...      # a program is planned
    for problem in problems:
        fastest = measured(problem)      # "packed 6x2"
        if fastest is not None: remember(problem, fastest)

Times are the processor time of the calling thread, so other threads hardly matter.
"""

from __future__ import annotations

import math
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from specc.backend.contraction.plan import by_name, candidates, chosen, first_part
from specc.backend.contraction.problem import Problem
from specc.backend.contraction.tiling import ContractionPlan, Map, Operand
from specc.backend.run.executor import Executor, StepCalls
from specc.backend.run.storage import aligned
from specc.backend.toolchain.load import load
from specc.ir.sizes import bound

ROUGH, NEAR = 5e-4, 1e-3
"""The seconds that a tile is timed for: at first, and in a round."""
CLOSE, ROUNDS = 1.3, 5
"""Tiles up to so many times as slow as the fastest are timed in so many rounds, in turn."""
HOPELESS = 1.35
"""Tiles that are estimated to be so many times as slow as the fastest are not timed."""
WORTH = 0.97
"""A tile takes the place of the estimated one if it takes at most this part of its time."""
MOST_BYTES = 128 << 20
"""Contractions with larger operands are not timed."""

SMALL = 0.005
"""Contractions with a smaller part of all estimated cycles of a program are not timed."""

Timer = Callable[[ContractionPlan, float], float]
Result = TypeVar("Result")
Steps = Generator[None, None, Result]
"""Work in short steps, between which the caller may rest or stop."""


def worth_timing(problems: Iterable[Problem]) -> list[Problem]:
    """Return the contractions of a program whose tiles are worth timing, the longest first.

    Of the parts of a result, the first stands for all. `problems` has a contraction as often as it
    is planned.
    """
    cycles: dict[Problem, float] = defaultdict(float)
    for each in problems:
        if each.kind is not None:
            found = candidates(first_part(each))
            least = min((tile.cycles for _, tile in found), default=0.0)
            cycles[first_part(each)] += least * each.calls
    least = SMALL * sum(cycles.values())
    return sorted((each for each in cycles if cycles[each] > least), key=lambda e: -cycles[e])


def alike(problem: Problem) -> dict[str, ContractionPlan]:
    """Return the plans that are worth timing, by name, the one that estimates choose first.

    All of them give the same bits. Without a choice, there are none.
    """
    named = by_name(candidates(problem))
    if len(named) < 2 or problem.is_rounded:
        return {}
    taken = chosen([*named.values()])[1]
    order = taken.plan().order
    if order is None:
        return {}
    found: dict[str, ContractionPlan] = {}
    for name, (_, each) in sorted(named.items(), key=lambda item: item[1][1] is not taken):
        if each.cycles <= HOPELESS * taken.cycles:
            plan = each.plan()
            if plan.order == order:
                found[name] = plan
    return found if len(found) > 1 else {}


def measured(problem: Problem) -> str | None:
    """Return the name of a contraction's fastest tile; None if there is nothing to choose.

    It is the estimated one, unless another one is clearly faster.
    """
    return finished(measuring(problem))


def measuring(problem: Problem) -> Steps[str | None]:
    """Do the same in short steps."""
    problem = first_part(problem)
    plans = alike(problem)
    operands = Operands(problem)
    if not plans or operands.bytes > MOST_BYTES:
        return None
    operands.fill()
    for plan in plans.values():
        load([part.kernel for part in plan.in_order()])
        yield
    estimated = next(iter(plans))
    times = yield from timing(plans, operands.seconds, [estimated])
    best = min(times, key=times.__getitem__)
    return best if times[best] <= WORTH * times[estimated] else estimated


def timed(
    plans: Mapping[str, ContractionPlan],
    seconds: Timer,
    always: Sequence[str],
    best: float = math.inf,
) -> dict[str, float]:
    """Return seconds by name: roughly of all plans, then in turn of those near the fastest.

    Those in `always` are among the latter. `best` is the time of a plan that was timed before.
    """
    return finished(timing(plans, seconds, always, best))


def timing(
    plans: Mapping[str, ContractionPlan],
    seconds: Timer,
    always: Sequence[str],
    best: float = math.inf,
) -> Steps[dict[str, float]]:
    """Do the same in short steps."""
    times: dict[str, float] = {}
    for name, plan in plans.items():
        times[name] = seconds(plan, ROUGH)
        yield
    best = min([*times.values(), best])
    near = [name for name in times if times[name] <= CLOSE * best or name in always]
    rounds: dict[str, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        for name in near:
            rounds[name].append(seconds(plans[name], NEAR))
            yield
    return {**times, **{name: statistics.median(each) for name, each in rounds.items()}}


def finished(steps: Steps[Result]) -> Result:
    """Take all steps, and return the result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result


class Operands:
    """Random operands of a contraction, and room for its result."""

    def __init__(self, problem: Problem) -> None:
        self._problem, op = problem, problem.contract
        self._sizes = [
            # as much before the first element as after it, for windows that begin at an edge
            3 * (-(-self._size(map_, operand) // 64) * 64)
            for map_, operand in (
                (op.left, problem.left),
                (op.right, problem.right),
                (op.out, problem.result),
            )
        ]
        self._arrays: list[np.ndarray] = []
        self._executor = Executor(1)

    @property
    def bytes(self) -> int:
        """The bytes of the operands and the result, with the room around them."""
        return sum(self._sizes) * self._problem.target.bytes

    def fill(self) -> None:
        """Allocate the operands and the result, and set them to random numbers."""
        rng, dtype = np.random.default_rng(0), np.dtype(self._problem.target.dtype)
        for size in self._sizes:
            array = aligned(size * dtype.itemsize).view(dtype)
            array[...] = rng.random(size, dtype=np.float32) - 0.5
            self._arrays.append(array[size // 3 :])

    def _size(self, map_: Map, operand: Operand) -> int:
        """Return the elements from the first to the last that the operand has, and some more."""
        extents = self._problem.contract.bound_extents
        last = 0
        for expression, stride in zip(map_, operand.strides, strict=True):
            last += abs(stride) * (
                abs(bound(expression.constant))
                + sum(abs(c) * (extents[i] - 1) for i, c in expression.bound_terms)
            )
        return last + max(self._problem.lanes, 1) + 64

    def seconds(self, plan: ContractionPlan, duration: float) -> float:
        """Return the median time of a call, with its share of the time for packing.

        Each of its kernels is called for `duration` seconds.
        """
        scratch, packed = (aligned(size + 512) for size in (plan.scratch, plan.packed))
        places = [each.ctypes.data for each in (*self._arrays, scratch, packed)]
        total = 0.0
        packs = [] if plan.packing is None else [*plan.packing.in_order()]
        for part in plan.in_order():
            block = part.args(*places)
            took = self._median((load([part.kernel])[part.kernel], block.ctypes.data), duration)
            if any(part is each for each in packs):
                took = 0.0 if self._problem.kept else took / self._problem.calls
            total += took
        return total

    def _median(self, call: tuple[int, int], duration: float) -> float:
        """Return the median processor time of a call that is repeated for some seconds."""
        program, run = StepCalls([[[call]]]), self._executor.run
        run(program)
        start = time.thread_time()
        run(program)
        once = max(time.thread_time() - start, 1e-7)
        count = max(1, min(500, int(duration / 5 / once)))  # calls that are timed together
        found: list[float] = []
        begin = time.thread_time()
        while len(found) < 3 or time.thread_time() - begin < duration:
            start = time.thread_time()
            run(program, count)
            found.append((time.thread_time() - start) / count)
        return statistics.median(found)
