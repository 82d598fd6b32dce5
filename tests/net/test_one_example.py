"""The prediction of one example, without lanes.

Against the NumPy interpreter, by one shard and with tensor parallelism.
"""

from __future__ import annotations

import numpy as np
import pytest
from model_files import random_examples
from pairs import in_turn

import specc
from specc.backend.reference import evaluate
from specc.backend.run.fastest import Fastest
from specc.backend.run.prepared import PreparedPrediction
from specc.ir.kind import Kind
from specc.net.prediction import FEW
from specc.passes import tensor_parallel
from specc.recipe import Column
from specc.source import Source

NETWORKS = {
    "dense": """
        input x: float[67]
        output x -> dense(131) -> tanh -> dense(515) -> relu -> dense(3) -> softmax
        """,
    "convolution": """
        input x: float[3, 34, 30]
        output x -> conv(37, kernel=3, pad=1) -> batchnorm -> relu -> maxpool(2)
                 -> conv(18, kernel=5, stride=2) -> relu -> flatten -> dense(7)
        """,
    "a channel by itself": """
        input x: float[4, 40, 40]
        output x -> conv(8, kernel=3, groups=4, dilation=2) -> relu -> avgpool(2)
        -> maxpool(3, stride=1)
        """,
    "residual": """
        input x: float[16, 12, 20]
        output x -> residual -> residual(32, stride=2) -> flatten -> dense(10)
        """,
    "classes": """
        input x: class(11)
        output x -> embed(24) -> dense(40) -> relu -> dense(2)
        """,
    "attention": """
        input x: float[steps, 24]
        output x -> transformer(heads=3, causal=true) -> transformer(heads=2, norm=after)
          -> dense(5)
        """,
    "products of two values": """
        input a: float[20, 33]
        input b: float[33, 25]
        input c: float[4, 9, 9]
        let y[i, j] = sum(k: a[i, k] * b[k, j])
        let z[j, i] = sum(k: b[k, j] * a[i, k]) / 7
        let w[p, q] = sum(k in 0:25: z[k, p] * y[p, q] * a[p, k])
        let u[f, i, j] = sum(g, k: c[g, i, k] * c[f, k, j])
        let v = sum(i, j: z[j, i] * y[i, j])
        output concat(flatten(y), flatten(z), flatten(w) / 50, flatten(u) + v / 100) -> dense(6)
        """,
    "two inputs": """
        input a: float[5]
        input b: float[5]
        layer tower = dense(80) -> relu -> dense(70)
        output sum((tower(a) - tower(b)) * tower(b))
        """,
    "recurrent": """
        input x: float[steps, 9]
        output x -> lstm(24) -> gru(17) -> last -> dense(4)
        """,
    "wide recurrent": """
        input x: float[steps, 48]
        let both = concat(x -> lstm(70), x -> gru(96))
        output both -> lstm(80) -> dense(37)
        """,
}


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    """The products of cells of 70 units are large."""
    monkeypatch.setattr(tensor_parallel, "REPEATED_FROM", 1 << 14)
    monkeypatch.setattr(tensor_parallel, "AGAIN_FROM", 64)


def compiled(name: str, dtype: str, threads: int):
    before = "seq steps = 7\n" if "steps" in NETWORKS[name] else ""
    text = f"{before}model one {{\n{NETWORKS[name]}\n}}\n"
    net = specc.compile(
        specc.load(Source("one.dl", text)),
        batch=5,
        dtype=dtype,
        threads=threads,
        shards=threads,
        seed=3,
    )
    rng = np.random.default_rng(1)
    for path, array in net.params.items():
        net.params[path] = array + 0.1 * rng.standard_normal(array.shape)
    inputs = random_examples(
        net.ports, 6, rng, lambda rng, shape: rng.standard_normal(shape).astype(dtype)
    )
    return net, inputs


