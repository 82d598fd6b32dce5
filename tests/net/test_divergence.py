"""The first operation that is not finite is found, and nothing else is blamed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import specc
from specc.recipe import Column
from specc.source import Source

ROWS = 12


def program(text: str):
    from specc import driver

    return driver.load(Source("m.dl", text))


def found(text: str, dtype: str = "float32", params=None, training=True, **arrays):
    """What `diagnose` says of one step; `x` is [12, 4] standard normal if it is not given."""
    checked = program(text)
    net = specc.compile(checked, batch=ROWS, dtype=dtype, threads=1, seed=0)
    net.set_params(params or {})
    generator = np.random.default_rng(0)
    columns = {}
    for port in checked.ports:
        value = arrays.get(port.name)
        if value is None and port.kind == "class":
            value = generator.integers(0, port.classes, (ROWS, *port.shape))
        elif value is None:
            value = generator.standard_normal((ROWS, *port.shape))
        columns[port.name] = Column(np.asarray(value))
    return net.diagnose(columns, np.arange(ROWS), 0, training=training)


TRAIN = "\ntrain { optimizer sgd(lr = 0.1) }"


def test_the_operation_its_operand_and_the_examples_are_named():
    x = np.ones((ROWS, 2))
    x[[4, 7], 1] = -0.5
    cause = found(
        "model m { input x: float[2] param w: float[2] = ones\n"
        "  let a = x * w\n  loss sum(log(a)) }" + TRAIN,
        x=x,
    )
    assert cause.span.text == "log(a)" and cause.span.line == 3
    assert cause.what == "nan here"
    assert cause.notes == ("`a` is -0.5", "examples 5, 8 of the batch", "records 5, 8 of the data")


def test_an_overflow_of_float32_is_none_of_float64():
    text = (
        "model m { input x: float[2] param w: float[2] = ones\n"
        "  loss log(sum(exp(x * w))) }" + TRAIN
    )
    x = np.full((ROWS, 2), 100.0)
    cause = found(text, x=x)
    assert cause.span.text == "exp(x * w)" and cause.what == "inf here"
    assert "this holds for every example of the batch" in cause.notes
    assert found(text, dtype="float64", x=x) is None


def test_a_gradient_of_a_root_at_0_is_found_though_the_loss_is_finite():
    cause = found(
        "model m { input x: float[2] param w: float[2] = zeros\n"
        "  loss sum(sqrt(x * x * w)) }" + TRAIN,
        x=np.ones((ROWS, 2)),
    )
    assert cause.span.text == "sqrt(x * x * w)" and cause.what == "the gradient is inf here"


def test_an_update_is_found_though_the_gradient_is_finite():
    text = (
        "optimizer bad(w, g; lr) { next w = w - lr * g / 0 }\n"
        "model m { input x: float[2] param w: float[2] = ones loss sum(x * w) }\n"
        "train { optimizer bad(lr = 0.1) }"
    )
    cause = found(text)
    assert "/ 0" in cause.span.text and cause.what.startswith("the updated weight is")


def test_a_branch_that_is_not_taken_is_not_blamed():
    guarded = "let a = sum(if x > 0 then log(x) else 0 * x)\n"
    cause = found(
        "model m { input x: float[4] param w: float[4] = ones\n  "
        + guarded
        + "  let b = 1 / sum(x * w * 0)\n  loss a * 0 + b }"
        + TRAIN
    )
    assert cause.span.text == "1 / sum(x * w * 0)"


def test_a_mask_of_minus_infinity_is_not_blamed_but_a_nan_that_follows_from_it_is():
    from specc.ir.graph import Graph
    from specc.ir.types import Type
    from specc.net.divergence import locate
    from specc.ops import elementwise as ops
    from specc.ops.broadcast import broadcast_scalar, sum_batch
    from specc.ops.leaf import Const, Input, Role, constant, leaf
    from specc.ops.reduce import Max

    x = leaf(Input(Role.INPUT, "x", Type("float", (3,), True)))
    weight = leaf(Input(Role.WEIGHT_OF_EXAMPLE, "", Type("float", (), True)))
    masked = ops.select(ops.less(x, 0.0), broadcast_scalar(constant(-np.inf), (3,)), x)
    largest = ops.apply(Max((0,)), masked)
    loss = sum_batch(ops.mul(ops.sub(largest, largest), weight))
    leaves = {("input", "x"): -np.ones((2, 3)), ("weight_of_example", ""): np.full(2, 0.5)}
    cause = locate(Graph({"loss": loss}), leaves, "float32")
    assert isinstance(cause.node.op, ops.Sub) and np.isnan(cause.value)
    leaves["input", "x"][:, 1] = 1
    assert locate(Graph({"loss": loss}), leaves, "float32") is None
    assert isinstance(masked.inputs[1].inputs[0].op, Const)


def test_a_nan_of_the_data_is_found_in_the_data():
    x = np.ones((ROWS, 4))
    x[3, 2] = np.nan
    cause = found(
        "model m { input x: float[4] param w: float[4] = ones\n  loss sum(exp(x * w)) }" + TRAIN,
        x=x,
    )
    assert cause.span.text == "input x: float[4]" and cause.what == "nan in the data"
    assert "record 4 of the data" in cause.notes


def test_within_a_cell_the_formula_of_its_step_is_named():
    text = (
        "seq time = 6\n"
        "cell grow(x: float[n]) {\n  state h: float[n] = 1\n"
        "  let u = exp(h * 3) + x\n  next h = u\n  return u\n}\n"
        "model m { input x: float[time, 3]\n"
        "  loss mean(x -> grow -> last -> dense(2)) }" + TRAIN
    )
    cause = found(text)
    assert "exp(h * 3)" in cause.span.text or "grow" in cause.span.text
    assert cause.what == "inf here"


def test_an_evaluation_is_searched_in_inference_mode():
    text = (
        "model m { input x: float[2] param w: float[2] = ones\n"
        "  loss sum(if training then x * w else log(x * w)) }" + TRAIN
    )
    x = -np.ones((ROWS, 2))
    assert found(text, x=x) is None
    assert found(text, x=x, training=False).span.text == "log(x * w)"


def test_a_finite_step_has_no_cause():
    text = Path(__file__).parents[2].joinpath("models", "digits.dl").read_text()
    assert found(text) is None


@pytest.mark.parametrize("threads", [1, 2])
def test_a_training_stops_at_the_record_that_is_not_finite(tmp_path, threads):
    """The whole way: data on disk, a compiled training, the state before the step, and resuming."""
    from specc.runtime.checkpoint import restore
    from specc.runtime.data import load
    from specc.runtime.errors import Diverged
    from specc.runtime.order import permutation
    from specc.runtime.run import Record, create
    from specc.runtime.train import train

    generator = np.random.default_rng(1)
    x = generator.uniform(1, 2, (200, 3))
    x[77, 1] = -4
    np.savez(tmp_path / "d.npz", x=x)
    checked = program(
        "model m { input x: float[3] param w: float[3] = ones\n"
        "  loss sum(w * w - log(x * w)) }\n"
        'train { data npz("d.npz") optimizer sgd(lr = 0.01) batch = 8 epochs = 3 }'
    )
    data = load(checked.recipe, checked.ports, tmp_path)
    net = specc.compile(checked, threads=threads, shards=threads, seed=0)
    run = create(
        tmp_path / "runs",
        Record("m", "m.dl", ".", {}, 0, 8, 3, "float32", threads, "0"),
        {"model.dl": b""},
    )
    step = int(np.flatnonzero(data.training.rows[permutation(0, 0, 200)] == 77)[0]) // 8

    class Watch:
        def steps(self, *_): ...
        def epoch(self, *_): ...

    with pytest.raises(Diverged) as caught:
        train(net, data, checked.recipe, run, Watch())
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.message == f"training stopped at step {step + 1} (epoch 1): the loss is nan"
    assert diagnostic.span.text == "log(x * w)" and "record 78 of the data" in diagnostic.notes
    other = specc.compile(checked, threads=threads, shards=threads, seed=0)
    order = data.training.rows[permutation(0, 0, 200)]
    if step:
        other.train(data.training.columns, order[: 8 * step], 0, 25, 75)
    assert np.array_equal(net.params["w"], other.params["w"])
    assert restore(run.last, other).step == step
    assert np.array_equal(net.params["w"], other.params["w"])


STEP = (
    "model m { input x: float[3] param w: float[3] = ones\n"
    "  loss sum(w * w - log(x * w)) }\n"
    "train { optimizer momentum(lr = 0.01) }"
)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("good", [0, 1, 300])
def test_a_step_that_diverges_raises_and_keeps_weights_from_before_it(dtype, good):
    net = specc.compile(program(STEP), batch=4, dtype=dtype, threads=1, seed=0)
    other = specc.compile(program(STEP), batch=4, dtype=dtype, threads=1, seed=0)
    x = np.random.default_rng(0).uniform(1, 2, (4, 3)).astype(dtype)
    for _ in range(good):
        net.step(x=x)
    bad = x.copy()
    bad[2, 1] = -1
    with pytest.raises(specc.Diverged) as caught:
        net.step(x=bad)
    assert caught.value.step == good + 1
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.span.text == "log(x * w)" and "example 3 of the batch" in diagnostic.notes
    assert net.steps_done <= good
    for _ in range(net.steps_done):
        other.step(x=x)
    for mine, others in ((net.params, other.params), (net.states, other.states)):
        assert all(np.array_equal(mine[path], others[path]) for path in others)
    assert np.isfinite(net.step(x=x))


def test_weights_that_were_set_are_not_taken_back():
    net = specc.compile(program(STEP), batch=4, dtype="float64", threads=1, seed=0)
    x = np.ones((4, 3))
    for _ in range(5):
        net.step(x=x)
    net.set_params({"w": [1.5, 1.5, 1.5]})
    with pytest.raises(specc.Diverged):
        net.step(x=-x)
    assert net.params["w"].tolist() == [1.5, 1.5, 1.5] and net.steps_done == 5


def test_weights_that_were_set_after_the_first_step_are_not_taken_back():
    net = specc.compile(program(STEP), batch=4, dtype="float64", threads=1, seed=0)
    net.step(x=np.ones((4, 3)))
    net.set_params({"w": [1.5, 1.5, 1.5]})
    with pytest.raises(specc.Diverged):
        net.step(x=-np.ones((4, 3)))
    assert net.params["w"].tolist() == [1.5, 1.5, 1.5] and net.steps_done == 1


def test_weights_that_are_found_not_to_be_finite_are_said_so():
    net = specc.compile(program(STEP), batch=4, dtype="float64", threads=1, seed=0)
    net.step(x=np.ones((4, 3)))
    net.set_params({"w": [1.5, 1.5, 1.5]})
    net.params["w"][0] = np.inf
    with pytest.raises(specc.Diverged, match="the weights are not finite before step 2"):
        net.step(x=np.ones((4, 3)))
    assert np.isfinite(net.params["w"]).all()


def test_a_step_may_warn_in_place_of_raising():
    net = specc.compile(program(STEP), batch=4, threads=1, seed=0)
    net.on_divergence = "warn"
    with pytest.warns(RuntimeWarning, match="the loss is nan at step 1"):
        assert np.isnan(net.step(x=-np.ones((4, 3))))
    assert net.params["w"].tolist() == [1, 1, 1]


def test_a_step_names_the_gradient_that_broke_the_weights():
    text = (
        "model m { input x: float[2] param w: float[2] = zeros\n"
        "  loss sum(sqrt(x * x * w)) }" + TRAIN
    )
    net = specc.compile(program(text), batch=2, threads=1, seed=0)
    x = np.ones((2, 2))
    net.step(x=x)
    with pytest.raises(specc.Diverged) as caught:
        net.step(x=x)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.labels[0].message == "the gradient is inf here"
    assert net.params["w"].tolist() == [0, 0]


def test_the_interval_between_copies_follows_from_sizes():
    from specc.net.rollback import LONGEST, interval

    assert 1 <= interval([4000], 1e12) < 10
    assert interval([4 * 10**9], 1.0) == LONGEST
    assert interval([], 0.0) == 1
