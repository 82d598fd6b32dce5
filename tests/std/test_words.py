"""What the words of the library promise beside their formulas: no overflow, initial values,
warnings."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import specc
from specc import driver
from specc.frontend.syntax import ast
from specc.frontend.words import library
from specc.source import Source

ROOT = Path(__file__).parent.parent.parent
WORDS = sorted(library.words())


def load(text):
    return driver.load(Source("x.dl", text))


# The library itself


@pytest.mark.parametrize("word", WORDS)
def test_a_word_s_doc_has_its_formula_and_its_shapes(word):
    definition = library.lookup(word)
    doc = definition.doc
    assert doc.startswith(word), "a doc starts with the word"
    formula = re.match(rf"{word}(\(.*?\)(\[.*?\])?|:).*?(=|<-)", doc, re.DOTALL)
    assert formula, "a doc starts with the formula"
    if not isinstance(definition, ast.Optimizer):
        assert re.search(r"->|[Aa]ny shape|same shape|the same one|matrix \[", doc), (
            "a doc tells the shapes"
        )


def texts():
    for pattern in ("models/**/*.dl", "examples/**/*.dl", "tests/**/*.py", "tests/**/*.dl"):
        for path in ROOT.glob(pattern):
            yield path.read_text(encoding="utf-8")


def test_every_word_is_used_in_a_model_or_a_test():
    used = set()
    for text in texts():
        used |= set(re.findall(r"\w+", text))
    assert set(WORDS) - used == set()


# Large numbers

FAR = {
    "activations": [
        "relu(x)",
        "leaky_relu(x)",
        "x -> prelu",
        "elu(x)",
        "selu(x)",
        "softplus(x)",
        "gelu(x)",
        "gelu(x; tanh)",
        "silu(x)",
        "mish(x)",
        "sigmoid(x)",
        "tanh(x)",
        "softmax(x)",
        "log_softmax(x)",
        "x -> maxout(4)",
        "erf(x)",
    ],
    "losses": [
        "cross_entropy(x, k)",
        "cross_entropy(x, k; smoothing=0.1)",
        "weighted_cross_entropy(x, k, x * x)",
        "binary_cross_entropy(x[0], t)",
        "hinge(x, k)",
        "squared_hinge(x, k)",
        "mse(x, 0)",
        "mae(x, 0)",
        "huber(x, 0)",
        "contrastive(x, 0 * x, t)",
        "contrastive(x, x, t)",
        "triplet(x, x, 0 * x)",
        "distance(x, x)",
        "kl(if x > 50 then 1 else 0, if x > 50 then 1 else 0 * x)",
    ],
}


@pytest.mark.parametrize("use", FAR["activations"] + FAR["losses"])
def test_values_and_gradients_stay_finite_at_plus_and_minus_100_in_float32(use):
    net = specc.compile(
        load(
            f"""model m {{ input v: float[4] target k: class(4) target t: bool param a: float[4] = 1
        let x = a * v let y = {use} output y loss sum(y) + 0 * sum(x) }}"""
        ),
        batch=4,
        threads=1,
    )
    v = np.array([[100, -100, 0, 100], [-100] * 4, [100] * 4, [0] * 4], np.float32)
    arrays = {"v": v, "k": np.array([0, 1, 2, 3]), "t": np.array([True, False, True, False])}
    loss, gradients = net.loss_and_gradients(**arrays)
    assert np.isfinite(loss)
    for gradient in gradients.values():
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("use", "at_zero"),
    [
        ("softplus(x)", 0.5),
        ("elu(x; alpha=0.7)", 0.7),
        ("selu(x)", 1.0507009873554805 * 1.6732632423543772),
        ("gelu(x)", 0.5),
        ("silu(x)", 0.5),
        ("relu(x)", 0),
        ("binary_cross_entropy(x, t)", -0.5),
        ("distance(x, 0)", 0),
    ],
)
def test_the_slope_at_zero_is_the_one_of_the_formula(use, at_zero):
    net = specc.compile(
        load(
            f"model m {{ input v: float[] target t: bool param x: float[] = 0 let y = {use} + 0 * v"
            " output y loss y }"
        ),
        batch=2,
        dtype="float64",
        threads=1,
    )
    _, gradients = net.loss_and_gradients(v=np.ones(2), t=np.array([True, True]))
    assert gradients["x"] == pytest.approx(at_zero)


# Values that NumPy knows


def value(use, **arrays):
    ports = {"v": "float[3]", "w": "float[3]", "k": "class(3)", "t": "bool"}
    inputs = " ".join(f"input {name}: {ports[name]}" for name in arrays)
    net = specc.compile(
        load(f"model m {{ {inputs} output y = {use} }}"), batch=4, dtype="float64", threads=1
    )
    return net.forward(**arrays)["y"]


RNG = np.random.default_rng(3)
V, W, K = RNG.standard_normal((4, 3)), RNG.standard_normal((4, 3)), np.array([0, 2, 1, 1])
T = np.array([True, False, False, True])
P = np.exp(V) / np.exp(V).sum(-1, keepdims=True)
Q = np.exp(W) / np.exp(W).sum(-1, keepdims=True)
HIT = np.arange(4), K
D = np.sqrt(((V - W) ** 2).sum(-1))
OTHERS = np.arange(3) != K[:, None]
EXCESS = np.maximum(0, V - V[HIT][:, None] + 1) * OTHERS


@pytest.mark.parametrize(
    ("use", "arrays", "expected"),
    [
        (
            "selu(v)",
            {"v": V},
            1.0507009873554805 * np.where(V > 0, V, 1.6732632423543772 * np.expm1(V)),
        ),
        (
            "cross_entropy(v, k; smoothing=0.3)",
            {"v": V, "k": K},
            -0.7 * np.log(P[HIT]) - 0.1 * np.log(P).sum(-1),
        ),
        (
            "weighted_cross_entropy(v, k, concat(1, 2, 0.5))",
            {"v": V, "k": K},
            -np.array([1, 2, 0.5])[K] * np.log(P[HIT]),
        ),
        ("hinge(v, k)", {"v": V, "k": K}, EXCESS.sum(-1)),
        ("squared_hinge(v, k)", {"v": V, "k": K}, (EXCESS**2).sum(-1)),
        ("mbe(v, w)", {"v": V, "w": W}, (V - W).mean(-1)),
        (
            "huber(v, w; delta=0.5)",
            {"v": V, "w": W},
            np.where(abs(V - W) <= 0.5, (V - W) ** 2 / 2, 0.5 * (abs(V - W) - 0.25)).mean(-1),
        ),
        ("kl(softmax(v), softmax(w))", {"v": V, "w": W}, (P * np.log(P / Q)).sum(-1)),
        ("kl(v, w)", {"v": np.array([[1.0, 0, 0]]), "w": np.array([[0.5, 0.5, 0]])}, [np.log(2)]),
        ("distance(v, w)", {"v": V, "w": W}, D),
        (
            "contrastive(v, w, t; margin=2)",
            {"v": V, "w": W, "t": T},
            np.where(T, D**2 / 2, np.maximum(0, 2 - D) ** 2 / 2),
        ),
        (
            "triplet(v, w, v * w)",
            {"v": V, "w": W},
            np.maximum(0, D**2 - ((V - V * W) ** 2).sum(-1) + 0.2),
        ),
        ("elastic(v; beta=0.5)", {"v": V}, (0.5 * V**2 + abs(V)).sum(-1)),
    ],
)
def test_the_compiled_value_of(use, arrays, expected):
    np.testing.assert_allclose(value(use, **arrays), expected, rtol=1e-12, atol=1e-12)


def test_maxout_is_the_largest_of_its_pieces():
    net = specc.compile(
        load("model m { input v: float[3] output y = v -> maxout(2, pieces=4) }"),
        batch=4,
        dtype="float64",
        threads=1,
    )
    net.params["maxout1.dense1.bias"][...] = RNG.standard_normal(8)
    pieces = V @ net.params["maxout1.dense1.weight"].T + net.params["maxout1.dense1.bias"]
    np.testing.assert_allclose(net.forward(v=V)["y"], pieces.reshape(4, 4, 2).max(1))


@pytest.mark.parametrize(
    "penalty,expected",
    [
        ("elastic(weights; beta=2)", lambda w, h: (2 * w**2 + abs(w)).sum()),
        ("l2(dense1.weight)", lambda w, h: (w**2).sum()),
        ("l1(h)", lambda w, h: abs(h).sum(-1).mean()),
    ],
)
def test_a_regularizer_is_for_all_weights_or_one_or_an_activation(penalty, expected):
    net = specc.compile(
        load(f"model m {{ input v: float[3] let h = v -> dense(2) output h loss {penalty} }}"),
        batch=4,
        dtype="float64",
        threads=1,
    )
    w = net.params["dense1.weight"]
    assert net.loss_and_gradients(v=V)[0] == pytest.approx(expected(w, V @ w.T))


# Initial values


def started(layer, shape=(5,)):
    size = ", ".join(map(str, shape))
    return specc.compile(
        load(f"model m {{ input x: float[{size}] let y = x -> {layer} output y }}"),
        threads=1,
        dtype="float64",
    ).params


@pytest.mark.parametrize(("units", "rows_are_orthogonal"), [(3, True), (5, True), (8, False)])
def test_orthogonal_weights_are_orthogonal(units, rows_are_orthogonal):
    weight = started(f"dense({units}, init=orthogonal(gain=2))")["dense1.weight"]
    product = weight @ weight.T if rows_are_orthogonal else weight.T @ weight
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)


def test_the_filters_of_a_convolution_can_be_orthogonal():
    weight = started("conv(4, kernel=3, init=orthogonal)", (2, 5, 5))["conv1.weight"].reshape(4, 18)
    np.testing.assert_allclose(weight @ weight.T, np.eye(4), atol=1e-12)


@pytest.mark.parametrize(
    ("init", "mean", "std"),
    [
        ("normal(std=0.1)", 0, 0.1),
        ("normal(3, 0.5)", 3, 0.5),
        ("uniform(low=-1, high=3)", 1, 4 / 12**0.5),
        ("xavier", 0, (2 / 700) ** 0.5),
        ("he", 0, (2 / 300) ** 0.5),
        ("constant(0.25)", 0.25, 0),
        ("zeros", 0, 0),
        ("identity", 1 / 400, (1 / 400 * (1 - 1 / 400)) ** 0.5),
    ],
)
def test_weights_and_biases_start_as_the_word_says(init, mean, std):
    params = started(f"dense(400, init={init}, bias_init=constant(0.5))", (300,))
    weight = params["dense1.weight"]
    assert abs(weight.mean() - mean) < 0.02 * max(std, 0.1)
    np.testing.assert_allclose(weight.std(), std, rtol=0.02)
    assert (params["dense1.bias"] == 0.5).all()


def test_a_word_with_settings_is_passed_on():
    params = started("maxout(2, init=constant(0.25), bias_init=constant(3))")
    assert (params["maxout1.dense1.weight"] == 0.25).all() and (
        params["maxout1.dense1.bias"] == 3
    ).all()


def test_identity_has_ones_on_its_diagonal():
    np.testing.assert_array_equal(started("dense(3, init=identity)")["dense1.weight"], np.eye(3, 5))


@pytest.mark.parametrize(
    ("layer", "shape", "path"),
    [
        ("dense(3, bias=false)", (5,), "dense1.weight"),
        ("conv(3, kernel=2, bias=false)", (2, 5, 5), "conv1.weight"),
        ("conv_transpose(3, kernel=2, bias=false)", (2, 5, 5), "conv_transpose1.weight"),
        ("maxout(3, bias=false)", (5,), "maxout1.dense1.weight"),
    ],
)
def test_a_bias_can_be_left_out(layer, shape, path):
    assert list(started(layer, shape)) == [path]


def test_a_user_s_block_may_leave_a_parameter_out_too():
    text = """block scaled(x: float[n]; scale: bool = true) {
      param gain: float[n] = if scale then ones else false
      return x * (if scale then gain else 1)
    }
    model m { input x: float[3] let y = x -> scaled -> scaled(false) output y }"""
    assert list(specc.compile(load(text), threads=1).params) == ["scaled1.gain"]


def test_a_word_with_settings_can_be_the_setting_of_a_user_s_block():
    text = """block twice(x: float[n]; activation: word = relu) {
      return x -> dense(n, init=identity) -> activation -> activation
    }
    model m { input v: float[3] output y = v -> twice(activation=leaky_relu(0.5))
      output z = v -> twice }"""
    found = specc.compile(load(text), batch=4, threads=1, dtype="float64").forward(v=V)
    np.testing.assert_allclose(found["y"], np.where(V > 0, V, 0.25 * V))
    np.testing.assert_allclose(found["z"], np.maximum(V, 0))


def test_a_bias_is_no_weight_however_it_starts():
    program = load(
        "model m { input x: float[3] output y = x -> dense(2, bias_init=normal) loss l2(weights) }"
    )
    assert [each.is_weight for each in program.parameters] == [True, False]


LAYERS = {
    "dense": ("v", "3"),
    "conv": ("i", "3, kernel=1"),
    "conv_transpose": ("i", "3, kernel=1"),
    "embed": ("c", "3"),
    "maxout": ("v", "3"),
    "batchnorm": ("i", ""),
    "layernorm": ("v", ""),
    "attention": ("s", ""),
    "additive_attention": ("s", "3"),
    "learned_positions": ("s", ""),
    "transformer": ("s", ""),
    "groupnorm": ("i", "2"),
    "instancenorm": ("i", ""),
    "rmsnorm": ("v", ""),
    "weight_norm": ("i", ""),
    "residual": ("i", "3"),
    "prelu": ("v", ""),
}
OWN_SETTING = {
    "weight": "init",
    "bias": "bias_init",
    "gamma": "gamma_init",
    "beta": "beta_init",
    "alpha": "start",
    "g": "g_init",
}


def test_every_library_word_with_parameters_is_among_the_layers_that_are_tried():
    def has_parameters(name):
        definition = library.lookup(name)
        if not isinstance(definition, ast.Block):
            return False
        return any(
            isinstance(each, ast.Param)
            or (isinstance(each, ast.Call) and has_parameters(each.word.text))
            for each in ast.walk(definition)
        )

    assert {name for name in library.words() if has_parameters(name)} == set(LAYERS)


@pytest.mark.parametrize("layer", LAYERS)
def test_the_initial_values_of_every_layer_can_be_set(layer):
    def parameters(settings):
        of, given = LAYERS[layer]
        text = f"""seq time = 3
            model m {{ input v: float[4] input s: float[time, 4] input i: float[2, 3, 3]
            input c: class(5)
            output {of} -> {layer}({", ".join(filter(None, [given, settings]))}) }}"""
        return specc.compile(load(text)).params

    names = {path.rsplit(".", 1)[1] for path in parameters("")}
    if layer == "residual":
        names = {"weight"}  # the factors of its normalizations are those of `batchnorm`
    if layer in ("transformer", "additive_attention"):
        names = {"weight", "bias"}  # their other parameters always start alike
    for name in names:
        found = parameters(f"{OWN_SETTING[name]}=0.25")
        assert all(
            (array == 0.25).all() for path, array in found.items() if path.endswith(f".{name}")
        )


def test_normalization_factors_are_no_weights_however_they_start():
    program = load("""model m { input x: float[3] loss l2(weights)
        output y = x -> batchnorm(gamma_init=normal(mean=1, std=0.1)) -> dense(2) }""")
    assert [each.path for each in program.parameters if each.is_weight] == ["dense1.weight"]


def test_an_initial_value_may_be_a_number():
    net = specc.compile(
        load("""model m { input x: float[3] param w: float[3] = normal(std=0.01)
        output y = w * x -> dense(2, init=0.5, bias_init=-1) loss l2(weights) }""")
    )
    assert (net.params["dense1.weight"] == 0.5).all() and (net.params["dense1.bias"] == -1).all()
    assert 0 < abs(net.params["w"]).max() < 0.1


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        ("dense(3, init=constant)", "missing-setting"),
        ("dense(3, init=constant(a=2))", "unknown-setting"),
        ("dense(3, init=nope(1))", "unknown-name"),
        ("dense(3, init=constant(1; 2))", "wrong-arguments"),
        ("dense(3, init=true)", "bad-setting"),
        ("dense(3, bias=0)", "bad-setting"),
        ("dense(3, bias_init=orthogonal)", "wrong-kind"),
        ("dense(3, init=uniform(low=1, high=0))", "bad-setting"),
    ],
)
def test_a_wrong_initial_value_is_one_mistake(layer, name):
    _, found = driver.check(
        Source("x.dl", f"model m {{ input x: float[4] output y = x -> {layer} }}")
    )
    assert [each.name for each in found] == [name]


def test_a_word_for_initial_values_is_refused_elsewhere():
    _, found = driver.check(
        Source("x.dl", "model m { input x: float[4, 4] output y = orthogonal(x) }")
    )
    assert [each.name for each in found] == ["misplaced"]


@pytest.mark.parametrize("threads", [1, 3])
def test_positions_count_along_an_axis(threads):
    net = specc.compile(
        load("""model m { input x: float[2, 3, 4] param a: float[5] = normal
        let y = x * positions(x; axis=1) let z = positions(a; axis=0) + 0 * sum(x)
        output y output z loss sum(y) + sum(a * positions(a; axis=0)) }"""),
        batch=7,
        threads=threads,
        shards=threads,
        dtype="float64",
    )
    x = RNG.standard_normal((7, 2, 3, 4))
    found = net.forward(x=x)
    np.testing.assert_array_equal(found["y"], x * np.arange(3)[:, None])
    np.testing.assert_array_equal(found["z"], np.tile(np.arange(5), (7, 1)))
    loss, gradients = net.loss_and_gradients(x=x)
    weights = np.arange(5)
    assert loss == pytest.approx(found["y"].sum((1, 2, 3)).mean() + net.params["a"] @ weights)
    np.testing.assert_array_equal(gradients["a"], weights)


# Losses in which errors cancel


@pytest.mark.parametrize(
    ("losses", "warns"),
    [
        ("loss mbe(z, y)", True),
        ("loss mbe(z, y) loss penalty = l2(weights)", True),
        ("loss bias = 3 * mean(relu(z) - y) / 2", True),
        ("loss mean(x[0:2] * (z - y))", True),
        ("loss mbe(z, y) loss mse(z, y)", False),
        ("loss mse(z, y) metric mbe(z, y)", False),
        ("loss mae(z, y)", False),
        ("loss mean(z * y)", False),
        ("loss sum(z)", False),
    ],
)
def test_a_loss_in_which_errors_cancel_is_warned_of(losses, warns):
    program, found = driver.check(
        Source(
            "x.dl",
            f"""model m {{ input x: float[4] target y: float[2]
        let z = x -> dense(2) output z {losses} }}""",
        )
    )
    assert program is not None
    signed = [(each.name, each.severity) for each in found if each.name != "unused"]
    assert signed == [("signed-loss", "warning")] * warns


# Words of the user

OWN = {
    "swish": "fn swish(x; beta = 1) = x * sigmoid(beta * x)",
    "own_mish": "fn own_mish(x) = x * tanh(softplus(x))",
    "focal": (
        """fn focal(scores: float[n], label: class(n); gamma = 2) {
      let p = softmax(scores)[label]
      return (1 - p) ^ gamma * cross_entropy(scores, label)
    }"""
    ),
    "lion": (
        """optimizer lion(w, g; lr = 1e-3, beta1 = 0.9, beta2 = 0.99) {
      state m = 0
      next m = beta2 * m + (1 - beta2) * g
      next w = w - lr * sign(beta1 * m + (1 - beta1) * g)
    }"""
    ),
}


@pytest.mark.parametrize(
    ("activation", "loss", "optimizer"),
    [
        ("swish", "cross_entropy", "adam(lr=0.02)"),
        ("own_mish", "cross_entropy", "adam(lr=0.02)"),
        ("relu", "focal", "adam(lr=0.02)"),
        ("tanh", "cross_entropy", "lion(lr=0.01)"),
        ("swish(beta=2)", "focal(gamma=1)", "lion(lr=0.01)"),
    ],
)
def test_a_word_of_the_user_takes_five_lines_and_trains(activation, loss, optimizer):
    used = {re.match(r"\w+", each)[0] for each in (activation, loss, optimizer)}
    own = [text for name, text in OWN.items() if name in used]
    assert all(len(text.splitlines()) <= 5 for text in own)
    name, _, settings = loss.partition("(")
    settings = f"; {settings[:-1]}" if settings else ""
    program = load(
        "\n".join(own)
        + f"""
        model m {{ input x: float[3] target y: class(3) let z = x -> dense(16)
        -> {activation} -> dense(3) output z loss {name}(z, y{settings}) }}
        train {{ optimizer {optimizer} }}"""
    )
    net = specc.compile(program, batch=60, threads=1)
    x = np.random.default_rng(0).standard_normal((60, 3))
    y = np.argmax(x, 1)
    losses = [net.step(x=x, y=y) for _ in range(60)]
    assert losses[-1] < 0.5 * losses[0]
