"""Training on several processes, the ranks: each runs some of the shards of every batch.

    ranks = Ranks(MPI.COMM_WORLD, neighbours)     # one for each process
    ranks.own(plan)                               # the shards that this machine runs

**Of one machine.** Ranks that have memory in common are one thread pool: their threads share
the shards, and meet at barriers, as the threads of one process do. They also divide the work of
tensor parallelism.

**Of several machines.** A machine runs what belongs to examples for its own shards, which are
neighbours, and whatever is one for all examples (sums over the shards, updates of weights) as a
whole. Where shards meet, their parts travel: every machine gets those of all shards, and adds them
in the order of the shards. So the number of ranks changes no bit. A value begins its way as soon as
the machine has computed it, while the rest of its phase goes on, and is awaited before the phase
that reads it (`spread`, `exchange`). The first rank of a machine sends and receives for the others.

With tensor parallelism all shards work on the same examples, and a plan may have one shard only:
then every machine computes all of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from specc.ir.plan import Plan

if TYPE_CHECKING:
    from specc.backend.run.neighbours import Neighbours


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

    def part(self, memory: Iterable[np.ndarray]) -> None:
        """Let each process of the machine have what `allocate` has returned for itself.

        All must call it; what the memory holds stays.
        """
        if self.neighbours is not None:
            self.wait()
            for each in memory:
                self.neighbours.part(each)

    def wait(self) -> None:
        """Wait for the other processes of this machine."""
        if self.neighbours is not None:
            self.neighbours.wait()
