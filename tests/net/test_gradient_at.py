"""`gradient_at` in the rule of an optimizer: a second evaluation in each step, beside two calls of
`loss_and_gradients`, and what it cannot do yet."""

from __future__ import annotations

import numpy as np
import pytest
from model_files import random_examples
from safetensors.numpy import load_file

import specc as package
from specc import pipeline
from specc.ir.kind import Kind

RHO = 0.5
RULE = """optimizer sharp(w, g; lr) {
  let h = gradient_at(w + 0.5 * g / sqrt(l2(gradients)))
  next w = w - lr * h
}
"""
NETS = {
    "dense, with a penalty": """
        input x: float[5] target y: float[2]
        let w = x -> dense(7) -> tanh -> dense(2) output w
        loss mse(w, y) loss penalty = 0.01 * l2(weights)""",
    "statistics and dropout": """
        input x: float[2, 6, 6] target y: class(3)
        let w = x -> conv(4, kernel=3) -> batchnorm -> relu -> dropout(0.3) -> flatten -> dense(3)
        output w loss cross_entropy(w, y) metric accuracy(w, y)""",
    "recurrent": """
        input x: float[time, 3] target y: class(4)
        let w = x -> lstm(5) -> dropout(0.2) -> gru(4) -> last -> dense(4) output w
        loss cross_entropy(w, y)""",
    "lengths that vary": """
        input x: class(7)[<= time] target y: class(3)
        let w = x -> embed(4) -> lstm(5) -> last -> dense(3) output w loss cross_entropy(w, y)""",
    "attention": """
        input x: class(9)[time] target y: class(9)[time]
        let w = x -> embed(8) -> transformer(heads=2, causal=true) -> dense(9) output w
        loss cross_entropy(w, y)""",
    "a derivative in the loss": """
        input x: float[4]
        let w = x -> dense(6) -> tanh -> dense(1) output w
        let slope = gradient(w[0]; x)
        loss (sqrt(sum(slope * slope)) - 1) ^ 2 loss sum(w ^ 2)""",
    "numbers": """
        input x: float target y: float target z: bool param p: float = 0.5 param q: float = -0.3
        let a = x ^ 2 let b = a * p let c = a * q output b
        loss binary_cross_entropy(b, z) loss mse(c, y)""",
    "a parameter that no loss reads": """
        input x: float[4] param unread: float[3] = 1
        loss sum((x -> dense(2)) ^ 2) output sum(unread)""",
}


def compiled(model: str, train: str = "optimizer sharp(lr = 0.1)", batch: int = 11, **options):
    before = "seq time = 5\n" if "time" in model else ""
    text = f"{before}{RULE}model m {{ {model} }} train {{ {train} }}"
    options = {"dtype": "float64", "threads": 1, "seed": 3, **options}
    return package.compile(package.loads(text), batch=batch, **options)


def arrays(net, count: int) -> dict[str, np.ndarray]:
    return random_examples(net.ports, count, 4)


def norm(gradients) -> float:
    return np.sqrt(sum((d * d).sum() for d in gradients.values()))


def second(net, given, moved):
    """The gradients at the weights as they are, and where the paths of `moved` have gone up."""
    start = {path: array.copy() for path, array in net.params.items()}
    _, g = net.loss_and_gradients(**given)
    g = {path: array.copy() for path, array in g.items()}
    length = norm({path: g[path] for path in moved})
    for path in moved:
        net.params[path][...] = start[path] + RHO * g[path] / length
    _, h = net.loss_and_gradients(**given)
    h = {path: array.copy() for path, array in h.items()}
    for path in start:
        net.params[path][...] = start[path]
    return start, g, h


def assert_close(found, wanted):
    for path, value in wanted.items():
        np.testing.assert_allclose(found[path], value, rtol=1e-10, atol=1e-10, err_msg=path)


@pytest.mark.filterwarnings("ignore:.*untrained:specc.SpecWarning")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", list(NETS))
def test_a_step_follows_the_gradient_at_the_other_place(name, threads):
    net = compiled(NETS[name], threads=threads, shards=threads)
    given = arrays(net, 11)
    for _ in range(3):
        start, _, h = second(net, given, list(net.params))
        net.step(**given)
        assert_close(net.params, {path: start[path] - 0.1 * h[path] for path in start})


