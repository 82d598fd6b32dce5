"""Copies of operands that all shards make together: fewer copies, and the same bits."""

from __future__ import annotations

import numpy as np
import pytest

import specc
from specc import driver
from specc.backend.emit import sharing
from specc.backend.emit.calls import Address
from specc.backend.machine import this_machine
from specc.passes.division import MOST
from specc.recipe import Column
from specc.source import Source

FLOAT = "output z loss mse(z, y) } train { optimizer momentum(lr = 0.01) }"
END = FLOAT.replace("train {", "train { precision = bfloat16")
ROUNDED = {
    # shards share the examples, and divide the rows of the weights
    "rows": "model m { input x: float[150] target y: float[40]"
    f" let z = x -> dense(333) -> relu -> dense(130) -> tanh -> dense(40) {END}",
    # shards have examples of their own, and share the weights
    "examples": "model m { input x: float[17, 10, 9] target y: float[24] let z = x"
    f" -> conv(40, kernel=3, pad=1) -> relu -> conv(24, kernel=3) -> global_avgpool {END}",
    "loop": "seq time = 3 model m { input x: float[time, 40] target y: float[9]"
    f" let hs, h, c = x -> lstm(50) let z = h -> dense(9) {END}",
}
NETS = {
    **ROUNDED,
    # values are transposed for all shards
    "float32 rows": "model m { input x: float[600] target y: float[40]"
    f" let z = x -> dense(500) -> relu -> dense(300) -> tanh -> dense(40) {FLOAT}",
    # weights are packed for all iterations, and lie across one vector of lanes
    "float32 loop": "seq time = 20 model m { input x: float[time, 41] target y: float[9]"
    f" let hs, h, c = x -> lstm(70) let z = h -> dense(9) {FLOAT}",
}
BATCH = 128
MACHINE = this_machine()


def computable():
    """The names of the nets that this machine has kernels for."""
    return [name for name in NETS if MACHINE.multiplies_bfloat16 or name not in ROUNDED]


def trained(name: str, threads: int, barrier: int | None, monkeypatch, in_threads: bool = True):
    """A net after three steps; copies are shared where that saves a barrier, or never (None), and
    by the shards of a thread."""
    with monkeypatch.context() as patch:
        # large values, by the size of the L2 cache, have tests of their own
        patch.setattr(sharing, "with_shared_transposes", lambda shards, *_: [*map(list, shards)])
        if barrier is None or not in_threads:
            patch.setattr(sharing, "with_copies_of_a_thread", lambda shards, _: shards)
        made = sharing.with_shared_copies
        patch.setattr(
            sharing,
            "with_shared_copies",
            lambda shards, _: [*map(list, shards)] if barrier is None else made(shards, barrier),
        )
        # one vector of lanes in each shard
        one = min(BATCH // MACHINE.lanes("float32"), MOST)
        shards = {"float32 loop": one, "float32 rows": 4}.get(name)
        net = specc.compile(
            driver.load(Source("x.dl", NETS[name])),
            batch=BATCH,
            threads=threads,
            seed=1,
            shards=shards,
        )
        rng = np.random.default_rng(0)
        data = {
            port.name: Column(rng.standard_normal((BATCH, *port.shape)).astype(np.float32))
            for port in net.ports
        }
        net.train(data, np.tile(np.arange(BATCH), 3), 0, 1, 3)
        program = net.compiled("train")
        shards = [program.calls(shard) for shard in range(program.plan.shards)]
    return net, shards


def copies(shards) -> int:
    """Elements that are copied in all."""
    found = 0
    for calls in shards:
        for call in calls:
            numbers = dict(call.arguments)
            if call.copied and not call.loop:
                rounded = "table" in numbers
                found += numbers["rows"] * numbers["run"] if rounded else call.copied // 4
    return found


@pytest.mark.parametrize("name", computable())
def test_shared_copies_are_made_once_and_change_no_bit(name, monkeypatch):
    apart, own = trained(name, 1, None, monkeypatch)
    assert len(own) > 1
    net, shards = trained(name, 2, 0, monkeypatch)
    assert copies(shards) < copies(own)
    for path, values in net.params.items():
        assert values.tobytes() == apart.params[path].tobytes(), path


def test_copies_that_save_less_than_a_barrier_are_not_shared(monkeypatch):
    _, own = trained("rows", 1, None, monkeypatch)
    _, shards = trained("rows", 1, 10**9, monkeypatch, in_threads=False)
    assert copies(shards) == copies(own)


def test_shards_of_other_threads_have_copies_of_their_own(monkeypatch):
    found = []
    for threads in (1, 2, 4):
        _, shards = trained("float32 rows", threads, 10**9, monkeypatch)
        found.append(copies(shards))
    assert found[0] < found[1] < found[2]


@pytest.mark.skipif(not MACHINE.multiplies_bfloat16, reason="no products of bfloat16 here")
def test_every_shard_reads_a_shared_copy_a_phase_after_it_was_made(monkeypatch):
    _, shards = trained("rows", 1, 0, monkeypatch, in_threads=False)
    made, read = {}, {}
    for calls in shards:
        for call in calls:
            for _, value in call.arguments:
                if isinstance(value, Address) and value.space == sharing.SPACE:
                    where = made if call.copied else read
                    where.setdefault(value.offset, set()).add(call.phase)
    assert read
    for offset, phases in read.items():
        before = max(at for at in made if at <= offset)
        assert max(made[before]) < min(phases)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(600, 500), (37, 512), (1001, 260), (40, 700)])
