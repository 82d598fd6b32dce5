"""The vectorized functions against NumPy's in long double."""

from __future__ import annotations

import math

import numpy as np
import pytest
from running import function

from specc.backend.llvm.compile import assembly, files_of, llvm_text
from specc.backend.llvm.kernel import Kernel

EXACT = {
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "erf": lambda x: np.vectorize(math.erf, otypes=[np.longdouble])(x),
    "sqrt": np.sqrt,
    "floor": np.floor,
    "sin": np.sin,
    "cos": np.cos,
}
# the largest relative error wherever the exact result is a normal number
LIMITS = {"float32": 2e-7, "float64": 1e-15}


def kernel(name: str, dtype: str) -> Kernel:
    return Kernel(
        f"all_{name}",
        f"""
def all_{name}(x: "float[n]", y: "float[n]", n: "int"):
    for i in range(n):
        y[i] = {name}(x[i])
""",
        dtype,
    )


def values(name: str, dtype: str, x) -> np.ndarray:
    x = np.ascontiguousarray(x, dtype)
    y = np.empty_like(x)
    function(kernel(name, dtype))(x, y, len(x))
    return y


def arguments(name: str, dtype: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    most = 87 if dtype == "float32" else 700
    tiny = rng.standard_normal(20000) * 10.0 ** rng.uniform(-30, 0, 20000)
    x = np.concatenate([rng.uniform(-most, most, 20000), rng.uniform(-4, 4, 40000), tiny])
    if name in ("log", "sqrt"):
        near_one = 1 + rng.standard_normal(20000) * 10.0 ** rng.uniform(-8, 0, 20000)
        x = np.abs(np.concatenate([x, near_one, rng.uniform(0, 1e30, 1000)]))
    return x.astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", list(EXACT))
def test_it_is_accurate(name, dtype):
    x = arguments(name, dtype)
    exact = EXACT[name](x.astype(np.longdouble))
    error = np.abs(values(name, dtype, x) - exact)
    normal = np.abs(exact) >= np.finfo(dtype).tiny
    assert (error[normal] <= LIMITS[dtype] * np.abs(exact[normal])).all()
    assert (error[~normal] <= np.finfo(dtype).tiny).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "x", "y"),
    [
        ("exp", -2000, 0),
        ("exp", 2000, np.inf),
        ("exp", np.inf, np.inf),
        ("exp", -np.inf, 0),
        ("exp", 0, 1),
        ("log", 0, -np.inf),
        ("log", -1, np.nan),
        ("log", np.inf, np.inf),
        ("log", -np.inf, np.nan),
        ("log", 1, 0),
        ("tanh", np.inf, 1),
        ("tanh", -np.inf, -1),
        ("tanh", 0, 0),
        ("tanh", 1e-30, 1e-30),
        ("erf", np.inf, 1),
        ("erf", -np.inf, -1),
        ("erf", -30, -1),
        ("erf", -0.0, -0.0),
        ("erf", 1e-30, 2e-30 / math.sqrt(math.pi)),
        ("sigmoid", np.inf, 1),
        ("sigmoid", -np.inf, 0),
        ("sigmoid", 0, 0.5),
        ("sigmoid", -2000, 0),
        *[(name, np.nan, np.nan) for name in EXACT],
    ],
)
def test_the_ends_of_the_range(name, x, y, dtype):
    wanted = np.full(40, y, dtype)  # enough for the vector loop and the rest
    np.testing.assert_array_equal(values(name, dtype, np.full(40, x)), wanted)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_denormal_arguments_of_log(dtype):
    x = np.finfo(dtype).smallest_subnormal * np.array([1, 3, 1000], dtype)
    np.testing.assert_allclose(
        values("log", dtype, x), np.log(x.astype(np.longdouble)), rtol=LIMITS[dtype]
    )


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sigmoid", "erf", "sqrt", "floor"])
def test_loops_over_it_are_vectorized(name):
    text = llvm_text(Kernel(f"all_{name}", kernel(name, "float32").source, vector_bits=128))
    assert "<4 x float>" in text and "@exp" not in text and "@tanh" not in text


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_single_elements_have_the_bits_of_vectors(name, dtype):
    x = arguments(name, dtype)[::97]
    alone = np.concatenate([values(name, dtype, x[k : k + 1]) for k in range(len(x))])
    for count in (2, 3, 4, 5, 8, 16, 17, len(x)):  # vectors of each length, and what is left
        np.testing.assert_array_equal(values(name, dtype, x[:count]), alone[:count])


@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_it_grows_with_its_argument_up_to_1(name):
    for dtype in ("float32", "float64"):
        x = np.sort(arguments(name, dtype))
        y = values(name, dtype, x)
        steps = np.diff(y)
        assert (steps >= -2 * np.spacing(np.abs(y[1:]))).all()  # but for roundings
        assert np.abs(y).max() == 1


def test_avx_512_looks_numbers_up_in_registers():
    text = kernel("tanh", "float32").source
    wide = Kernel("all_tanh", text, vector_bits=512)
    if files_of(wide)[0] != "avx512":
        pytest.skip("this processor has no AVX-512")
    made = assembly(wide)
    assert "vpermi2ps" in made or "vpermt2ps" in made
    assert "vdivps" not in made and "gather" not in made and "call" not in made
    assert "vpermi2ps" not in assembly(Kernel("all_tanh", text, vector_bits=256))


def test_max_and_min_take_floats_and_integers_and_keep_nan():
    run = function(
        Kernel(
            "extremes",
            """
def extremes(x: "float[n]", y: "float[n]", most: "float[n]", least: "float[n]", n: "int"):
    for i in range(n):
        most[i] = max(x[i], y[min(i, n - 1)])
        least[i] = min(x[i], y[max(i, 0)])
""",
        )
    )
    x = np.array([1, 2, np.nan, 3, -np.inf], np.float32)
    y = np.array([2, 1, 0, np.nan, np.inf], np.float32)
    most, least = np.empty_like(x), np.empty_like(x)
    run(x, y, most, least, 5)
    np.testing.assert_array_equal(most, np.maximum(x, y))
    np.testing.assert_array_equal(least, np.minimum(x, y))
