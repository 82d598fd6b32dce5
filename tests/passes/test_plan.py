"""The planner: shards, barriers and what each shard does for itself."""

from __future__ import annotations

import pytest

import specc
from specc.passes.plan import shares
from specc.source import Source


@pytest.mark.parametrize(("batch", "threads", "expected"), [
    (1, 2, (1, 1, 16)),
    (16, 2, (1, 16, 16)),  # two half-empty shards would be no faster
    (17, 2, (2, 9, 16)),
    (24, 2, (2, 12, 16)),
    (40, 4, (3, 14, 16)),
    (64, 2, (2, 32, 32)),
    (64, 1, (1, 64, 64)),
])
def test_there_are_no_more_shards_than_the_batch_fills(batch, threads, expected):
    assert shares(batch, threads, vector=16) == expected


def phases(layers: str, threads: int = 2) -> int:
    text = f"""model m {{
      input x: float[2, 4, 4]
      target y: class(3)
      let scores = x -> {layers} -> flatten -> dense(3)
      output scores
      loss cross_entropy(scores, y)
    }}
    train {{ optimizer momentum(lr=0.1) batch = 64 }}"""
    net = specc.compile(specc.load(Source("m.dl", text)), threads=threads)
    return 1 + max(step.phase for step in net.plan("train").steps)


def test_a_batchnorm_costs_three_barriers():
    # two for the mean and the variance, one for the gradients of all
    plain = phases("2 * (conv(2, kernel=3, pad=1) -> relu)")
    assert phases("2 * (conv(2, kernel=3, pad=1) -> batchnorm -> relu)") == plain + 3 * 2


def test_what_a_shard_does_for_itself_only_the_first_writes_outside_of_its_arena():
    text = """model m { input x: float[4] let y = batchnorm(x) output y loss sum(y * y) }
              train { optimizer sgd(lr=0.1) batch = 64 }"""
    steps = specc.compile(specc.load(Source("m.dl", text)), threads=2).plan("train").steps
    repeated = [step for step in steps if step.mode == "each"]
    assert any(place.space.startswith("state.") for step in repeated for _, place in step.stores)
    for step in repeated:
        inner = step.within_arena
        assert inner.stores and all(place.space == "arena" for _, place in inner.stores)
        assert len(inner.group.nodes) <= len(step.group.nodes)
