"""The flow of gradients.

Its figures against backpropagation written out in NumPy, and what it says.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import specc
from specc import driver, pipeline
from specc.backend.reference import evaluate
from specc.flow.measure import _forward
from specc.flow.recurrence import Recurrence
from specc.flow.verdict import judgement, number
from specc.ops.carry import loops
from specc.source import Source

ROOT = Path(__file__).resolve().parents[1]
CELLS = (ROOT / "examples" / "flow" / "cells.dl").read_text()

RECURRENT = """
seq time = 7
model m {{
  input  x: float[time, 3]
  target y: float[{target}]
  let hs = x -> {cell}
  let out = hs -> {read}
  output out
  loss mse(out, y)
}}
train {{ optimizer sgd(lr=1) }}
"""


OTHERS = """
cell change(x: float[n]) {
  state before: float[n] = 0
  let d = x - before
  next before = x
  return d
}
cell held(x: float[n]) {
  state h: float[n] = 0
  let h2 = tanh(stop_gradient(h) + x)
  next h = h2
  return h2
}
"""


def network(text: str, **overrides):
    return driver.load(Source("m.dl", text), overrides)


def recurrent(cell: str, target: str = "2", read: str = "last -> dense(2)", **overrides):
    return network(
        CELLS + OTHERS + RECURRENT.format(cell=cell, target=target, read=read), **overrides
    )


def batch(program, examples: int = 5, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        port.name: random.integers(port.classes, size=(examples, *port.shape))
        if port.kind == "class"
        else random.standard_normal((examples, *port.shape))
        for port in program.ports
    }


def rms(array) -> float:
    return float(np.sqrt(np.mean(np.square(array))))


def leaves_of(net, data) -> dict:
    examples = len(next(iter(data.values())))
    return {
        **{(port.role, port.name): data[port.name] for port in net.ports},
        **{("param", path): array for path, array in net.params.items()},
        ("weight_of_example", ""): np.full(examples, 1 / examples),
    }


# Backpropagation through time in NumPy


def tanh_rnn(params, x, d_out_of_h):
    """The states before each step of a tanh rnn, and the gradients for them.

    `d_out_of_h(h)` gives the gradient of each example's loss for the state after each step alone.
    """
    U, W, b = (
        params[f"tanh_rnn1.{name}"].astype(float) for name in ("U", "dense1.weight", "dense1.bias")
    )
    n, steps, _ = x.shape
    h = np.zeros((n, steps + 1, len(U)))
    for t in range(steps):
        h[:, t + 1] = np.tanh(h[:, t] @ U.T + x[:, t] @ W.T + b)
    direct = d_out_of_h(h[:, 1:])
    before = np.zeros_like(h[:, 1:])
    d = np.zeros((n, len(U)))
    for t in reversed(range(steps)):
        d = ((d + direct[:, t]) * (1 - h[:, t + 1] ** 2)) @ U
        before[:, t] = d
    carried = np.zeros_like(before)
    carried[:, -1] = d = before[:, -1]
    for t in reversed(range(steps - 1)):
        carried[:, t] = d = (d * (1 - h[:, t + 1] ** 2)) @ U
    return before, carried


@pytest.mark.parametrize("read", ["last", "every step"])
def test_the_gradient_at_each_step_is_that_of_backpropagation_through_time(read):
    if read == "last":
        program = recurrent("tanh_rnn(4, gain=0.7)")
    else:
        program = recurrent("tanh_rnn(4, gain=0.7)", "time, 2", "dense(2)")
    net, data = driver.compile(program, dtype="float64"), batch(program)
    V, c = net.params["dense1.weight"], net.params["dense1.bias"]

    def direct(h):
        found = np.zeros_like(h)
        steps = [h.shape[1] - 1] if read == "last" else range(h.shape[1])
        for t in steps:
            target = data["y"] if read == "last" else data["y"][:, t]
            found[:, t] = 2 / target[0].size * (h[:, t] @ V.T + c - target) @ V / len(steps)
        return found

    before, carried = tanh_rnn(net.params, data["x"], direct)
    (cell,) = net.flow(**data).cells
    assert (cell.path, cell.states, cell.steps, cell.start) == ("tanh_rnn1", ("h",), 7, 7)
    np.testing.assert_allclose(cell.total, [rms(before[:, t]) for t in range(7)], rtol=1e-10)
    np.testing.assert_allclose(cell.carried, [rms(carried[:, t]) for t in range(7)], rtol=1e-10)
    if read == "last":
        assert cell.total == pytest.approx(cell.carried, rel=1e-10)
    else:
        assert cell.total[0] > 1.5 * cell.carried[0]
    assert cell.ratio == pytest.approx(cell.carried[0] / cell.carried[-1])


def test_layers_are_those_of_backpropagation_by_hand():
    program = network("""
    model m {
      input  x: float[6]
      target y: float[2]
      let out = x -> dense(5) -> sigmoid -> dense(4, bias_init=constant(-0.5)) -> relu -> dense(2)
      output out
      loss mse(out, y)
    }
    train { optimizer sgd(lr=1) }""")
    net, data = driver.compile(program, dtype="float64"), batch(program, 3)
    net.params["dense1.weight"] *= 4
    W = {path: array.astype(float) for path, array in net.params.items()}
    a = data["x"] @ W["dense1.weight"].T + W["dense1.bias"]
    s = 1 / (1 + np.exp(-a))
    b = s @ W["dense2.weight"].T + W["dense2.bias"]
    r = np.maximum(b, 0)
    out = r @ W["dense3.weight"].T + W["dense3.bias"]
    d_out = out - data["y"]
    d_r = d_out @ W["dense3.weight"]
    d_b = d_r * (b > 0)
    d_s = d_b @ W["dense2.weight"]
    d_a = d_s * s * (1 - s)
    flow = net.flow(**data)
    assert [each.path for each in flow.layers] == [
        "dense1",
        "sigmoid1",
        "dense2",
        "relu1",
        "dense3",
    ]
    expected = [(a, d_a), (s, d_s), (b, d_b), (r, d_r), (out, d_out)]
    for layer, (value, d) in zip(flow.layers, expected, strict=True):
        assert layer.activation == pytest.approx(rms(value), rel=1e-12)
        assert layer.gradient == pytest.approx(rms(d), rel=1e-12)
        assert layer.relative == pytest.approx(np.linalg.norm(d) / np.linalg.norm(d_out), rel=1e-12)
    dense1, sigmoid1, dense2, relu1, dense3 = flow.layers
    dW, db = d_a.T @ data["x"] / 3, d_a.mean(axis=0)
    assert dense1.weights_gradient == pytest.approx(
        np.sqrt((dW**2).sum() + (db**2).sum()), rel=1e-12
    )
    assert dense1.weights == pytest.approx(np.linalg.norm(W["dense1.weight"]), rel=1e-12)
    assert relu1.weights is None and dense2.saturated is None and dense3.dead is None
    assert sigmoid1.saturated == np.mean((s < 0.05) | (s > 0.95)) > 0
    assert relu1.dead == np.mean((r == 0).all(axis=0)) > 0
    _, gradients = net.loss_and_gradients(**data)
    assert flow.norm == pytest.approx(
        np.sqrt(sum((g**2).sum() for g in gradients.values())), rel=1e-10
    )
    assert flow.clipped_norm is None


def test_a_block_stands_for_the_layer_that_ends_it():
    program = network("""
    block stage(x: float[n]) { return x -> dense(n) -> relu }
    model m {
      input  x: float[4]
      target y: float[4]
      let out = x -> 2 * (stage)
      output out
      loss mse(out, y)
    }""")
    flow = driver.compile(program).flow(**batch(program))
    assert [each.path for each in flow.layers] == [
        "stage1.dense1",
        "stage1",
        "stage2.dense1",
        "stage2",
    ]
    assert all(each.dead is not None for each in flow.layers[1::2])


def test_a_map_is_dead_where_it_is_0_at_every_place():
    program = network("""
    model m {
      input  x: float[1, 4, 4]
      target y: float[3]
      let out = x -> conv(3, kernel=3, bias_init=constant(-9)) -> relu -> global_avgpool
      output out
      loss mse(out, y)
    }""")
    net = driver.compile(program)
    data = batch(program)
    assert net.flow(**data).layers[1].dead == 1
    net.params["conv1.bias"][1:] = 9
    flow = net.flow(**data)
    assert flow.layers[1].dead == pytest.approx(1 / 3)
    net.params["conv1.bias"][:] = -9
    said = net.flow(**data).verdict
    assert "relu1: 100% of its units are 0 for every example (dead), so they learn nothing" in said
    assert (
        "layers: the gradient at the first, conv1, is 0 times the gradient at the last,"
        " global_avgpool1: it vanishes" in said
    )


# The recurrent matrix


def test_the_spectral_radius_is_that_of_the_matrix():
    program = recurrent("tanh_rnn(6, gain=0.7)")
    (cell,) = driver.compile(program, dtype="float64").flow(**batch(program)).cells
    (matrix,) = cell.matrices
    assert (matrix.name, matrix.radius) == ("tanh_rnn1.U", pytest.approx(0.7))
    assert 0.1 < cell.jacobian < 0.7  # the slope of tanh is below 1


def test_the_blocks_of_gates_have_the_names_that_the_cell_gives_them():
    program = recurrent("gated(4)")
    net = driver.compile(program, dtype="float64")
    (cell,) = net.flow(**batch(program)).cells
    assert cell.states == ("h", "c")
    weight = net.params["gated1.dense1.weight"]
    assert [each.name for each in cell.matrices] == [
        f"gated1.dense1.weight, {gate}" for gate in "ifog"
    ]
    for k, each in enumerate(cell.matrices):
        block = weight[4 * k : 4 * k + 4, 3:]
        assert each.radius == pytest.approx(np.abs(np.linalg.eigvals(block)).max())


def test_the_matrix_of_a_stacked_cell_is_a_part_of_a_joined_one():
    program = recurrent("gated(5) -> gated(4)")
    net = driver.compile(program, dtype="float64")
    _, cell = net.flow(**batch(program)).cells
    blocks = np.split(net.params["gated2.dense1.weight"][:, 5:], 4)
    assert [each.radius for each in cell.matrices] == pytest.approx(
        [np.abs(np.linalg.eigvals(each)).max() for each in blocks]
    )


def test_what_only_remembers_is_no_recurrence():
    program = recurrent("change -> held")
    flow = driver.compile(program).flow(**batch(program))
    assert [each.path for each in flow.cells] == ["held1"]
    assert "held1: no gradient reaches its states" in flow.verdict


def test_the_jacobian_of_a_step_is_that_of_finite_differences():
    program = recurrent("gated(3)")
    net, data = driver.compile(program, dtype="float64"), batch(program)
    graph = _forward(program, 5)
    (loop,) = loops(graph)
    recurrence = Recurrence(loop)
    needed = {
        **{str(k): node for k, node in enumerate(recurrence.needed)},
        **{f"before.{each.op.label}": each for each in recurrence.carries},
    }
    from specc.ops.carry import closed, following

    values = evaluate(closed(needed, following(graph)), leaves_of(net, data), step_by_step=True)
    before = {each: values[f"before.{each.op.label}"] for each in recurrence.carries}
    found = recurrence.jacobian({node: values[str(k)] for k, node in enumerate(recurrence.needed)},
                                before, 2, 4)  # fmt: skip

    def step(state):
        h, c = state[:3], state[3:]
        z = net.params["gated1.dense1.weight"] @ np.concatenate([data["x"][2, 4], h])
        i, f, o, g = np.split(z + net.params["gated1.dense1.bias"], 4)

        def sigmoid(a):
            return 1 / (1 + np.exp(-a))

        c2 = sigmoid(f + 2) * c + sigmoid(i) * np.tanh(g)
        return np.concatenate([sigmoid(o) * np.tanh(c2), c2])

    at = np.concatenate([before[each][2, 4] for each in recurrence.carries])
    assert [each.op.label for each in recurrence.carries] == ["gated1.h", "gated1.c"]
    differences = np.stack(
        [(step(at + 1e-5 * unit) - step(at - 1e-5 * unit)) / 2e-5 for unit in np.eye(6)], 1
    )
    np.testing.assert_allclose(found, differences, atol=1e-9)


def test_stacked_and_reversed_cells_are_told_apart():
    program = recurrent("tanh_rnn(4) -> reverse -> gated(3)")
    flow = driver.compile(program, dtype="float64").flow(**batch(program))
    assert [each.path for each in flow.cells] == ["tanh_rnn1", "gated1"]
    assert all(len(each.carried) == each.steps == 7 for each in flow.cells)


def test_a_loss_that_reads_an_early_step_starts_there():
    program = recurrent("tanh_rnn(4)", read="first -> dense(2)")
    (cell,) = driver.compile(program).flow(**batch(program)).cells
    assert cell.start == 1 and cell.total[0] > 0 and not any(cell.total[1:])
    program = recurrent("tanh_rnn(4)", read="last -> stop_gradient -> dense(2)")
    flow = driver.compile(program).flow(**batch(program))
    assert "tanh_rnn1: no gradient reaches its states" in flow.verdict


# The interpreter


@pytest.mark.parametrize("cell", ["tanh_rnn(4)", "gated(3)", "relu_rnn(4) -> reverse -> gated(3)"])
def test_a_loop_run_step_by_step_is_its_fixed_point(cell):
    program = recurrent(cell, "time, 2", "dense(2)")
    net, data = driver.compile(program, dtype="float64"), batch(program)
    graph = pipeline.with_gradients(program)
    whole = evaluate(graph, leaves_of(net, data))
    steps = evaluate(graph, leaves_of(net, data), step_by_step=True)
    for name, value in whole.items():
        np.testing.assert_allclose(steps[name], value, rtol=1e-12, atol=1e-15, err_msg=name)


# The story


def recall(examples: int = 16):
    """The data of examples/flow: a sign, then noise."""
    random = np.random.default_rng(1)
    first = random.integers(4, size=examples)
    signs = 0.1 * random.standard_normal((examples, 100, 4))
    signs[:, 0] += np.eye(4)[first]
    return {"signs": signs, "first": first}


def flow_of(file: str, **overrides):
    net = driver.compile(driver.load(ROOT / "examples" / "flow" / file, overrides))
    return net.flow(**recall())


@pytest.mark.parametrize("file, overrides, low, high, word", [
    ("tanh.dl", {}, 0, 1e-7, "vanishes"),
    ("tanh.dl", {"gain": 3}, 1e6, np.inf, "explodes"),
    ("relu.dl", {"gain": 0.8}, 0, 1e-7, "vanishes"),
    ("relu.dl", {"gain": 1.3}, 1e8, np.inf, "explodes"),
    ("relu.dl", {}, 0.1, 10, "keeps its size"),
    ("gated.dl", {}, 0.1, 10, "keeps its size"),
    ("gated.dl", {"forget": 0}, 0, 1e-7, "vanishes"),
], ids=str)  # fmt: skip
def test_the_textbook_story(file, overrides, low, high, word):
    flow = flow_of(file, **overrides)
    (cell,) = flow.cells
    assert low <= cell.ratio < high
    assert f"it {word}" in flow.verdict[0]


def test_the_decay_is_the_factor_of_a_step():
    (cell,) = flow_of("relu.dl", gain=1.3).cells
    assert cell.decay == pytest.approx(1.3, rel=0.01)
    assert cell.jacobian == pytest.approx(1.3, rel=0.01)


def test_a_gradient_of_1e_minus_200_is_still_a_number():
    (cell,) = flow_of("tanh.dl", gain=0.01).cells
    assert 1e-210 < cell.ratio < 1e-190


def test_clipping_bounds_the_update():
    program = driver.load(ROOT / "examples" / "flow" / "relu.dl", {"gain": 1.3})
    net = driver.compile(program, dtype="float64")
    flow = net.flow(**recall())
    assert flow.norm > 1e6 and flow.clipped_norm == 1
    assert "; `clip_norm` bounds the update" in flow.verdict[0]
    assert flow.verdict[-1].endswith("clipping (clip_norm = 1) scales it to 1")
    before = {path: array.copy() for path, array in net.params.items()}
    net.step(**recall())
    moved = np.sqrt(sum(((net.params[path] - before[path]) ** 2).sum() for path in before))
    assert moved == pytest.approx(0.002)  # the learning rate times the bound


def test_clipping_leaves_a_small_gradient_as_it_is():
    flow = flow_of("tanh.dl")
    assert flow.clipped_norm == flow.norm < 1
    assert flow.verdict[-1].endswith("which clipping (clip_norm = 1) does not change")


@pytest.mark.parametrize(
    "file, word",
    [
        ("sigmoid.dl", "vanishes"),
        ("rectified.dl", "keeps its size"),
        ("shortcut.dl", "keeps its size"),
    ],
)
def test_depth_does_to_gradients_what_time_does(file, word):
    program = driver.load(ROOT / "examples" / "flow" / file)
    random = np.random.default_rng(0)
    flow = driver.compile(program).flow(
        image=random.uniform(size=(16, 64)), label=random.integers(10, size=16)
    )
    assert flow.verdict[0].startswith("layers: the gradient at the first, dense1, is ")
    assert flow.verdict[0].endswith(f"it {word}")


# What it comes to


def test_a_record_holds_all_and_is_json():
    record = json.loads(json.dumps(flow_of("gated.dl").to_record(), allow_nan=False))
    assert record["verdict"][0].startswith("gated1: the gradient at step 1 is ")
    (cell,) = record["cells"]
    assert len(cell["carried"]) == cell["steps"] == 100
    assert {each["path"] for each in record["layers"]} >= {"gated1", "last1", "dense1"}


@pytest.mark.parametrize(
    "ratio, word",
    [
        (0, "vanishes"),
        (3e-9, "vanishes"),
        (0.02, "fades"),
        (0.5, "keeps its size"),
        (3, "keeps its size"),
        (50, "grows"),
        (1e4, "explodes"),
        (float("inf"), "explodes"),
        (float("nan"), "explodes"),
    ],
)
def test_the_word_for_what_comes_back(ratio, word):
    assert judgement(ratio) == word


@pytest.mark.parametrize(
    "value, text",
    [
        (0.0, "0"),
        (0.8214, "0.821"),
        (3e-9, "3.0e-09"),
        (999.7, "1.0e+03"),
        (1234.0, "1.2e+03"),
        (14.0, "14"),
        (123456.0, "1.2e+05"),
    ],
)
def test_figures_are_short(value, text):
    assert number(value) == text


def test_a_model_without_a_loss_has_no_flow():
    program = network("model m { input x: float[3] output y = x -> dense(2) }")
    with pytest.raises(ValueError, match="m has no `loss`"):
        specc.compile(program).flow(x=np.zeros((2, 3)))
