"""The same bits on any number of processes: here threads that talk as those of MPI do."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from model_files import loaded
from test_bits import BATCH, EVERY, NETS, SHARDS, TRAIN, narrow, random_rows

import specc
from specc.backend.run import executor
from specc.backend.run.neighbours import Neighbours
from specc.backend.run.ranks import Ranks
from specc.backend.run.storage import aligned
from specc.recipe import Column
from specc.source import Source

__all__ = ["narrow"]

MORE = {
    "rows that shards complete": """
        input x: float[1, 16, 16] target y: class(9)
        let w = x -> conv(8, kernel=3) -> relu -> flatten -> dense(512) -> relu -> dense(9)
        output w loss cross_entropy(w, y)""",
    "peers": """
        input x: float[12] let z = x -> dense(8) let s = peers(z) @ z
        output z loss log(sum(exp(s))) - z @ z""",
}


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


def trained(program, batch: int, shards: int | None, ranks: Ranks | None = None, threads: int = 1):
    """A model and the bits of its training and evaluation."""
    net = specc.compile(program, batch=batch, threads=threads, seed=0, shards=shards)
    if ranks is not None:
        net.programs.share(ranks)
    rows = 2 * batch if net.slots else 2 * batch + batch // 2
    data = {name: Column(array) for name, array in random_rows(net, rows).items()}
    net.train(data, np.arange(batch), 0, 3, 9)  # a run of fewer steps comes first
    found = {"records": net.train(data, np.arange(rows), 1, 3, 9)}
    found |= {
        name: np.asarray(value) for name, value in net.evaluate_rows(data, np.arange(rows)).items()
    }
    for kind in ("params", "states", "slots"):
        found |= {f"{kind} {path}": array for path, array in getattr(net, kind).items()}
    return net, {name: np.asarray(value).tobytes() for name, value in found.items()}


def check(program, batch: int, shards: int | None, *places: Sequence[int], threads: int = 1):
    """Compare trainings on machines with so many ranks each, for each of `places`."""
    net, expected = trained(program, batch, shards)
    for machines in places:

        def on_rank(ranks: Ranks):
            return trained(program, batch, shards, ranks, threads)

        for _, found in on_ranks(machines, on_rank):
            differing = [name for name, value in found.items() if value != expected[name]]
            assert not differing, f"ranks by machine {machines}: {', '.join(differing)}"
    return net


def test_every_shard_has_a_machine_and_every_thread_a_shard():
    class Divided(NamedTuple):
        shards: int
        meetings: tuple = ()

    for hosts in (1, 2, 3, 7):
        for shards in (1, 2, 3, 8, 16):
            plan = Divided(shards)
            own = on_ranks((1,) * hosts, lambda ranks, plan=plan: ranks.own(plan))
            assert [each for part in own for each in part] == list(range(shards))
            sizes = [len(part) for part in own]
            assert max(sizes) - min(sizes) <= 1

    def threads(ranks: Ranks, shards: int):
        ranks.meet(ranks.rank + 1)
        return ranks.threads(shards)

    for shards in (1, 2, 3, 5, 6, 9):
        found = on_ranks((3,), lambda ranks, shards=shards: threads(ranks, shards))
        assert {total for total, _ in found} == {min(shards, 6)}
        assert [each for _, own in found for each in own] == list(range(min(shards, 6)))
        assert all(len(own) <= rank + 1 for rank, (_, own) in enumerate(found))


STATISTICS = "statistics, dropout and the norm of all gradients"


@pytest.mark.parametrize(("name", "count"), zip([STATISTICS, *MORE], (2, 2, 3), strict=True))
def test_the_number_of_ranks_changes_no_bit(name, count):
    text = {**NETS, **MORE}[name]
    program = specc.load(Source("m.dl", f"model m {{ {text} }}\n{TRAIN}"))
    shards = None if name == STATISTICS else 4
    net = check(program, 70, shards, (1,) * count, (count,), (2, 1), (1, 3))
    plan = net.plan("train")
    assert plan.shards > 1 and plan.meetings
    if name in MORE:
        modes = {step.mode for step in plan.steps}
        assert ("rows" in modes) == ("rows" in name)


@pytest.mark.parametrize("name", ["char_lstm", "sentiment"])
def test_nor_does_it_in_models_of_sequences_and_streams(name, narrow, monkeypatch):
    # each rank has threads of its own, as it is a process
    monkeypatch.setattr(executor, "executor", executor.Executor)
    program = loaded(EVERY[name])
    check(program, BATCH, SHARDS, (1, 1, 1), (2,), (2, 2))
    check(program, BATCH, SHARDS, (2,), (1, 1), threads=2)


@pytest.mark.long
@pytest.mark.parametrize("name", list(EVERY))
def test_nor_does_it_in_any_model(name, narrow):
    check(loaded(EVERY[name]), BATCH, SHARDS, (1, 1), (2,), (2, 1))


def test_tensor_parallelism_is_shared_by_the_ranks_of_a_machine_and_repeated_by_every_machine():
    program = specc.load(Source("m.dl", f"model m {{ {NETS['tensor parallel']} }}\n{TRAIN}"))
    net = check(program, 40, None, (1, 1), (2,), (3,), (2, 2))
    assert net.plan("train").sharing.same_examples and net.plan("train").meetings is None


def test_ranks_share_the_batches_of_a_prediction():
    text = NETS[STATISTICS]
    program = specc.load(Source("m.dl", f"model m {{ {text} }}\n{TRAIN}"))
    images = random_rows(specc.compile(program, batch=40, seed=0), 333)["x"]

    def predicted(ranks: Ranks | None) -> np.ndarray:
        net = specc.compile(program, batch=40, threads=1, seed=0)
        net.prediction.ranks = ranks
        return net.forward(x=images)["w"]

    alone = predicted(None)
    for count in (2, 3):
        for found in on_ranks((1,) * count, predicted):
            np.testing.assert_array_equal(found, alone)
    few = on_ranks((1, 1, 1), lambda ranks: predicted_few(program, ranks, images[:2]))
    assert len({each.tobytes() for each in few}) == 1


def predicted_few(program, ranks: Ranks, images: np.ndarray) -> np.ndarray:
    """Predictions of fewer examples than there are ranks."""
    net = specc.compile(program, batch=40, threads=1, seed=0)
    net.prediction.ranks = ranks
    return net.predict_rows(net.examples({"x": images}, ["x"]))["w"]