def wanted(net, inputs) -> np.ndarray:
    """The outputs of the NumPy interpreter."""
    leaves = {("input", name): array for name, array in inputs.items()}
    leaves.update({("param", path): array for path, array in net.params.items()})
    leaves.update({("state", path): array for path, array in net.states.items()})
    found = evaluate(net.graph(Kind.PREDICT), leaves, net.seed)
    (output,) = (value for name, value in found.items() if name.startswith("output."))
    return output


def prepared(net, rows: int, alone: bool) -> PreparedPrediction:
    program = net.compiled(Kind.PREDICT, 1)
    ports = [next(port for port in net.ports if port.name == name) for name in program.ports]
    names = {f"output.{term.name}": term.name for term in net.program.outputs}
    return PreparedPrediction(program, ports, names, rows, 1, net.seed, alone=alone)


@pytest.mark.parametrize(("name", "dtype"), in_turn([*NETWORKS], ["float64", "float32"]))
def test_each_way_agrees_with_the_interpreter(name, dtype):
    net, inputs = compiled(name, dtype, threads=2)
    expected = wanted(net, inputs)
    bound = {"float64": 1e-12, "float32": 2e-5}[dtype] * np.abs(expected).max()
    for rows in (1, FEW, 4, 5, 6):  # alone, or a batch of at most 5, or more
        found = net.forward(**{key: array[:rows] for key, array in inputs.items()})
        (found,) = found.values()
        assert np.abs(found - expected[:rows]).max() < bound
    for alone in (False, True):
        call = prepared(net, 2, alone)
        for rows in (slice(0, 2), slice(3, 5)):
            (found,) = call({key: array[rows] for key, array in inputs.items()}).values()
            assert np.abs(found - expected[rows]).max() < bound


SHARED = ["dense", "a channel by itself", "residual", "wide recurrent"]


@pytest.mark.parametrize(("name", "threads"), in_turn(SHARED, [2, 3, 5]))
def test_any_number_of_threads_agrees_with_the_interpreter(name, threads):
    net, inputs = compiled(name, "float32", threads)
    call, expected = prepared(net, 1, False), wanted(net, inputs)
    for row in range(3):
        (found,) = call({key: array[row : row + 1] for key, array in inputs.items()}).values()
        assert np.allclose(found, expected[row : row + 1], atol=1e-4)


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_tensor_parallelism_divides_the_work(threads):
    net, inputs = compiled("convolution", "float32", threads)
    plan = net.plan(Kind.PREDICT, 1)
    assert plan.sharing.same_examples and plan.shards == threads
    assert {step.group.kind for step in plan.steps if step.mode == "split"} == {
        "contract",
        "nest",
        "kernel",
    }
    (found,) = prepared(net, 1, False)({key: array[:1] for key, array in inputs.items()}).values()
    assert np.allclose(found, wanted(net, inputs)[:1], atol=1e-4)


def test_tensor_parallelism_divides_the_steps_of_wide_cells_alone():
    net, _ = compiled("wide recurrent", "float32", 2)
    loops = [step for step in net.plan(Kind.PREDICT, 1).steps if step.group.kind == "loop"]
    assert [step.mode for step in loops] == ["split"] * 3
    assert all({each.mode for each in step.steps} >= {"split"} for step in loops)
    net, _ = compiled("recurrent", "float32", 2)
    loops = [step for step in net.plan(Kind.PREDICT, 1).steps if step.group.kind == "loop"]
    assert [step.mode for step in loops] == ["single"] * 2


def test_what_needs_a_conversion_takes_the_long_way():
    net, _inputs = compiled("classes", "float32", 1)
    call = prepared(net, 1, False)
    assert call({"x": np.array([3])}) is not None
    assert call({"x": [3]}) is None
    assert call({"x": np.array([3.0])}) is None
    assert call({"x": np.array([3, 4])}) is None
    assert call({"x": np.array([11])}) is None
    assert call({}) is None
    assert np.array_equal(*(net.forward(x=x).popitem()[1] for x in ([3], np.array([3]))))
    with pytest.raises(ValueError, match="integers 0 to 10, but goes from 11 to 11"):
        net.forward(x=np.array([11]))


