"""The same bits on any number of processes: here threads that talk as those of MPI do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
from model_files import loaded
from rank_threads import on_ranks
from test_bits import BATCH, EVERY, NETS, SHARDS, TRAIN, narrow, random_rows

import specc
from specc.backend.run import executor
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


@pytest.mark.parametrize(("name", "count"), list(zip([STATISTICS, *MORE], (2, 2, 3), strict=True)))
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
