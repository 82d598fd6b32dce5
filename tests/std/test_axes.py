"""Words along an axis: padding, order, sums so far; classes as numbers, and choices by a class."""

from __future__ import annotations

import numpy as np
import pytest

import specc
from specc import driver
from specc.source import Source

RNG = np.random.default_rng(4)
X = RNG.standard_normal((23, 2, 3, 5))
C = RNG.integers(0, 3, 23)
D = RNG.integers(0, 3, (23, 4))

# a formula of x [2, 3, 5], the class c and the classes d [4], and its value
WORDS = {
    "pad(x; 2)": np.pad(X, [(0, 0)] * 3 + [(2, 2)]),
    "pad(x; 0)": X,
    "pad(x; 0, 3, axis=1)": np.pad(X, [(0, 0), (0, 0), (0, 3), (0, 0)]),
    "pad(x; 4, 1, form=reflect)": np.pad(X, [(0, 0)] * 3 + [(4, 1)], mode="reflect"),
    "pad(x; 0, 2, axis=1, form=reflect)": np.pad(
        X, [(0, 0), (0, 0), (0, 2), (0, 0)], mode="reflect"
    ),
    "pad(x; 3, 1, axis=0, form=edge)": np.pad(X, [(0, 0), (3, 1), (0, 0), (0, 0)], mode="edge"),
    "pad(x; 0, form=edge)": X,
    "reverse(x; axis=1)": X[:, :, ::-1],
    "reverse(x; axis=-1)": X[..., ::-1],
    "roll(x; 2)": np.roll(X, 2, -1),
    "roll(x; -1, axis=0)": np.roll(X, -1, 1),
    "roll(x; 13)": np.roll(X, 13, -1),
    "roll(x; 5)": X,
    "cumsum(x)": X.cumsum(-1),
    "cumsum(x; axis=0)": X.cumsum(1),
    "cumsum(x; axis=1)": X.cumsum(2),
    "sort(x)": np.sort(X),
    "sort(x; axis=1)": np.sort(X, 2),
    "sort(x; axis=0, order=descending)": -np.sort(-X, 1),
    "sort(flatten(x))": np.sort(X.reshape(23, -1)),
    "largest(x; 2)": -np.sort(-X)[..., :2],
    "largest(x; 3, axis=1)": -np.sort(-X, 2),
    "largest(x; 1, axis=0)": X.max(1, keepdims=True),
    "x[:, c]": X[np.arange(23), :, C],
    "x[:, d]": np.stack([X[i, :, D[i]].transpose(1, 0, 2) for i in range(23)]),
    "x[:, d, 1:3]": np.stack([X[i, :, D[i], 1:3].transpose(1, 0, 2) for i in range(23)]),
    "x[1, c]": X[np.arange(23), 1, C],
    "transpose(x)[0:2, c]": X.transpose(0, 3, 2, 1)[np.arange(23), 0:2, C],
    "x[0, 0, 0] * one_hot(d)": X[:, 0, 0, 0, None, None] * np.eye(3)[D],
    "x[0, 0, 0] * number(c)": X[:, 0, 0, 0] * C,
    "x[0, 0, 0] * number(d)": X[:, 0, 0, 0, None] * D,
    "x[:, class(2 * x[0, 0, 0]; 3)]": X[
        np.arange(23), :, np.clip(np.floor(2 * X[:, 0, 0, 0]), 0, 2).astype(int)
    ],
}


def model(formula):
    return driver.load(
        Source(
            "a.dl",
            f"""model m {{
              input v: float[2, 3, 5]
              # allow: unused
              input c: class(3) input d: class(3)[4]
              param p: float[2, 3, 5] = ones
              let x = p * v
              let y = {formula}
              output y
              loss sum(sin(y) + 0.1 * y * y)
            }}
            train {{ optimizer sgd(lr=0.1) }}""",
        )
    )


