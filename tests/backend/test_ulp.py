"""Errors of scalar functions and of the library's words in units in the last place, by mpmath."""

from __future__ import annotations

import re
from dataclasses import replace

import mpmath
import numpy as np
import pytest
from running import function
from test_vectormath import kernel

import specc
from specc import driver
from specc.backend.llvm import avx512, vectormath
from specc.backend.machine import this_machine
from specc.ops.elementwise import Elementwise
from specc.source import Source

MP = mpmath.mp.clone() if hasattr(mpmath.mp, "clone") else mpmath.MPContext()
MP.prec = 120
# the exact function, and the largest error in units in the last place
FUNCTIONS = {
    "exp": (MP.exp, 1.5),
    "expm1": (MP.expm1, 1.5),
    "log": (MP.log, 1.5),
    "log1p": (MP.log1p, 1.5),
    "tanh": (MP.tanh, 1.5),
    "sigmoid": (lambda x: 1 / (1 + MP.exp(-x)), 1.5),
    "erf": (MP.erf, 1.5),
    "erfc": (MP.erfc, 4),
    "sqrt": (MP.sqrt, 0.5),
    "sin": (MP.sin, 1.5),
    "cos": (MP.cos, 1.5),
    "sinh": (MP.sinh, 4),
    "atan": (MP.atan, 2.5),
}
WITHOUT = {"abs", "sign", "floor"}  # exact; special values are in ops/test_special_values.py
# the largest arguments; beyond, the result is 0, 1 or infinite, or mpmath takes long
LARGEST = {
    "sin": 1e5, "cos": 1e5, "erfc": 1e3, "exp": 1e4, "expm1": 1e4, "sigmoid": 1e4, "tanh": 1e4,
    "erf": 1e4, "sinh": 1e4,
}  # fmt: skip


def over_all_exponents(dtype: str, largest: float, count: int) -> np.ndarray:
    """Both signs and `count` mantissas for each exponent from the smallest normal number on."""
    info = np.finfo(dtype)
    rng = np.random.default_rng(0)
    exponents = np.arange(info.minexp, min(info.maxexp, int(np.log2(largest)) + 1))
    if dtype == "float64":  # all near 1, and a few of the others
        exponents = exponents[(np.abs(exponents) < 12) | (exponents % 41 == 0)]
    drawn = 1 + rng.random((len(exponents), count))
    mantissas = np.concatenate([np.ones((len(exponents), 1)), drawn], axis=1)
    with np.errstate(all="ignore"):
        x = np.ldexp(mantissas, exponents[:, None]).ravel().astype(dtype)
    # more of them where the functions bend
    x = np.concatenate([x, np.exp(rng.uniform(-4, 5, 60 * count)).astype(dtype)])
    around = rng.standard_normal(20 * count) * 10.0 ** rng.uniform(-7, 0, 20 * count)
    x = np.concatenate([x, (1 + around).astype(dtype)])
    x = x[np.isfinite(x) & (np.abs(x) <= largest)]
    return np.concatenate([x, -x])


def errors(found: np.ndarray, exact: list, dtype: str) -> np.ndarray:
    """The errors in units in the last place, for denormals in those of the smallest normal."""
    info = np.finfo(dtype)
    result = []
    for got, wanted in zip(found, exact, strict=True):
        if abs(wanted) > float(info.max) * (1 + float(info.eps) / 4):
            result.append(0.0 if np.isinf(got) and (got > 0) == (wanted > 0) else np.inf)
            continue
        exponent = max(int(MP.frexp(wanted)[1]) - 1, info.minexp)
        last = MP.ldexp(1, exponent - info.nmant)
        gap = abs(MP.mpf(float(got)) - wanted) / last if np.isfinite(got) else np.inf
        small = abs(wanted) < float(info.tiny)  # runs take it as 0
        result.append(0.0 if small and abs(float(got)) <= info.tiny else float(gap))
    return np.array(result)


def test_every_scalar_function_has_a_bound():
    from specc.frontend.primitives import PRIMITIVES
    from specc.ir.op import REGISTRY

    words = {op.word for op in REGISTRY.values() if issubclass(op, Elementwise) and op.word}
    assert words == set(FUNCTIONS) | WITHOUT
    assert words <= set(PRIMITIVES)


def of_the_back_end(name: str, x: np.ndarray, bits: int) -> np.ndarray:
    """What the back end's own function of this name gives, for vectors of some width."""
    found = np.empty_like(x)
    function(replace(kernel(name, x.dtype.name), vector_bits=bits))(x, found, len(x))
    return found


