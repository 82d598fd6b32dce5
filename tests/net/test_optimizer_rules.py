"""Rules of optimizers with states of their own shapes, norms over all gradients, and conditions on
the step: beside their formulas in NumPy. And models that have a target alone."""

from __future__ import annotations

import numpy as np
import pytest

import specc

FACTORED = """
optimizer factored(w: float[n, m], g: float[n, m]; lr = 0.1, beta = 0.9) {
  state r: float[n] = 0
  state c: float[m] = 0
  state count: float[] = 0
  let r2 = beta * r + (1 - beta) * mean(g * g; axis=1)
  let c2 = beta * c + (1 - beta) * mean(g * g; axis=0)
  next r = r2
  next c = c2
  next count = count + 1
  let v = spread(r2, w) * rows(c2, w) / mean(r2)
  let rate = (if step > 2 then 0.5 else 1) * lr / (1 + sqrt(l2(gradients)))
  next w = w - rate * g / (sqrt(v) + 1e-8)
}
model m {
  input x: float[8]
  target y: float[3]
  let z = x -> dense(5, bias=false) -> tanh -> dense(5, bias=false) -> dense(3, bias=false)
  output z
  loss mse(z, y)
}
train { optimizer factored }
"""


@pytest.mark.parametrize(("count", "threads"), [(1, 1), (19, 2)])
def test_states_have_shapes_of_their_own_and_rules_see_all_gradients(count, threads):
    """Shazeer and Stern, Adafactor, 2018, algorithm 1, with a norm over all gradients."""
    net = specc.compile(specc.loads(FACTORED), batch=count, threads=threads, dtype="float64")
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((count, 8)), rng.standard_normal((count, 3))
    weights = {path: array.copy() for path, array in net.params.items()}
    moments = {path: [0.0, 0.0] for path in weights}
    for step in range(5):
        _, gradients = net.loss_and_gradients(x=x, y=y)
        norm = np.sqrt(sum((g * g).sum() for g in gradients.values()))
        for path, w in weights.items():
            g = gradients[path]
            for axis in (0, 1):
                moments[path][axis] = 0.9 * moments[path][axis] + 0.1 * (g * g).mean(1 - axis)
            r, c = moments[path]
            rate = (0.5 if step > 2 else 1) * 0.1 / (1 + norm)
            weights[path] = w - rate * g / (np.sqrt(np.outer(r, c) / r.mean()) + 1e-8)
        net.step(x=x, y=y)
        for path, w in weights.items():
            np.testing.assert_allclose(net.params[path], w, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(net.states[f"{path}.r"], moments[path][0], rtol=1e-9)
            assert net.states[f"{path}.count"] == step + 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("state r: float[n] = 0", "state r: float[k] = 0"), "`k` is not defined"),
        (("next r = r2", "next r = g"), "[5] is needed, not [5, 8]"),
        (
            ("state count: float[] = 0", "state count: bool = false"),
            "a state must have the type `float`",
        ),
        (("loss mse(z, y)", "loss l2(gradients)"), "only in the rule of an optimizer"),
        (("state count: float[] = 0", "state count: like(k) = 0"), "`k` is not defined"),
        (
            ("state count: float[] = 0", "state count: like(gradients) = 0"),
            "`like` takes a value, not the weights of the model",
        ),
        (("next count = count + 1", ""), "`count` has no `next`"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said(change, message):
    with pytest.raises(specc.SpecError) as caught:
        specc.loads(FACTORED.replace(*change))
    found = [each.message for each in caught.value.diagnostics]
    assert any(message in each for each in found), found


DRAWN = """
model drawn {
  target y: float[2]
  param scale: float[2] = 1
  param shift: float[2] = 0
  let z = scale * normal(y) + shift
  output z
  # the energy distance of Szekely and Rizzo, 2013
  loss energy = sum(abs(z - y)) - 0.5 * sum(abs(z - scale * normal(y) - shift))
}
train { optimizer adam(lr = 0.05) batch = 20 }
"""


def test_a_model_with_a_target_alone_trains_and_draws():
    net = specc.compile(specc.loads(DRAWN), batch=20, threads=1)
    y = 3 + 0.5 * np.random.default_rng(0).standard_normal((200, 2)).astype(np.float32)
    for step in range(400):
        net.step(y=y[step % 10 * 20 : step % 10 * 20 + 20])
    found = net.draw(500)["z"]
    assert found.shape == (500, 2)
    np.testing.assert_allclose(found.mean(0), 3, atol=0.2)
    np.testing.assert_array_equal(found, net.draw(500)["z"])
    assert not np.array_equal(found, net.draw(500, seed=1)["z"])
    assert len(np.unique(found[:, 0])) > 450


def test_a_model_with_an_input_is_not_drawn_from():
    net = specc.compile(specc.loads("model m { input x: float output y = x + 1 }"))
    with pytest.raises(ValueError, match="m has the input `x`"):
        net.draw(3)


@pytest.mark.parametrize("role", ["input", "target"])
def test_an_image_has_the_same_numbers_as_an_input_and_as_a_target(role, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.dl").write_text(
        f"""model m {{ {role} image: float[1, 8, 8] param p: float = 1
          metric top = max(image) loss p * mean(image) }}
        train {{ data digits() optimizer sgd(lr = 0.1) epochs = 1 }}"""
    )
    run = specc.train(str(tmp_path / "m.dl"))
    assert 0.9 < run.metrics["train_top"][-1] <= 1
