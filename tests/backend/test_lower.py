"""Kernels as machine code compute what Python and NumPy, and Numba, make of the same text."""

from __future__ import annotations

import numpy as np
import pytest
from running import function

import specc
from specc.backend import compilers
from specc.backend.llvm import compile as compiling
from specc.backend.llvm.compile import KernelError
from specc.backend.llvm.kernel import Kernel
from specc.backend.toolchain import load as loading
from specc.backend.toolchain import workers
from specc.diagnostics import SpecError
from specc.recipe import Column
from specc.source import Source

SOURCE = """
def turn(x: "float[a, b, c]", kind: "uint8[b]", at: "int32[b]", y: "float[c, b, a]", n: "int64[2]",
         a: "int", b: "int", c: "int"):
    for i in range(a):
        for j in range(b):
            for k in range(c):
                here = x[i, j, k] if kind[j] else x[i, at[j], k]
                y[k, j, i] = here + kind[j]
                n[0] = n[0] + 1
    n[1] = a * b * c
"""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_elements_of_every_type_and_rank_are_read_and_written(dtype):
    rng = np.random.default_rng(0)
    a, b, c = 3, 4, 5
    x = rng.normal(size=(a, b, c)).astype(dtype)
    kind = np.array([1, 0, 1, 0], np.uint8)
    at = np.array([3, 2, 1, 0], np.int32)
    y, n = np.zeros((c, b, a), dtype), np.zeros(2, np.int64)
    function(Kernel("turn", SOURCE, dtype))(x, kind, at, y, n, a, b, c)
    wanted = np.where(kind[None, :, None], x, x[:, at]) + kind[None, :, None]
    np.testing.assert_array_equal(y, wanted.T.astype(dtype))
    assert list(n) == [a * b * c] * 2


@pytest.mark.parametrize("place", ["x[-1]", "x[0, -2]"])
def test_an_index_from_the_end_is_refused(place):
    kernel = Kernel("last", f'def last(x: "float[2, 2]"):\n    x[0, 0] = {place}')
    with pytest.raises(KernelError, match="counts from the start"):
        compiling.object_code(kernel)


def run_lines(text: str, dtype: str, *values, result: str = "float64", count: int) -> np.ndarray:
    """What the lines of a kernel write to `y`, an array of `count` numbers."""
    lines = "".join(f"    {line}\n" for line in text.strip().splitlines())
    source = f'def lines(x: "float[4]", i: "int64[4]", y: "{result}[{count}]"):\n{lines}'
    found = np.zeros(count, result)
    function(Kernel("lines", source, dtype))(*values, found)
    return found


WHOLE = [(7, 3), (-7, 3), (7, -3), (-7, -3), (6, 3), (-6, 3), (0, 5)]


