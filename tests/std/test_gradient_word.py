"""`gradient(y; x)`: derivatives within a model, differentiated again, beside PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import specc

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[oracle]'")
F = torch.nn.functional
grad = torch.autograd.grad

RNG = np.random.default_rng(5)
X, K = RNG.standard_normal((23, 4)), RNG.standard_normal(23)


def derivative(y, x):
    return grad(y.sum(), x, create_graph=True)[0]


def penalty(t):
    """Gulrajani et al., 2017, equation 3."""
    h = torch.tanh(F.linear(t["x"], t["dense1.weight"], t["dense1.bias"]))
    y = F.linear(h, t["dense2.weight"], t["dense2.bias"])[:, 0]
    g = derivative(y, t["x"])
    return {"g": g}, (y + 10 * (g.norm(dim=1) - 1) ** 2).mean()


def equation(t):
    """Raissi et al., 2019: the residual of u_t + u u_x - 0.1 u_xx."""
    x, k = t["x"][:, 0].detach().requires_grad_(), t["k"]
    joined = torch.stack([x, k], 1)
    h = torch.tanh(F.linear(joined, t["dense1.weight"], t["dense1.bias"]))
    u = F.linear(h, t["dense2.weight"], t["dense2.bias"])[:, 0]
    u_x, u_t = derivative(u, x), derivative(u, k)
    u_xx = derivative(u_x, x)
    return {"u_xx": u_xx}, ((u_t + u * u_x - 0.1 * u_xx) ** 2).mean()


def inner_step(t):
    """Finn et al., 2017, with one inner step on the batch."""
    w = t["w"]
    loss = ((t["x"] @ w - t["k"]) ** 2).mean()
    moved = w - 0.05 * grad(loss, w, create_graph=True)[0]
    y = torch.sin(t["x"] @ moved)
    # a prediction may divide its rows, and takes the mean over those of a part
    return {}, ((y - t["k"]) ** 2).mean()


def image(t):
    """Through a convolution, an average and a softmax, by the convolution's weight too."""
    x = t["x"].reshape(-1, 1, 2, 2)
    y = F.conv2d(x, t["conv1.weight"], t["conv1.bias"], padding=1)
    p = F.softmax(F.avg_pool2d(F.softplus(y), 2, 2, 1, count_include_pad=False).flatten(1), 1)
    g = derivative(p[:, 0], t["x"])
    return {"g": g}, (g * torch.sin(g)).sum(1).mean()


def pooled(t):
    """Gulrajani et al., 2017, of a critic with pooling: windows that overlap, and all places."""
    x = t["x"].reshape(-1, 1, 2, 2)
    h = torch.tanh(F.conv2d(x, t["conv1.weight"], t["conv1.bias"], padding=1))
    h = F.max_pool2d(h, 2, 1, padding=1)
    h = torch.tanh(F.conv2d(h, t["conv2.weight"], t["conv2.bias"]))
    line = F.max_pool1d(h.flatten(2), 3, 2)
    y = F.linear(torch.cat([line.flatten(1), h.amax((2, 3))], 1), t["dense1.weight"])[:, 0]
    g = derivative(torch.tanh(y), t["x"])
    return {"g": g}, (y + 10 * (g.norm(dim=1) - 1) ** 2).mean()


def recurrent(t):
    """Through the steps of a cell."""
    s = t["x"].reshape(-1, 2, 2)
    h = torch.zeros(len(s), 3, dtype=torch.float64)
    for step in range(2):
        joined = torch.cat([s[:, step] * t["k"][:, None], h], 1)
        h = torch.tanh(F.linear(joined, t["rnn1.dense1.weight"], t["rnn1.dense1.bias"]))
    g = derivative((h * h).sum(1), t["k"])
    return {"g": g}, (g * g + h.sum(1)).mean()


def attending(t):
    """Of a number of a whole sequence, by its steps, whose formula lets them meet."""
    s = t["x"].reshape(-1, 2, 2)
    q = F.linear(s, t["dense1.weight"], t["dense1.bias"])
    weights = F.softmax(q @ s.transpose(1, 2), 2)
    y = torch.tanh(weights @ s).sum(2).mean(1)
    g = derivative(y, s)
    return {"g": g}, (g * g).sum(2).mean(1).mean() + y.mean()


def unrolled(t):
    """By the steps that a cell reads, one after the other."""
    s = t["x"].reshape(-1, 2, 2)
    h = torch.zeros(len(s), 3, dtype=torch.float64)
    for step in range(2):
        joined = torch.cat([s[:, step], h], 1)
        h = torch.tanh(F.linear(joined, t["rnn1.dense1.weight"], t["rnn1.dense1.bias"]))
    g = derivative((h * h).sum(1), s)
    return {"g": g}, (torch.sin(g) * s).sum((1, 2)).mean()


def at_each_step(t):
    """Of a number of each step, by that step: the residual of an equation at several points."""
    s = t["x"].reshape(-1, 2, 2)
    h = torch.tanh(F.linear(s, t["dense1.weight"], t["dense1.bias"]))
    u = F.linear(h, t["dense2.weight"], t["dense2.bias"])[..., 0]
    g = derivative(u, s)
    return {"g": g}, ((g[..., 0] + u * g[..., 1]) ** 2).mean()


