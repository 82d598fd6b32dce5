"""The calls of a program on one of several ranks, between which parts of values travel.

spread = Spread(linked, code, storage, ranks)
spread.run(steps, outputs, batch)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from specc.backend.run import executor
from specc.backend.run.exchange import Bundle, bundles
from specc.ir.plan import Plan

if TYPE_CHECKING:
    from specc.backend.run.code import Code
    from specc.backend.run.ranks import Ranks
    from specc.backend.run.storage import Linked, Storage


class Spread:
    """The calls of a program for one rank, in stretches of phases between which parts travel."""

    def __init__(self, linked: Linked, code: Code, storage: Storage, ranks: Ranks) -> None:
        self._plan, self._storage, self._ranks = storage.plan, storage, ranks
        self._executor = storage.executor
        plan, own = storage.plan, ranks.own(storage.plan)
        self._order = _alternating(own, [each for each in range(plan.shards) if each not in own])
        self._threads, self._mine = ranks.threads(plan.shards)
        neighbours = ranks.neighbours
        meeting = 0 if neighbours is None else neighbours.meeting()
        self._crowd = None if neighbours is None else executor.Crowd(self._mine, meeting)
        self._gate = self._calls([[[]]] * plan.shards)
        self._packing = None if linked.packs is None else self._calls(linked.packs)
        self._buffers: dict[str, np.ndarray] = {}
        travelling = bundles(linked, code, storage, ranks) if ranks.divides(plan) else []
        self._travelling = travelling
        self._parts = [
            (self._calls(table), starts, ends)
            for table, starts, ends in _stretches(linked.table, travelling)
        ]

    def _calls(self, table: Sequence[Sequence[Sequence[executor.Call]]]) -> executor.StepCalls:
        ordered = [table[shard] for shard in self._order]
        return executor.StepCalls(ordered, self._threads, self._order, self._crowd)

    def buffer(self, name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Return an array that all processes of the machine write their parts of results to.

        It is valid until the next call with this name and a larger shape. Its content is arbitrary.
        All processes of the machine must ask for it, with the same shape.
        """
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        found = self._buffers.get(name, np.empty(0, np.uint8))
        if name not in self._buffers or len(found) < size:
            found = self._buffers[name] = self._ranks.allocate(max(size, 2 * len(found)))
        return found[:size].view(dtype).reshape(shape)

    def run(self, steps: int, outputs: Mapping[str, np.ndarray], batch: int) -> None:
        """Run `steps` steps of up to `batch` examples each, and leave results in `outputs`.

        Afterwards an output, [examples, *shape], has the rows of all ranks, on every rank.
        """
        ranks = self._ranks
        ranks.wait()  # until all have written what they bring in
        if self._packing is not None:
            self._execute(self._packing, 1, 0)
        if len(self._parts) == 1:
            self._execute(self._parts[0][0], steps, 0)
        else:
            for step in range(steps):
                self._step(step)
        ranks.wait()
        if ranks.leads and ranks.divides(self._plan):
            gather_examples(self._plan, self._storage, outputs, batch, ranks)
        ranks.wait()

    def _step(self, step: int) -> None:
        leads = self._ranks.leads
        for calls, starts, ends in self._parts:
            if leads:
                for bundle in ends:
                    bundle.finish()
            if ends and self._crowd is not None:
                self._execute(self._gate, 1, step)
            self._execute(calls, 1, step)
            if leads:
                for bundle in starts:
                    bundle.start()
                for bundle in self._travelling:
                    bundle.advance()

    def _execute(self, calls: executor.StepCalls, steps: int, first: int) -> None:
        if self._mine:
            self._executor.run(calls, steps, first=first)


def _stretches(
    table: Sequence[Sequence[Sequence[executor.Call]]], travelling: Sequence[Bundle]
) -> Iterator[tuple[list[list[list[executor.Call]]], list[Bundle], list[Bundle]]]:
    """Yield stretches of a step: calls, the bundles that start after them, and those before which
    they wait.

    A bundle starts within its phase once each own shard has run the calls that it needs.
    """
    shards, phases = len(table), len(table[0])
    pending: list[list[list[executor.Call]]] = [[] for _ in range(shards)]
    waited: list[Bundle] = []
    for phase in range(phases):
        ends = [each for each in travelling if each.read == phase]
        if ends and pending[0]:
            yield pending, [], waited
            pending, waited = [[] for _ in range(shards)], []
        waited = [*waited, *ends]
        done = [0] * shards
        for bundle in (each for each in travelling if each.made == phase):
            for shard in range(shards):
                stop = max(done[shard], bundle.stops.get(shard, 0))
                pending[shard].append(list(table[shard][phase][done[shard] : stop]))
                done[shard] = stop
            yield pending, [bundle], waited
            pending, waited = [[] for _ in range(shards)], []
        for shard in range(shards):
            pending[shard].append(list(table[shard][phase][done[shard] :]))
    yield pending, [], waited


def gather_examples(
    plan: Plan, storage: Storage, outputs: Mapping[str, np.ndarray], batch: int, ranks: Ranks
) -> None:
    """Exchange what a run leaves for each example: rows of outputs, and slots of streams.

    The first rank of each machine calls it. An output, [examples, *shape], has the `batch` examples
    of each step after those of the step before; afterwards it has the rows of all machines.
    """
    for array in storage.slots.values():
        parts = array.view(np.uint8).reshape(plan.shards, -1)
        counts = [parts.shape[1] * len(ranks.own(plan, host)) for host in range(ranks.hosts)]
        own = ranks.own(plan)
        ranks.leaders.Allgatherv(parts[own.start : own.stop].copy(), [parts, counts])
    for array in outputs.values():
        shard = np.arange(len(array)) % batch // plan.examples
        own_rows = np.isin(shard, ranks.own(plan))
        for host, rows in enumerate(ranks.leaders.allgather(array[own_rows])):
            array[np.isin(shard, ranks.own(plan, host))] = rows


def _alternating(own: Sequence[int], others: Sequence[int]) -> list[int]:
    """Both, so that threads which take neighbours have as many of each."""
    places = [
        ((i + 0.5) / len(each), shard) for each in (own, others) for i, shard in enumerate(each)
    ]
    return [shard for _, shard in sorted(places)]
