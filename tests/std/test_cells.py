"""The library's cells against their formulas, written in NumPy as the papers have them, and how
they start."""

from __future__ import annotations

import numpy as np
import pytest

import specc
from specc import driver
from specc.source import Source

STEPS, SIZE, UNITS, COUNT = 6, 3, 4, 5
RNG = np.random.default_rng(7)
X = RNG.standard_normal((COUNT, STEPS, SIZE))
H, C = RNG.standard_normal((2, COUNT, UNITS))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def parts(params, layer, gates):
    """(W, U, b) of each gate: what is multiplied with x, with h, and the bias."""
    weight, bias = params[f"{layer}.weight"], params[f"{layer}.bias"]
    assert weight.shape == (gates * UNITS, SIZE + UNITS) and bias.shape == (gates * UNITS,)
    rows = [slice(k * UNITS, (k + 1) * UNITS) for k in range(gates)]
    return [(weight[each, :SIZE].T, weight[each, SIZE:].T, bias[each]) for each in rows]


def rnn(params, x, h, activation=np.tanh):
    """h_t = tanh(W x_t + U h_{t-1} + b). Elman 1990."""
    ((w, u, b),) = parts(params, "cell1.dense1", 1)
    seen = []
    for t in range(STEPS):
        h = activation(x[:, t] @ w + h @ u + b)
        seen.append(h)
    return seen, h


def irnn(params, x, h):
    return rnn(params, x, h, lambda z: np.maximum(z, 0))


def lstm(params, x, h, c):
    """Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000."""
    gates = parts(params, "cell1.dense1", 4)
    seen = []
    for t in range(STEPS):
        i, f, o, g = (x[:, t] @ w + h @ u + b for w, u, b in gates)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        seen.append(h)
    return seen, h, c


def peephole(params, x, h, c):
    """Gers and Schmidhuber 2000: i and f see the old state, o the new one."""
    gates = parts(params, "cell1.dense1", 4)
    p_i, p_f, p_o = (params[f"cell1.peephole_{gate}"] for gate in "ifo")
    seen = []
    for t in range(STEPS):
        i, f, o, g = (x[:, t] @ w + h @ u + b for w, u, b in gates)
        c = sigmoid(f + p_f * c) * c + sigmoid(i + p_i * c) * np.tanh(g)
        h = sigmoid(o + p_o * c) * np.tanh(c)
        seen.append(h)
    return seen, h, c


def gru(params, x, h):
    """Cho et al. 2014, equations 5 to 8."""
    (w_r, u_r, b_r), (w_z, u_z, b_z) = parts(params, "cell1.dense1", 2)
    ((w, u, b),) = parts(params, "cell1.dense2", 1)
    seen = []
    for t in range(STEPS):
        r = sigmoid(x[:, t] @ w_r + h @ u_r + b_r)
        z = sigmoid(x[:, t] @ w_z + h @ u_z + b_z)
        candidate = np.tanh(x[:, t] @ w + (r * h) @ u + b)
        h = z * h + (1 - z) * candidate
        seen.append(h)
    return seen, h


CELLS = {
    "rnn": (rnn, 1),
    "irnn": (irnn, 1),
    "lstm": (lstm, 2),
    "peephole_lstm": (peephole, 2),
    "gru": (gru, 1),
}


def compiled(text, dtype="float64", **more):
    return specc.compile(
        driver.load(Source("x.dl", text)), dtype=dtype, threads=2, shards=2, **more
    )