def test_changed_weights_count_at_once():
    net, inputs = compiled("convolution", "float32", 1)
    one = {"x": inputs["x"][:1]}
    before = net.forward(**one)
    for path, array in net.params.items():
        net.params[path] = array * 0.5
    assert not np.allclose(*(next(iter(each.values())) for each in (before, net.forward(**one))))
    assert np.allclose(next(iter(net.forward(**one).values())), wanted(net, inputs)[:1], atol=1e-4)


HANDLES = {
    "[]": lambda params: params["out.weight"],
    "get": lambda params: params.get("out.weight"),
    "values": lambda params: dict(zip(params, params.values(), strict=True))["out.weight"],
    "items": lambda params: dict(params.items())["out.weight"],
    "a list": lambda params: params.values()[list(params).index("out.weight")],
    "dict": lambda params: dict(params)["out.weight"],
    "**": lambda params: dict(**params)["out.weight"],
    "|": lambda params: (params | {"more": 1})["out.weight"],
    "copy": lambda params: params.copy()["out.weight"],
    "a view": lambda params: params["out.weight"].T[:, 3:],
}


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("handle", list(HANDLES))
def test_packed_weights_follow_what_is_written_into_them(handle, held):
    text = (
        "model one {\n  input x: float[40]\n  layer out = dense(70)\n  let y = x -> out\n"
        "  output y\n  loss mean(y * y)\n}\n"
        'train {\n  data npz("x.npz")\n  optimizer sgd(lr = 0.1)\n}\n'
    )
    net = specc.compile(specc.load(Source("one.dl", text)), batch=64, threads=2, shards=2, seed=1)
    x = np.random.default_rng(0).standard_normal((64, 40)).astype("float32")

    def found() -> np.ndarray:
        return next(iter(net.forward(x=x).values()))

    before = found()
    assert net.compiled(Kind.PREDICT, 64).link({"x": Column(x)}).packing is not None
    weight = HANDLES[handle](net.params)
    for _ in range(2):
        assert np.array_equal(found(), before)
    weight[...] *= 2
    if not held:
        del weight
    assert np.allclose(found(), x @ net.params["out.weight"].T + net.params["out.bias"], atol=1e-5)
    assert not np.allclose(found(), before)
    if held:
        weight[...] = 0.5
        assert np.allclose(
            found(), x @ net.params["out.weight"].T + net.params["out.bias"], atol=1e-5
        )
        del weight
    before, _ = found(), net.step(x=x)
    after = found()
    assert np.allclose(after, x @ net.params["out.weight"].T + net.params["out.bias"], atol=1e-5)
    assert not np.allclose(after, before)
    net.params.version  # noqa: B018  nobody holds an array any more
    assert net.params.version == net.params.version


class _Call:
    """Takes so many seconds by the clock that a test gives."""

    def __init__(self, clock, seconds: float):
        self.clock, self.seconds, self.calls = clock, seconds, 0

    def __call__(self, arrays):
        self.calls += 1
        self.clock.now += self.seconds
        return {}


class _Clock:
    now = 0.0

    def perf_counter(self) -> float:
        return self.now


