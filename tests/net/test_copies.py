"""Copies of a layer, losses of their own, moving means, and layers with statistics that are used
several times: beside PyTorch, step by step."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import specc

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[oracle]'")
F = torch.nn.functional

RNG = np.random.default_rng(8)
X, Z = RNG.standard_normal((5, 13, 4)), RNG.standard_normal((5, 13, 3))

GAN = """
model gan {
  input real: float[4]
  input noise: float[3]
  layer critic = dense(5) -> tanh -> dense(1)
  layer maker = dense(6) -> tanh -> dense(4)
  let fake = maker(noise)
  output fake
  loss critic_loss = softplus(-critic(real)[0]) + softplus(critic(stop_gradient(fake))[0])
  loss maker_loss = softplus(-critic(fake)[0])
}
train {
  optimizer adam(critic_loss; lr = 0.05, beta1 = 0.5) for critic
  optimizer adam(maker_loss; lr = 0.02EVERY) for maker
}
"""


def compiled(text, batch=13, threads=1, dtype="float64"):
    return specc.compile(specc.loads(text), batch=batch, threads=threads, dtype=dtype)


def tensors(net):
    """The net's parameters for PyTorch."""
    return {path: torch.tensor(array, requires_grad=True) for path, array in net.params.items()}


def two_layers(p, name, x):
    y = torch.tanh(F.linear(x, p[f"{name}.dense1.weight"], p[f"{name}.dense1.bias"]))
    return F.linear(y, p[f"{name}.dense2.weight"], p[f"{name}.dense2.bias"])


@pytest.mark.parametrize(("every", "threads"), [(1, 1), (1, 2), (2, 1)])
def test_two_optimizers_with_losses_of_their_own_take_turns(every, threads):
    """Goodfellow et al., 2014, algorithm 1: the maker sees the critic as it is after its step."""
    net = compiled(GAN.replace("EVERY", f", every = {every}" if every > 1 else ""), 13, threads)
    p = tensors(net)

    def part(name):
        return [value for path, value in p.items() if path.startswith(name)]

    critic = torch.optim.Adam(part("critic"), lr=0.05, betas=(0.5, 0.999))
    maker = torch.optim.Adam(part("maker"), lr=0.02)
    for step in range(5):
        real, noise = torch.tensor(X[step]), torch.tensor(Z[step])
        fake = two_layers(p, "maker", noise)
        seen = two_layers(p, "critic", fake.detach())
        loss = (F.softplus(-two_layers(p, "critic", real)) + F.softplus(seen)).mean()
        before = F.softplus(-two_layers(p, "critic", fake)).mean()
        assert net.step(real=X[step], noise=Z[step]) == pytest.approx((loss + before).item())
        critic.zero_grad()
        loss.backward()
        critic.step()
        if (step + 1) % every == 0:
            maker.zero_grad()
            F.softplus(-two_layers(p, "critic", two_layers(p, "maker", noise))).mean().backward()
            maker.step()
        for path, value in p.items():
            np.testing.assert_allclose(
                net.params[path], value.detach(), rtol=1e-8, atol=1e-10, err_msg=f"{path} {step}"
            )


def test_the_gradients_of_each_objective_are_those_of_its_losses():
    net = compiled(GAN.replace("EVERY", ""))
    _, found = net.loss_and_gradients(real=X[0], noise=Z[0])
    p = tensors(net)
    fake = two_layers(p, "maker", torch.tensor(Z[0]))
    critic = F.softplus(-two_layers(p, "critic", torch.tensor(X[0])))
    critic = (critic + F.softplus(two_layers(p, "critic", fake.detach()))).mean()
    maker = F.softplus(-two_layers(p, "critic", fake)).mean()
    for name, loss in (("critic", critic), ("maker", maker)):
        paths = [path for path in p if path.startswith(name)]
        wanted = torch.autograd.grad(loss, [p[path] for path in paths], retain_graph=True)
        for path, gradient in zip(paths, wanted, strict=True):
            np.testing.assert_allclose(found[path], gradient, rtol=1e-9, atol=1e-12)


