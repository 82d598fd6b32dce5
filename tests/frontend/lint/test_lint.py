"""Warnings: what is warned of, what is not, and how a comment keeps a warning silent."""

from __future__ import annotations

from pathlib import Path

import pytest

from specc import driver
from specc.frontend.lint import habits
from specc.frontend.lint.footprint import footprint
from specc.frontend.lint.rates import rates
from specc.frontend.lint.reaches import reaches
from specc.frontend.program.uses import words_of
from specc.frontend.syntax.parse import parse
from specc.source import Source
from specc.system.memory import machine_memory

ROOT = Path(__file__).parents[3]
SHIPPED = sorted(
    path for folder in ("models", "examples") for path in (ROOT / folder).rglob("*.dl")
)

HEAD = "model m {\n  input  x: float[8]\n  target label: class(4)\n"
TAIL = "  output scores\n  loss   cross_entropy(scores, label)\n}\n"


def warned(text: str) -> list[tuple[str, int]]:
    """The names and lines of the warnings of a program without errors."""
    _, found = driver.check(Source("a.dl", text))
    assert all(each.severity == "warning" for each in found), [str(each) for each in found]
    return [(each.name, each.span.line) for each in found]


def model(body: str, after: str = "") -> list[tuple[str, int]]:
    return warned(HEAD + body + TAIL + after)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_shipped_has_no_warnings(path):
    assert driver.check(path)[1] == []


# Unused


def test_values_layers_parameters_inputs_and_targets_that_nothing_uses_are_told():
    assert model(
        "  input  y: float\n  target z: bool\n  layer spare = dense(3)\n  param p: float[] = 0\n"
        "  let a = x + 1\n  let b = 2 * a\n  let scores = x -> dense(4)\n"
    ) == [("unused", line) for line in range(4, 10)]


def test_what_a_metric_an_output_or_a_shared_layer_uses_is_used():
    assert (
        model(
            "  input  y: float\n  layer tower = dense(4)\n  let scores = tower(x)\n  metric m = y +"
            " 1\n  let h = x + 1\n  output again = h\n  loss tower_size = sum(tower.weight *"
            " tower.weight)\n"
        )
        == []
    )


def test_one_value_of_several_is_enough_and_an_underscore_says_that_it_is_meant():
    assert model("  let a, b = split(x; 2)\n  let _c = x + 1\n  let scores = a -> dense(4)\n") == []


def test_sizes_that_nothing_uses_are_told_in_files_with_a_model():
    assert warned("dim n = 3\nconst c = 1\n" + HEAD + "  let scores = x -> dense(4)\n" + TAIL) == [
        ("unused", 1),
        ("unused", 2),
    ]
    assert warned("dim n = 3\n") == []


def test_values_within_definitions_are_told_too():
    assert warned("fn f(x) {\n  let a = x + 1\n  let b = 2\n  return a\n}\n") == [("unused", 3)]
    assert (
        warned(
            "optimizer o(w, g; lr) {\n  state v = 0\n  let u = v + g\n  next v = u\n  next w = w -"
            " lr * v\n}\n"
        )
        == []
    )


# Losses


def test_softmax_before_a_loss_that_applies_it_is_told_wherever_it_stands():
    name = "double-softmax"
    assert model("  let scores = x -> dense(4) -> softmax\n") == [(name, 6)]
    assert model("  let h = x -> dense(4)\n  let scores = softmax(h)\n") == [(name, 7)]
    assert model("  let h = x -> dense(4) -> softmax\n  let scores = h\n") == [(name, 7)]
    assert model(
        "  let scores = x -> dense(4)\n  loss l = cross_entropy(log_softmax(scores), label)\n"
    ) == [(name, 5)]
    assert model(
        "  let scores = x -> dense(4)\n  loss l = scores -> softmax -> cross_entropy(label;)\n"
    ) == [(name, 5)]
    assert model(
        "  let scores = x -> dense(4)\n  target t: bool\n  loss b ="
        " binary_cross_entropy(sigmoid(sum(scores)), t)\n"
    ) == [(name, 6)]


def test_softmax_elsewhere_is_not_told():
    assert (
        model(
            "  let scores = x -> dense(4)\n  output p = softmax(scores)\n  metric"
            " accuracy(softmax(scores), label)\n"
        )
        == []
    )
    own = "fn softmax(x) = 2 * x\n"
    assert warned(own + HEAD + "  let scores = x -> dense(4) -> softmax\n" + TAIL) == []


def test_errors_of_both_signs_may_be_allowed():
    text = (
        "model m {\n  input x: float[2]\n  target t: float[2]\n  let y = x -> dense(2)\n  loss"
        " mbe(y, t)%s\n}\n"
    )
    assert warned(text % "") == [("signed-loss", 5)]
    assert warned(text % "  # allow: signed-loss") == []


