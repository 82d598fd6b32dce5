"""Where the time of a step goes: every kernel's share, measured while the whole step runs.

    times = time_calls(program, data, order, batch)
    for each in times.calls: each.kernel, each.seconds

The step runs as it always does, all shards with their barriers, so that the caches are as they are in
training; only that a *stamp* stands behind every call, a kernel that reads the processor's clock. What
a stamp itself costs (some 10 ns) is taken off.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from specc.backend import executor
from specc.backend.calls import Call, element_bytes
from specc.backend.load import Kernel, load
from specc.backend.program import CompiledProgram
from specc.columns import Column
from specc.ir.graph import Node
from specc.ir.plan import Plan, Step
from specc.ops.leaf import Const

TURN = 0.03  # seconds that a stretch of steps aims at
REPEATS = 15
_MOST_STEPS = 2000

_STAMP = Kernel(
    "stamp",
    '''
def stamp(clock: "int64[1]", total: "int64[1]"):
    now = ticks()
    if clock[0] != 0:
        total[0] += now - clock[0]
    clock[0] = now
''',
    imports="from specc.backend.memory import ticks",
)


@dataclass(frozen=True, eq=False)
class CallTime:
    """One kernel call: `seconds` a step, the mean over the `shards` that make it.

    `nodes` are what it calculates, in the `examples` of one shard; `split` says that the shards share
    the elements of a value that is one for the whole batch. `bytes` are those that a shard reads and writes.
    """

    kernel: str
    nodes: tuple[Node, ...]
    phase: int
    seconds: float
    shards: int
    split: bool
    bytes: float


@dataclass(frozen=True, eq=False)
class StepTimes:
    """`step` is the time of a whole step without stamps, `waiting` what a shard waits at barriers."""

    calls: tuple[CallTime, ...]
    step: float
    waiting: float
    stamped: float
    plan: Plan


def time_calls(program: CompiledProgram, data: Mapping[str, Column], order: np.ndarray, batch: int,
               settings: np.ndarray | None = None, seed: int = 0,
               repeats: int = REPEATS) -> StepTimes:
    """Run steps over the rows `order`, again and again; the times of the quietest of `repeats` stretches.

    Parameters and states go on from run to run: the caller keeps copies. `settings` are those of one
    step, for all of them.
    """
    found: list[StepTimes] = []

    def execute(linked, steps: int) -> None:
        found.append(_timed(program, linked, steps, repeats))

    def stretch(steps: int) -> tuple:
        table = None if settings is None else np.tile(settings, (steps, 1))
        return data, np.resize(order, steps * batch), batch, table, seed

    program.run(*stretch(1))
    start = time.perf_counter()
    program.run(*stretch(2))
    once = (time.perf_counter() - start) / 2
    steps = int(min(max(TURN / once, 1), _MOST_STEPS))
    program.run(*stretch(steps), execute=execute)
    return found[0]


def _timed(program: CompiledProgram, linked, steps: int, repeats: int) -> StepTimes:
    plan = program.plan
    crew = executor.executor(plan.shards)
    stamped, clocks, totals = _stamped(linked)
    rate = _ticks_per_second()
    stamp = _seconds_of_a_stamp(rate)
    plain, whole, parts = [], [], []
    for _ in range(repeats):
        start = time.perf_counter()
        crew.run(linked.program, steps)
        plain.append((time.perf_counter() - start) / steps)
        clocks[...] = totals[...] = 0
        start = time.perf_counter()
        crew.run(stamped, steps)
        whole.append((time.perf_counter() - start) / steps)
        parts.append(totals / rate / steps)
    quietest = min(range(repeats), key=whole.__getitem__)
    seconds = np.maximum(parts[quietest] - stamp, 0)  # [shards, places]
    calls = _joined(plan, program.dtype, linked.calls, seconds)
    waits = [seconds[shard, : linked.phases].sum() for shard in range(plan.shards)]
    return StepTimes(calls, min(plain), float(np.mean(waits)), min(whole), plan)


def _stamped(linked):
    """The program with stamps, each shard's clock, and the ticks at each place [shards, places].

    The first places are the waits before the phases; the others the calls, in order.
    """
    stamp = load([_STAMP])[_STAMP]
    shards = len(linked.table)
    places = linked.phases + max(len(calls) for calls in linked.calls)
    clocks, totals = np.zeros((shards, 8), np.int64), np.zeros((shards, places), np.int64)
    kept = [clocks, totals]

    def stamp_at(shard: int, place: int) -> tuple[int, int]:
        block = np.array([clocks[shard].ctypes.data, totals[shard, place:].ctypes.data], np.int64)
        kept.append(block)
        return stamp, block.ctypes.data

    table = []
    for shard, phases in enumerate(linked.table):
        place, of_shard = linked.phases, []
        for number, calls in enumerate(phases):
            of_phase = [stamp_at(shard, number)]
            for call in calls:
                of_phase += [call, stamp_at(shard, place)]
                place += 1
            of_shard.append(of_phase)
        table.append(of_shard)
    program = executor.Program(table)
    program.kept = kept
    return program, clocks, totals


def _joined(plan: Plan, dtype: str, calls: Sequence[Sequence[Call]],
            seconds: np.ndarray) -> tuple[CallTime, ...]:
    """The same call of all shards as one, in the first shard's order."""
    step_of = {node: step for step in plan.steps for node in step.group.nodes}
    phases = 1 + max((call.phase for of_shard in calls for call in of_shard), default=0)
    found: dict[tuple, list[float]] = {}
    first: dict[tuple, Call] = {}
    for shard, of_shard in enumerate(calls):
        seen: dict[tuple, int] = {}
        # places count phase by phase
        for place, call in enumerate(sorted(of_shard, key=lambda call: call.phase)):
            base = call.phase, tuple(map(id, call.nodes)), call.kernel.name
            seen[base] = seen.get(base, 0) + 1
            key = (*base, seen[base])
            found.setdefault(key, []).append(float(seconds[shard, phases + place]))
            first.setdefault(key, call)
    times = []
    for key, call in first.items():
        step = step_of.get(call.nodes[0]) if call.nodes else None
        split = step is not None and step.mode == "split"
        size = traffic(call, step, plan, dtype) / (plan.shards if split else 1)
        times.append(CallTime(call.kernel.name, call.nodes, call.phase, statistics.mean(found[key]),
                              len(found[key]), split, size))
    return tuple(times)