@pytest.mark.parametrize(
    ("formula", "threads", "examples", "dtype"),
    [
        (formula, 1 + k % 2, (1, 3, 23)[k % 3], ("float64", "float32")[k // 2 % 2])
        for k, formula in enumerate(WORDS)
    ],
)
def test_values_are_those_of_numpy_and_gradients_those_of_finite_differences(
    formula, threads, examples, dtype
):
    data = {"v": X[:examples], "c": C[:examples], "d": D[:examples]}
    wanted = WORDS[formula][:examples]
    net = specc.compile(model(formula), batch=examples, dtype=dtype, threads=threads)
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(net.forward(**data)["y"], wanted, rtol=tolerance, atol=tolerance)
    if dtype == "float32":
        net = specc.compile(model(formula), batch=examples, dtype="float64", threads=threads)
    _, gradients = net.loss_and_gradients(**data)
    direction = np.random.default_rng(1).standard_normal((2, 3, 5))
    ends = []
    for h in (1e-6, -1e-6):
        net.params["p"][...] = 1 + h * direction
        ends.append(net.loss_and_gradients(**data)[0])
    slope = (ends[0] - ends[1]) / 2e-6
    assert np.sum(gradients["p"] * direction) == pytest.approx(slope, rel=1e-6, abs=1e-6)


def test_the_words_apply_to_each_step_of_a_sequence():
    net = specc.compile(
        specc.loads(
            """seq time = 4
            model m { input x: float[time, 3, 5] let a = x -> pad(1, 2, form=edge) output a
              let b = x -> sort(axis=0) output b let c = x -> cumsum output c
              let d = x -> roll(2, axis=0) output d }"""
        ),
        dtype="float64",
    )
    x = RNG.standard_normal((7, 4, 3, 5))
    found = net.forward(x=x)
    np.testing.assert_array_equal(found["a"], np.pad(x, [(0, 0)] * 3 + [(1, 2)], mode="edge"))
    np.testing.assert_array_equal(found["b"], np.sort(x, 2))
    np.testing.assert_allclose(found["c"], x.cumsum(-1))
    np.testing.assert_array_equal(found["d"], np.roll(x, 2, 2))


@pytest.mark.parametrize("n", [1, 2, 7, 64, 100])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_equal_elements_keep_their_order_and_nan_comes_last(n, dtype):
    net = specc.compile(
        specc.loads(
            f"model m {{ input x: float[{n}] let up = sort(x) output up"
            " let down = sort(x; order=descending) output down }"
        ),
        dtype=dtype,
    )
    x = np.random.default_rng(n).integers(-2, 3, (9, n)).astype(dtype)
    x[::2, :1], x[1::2, -1:] = np.nan, np.inf
    found = net.forward(x=x)
    np.testing.assert_array_equal(found["up"], np.sort(x, -1))
    np.testing.assert_array_equal(found["down"], -np.sort(-x, -1))


def test_a_class_of_a_number_is_within_its_bounds():
    net = specc.compile(
        specc.loads("model m { input x: float let y = class(x; 4) output y }"), dtype="float64"
    )
    x = np.array([-np.inf, -3, -0.5, 0, 0.99, 1, 2.5, 3, 3.5, 4, 1e300, np.inf, np.nan])
    wanted = [0, 0, 0, 0, 0, 1, 2, 3, 3, 3, 3, 3, 0]
    np.testing.assert_array_equal(net.forward(x=x)["y"], wanted)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("pad(x; 5, form=reflect)", "can add at most 4 elements to an axis of 5, not 5"),
        ("pad(x; 1, axis=3)", "has no axis 3"),
        ("pad(x; -1)", "`before` must be >= 0"),
        ("largest(x; 6)", "an axis of 5 has no 6 largest elements"),
        ("sort(d)", "works on tensors of numbers, not on class(3)[4]"),
        ("roll(x; 1.5)", "`by` must be an integer, not 1.5"),
        ("number(x)", "`number` takes a class"),
        ("class(x; 0)", "`classes` must be >= 1, not 0"),
        ("x[:, x]", "an index is an integer, a slice or a class"),
        ("conv(x; 2, kernel=2, kernel_depth=3)", "has no depth; only"),
        ("maxpool(x[0]; 2, pad_depth=1)", "the pad of [3, 5] has no depth"),
        ("groupnorm(x; 3)", "`groups` must be <= 2"),
        ("groupnorm(pad(x; 1, axis=0); 3)", "has 4 elements"),
    ],
)
def test_what_does_not_fit_is_said(formula, message):
    with pytest.raises(specc.SpecError) as caught:
        model(formula)
    assert any(message in each.message for each in caught.value.diagnostics), (
        caught.value.diagnostics
    )