# Linear layers


def test_linear_layers_in_a_row_are_told():
    name = "linear-on-linear"
    assert model("  let scores = x -> dense(16) -> dense(4)\n") == [(name, 4)]
    assert model("  let h = dense(x; 16)\n  let scores = h -> dense(4)\n") == [(name, 5)]
    assert model(
        "  let i = reshape(x; 2, 2, 2)\n  let scores = i -> conv(4, kernel=1) -> flatten ->"
        " dense(4)\n"
    ) == [(name, 5)]
    assert model("  let scores = x -> 3 * (dense(16)) -> dense(4)\n") == [(name, 4)] * 2
    assert model("  layer tower = dense(16) -> dense(4)\n  let scores = tower(x)\n") == [(name, 4)]
    assert model("  let scores = x -> dense(4) -> dense(4)\n") == [
        (name, 4)
    ]  # as wide as the narrower end
    assert model(
        "  let i = reshape(x; 2, 2, 2)\n  let scores = i -> conv_transpose(4, kernel=2)"
        " -> conv_transpose(3, kernel=2) -> relu -> flatten -> dense(4)\n"
    ) == [(name, 5)]


def test_what_is_no_linear_layer_too_many_is_not_told():
    assert model("  let scores = x -> dense(16) -> relu -> dense(4)\n") == []
    assert model("  let scores = x -> dense(2) -> dense(4)\n") == []
    assert model("  let h = x -> dense(16)\n  output h\n  let scores = h -> dense(4)\n") == []
    assert (
        model("  let h = x -> dense(16)\n  let scores = (h -> dense(4)) + (relu(h) -> dense(4))\n")
        == []
    )
    assert (
        model(
            "  let i = reshape(x; 2, 2, 2)\n  let scores = i -> conv(2, kernel=1, groups=2) ->"
            " conv(8, kernel=1) -> relu -> flatten -> dense(4)\n"
        )
        == []
    )


# Saturation


def test_deep_stacks_of_activations_that_saturate_are_told():
    name = "deep-saturation"
    assert model("  let scores = x -> 3 * (dense(8) -> sigmoid) -> dense(4)\n") == [(name, 4)]
    assert model("  let scores = x -> 6 * (dense(8) -> tanh) -> dense(4)\n") == [(name, 4)]


def test_shallow_ones_and_those_with_a_way_past_them_are_not_told():
    assert model("  let scores = x -> 2 * (dense(8) -> sigmoid) -> dense(4)\n") == []
    assert model("  let scores = x -> 5 * (dense(8) -> tanh) -> dense(4)\n") == []
    assert model("  let scores = x -> 9 * (dense(8) -> batchnorm -> tanh) -> dense(4)\n") == []
    assert model("  let scores = x -> 9 * (dense(8) -> silu) -> dense(4)\n") == []
    block = "block add(x: float[n]) {\n  return x + (x -> dense(n) -> tanh)\n}\n"
    assert warned(block + HEAD + "  let scores = x -> 9 * (add) -> dense(4)\n" + TAIL) == []


# Training


def train(optimizer: str) -> str:
    return f"train {{\n  {optimizer}\n}}\n"


def test_parameters_that_no_loss_of_the_examples_reaches_are_told():
    body = "  let scores = x -> dense(4)\n  layer tower = dense(2)\n  output tower(x)\n"
    assert model(body, train("optimizer sgd(lr = 0.1)")) == [("untrained", 5)]
    assert model(body + "  loss p = l2(weights)\n", train("optimizer sgd(lr = 0.1)")) == [
        ("untrained", 5)
    ]
    assert model(body, train("optimizer sgd(lr = 0.1)\n  freeze tower")) == []
    assert model(body) == []
    cut = "  let h = stop_gradient(x -> dense(8))\n  let scores = h -> dense(4)\n"
    assert model(cut, train("optimizer sgd(lr = 0.1)")) == [("untrained", 4)]


def test_adam_with_a_penalty_on_all_weights_is_told():
    body = "  let scores = x -> dense(4)\n  loss p = 0.1 * l2(weights)\n"
    assert model(body, train("optimizer adam()")) == [("penalty-with-adam", 5)]
    assert model(body, train("optimizer sgd(lr = 0.1)")) == []
    assert model(body.replace("l2", "l1"), train("optimizer adam()")) == []


