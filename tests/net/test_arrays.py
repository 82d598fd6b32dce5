"""The values that the Python interface accepts, and its errors for others."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import specc
from specc import driver
from specc.source import Source

MODEL = """
model judge {
  input  image: float[2, 3]
  input  known: bool[2]
  target kind: class(4)
  let both = concat(image -> flatten, if known then 1.0 else 0.0)
  let scores = both -> dense(4)
  output scores
  output sure = scores > 0
  loss   cross_entropy(scores, kind)
}
train {
  data      npz("judge.npz")
  optimizer sgd(lr = 0.1)
  batch     = 8
}
"""


def load(text):
    return driver.load(Source("judge.dl", text))


@pytest.fixture(scope="module")
def program():
    return load(MODEL)


@pytest.fixture(scope="module")
def net(program):
    return specc.compile(program, threads=1)


def arrays(count=5, **others):
    rng = np.random.default_rng(0)
    return {
        "image": rng.standard_normal((count, 2, 3)),
        "known": rng.random((count, 2)) > 0.5,
        "kind": rng.integers(0, 4, count),
        **others,
    }


@pytest.mark.parametrize(("wrong", "message"), [
    ({"image": np.zeros((5, 2, 3), complex)}, r"image must be real numbers, not complex"),
    ({"image": np.zeros((5, 2, 3), object)}, r"image must be real numbers, not Python objects"),
    ({"image": [[1.0], [1.0, 2.0]]}, r"image is no array of numbers: its rows differ in length"),
    ({"image": np.full((5, 2, 3), "a")}, r"image must be real numbers, not texts"),
    ({"image": np.zeros((2, 3))}, r"image must be \[n, 2, 3\], a row for each .* not \[2, 3\]"),
    ({"image": 1.0}, r"image must be \[n, 2, 3\], a row for each of n examples, not \[\]"),
    ({"known": np.full((5, 2), 2)}, r"known must be booleans, or 0 and 1, not other integers"),
    ({"known": np.full((5, 2), 0.5)}, r"known must be booleans, or 0 and 1, not other numbers"),
    ({"kind": np.full(5, 1.5)}, r"kind must be integers 0 to 3, not float64"),
    ({"kind": np.full(5, 4)}, r"kind must be integers 0 to 3, but goes from 4 to 4"),
    ({"kind": np.full(5, -1)}, r"kind must be integers 0 to 3, but goes from -1 to -1"),
    ({"kind": np.full(5, 2**63, np.uint64)}, r"kind must be integers 0 to 3, but goes from 9223"),
    ({"kind": np.zeros(4, int)}, r"equally many examples, but there are 5 of `image`, .*4 of"
                                 r" `kind`"),
    ({"kinds": np.zeros(5, int)},
     r"no input or target `kinds`; did you mean `kind`\? .*"
     r"it has image: float\[2, 3\], known: bool\[2\], kind: class\(4\)"),
])  # fmt: skip
def test_arrays_that_do_not_fit_their_ports_are_refused(net, wrong, message):
    with pytest.raises(ValueError, match=message):
        net.loss_and_gradients(**arrays(**wrong))


def test_missing_arrays_are_named_with_what_there_must_be(net):
    given = arrays()
    del given["known"]
    with pytest.raises(ValueError, match=r"takes image: .*, known: bool\[2\] here; missing: known"):
        net.forward(**given)


def test_arrays_of_any_number_type_mean_the_same(net):
    given = arrays(4)
    given["image"] = given["image"].round()
    wanted = net.loss_and_gradients(**given)[0]
    for kind in (np.float16, np.float32, np.longdouble, np.int8, np.int64):
        assert (
            net.loss_and_gradients(**{**given, "image": given["image"].astype(kind)})[0] == wanted
        )
    for kind in (np.uint8, np.int16, np.uint64):
        assert net.loss_and_gradients(**{**given, "kind": given["kind"].astype(kind)})[0] == wanted
    assert net.loss_and_gradients(**{**given, "known": given["known"].astype(float)})[0] == wanted
    backwards = {name: array[::-1].copy()[::-1] for name, array in given.items()}
    assert net.loss_and_gradients(**backwards)[0] == wanted
    assert (
        net.loss_and_gradients(**{name: array.tolist() for name, array in given.items()})[0]
        == wanted
    )


def test_no_examples_give_outputs_without_rows(net):
    given = arrays(0)
    found = net.forward(image=given["image"], known=given["known"])
    assert {name: (array.shape, array.dtype) for name, array in found.items()} == {
        "scores": ((0, 4), np.float32), "sure": ((0, 4), bool)}  # fmt: skip
    assert net.forward(**arrays(0, kind=[]))["scores"].shape == (0, 4)
    for method in (net.step, net.loss_and_gradients):
        with pytest.raises(ValueError, match="at least one example"):
            method(**given)


def test_an_output_of_booleans_is_of_booleans(net):
    found = net.forward(**arrays())
    np.testing.assert_array_equal(found["sure"], found["scores"] > 0)


def test_parameters_are_live_c_order_arrays_that_can_be_assigned(program):
    net = specc.compile(program, threads=1)
    assert isinstance(net.params, dict) and list(net.params) == ["dense1.weight", "dense1.bias"]
    assert all(array.flags.c_contiguous for array in net.params.values())
    assert net.params["dense1.weight"].shape == (4, 8)
    before = net.forward(**arrays())["scores"]
    net.params["dense1.bias"] = [1, 2, 3, 4]
    after = net.forward(**arrays())["scores"]
    np.testing.assert_allclose(after - before, np.tile([1, 2, 3, 4], (5, 1)), rtol=1e-5)
    net.params["dense1.bias"][...] = 0
    np.testing.assert_array_equal(net.forward(**arrays())["scores"], before)
    net.params["dense1.bias"] += 1
    net.params |= {"dense1.bias": net.params["dense1.bias"] + 1}
    net.params.update({"dense1.weight": np.full((4, 8), np.nan)})
    assert (net.params["dense1.bias"] == 2).all() and np.isnan(net.params["dense1.weight"]).all()
    for change in (
        lambda: net.params.pop("dense1.bias"),
        lambda: net.params.clear(),
        lambda: net.params.setdefault("dense1.bias", 0),
    ):
        with pytest.raises(TypeError, match="cannot be added to or taken away"):
            change()
    assert type(pickle.loads(pickle.dumps(net.params))) is dict


@pytest.mark.parametrize(("values", "message"), [
    ({"dense1.wieght": 0}, r"judge has no parameter 'dense1.wieght'; did you mean"
                           r" 'dense1.weight'\?"),
    ({"nothing": 0}, r"no parameter 'nothing'; it has dense1.weight, dense1.bias"),
    ({"dense1.bias": np.zeros(3)}, r"dense1.bias has the shape \[4\], not \[3\]"),
    ({"dense1.bias": 0.0}, r"dense1.bias has the shape \[4\], not \[\]"),
    ({"dense1.bias": np.zeros(4, complex)}, "dense1.bias must be numbers, not complex numbers"),
    ({"dense1.bias": [None] * 4}, "dense1.bias must be numbers, not Python objects"),
    ({"dense1.bias": ["a"] * 4}, "dense1.bias must be numbers, not texts"),
    ({"dense1.bias": [True] * 4}, "dense1.bias must be numbers, not booleans"),
    ({"dense1.bias": [[1], [2, 3]]}, "dense1.bias is no array of numbers"),
])  # fmt: skip
def test_parameters_that_do_not_fit_are_refused_and_nothing_is_changed(net, values, message):
    kept = {path: array.copy() for path, array in net.params.items()}
    with pytest.raises(ValueError, match=message):
        net.set_params({"dense1.weight": kept["dense1.weight"] + 1, **values})
    for path, array in net.params.items():
        np.testing.assert_array_equal(array, kept[path])


def test_parameters_can_be_exchanged(net):
    swapped = {"dense1.weight": net.params["dense1.weight"][::-1]}
    wanted = swapped["dense1.weight"].copy()
    net.set_params(swapped)
    np.testing.assert_array_equal(net.params["dense1.weight"], wanted)
    with pytest.raises(TypeError, match="a dict, not list"):
        net.set_params([1, 2])


def test_integers_of_numpy_are_integers(program):
    net = specc.compile(program, batch=np.int64(4), threads=np.int32(1), seed=np.uint8(3))
    assert (net.batch, net.threads, net.seed) == (4, 1, 3)
    again = specc.compile(program, batch=4, seed=3)
    np.testing.assert_array_equal(net.params["dense1.weight"], again.params["dense1.weight"])


@pytest.mark.parametrize(
    "setting",
    [
        {"batch": 0},
        {"batch": 2.0},
        {"threads": True},
        {"seed": -1},
        {"threads": "2"},
        {"seed": 0.5},
        {"dtype": "float16"},
    ],
)
def test_settings_that_make_no_sense_are_refused(program, setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        specc.compile(program, **setting)


def test_a_seed_may_be_large(program):
    net = specc.compile(program, seed=2**70 + 1)
    assert np.isfinite(net.step(**arrays()))


@pytest.mark.parametrize("model", ["models/lenet.dl", Source("a.dl", ""), None])
def test_compile_takes_a_program_and_says_what_gives_one(model):
    with pytest.raises(TypeError, match=r"specc\.compile\(specc\.load\(path\)\)"):
        specc.compile(model)


def test_a_model_without_a_train_block_makes_no_step():
    net = specc.compile(load(MODEL.partition("train {")[0]))
    with pytest.raises(ValueError, match="judge cannot be trained: its file has no `train` block"):
        net.step(**arrays())
    assert net.loss_and_gradients(**arrays())[0] > 0


def test_a_model_without_a_loss_has_no_gradients():
    net = specc.compile(load("model m { input x: float[3] output y = x -> dense(2) }"))
    for method in (net.step, net.loss_and_gradients):
        with pytest.raises(ValueError, match=r"it has no `loss`|m has no `loss`"):
            method(x=np.zeros((2, 3)))


def test_a_model_without_parameters_makes_no_step():
    net = specc.compile(load("model m { input x: float[3] output x loss sum(x) }"))
    with pytest.raises(ValueError, match="it has no parameters"):
        net.step(x=np.zeros((2, 3)))
    assert net.loss_and_gradients(x=np.ones((2, 3))) == (3.0, {})


def test_a_model_without_an_output_has_nothing_to_forward():
    net = specc.compile(load("model m { input x: float[3] loss sum(x -> dense(2)) }"))
    with pytest.raises(ValueError, match="m has no `output`"):
        net.forward(x=np.zeros((2, 3)))


def test_an_output_may_be_the_same_for_all_examples():
    net = specc.compile(
        load("model m { input x: float[3] param w: float[2] = 0.5 output w output x }")
    )
    found = net.forward(x=np.ones((4, 3)))
    np.testing.assert_array_equal(found["w"], np.full((4, 2), 0.5))
    np.testing.assert_array_equal(found["x"], np.ones((4, 3)))


@pytest.mark.parametrize(("batch", "threads"), [(40, 100), (1, 2), (64, 2), (3, 9)])
def test_threads_with_too_few_examples_are_left_out(program, batch, threads):
    net = specc.compile(program, batch=batch, threads=threads, shards=threads)
    assert net.working_threads == net.plan("train").shards <= min(batch, threads, 10)
    other = specc.compile(program, batch=batch, threads=1)
    given = arrays(batch)
    assert net.step(**given) == pytest.approx(other.step(**given), rel=1e-5)
    np.testing.assert_allclose(
        net.params["dense1.weight"], other.params["dense1.weight"], rtol=1e-4, atol=1e-6
    )


def test_by_default_a_model_runs_on_as_many_threads_as_pay(program, monkeypatch):
    monkeypatch.setattr(driver, "processors", lambda: 4)
    assert driver.threads_for(program, 8) == 1
    assert driver.threads_for(program, 10**6) == 4
    assert specc.compile(program).threads == 1


def test_a_number_for_a_boolean_is_refused_at_every_call(tmp_path):
    path = tmp_path / "a.dl"
    path.write_text(
        "model m { input x: float[2] input known: bool output w = if known then x else -x }"
    )
    net = specc.compile(specc.load(path), batch=2, threads=1)
    x = np.ones((2, 2))
    for _ in range(3):
        assert net.forward(x=x, known=[True, False])["w"].tolist() == [[1, 1], [-1, -1]]
        with pytest.raises(ValueError, match="known must be booleans, or 0 and 1"):
            net.forward(x=x, known=np.full(2, 0.5))