def test_a_recurrent_critic_takes_turns_too():
    """The loops of an objective that is written a second time have names of their own."""
    text = """seq time = 3
    model m {
      input x: float[time, 4]
      layer critic = rnn(5) -> last
      layer maker = dense(4)
      let fake = maker(x)
      output fake
      loss a = sum(critic(x)) - sum(critic(stop_gradient(fake)))
      loss b = sum(critic(fake)) + sum(critic(x) * critic(fake))
    }
    train { optimizer sgd(a; lr = 0.1) for critic optimizer sgd(b; lr = 0.1) for maker }"""
    x = RNG.standard_normal((7, 3, 4))
    net = compiled(text, 7)
    p = tensors(net)

    def critic(x):
        h = torch.zeros(len(x), 5, dtype=torch.float64)
        for step in range(3):
            joined = torch.cat([x[:, step], h], 1)
            weight, bias = p["critic.rnn1.dense1.weight"], p["critic.rnn1.dense1.bias"]
            h = torch.tanh(F.linear(joined, weight, bias))
        return h

    def maker(x):
        return F.linear(x, p["maker.weight"], p["maker.bias"])

    t = torch.tensor(x)
    for _ in range(3):
        net.step(x=x)
        for name, loss in (
            ("critic", lambda: critic(t).sum(1) - critic(maker(t).detach()).sum(1)),
            ("maker", lambda: critic(maker(t)).sum(1) + (critic(t) * critic(maker(t))).sum(1)),
        ):
            paths = [path for path in p if path.startswith(name)]
            found = torch.autograd.grad(loss().mean(), [p[path] for path in paths])
            with torch.no_grad():
                for path, gradient in zip(paths, found, strict=True):
                    p[path] -= 0.1 * gradient
    for path, value in p.items():
        np.testing.assert_allclose(net.params[path], value.detach(), rtol=1e-9, atol=1e-12)


def test_random_numbers_of_a_later_objective_are_its_own():
    text = """model m { input x: float[4] param a: float = 0 param b: float = 0
      let noise = uniform(x)[0] output x
      loss one = a * noise loss two = b * noise }
    train { optimizer sgd(one; lr = 1) for a optimizer sgd(two; lr = 1) for b }"""
    net = compiled(text, 1)
    net.step(x=np.zeros((1, 4)))
    assert 0 < -net.params["a"] < 1 and 0 < -net.params["b"] < 1
    assert net.params["a"] != net.params["b"]