@pytest.mark.parametrize("given", [False, True], ids=["from 0", "from given states"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_computes_the_formula_of_its_paper(cell, given):
    formula, count = CELLS[cell]
    names = ["h", "c"][:count]
    starts = ", ".join(f"{name}={name}0" for name in names) if given else ""
    ports = " ".join(f"input {name}0: float[{UNITS}]" for name in names)
    outputs = " ".join(f"output {name}" for name in names)
    net = compiled(
        f"""seq time = {STEPS}
        model m {{ input x: float[time, {SIZE}] {ports}
        let hs, {", ".join(names)} = x -> {cell}({starts}; {UNITS})
        output hs {outputs} }}""",
        batch=COUNT,
    )
    for array in net.params.values():
        array[...] = RNG.standard_normal(array.shape)
    params = {path.replace(f"{cell}1.", "cell1."): array for path, array in net.params.items()}
    states = [H, C][:count]
    found = net.forward(
        x=X, **{f"{name}0": state for name, state in zip(names, states, strict=True)}
    )
    seen, *last = formula(params, X, *(states if given else [0 * state for state in states]))
    np.testing.assert_allclose(found["hs"], np.stack(seen, 1), rtol=1e-12, atol=1e-12)
    for name, state in zip(names, last, strict=True):
        np.testing.assert_allclose(found[name], state, rtol=1e-12, atol=1e-12)


def started(cell):
    return compiled(f"""seq time = {STEPS}
        model m {{ input x: float[time, {SIZE}] let hs = x -> {cell} output hs }}""").params


@pytest.mark.parametrize(
    ("cell", "shapes"),
    [
        ("rnn(4)", {"rnn1.dense1.weight": (4, 7), "rnn1.dense1.bias": (4,)}),
        ("lstm(4)", {"lstm1.dense1.weight": (16, 7), "lstm1.dense1.bias": (16,)}),
        (
            "gru(4)",
            {
                "gru1.dense1.weight": (8, 7),
                "gru1.dense1.bias": (8,),
                "gru1.dense2.weight": (4, 7),
                "gru1.dense2.bias": (4,),
            },
        ),
    ],
)
def test_a_cell_s_parameters_have_stable_paths_and_shapes(cell, shapes):
    assert {path: array.shape for path, array in started(cell).items()} == shapes


@pytest.mark.parametrize("cell", ["rnn(4)", "lstm(4)", "gru(4)", "peephole_lstm(4)"])
def test_what_is_multiplied_with_the_state_starts_orthogonal(cell):
    for path, array in started(cell).items():
        if path.endswith("weight"):
            inner = array[:, SIZE:]
            np.testing.assert_allclose(inner.T @ inner, np.eye(UNITS), atol=1e-12)
            assert 0 < abs(array[:, :SIZE]).max() <= (6 / sum(array.shape)) ** 0.5


def test_an_irnn_starts_as_the_identity():
    weight = started("irnn(4, scale=0.5, std=0.01)")["irnn1.dense1.weight"]
    np.testing.assert_array_equal(weight[:, SIZE:], 0.5 * np.eye(UNITS))
    assert 0 < abs(weight[:, :SIZE]).max() < 0.05


def test_an_untrained_irnn_keeps_what_it_holds():
    net = compiled(
        """seq time = 50
        model m { input x: float[time, 3] input s: float[4]
          let hs, h = x -> irnn(h=s; 4) output h }""",
        batch=2,
    )
    s = abs(RNG.standard_normal((2, 4)))
    np.testing.assert_allclose(net.forward(x=np.zeros((2, 50, 3)), s=s)["h"], s)


@pytest.mark.parametrize(
    ("cell", "forget"),
    [
        ("lstm(4)", 1),
        ("lstm(4, forget_bias=3)", 3),
        ("peephole_lstm(4)", 1),
        ("lstm(4, forget_bias=0)", 0),
    ],
)
def test_the_bias_of_the_forget_gate_starts_at_its_setting(cell, forget):
    bias = next(array for path, array in started(cell).items() if path.endswith("bias"))
    np.testing.assert_array_equal(bias, np.repeat([0, forget, 0, 0], 4))


def test_the_initial_values_of_both_parts_can_be_chosen():
    weight = started("rnn(4, init=constant(2), recurrent_init=orthogonal(gain=3))")[
        "rnn1.dense1.weight"
    ]
    np.testing.assert_array_equal(weight[:, :SIZE], 2)
    np.testing.assert_allclose(weight[:, SIZE:] @ weight[:, SIZE:].T, 9 * np.eye(UNITS), atol=1e-12)


def test_a_user_s_cell_can_use_the_words_for_initial_values():
    params = compiled("""seq time = 3
        cell own(x: float[n]; units: int > 0) {
          state h: float[units] = 0
          let z = concat(x, h) -> dense(
            2 * units, init=recurrent(units, init=zeros, recurrent_init=ones),
            bias_init=gate_bias(-1, gate=0, gates=2))
          let a, b = split(z; 2)
          next h = sigmoid(a) * tanh(b)
          return h
        }
        model m { input x: float[time, 3] output y = x -> own(2) }""").params
    np.testing.assert_array_equal(params["own1.dense1.weight"], np.tile([0, 0, 0, 1, 1], (4, 1)))
    np.testing.assert_array_equal(params["own1.dense1.bias"], [-1, -1, 0, 0])


OUTER = """cell outer(x: float[n]; units: int > 0) {
  state s: float[units] = 0.5
  let a, h, c = concat(x, s) -> dense(units) -> lstm(units)
  let b = lstm(a, c=0.25; units)
  let s2 = 0.5 * s + b * c
  next s = s2
  return s2 + h
}"""


def test_a_cell_in_a_cell_runs_one_step_in_each_step():
    net = compiled(
        f"""seq time = {STEPS} {OUTER} model m {{ input x: float[time, {SIZE}]
        let w, s = x -> outer({UNITS}) output w output s }}""",
        batch=COUNT,
    )
    for array in net.params.values():
        array[...] = RNG.standard_normal(array.shape)
    p = {path.removeprefix("outer1."): array for path, array in net.params.items()}
    assert {path.split(".")[0] for path in p} == {"dense1", "lstm1", "lstm2"}

    def step(x, h, c, layer):
        z = np.concatenate([x, h], 1) @ p[f"{layer}.dense1.weight"].T + p[f"{layer}.dense1.bias"]
        i, f, o, g = np.split(z, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c

    s, h, c, k = (np.full((COUNT, UNITS), start) for start in (0.5, 0, 0, 0))
    d, seen = np.full((COUNT, UNITS), 0.25), []
    for t in range(STEPS):
        a = np.concatenate([X[:, t], s], 1) @ p["dense1.weight"].T + p["dense1.bias"]
        h, c = step(a, h, c, "lstm1")
        k, d = step(h, k, d, "lstm2")
        s = 0.5 * s + k * c
        seen.append(s + h)
    found = net.forward(x=X)
    np.testing.assert_allclose(found["w"], np.stack(seen, 1), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found["s"], s, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("c=0.25", "c=s"), "the initial value of `c` cannot depend on a time step"),
        (("c=0.25", "c=a"), "the initial value of `c` cannot depend on a time step"),
        (("lstm(a, c=0.25; units)", "outer(a; units)"), "`outer` uses itself"),
        (("let a, h, c", "let a, h, c, d"), "but there are 4 names for it"),
        (("-> lstm(units)", "-> reverse"), "`reverse` takes a sequence"),
    ],
)
def test_what_a_cell_in_a_cell_cannot_be_is_said(change, message):
    with pytest.raises(specc.SpecError) as caught:
        compiled(
            f"""seq time = {STEPS} {OUTER.replace(*change)} model m {{
            input x: float[time, {SIZE}] let w = x -> outer({UNITS}) output w }}"""
        )
    found = [each.message for each in caught.value.diagnostics]
    assert any(message in each for each in found), found
