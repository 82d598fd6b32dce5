"""Shards of one thread have the memory of a phase in common, and compute the same bits."""

from __future__ import annotations

import numpy as np
import pytest

import specc
from specc import driver
from specc.pipeline import Kind
from specc.recipe import Column
from specc.source import Source

NETS = {
    "images": """input x: float[3, 9, 9] target y: class(5)
      let s = x -> conv(8, kernel=3, pad=1) -> relu -> maxpool(3) -> conv(6, kernel=3)
        -> batchnorm -> relu -> flatten -> dense(70) -> relu -> dense(5)""",
    "sequence": """input x: float[time, 6] target y: class(5)
      let s = x -> lstm(9) -> gru(8) -> last -> dense(5)""",
    "attention": """input x: float[time, 6] target y: class(5)
      let s = attention(x; heads=2) -> last -> dense(5)""",
    "peers": """input x: float[6] target y: class(5)
      let z = x -> dense(8) -> tanh
      let s = (z - mean(peers(z); axis=0)) -> dense(5)""",
}


def text(name: str) -> str:
    before = "seq time = 4\n" if "time" in NETS[name] else ""
    return f"""{before}model m {{ {NETS[name]} output s loss cross_entropy(s, y) }}
train {{ optimizer adam(lr = 0.01) batch = 50 }}"""


def results(name: str, threads: int, shards: int) -> dict[str, bytes]:
    net = specc.compile(
        driver.load(Source("x.dl", text(name))), threads=threads, shards=shards, seed=2
    )
    rng = np.random.default_rng(0)
    port = net.ports[0]
    x = rng.standard_normal((130, *port.shape)).astype(np.float32)
    data = {"x": Column(x), "y": Column(rng.integers(0, 5, 130))}
    found = {"losses": net.train(data, np.arange(130), 0, 1, 2)}
    found |= net.forward(x=x[: net.batch])
    found |= {f"param {path}": array for path, array in net.params.items()}
    return {key: np.ascontiguousarray(array).tobytes() for key, array in found.items()}


@pytest.mark.parametrize("name", NETS)
def test_any_number_of_threads_computes_the_same_bits(name):
    wanted = results(name, 4, 4)
    for threads in (1, 2, 3):
        assert results(name, threads, 4) == wanted


@pytest.mark.parametrize("name", NETS)
def test_a_plan_has_memory_that_passes_and_memory_that_stays(name):
    net = specc.compile(driver.load(Source("x.dl", text(name))), threads=2, shards=4)
    for kind in (Kind.TRAIN, Kind.GRADIENTS):
        plan = net.plan(kind)
        assert 0 < plan.passing_bytes < plan.arena_bytes


def test_the_shards_of_a_thread_use_one_arena():
    net = specc.compile(driver.load(Source("x.dl", text("images"))), threads=2, shards=4)
    storage = net.compiled(Kind.TRAIN).new_storage()
    assert storage.turns == [0, 0, 2, 2]