def of_a_model(name: str, x: np.ndarray) -> np.ndarray:
    """What the word gives in a model, for a function whose formula is made of others."""
    text = f"model m {{ input x: float[] output y = {name}(x) }}"
    net = specc.compile(driver.load(Source("x.dl", text)), batch=256, dtype=x.dtype.name, threads=1)
    return net.forward(x=x)["y"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_a_function_is_accurate_for_all_exponents(name, dtype):
    exact, bound = FUNCTIONS[name]
    x = over_all_exponents(dtype, LARGEST.get(name, float(np.finfo(dtype).max)), 6)
    if name in ("log", "sqrt"):
        x = x[x > 0]
    if name == "log1p":
        x = x[x > -1]
    if name in vectormath.__all__:
        widths = {this_machine().vector_bits, 256} if name in avx512.__all__ else {0}
        results = [of_the_back_end(name, x, bits) for bits in widths]
    else:
        x = x[np.abs(x) > 1e4 * np.finfo(dtype).tiny]  # runs take a part that is denormal as 0
        results = [of_a_model(name, x)]
    wanted = [exact(MP.mpf(float(each))) for each in x]
    for found in results:
        error = errors(found, wanted, dtype)
        worst = np.argmax(error)
        message = f"{name}({x[worst]!r}) = {found[worst]!r}: {error[worst]:.3f} ulp"
        assert error[worst] <= bound, message


def normal_below(x):
    return MP.erfc(-x / MP.sqrt(2)) / 2


def tanh_gelu(x):
    return x / (1 + MP.exp(-2 * MP.sqrt(2 / MP.pi) * (x + MP.mpf(0.044715) * x**3)))


def softplus(x):
    return MP.log1p(MP.exp(x))


ALPHA, SCALE = MP.mpf(1.6732632423543772), MP.mpf(1.0507009873554805)
# A use of x (and t, which is true), its exact value, and the largest error of value and derivative:
# for silu and mish it has that of 1 - sigmoid(x), times x; for gelu that of x^2 in e^-x^2.
WORDS = {
    "elu(x)": (lambda x: x if x > 0 else MP.expm1(x), 4),
    "selu(x)": (lambda x: SCALE * (x if x > 0 else ALPHA * MP.expm1(x)), 6),
    "softplus(x)": (softplus, 6),
    "silu(x)": (lambda x: x / (1 + MP.exp(-x)), 20),
    "mish(x)": (lambda x: x * MP.tanh(softplus(x)), 20),
    "gelu(x)": (lambda x: x * normal_below(x), 1500),
    "gelu(x; tanh)": (tanh_gelu, 1500),
    "binary_cross_entropy(x, t)": (lambda x: softplus(-x), 6),
    "binary_cross_entropy(x, not t)": (softplus, 6),
    "1 / sqrt(abs(x))": (lambda x: 1 / MP.sqrt(abs(x)), 6),
    "abs(x) ^ -0.5": (lambda x: 1 / MP.sqrt(abs(x)), 6),
    "abs(x) ^ 0.5": (lambda x: MP.sqrt(abs(x)), 6),
}


EXAMPLES = 256  # a power of two, so that their weight is exact


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_library_s_words_are_accurate_and_so_are_their_gradients(dtype):
    largest = 1e10 if dtype == "float32" else 1e90  # the cube of which is finite
    x = over_all_exponents(dtype, largest, 12)
    x = x[(np.abs(x) > 1 / largest) & (np.abs(x) < 85)]  # beyond, sigmoid may count as 0
    x = np.random.default_rng(1).permutation(x)[:EXAMPLES]
    edges = [17, -17, -6, -30, 80, -80, 1e-30, -1e-30, 0, 1 / largest, -largest, largest]
    x[: len(edges)] = edges
    uses = list(WORDS)
    # the gradient for the parameter that is added to an example's x is the derivative there
    lines = [f"model m {{ input a: float[] input k: class({EXAMPLES}) input s: bool let t = not s"]
    for i, use in enumerate(uses):
        formula = re.sub(r"(?<![a-z])x(?![a-z])", f"x{i}", use)
        lines.append(f"param p{i}: float[{EXAMPLES}] = zeros let x{i} = a + p{i}[k]")
        lines.append(f"let y{i} = {formula} output o{i} = y{i}")
    lines.append("loss " + " + ".join(f"y{i}" for i in range(len(uses))) + " }")
    program = driver.load(Source("x.dl", "\n".join(lines)))
    net = specc.compile(program, batch=EXAMPLES, dtype=dtype, threads=1)
    data = {"a": x, "k": np.arange(EXAMPLES), "s": np.zeros(EXAMPLES, bool)}
    values = net.forward(**data)
    _, gradients = net.loss_and_gradients(**data)
    tiny = float(np.finfo(dtype).tiny) * EXAMPLES * 1e4  # so that no factor is a denormal
    for number, (use, (exact, bound)) in enumerate(WORDS.items()):
        points = [MP.mpf(float(each)) for each in x]
        at = [n for n, each in enumerate(points) if each or ("-0.5" not in use and "/" not in use)]
        wanted = {n: exact(points[n]) for n in at}
        at = [n for n in at if not wanted[n] or abs(wanted[n]) > tiny]
        check(use, x[at], values[f"o{number}"][at], [wanted[n] for n in at], bound, dtype)
        slopes = [derivative(exact, points[n]) if points[n] else MP.mpf("nan") for n in at]
        at = [n for n, slope in zip(at, slopes, strict=True) if abs(slope) > tiny]
        slopes = [slope for slope in slopes if abs(slope) > tiny]
        crosses_zero = any(each in use for each in ("gelu", "silu", "mish"))
        check(
            f"the derivative of {use}",
            x[at],
            gradients[f"p{number}"][at] * EXAMPLES,
            slopes,
            bound,
            dtype,
            crosses_zero,
        )


def derivative(function, x):
    """A central difference whose error is far below that of float64."""
    with MP.workprec(1000 if abs(x) < 1e-30 else 400):
        h = abs(x) * MP.ldexp(1, -50)
        return (function(x + h) - function(x - h)) / (2 * h)


def check(what, x, found, exact, bound, dtype, crosses_zero=False):
    error = errors(np.asarray(found), exact, dtype)
    if crosses_zero:  # between -3 and 0; there its error is relative to the terms that cancel
        error[[-3 < at < 0 and abs(each) < 1 / 16 for each, at in zip(exact, x, strict=True)]] = 0
    worst = np.argmax(error)
    assert error[worst] <= bound, (
        f"{what} at {x[worst]!r} is {found[worst]!r}, not {float(exact[worst])!r}:"
        f" {error[worst]:.1f} ulp"
    )