DQN = """
model q {
  input s: float[4]
  target t: float[4]
  layer tower = dense(6) -> tanh -> dense(3)
  layer slow = running(tower; rate = 0.1)
  layer still = fixed(tower)
  let value = tower(s)
  output value
  output old = slow(s)
  loss sum((value - max(slow(t))) * (value - still(t)))
}
train { optimizer momentum(lr = 0.02) }
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_copies_of_a_layer_have_no_gradient_and_follow_it(threads):
    """Lillicrap et al., 2016: the target follows the weights after the step."""
    net = compiled(DQN, 13, threads)
    p = tensors(net)
    target = {path: value.detach().clone() for path, value in p.items()}
    optimizer = torch.optim.SGD(p.values(), lr=0.02, momentum=0.9)
    for step in range(4):
        s, t = torch.tensor(X[step]), torch.tensor(X[step + 1])
        value = two_layers(p, "tower", s)
        best = two_layers(target, "tower", t).max(1, keepdim=True).values
        loss = ((value - best) * (value - two_layers(p, "tower", t).detach())).sum(1).mean()
        assert net.step(s=X[step], t=X[step + 1]) == pytest.approx(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for path, value in p.items():
            target[path] += 0.1 * (value.detach() - target[path])
            np.testing.assert_allclose(net.params[path], value.detach(), rtol=1e-9, atol=1e-12)
            own = path.replace("tower", "slow")
            np.testing.assert_allclose(net.states[own], target[path], rtol=1e-9, atol=1e-12)
    found = net.forward(s=X[0])
    wanted = two_layers(target, "tower", torch.tensor(X[0]))
    np.testing.assert_allclose(found["old"], wanted, rtol=1e-9, atol=1e-12)
    assert all(path.startswith("tower.") for path in net.params)


TWICE = """
model m {
  input a: float[4]
  input b: float[4]
  layer tower = dense(3) -> batchnorm
  layer judge = fixed(tower)
  layer slow = running(tower; rate = 0.25)
  let u = tower(a)
  let v = tower(b)
  output u
  output w = judge(b)
  let r = slow(b)
  output r
  loss sum(u * v * sin(v) + u * judge(a) + u * r)
}
train { optimizer sgd(lr = 0.1) }
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_running_statistics_advance_in_the_order_of_the_uses(threads):
    net = compiled(TWICE, 13, threads)
    p = tensors(net)
    norm = torch.nn.BatchNorm1d(3).double()
    slow, dense = copy.deepcopy(norm), {}

    def tower(x, norm, p, momentum=0.1):
        y = F.linear(x, p["tower.dense1.weight"], p["tower.dense1.bias"])
        mean, variance = y.mean(0), y.var(0, unbiased=False)
        with torch.no_grad():  # specc's variance divides by the number of examples
            norm.running_mean += momentum * (mean - norm.running_mean)
            norm.running_var += momentum * (variance - norm.running_var)
        y = (y - mean) / torch.sqrt(variance + 1e-5)
        return y * p["tower.batchnorm1.gamma"] + p["tower.batchnorm1.beta"]

    dense = {path: value.detach().clone() for path, value in p.items()}
    for step in range(3):
        a, b = torch.tensor(X[step]), torch.tensor(X[step + 1])
        u, v = tower(a, norm, p), tower(b, norm, p)
        judged = tower(a, copy.deepcopy(norm), p).detach()
        loss = (u * v * torch.sin(v) + u * judged + u * tower(b, slow, dense)).sum(1).mean()
        assert net.step(a=X[step], b=X[step + 1]) == pytest.approx(loss.item())
        found = torch.autograd.grad(loss, list(p.values()))
        with torch.no_grad():
            for path, gradient in zip(p, found, strict=True):
                p[path] -= 0.1 * gradient
                dense[path] += 0.25 * (p[path] - dense[path])
                np.testing.assert_allclose(net.params[path], p[path].detach(), 1e-9, 1e-12)
        for name, of in (("tower", norm), ("slow", slow)):
            states = (
                net.states[f"{name}.batchnorm1.mean"],
                net.states[f"{name}.batchnorm1.variance"],
            )
            np.testing.assert_allclose(states[0], of.running_mean, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(states[1], of.running_var, rtol=1e-9, atol=1e-12)
    y = F.linear(torch.tensor(X[0]), p["tower.dense1.weight"], p["tower.dense1.bias"])
    y = (y - norm.running_mean) / torch.sqrt(norm.running_var + 1e-5)
    wanted = y * p["tower.batchnorm1.gamma"] + p["tower.batchnorm1.beta"]
    found = net.forward(a=X[0], b=X[0])
    np.testing.assert_allclose(found["u"], wanted.detach(), rtol=1e-8)
    np.testing.assert_allclose(found["w"], wanted.detach(), rtol=1e-8)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_predictions_take_the_moving_means_of_the_weights(dtype):
    text = """model m { input x: float[4] target y: float[2]
      let z = x -> dense(2) output z loss mse(z, y) }
    train { optimizer sgd(lr = 0.1) average = 0.8 }"""
    net = compiled(text, 13, dtype=dtype)
    mean, count = 0.0, 0.0
    for step in range(5):
        net.step(x=X[step], y=Z[step][:, :2])
        mean, count = 0.8 * mean + 0.2 * net.params["dense1.weight"].copy(), 0.8 * count + 0.2
    bias = net.states["dense1.bias.average"]
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(
        net.forward(x=X[0])["z"], X[0] @ (mean / count).T + bias, rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("fixed(tower)", "fixed(s)"), "`s` is float[4], so it cannot be applied"),
        (("fixed(tower)", "fixed(slow)"), "`slow` is itself a copy"),
        (("fixed(tower)", "fixed(tower, tower)"), "`fixed` copies one layer"),
        (("fixed(tower)", "fixed(towr)"), "unknown layer or function `towr`"),
        (
            ("rate = 0.1", "rate = 2"),
            "`rate` must be a number above 0 and at most 1, not the number 2",
        ),
        (("rate = 0.1", "share = 2"), "`running` has no setting `share`"),
        (
            ("let value = tower(s)", "let value = s -> fixed"),
            "must be the only stage of a `layer`",
        ),
        (("momentum(lr", "momentum(loss1; lr"), "`loss1` is not a loss"),
        (("lr = 0.02)", "lr = 0.02, every = 0)"), "`every` must be a number of steps, at least 1"),
        (("optimizer momentum(lr = 0.02)", "optimizer momentum(lr = 0.02) average = 1"), "< 1"),
    ],
)
def test_what_is_wrong_with_a_copy_is_said(change, message):
    assert change[0] in DQN
    with pytest.raises(specc.SpecError) as caught:
        specc.loads(DQN.replace(*change))
    found = [each.message for each in caught.value.diagnostics]
    assert any(message in each for each in found), found


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (("(maker_loss; ", "("), None),
        (("(maker_loss; ", "(critic_loss; "), "no-optimizer"),
        (("(critic_loss; ", "(critic_loss, maker_loss; "), None),
        (("(maker_loss; lr = 0.02EVERY) for maker", "(lr = 0.1)"), None),
    ],
)
def test_every_loss_has_an_optimizer_that_minimizes_it(change, name):
    text = GAN.replace(*change).replace("EVERY", "")
    if name is None:
        assert specc.loads(text).objectives
        return
    with pytest.raises(specc.SpecError) as caught:
        specc.loads(text)
    assert [each.name for each in caught.value.diagnostics] == [name]


def test_an_optimizer_without_a_loss_left_is_an_error():
    text = GAN.replace("EVERY", "").replace("(critic_loss; ", "(critic_loss, maker_loss; ")
    with pytest.raises(specc.SpecError) as caught:
        specc.loads(text.replace("(maker_loss; ", "("))
    assert [each.name for each in caught.value.diagnostics] == ["no-loss"]
