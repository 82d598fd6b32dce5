"""The cost of a step by layer: memory against the arrays, times against the kernels."""

import re

import numpy as np
import pytest

import specc
from specc.plots import cost
from specc.plots.kinds import find
from specc.plots.subject import of_file
from specc.runs.listener import AsWarnings

MODEL = """
model line {
  input  x: float[6]
  target label: class(3)
  let h = x -> dense(5) -> relu
  let scores = h -> 2 * (dense(5) -> tanh) -> dense(3)
  output scores
  loss   cross_entropy(scores, label)
}
train { data csv("a.csv"; x = "a, b, c, d, e, f", label = "label") batch = 8 OPTIMIZER }
"""


BARE = """
model bare {
  input  x: float[2]
  target y: float
  param  w: float[2] = 0
  let guess = w @ x
  output guess
  loss   mse(guess, y)
}
"""


@pytest.fixture
def subject(tmp_path):
    rows = np.random.default_rng(0).normal(size=(20, 6))
    lines = [",".join([*(f"{v:.3f}" for v in row), str(k % 3)]) for k, row in enumerate(rows)]
    (tmp_path / "a.csv").write_text("a,b,c,d,e,f,label\n" + "\n".join(lines) + "\n")

    def made(optimizer="optimizer adam(lr = 0.01)"):
        (tmp_path / "line.dl").write_text(MODEL.replace("OPTIMIZER", optimizer))
        return of_file(tmp_path / "line.dl", AsWarnings())

    return made


def test_memory_is_that_of_the_arrays(subject):
    drawn = subject()
    net = drawn.net
    times = net.inspection.time(drawn.data, drawn.rows, 1)
    found = cost.of_step(net, times)
    assert found.layers == (*[each.path for each in net.program.layers], cost.NO_LAYER)
    for k, layer in enumerate(net.program.layers):
        own = sum(net.params[path].nbytes for path in layer.parameters)
        assert found.bytes[k, 0] == own
        assert found.bytes[k, 1] == 2 * own, "adam has two states for each parameter"
    assert found.bytes[:, 0].sum() == sum(each.nbytes for each in net.params.values())
    plan = times.plan
    assert found.bytes[:, 2].sum() >= plan.arena_bytes * plan.arenas


def test_times_are_those_of_the_kernels(subject):
    drawn = subject()
    times = drawn.net.inspection.time(drawn.data, drawn.rows, 1)
    found = cost.of_step(drawn.net, times)
    whole = sum(call.seconds * call.shards for call in times.calls) / times.threads
    assert found.seconds.sum() == pytest.approx(whole)
    first = [call for call in times.calls if call.layer == "dense1"]
    assert found.seconds[0].sum() == pytest.approx(
        sum(call.seconds * call.shards for call in first) / times.threads
    )
    assert first and (found.seconds[0, 1:] > 0).any(), "its gradient, too"


def test_the_model_does_not_change(subject):
    drawn = subject()
    before = {name: np.array(each) for name, each in drawn.net.weights.arrays.items()}
    figure = find("cost").draw(drawn)
    after = drawn.net.weights.arrays
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert re.match(r"A training step of 8 examples took [\d,.]+ µs on ", figure.caption)
    assert [panel.title for panel in figure.parts] == ["time", "memory"]
    assert "(family" in figure.caption or "of " in figure.caption


def test_a_model_without_an_optimizer_is_evaluated():
    net = specc.compile(specc.loads(MODEL.partition("train {")[0]))
    figure = net.plot("cost", {"x": np.zeros((20, 6)), "label": np.arange(20) % 3}).figure
    assert figure.caption.startswith("An evaluation of ")
    names = {mark.name for panel in figure.parts for mark in panel.marks}
    assert names == {"forward", "parameters", "values of a batch"}


def test_small_layers_of_a_deep_model_are_one_bar(subject, monkeypatch):
    monkeypatch.setattr(cost, "MOST_LAYERS", 2)
    drawn = subject()
    figure = find("cost").draw(drawn)
    names = figure.parts[0].x.names
    assert len(names) == 4 and names[2:] == (cost.OTHERS, cost.NO_LAYER)
    times = drawn.net.inspection.time(drawn.data, drawn.rows, 1)
    found = cost.of_step(drawn.net, times)
    assert cost._largest(found).bytes.sum(0) == pytest.approx(found.bytes.sum(0))
    assert cost._largest(found).seconds.sum(0) == pytest.approx(found.seconds.sum(0))


def test_a_model_without_layers_has_no_cost_and_no_flow_by_layer():
    net = specc.compile(specc.loads(BARE))
    data = {"x": np.zeros((4, 2)), "y": np.zeros(4)}
    for name in ("cost", "flow"):
        with pytest.raises(ValueError, match="the model has no layers"):
            net.plot(name, data)