@pytest.mark.parametrize(
    ("optimizer", "is_told"),
    [
        ("sgd(lr = 0.1)", False),
        ("sgd(0.1)", False),
        ("sgd(lr = 10)", True),
        ("sgd(lr = 0)", True),
        ("adam()", False),
        ("adam(lr = 0.5)", True),
        ("adam(0.5)", True),
        ("adam(lr = cosine(0.5, 0))", True),
        ("adam(lr = cosine(0.003, 0))", False),
        ("adam(lr = warmup(0.003; over = 2))", False),
        ("momentum(lr = 0.05 * min(1, 10 * progress) * (1 - progress))", False),
        ("momentum(lr = if epoch < 2 then 3 else rate)", True),
        ("adamw(lr = piecewise(1e-9, 1e-10; at = 3))", True),
        ("momentum(lr = plateau(0.1))", False),
        ("sgd(lr = exponential(0.1))", False),
    ],
)
def test_learning_rates_far_from_what_is_usual_are_told(optimizer, is_told):
    text = (
        "const rate = 0.1\n"
        + HEAD
        + "  let scores = x -> dense(4)\n  metric r = rate * sum(x)\n"
        + TAIL
    )
    found = warned(text + train(f"optimizer {optimizer}"))
    assert [name for name, _ in found] == ["unusual-rate"] * is_told


def test_schedules_that_are_not_numbers_alone_are_left_alone():
    from specc.diagnostics import Report
    from specc.frontend.program.uses import file_scope
    from specc.frontend.scope.scope import Context
    from specc.frontend.syntax.parse import parse

    file = parse(
        Source("a.dl", "const a = unknown(1)\nconst b = 10 ^ (10 ^ 10)\nconst c = log(0)\n")
    )[0]
    scope = file_scope(Context(Report()), file)
    assert [rates(scope, each.value, 3) for each in file.definitions] == [[], [], []]


# Recurrence, memory, data


def recurrent(steps="100", settings="", after="rnn(8) -> last") -> list[tuple[str, int]]:
    head = f"seq time = {steps}\n" if steps else "seq time\n"
    return warned(
        head + "model m {\n  input x: float[time, 3]\n  target label: class(4)\n"
        f"  let scores = x -> {after} -> dense(4)\n"
        + TAIL
        + "train { optimizer adam(lr = 0.001)\n"
        + settings
        + "}\n"
    )


@pytest.mark.parametrize(
    "cell", ["rnn(8) -> last", "lstm(8) -> lstm(8) -> last", "3 * (gru(8)) -> last"]
)
def test_states_that_go_through_weights_for_many_steps_are_told_where_nothing_is_clipped(cell):
    assert recurrent(after=cell) == [("unclipped", 5)]
    assert (
        recurrent(steps="16", after=cell) == recurrent(steps="", after=cell) == [("unclipped", 5)]
    )
    assert recurrent(steps="15", after=cell) == []
    assert recurrent(after=cell, settings="clip_norm = 1\n") == []
    assert recurrent(after=cell, settings="clip_value = 1\n") == []


def test_states_without_weights_and_files_without_training_are_not_told_of_clipping():
    sums = (
        "cell sums(x: float[n]) {\n  state s: float[n] = 0\n  let t = s + x\n  next s = t\n  return"
        " t\n}\n"
    )
    text = (
        "seq time = 100\n"
        + sums
        + "model m {\n  input x: float[time, 3]\n  target label: class(4)\n"
        "  let scores = x -> sums -> last -> dense(4)\n" + TAIL
    )
    assert warned(text + "train { optimizer adam(lr = 0.001) }\n") == []
    assert warned(text.replace("-> sums", "-> rnn(8)")) == []


def test_a_training_that_takes_more_memory_than_there_is_is_told(monkeypatch):
    body = HEAD + "  let scores = x -> dense(1000) -> relu -> dense(4)\n" + TAIL
    text = (
        body.replace("{", "{{").replace("}", "}}") + "train {{\n  optimizer {}\n  batch = {}\n}}\n"
    )
    sgd, adam = "sgd(lr = 0.1)", "adam(lr = 0.001)"
    # a batch: 8 + 1000 floats an example; parameters: 9000 + 4004, and their gradients
    needed = 4 * (1008 * 32 + 2 * 13004)
    monkeypatch.setattr(habits, "machine_memory", lambda: needed)
    assert warned(text.format(sgd, 32)) == []
    assert warned(text.format(sgd, 33)) == [("large-footprint", 10)]
    assert warned(text.format(adam, 32)) == [("large-footprint", 10)]
    monkeypatch.setattr(habits, "machine_memory", lambda: needed - 1)
    _, (found,) = driver.check(Source("a.dl", text.format(sgd, 32)))
    assert found.message == "a training step may take 233 kB, but this machine has 233 kB"
    assert (
        found.help == "`batch = 7` takes half of what is there,"
        " and `batch = 7 * 5` does so with the same steps"
    )
    monkeypatch.setattr(habits, "machine_memory", lambda: None)
    assert warned(text.format(sgd, 10**6)) == []