IN_STEPS = (recurrent, attending, unrolled, at_each_step)
MODELS = {
    attending: """let q = s -> dense(2)  let d[t, u] = sum(i: q[t, i] * s[u, i])
        let a[t, u] = softmax(u: d[t, u])  let z[t, i] = sum(u: a[t, u] * s[u, i])
        let y = mean(sum(tanh(z)); over=time)  let g = gradient(y; s)  output g
        loss mean(sum(g * g); over=time) + y""",
    unrolled: """let h = s -> rnn(3) -> last  let g = gradient(sum(h * h); s)  output g
        loss sum(sum(sin(g) * s); over=time)""",
    at_each_step: """let u = (s -> dense(5) -> tanh -> dense(1))[0]
        let g = gradient(u; s)  output g  loss (g[0] + u * g[1]) ^ 2""",
    penalty: """let y = (x -> dense(5) -> tanh -> dense(1))[0]  let g = gradient(y; x)  output g
        loss y + 10 * (sqrt(sum(g * g)) - 1) ^ 2""",
    equation: """let s = x[0]  let u = (concat(s, k) -> dense(6) -> tanh -> dense(1))[0]
        let u_x = gradient(u; s)  let u_t = gradient(u; k)  let u_xx = gradient(u_x; s)
        output u_xx  loss (u_t + u * u_x - 0.1 * u_xx) ^ 2""",
    inner_step: """param w: float[4] = normal  let error = x @ w - k
        let moved = w - 0.05 * gradient(batch_mean(error * error); w)
        let y = sin(x @ moved)  output y  loss mse(y, k)""",
    image: """let y = reshape(x; 1, 2, 2) -> conv(3, kernel=3, pad=1, bias_init=normal) -> softplus
        let p = y -> avgpool(2, pad=1) -> flatten -> softmax
        let g = gradient(p[0]; x)  output g  loss sum(g * sin(g))""",
    pooled: """let h = reshape(x; 1, 2, 2) -> conv(3, kernel=3, pad=1, bias_init=normal) -> tanh
        -> maxpool(2, stride=1, pad=1) -> conv(4, kernel=2, bias_init=normal) -> tanh
        let line = reshape(h; 4, 4) -> maxpool(3, stride=2, round=floor)
        let y = (concat(flatten(line), global_maxpool(h)) -> dense(1, bias=false))[0]
        let g = gradient(tanh(y); x)  output g
        loss y + 10 * (sqrt(sum(g * g)) - 1) ^ 2""",
    recurrent: """let h = (s * along(spread(k, s); time)) -> rnn(3) -> last
        let g = gradient(sum(h * h); k)  output g  loss g * g + sum(h)""",
}


def text(model):
    has_k = "k" if model in (equation, inner_step, recurrent) else ""
    ports = "input s: float[time, 2]" if model in IN_STEPS else "input x: float[4]"
    ports += " input k: float" if has_k else ""
    return (
        f"seq time = 2\nmodel m {{ {ports} {MODELS[model]} }} train {{ optimizer sgd(lr = 0.1) }}"
    )


def data(model, count):
    found = {"s": X[:count].reshape(-1, 2, 2)} if model in IN_STEPS else {"x": X[:count]}
    return found | ({"k": K[:count]} if model in (equation, inner_step, recurrent) else {})


@pytest.mark.parametrize(
    ("count", "threads", "dtype"), [(1, 1, "float64"), (3, 2, "float32"), (23, 2, "float64")]
)
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_derivatives_and_their_gradients_are_those_of_pytorch(model, count, threads, dtype):
    net = specc.compile(specc.loads(text(model)), batch=count, threads=threads, dtype=dtype)
    tensors = {path: torch.tensor(a, requires_grad=True) for path, a in net.params.items()}
    tensors = {path: each.detach().double().requires_grad_() for path, each in tensors.items()}
    tensors["x"] = torch.tensor(X[:count], requires_grad=True)
    tensors["k"] = torch.tensor(K[:count], requires_grad=True)
    outputs, loss = model(tensors)
    close = {"rtol": 1e-9, "atol": 1e-10} if dtype == "float64" else {"rtol": 2e-3, "atol": 2e-4}
    given = data(model, count)
    found, gradients = net.loss_and_gradients(**given)
    np.testing.assert_allclose(found, loss.item(), **close)
    for path, gradient in gradients.items():
        (wanted,) = grad(loss, tensors[path], retain_graph=True)
        np.testing.assert_allclose(gradient, wanted, **close, err_msg=path)
    values = net.forward(**given)
    for name, wanted in outputs.items():
        np.testing.assert_allclose(values[name], wanted.detach(), **close)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_gradients_of_derivatives_agree_with_finite_differences(model):
    net = specc.compile(specc.loads(text(model)), batch=5, dtype="float64", threads=1)
    given = data(model, 5)
    _, gradients = net.loss_and_gradients(**given)
    for path, gradient in gradients.items():
        direction = np.random.default_rng(1).standard_normal(gradient.shape)
        start, ends = net.params[path].copy(), []
        for h in (1e-6, -1e-6):
            net.params[path][...] = start + h * direction
            ends.append(net.loss_and_gradients(**given)[0])
        net.params[path][...] = start
        slope = (ends[0] - ends[1]) / 2e-6
        assert np.sum(gradient * direction) == pytest.approx(slope, rel=1e-6, abs=1e-6)


