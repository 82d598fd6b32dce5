"""Large values are computed some rows at a time: by value the same, in memory that is linear."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pairs import in_turn

import specc
from specc import driver, pipeline
from specc.backend.reference import evaluate
from specc.ir.graph import Graph
from specc.ir.kind import Kind
from specc.ir.op import Form
from specc.ops.alike import Alike
from specc.ops.contract import Contract
from specc.ops.random import Uniform
from specc.passes import regions
from specc.passes.chunk import chunk, chunks
from specc.passes.regions import CutLimits
from specc.pipeline import Batch, Job
from specc.source import Source

MODELS = Path(__file__).resolve().parent.parent.parent / "models"
SMALL = CutLimits(elements=500, ratio=1.01, rows=8)
NEVER = CutLimits(elements=1 << 60)
STEPS = 29  # not a whole number of chunks
QKV = """let q = x -> dense(6) let k = x -> dense(6) let v = x -> dense(6)
let d[t, u] = sum(i: q[t, i] * k[u, i]) """
SUM = "let z[t, i] = sum(u: a[t, u] * v[u, i])"
PLAIN, OPEN = "x: float[time, 6]", "x: float[<= time, 6]"


def text(body: str, inputs: str = f"input {PLAIN}", kind: str = "[time]", more: str = "") -> str:
    target = f"target y: float{kind.replace(']', ', 6]')}"
    return (
        f"seq time = {STEPS} {more} model m {{ {inputs} {target} {body} output z loss mse(z, y) }}"
        " train { optimizer momentum(lr = 0.05) }"
    )


NETS = {
    "attention": text("let z = x -> attention(heads=2)"),
    "causal": text("let z = x -> attention(heads=3, causal=true)"),
    "dropout": text("let z = x -> attention(heads=2, causal=true, dropout=0.3)"),
    "two": text("let z = x -> attention(heads=2, causal=true) -> attention(heads=3)"),
    "blocks": text("let z = x -> 2 * (transformer(heads=2, causal=true, dropout=0.1))"),
    "memory": text(
        "let z = attention(x, c; heads=2)",
        f"input {PLAIN} input c: float[steps, 4]",
        more="seq steps = 23",
    ),
    "varying": text(
        "let z = x -> attention(heads=2, causal=true)", f"input {OPEN}", kind="[<= time]"
    ),
    "varying memory": text(
        "let z = attention(x, c; heads=2)",
        f"input {OPEN} input c: float[<= steps, 4]",
        kind="[<= time]",
        more="seq steps = 23",
    ),
    "a memory that varies": text(
        "let z = attention(x, c; heads=2)",
        f"input {PLAIN} input c: float[<= steps, 4]",
        more="seq steps = 23",
    ),
    "steps that vary": text(
        "let z = attention(x, c; heads=2)",
        f"input {OPEN} input c: float[steps, 4]",
        kind="[<= time]",
        more="seq steps = 23",
    ),
    "additive": text("let z = additive_attention(x; 5)"),
    "positions in the scores": text(
        f"{QKV} param slope: float[] = 0.3"
        " let a[t, u] = softmax(u: if u <= t then d[t, u] - slope * (t - u) else -inf)" + SUM
    ),
    "window": text(
        f"{QKV} let a[t, u] = softmax(u: if u <= t and t - u < 4 then d[t, u] else -inf) {SUM}"
    ),
    "a mask that counts": text(
        f"{QKV} let a[t, u] = softmax(u: if u <= t then d[t, u] else 0) {SUM}"
    ),
    "two masks": text(
        f"""{QKV} let e[t, u] = if u <= t then sigmoid(d[t, u]) else 0
        let a[t, u] = if t - u < 5 then e[t, u] else 0 {SUM}"""
    ),
    "a bias for each pair": text(
        f"{QKV} param b: float[{STEPS}, {STEPS}] = normal"
        f" let a[t, u] = softmax(u: d[t, u] + b[t, u]) {SUM}"
    ),
    "a bias for each distance": text(
        f"{QKV} param b: float[{STEPS}] = normal let a[t, u] = softmax(u: if u <= t then"
        f" d[t, u] + b[class(t - u; classes={STEPS})] else -inf) {SUM}"
    ),
    "heads first": text(
        """let q = x -> dense(6) -> reshape(2, 3) let k = x -> dense(6) -> reshape(2, 3)
        let s[h, t, u] = sum(i: q[t, h, i] * k[u, h, i])
        let a[h, t, u] = softmax(u: if u <= t then s[h, t, u] else -inf)
        let y2[t, h, i] = sum(u: a[h, t, u] * k[u, h, i]) let z = y2 -> flatten -> dense(6)"""
    ),
    "keys first": text(
        f"{QKV} let e[u, t] = d[t, u] let a[u, t] = softmax(u: e[u, t])"
        " let z[t, i] = sum(u: a[u, t] * v[u, i])"
    ),
    "a kernel": text(
        """let q = x -> dense(6) let s[t, u] = exp(-sum(i: (q[t, i] - q[u, i]) ^ 2))
        let n[t] = sum(u: s[t, u]) let z[t, i] = sum(u: s[t, u] * x[u, i]) / n[t]"""
    ),
}


@pytest.fixture
def small(monkeypatch) -> None:
    """Values of a test are large."""
    monkeypatch.setattr(regions, "LIMITS", SMALL)


def examples(net: specc.Net, n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        port.name: rng.integers(1, 23, n)
        if port.length_of
        else rng.standard_normal((n, *port.shape))
        for port in net.ports
    }


def graph_of(name: str, kind: Kind = Kind.GRADIENTS) -> Graph:
    """A graph as the pass gets it."""
    program = driver.load(Source("m.dl", NETS[name]))
    return pipeline.run(Job(program, kind), through="push_slices", batch=Batch(4, 8, 8)).graph


def largest(graph: Graph) -> int:
    """The elements of the largest value of each example that is computed."""
    own = [n for n in graph.nodes if n.type.batched and n.op.form not in (Form.VIEW, Form.LEAF)]
    return max(n.type.bound_elements for n in own)


def compiled(name: str, threads: int = 1, **more) -> specc.Net:
    return specc.compile(
        driver.load(Source("m.dl", NETS[name])), threads=threads, dtype="float64", **more
    )


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("kind", [Kind.GRADIENTS, Kind.EVALUATE, Kind.PREDICT])
def test_the_chunks_compute_what_the_formulas_say(name, kind):
    graph = graph_of(name, kind)
    cut = chunk(graph, SMALL)
    assert 2 * largest(cut) < largest(graph)
    rng = np.random.default_rng(0)
    given = {
        (node.op.role, node.op.label): rng.standard_normal(
            (*(3,) * node.type.batched, *node.type.bound_shape)
        )
        if node.type.kind == "float"
        else rng.integers(1, 23, 3)
        for node in graph.nodes
        if node.op.name == "Input"
    }
    for output, wanted in evaluate(graph, given, step=5).items():
        found = evaluate(Graph({output: cut.outputs[output]}), given, step=5)[output]
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("name", "n"), in_turn(NETS, [3, 1, 19]))
def test_compiled_chunks_give_the_gradients_of_whole_values(name, n, monkeypatch):
    monkeypatch.setattr(regions, "LIMITS", NEVER)
    plain = compiled(name, batch=n)
    data = examples(plain, n)
    loss, gradients = plain.loss_and_gradients(**data)
    scores = plain.forward(**data)["z"]
    monkeypatch.setattr(regions, "LIMITS", SMALL)
    bits = []
    for threads in (1, 3):
        net = compiled(name, threads, batch=n)
        assert net.graph("train").nodes != plain.graph("train").nodes
        found, others = net.loss_and_gradients(**data)
        assert found == pytest.approx(loss, rel=1e-12)
        for path, gradient in gradients.items():
            np.testing.assert_allclose(others[path], gradient, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(net.forward(**data)["z"], scores, rtol=1e-10, atol=1e-12)
        steps = [net.step(**data) for _ in range(2)]
        bits.append((found, steps, {path: array.tobytes() for path, array in net.params.items()}))
    assert bits[0] == bits[1]


@pytest.mark.parametrize("name", ["dropout", "a bias for each distance", "varying"])
def test_float32_and_one_example_alone(name, small):
    net = specc.compile(driver.load(Source("m.dl", NETS[name])), batch=9)
    exact = compiled(name, batch=9)
    data = examples(net, 9)
    loss, gradients = net.loss_and_gradients(**data)
    wanted, others = exact.loss_and_gradients(**data)
    assert loss == pytest.approx(wanted, rel=1e-5)
    for path, gradient in gradients.items():
        np.testing.assert_allclose(gradient, others[path], rtol=1e-3, atol=1e-5)
    alone = {key: array[:1] for key, array in data.items()}
    together = net.forward(**data)["z"]
    np.testing.assert_allclose(net.forward(**alone)["z"][0], together[0], rtol=1e-4, atol=1e-5)


def test_the_gradients_are_those_of_finite_differences(small):
    net = compiled("causal", batch=3)
    data = examples(net, 3)
    _, gradients = net.loss_and_gradients(**data)
    rng = np.random.default_rng(1)
    for path, array in {path: array.copy() for path, array in net.params.items()}.items():
        way, step = rng.standard_normal(array.shape), 1e-5
        losses = []
        for sign in (1, -1):
            net.set_params({path: array + sign * step * way})
            losses.append(net.loss_and_gradients(**data)[0])
        net.set_params({path: array})
        slope = (losses[0] - losses[1]) / (2 * step)
        assert slope == pytest.approx((gradients[path] * way).sum(), rel=1e-6, abs=1e-8)


# Memory.


def plan(steps: int, kind: Kind, batch: Batch):
    source = f"""seq time = {steps} model m {{ input x: float[time, 64] target y: float[time, 64]
    let z = x -> attention(heads=4, causal=true, dropout=0.1) output z loss mse(z, y) }}
    train {{ optimizer sgd(lr=0.1) }}"""
    program = driver.load(Source("m.dl", source))
    return pipeline.run(Job(program, kind), batch=batch).plan


@pytest.mark.parametrize(
    ("kind", "batch"),
    [
        (Kind.TRAIN, Batch(2, 8, 4)),
        (Kind.EVALUATE, Batch(16, 8, 4)),
        (Kind.PREDICT, Batch(1, 1, 4)),
    ],
)
def test_memory_grows_linearly_with_the_steps(kind, batch):
    short, long = plan(1024, kind, batch), plan(2048, kind, batch)
    assert long.arena_bytes < 2.1 * short.arena_bytes
    square = 4 * 2048 * 2048 * long.lanes * 4
    assert long.arena_bytes + long.shared_bytes < 0.7 * square


def test_each_row_of_a_chunk_is_drawn_as_in_the_whole():
    graph = graph_of("dropout")
    draws = [node.op for node in chunk(graph, SMALL).nodes if isinstance(node.op, Uniform)]
    (whole,) = (node.op for node in graph.nodes if isinstance(node.op, Uniform))
    starts = [start for start, _ in chunks(STEPS, SMALL.rows)]
    assert sorted(op.first for op in draws) == sorted(2 * starts)  # forward and backward
    assert {replace(op, first=0, shape=whole.shape) for op in draws} == {whole}


def test_a_mask_is_computed_where_it_is_read(small):
    made = pipeline.run(
        Job(driver.load(Source("m.dl", NETS["causal"])), Kind.PREDICT), batch=Batch(8, 8, 4)
    )
    assert any(isinstance(node.op, Alike) for node in made.graph.nodes)
    stored = {node.type.kind for group in made.groups for node in group.stored}
    assert "bool" not in stored


def test_stages_that_wait_for_each_other_stay_whole():
    source = """seq time = 17 model m { input x: float[<= time, 2] let q = x -> dense(2)
    let k = x -> dense(2) let s[t, u] = sum(i: q[t, i] * k[u, i])
    let a[t, u] = max(0, (if t - u < 3 then s[t, u] else 0)) ^ 2
    let z[t, i] = sum(u: a[t, u] * k[u, i])
    let b[t, u] = softmax(u: sum(i: z[t, i] * z[u, i]))
    let w[t, i] = sum(u: b[t, u] * z[u, i]) + z[t, i] output w }"""
    job = Job(driver.load(Source("m.dl", source)), Kind.PREDICT)
    graph = pipeline.run(job, through="push_slices", batch=Batch(4, 8, 8)).graph
    given = {
        (n.op.role, n.op.label): np.full((*(2,) * n.type.batched, *n.type.bound_shape), 3)
        for n in graph.nodes
        if n.op.name == "Input"
    }
    cut = chunk(graph, CutLimits(1, 0, 1))
    np.testing.assert_allclose(
        evaluate(cut, given)["output.w"], evaluate(graph, given)["output.w"], rtol=1e-10
    )


# Masks of positions.


def largest_products(name: str, kind: Kind) -> list[int]:
    """The columns of the scores in each chunk."""
    nodes = chunk(graph_of(name, kind), SMALL).nodes
    rows = {count for _, count in chunks(STEPS, SMALL.rows)}
    return [
        node.type.bound_shape[-1]
        for node in nodes
        if isinstance(node.op, Contract)
        and node.type.bound_shape[0] in rows
        and node.type.rank == 2
        if node.type.bound_shape[1] > 6
    ]


@pytest.mark.parametrize("kind", [Kind.EVALUATE, Kind.GRADIENTS])
def test_masked_columns_are_not_computed(kind):
    ends = [start + count for start, count in chunks(STEPS, SMALL.rows)]
    assert sorted(set(largest_products("window", kind))) == sorted({8, 11, ends[-1] - 21})
    assert set(largest_products("a bias for each pair", kind)) == {STEPS}
    assert set(largest_products("a mask that counts", kind)) == {STEPS}


# Where it does nothing.


@pytest.mark.parametrize("name", ["gpt.dl", "translate.dl", "unet.dl"])
def test_models_whose_values_fit_a_cache_stay_as_they_are(name):
    program = driver.load(Source(name, (MODELS / name).read_text()))
    graph = pipeline.run(
        Job(program, Kind.TRAIN), through="push_slices", batch=Batch(8, 8, 4)
    ).graph
    assert chunk(graph) is graph


WIDE = {
    "a dense layer with many units": "let z = x -> dense(4000) -> relu -> dense(6)",
    "a maximum of all": f"{QKV} let m = max(t, u: d[t, u]) let z[t, i] = m * x[t, i] + v[t, i]",
}


@pytest.mark.parametrize("name", WIDE)
def test_what_cannot_be_cut_or_gains_nothing_stays_whole(name, monkeypatch):
    monkeypatch.setitem(NETS, name, text(WIDE[name]))
    graph = graph_of(name)
    assert chunk(graph, SMALL) is graph


@pytest.mark.parametrize(("rows", "most"), [(29, 8), (2048, 64), (65, 64), (64, 64), (7, 100)])
def test_chunks_are_even_and_cover_all_rows(rows, most):
    found = list(chunks(rows, most))
    assert [start for start, _ in found] == list(np.cumsum([0, *(n for _, n in found)])[:-1])
    assert sum(n for _, n in found) == rows and max(n for _, n in found) <= most
    assert len(found) == -(-rows // most)
