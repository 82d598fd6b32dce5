"""Training on several processes, the ranks: each runs some of the shards of every batch.

    ranks = Ranks(MPI.COMM_WORLD)                 # one for each process
    spread = Spread(linked, storage, ranks)
    spread.run(steps)

A rank runs what belongs to examples for its own shards, which are neighbours, and whatever is one
for all examples (sums over the shards, updates of weights) as a whole. Where shards meet, their
parts travel: after the phase in which they were computed, every rank has those of all shards, and
adds them in the order of the shards. So the number of ranks changes no bit.

A team's shards share the work on the same examples, and a plan may have one shard only: then every
rank computes all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from specc.backend.emit.calls import element_bytes
from specc.backend.run import executor
from specc.ir.graph import Node
from specc.ir.plan import Plan

if TYPE_CHECKING:
    from specc.backend.run.storage import Linked, Storage


class Ranks:
    """The processes that train together; `comm` is a communicator of mpi4py."""

    def __init__(self, comm: Any) -> None:
        self.comm, self.rank, self.count = comm, comm.Get_rank(), comm.Get_size()

    @property
    def is_first(self) -> bool:
        """Whether this rank shows and writes."""
        return self.rank == 0

    def agreed(self, value: Any) -> Any:
        """Return the value of the first rank."""
        return self.comm.bcast(value, root=0)

    def any(self, flag: bool) -> bool:
        """Return whether the flag of any rank is set."""
        return any(self.comm.allgather(flag))

    def own(self, shards: int, rank: int | None = None) -> range:
        """The shards of a rank: neighbours, and as many as those of any other rank, or one less."""
        rank = self.rank if rank is None else rank
        return range(shards * rank // self.count, shards * (rank + 1) // self.count)

    def gathered(self, parts: np.ndarray) -> None:
        """Exchange the rows of bytes [shards, size] of which each rank has those of its shards."""
        shards, size = parts.shape
        counts = [size * len(self.own(shards, rank)) for rank in range(self.count)]
        own = self.own(shards)
        mine = parts[own.start : own.stop].copy()
        self.comm.Allgatherv(mine, [parts, counts])


class Exchange:
    """What travels after one phase: ranges of the shards' arenas, and rows of `peers`."""

    def __init__(self, nodes: Sequence[Node], storage: Storage, ranks: Ranks) -> None:
        plan, self._ranks = storage.plan, ranks
        arenas = storage.arena[: plan.arena_bytes * plan.shards].reshape(plan.shards, -1)
        self._parts: list[np.ndarray] = []  # of each value [shards, bytes]
        for node in nodes:
            place, item = plan.places[node], element_bytes(node.type.kind, storage.dtype)
            if place.space == "arena":
                size = node.type.bound_elements * item
                size *= plan.lanes if node.type.batched else 1
                self._parts.append(arenas[:, place.offset : place.offset + size])
        self._rows = [
            self._rows_of(node, storage) for node in nodes if plan.places[node].space != "arena"
        ]
        width = sum(each.shape[1] for each in self._parts)
        width += sum(size for _, _, size in self._rows)
        self._all = np.empty((plan.shards, width), np.uint8)
        self._own = ranks.own(plan.shards)
        self._others = [each for each in range(plan.shards) if each not in self._own]

    @staticmethod
    def _rows_of(node: Node, storage: Storage) -> tuple[np.ndarray, int, int]:
        """The bytes of a value with a row for each example, those of all, and of a shard's rows."""
        plan, place = storage.plan, storage.plan.places[node]
        total = node.type.bound_elements * element_bytes(node.type.kind, storage.dtype)
        row = total // node.type.bound_shape[0]
        return storage.shared[place.offset : place.offset + total], total, row * plan.examples

    def __call__(self) -> None:
        """Send this rank's parts, and store those of the others."""
        self._move(self._own, out=True)
        self._ranks.gathered(self._all)
        self._move(self._others, out=False)

    def _move(self, shards: Sequence[int], out: bool) -> None:
        """Copy some shards' parts to the message, or from it."""
        for shard in shards:
            message, at = self._all[shard], 0
            for each in self._views(shard):
                there = message[at : at + len(each)]
                if out:
                    there[...] = each
                else:
                    each[...] = there
                at += len(each)

    def _views(self, shard: int) -> Iterator[np.ndarray]:
        for part in self._parts:
            yield part[shard]
        for rows, total, size in self._rows:
            yield rows[min(shard * size, total) : min((shard + 1) * size, total)]


def gather_examples(
    plan: Plan, storage: Storage, outputs: Mapping[str, np.ndarray], batch: int, ranks: Ranks
) -> None:
    """Exchange what a run leaves for each example: rows of outputs, and slots of streams."""
    for array in storage.slots.values():
        ranks.gathered(array.view(np.uint8).reshape(plan.shards, -1))
    for array in outputs.values():
        shard = np.arange(len(array)) % batch // plan.examples
        own = np.isin(shard, ranks.own(plan.shards))
        for rank, rows in enumerate(ranks.comm.allgather(array[own])):
            array[np.isin(shard, ranks.own(plan.shards, rank))] = rows


class Spread:
    """The calls of a program for one rank, in stretches of phases between which parts travel."""

    def __init__(self, linked: Linked, storage: Storage, ranks: Ranks) -> None:
        plan = storage.plan
        own = ranks.own(plan.shards)
        order = _alternating(own, [each for each in range(plan.shards) if each not in own])
        table = [linked.table[shard] for shard in order]
        phases = linked.phases
        self._executor = storage.executor
        self._parts: list[tuple[executor.StepCalls, Exchange | None]] = []
        start = 0
        for phase, nodes in sorted((plan.meetings or {}).items()):
            calls = _calls(table, start, phase + 1, storage.threads, order)
            self._parts.append((calls, Exchange(list(nodes), storage, ranks)))
            start = phase + 1
        if start < phases:
            self._parts.append((_calls(table, start, phases, storage.threads, order), None))

    def run(self, steps: int) -> None:
        for step in range(steps):
            for calls, exchange in self._parts:
                self._executor.run(calls, 1, first=step)
                if exchange is not None:
                    exchange()


def _calls(
    table: Sequence[Sequence[Sequence[executor.Call]]],
    start: int,
    stop: int,
    threads: int,
    order: Sequence[int],
) -> executor.StepCalls:
    return executor.StepCalls([each[start:stop] for each in table], threads, order)


def _alternating(own: Sequence[int], others: Sequence[int]) -> list[int]:
    """Both, so that threads which take neighbours have as many of each."""
    places = [
        ((i + 0.5) / len(each), shard) for each in (own, others) for i, shard in enumerate(each)
    ]
    return [shard for _, shard in sorted(places)]