def test_a_derivative_that_is_one_for_all_examples_is_a_value_of_each():
    net = specc.compile(
        specc.loads(
            "model m { input x: float[3] let g = gradient(sum(2 * x); x) let h = gradient(x[1]; x)"
            " output g output h }"
        ),
        dtype="float64",
    )
    found = net.forward(x=np.full((4, 3), np.inf))
    np.testing.assert_array_equal(found["g"], np.full((4, 3), 2.0))
    np.testing.assert_array_equal(found["h"], [[0, 1, 0]] * 4)


@pytest.mark.parametrize("count", [1, 3, 40])
def test_what_a_maximum_hands_back_may_be_one_for_all_examples(count):
    net = specc.compile(
        specc.loads(
            "model m { input x: float[5] let p = reshape(x; 1, 5) -> maxpool(2, stride=1)"
            " let g = gradient(sum(p); x) let h = gradient(sum(g * sin(x)); x) output g output h }"
        ),
        batch=count,
        dtype="float64",
        threads=1,
    )
    x = np.random.default_rng(0).standard_normal((count, 5))
    first = np.arange(4) + (x[:, 1:] > x[:, :-1])
    wanted = np.stack([np.bincount(row, minlength=5) for row in first])
    found = net.forward(x=x)
    np.testing.assert_array_equal(found["g"], wanted)
    np.testing.assert_allclose(found["h"], wanted * np.cos(x), rtol=1e-12)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("gradient(tanh(x); x)", "`gradient` takes one number, not float[3]"),
        ("gradient(sum(x); k)", "this number does not depend on `by`"),
        ("gradient(sum(w * x); w)", "but `by` is the same for all examples"),
        ("gradient(sum(x); 2)", "`by` must be a value that the model computes, not the number 2"),
        ("gradient(sum(x))", "needs the setting `by`"),
        ("gradient(sum(s * along(x[:2]; time)); x)", "takes one number, not float[time]"),
        ("gradient(sum(reverse(s)); s)", "not float[time], whose steps see other steps of `by`"),
        ("gradient(sum(s -> attention); s)", "whose steps see other steps of `by`"),
        ("gradient(sum(s -> lstm(3)); s)", "whose steps see other steps of `by`"),
        ("gradient(sum(previous(s)); s)", "whose steps see other steps of `by`"),
        ("gradient(s; s)", "`gradient` takes one number, not float[time, 2]"),
        ("gradient(sum(x); argmax(x))", "works on tensors of numbers, not on class(3)"),
    ],
)
def test_what_has_no_derivative_is_said(formula, message):
    with pytest.raises(specc.SpecError) as caught:
        specc.loads(
            f"""seq time = 2 model m {{ input x: float[3] input k: float input s: float[time, 2]
            param w: float[3] = normal let y = {formula} output y }}"""
        )
    found = [each.message for each in caught.value.diagnostics]
    assert any(message in each for each in found), found


def test_a_derivative_by_a_sequence_of_varying_length_is_that_of_its_own_steps():
    net = specc.compile(
        specc.loads("""seq time = 6 model m { input v: float[<= time, 3]
          let h = v -> lstm(4)  let y = sum(mean(h * h; over=time)) + sum(last(tanh(v)))
          let g = gradient(y; v)  let u = gradient(sum(sin(v)); v)
          output g output u loss sum(mean(g * g; over=time)) }"""),
        batch=5,
        dtype="float64",
        threads=2,
    )
    rng = np.random.default_rng(0)
    v, lengths = rng.standard_normal((5, 6, 3)), np.array([6, 1, 3, 4, 2])
    given = {"v": v, "v.length": lengths}
    found = net.forward(**given)
    _, gradients = net.loss_and_gradients(**given)
    for row, length in enumerate(lengths):
        own = net.forward(v=v[row : row + 1], **{"v.length": [length]})["g"][0]
        np.testing.assert_allclose(found["g"][row, :length], own[:length], rtol=1e-10, atol=1e-12)
        cosines = np.cos(v[row, :length])
        np.testing.assert_allclose(found["u"][row, :length], cosines, rtol=1e-12)
    way = {path: rng.standard_normal(array.shape) for path, array in net.params.items()}
    start, ends = {path: array.copy() for path, array in net.params.items()}, []
    for sign in (1, -1):
        net.set_params({path: array + sign * 1e-6 * way[path] for path, array in start.items()})
        ends.append(net.loss_and_gradients(**given)[0])
    slope = sum((gradients[path] * way[path]).sum() for path in way)
    assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(slope, rel=1e-6, abs=1e-9)
