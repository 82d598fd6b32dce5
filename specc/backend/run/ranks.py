"""Training on several processes, the ranks: each runs some of the shards of every batch.

    ranks = Ranks(MPI.COMM_WORLD, neighbours)     # one for each process
    spread = Spread(linked, code, storage, ranks)
    spread.run(steps)

**Of one machine.** Ranks that have memory in common are one thread pool: their threads share
the shards, and meet at barriers, as the threads of one process do. They also divide the work of
tensor parallelism.

**Of several machines.** A machine runs what belongs to examples for its own shards, which are
neighbours, and whatever is one for all examples (sums over the shards, updates of weights) as a
whole. Where shards meet, their parts travel: every machine gets those of all shards, and adds them
in the order of the shards. So the number of ranks changes no bit. A value begins its way as soon as
the machine has computed it, while the rest of its phase goes on, and is awaited before the phase
that reads it (`exchange`). The first rank of a machine sends and receives for the others.

With tensor parallelism all shards work on the same examples, and a plan may have one shard only:
then every machine computes all of it.
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
    from specc.backend.run.neighbours import Neighbours
    from specc.backend.run.program import Buffers
    from specc.backend.run.storage import Linked, Storage


class Ranks:
    """The processes that train together; `comm` is a communicator of mpi4py.

    `neighbours` are those of this machine, if they have memory in common. Without it, each process
    counts as a machine of its own. `rank` is this process's number and `count` that of all
    processes; `host` is this machine's number and `hosts` that of all machines. All processes must
    make the collective calls (`agreed`, `any`, `meet`, `allocate`, `wait`) in the same order. They
    raise mpi4py's exception if the network fails.
    """

    def __init__(self, comm: Any, neighbours: Neighbours | None = None) -> None:
        self.comm, self.rank, self.count = comm, comm.Get_rank(), comm.Get_size()
        self.neighbours = neighbours
        self.leads = neighbours is None or neighbours.number == 0  # sends for its machine
        leaders = comm.allgather(self.leads)
        self.hosts = sum(leaders)
        self.host = sum(leaders[: self.rank + 1]) - 1
        if neighbours is not None:
            self.host = neighbours.told(self.host)[0]
        self.leaders = comm if all(leaders) else comm.Split(0 if self.leads else 1)
        self._threads = [1]

    @property
    def is_first(self) -> bool:
        """Whether this rank shows and writes."""
        return self.rank == 0

    def agreed(self, value: Any) -> Any:
        """Return the first rank's value, on every rank. `value` must be picklable."""
        return self.comm.bcast(value, root=0)

    def any(self, flag: bool) -> bool:
        """Return whether the flag of any rank is set."""
        return any(self.comm.allgather(flag))

    def meet(self, threads: int) -> None:
        """Tell the neighbours how many threads this process has, at least 1, for `threads`."""
        self._threads = [threads] if self.neighbours is None else self.neighbours.told(threads)

    def shares(self, plan: Plan) -> bool:
        """Return whether the processes share the work of a plan."""
        return len(self._threads) > 1 or self.divides(plan)

    def divides(self, plan: Plan) -> bool:
        """Return whether the machines divide the shards of a plan among them."""
        return self.hosts > 1 and plan.meetings is not None

    def own(self, plan: Plan, host: int | None = None) -> range:
        """Return the consecutive shards of machine number `host`, by default of this machine.

        Any two machines have equally many, or one more. If they do not divide the plan, every
        machine has all shards.
        """
        if not self.divides(plan):
            return range(plan.shards)
        host = self.host if host is None else host
        return range(plan.shards * host // self.hosts, plan.shards * (host + 1) // self.hosts)

    def threads(self, shards: int) -> tuple[int, range]:
        """Return how many threads of this machine work on so many shards, and which are this
        process's: a range of their numbers, which is empty if there are more processes than shards.
        """
        left, counts = min(shards, sum(self._threads)), [0] * len(self._threads)
        while left:
            for process, most in enumerate(self._threads):
                more = left > 0 and counts[process] < most
                counts[process] += more
                left -= more
        number = 0 if self.neighbours is None else self.neighbours.number
        first = sum(counts[:number])
        return sum(counts), range(first, first + counts[number])

    def allocate(self, size: int) -> np.ndarray:
        """Return `size` zero bytes, uint8 [size], that all processes of the machine have in common.

        Raises `SpecError` if the machine has too little shared memory.
        """
        if self.neighbours is None:
            from specc.backend.run.storage import aligned

            return aligned(size)
        return self.neighbours.array(size)

    def wait(self) -> None:
        """Wait for the other processes of this machine."""
        if self.neighbours is not None:
            self.neighbours.wait()


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

    def run(self, steps: int, buffers: Buffers, batch: int) -> None:
        """Run `steps` steps of up to `batch` examples each, and leave the results in `buffers`.

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
            gather_examples(self._plan, self._storage, buffers.outputs, batch, ranks)
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
