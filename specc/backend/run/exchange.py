"""Values that travel between machines while a step goes on, small ones together.

    for bundle in bundles(linked, code, storage, ranks):
        bundle.start()      # after the own shards have run `bundle.stops` calls of their phase
        bundle.finish()     # before phase `bundle.read`

A bundle holds ranges of the shards' arenas, and rows of `peers`. `start` sends this machine's
parts, `finish` stores those of the others.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from specc.backend.emit.calls import element_bytes, in_order, phase_of
from specc.ir.graph import Node
from specc.ir.plan import Meeting

if TYPE_CHECKING:
    from specc.backend.run.code import Code
    from specc.backend.run.ranks import Ranks
    from specc.backend.run.storage import Linked, Storage

SPIN, LONGEST = 500e-6, 1e-3
"""Seconds that a wait for a message spins, and the longest time that it sleeps then at once."""
BUNDLE = 1 << 16
"""Bytes of a shard from which a message is worth its latency, and begins before its phase ends."""


class Bundle:
    """Values of one phase that travel together.

    `made` and `read` are the phases that compute and read them; `stops` says after how many calls
    of its phase a shard has computed its parts.
    """

    def __init__(
        self, meetings: Sequence[Meeting], stops: dict[int, int], storage: Storage, ranks: Ranks
    ) -> None:
        self.made, self.read = meetings[0].made, min(each.read for each in meetings)
        self.stops = stops
        plan = storage.plan
        arenas = storage.arena[: plan.arena_bytes * plan.shards].reshape(plan.shards, -1)
        self._parts: list[np.ndarray] = []  # of each value [shards, bytes]
        self._rows: list[tuple[np.ndarray, int, int]] = []
        for node in (each.node for each in meetings):
            if plan.allocations[node].space == "arena":
                offset, size = plan.allocations[node].offset, shard_bytes(node, storage)
                self._parts.append(arenas[:, offset : offset + size])
            else:
                self._rows.append(_rows_of(node, storage))
        width = sum(each.shape[1] for each in self._parts)
        width += sum(size for _, _, size in self._rows)
        self._comm = ranks.leaders
        self._own = ranks.own(plan)
        self._others = [each for each in range(plan.shards) if each not in self._own]
        self._all = np.empty((plan.shards, width), np.uint8)
        self._mine = np.empty((len(self._own), width), np.uint8)
        self._counts = [width * len(ranks.own(plan, host)) for host in range(ranks.hosts)]
        self._request: Any = None

    def start(self) -> None:
        """Send this machine's parts."""
        for message, shard in zip(self._mine, self._own, strict=True):
            for there, each in self._pairs(message, shard):
                there[...] = each
        self._request = self._comm.Iallgatherv(self._mine, [self._all, self._counts])

    def advance(self) -> None:
        """Let the messages get on: a library of MPI only moves them while it is called."""
        if self._request is not None:
            self._request.Test()

    def finish(self) -> None:
        """Wait for the parts of the other machines, and store them."""
        _wait(self._request)
        self._request = None
        for shard in self._others:
            for there, each in self._pairs(self._all[shard], shard):
                each[...] = there

    def _pairs(self, message: np.ndarray, shard: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the bytes of each value in a shard's message, and those in its memory."""
        at = 0
        for each in self._views(shard):
            yield message[at : at + len(each)], each
            at += len(each)

    def _views(self, shard: int) -> Iterator[np.ndarray]:
        for part in self._parts:
            yield part[shard]
        for rows, total, size in self._rows:
            yield rows[min(shard * size, total) : min((shard + 1) * size, total)]


def _wait(request: Any) -> None:
    """Wait for a message: a library of MPI would keep the processor busy all the time."""
    start = time.perf_counter()
    while not request.Test():
        waited = time.perf_counter() - start
        if waited > SPIN:
            time.sleep(min(waited / 20, LONGEST))


def shard_bytes(node: Node, storage: Storage) -> int:
    """Return the bytes of a value in the arena of a shard."""
    size = node.type.bound_elements * element_bytes(node.type.kind, storage.dtype)
    return size * (storage.plan.lanes if node.type.batched else 1)


def _rows_of(node: Node, storage: Storage) -> tuple[np.ndarray, int, int]:
    """The bytes of a value with a row for each example, those of all, and of a shard's rows."""
    plan, memory = storage.plan, storage.plan.allocations[node]
    total = node.type.bound_elements * element_bytes(node.type.kind, storage.dtype)
    row = total // node.type.bound_shape[0]
    return storage.shared[memory.offset : memory.offset + total], total, row * plan.examples


def bundles(linked: Linked, code: Code, storage: Storage, ranks: Ranks) -> list[Bundle]:
    """Return the values that travel in a step, in the order in which they start.

    Those of one phase go in the order in which the shards compute them. What is read in the phase
    that follows is awaited at once, and starts together.
    """
    plan, own = storage.plan, ranks.own(storage.plan)
    number = {node: i for i, step in enumerate(plan.steps) for node in step.computed}
    calls = {shard: _nodes_of_calls(code, shard) for shard in own}
    found: list[Bundle] = []
    for phase in sorted({each.made for each in plan.meetings or ()}):
        of_phase = [each for each in plan.meetings or () if each.made == phase]
        ends = {shard: len(linked.table[shard][phase]) for shard in own}
        stops = {
            each: {shard: _stop(calls[shard][phase], each.node) for shard in own}
            for each in of_phase
        }
        of_phase.sort(key=lambda each: number.get(each.node, -1))  # alike on all machines
        together: list[Meeting] = []
        groups = [together]
        for each in of_phase:
            size = sum(shard_bytes(other.node, storage) for other in together)
            if size >= BUNDLE:
                together = []
                groups.append(together)
            together.append(each)
        if len(groups) > 1 and sum(shard_bytes(e.node, storage) for e in groups[-1]) < BUNDLE:
            groups[-2:] = [groups[-2] + groups[-1]]
        for group in groups:
            last = {shard: max(stops[each][shard] for each in group) for shard in own}
            found.append(Bundle(group, last if group is not groups[-1] else ends, storage, ranks))
    return found


def _nodes_of_calls(code: Code, shard: int) -> list[list[tuple[Node, ...]]]:
    """Return the nodes of each call of a shard, by phase, as `Linked.table` has them."""
    found: list[list[tuple[Node, ...]]] = [[] for _ in range(code.phases)]
    for call, iteration in in_order(code.shards[shard]):
        if not call.once:
            found[phase_of(call, iteration)].append(call.nodes)
    return found


def _stop(calls: Sequence[tuple[Node, ...]], node: Node) -> int:
    """Return after how many calls of a phase a value is computed."""
    last = [i for i, nodes in enumerate(calls) if node in nodes]
    return last[-1] + 1 if last else len(calls)
