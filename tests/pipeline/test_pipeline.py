"""A small model in, a printed graph out: what each pass makes, in a file beside this one.

`python -m pytest tests/pipeline --update-golden` writes the files anew.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from specc import driver, pipeline
from specc.ir.kind import Kind
from specc.ir.show import show_graph
from specc.passes import regions
from specc.passes.regions import CutLimits
from specc.pipeline import NAMES, PASSES, Batch, Job, run
from specc.source import Source

GOLDEN = Path(__file__).parent / "golden"
BATCH = Batch(examples=32, vector=16, item=4, shards=2)
ONE = Batch(examples=1, vector=1, item=4, shards=1)
TRAIN = "train { optimizer sgd(lr = 0.1 * 0.5 ^ epoch) batch = 32 clip_norm = 1 }"
DENSE = (
    "model dense { input x: float[3] target y: float[2]"
    " let z = x -> dense(4) -> relu -> dense(2) output z loss mse(z, y) }"
)
CELL = (
    "seq time = 5 model gates { input x: float[time, 3] target y: float[2]"
    " let a = x -> lstm(2) let hs, z, c = a -> lstm(2) output z loss mse(z, y) }"
)
DEEP = (
    "model deep { input x: float[3] target y: float[3]"
    " let z = x -> 4 * (dense(3) -> tanh) output z loss mse(z, y) }"
)
IMAGE = (
    "model image { input x: float[1, 4, 4]"
    " output x -> conv(2, kernel=3, pad=1) -> relu -> flatten -> dense(2) }"
)
STREAM = (
    "seq time = 3 dim n = 4 model chars { stream text: class(n)[time] target next_: class(n)[time]"
    " let z = text -> embed(2) -> rnn(2) -> dense(n) output z loss cross_entropy(z, next_) }"
)
PEERS = (
    "model contrast { input x: float[3] let z = x -> dense(2) let s = peers(z) @ z"
    " output z loss log(sum(exp(s))) - z @ z }"
)
LATE = (
    "cell late(x: float[n]) { state before: float[n] = 0 next before = x return before }"
    " seq time = 3 model m { input x: float[time, 2] output x -> late }"
)
WORDS = (
    "seq time = 3 model words { input text: class(4)[time] target label: class(2)"
    " let z = text -> embed(3) -> dense(2) output z loss cross_entropy(last(z), label) }"
)
POOL = "model pool { input x: float[1, 5, 5] output x -> conv(2, kernel=2) -> relu -> maxpool(2) }"
WIDE = DENSE.replace("float[3]", "float[128]").replace("dense(4)", "dense(256)")
SLOPE = (
    "model slope { input x: float[3] param w: float[3] = normal"
    " let y = sum(tanh(w * x)) output gradient(y; x) }"
)
ATTENTION = (
    "seq time = 8 model small { input x: float[time, 2] target y: float[time, 2]"
    " let s[t, u] = sum(i: x[t, i] * x[u, i]) let a[t, u] = softmax(u: if u <= t then s[t, u] else"
    " -inf) let z[t, i] = sum(u: a[t, u] * x[u, i]) output z loss mse(z -> dense(2), y) }"
)
# the pass -> a model that it changes, the kind of program, and the batch
CASES = {
    "lower": (DENSE, Kind.TRAIN, BATCH),
    "stream": (STREAM, Kind.TRAIN, BATCH),
    "set_mode": ("model drop { input x: float[3] output x -> dropout(0.5) }", Kind.PREDICT, BATCH),
    "derive": (SLOPE, Kind.PREDICT, BATCH),
    "hoist": (CELL, Kind.TRAIN, BATCH),
    "pool_first": (POOL, Kind.PREDICT, BATCH),
    "tabulate": (WORDS, Kind.TRAIN, BATCH),
    "autodiff": (DENSE, Kind.GRADIENTS, BATCH),
    "round_operands": (DENSE, Kind.GRADIENTS, BATCH),
    "accumulate": (DENSE, Kind.ACCUMULATE, BATCH),
    "update": (DENSE, Kind.TRAIN, BATCH),
    "schedule": (DENSE, Kind.TRAIN, BATCH),
    "select": (DENSE, Kind.PREDICT, BATCH),
    "straighten": (LATE, Kind.PREDICT, BATCH),
    "simplify": (DENSE, Kind.TRAIN, BATCH),
    "push_slices": (CELL, Kind.EVALUATE, BATCH),
    "chunk": (ATTENTION, Kind.EVALUATE, BATCH),
    "recompute": (DEEP, Kind.TRAIN, BATCH),
    "prepare": (DENSE, Kind.TRAIN, BATCH),
    "bind_batch": (PEERS, Kind.EVALUATE, BATCH),
    "into_products": (DENSE, Kind.GRADIENTS, BATCH._replace(bfloat16=True)),
    "frame": (IMAGE, Kind.PREDICT, ONE),
    "divide": (WIDE, Kind.GRADIENTS, BATCH),
    "fuse": (CELL, Kind.EVALUATE, BATCH),
    "plan": (DENSE, Kind.TRAIN, BATCH),
}


@pytest.fixture(autouse=True)
def small_values_are_large(request, monkeypatch):
    """A graph of large values would be printed on many pages."""
    if getattr(request.node, "callspec", None) and "chunk" in request.node.callspec.params.values():
        monkeypatch.setattr(regions, "LIMITS", CutLimits(elements=64, ratio=2, rows=4))


def program_of(model: str):
    """The program of a model, with an optimizer if it has a loss."""
    text = f"{model} {TRAIN if 'loss' in model else ''}"
    return driver.load(Source("small.dl", text))


def job_of(name: str, model: str, kind: Kind) -> Job:
    """The job in which a pass has something to do."""
    program = program_of(model)
    if name in ("round_operands", "into_products"):
        program = driver.with_precision(program, "bfloat16")
    return Job(program, kind, recompute=name == "recompute")


@pytest.mark.parametrize("name", CASES)
def test_a_pass_makes_the_graph_that_is_printed(name, golden):
    model, kind, batch = CASES[name]
    job = job_of(name, model, kind)
    golden(GOLDEN / f"{name}.txt", str(run(job, through=name, batch=batch)))


@pytest.mark.parametrize("name", CASES)
def test_the_model_of_a_pass_is_one_that_it_changes(name):
    model, kind, batch = CASES[name]
    job = job_of(name, model, kind)
    before = NAMES[NAMES.index(name) - 1]
    if name != "lower":
        assert str(run(job, through=before, batch=batch)) != str(
            run(job, through=name, batch=batch)
        )


def test_every_file_belongs_to_a_pass_and_every_pass_has_a_name_of_its_own():
    assert {path.stem for path in GOLDEN.glob("*")} == set(CASES) == set(NAMES)
    assert len(set(NAMES)) == len(PASSES)


def test_passes_go_on_from_where_others_stopped():
    job = Job(program_of(DENSE), Kind.TRAIN)
    whole = run(job, batch=BATCH)
    in_parts = run(job, run(job, through="simplify"), batch=BATCH)
    assert str(whole.plan) == str(in_parts.plan)
    assert str(pipeline.planned(run(job, through="prepare").graph, BATCH)) == str(whole.plan)


@pytest.mark.parametrize("name", NAMES)
def test_show_prints_what_each_pass_makes(name):
    text = driver.show(Source("small.dl", f"{DENSE} {TRAIN}"), name)
    assert len(text.splitlines()) > 5


def test_the_optimized_graph_that_is_shown_is_the_one_that_is_planned():
    source = Source("small.dl", f"{DENSE} {TRAIN}")
    program = driver.load(source)
    batch = Batch.on_this_machine(32)
    plan = run(Job(program, Kind.TRAIN), batch=batch).plan
    assert driver.show(source, "optimized") == show_graph(plan.graph)
    assert driver.show(source, "plan") == str(plan)


def test_a_broken_graph_names_the_pass_that_made_it():
    job = Job(program_of(DENSE), Kind.TRAIN)
    made = run(job, through="select")
    (node, *_) = made.graph.outputs.values()
    object.__setattr__(node, "type", type(node.type)("bool", (7,)))
    with pytest.raises(AssertionError, match=r"after (straighten|simplify): "):
        run(job, made, "simplify")