def traffic(call: Call, step: Step | None, plan: Plan, dtype: str) -> float:
    """Bytes that the call reads and writes in one shard, each value once."""
    def size(node: Node) -> int:
        lanes = plan.lanes if node.type.batched else 1
        return node.type.elements * lanes * element_bytes(node.type.kind, dtype)

    if step is None:  # a kernel that brings in data
        return 2 * sum(map(size, call.nodes))
    inside = set(step.group.nodes)
    read = {each: None for node in call.nodes for each in node.inputs
            if each not in inside and not isinstance(plan.views[each].root.op, Const)}
    roots = {plan.views[each].root: each for each in read}
    return sum(map(size, roots.values())) + sum(size(node) for node, _ in step.stores)


def _ticks_per_second() -> float:
    probe = Kernel("read_ticks", '''
def read_ticks(out: "int64[1]"):
    out[0] = ticks()
''', imports="from specc.backend.memory import ticks")
    program, out = _one_call(probe)
    crew = executor.executor(1)
    crew.run(program)
    begin, start = int(out[0]), time.perf_counter()
    while time.perf_counter() - start < 0.01:
        pass
    seconds = time.perf_counter() - start
    crew.run(program)
    return (int(out[0]) - begin) / seconds


def _one_call(kernel: Kernel):
    out = np.zeros(1, np.int64)
    block = np.array([out.ctypes.data], np.int64)
    program = executor.Program([[[(load([kernel])[kernel], block.ctypes.data)]]])
    program.kept = [block]
    return program, out


def _seconds_of_a_stamp(rate: float) -> float:
    """The least time between two stamps with nothing between them."""
    stamp = load([_STAMP])[_STAMP]
    clock, total = np.zeros(1, np.int64), np.zeros(1, np.int64)
    block = np.array([clock.ctypes.data, total.ctypes.data], np.int64)
    program = executor.Program([[[(stamp, block.ctypes.data)] * 100]])
    crew, found = executor.executor(1), []
    for _ in range(20):
        clock[0] = total[0] = 0
        crew.run(program, 10)
        found.append(total[0] / rate / 1000)
    return float(min(found))