@pytest.mark.parametrize(("a", "b"), WHOLE)
def test_integers_are_divided_and_shifted_as_in_python(a, b):
    text = """
y[0] = i[0] // i[1]
y[1] = i[0] % i[1]
y[2] = i[0] // 3
y[3] = i[0] % -3
y[4] = i[0] >> 1
y[5] = (i[0] << 2) | 1
y[6] = i[0] & 6 ^ i[1]
y[7] = abs(i[0]) ** 3
y[8] = -i[0]
"""
    found = run_lines(
        text, "float32", np.zeros(4, np.float32), np.array([a, b, 0, 0]), result="int64", count=9
    )
    wanted = [a // b, a % b, a // 3, a % -3, a >> 1, (a << 2) | 1, a & 6 ^ b, abs(a) ** 3, -a]
    assert found.tolist() == wanted


def test_a_division_by_0_is_0_and_stops_nothing():
    x, i = np.zeros(4, np.float32), np.array([5, 0, 0, 0])
    found = run_lines(
        "y[0] = i[0] // i[1]\ny[1] = i[0] % i[1]", "float32", x, i, result="int64", count=2
    )
    assert found.tolist() == [0, 0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_types_are_those_of_numpy(dtype):
    text = """
y[0] = x[0] / x[1]
y[1] = x[0] * i[0]
y[2] = i[0] / i[1]
y[3] = x[1] ** 3
y[4] = x[1] ** -2
y[5] = x[0] ** x[1]
y[6] = real(i[0]) / 3.0
y[7] = int(x[2]) + 0.5
y[8] = abs(x[2])
y[9] = np.float32(i[0]) / np.float32(3)
y[10] = i[3] * 1.0
"""
    x, i = np.array([1.7, 0.3, -2.6, 0], dtype), np.array([16777217, 3, 0, 2**53 - 1])
    real = np.dtype(dtype).type
    wanted = [
        x[0] / x[1],
        np.float64(x[0]) * i[0],
        i[0] / i[1],
        x[1] * x[1] * x[1],
        1 / (x[1] * x[1]),
        x[0] ** x[1],
        real(i[0]) / real(3),
        -1.5,
        -x[2],
        np.float32(i[0]) / np.float32(3),
        float(2**53 - 1),
    ]
    found = run_lines(text, dtype, x, i, count=len(wanted))
    exact = [n for n in range(len(wanted)) if n != 5]  # a power is the system's
    assert found[exact].tolist() == [float(wanted[n]) for n in exact]
    assert found[5] == pytest.approx(wanted[5], rel=1e-6)


def test_comparisons_with_nan_and_truth_values():
    text = """
if x[0] < 1.0 or x[0] >= 1.0 or x[0] == x[0]:
    y[0] = 1.0
if x[0] != x[0] and not x[1] > 2.0:
    y[1] = 1.0
y[2] = 2.0 if x[1] > 0.0 and i[x[1] > 0.0] == 7 else 3.0
y[3] = True
n = 0
while n < 3:
    n += 1
    if n == 2:
        continue
    y[4] += n
for k in range(5, 0, -2):
    y[5] = 10 * y[5] + k
for k in range(i[1], i[1] + 3):
    y[6] = 10 * y[6] + k
for k in range(i[1], i[0]):
    y[7] = k
"""
    x, i = np.array([np.nan, 1.0, 0, 0], np.float32), np.array([0, 7, 0, 0])
    found = run_lines(text, "float32", x, i, count=8)
    assert found.tolist() == [0.0, 1.0, 2.0, 1.0, 4.0, 531.0, 789.0, 0.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("y[0] = nothing_of_that_name(x[0])", "nothing_of_that_name"),
        ("n = 1\nn = x[0]", "`n` becomes a value of another type"),
        ("n = 1\nn = 0.5", "`n` becomes a value of another type"),
        ("y[0] = m", "no variable `m`"),
        ("y[0, 0] = 1.0", "is not an element"),
        ("y[x[0]] = 1.0", "is not an integer"),
        ("y[0] = x", "is an array"),
        ("y[0] = x[0] & i[0]", "is not a number"),
        ("y[0] = exp(i[0])", "a float32 or float64 is wanted"),
        ("y[0] = x[0].real", "not in the language"),
    ],
)
def test_a_kernel_without_meaning_is_an_error_that_shows_it(text, message):
    with pytest.raises(KernelError, match=message):
        run_lines(text, "float32", count=1)


MODEL = """
seq time = 4
dim words = 9
model all {
  input  image: float[2, 6, 5]
  input  text: class(words)[time]
  target y: float[3]
  let seen = image -> conv(4, kernel=3, pad=1) -> relu -> maxpool(2, round=floor) -> flatten
  let read = text -> embed(5) -> rnn(6) -> last
  let guess = concat(seen, read) -> dropout(0.2) -> dense(3)
  output guess
  loss mse(guess, y)
}
train { optimizer momentum(lr = 0.01) }
"""
LARGER = MODEL.replace("-> relu", "-> batchnorm -> tanh -> relu").replace("rnn", "lstm")
LARGER = LARGER.replace("momentum", "adam")


@pytest.mark.parametrize(
    "text", [MODEL, pytest.param(LARGER, marks=pytest.mark.long)], ids=["small", "larger"]
)
def test_numba_makes_the_same_of_the_same_kernels(text, tmp_path, monkeypatch):
    """Three steps of training end with the same bits."""
    monkeypatch.setattr(workers, "processors", lambda: 1)
    found = []
    for name in compilers.NAMES:
        monkeypatch.setenv("SPECC_CACHE_DIR", str(tmp_path / name))
        monkeypatch.setenv("SPECC_COMPILER", name)
        monkeypatch.setattr(loading, "_addresses", {})
        found.append(trained(text))
    for path, weight in found[0].items():
        assert weight.tobytes() == found[1][path].tobytes(), path


@pytest.mark.parametrize("name", compilers.NAMES)
def test_an_element_that_both_branches_read(name, tmp_path, monkeypatch):
    """min(x, x) is x, wherever the element was read first."""
    text = """
model twice {
  input x: float[1]
  target t: float[1]
  param p: float[1] = normal(std=0.5)
  let y = min(x, x) * p
  loss kl(softmax(y), softmax(x))
  loss mse(y, t)
}
"""
    monkeypatch.setattr(workers, "processors", lambda: 1)
    monkeypatch.setenv("SPECC_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("SPECC_COMPILER", name)
    monkeypatch.setattr(loading, "_addresses", {})
    net = specc.compile(specc.loads(text), batch=8, threads=1, dtype="float64")
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(8, 1)), rng.normal(size=(8, 1))
    loss, gradients = net.loss_and_gradients(x=x, t=t)
    error = x * net.params["p"] - t
    assert loss == pytest.approx((error**2).mean())
    assert gradients["p"] == pytest.approx(2 * (error * x).mean())


def test_kernels_of_two_compilers_are_kept_apart(monkeypatch):
    def key():
        return Kernel("f", 'def f(x: "float[1]"):\n    x[0] = 1.0').key

    own = key()
    monkeypatch.setenv("SPECC_COMPILER", "numba")
    assert key() != own
    monkeypatch.setenv("SPECC_COMPILER", "gcc")
    with pytest.raises(SpecError, match="must be llvm or numba, not `gcc`"):
        key()


def trained(text: str) -> dict[str, np.ndarray]:
    """The weights of a model after three steps on random data."""
    net = specc.compile(specc.load(Source("all.dl", text)), batch=5, threads=1)
    rng = np.random.default_rng(0)
    data = {}
    for port in net.ports:
        shape = (15, *port.shape)
        values = rng.random(shape) if port.kind == "float" else rng.integers(0, 9, shape)
        data[port.name] = Column(values)
    net.train(data, np.arange(15), 0, 0, 0)
    return {path: np.array(weight) for path, weight in net.params.items()}