@pytest.mark.parametrize("more", ["clip_norm = 0.01", "clip_value = 0.003"])
def test_the_gradient_of_the_step_is_clipped_and_not_the_one_that_leads_there(more):
    net = compiled(NETS["dense, with a penalty"], f"optimizer sharp(lr = 0.1) {more}")
    given = arrays(net, 11)
    for _ in range(3):
        start, _, h = second(net, given, list(net.params))
        if "norm" in more:
            h = {path: d * min(1, 0.01 / norm(h)) for path, d in h.items()}
        else:
            h = {path: np.clip(d, -0.003, 0.003) for path, d in h.items()}
        net.step(**given)
        assert_close(net.params, {path: start[path] - 0.1 * h[path] for path in start})


@pytest.mark.parametrize("clip", [None, 0.01])
def test_parameters_of_other_rules_and_frozen_ones_stay_where_they_are(clip):
    train = "optimizer sgd(lr = 0.2) optimizer sharp(lr = 0.1) for dense2 freeze dense1.bias"
    train += f" clip_norm = {clip}" if clip else ""
    net = compiled(NETS["dense, with a penalty"], train)
    given = arrays(net, 11)
    moved = [path for path in net.params if path.startswith("dense2.")]
    for _ in range(3):
        start, g, h = second(net, given, moved)
        used = {path: (h if path in moved else g)[path] for path in start if path != "dense1.bias"}
        scale = min(1, clip / norm(used)) if clip else 1
        rates = {path: 0.1 if path in moved else 0.2 for path in used}
        net.step(**given)
        wanted = {path: start[path] - scale * rates[path] * used[path] for path in used}
        assert_close(net.params, {"dense1.bias": start["dense1.bias"], **wanted})


def test_a_rule_that_is_not_due_leaves_its_parameters_where_they_are():
    train = "optimizer sharp(lr = 0.2, every = 2) for dense1 optimizer sharp(lr = 0.1) for dense2"
    net = compiled(NETS["dense, with a penalty"], train)
    given = arrays(net, 11)
    first, last = ([path for path in net.params if layer in path] for layer in ("dense1", "dense2"))
    for step in range(4):
        start = {path: array.copy() for path, array in net.params.items()}
        g = {path: d.copy() for path, d in net.loss_and_gradients(**given)[1].items()}
        for paths in (first, last) if step % 2 else (last,):
            length = norm({path: g[path] for path in paths})
            for path in paths:
                net.params[path][...] = start[path] + RHO * g[path] / length
        h = {path: d.copy() for path, d in net.loss_and_gradients(**given)[1].items()}
        for path in start:
            net.params[path][...] = start[path]
        net.step(**given)
        rates = {path: 0.1 if path in last else 0.2 * (step % 2) for path in start}
        assert_close(net.params, {path: start[path] - rates[path] * h[path] for path in start})


def test_statistics_and_records_are_those_of_the_first_evaluation():
    model = NETS["statistics and dropout"]
    one, two = compiled(model), compiled(model, "optimizer sgd(lr = 0.1)")
    given = arrays(one, 11)
    assert one.step(**given) == pytest.approx(two.step(**given), rel=1e-12)
    for path, value in two.states.items():
        np.testing.assert_allclose(one.states[path], value, rtol=1e-12)


@pytest.mark.parametrize("name", ["statistics and dropout", "recurrent", "numbers"])
def test_less_memory_gives_the_same_weights(name, monkeypatch):
    monkeypatch.setattr(pipeline, "WORTH_RECOMPUTING", float("inf"))
    train = "optimizer sam(lr = 0.05)"
    plain, other = compiled(NETS[name], train), compiled(NETS[name], f"{train} recompute = true")
    given = arrays(plain, 11)
    for _ in range(3):
        plain.step(**given)
        other.step(**given)
    assert_close(other.params, plain.params)


@pytest.mark.filterwarnings("ignore::specc.SpecWarning")
def test_a_stream_goes_on_from_the_first_evaluation():
    model = """stream x: float[time, 3] target y: float[time, 2]
        let w = x -> lstm(4) -> dense(2) output w loss mse(w, y)"""
    nets = [compiled(model, f"optimizer {each}(lr = 0)", 4) for each in ("sharp", "sgd")]
    given = arrays(nets[0], 4)
    for _ in range(3):
        losses = [net.step(**given) for net in nets]
        assert losses[0] == pytest.approx(losses[1], rel=1e-12)


def test_the_gradients_that_a_model_gives_are_the_first():
    one, two = (
        compiled(NETS["recurrent"], f"optimizer {each}(lr = 0.1)") for each in ("sharp", "sgd")
    )
    given = arrays(one, 11)
    assert_close(one.loss_and_gradients(**given)[1], two.loss_and_gradients(**given)[1])
    kinds = [len(net.plan(Kind.GRADIENTS).steps) for net in (one, two)]
    assert kinds[0] == kinds[1]


