"""Ranks that are threads of one process, which talk as the processes of MPI do.

found = on_ranks((2, 1), function)      # on two machines: two ranks, and one
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from specc.backend.run.neighbours import Neighbours
from specc.backend.run.ranks import Ranks
from specc.backend.run.storage import aligned


class Talk:
    """What some threads say to each other; each waits until all have spoken."""

    def __init__(self, count: int) -> None:
        self.said: list[Any] = [None] * count
        self.arrays: dict[int, np.ndarray] = {}
        self.lock = threading.Lock()
        self.barrier = threading.Barrier(count, timeout=60)

    def told(self, rank: int, value: Any) -> list[Any]:
        self.said[rank] = value
        self.barrier.wait()
        heard = list(self.said)
        self.barrier.wait()
        return heard


class Comm:
    """The calls of a communicator of mpi4py that specc makes."""

    def __init__(self, talk: Talk, rank: int) -> None:
        self.talk, self.rank = talk, rank

    def Get_rank(self) -> int:
        return self.rank

    def Get_size(self) -> int:
        return len(self.talk.said)

    def allgather(self, value: Any) -> list[Any]:
        return self.talk.told(self.rank, value)

    def bcast(self, value: Any, root: int) -> Any:
        return self.talk.told(self.rank, value)[root]

    def Allgatherv(self, own: np.ndarray, to: list[Any]) -> None:
        everything, counts = to
        assert own.size == counts[self.rank]
        everything.reshape(-1)[...] = np.concatenate(
            [each.reshape(-1) for each in self.talk.told(self.rank, own)]
        )

    def Iallgatherv(self, own: np.ndarray, to: list[Any]) -> Request:
        sent = own.copy()
        return Request(lambda: self.Allgatherv(sent, to))

    def Split(self, color: int) -> Comm | None:
        colors = self.allgather(color)
        same = [rank for rank, each in enumerate(colors) if each == color]
        talks = self.talk.told(self.rank, Talk(len(same)))
        return Comm(talks[same[0]], same.index(self.rank))


class Request:
    """A message that travels when it has been asked for a few times."""

    def __init__(self, send: Callable[[], None]) -> None:
        self.send, self.calls = send, 0

    def Test(self) -> bool:
        self.calls += 1
        if self.calls == 5:
            self.send()
        return self.calls >= 5


class Memory:
    """Memory that threads have in common: the n-th array of one is the n-th array of all."""

    def __init__(self, talk: Talk, number: int) -> None:
        self.talk, self.number, self.count = talk, number, len(talk.said)
        self.numbers = itertools.count()

    def array(self, size: int) -> np.ndarray:
        with self.talk.lock:
            return self.talk.arrays.setdefault(next(self.numbers), aligned(size))

    def told(self, value: Any) -> list[Any]:
        return self.talk.told(self.number, value)

    def part(self, array: np.ndarray) -> None:
        raise AssertionError("threads cannot part")


def on_ranks(machines: Sequence[int], function: Callable[[Ranks], Any]) -> list[Any]:
    """What each of some ranks returns, which run at the same time: so many on each machine."""
    count, places = sum(machines), [(m, i) for m, own in enumerate(machines) for i in range(own)]
    talk, found, errors = Talk(count), [None] * count, []
    memories = [Talk(own) for own in machines]

    def run(rank: int) -> None:
        machine, number = places[rank]
        try:
            neighbours = None
            if machines[machine] > 1:
                neighbours = Neighbours(Memory(memories[machine], number))
            found[rank] = function(Ranks(Comm(talk, rank), neighbours))
        except BaseException as error:
            errors.append(error)
            for each in (talk, *memories):
                each.barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(count)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if errors:
        raise errors[0]
    return found
