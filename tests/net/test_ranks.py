"""The same bits on any number of processes: here threads that talk as those of MPI do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_bits import BATCH, MODELS, NETS, OPEN, SHARDS, TRAIN, narrow, random_rows

import specc
from specc.backend.run.ranks import Ranks
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


def on_ranks(count: int, function: Callable[[Ranks], Any]) -> list[Any]:
    """What each of some ranks returns, which run at the same time."""
    talk, found, errors = Talk(count), [None] * count, []

    def run(rank: int) -> None:
        try:
            found[rank] = function(Ranks(Comm(talk, rank)))
        except BaseException as error:
            errors.append(error)
            talk.barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(count)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if errors:
        raise errors[0]
    return found


def trained(program, batch: int, shards: int | None, ranks: Ranks | None = None):
    """A model and the bits of its training and evaluation."""
    net = specc.compile(program, batch=batch, threads=1, seed=0, shards=shards)
    net.programs.ranks = ranks
    rows = 2 * batch if net.slots else 2 * batch + batch // 2
    data = {name: Column(array) for name, array in random_rows(net, rows).items()}
    found = {"records": net.train(data, np.arange(rows), 0, 3, 9)}
    found |= {
        name: np.asarray(value) for name, value in net.evaluate_rows(data, np.arange(rows)).items()
    }
    for kind in ("params", "states", "slots"):
        found |= {f"{kind} {path}": array for path, array in getattr(net, kind).items()}
    return net, {name: np.asarray(value).tobytes() for name, value in found.items()}


def check(program, batch: int, shards: int | None, count: int) -> None:
    net, expected = trained(program, batch, shards)
    for _, found in on_ranks(count, lambda ranks: trained(program, batch, shards, ranks)):
        differing = [name for name, value in found.items() if value != expected[name]]
        assert not differing, f"{count} ranks: {', '.join(differing)}"
    return net


def test_every_shard_has_a_rank():
    for count in (1, 2, 3, 7):
        for shards in (1, 2, 3, 8, 16):
            own = [Ranks(Comm(Talk(count), rank)).own(shards) for rank in range(count)]
            assert [each for part in own for each in part] == list(range(shards))
            sizes = [len(part) for part in own]
            assert max(sizes) - min(sizes) <= 1


STATISTICS = "statistics, dropout and the norm of all gradients"


@pytest.mark.parametrize(("name", "count"), zip([STATISTICS, *MORE], (2, 2, 3), strict=True))
def test_the_number_of_ranks_changes_no_bit(name, count):
    text = {**NETS, **MORE}[name]
    program = specc.load(Source("m.dl", f"model m {{ {text} }}\n{TRAIN}"))
    net = check(program, 70, None if name == STATISTICS else 4, count)
    plan = net.plan("train")
    assert plan.shards > 1 and plan.meetings
    if name in MORE:
        modes = {step.mode for step in plan.steps}
        assert ("rows" in modes) == ("rows" in name)


@pytest.mark.parametrize("name", ["char_lstm", "sentiment"])
def test_nor_does_it_in_models_of_sequences_and_streams(name, narrow):
    check(specc.load(MODELS[name], **OPEN.get(name, {})), BATCH, SHARDS, 3)


@pytest.mark.long
@pytest.mark.parametrize("name", list(MODELS))
def test_nor_does_it_in_any_model(name, narrow):
    check(specc.load(MODELS[name], **OPEN.get(name, {})), BATCH, SHARDS, 2)


def test_a_team_is_repeated_by_every_rank():
    program = specc.load(Source("m.dl", f"model m {{ {NETS['a team']} }}\n{TRAIN}"))
    net = check(program, 40, None, 2)
    assert net.plan("train").sharing.same_examples and net.plan("train").meetings is None