def test_a_run_goes_on_with_the_bytes_of_one_that_never_stopped(specc, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "a.npz", **arrays(compiled(NETS["statistics and dropout"]), 50))
    model = NETS["statistics and dropout"]
    (tmp_path / "m.dl").write_text(
        f'model m {{ {model} }} train {{ data npz("a.npz") optimizer sam(lr = 0.05) batch = 8 }}'
    )
    assert specc("train", "m.dl", "epochs=4", "-q")[0] == 0
    assert specc("train", "m.dl", "epochs=2", "-q")[0] == 0
    assert specc("train", "--resume", "runs/m/2", "epochs=4", "-q")[0] == 0
    whole, resumed = (load_file(f"runs/m/{n}/last.safetensors") for n in (1, 2))
    assert list(whole) == list(resumed)
    assert all(whole[name].tobytes() == resumed[name].tobytes() for name in whole)


def test_a_place_that_is_not_finite_is_told_as_one_of_the_update():
    net = compiled("input x: float[4] loss sum((x -> dense(2, init=zeros)) ^ 2)")
    with pytest.raises(package.Diverged) as caught:
        net.fit({"x": np.ones((11, 4))}, epochs=1)  # the gradient is 0, and so is its norm
    assert "`0.5 * g` is 0" in str(caught.value)
    assert "the updated weight is nan" in str(caught.value)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            "next w = w - gradient_at(sum(w))",
            "`gradient_at` takes a value of the parameter's shape",
        ),
        ("next w = w - gradient_at(0)", "`gradient_at` works on tensors of numbers"),
        (
            "next w = w - gradient_at(w + g) - gradient_at(w - g)",
            "a rule takes `gradient_at` only once yet",
        ),
        ("next w = w - gradient_at(gradient_at(w))", "only once yet"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said(rule, message):
    model = "input x: float[4] loss sum((x -> dense(2)) ^ 2)"
    text = f"optimizer o(w, g) {{ {rule} }} model m {{ {model} }} train {{ optimizer o }}"
    with pytest.raises(package.SpecError) as caught:
        package.loads(text)
    found = [each.message for each in caught.value.diagnostics]
    assert any(message in each for each in found), found


# Several batches, and optimizers with losses of their own.


BATCHES = [name for name in NETS if name != "statistics and dropout"]


@pytest.mark.filterwarnings("ignore:.*untrained:specc.SpecWarning")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", BATCHES)
def test_a_step_of_several_batches_is_one_of_all_their_examples(name, threads):
    model = NETS[name].replace("dropout(0.2) ->", "")
    train = "optimizer sharp(lr = 0.1 / (1 + step)) clip_norm = 0.05 average = 0.5"
    one = compiled(model, train, threads=threads, shards=threads)
    ours = compiled(model, f"{train} batch = 4 * 3", None, threads=threads, shards=threads)
    given = arrays(one, 11)  # batches of 4, 4 and 3 examples
    for _ in range(3):
        assert ours.step(**given) == pytest.approx(one.step(**given), rel=1e-10)
        assert_close(ours.params, one.params)
        assert_close(ours.states, one.states)
    history = [net.fit(given, epochs=2)[-1].training for net in (ours, one)]
    assert history[0] == pytest.approx(history[1], rel=1e-8)
    assert_close(ours.params, one.params)


def test_each_batch_draws_the_same_numbers_in_both_evaluations():
    model = NETS["statistics and dropout"]
    net = compiled(model, "optimizer sharp(lr = 0.1) batch = 4 * 3", None)
    given = arrays(net, 12)
    plain = compiled(model, "optimizer sgd(lr = 0.1) batch = 4 * 3", None)
    start = {path: array.copy() for path, array in net.params.items()}
    plain.step(**given)
    g = {path: (start[path] - plain.params[path]) / 0.1 for path in start}
    plain = compiled(model, "optimizer sgd(lr = 0.1) batch = 4 * 3", None)
    moved = {path: start[path] + RHO * g[path] / norm(g) for path in start}
    plain.set_params(moved)
    plain.step(**given)
    net.step(**given)
    for path in start:
        wanted = start[path] + plain.params[path] - moved[path]
        np.testing.assert_allclose(net.params[path], wanted, rtol=1e-9, atol=1e-10, err_msg=path)


@pytest.mark.filterwarnings("ignore::specc.SpecWarning")
def test_a_stream_in_several_batches_carries_on_from_the_first_evaluation():
    model = """stream x: float[time, 3] target y: float[time, 2]
        let w = x -> lstm(4) -> dense(2) output w loss mse(w, y)"""
    train = "batch = 4 * 2"
    nets = [compiled(model, f"optimizer {each}(lr = 0) {train}", None) for each in ("sharp", "sgd")]
    given = arrays(nets[0], 8)
    for _ in range(3):
        losses = [net.step(**given) for net in nets]
        assert losses[0] == pytest.approx(losses[1], rel=1e-12)


GAN = """input x: float[3] input z: float[2]
    layer maker = dense(4) -> tanh -> dense(3)  layer critic = dense(5) -> tanh -> dense(1)
    let made = maker(z)  output made
    loss of_critic = mean(critic(stop_gradient(made))) - mean(critic(x)) + 0.1 * l2(weights)
    loss of_maker = -mean(critic(made)) + mean(made * made)"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("first", ["sharp", "sgd"])
def test_optimizers_with_losses_of_their_own_take_their_gradients_again(first, threads):
    """The maker sees the critic as the critic's step has left it, in both evaluations."""
    net = compiled(
        GAN,
        f"""optimizer {first}(of_critic; lr = 0.1) for critic
        optimizer sharp(of_maker; lr = 0.2) for maker""",
        threads=threads,
        shards=threads,
    )
    alone = {
        name: compiled(GAN.replace(f"loss {other}", f"metric {other}"), "optimizer sgd(lr = 1)")
        for name, other in (("of_critic", "of_maker"), ("of_maker", "of_critic"))
    }
    given = arrays(net, 11)
    for _ in range(3):
        now = {path: array.copy() for path, array in net.params.items()}
        for name, layer, rate in (("of_critic", "critic", 0.1), ("of_maker", "maker", 0.2)):
            one = alone[name]
            one.set_params(now)
            paths = [path for path in now if path.startswith(layer)]
            if layer == "critic" and first == "sgd":
                used = one.loss_and_gradients(**given)[1]
            else:
                _, _, used = second(one, given, paths)
            now = {p: a - rate * used[p] if p in paths else a for p, a in now.items()}
        net.step(**given)
        assert_close(net.params, now)


def test_one_optimizer_of_one_loss_takes_its_gradient_again_in_several_batches():
    model = NETS["dense, with a penalty"].replace("loss penalty", "metric penalty")
    one = compiled(model, "optimizer sharp(mse; lr = 0.1)")
    ours = compiled(model, "optimizer sharp(mse; lr = 0.1) batch = 6 * 2", None)
    given = arrays(one, 11)
    for _ in range(3):
        assert ours.step(**given) == pytest.approx(one.step(**given), rel=1e-10)
    assert_close(ours.params, one.params)


def test_time_tells_the_second_evaluation_from_the_first():
    from specc.backend.listing import ORDER, part_of_call, parts_of_step

    model = """input x: float[1, 12, 12] target y: class(3)
        let w = x -> conv(8, kernel=3) -> batchnorm -> relu -> flatten -> dense(3) output w
        loss cross_entropy(w, y) metric accuracy(w, y)"""
    for batch in ("", " batch = 8 * 2"):
        found = []
        for rule in ("sgd", "sam"):
            net = compiled(model, f"optimizer {rule}(lr = 0.1){batch}", None if batch else 16)
            data = net.examples(arrays(net, 16), [port.name for port in net.ports])
            times = net.inspection.time(data, np.arange(16), 1)
            roles = parts_of_step(times.plan, times.update)
            counts = dict.fromkeys(ORDER, 0)
            for call in times.calls:
                counts[part_of_call(call, roles)] += not call.packs
            found.append(counts)
        once, twice = found
        assert once["again"] == 0 < once["backward"]
        assert {**twice, "again": 0} == once
        assert twice["again"] >= once["forward"] + once["backward"] - 2


def test_the_listing_calls_the_second_evaluation_before_the_update():
    from specc import driver

    model = NETS["dense, with a penalty"]
    for train, wanted in (
        ("optimizer sam(lr = 0.1)", "forward(m) backward(m) again(m) update(m)"),
        (
            "optimizer sam(lr = 0.1) batch = 8 * 2",
            "for batch in range(2): forward(m) backward(m) add_gradients(m)"
            " for batch in range(2): again(m) add_gradients_again(m) update(m)",
        ),
    ):
        text = driver.build(package.loads(f"model m {{ {model} }} train {{ {train} }}"))
        assert " ".join(text.partition("def step(m):")[2].split()) == wanted