def test_the_faster_way_is_taken_and_the_other_tried_again(monkeypatch):
    clock = _Clock()
    monkeypatch.setattr("specc.backend.run.fastest.time", clock)
    slow, fast = _Call(clock, 2.0), _Call(clock, 1.0)
    both = Fastest([slow, fast])

    def calls(number: int) -> tuple[int, int]:
        before = slow.calls, fast.calls
        for _ in range(number):
            both({})
        return slow.calls - before[0], fast.calls - before[1]

    tried, again, turn = Fastest.TRIED, Fastest.AGAIN, Fastest.TRIED + Fastest.RESTING
    assert calls(2 * tried) == (tried, tried)
    for wait in (again, 2 * again, 4 * again):  # the slow one is tried ever more seldom
        turns = -(-(wait - tried) // turn)
        assert calls(turns * turn + tried) == (tried, turns * turn)
    fast.seconds = 3.0  # the machine is another now: that shows at the end of a turn
    found = calls(again)
    assert found[0] >= again - tried - turn
    slow.seconds, fast.seconds = 2.0, 1.0
    calls(2 * again)
    assert calls(again)[1] >= again - tried


def test_the_clock_is_read_in_a_part_of_the_calls_alone(monkeypatch):
    clock = _Clock()
    monkeypatch.setattr("specc.backend.run.fastest.time", clock)
    both = Fastest([_Call(clock, 2.0), _Call(clock, 1.0)])
    read = []
    clock.perf_counter = lambda: read.append(None) or clock.now
    for _ in range(10 * Fastest.AGAIN):
        both({})
    assert len(read) < 10 * Fastest.AGAIN


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("rows", [4, 37, 64, 65, 130])
def test_wide_outputs_are_turned_back(rows, dtype):
    text = "model one {\n  input x: float[5]\n  output tanh(x -> dense(41))\n}\n"
    net = specc.compile(
        specc.load(Source("one.dl", text)), batch=64, dtype=dtype, threads=2, shards=2, seed=1
    )
    x = np.random.default_rng(rows).standard_normal((rows, 5)).astype(dtype)
    (found,) = net.forward(x=x).values()
    bound = {"float64": 1e-12, "float32": 2e-6}[dtype]
    assert np.abs(found - wanted(net, {"x": x})).max() < bound


def test_a_sum_of_rows_of_a_table_keeps_no_rows():
    text = (
        "model one {\n  input x: class(50)[9]\n  param table: float[50, 37] = normal\n"
        "  output mean(table[x]; axis=0)\n}\n"
    )
    net = specc.compile(specc.load(Source("one.dl", text)), batch=40, threads=2, shards=2, seed=1)
    assert net.plan(Kind.PREDICT).arena_bytes < 9 * 37 * 20 * 4
    x = np.random.default_rng(0).integers(0, 50, (41, 9))
    for rows in (1, 40, 41):
        (found,) = net.forward(x=x[:rows]).values()
        assert np.abs(found - wanted(net, {"x": x[:rows]})).max() < 1e-6


def test_results_that_somebody_holds_are_not_written_again():
    text = "model one {\n  input x: float[40]\n  let y = x -> dense(300) -> tanh\n  output y\n}\n"
    net = specc.compile(specc.load(Source("one.dl", text)), batch=64, threads=1, seed=1)
    rng = np.random.default_rng(0)
    given = [rng.standard_normal((64, 40)).astype("float32") for _ in range(8)]
    results = [net.forward(x=x)["y"] for x in given]  # large enough to be written in place
    part = net.forward(x=given[0])["y"][3:, 5]  # its memory is held by the part alone
    kept = [each.copy() for each in results]
    for _ in range(3):
        for x in given:
            net.forward(x=x)
    assert all(np.array_equal(a, b) for a, b in zip(results, kept, strict=True))
    assert np.array_equal(part, kept[0][3:, 5])
    place = net.forward(x=given[1])["y"].ctypes.data
    assert place in {net.forward(x=x)["y"].ctypes.data for x in given}


def test_a_class_that_is_none_is_refused_among_many():
    net, _ = compiled("classes", "float32", 2)
    good = np.array([0, 10, 3, 4])
    for dtype in ("int64", "int32", "uint8"):
        (found,), (expected,) = (
            net.forward(x=x).values() for x in (good.astype(dtype), list(good))
        )
        assert np.array_equal(found, expected)
    for wrong in (-1, 11, 1 << 32):
        with pytest.raises(ValueError, match="integers 0 to 10"):
            net.forward(x=np.array([0, wrong, 3, 4]))
    assert next(iter(net.forward(x=good).values())).shape == (4, 2)