def test_the_footprint_is_no_more_than_what_the_planner_gives_out():
    program = driver.load(ROOT / "models" / "lenet.dl")
    net = driver.compile(program, threads=1)
    plan = net.plan("train")
    arena = plan.arena_bytes * plan.shards  # if each shard has a thread
    assert 0.3 * arena < footprint(program).examples < arena
    assert machine_memory() is None or machine_memory() > 2**26


def test_recomputation_is_told_of_where_it_would_help(monkeypatch):
    text = HEAD + "  let scores = x -> 32 * (dense(1000) -> relu) -> dense(4)\n" + TAIL
    text += "train {\n  optimizer sgd(lr = 0.1)\n  batch = 100000\n}\n"
    program = driver.load(Source("a.dl", text))
    needed = footprint(program)
    assert needed.recomputed < 0.3 * needed.examples
    there = needed.parameters + 2 * needed.recomputed
    monkeypatch.setattr(habits, "machine_memory", lambda: there)
    _, (found,) = driver.check(Source("a.dl", text))
    assert found.help.startswith("`recompute = true` takes less, for some more time; `batch = ")
    assert warned(text.replace("batch =", "recompute = true\n  batch =")) == []
    monkeypatch.setattr(habits, "machine_memory", lambda: there - 1)
    _, (found,) = driver.check(Source("a.dl", text))
    assert found.help.startswith("`batch = ")


def digits(classes=10, batch=32, split=""):
    return warned(
        f"model m {{\n  input image: float[8, 8]\n  target label: class({classes})\n"
        f"  let scores = image -> flatten -> dense({classes})\n"
        + TAIL
        + f"train {{\n  data digits()\n  {split}\n  optimizer adam(lr = 0.001)\n  batch ="
        f" {batch}\n}}\n"
    )


def test_what_is_known_of_the_digits_is_compared_without_reading_them():
    assert digits() == digits(batch=1797) == digits(batch=1438, split="validate split = 0.8") == []
    assert (
        digits(batch=1798)
        == digits(batch=1439, split="validate split = 0.8")
        == [("large-batch", 12)]
    )
    assert digits(classes=12) == [("missing-classes", 3)]


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ("loss mse(sigmoid(y), t)", {"t": (0, 1)}),
        ("loss mse(t, y -> tanh)", {"t": (-1, 1)}),
        ("loss mae(p, t)", {"t": (0, 1)}),
        ("loss size = 0.1 * huber(t, relu(y))", {"t": (0, float("inf"))}),
        ("loss p -> mse(t;)", {"t": (0, 1)}),
        ("loss kl(t, p)", {"t": (0, 1)}),
        ("loss kl(p, t)", {}),
        ("loss mse(y, t)", {}),
        ("loss mse(2 * p, t)", {}),
        ("loss mse(p, 2 * t)", {}),
        ("metric mse(p, t)", {}),
    ],
)
def test_outputs_that_reach_only_so_far_are_found(losses, expected):
    text = (
        "model m {\n  input x: float[3]\n  target t: float[3]\n  let y = x -> dense(3)\n  let p ="
        f" softmax(y)\n  {losses}\n}}\n"
    )
    file, found = parse(Source("a.dl", text))
    assert not found
    assert {
        name: (each.low, each.high) for name, each in reaches(file, words_of(file)).items()
    } == expected
    own, _ = parse(Source("a.dl", "fn mse(a: float, b: float) = mean(a - b)\n" + text))
    assert "mse" not in losses or reaches(own, words_of(own)) == {}


# Silence


def test_a_comment_on_the_line_or_above_it_allows():
    line = "  let spare = x + 1"
    scores = "\n  let scores = x -> dense(4)\n"
    assert model(line + scores) == [("unused", 4)]
    assert model(line + "  # allow: unused" + scores) == []
    assert model("  # allow: unused (for later)\n" + line + scores) == []
    assert model("  # allow: double-softmax, unused\n  # a further comment\n" + line + scores) == []
    assert model("  # allow: unused\n\n" + line + scores) == [("unused", 6)]
    assert model("  # allow: double-softmax\n" + line + scores) == [("unused", 5)]
    assert model("  let a = sum(x) # allow: unused\n" + line + scores) == [("unused", 5)]


def test_a_name_that_is_no_warning_is_told():
    found = driver.check(Source("a.dl", "# allow: unsued, nothing-like-it\ndim n = 3\n"))[1]
    assert [(each.name, each.span.text) for each in found] == [
        ("unknown-allow", "unsued"),
        ("unknown-allow", "nothing-like-it"),
    ]
    assert found[0].help == "did you mean `unused`?"


def test_errors_come_without_warnings_that_may_follow_from_them():
    _, found = driver.check(
        Source("a.dl", HEAD + "  let scores = x -> dens(4)\n  let spare = 1\n" + TAIL)
    )
    assert [each.name for each in found] == ["unknown-name"]
