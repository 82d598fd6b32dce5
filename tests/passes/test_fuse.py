"""What a loop holds: outputs that are views, the states of a loop, and functions that wait."""

from __future__ import annotations

import numpy as np
import pytest

import specc
from specc.ir.kind import Kind
from specc.ops.carry import Carry
from specc.source import Source


@pytest.mark.parametrize("rows", [1, 5])
def test_outputs_that_are_views_have_their_own_order(rows):
    text = """model m { input x: float[4, 6] param p: float[4, 6] = normal
      let y = x + p
      output a = transpose(x) output b = x[:, ::2] output c = transpose(y) output d = y[1:3]
      output e = transpose(y) -> reshape(24) output f = transpose(p) }"""
    net = specc.compile(specc.load(Source("m.dl", text)), batch=5, dtype="float64", threads=1)
    x = np.random.default_rng(0).standard_normal((rows, 4, 6))
    p = net.params["p"]
    y = x + p
    wanted = {
        "a": x.transpose(0, 2, 1),
        "b": x[:, :, ::2],
        "c": y.transpose(0, 2, 1),
        "d": y[:, 1:3],
        "e": y.transpose(0, 2, 1).reshape(rows, 24),
        "f": np.broadcast_to(p.T, (rows, 6, 4)),
    }
    for name, array in net.forward(x=x).items():
        np.testing.assert_array_equal(array, wanted[name], name)


@pytest.mark.parametrize("layers", ["lstm(8)", "gru(8)", "2 * (rnn(8))"])
def test_a_loop_does_not_copy_its_states(layers):
    text = f"""seq time = 5 model m {{ input x: float[time, 3] target y: float[time, 2]
      let w = x -> {layers} -> dense(2) output w loss mse(w, y) }}
      train {{ optimizer sgd(lr=0.1) batch = 40 }}"""
    plan = specc.compile(specc.load(Source("m.dl", text)), threads=1).plan("train")
    loops = [step.group.loop for step in plan.steps if step.group.loop]
    assert loops
    for loop in loops:
        assert not any(isinstance(whole.op, Carry) for whole in loop.writes.values())


CELL = """seq time = 5 model m {{ input x: float[time, 8] target y: float[12]
  let h = x -> {cell} -> last loss mse(h, y) }} train {{ optimizer sgd(lr = 0.1) }}"""


def functions(cell: str) -> list[list[str]]:
    """The functions of each nest of a model's training step, in its loop."""
    net = specc.compile(specc.loads(CELL.format(cell=cell)), batch=32, threads=1)
    found = []
    for call in net.programs.of_plan(net.plan(Kind.TRAIN)).calls():
        names = [each.op.name for each in call.nodes if each.op.name in ("Sigmoid", "Tanh")]
        if names and call.kernel.name.startswith("each"):
            found.append(sorted(names))
    return found


def test_tanh_of_a_cells_state_does_not_wait_in_the_loop_of_its_gates():
    assert functions("lstm(12)") == [["Sigmoid", "Sigmoid", "Sigmoid", "Tanh"], ["Tanh"]]


def test_a_few_functions_in_a_chain_stay_together():
    assert ["Sigmoid", "Tanh"] in functions("dense(12) -> tanh -> sigmoid")
