"""Plans carried out on simulated memory: every value lies where it is read, and no shard is in
another one's way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from generator.cases import case

import specc
from specc.backend.machine import this_machine
from specc.ir.plan import Allocation, GroupKind, Mode, Plan
from specc.ops.shape import Frame
from specc.passes import divide, division, tensor_parallel
from specc.source import Source
from tests.passes.simulation import Clash, is_simulated, simulate

SGD = "optimizer momentum(lr=0.1)"
TENSOR_PARALLEL = {
    "classes": """input x: float[37] target y: class(7)
        let w = x -> dense(40) -> relu -> dense(21) -> tanh -> dense(7)
        output softmax(w) loss cross_entropy(w, y) metric accuracy(w, y)""",
    "normalized": """input x: float[37] target y: class(5)
        let w = x -> dense(40) -> batchnorm -> relu -> dropout(0.3) -> dense(21) -> layernorm
        -> dense(5)
        output w loss cross_entropy(w, y)""",
    "back again": """input x: float[40]
        let w = x -> dense(30) -> relu -> dense(9) -> dense(30) -> relu -> dense(40) -> sigmoid
        output w loss mse(w, x)""",
    "several": """input a: float[9, 5] input b: float[33] target y: float[] target z: class(4)
        let h = concat(a -> flatten -> dense(15) -> relu, b -> dense(17))
        let w = h -> dense(19) -> relu
        let u = w -> dense(1) let v = w -> dense(4)
        output v loss mse(u[0], y) loss 0.3 * cross_entropy(v, z) + 0.001 * sum(w)""",
    "shared weights": """input x: float[20] target y: float[]
        layer tower = dense(20) -> relu
        let w = x -> tower -> tower -> dense(1) output w loss mse(w[0], y)""",
    "noise on weights": """input x: float[12] param v: float[13, 12] = normal
        let u = v -> dropout(0.3)
        let w = u @ x -> tanh -> dense(14) -> dense(3) output w loss l2(w)""",
}
NETS = {
    "gates": """input x: float[time, 3] target y: float[time, 2]
        let w = x -> lstm(4) -> gru(3) -> dense(2) output w loss mse(w, y)""",
    "images": """input x: float[2, 4, 4] target y: class(3)
        let s = x -> conv(3, kernel=3, pad=1) -> batchnorm -> relu -> maxpool(2) -> residual_block
          -> flatten -> dense(3)
        output s loss cross_entropy(s, y) metric accuracy(s, y)""",
    "parts of a weight": """input x: float[4] target y: float[3] param v: float[9, 4] = normal
        let w = v[:3] @ x + sum(x * v[3]) * tanh(v[4:7] @ x) + (v[7:] @ x)[0]
        output w loss mse(w, y)""",
    "columns of a weight": """input x: float[4] target y: float[4] param v: float[4, 9] = normal
        let w = v[:, :4] @ x + tanh(v[:, 4:8] @ x) + sum(v[:, 8:] * (x -> reshape(4, 1)))
        output w loss mse(w, y)""",
    "rows": """input x: float[10] target y: class(3) input w: class(40)
        let h = concat(x, w -> embed(4)) -> dense(12) -> relu -> dense(12) -> relu
        let s = h -> dense(3) output s loss cross_entropy(s, y)""",
}
ONE = {
    "feature maps side by side": """input x: float[2, 8, 8]
        let y = x -> conv(6, kernel=3, pad=1) -> relu
        let z = concat(y -> conv(5, kernel=3, pad=1) -> relu, y -> conv(3, kernel=1); axis=0)
        let w = z -> maxpool(2) -> conv(6, kernel=3, pad=1) -> relu -> flatten -> dense(9)
        output w""",
    "dense layers": """input x: float[40]
        let w = x -> dense(64) -> relu -> dense(64) -> tanh -> dense(64) -> relu -> dense(9)
        output softmax(w) output w""",
}
BLOCKS = """
block residual_block(x: float[c, h, w]) { return relu(x + (x -> conv(c, kernel=3, pad=1))) }
"""


def compiled(model: str, batch: int, threads: int, dtype: str = "float32"):
    before = "seq time = 4" if "time" in model else ""
    text = f"{before} {BLOCKS} model m {{ {model} }} train {{ {SGD} batch = {batch} }}"
    return specc.compile(
        specc.load(Source("m.dl", text)), threads=threads, shards=threads, dtype=dtype
    )


def check(net, kinds=("train", "gradients", "predict")) -> list[Plan]:
    plans = [net.plan(kind) for kind in kinds]
    for plan in plans:
        if is_simulated(plan):
            simulate(plan, np.dtype(net.dtype).itemsize, this_machine().lanes(net.dtype))
    return plans


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.filterwarnings("ignore")
def test_plans_of_random_programs_can_be_carried_out(seed):
    made = case(seed)
    program = specc.load(Source("m.dl", made.program.text))
    kinds = ("train", "gradients", "predict") if program.updates else ("predict",)
    for batch, threads in ((made.batch, made.threads), (40, 2), (41, 3), (1, 2)):
        check(
            specc.compile(program, batch=batch, threads=threads, shards=threads, dtype=made.dtype),
            kinds,
        )


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", NETS)
@pytest.mark.filterwarnings("ignore")
def test_shards_that_divide_the_examples_are_not_in_each_others_way(name, threads):
    check(compiled(NETS[name], 40, threads))


@pytest.mark.filterwarnings("ignore")
def test_shards_that_complete_rows_for_each_other_are_not_in_each_others_way(monkeypatch):
    monkeypatch.setattr(
        divide, "BY_EXAMPLES", divide.Thresholds(elements=64, rows=4, product=0, table=1)
    )
    (plan, _) = check(compiled(NETS["rows"], 40, 2), ("train", "gradients"))
    assert any(step.mode == Mode.ROWS for step in plan.steps)


@pytest.mark.parametrize("name", [*NETS, "a large window"])
@pytest.mark.filterwarnings("ignore")
def test_shards_of_an_example_each_are_not_in_each_others_way(name, monkeypatch):
    monkeypatch.setattr(division, "trains_alone", lambda graph, batch, vector: True)
    model = """input x: float[8, 16, 15] target y: class(3)
        let w = x -> avgpool(7, stride=1, pad=3) -> flatten -> dense(3)
        output w loss cross_entropy(w, y)"""
    before = "seq time = 4" if "time" in NETS.get(name, "") else ""
    text = f"{before} {BLOCKS} model m {{ {NETS.get(name, model)} }} train {{ {SGD} batch = 3 }}"
    plans = check(specc.compile(specc.load(Source("m.dl", text))), ("train", "gradients"))
    assert all((plan.shards, plan.lanes) == (3, 1) for plan in plans)
    repeats = [
        step
        for plan in plans
        for step in plan.steps
        if step.mode == Mode.EACH and isinstance(step.group.nodes[-1].op, Frame)
    ]
    assert bool(repeats) == (name == "a large window")


@pytest.mark.parametrize("split_from", [1 << 5, 1 << 10])
@pytest.mark.parametrize("name", TENSOR_PARALLEL)
@pytest.mark.filterwarnings("ignore")
def test_tensor_parallel_shards_are_not_in_each_others_way(name, split_from, monkeypatch):
    for setting, value in {
        "WORTH_MEETING": 0,
        "WEIGHTS": 0,
        "MOST_VECTORS": 64,
        "PRODUCTS_FROM": 1 << 7,
        "SPLIT_FROM": split_from,
    }.items():
        monkeypatch.setattr(tensor_parallel, setting, value)
    assert any(plan.sharing.same_examples for plan in check(compiled(TENSOR_PARALLEL[name], 20, 3)))


@pytest.mark.parametrize("name", ONE)
@pytest.mark.filterwarnings("ignore")
def test_shards_that_predict_one_example_are_not_in_each_others_way(name, monkeypatch):
    for setting, value in {"PRODUCTS_FROM": 1 << 7, "SPLIT_FROM": 1 << 5}.items():
        monkeypatch.setattr(tensor_parallel, setting, value)
    text = f"{BLOCKS} model m {{ {ONE[name]} }}"
    for threads in (2, 3):
        net = specc.compile(specc.load(Source("m.dl", text)), threads=threads, shards=threads)
        plan = net.plan("predict", 1)
        assert plan.sharing.same_examples and {"contract", "nest"} <= {
            step.group.kind for step in plan.steps if step.mode == Mode.SPLIT
        }
        simulate(plan, 4, 1)
    alone = specc.compile(specc.load(Source("m.dl", text)), shards=1).plan("predict", 1)
    # then memory is given back as soon as a value was read
    assert not alone.sharing.same_examples and alone.arena_bytes < plan.arena_bytes
    simulate(alone, 4, 1)


def test_what_shards_bring_in_together_is_read_after_a_barrier():
    # the first product is too small to be divided: the first shard alone computes it
    model = """input x: float[80] target y: float[3]
        let w = x -> dense(16) -> tanh -> dense(500) -> relu -> dense(500) -> relu -> dense(3)
        output w loss mse(w, y)"""
    (plan,) = check(compiled(model, 16, 2), ["train"])
    product = next(step for step in plan.steps if step.group.kind == GroupKind.CONTRACT)
    assert plan.sharing.same_examples and (product.mode, product.phase) == (Mode.SINGLE, 1)


# Whether the simulation itself can tell.


def broken(change) -> None:
    net = compiled(NETS["images"], 40, 2)
    plan = net.plan("train")
    simulate(change(plan), 4, this_machine().lanes("float32"))


def test_without_barriers_there_is_a_clash():
    with pytest.raises(Clash):
        broken(lambda plan: replace(plan, steps=[replace(each, phase=0) for each in plan.steps]))


def test_values_that_lie_over_each_other_clash():
    def all_at_the_start(plan: Plan) -> Plan:
        def moved(place: Allocation) -> Allocation:
            return Allocation("arena") if place.space == "arena" else place

        return replace(
            plan,
            allocations={node: moved(place) for node, place in plan.allocations.items()},
            steps=[
                replace(each, stores=[(node, moved(place)) for node, place in each.stores])
                for each in plan.steps
            ],
        )

    with pytest.raises(Clash):
        broken(all_at_the_start)


def test_memory_that_is_too_small_is_a_clash():
    with pytest.raises(Clash, match="behind the end"):
        broken(lambda plan: replace(plan, arena_bytes=plan.arena_bytes - 64))


def test_a_value_of_another_phase_in_passing_memory_is_a_clash():
    broken(lambda plan: plan)
    with pytest.raises(Clash):
        broken(lambda plan: replace(plan, passing_bytes=plan.arena_bytes))