def test_values_that_all_shards_transpose_together_change_no_bit(sizes, dtype, monkeypatch):
    features, units = sizes
    text = f"""model m {{ input x: float[{features}] target y: class(9)
      let s = x -> dense({units}) -> relu -> dense(300) -> tanh -> dense(9)
      output s loss cross_entropy(s, y) }} train {{ optimizer sgd(lr = 0.1) batch = 32 }}"""
    rng = np.random.default_rng(0)
    data = {
        "x": Column(rng.standard_normal((64, features)).astype(dtype)),
        "y": Column(rng.integers(0, 9, 64)),
    }
    made, together = sharing.with_shared_transposes, []

    def weights(least: int, threads: int) -> dict[str, bytes]:
        def applied(shards, plan, _):
            found = made(shards, plan, least)
            together.append(sum(call.copied for calls in found for call in calls if moved(call)))
            return found

        monkeypatch.setattr(sharing, "with_shared_transposes", applied)
        net = specc.compile(
            driver.load(Source("x.dl", text)), dtype=dtype, threads=threads, shards=4
        )
        net.train(data, np.arange(64), 0, 1, 2)
        return {path: array.tobytes() for path, array in net.params.items()}

    def moved(call) -> bool:
        out = dict(call.arguments).get("out")
        return "ends" in dict(call.arguments) and getattr(out, "space", "") == sharing.SPACE

    own = weights(1 << 40, 2)
    assert together == [0]
    for threads in (1, 2, 4):
        assert weights(0, threads) == own
    assert min(together[1:]) > 0


def test_weights_that_move_within_a_step_are_packed_once_for_all_shards():
    text = """model m { input x: float[1, 20, 20] target y: class(10)
      let s = x -> conv(16, kernel=5) -> relu -> conv(32, kernel=5) -> global_avgpool -> dense(10)
      output s loss cross_entropy(s, y) } train { optimizer sam(lr = 0.05) }"""
    net = specc.compile(driver.load(Source("x.dl", text)), batch=64, threads=1, shards=4)
    program = net.compiled("train")
    packs = [call for shard in range(4) for call in program.calls(shard) if call.packs]
    sources = [(dict(call.arguments).get("w"), call.phase) for call in packs]
    moved = [each for each in sources if getattr(each[0], "space", "") == "shared"]
    # of the second filters: for the values or for their gradients, or for both
    assert 1 <= len(moved) == len({*moved}) <= 2
