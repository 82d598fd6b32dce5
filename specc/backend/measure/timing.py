"""The time of every kernel call in a step, measured while the whole step runs.

    times = time_calls(program, data, order, batch)
    for each in times.calls: each.kernel, each.seconds

All shards run with their barriers as in training, so that the caches have the same contents. After
every call runs a *stamp*, a kernel that reads the processor's clock. The time of the stamp itself
(about 10 ns) is subtracted.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from specc.backend.emit.calls import KernelCall, element_bytes
from specc.backend.measure.clock import Stamps, seconds_of_a_stamp, ticks_per_second
from specc.backend.run import executor
from specc.backend.run.program import CompiledProgram
from specc.backend.run.storage import Linked
from specc.ir.graph import Node
from specc.ir.plan import Mode, Plan, Step
from specc.ops.leaf import Const
from specc.recipe import Column
from specc.system.records import dataclass

STRETCH = 0.01  # intended seconds of a stretch of steps
REPEATS = 25
_MOST_STEPS = 2000


@dataclass(frozen=True, eq=False)
class CallTime:
    """The time of a kernel call: `seconds` per step, the mean over the `shards` that run it.

    `nodes` are the nodes that it computes. With `split`, each shard computes a part of a value that
    all examples share. `bytes` is the number of bytes that a shard reads and writes for one batch;
    `batches` is the number of batches of a step.
    """

    kernel: str
    nodes: tuple[Node, ...]
    phase: int
    seconds: float
    shards: int
    split: bool
    bytes: float
    iterations: int = 1  # the number of runs for one batch
    packs: bool = False  # copies operands for the product of its nodes
    batches: int = 1
    is_again: bool = False  # of the program that evaluates a second time

    @property
    def layer(self) -> str:
        """The path of the layer that the call belongs to; empty if it belongs to none."""
        return next((node.origin.word for node in self.nodes if node.origin.word), "")


@dataclass(frozen=True, eq=False)
class StepTimes:
    """The times of a step in seconds.

    `step` is the time of a step without stamps, `stamped` that of one with stamps, and `waiting`
    the mean time of a thread at barriers. A step of several `batches` runs the program of `plan`
    for each of them, and then that of the plan `update` once; between them, rules with
    `gradient_at` run another one for each batch.
    """

    calls: tuple[CallTime, ...]
    step: float
    waiting: float
    stamped: float
    plan: Plan
    threads: int
    batches: int = 1
    update: Plan | None = None

    def accumulated(
        self, batches: int, update: StepTimes, again: StepTimes | None = None
    ) -> StepTimes:
        """Return the times of a step: this program for `batches` batches, perhaps that of `again`
        for each of them, then that of `update`."""
        programs = [(self, batches), (update, 1)]
        if again is not None:
            programs.insert(1, (again, batches))
        calls: list[CallTime] = []
        for times, runs in programs:
            first = 1 + max((each.phase for each in calls), default=-1)
            calls += [
                replace(
                    each,
                    seconds=runs * each.seconds,
                    batches=runs,
                    phase=first + each.phase,
                    is_again=times is again,
                )
                for each in times.calls
            ]
        return replace(
            self,
            calls=tuple(calls),
            step=sum(runs * times.step for times, runs in programs),
            waiting=sum(runs * times.waiting for times, runs in programs),
            stamped=sum(runs * times.stamped for times, runs in programs),
            batches=batches,
            update=update.plan,
        )


def time_calls(
    program: CompiledProgram,
    data: Mapping[str, Column],
    order: np.ndarray,
    batch: int,
    settings: np.ndarray | None = None,
    seed: int = 0,
    repeats: int = REPEATS,
) -> StepTimes:
    """Run steps over the rows `order` repeatedly; each time is the minimum of `repeats` stretches.

    The steps change parameters and states, of which the caller keeps copies. `settings` are the
    settings of one step, which are used for all steps.
    """
    found: list[StepTimes] = []

    def execute(linked: Linked, steps: int) -> None:
        found.append(_timed(program, linked, steps, repeats))

    def stretch(
        steps: int,
    ) -> tuple[Mapping[str, Column], np.ndarray, int, np.ndarray | None, int]:
        table = None if settings is None else np.tile(settings, (steps, 1))
        return data, np.resize(order, steps * batch), batch, table, seed

    program.run(*stretch(1))
    start = time.perf_counter()
    program.run(*stretch(2))
    once = (time.perf_counter() - start) / 2
    steps = int(min(max(STRETCH / once, 1), _MOST_STEPS))
    program.run(*stretch(steps), execute=execute)
    return found[0]


def _timed(program: CompiledProgram, linked: Linked, steps: int, repeats: int) -> StepTimes:
    plan = program.plan
    pool = executor.executor(program.threads)
    stamped, stamps = _stamped(linked, program.threads)
    rate, stamp = ticks_per_second(), seconds_of_a_stamp()
    plain, whole, parts = [], [], []
    for _ in range(repeats):
        start = time.perf_counter()
        pool.run(linked.program, steps)
        plain.append((time.perf_counter() - start) / steps)
        stamps.reset()
        start = time.perf_counter()
        pool.run(stamped, steps)
        whole.append((time.perf_counter() - start) / steps)
        parts.append(stamps.totals / rate / steps)
    # the minimum of each call separately, because a stretch without any disturbance may be rare
    seconds = np.maximum(np.min(parts, axis=0) - stamp, 0)  # [shards, places]
    calls = _joined(plan, program.dtype, linked.calls, seconds)
    waiting = float(seconds[:, : linked.phases].sum()) / program.threads
    return StepTimes(calls, min(plain), waiting, min(whole), plan, program.threads)


def _stamped(linked: Linked, threads: int) -> tuple[executor.StepCalls, Stamps]:
    """Return the program with stamps, and the stamps.

    The first totals of a shard are the waits before each phase, the others its calls in order.
    """
    places = linked.phases + max(len(calls) for calls in linked.calls)
    stamps = Stamps(len(linked.table), places, threads)
    table = []
    for shard, phases in enumerate(linked.table):
        place, of_shard = linked.phases, []
        for number, calls in enumerate(phases):
            of_phase = [stamps.at(shard, number)]
            for call in calls:
                of_phase += [call, stamps.at(shard, place)]
                place += 1
            of_shard.append(of_phase)
        table.append(of_shard)
    return executor.StepCalls(table, threads), stamps


def _joined(
    plan: Plan, dtype: str, calls: Sequence[Sequence[KernelCall]], seconds: np.ndarray
) -> tuple[CallTime, ...]:
    """Join the times of equal calls of all shards, in the order of the first shard's calls."""
    step_of = {node: step for step in plan.steps for node in step.group.nodes}
    step_of.update(
        {node: inner for step in plan.steps for inner in step.steps for node in inner.group.nodes}
    )
    phases = 1 + max((call.phase for of_shard in calls for call in of_shard), default=0)
    found: dict[tuple, dict[int, float]] = {}  # seconds by shard
    first: dict[tuple, KernelCall] = {}
    for shard, of_shard in enumerate(calls):
        # places count phase by phase
        for place, call in enumerate(sorted(of_shard, key=lambda call: call.phase)):
            # join all iterations of a loop, and all pieces of a sum, the last of which may have
            # another tile
            step = step_of.get(call.nodes[0]) if call.nodes else None
            is_piece = step is not None and step.mode == Mode.ROWS and not call.packs
            key = call.phase, tuple(map(id, call.nodes)), "" if is_piece else call.kernel.name
            of_shards = found.setdefault(key, {})
            of_shards[shard] = of_shards.get(shard, 0.0) + float(seconds[shard, phases + place])
            first.setdefault(key, call)
    times = []
    for key, call in first.items():
        step = step_of.get(call.nodes[0]) if call.nodes else None
        mode = step.mode if step is not None else Mode.SHARD
        size = traffic(call, step, plan, dtype) / (
            plan.shards if mode in (Mode.SPLIT, Mode.LANES) else 1
        )
        split = mode in (Mode.SPLIT, Mode.LANES) or (
            mode == Mode.ROWS and plan.sharing.same_examples
        )
        iterations = call.loop.count if call.loop else 1
        times.append(
            CallTime(
                call.kernel.name,
                call.nodes,
                call.phase,
                statistics.mean(found[key].values()),
                len(found[key]),
                split,
                size * iterations,
                iterations,
                call.packs,
            )
        )
    return tuple(times)


