"""Calls that are kept ready: the same as the long way, for all arrays that fit it."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest
from pairs import in_turn

import specc
from specc.backend.run.prepared import COPIED
from specc.diagnostics import Diverged
from specc.recipe import Column
from specc.source import Source

TEXT = """
model m {{
  input x: float[{n}]
  input seen: bool[2]
  target label: class(5)
  let w = concat(x, if seen then 1.0 else 0.0) -> dense(7) -> tanh -> dropout(0.2) -> dense(5)
  output w
  loss cross_entropy(w, label)
}}
train {{ data npz("x.npz") optimizer momentum(lr = 0.1 / (1 + step), mu = 0.5) batch = 8 }}
"""
ROWS = 8


def compiled(n: int = 3, **more):
    return specc.compile(specc.load(Source("m.dl", TEXT.format(n=n))), seed=0, **more)


def arrays(rows: int = ROWS, n: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(rows)
    return {
        "x": rng.standard_normal((rows, n)).astype("float32"),
        "seen": rng.random((rows, 2)) < 0.5,
        "label": rng.integers(0, 5, rows),
    }


def lists(given: dict[str, np.ndarray]) -> dict[str, list]:
    """The same as lists, which take the long way."""
    return {name: array.tolist() for name, array in given.items()}


LARGE = COPIED  # features of which several rows are not copied
OTHERS = {  # arrays of the same values
    "as they are": lambda given: given,
    "in another order": lambda given: dict(reversed(given.items())),
    "float64": lambda given: given | {"x": given["x"].astype(float)},
    "small integers": lambda given: given | {"label": given["label"].astype(np.int8)},
    "without a sign": lambda given: given | {"label": given["label"].astype(np.uint16)},
    "another order of bytes": lambda given: given | {
        "x": given["x"].astype(">f4"), "label": given["label"].astype(">i8")
    },
    "strides": lambda given: {
        name: np.repeat(array, 2, axis=0)[::2] for name, array in given.items()
    },
    "columns first": lambda given: given | {"x": np.asfortranarray(given["x"])},
    "read only": lambda given: {name: _read_only(array) for name, array in given.items()},
    "numbers for truth values": lambda given: given | {"seen": given["seen"].astype(int)},
    "a subclass": lambda given: given | {"x": given["x"].view(np.memmap)},
    "lists": lists,
}  # fmt: skip


def _read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(("kind", "n"), in_turn(OTHERS, [3, LARGE]))
def test_arrays_of_any_kind_give_the_same_bits(kind, n):
    net, other = (compiled(n) for _ in range(2))
    for rows in (ROWS, 3, ROWS, 11):
        given = arrays(rows, n)
        loss, gradients = net.loss_and_gradients(**given)
        scores = net.forward(x=given["x"], seen=given["seen"])["w"]
        step = net.step(**given)
        varied = OTHERS[kind](given)
        loss_2, gradients_2 = other.loss_and_gradients(**varied)
        scores_2 = other.forward(x=varied["x"], seen=varied["seen"])["w"]
        assert (loss, step) == (loss_2, other.step(**varied))
        assert scores.tobytes() == scores_2.tobytes()
        for path, gradient in gradients.items():
            assert gradient.tobytes() == gradients_2[path].tobytes(), path
            assert net.params[path].tobytes() == other.params[path].tobytes(), path
    assert net.steps_done == other.steps_done == 4


def test_a_step_is_what_it_is_in_a_training():
    net, other = compiled(), compiled()
    rows = arrays(3 * ROWS)
    batches = [
        {name: array[first : first + ROWS] for name, array in rows.items()}
        for first in range(0, 3 * ROWS, ROWS)
    ]
    losses = [net.step(**each) for each in batches]
    data = {name: Column(array) for name, array in rows.items()}
    records = other.train(data, np.arange(3 * ROWS), 0, 0, 0)
    assert losses == records[:, 0].tolist()
    for path, array in net.params.items():
        assert array.tobytes() == other.params[path].tobytes(), path


@pytest.mark.parametrize("call", ["step", "loss_and_gradients", "forward"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": np.array([0, 1, 2, 3, 4, 5, 0, 0])}, "integers 0 to 4, but goes from 0 to 5"),
        ({"label": np.array([0, 1, 2, 3, 4, -1, 0, 0])}, "integers 0 to 4, but goes from -1 to 4"),
        ({"label": np.full(ROWS, 2**32)}, "integers 0 to 4, but goes from 4294967296"),
        ({"label": np.ones(ROWS)}, "must be integers 0 to 4, not float64"),
        ({"x": np.ones((ROWS, 4), np.float32)}, r"x must be \[n, 3\]"),
        ({"x": np.ones((7, 3), np.float32)}, "equally many examples"),
        ({"seen": np.full((ROWS, 2), 2)}, "booleans, or 0 and 1"),
        ({"more": np.ones(ROWS)}, "no input or target `more`"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_as_ever(call, changes, message):
    net = compiled()
    for _ in range(2):
        getattr(net, call)(**arrays())
        before = {path: array.copy() for path, array in net.params.items()}
        with pytest.raises(ValueError, match=message):
            getattr(net, call)(**(arrays() | changes))
        for path, array in before.items():
            assert np.array_equal(net.params[path], array)


def test_what_is_missing_is_named():
    net = compiled()
    for name in ("x", "seen", "label"):
        given = arrays()
        del given[name]
        for call in (net.step, net.loss_and_gradients):
            with pytest.raises(ValueError, match=f"missing: {name}"):
                call(**given)


def test_a_target_may_be_given_to_a_prediction():
    net, given = compiled(), arrays()
    wanted = net.forward(x=given["x"], seen=given["seen"])["w"]
    assert np.array_equal(net.forward(**given)["w"], wanted)
    assert np.array_equal(net.forward(**lists(given))["w"], wanted)


def test_a_schedule_out_of_bounds_stops_the_step_that_it_is_for():
    text = TEXT.format(n=3).replace("0.1 / (1 + step)", "1e-5 * (100000 - step)")
    net = specc.compile(specc.load(Source("m.dl", text)), seed=0)
    net.step(**arrays())
    net.steps_done = 99_998
    for _ in range(3):
        net.step(**arrays())
    with pytest.raises(specc.SpecError, match="at step 100001"):
        net.step(**arrays())
    assert net.steps_done == 100_001


def test_a_step_that_diverges_is_undone_and_explained():
    net, given = compiled(), arrays()
    net.step(**given)
    before = {path: array.copy() for path, array in net.params.items()}
    bad = given | {"x": np.where(np.arange(3) == 1, np.nan, given["x"]).astype("float32")}
    with pytest.raises(Diverged, match="nan in the data"):
        net.step(**bad)
    for path, array in net.params.items():
        assert np.array_equal(array, before[path])
    assert net.steps_done == 1
    net.on_divergence = "warn"
    with pytest.warns(RuntimeWarning):
        assert not math.isfinite(net.step(**bad))
    assert math.isfinite(net.step(**given))


def test_weights_that_somebody_writes_into_count_at_once():
    net, other = compiled(), compiled()
    weight = net.params["dense1.weight"]
    for number in range(3):
        weight[...] = number
        other.params["dense1.weight"] = np.full(weight.shape, number)
        assert net.step(**arrays()) == other.step(**lists(arrays()))


def test_threads_step_and_predict_at_once():
    net, other = compiled(), compiled()
    given = arrays()
    failed = []

    def predict() -> None:
        for _ in range(300):
            scores = net.forward(x=given["x"], seen=given["seen"])["w"]
            loss, gradients = net.loss_and_gradients(**given)
            if not (np.isfinite(scores).all() and math.isfinite(loss) and len(gradients) == 4):
                failed.append(loss)

    threads = [threading.Thread(target=predict) for _ in range(3)]
    for each in threads:
        each.start()
    losses = [net.step(**given) for _ in range(100)]
    for each in threads:
        each.join()
    assert not failed
    assert losses == [other.step(**given) for _ in range(100)]
