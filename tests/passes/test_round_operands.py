"""`precision = bfloat16`: operands of products are rounded, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pairs import in_turn

import specc
from specc import driver, pipeline
from specc.backend.machine import this_machine
from specc.backend.machine.profile import Profile
from specc.backend.reference import evaluate
from specc.ir.kind import Kind
from specc.ir.op import Form
from specc.ops.contract import Contract
from specc.ops.rounding import Bfloat16
from specc.ops.views import root_of
from specc.pipeline import Batch, Job, run
from specc.source import Source

TRAIN = "train { optimizer adam(lr = 0.01) precision = bfloat16 }"
END = "output z loss mse(z, y)"
NETS = {
    "dense": f"model m {{ input x: float[7] target y: float[3] let z = x -> dense(9) -> tanh"
    f" -> dense(3) {END} }}",
    "convolutions": "model m { input x: float[3, 9, 7] target y: float[2] let z = x"
    " -> conv(5, kernel=3, pad=1) -> relu -> conv(4, kernel=3, stride=2) -> relu -> flatten"
    f" -> dense(2) {END} }}",
    "lstm": "seq time = 4 model m { input x: float[time, 3] target y: float[2]"
    f" let hs, h, c = x -> lstm(5) let z = h -> dense(2) {END} }}",
    "gru": "seq time = 3 model m { input x: float[time, 3] target y: float[2]"
    f" let hs, h = x -> gru(4) let z = h -> dense(2) {END} }}",
    "wide": f"model m {{ input x: float[65] target y: float[48] let z = x -> dense(97) -> relu"
    f" -> dense(48) {END} }}",
    "wide convolutions": "model m { input x: float[17, 9, 7] target y: float[24] let z = x"
    " -> conv(33, kernel=3, pad=1) -> relu -> conv(24, kernel=3, stride=2) -> global_avgpool"
    f" {END} }}",
    "wide lstm": "seq time = 3 model m { input x: float[time, 20] target y: float[9]"
    f" let hs, h, c = x -> lstm(33) let z = h -> dense(9) {END} }}",
    "shared": "model m { input x: float[6] target y: float[6] param w: float[6, 6] = xavier"
    f" let z = transpose(w) @ (w @ x) {END} }}",
}


def load(name: str, precision: str = "bfloat16"):
    return driver.load(Source("x.dl", f"{NETS[name]} {TRAIN}"), {"precision": precision})


def rounded(array: np.ndarray) -> np.ndarray:
    return Bfloat16().reference((), array.astype(np.float32))


def data_of(program, rows: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {port.name: rng.standard_normal((rows, *port.shape)) for port in program.ports}


def interpreted(net, program, data: dict[str, np.ndarray], rows: int) -> dict[str, np.ndarray]:
    """The loss, outputs and gradients by the interpreter."""
    leaves = {(port.role, port.name): data[port.name] for port in program.ports}
    leaves |= net.weights.leaves() | {("weight_of_example", ""): np.full(rows, 1 / rows)}
    return evaluate(pipeline.with_gradients(program), leaves)


@pytest.mark.parametrize("kind", [Kind.TRAIN, Kind.EVALUATE, Kind.PREDICT])
@pytest.mark.parametrize("name", NETS)
def test_every_product_reads_rounded_values(name, kind):
    graph = run(Job(load(name), kind), through="simplify").graph
    products = [node for node in graph.nodes if node.op.form is Form.CONTRACTION]
    assert products
    for node in products:
        assert all(isinstance(root_of(each).op, Bfloat16) for each in node.inputs)


@pytest.mark.parametrize("name", NETS)
def test_a_value_is_rounded_once_for_all_products_that_read_it(name):
    graph = run(Job(load(name), Kind.TRAIN), through="simplify").graph
    rounded = [node.inputs[0] for node in graph.nodes if isinstance(node.op, Bfloat16)]
    assert len(rounded) == len(set(rounded))
    assert not any(isinstance(each.op, Bfloat16) for each in rounded)


def test_in_float32_nothing_is_rounded():
    graph = run(Job(load("dense", "float32"), Kind.TRAIN), through="simplify").graph
    assert not any(isinstance(node.op, Bfloat16) for node in graph.nodes)


def test_the_update_of_a_weight_is_not_rounded():
    text = (
        "optimizer turned(w, g; lr) { next w = w - lr * (g @ transpose(g) @ g) }"
        " model m { input x: float[3] target y: float[3] param w: float[3, 3] = xavier"
        " let z = w @ x output z loss mse(z, y) }"
        " train { optimizer turned(lr = 0.1) precision = bfloat16 }"
    )
    graph = run(Job(driver.load(Source("x.dl", text)), Kind.TRAIN), through="simplify").graph
    products = [node for node in graph.nodes if isinstance(node.op, Contract)]
    rounded = [
        node for node in products if any(isinstance(root_of(i).op, Bfloat16) for i in node.inputs)
    ]
    assert len(products) == 4  # z, its gradient by w, and two of the update
    assert len(rounded) == 2


@pytest.mark.parametrize(("name", "rows"), in_turn(NETS, [1, 3, 19]))
def test_outputs_loss_and_gradients_are_those_of_the_interpreter(name, rows):
    # in float64 the two differ by so little that no operand is rounded to another side
    program = load(name)
    net = specc.compile(program, batch=8, dtype="float64", threads=1 + rows % 2)
    data = data_of(program, rows)
    wanted = interpreted(net, program, data, rows)
    loss, gradients = net.loss_and_gradients(**data)
    np.testing.assert_allclose(loss, wanted["loss"], rtol=1e-11)
    for path, gradient in gradients.items():
        np.testing.assert_allclose(gradient, wanted[f"gradient.{path}"], rtol=1e-9, atol=1e-11)
    given = {port.name: data[port.name] for port in program.ports if port.role == "input"}
    np.testing.assert_allclose(
        net.forward(**given)["z"], wanted["output.z"], rtol=1e-10, atol=1e-11
    )


@pytest.mark.parametrize(("name", "rows"), in_turn(NETS, [64, 1, 2, 3, 19]))
def test_float32_with_rounded_operands_is_as_near_to_the_interpreter_as_float32(name, rows):
    program = load(name)
    net = specc.compile(program, batch=8 if rows < 8 else 64, threads=1 + rows % 2)
    data = {key: rounded(each) for key, each in data_of(program, rows).items()}
    for path in list(net.params):
        net.params[path] = rounded(net.params[path])
    wanted = interpreted(net, program, data, rows)
    loss, gradients = net.loss_and_gradients(**data)
    # an operand next to the middle of two numbers may be rounded to the other one: 2^-8 of it
    np.testing.assert_allclose(loss, wanted["loss"], rtol=1e-3)
    for path, gradient in gradients.items():
        exact = wanted[f"gradient.{path}"]
        error = np.abs(gradient - exact)
        assert np.median(error) < 5e-6 * np.abs(exact).max()
        assert error.max() < 0.02 * np.abs(exact).max()
    given = {port.name: data[port.name] for port in program.ports if port.role == "input"}
    found, exact = net.forward(**given)["z"], wanted["output.z"]
    assert np.median(np.abs(found - exact)) < 2e-6 * np.abs(exact).max()
    np.testing.assert_allclose(found, exact, rtol=0.02, atol=0.01 * np.abs(exact).max())


def test_a_machine_that_multiplies_bfloat16_rounds_within_its_products():
    job = Job(load("lstm"), Kind.TRAIN)
    batch = Batch(16, 16, 4, 1, bfloat16=True)
    graph = run(job, through="into_products", batch=batch).graph
    products = [node for node in graph.nodes if isinstance(node.op, Contract)]
    assert all(node.op.rounded for node in products)
    assert not any(isinstance(node.op, Bfloat16) for node in graph.nodes)
    plain = run(job, through="into_products", batch=batch._replace(bfloat16=False)).graph
    assert not any(node.op.rounded for node in plain.nodes if isinstance(node.op, Contract))


@pytest.mark.skipif(
    not this_machine().multiplies_bfloat16, reason="this machine does not multiply bfloat16"
)
def test_pairs_are_planned_if_the_profile_says_that_they_are_faster(tmp_path, monkeypatch):
    profiles = Path(__file__).parent.parent / "backend" / "profiles"
    zen4 = Profile.read(profiles / "zen4.json")  # a product of either in a cycle
    assert zen4.slowness_of_pairs == 1
    desktop = Profile.read(profiles / "avx2_desktop.json")  # without the instruction
    half = replace(zen4, bfloat16_products=zen4.products(512) / 2)  # the same work in a cycle
    planned = []
    for profile in (zen4, half, desktop):
        profile.write(path := tmp_path / f"{len(planned)}.json")
        monkeypatch.setenv("SPECC_MACHINE", str(path))
        planned.append(Batch.on_this_machine(64).bfloat16)
    assert planned == [True, False, False]
    assert not Batch.on_this_machine(64, "float64").bfloat16


@pytest.mark.skipif(
    not this_machine().multiplies_bfloat16, reason="this machine does not multiply bfloat16"
)
@pytest.mark.parametrize("kind", [Kind.TRAIN, Kind.PREDICT])
@pytest.mark.parametrize("name", ["wide", "wide convolutions", "wide lstm"])
def test_large_products_are_computed_by_pairs(name, kind):
    net = specc.compile(load(name), batch=64, threads=1)
    kernels = [call.kernel.name for call in net.compiled(kind).calls()]
    assert sum(each.endswith("_bfloat16") and "transpose" not in each for each in kernels) >= 2


@pytest.mark.parametrize("name", NETS)
def test_the_precision_of_a_net_matters_and_can_be_given_when_compiling(name):
    exact = specc.compile(load(name, "float32"), batch=8, threads=1)
    given = specc.compile(load(name, "float32"), batch=8, threads=1, precision="bfloat16")
    said = specc.compile(load(name), batch=8, threads=1)
    data = data_of(load(name), 5)
    losses = [net.loss_and_gradients(**data)[0] for net in (exact, given, said)]
    assert losses[1] == losses[2] != losses[0]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
    with pytest.raises(ValueError, match="precision must be one of float32, bfloat16"):
        specc.compile(load(name), precision="float16")


def test_gradients_by_an_input_are_those_without_rounding_up_to_rounding():
    x = np.random.default_rng(0).standard_normal((3, 7))
    found = {}
    for precision in ("float32", "bfloat16"):
        net = specc.compile(load("dense", precision), batch=8, threads=1, seed=3)
        found[precision] = net.gradients(of="z[1]", by="x", x=x)
    exact, rounded = (np.asarray(each) for each in found.values())
    assert (exact != rounded).any()
    np.testing.assert_allclose(rounded, exact, rtol=0.05, atol=0.02 * np.abs(exact).max())


def test_a_decoder_writes_by_rounded_products():
    text = (
        "seq steps = 4 model m { input x: float[3] target word: class(5)[steps]"
        " let hs, h = previous(word) -> embed(3) -> gru(h=x -> dense(6); 6)"
        " let scores = hs -> dense(5) output scores loss cross_entropy(scores, word) }"
        " train { optimizer sgd(lr = 0.1) precision = bfloat16 }"
    )
    program = driver.load(Source("x.dl", text))
    net = specc.compile(program, batch=8, dtype="float64", threads=1)
    x = np.random.default_rng(0).standard_normal((3, 3))
    for path in list(net.params):
        net.params[path] = np.random.default_rng(1).standard_normal(net.params[path].shape)
    written = net.write({"x": specc.recipe.Column(x)})["word"]
    scores = net.forward(x=x, word=written)["scores"]
    np.testing.assert_array_equal(written, scores.argmax(-1))