def traffic(call: KernelCall, step: Step | None, plan: Plan, dtype: str) -> float:
    """Return the bytes that a call reads and writes in one shard, counting each value once."""
    # some rows of a sum over the examples of all shards
    rows = step is not None and step.mode == Mode.ROWS

    def size(node: Node) -> float:
        lanes: float = plan.lanes if node.type.batched else 1
        if rows:
            lanes = lanes * plan.arenas if node.type.batched else 1 / plan.shards
        return node.type.bound_elements * lanes * element_bytes(node.type.kind, dtype)

    numbers = {name: value for name, value in call.arguments if isinstance(value, int)}
    if call.packs and "columns" in numbers and "length" in numbers:  # transposes batched values
        count = numbers["columns"] * numbers["length"] * numbers["end_count"]
        return 2 * count * element_bytes("float", dtype)
    if call.packs:
        return 2 * sum(
            size(each) for node in call.nodes for each in node.inputs if not each.type.batched
        )
    if step is None:  # a kernel that reads data
        return 2 * sum(map(size, call.nodes))
    inside = set(step.group.nodes)
    read = {
        each: None
        for node in call.nodes
        for each in node.inputs
        if each not in inside and not isinstance(plan.views[each].root.op, Const)
    }
    roots = {plan.views[each].root: each for each in read}
    return sum(map(size, roots.values())) + sum(size(node) for node, _ in step.stores)
