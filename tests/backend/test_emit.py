"""The calls that are emitted for a plan: their names, and what each shard takes."""

from __future__ import annotations

import itertools

import pytest

import specc
from specc.backend.emit.calls import Address, ConstantArray
from specc.backend.emit.emit import emit
from specc.backend.emit.shard import Common
from specc.ir.plan import Plan
from specc.ir.sharing import share
from specc.passes import tensor_parallel
from specc.source import Source


def calls_of(plan: Plan, shard: int, ports=("x",)):
    columns = {**dict.fromkeys(ports, "float32"), **{name: "float32" for name, _ in plan.emits}}
    return emit(plan, "float32", shard, columns)


def compiled(text: str, threads: int, batch: int = 32):
    return specc.compile(
        specc.load(Source("m.dl", text)), batch=batch, threads=threads, shards=threads
    )


def test_a_kernel_is_named_after_the_formulas_that_it_joins():
    text = """model m { input x: float[6, 4]
      output a = tanh(x) * 2 + 1 output b = transpose(x)
      output c = x * x * x * x + sin(x) / exp(x) }"""
    plan = compiled(text, 1).plan("predict")
    names = {call.kernel.name for call in calls_of(plan, 0)}
    assert {"each_tanh_mul_add_sin_more", "copy"} <= names or {"each_tanh_mul_add", "copy"} <= names
    assert not any("copy_" in name or "_copy" in name for name in names)


def plain(call):
    """What a call does: tables as numbers, and no offsets of memory that nothing else uses."""
    arguments = []
    for name, value in call.arguments:
        if isinstance(value, ConstantArray):
            value = value.array.tolist()
        elif isinstance(value, Address) and value.space == "lasting":
            value = "lasting"
        arguments.append((name, value))
    return call.kernel, arguments, call.phase, call.nodes, call.packs, call.once


@pytest.mark.parametrize(
    "start",
    [
        "model m { input x: float[3, 9, 9] target y: class(5)"
        " let z = x -> conv(8, kernel=3) -> batchnorm -> dropout(0.3) -> flatten -> dense(5)",
        "seq time = 4 model m { input x: class(9)[time] target y: class(5)"
        " let z = x -> embed(8) -> lstm(20) -> dropout(0.2) -> last -> dense(5)",
    ],
    ids=["images", "words"],
)
def test_a_shard_that_follows_the_first_makes_the_calls_that_it_makes_by_itself(start):
    text = f"""{start} output z loss cross_entropy(z, y) }}
        train {{ data npz("x.npz") optimizer adam(lr = 0.01) }}"""
    plan = compiled(text, 3, batch=48).plan("train")
    assert plan.shards == 3
    columns = {"x": "float32" if "float" in start else "int64", "y": "int64"}
    common = Common(plan)
    for shard in range(plan.shards):
        following = emit(plan, "float32", shard, columns, common)
        alone = emit(plan, "float32", shard, columns)
        assert [*map(plain, following)] == [*map(plain, alone)]
        starts = {n: {} for n in (0, 1)}
        for n, calls in enumerate((following, alone)):
            for call in calls:
                for name, value in call.arguments:
                    if isinstance(value, Address) and value.space == "lasting" and name == "out":
                        starts[n].setdefault(value.offset, call.lasting)
            ends = sorted(starts[n].items())
            assert all(end <= after for (_, end), (after, _) in itertools.pairwise(ends))


def test_elements_side_by_side_are_read_without_a_stride():
    text = """model m { input x: float[6, 4]
      output y = 2 * x + transpose(transpose(x) * 3) output z = x[:, :2] * 3 }"""
    calls = [
        dict(call.arguments)
        for call in calls_of(compiled(text, 1).plan("predict"), 0)
        if call.kernel.name.startswith("each")
    ]
    assert calls and all("n0" in call for call in calls)
    for call in calls:
        strides = [name for name in call if name[-1].isdigit() and not name.startswith("n")]
        assert 1 not in [call[name] for name in strides]


@pytest.fixture
def eager(monkeypatch):
    """Small networks, too, use tensor parallelism."""
    for setting, value in {
        "WORTH_MEETING": 0,
        "WEIGHTS": 0,
        "MOST_VECTORS": 64,
        "PRODUCTS_FROM": 1 << 7,
        "SPLIT_FROM": 1 << 5,
        "REPEATED_FROM": 1 << 7,
        "AGAIN_FROM": 8,
    }.items():
        monkeypatch.setattr(tensor_parallel, setting, value)


def test_each_shard_takes_its_share_of_a_formula(eager):
    text = """model m { input x: float[37] let w = x -> dense(41) -> tanh -> dense(50) -> relu
      output w loss l2(w) } train { optimizer sgd(lr=0.1) batch = 32 }"""
    plan = compiled(text, 3).plan("gradients")
    assert plan.sharing.same_examples
    steps = [step for step in plan.steps if step.by_channels and step.group.kind == "nest"]
    assert steps
    for shard in range(3):
        calls = {call.nodes: dict(call.arguments) for call in calls_of(plan, shard)}
        for step in steps:
            (node, place), *_ = step.stores
            row = node.type.elements // node.type.shape[0] * 4
            row *= plan.lanes if node.type.batched else 1
            start, _ = share(node.type.shape[0], shard, 3)
            starts = {
                each.offset
                for each in calls[step.group.nodes].values()
                if isinstance(each, Address) and each.space == place.space
            }
            assert place.offset + start * row in starts


def test_only_the_first_shard_does_what_the_shards_do_not_divide(eager):
    text = """seq time = 4 model m { input x: float[time, 20]
      output y = x -> rnn(40) -> last -> dense(3) }"""
    plan = compiled(text, 3).plan("predict", 1)
    assert plan.sharing.same_examples and any(step.phases for step in plan.steps)
    counts = [len(calls_of(plan, shard)) for shard in range(3)]
    assert counts[0] > counts[1] == counts[2]
    begins = [step.stores for step in plan.steps if step.phases]
    for shard, expected in ((0, len(begins)), (1, 0)):
        stored = [
            call
            for call in calls_of(plan, shard)
            for stores in begins
            if call.loop is None and call.nodes == (stores[0][0],)
        ]
        assert len(stored) == expected
